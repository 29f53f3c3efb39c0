# RUN LOG DIR OPERATION COUNT FOLDERS... COMMAND...: starts a daemon in a session of its own.
# RUN/pid names it by PID and start time, RUN/operation says which step started it. Prints both numbers.
run=$1 log=$2 dir=$3 operation=$4 count=$5
shift 5
mkdir -p "$run" "${log%/*}" "$dir"
while [ "$count" -gt 0 ]; do mkdir -p "$1"; shift; count=$((count - 1)); done
if [ -f "$log" ] && [ "$(wc -c <"$log")" -gt 16777216 ]; then mv -f "$log" "$log.1"; fi
rm -f "$run/pid"
printf '%s\n' "$operation" >"$run/operation"
printf -- '--- started by %s\n' "$operation" >>"$log"
cd "$dir"
setsid /bin/sh -c '
  run=$1; shift
  stat=$(cat /proc/$$/stat)
  start=$(set -f; set -- ${stat##*) }; shift 19; printf %s "$1")
  printf "%s %s\n" $$ "$start" >"$run/pid.new"
  mv "$run/pid.new" "$run/pid"
  exec "$@"
' sh "$run" "$@" </dev/null >>"$log" 2>&1 &
tries=500
until [ -f "$run/pid" ]; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || { echo "the daemon's shell did not start" >&2; exit 1; }
  sleep 0.01
done
cat "$run/pid"
