# RUN...: one line for each: `alive PID START OPERATION`, `dead`, or `none` when it was never started.
for run; do
  if [ ! -f "$run/pid" ]; then echo none; continue; fi
  read -r pid start <"$run/pid" || true
  if alive "$pid" "$start"; then echo "alive $pid $start $(cat "$run/operation" 2>/dev/null)"; else echo dead; fi
done
