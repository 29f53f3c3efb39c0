# alive PID START: whether the process that was started then still runs. A zombie does not; a reused PID has another start.
alive() {
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  set -- "$2" ${stat##*) }
  [ "$2" != Z ] && [ "${21}" = "$1" ]
}
