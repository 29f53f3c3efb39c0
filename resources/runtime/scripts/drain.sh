# RUN SIGNAL SECONDS UNTIL: tells a daemon to hand its work over, and waits until it has ended or, where UNTIL is
# `childless`, until it has no children; SECONDS at most. One that is still busy then is no error: it is stopped next.
run=$1 signal=$2 seconds=$3 until=$4
[ -f "$run/pid" ] || exit 0
read -r pid start <"$run/pid"
children() {
  cat /proc/[0-9]*/stat 2>/dev/null | sed -n "s/^\([0-9]*\) (.*) [^Z] $pid .*/\1/p"
}
busy() {
  alive "$pid" "$start" || return 1
  [ "$until" != childless ] || [ -n "$(children)" ]
}
alive "$pid" "$start" || exit 0
kill -s "$signal" "$pid" 2>/dev/null || true
left=$((seconds * 10))
while [ "$left" -gt 0 ] && busy; do
  sleep 0.1
  left=$((left - 1))
done
