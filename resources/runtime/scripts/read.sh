# PATH...: for each `MODE SIZE`, a newline and that many bytes; or `none`.
for path; do
  if [ -f "$path" ]; then
    size=$(wc -c <"$path")
    echo "$(stat -L -c %a "$path")" $size
    head -c "$((size))" "$path"
  else
    echo none
  fi
done
