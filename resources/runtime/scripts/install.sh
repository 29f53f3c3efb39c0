# … LABEL SIZE SHA256 FILE PACKAGES URLS LOOK [FROM TO]...: brings an artifact to the node with what the node has for it.
# URLS are tried in order, FILE is what they lead to; `page:URL` is a page that links to it, as Python package indexes have
# them. PACKAGES are Debian's, one entry a line, alternatives between bars.
# FROM are the parts of an archive that are kept, TO their places. Exits with 3, having said why, where nothing worked, and
# with 4 where only a look was asked for and nothing is there.
label=$1 size=$2 sha256=$3 file=$4 packages=$5 urls=$6 look=$7
shift 7
if complete; then held; exit 0; fi
if path=$(own_java); then result "$path" '' node; exit 0; fi
[ -z "$look" ] || exit 4
begin
clean
if complete; then held; exit 0; fi
telling="fetching $label"

# load URL TARGET
load() {
  script='import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=30) as source, open(sys.argv[2], "wb") as target:
    shutil.copyfileobj(source, target)'
  if has curl; then
    during "$2" curl -fsSL --retry 2 --retry-max-time 60 --connect-timeout 15 --speed-limit 1000 --speed-time 30 -o "$2" "$1"
  elif has wget; then
    tries=
    if wget --version >/dev/null 2>&1; then tries='-t 2'; fi
    during "$2" wget -q -T 30 $tries -O "$2" "$1"
  elif has python3; then
    during "$2" python3 -c "$script" "$1" "$2"
  else
    echo "the node has none of curl, wget and python3" >"$work/err"
    return 1
  fi
}

# linked PAGE: the address that a page gives for FILE, into $url.
linked() {
  telling="looking for $file in $1"
  load "$1" "$work/page" || { failed "$1: $(why)"; return 1; }
  url=$(tr '<' '\n' <"$work/page" | sed -n "s|.*href=\"\([^\"#]*/$file\)[\"#].*|\1|p" | head -n 1)
  site=${1#*://}
  case $url in
    '') failed "$1 has no link to $file"; return 1 ;;
    *://*) ;;
    /*) url=${1%%://*}://${site%%/*}$url ;;
    *) url=${1%/*}/$url ;;
  esac
}

# unpack ARCHIVE TREE [FROM TO]...
unpack() {
  archive=$1 tree=$2
  shift 2
  case $archive in
    *.tar.gz | *.tgz) ;;
    *) mv "$archive" "$tree/"; return ;;
  esac
  if [ $# = 0 ]; then
    during '' tar -xzof "$archive" -C "$tree"
    return
  fi
  mkdir "$work/parts"
  count=$# at=0
  for part; do
    at=$((at + 1))
    if [ $((at % 2)) = 1 ]; then set -- "$@" "$part"; fi
  done
  # The parts are now behind the pairs.
  ( shift "$count"; printf '%s\n' "$@" ) >"$work/wanted"
  during '' tar -xzof "$archive" -C "$work/parts" -T "$work/wanted" || return
  while [ "$count" -gt 0 ]; do
    place "$work/parts/$1" "$tree/$2" || return
    shift 2
    count=$((count - 2))
  done
}

# place FROM TO: moves, into a folder that is there already as well.
place() {
  [ -e "$1" ] || return 0
  mkdir -p "${2%/*}"
  if [ -d "$1" ] && [ -d "$2" ]; then cp -R "$1/." "$2/"; else mv -T "$1" "$2"; fi
}

# choose NAME: the package and all that would be installed along with it, into $work/names.
choose() {
  during '' env apt-get $apt install -s --no-install-recommends "$1" || return
  { sed -n 's/^Inst \([^ ]*\) .*/\1/p' "$work/out"; echo "$1"; } >>"$work/names"
}

# packages: brings Debian packages into $work/debs.
packages() {
  : >"$work/names"
  printf '%s\n' "$packages" >"$work/entries"
  while read -r entry; do
    chosen=
    for name in $(printf %s "$entry" | tr '|' ' '); do
      if choose "$name"; then chosen=$name; break; fi
    done
    [ -n "$chosen" ] || return 1
  done <"$work/entries"
  names=$(sort -u "$work/names")
  telling="fetching $label: $(printf '%s\n' "$names" | wc -l | tr -d ' ') Debian packages"
  cd "$work/debs"
  during '' apt-get $apt download -q $names
}

# repoint TREE: makes absolute links whose target came along point at it.
repoint() {
  find "$1" -type l | while read -r link; do
    target=$(readlink "$link")
    case $target in
      /*)
        if [ -e "$1$target" ] || [ -L "$1$target" ]; then
          up=$(printf %s "${link#"$1"/}" | sed 's|[^/]*$||; s|[^/]*/|../|g')
          ln -sfn "$up${target#/}" "$link"
        fi
        ;;
    esac
  done
}

# debian TREE: what apt verifies is unpacked, not installed. Where the node has no package index, one of our own is loaded.
debian() {
  if ! has apt-get || ! has dpkg-deb; then failed "the node has no apt-get"; return 1; fi
  apt='-oAPT::Sandbox::User=root -oAcquire::Retries=1 -oAcquire::http::Timeout=20 -oAcquire::https::Timeout=20'
  mkdir "$work/debs"
  if ! packages; then
    mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial"
    apt="$apt -oDir::State::lists=$work/apt/lists -oDir::Cache=$work/apt"
    telling="fetching $label: loading the package index"
    if ! during '' apt-get $apt update || ! packages; then failed "apt-get: $(why)"; return 1; fi
  fi
  for deb in "$work"/debs/*.deb; do
    dpkg-deb -x "$deb" "$1" 2>"$work/err" || { failed "dpkg-deb: $(why)"; return 1; }
  done
  repoint "$1"
}

tree=$work/tree
mkdir "$tree"
if [ -n "$packages" ]; then
  if debian "$tree" && publish "$tree" packages; then held; exit 0; fi
  exit 3
fi
set -f
for url in $urls; do
  rm -f "$work/$file"
  case $url in page:*) linked "${url#page:}" || continue ;; esac
  telling="fetching $label"
  if ! load "$url" "$work/$file"; then failed "$url: $(why)"; continue; fi
  telling="checking $file"
  if ! matches "$work/$file" "$sha256"; then failed "$url: its SHA-256 is $sum, expected $sha256"; continue; fi
  telling="unpacking $file"
  set +f
  unpack "$work/$file" "$tree" "$@" || { failed "unpack $file: $(why)"; exit 3; }
  publish "$tree" "${url%/*}" || exit 3
  held
  exit 0
done
exit 3
