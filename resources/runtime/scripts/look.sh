# [FOLDER MARK PATH FROM]...: for each installation `yes` when it is there, whole, and `no` otherwise.
while [ $# -gt 0 ]; do
  if [ "$4" = node ] && [ -x "$3/bin/java" ]; then echo yes
  elif [ -e "$3" ] && [ -f "$1/.complete" ] && [ "$(cat "$1/.complete")" = "$2" ]; then echo yes
  else echo no
  fi
  shift 4
done
