# FOLDER MARK HOME JAVA MODULES LIBRARIES REST...: what the other scripts of an installation share.
# HOME is a pattern below FOLDER, or empty. JAVA is the least version of a Java of the node's own that may be used instead,
# with MODULES; empty where nothing may. LIBRARIES is `yes` where shared libraries come along.
# Answers are lines: `= NAME VALUE` is an output, `~ TEXT` says what goes on, `! TEXT` why something did not work.
folder=$1 mark=$2 home=$3 java=$4 modules=$5 libraries=$6
shift 6
root=${folder%/*} key=${folder##*/}
work='' child='' telling='' size=0
umask 022
LC_ALL=C
export LC_ALL

complete() { [ -f "$folder/.complete" ] && [ "$(cat "$folder/.complete")" = "$mark" ]; }

has() { command -v "$1" >/dev/null 2>&1; }

# Whoever asked may be gone: then nobody reads this, and nothing goes on.
say() { printf '~ %s\n' "$*" || exit 1; }

failed() { printf '! %s\n' "$*" || exit 1; }

# first FOLDER PATTERN: the first path below FOLDER that matches.
first() (
  IFS=
  for found in "$1"/$2; do
    if [ -e "$found" ]; then printf '%s\n' "$found"; exit 0; fi
  done
  exit 1
)

# home_of TREE: the folder that is used.
home_of() { if [ -n "$home" ]; then first "$1" "$home"; else printf '%s\n' "$1"; fi; }

# libraries_of TREE: folders of shared libraries, separated by colons.
libraries_of() {
  [ "$libraries" = yes ] || return 0
  one=$(first "$1" 'usr/lib/*-linux-gnu*') || one=
  two=$(first "$1" 'lib/*-linux-gnu*') || two=
  printf '%s\n' "$one${one:+${two:+:}}$two"
}

# java_fits HOME: whether it runs, is of the version asked for, and has the modules.
java_fits() {
  [ -x "$1/bin/java" ] || return 1
  version=$("$1/bin/java" -version 2>&1 </dev/null) || return 1
  version=$(printf '%s\n' "$version" | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9][0-9]*\).*/\2/p' | head -n 1)
  [ -n "$version" ] && [ "$version" -ge "$java" ] || return 1
  there=$("$1/bin/java" --list-modules 2>/dev/null </dev/null) || return 1
  there=" $(printf '%s\n' "$there" | sed 's/@.*//' | tr '\n' ' ')"
  for module in $modules; do
    case $there in *" $module "*) ;; *) return 1 ;; esac
  done
}

# own_java: the home of a Java that the node has already.
own_java() {
  [ -n "$java" ] || return 1
  set -- "${JAVA_HOME:-}"
  if found=$(command -v java); then set -- "$@" "$(dirname "$(dirname "$(readlink -f "$found")")")"; fi
  for candidate in "$@" /usr/lib/jvm/*; do
    if [ -n "$candidate" ] && java_fits "$candidate"; then printf '%s\n' "$candidate"; return 0; fi
  done
  return 1
}

# authorities HOME: gives a Java that came without certificates of authorities those of the node, as a Java key store. The
# packages of Debian make them when they are installed, which they are not here.
authorities() {
  store=$1/lib/security/cacerts
  if [ -e "$store" ] || ! has python3; then return 0; fi
  for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
    if [ -f "$bundle" ]; then
      rm -f "$store"
      python3 -c '
import base64, hashlib, re, struct, sys
def text(word):
    return struct.pack(">H", len(word)) + word
with open(sys.argv[1], "rb") as bundle:
    found = re.findall(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", bundle.read(), re.S)
store = struct.pack(">III", 0xFEEDFEED, 2, len(found))
for number, body in enumerate(found):
    certificate = base64.b64decode(body)
    store += struct.pack(">I", 2) + text(b"authority%d" % number) + struct.pack(">Q", 0) + text(b"X.509")
    store += struct.pack(">I", len(certificate)) + certificate
store += hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + store).digest()
with open(sys.argv[2], "wb") as target:
    target.write(store)' "$bundle" "$store"
      return
    fi
  done
}

result() { printf '= path %s\n= libraries %s\n= from %s\n' "$1" "$2" "$3"; }

# held: tells the outputs of a complete installation.
held() {
  path=$(home_of "$folder") || { echo "$folder holds no $home" >&2; exit 1; }
  result "$path" "$(libraries_of "$folder")" "$(cat "$folder/.from" 2>/dev/null || echo kept)"
}

finish() {
  [ -z "$child" ] || kill "$child" 2>/dev/null || true
  rm -rf "$work"
}

# begin: waits for others that make the same, and makes a folder to work in that says whose it is.
begin() {
  mkdir -p "$root"
  exec 9>"$root/.$key.lock"
  if has flock && ! flock -n 9; then
    say "waiting for another run that installs $key"
    flock 9
  fi
  stat=$(cat "/proc/$$/stat")
  start=$(set -f; set -- ${stat##*) }; shift 19; printf %s "$1")
  work=$root/.$key.$$.$start
  trap finish EXIT
  trap 'exit 1' HUP INT TERM PIPE
  mkdir "$work"
}

# clean: removes what runs that ended in the middle left.
clean() {
  for left in "$root/.$key".*.*; do
    owner=${left#"$root/.$key."}
    if [ -d "$left" ] && ! alive "${owner%.*}" "${owner#*.}"; then rm -rf "$left"; fi
  done
}

# running PID: whether a child has not ended; one that has and was not waited for is a zombie.
running() {
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  case ${stat##*) } in Z*) return 1 ;; esac
}

# during FILE COMMAND...: runs a program, telling meanwhile how far FILE has come. Its output is in $work/out and $work/err.
during() {
  watched=$1
  shift
  ( exec "$@" ) >"$work/out" 2>"$work/err" </dev/null 9>&- &
  child=$!
  while running "$child"; do
    if [ -n "$watched" ] && [ -f "$watched" ]; then
      megabytes=$((($(wc -c <"$watched") + 500000) / 1000000))
      if [ "$size" -gt 0 ]; then megabytes="$megabytes of $(((size + 500000) / 1000000))"; fi
      say "$telling: $megabytes MB"
    else
      say "$telling"
    fi
    sleep 0.2 2>/dev/null || sleep 1
  done
  code=0
  wait "$child" || code=$?
  child=
  return "$code"
}

# why: the last line of what a program complained.
why() { tail -n 1 "$work/err" | cut -c 1-300; }

# matches FILE SHA256
matches() {
  during '' sha256sum "$1" || { failed "sha256sum: $(why)"; return 1; }
  read -r sum _ <"$work/out"
  [ "$sum" = "$2" ]
}

# publish TREE FROM: puts a whole tree in place by one rename, marked.
publish() {
  if [ -n "$java" ]; then
    path=$(home_of "$1") || { failed "no $home came"; return 1; }
    if ! ( LD_LIBRARY_PATH=$(libraries_of "$1"); export LD_LIBRARY_PATH; java_fits "$path" ); then
      failed "the Java that came does not run on this node"
      return 1
    fi
    authorities "$path" || failed "no certificates of authorities could be made"
  fi
  printf '%s\n' "$2" >"$1/.from"
  printf %s "$mark" >"$1/.complete"
  sync -f "$1" 2>/dev/null || sync
  if complete; then return 0; fi
  if [ -e "$folder" ]; then mv -T "$folder" "$work/damaged"; fi
  mv -T "$1" "$folder" || complete
}
