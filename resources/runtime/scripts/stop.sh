# RUN SIGNAL GRACE: ends a daemon and everything in its session; what is left after GRACE seconds is killed.
# A PID stays taken while its session has members, so a reused one (another start) means that there are none: whoever
# has it now is left alone.
run=$1 signal=$2 grace=$3
[ -f "$run/pid" ] || exit 0
read -r pid start <"$run/pid"
# cat goes on where a process ends under it; sed would not.
members() {
  cat /proc/[0-9]*/stat 2>/dev/null | sed -n "s/^\([0-9]*\) (.*) [^Z] [-0-9]* [-0-9]* $pid .*/\1/p"
}
now=$(cat "/proc/$pid/stat" 2>/dev/null) || now=
if [ -n "$now" ]; then
  set -- ${now##*) }
  if [ "${20}" != "$start" ]; then rm -f "$run/pid" "$run/operation"; exit 0; fi
fi
if alive "$pid" "$start"; then kill -s "$signal" "$pid" 2>/dev/null || true; fi
left=$((grace * 20)) told=
while rest=$(members); [ -n "$rest" ]; do
  if [ "$left" -le 0 ]; then
    kill -s KILL $rest 2>/dev/null || true
  elif [ -z "$told" ] && ! alive "$pid" "$start"; then
    kill -s TERM $rest 2>/dev/null || true
    told=1
    if [ "$left" -gt 40 ]; then left=40; fi
  fi
  [ "$left" -gt -200 ] || { echo "processes $rest do not end" >&2; exit 1; }
  sleep 0.05
  left=$((left - 1))
done
rm -f "$run/pid" "$run/operation"
