# OWNER COUNT UNDER FSTAB NAMES SECONDS: formats and mounts blank disks at UNDER/data_disk_1 to COUNT, as root.
# NAMES are patterns of device names that may be data disks. A device that holds anything is never formatted: one with our
# label is mounted as it is, any other is left alone. Prints `~ TEXT` while it waits and `= mounts PATH...` at the end.
owner=$1 count=$2 under=$3 fstab=$4 names=$5 seconds=$6
label=cloudtik
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
for tool in blkid wipefs; do
  command -v "$tool" >/dev/null || { echo "the node has no $tool, which tells whether a disk is blank" >&2; exit 1; }
done
mkdir -p "$under"
if command -v flock >/dev/null; then exec 9>"$under/.lock"; flock 9; fi

# devices: whole disks that may be data disks, in order of their names: `nvme2n1` before `nvme10n1`.
devices() {
  for name in $(cd /sys/block && ls -d $names 2>/dev/null | sort -V); do
    block=/sys/block/$name
    if [ "$(cat "$block/ro")" = 0 ] && [ "$(cat "$block/size")" -gt 0 ]; then printf '%s\n' "/dev/$name"; fi
  done
}

# point DEVICE: where it is mounted; fails when it is not.
point() {
  while read -r what where _; do
    if [ "$what" = "$1" ]; then printf '%s\n' "$where"; return 0; fi
  done </proc/self/mounts
  return 1
}

# taken POINT: whether anything is mounted there.
taken() {
  while read -r _ where _; do
    if [ "$where" = "$1" ]; then return 0; fi
  done </proc/self/mounts
  return 1
}

# in_use DEVICE: whether it is divided, part of another device, or swap.
in_use() {
  for inner in "/sys/block/${1#/dev/}"/*/partition "/sys/block/${1#/dev/}"/holders/*; do
    if [ -e "$inner" ]; then return 0; fi
  done
  grep -q "^$1[[:space:]]" /proc/swaps
}

# kind DEVICE: `mounted`, `ours`, `blank`, `used`, or what it holds.
kind() {
  if where=$(point "$1"); then
    case $where in "$under"/data_disk_*) echo mounted ;; *) echo used ;; esac
    return
  fi
  if in_use "$1"; then echo used; return; fi
  if [ "$(blkid -p -o value -s LABEL "$1" || true)" = "$label" ]; then echo ours; return; fi
  code=0
  blkid -p "$1" >/dev/null 2>&1 || code=$?
  signs=$(wipefs -n "$1") || { echo used; return; }
  # 2: nothing that blkid knows.
  if [ "$code" = 2 ] && [ -z "$signs" ]; then echo blank; else echo "$(blkid -p -o value -s TYPE "$1" || echo data)"; fi
}

# survey: fills the lists of devices that are ours and that are blank; succeeds when there are as many as declared.
survey() {
  ours='' blank='' others='' found=0
  for device in $(devices); do
    what=$(kind "$device")
    case $what in
      mounted) found=$((found + 1)) ;;
      ours) ours="$ours $device" found=$((found + 1)) ;;
      blank) blank="$blank $device" found=$((found + 1)) ;;
      used) ;;
      *) others="$others; $device holds $what, which cloudtik did not make" ;;
    esac
  done
  [ "$found" -ge "$count" ]
}

waited=0
until survey; do
  if [ "$waited" -ge "$seconds" ]; then
    echo "only $found of $count data disks are there after $seconds s$others" >&2
    exit 3
  fi
  echo "~ waiting for $count data disks: $found are there"
  sleep 1
  waited=$((waited + 1))
done

# line UUID: the mount point that fstab gives a file system.
line() {
  [ -f "$fstab" ] || return 0
  while read -r what where _; do
    if [ "$what" = "UUID=$1" ]; then printf '%s\n' "$where"; return 0; fi
  done <"$fstab"
}

# present UUID: whether a disk that is there has it.
present() {
  for other in $(devices); do
    if [ "$(blkid -p -o value -s UUID "$other" || true)" = "$1" ]; then return 0; fi
  done
  return 1
}

# next: the first place that no mounted disk has and that fstab keeps for none that is there.
next() {
  number=1
  while [ "$number" -le "$count" ]; do
    place=$under/data_disk_$number
    kept=$(sed -n "s|^UUID=\([^[:space:]]*\)[[:space:]]*$place[[:space:]].*|\1|p" "$fstab" 2>/dev/null | head -n 1)
    if ! taken "$place" && { [ -z "$kept" ] || ! present "$kept"; }; then printf '%s\n' "$place"; return 0; fi
    number=$((number + 1))
  done
  return 1
}

# keep UUID PLACE TYPE: writes the line, in the place of an earlier one for the same mount point.
keep() {
  { grep -v "[[:space:]]$2[[:space:]]" "$fstab" 2>/dev/null || true
    printf 'UUID=%s %s %s defaults,nofail 0 2\n' "$1" "$2" "$3"; } >"$fstab.cloudtik-new"
  chmod 644 "$fstab.cloudtik-new"
  mv "$fstab.cloudtik-new" "$fstab"
}

# attach DEVICE: mounts a disk that is ours, at the place that is kept for it or at the next one.
attach() {
  uuid=$(blkid -p -o value -s UUID "$1")
  type=$(blkid -p -o value -s TYPE "$1")
  place=$(line "$uuid")
  if [ -z "$place" ]; then
    place=$(next) || return 0
    keep "$uuid" "$place" "$type"
  fi
  mkdir -p "$place"
  if ! taken "$place"; then mount -t "$type" "$1" "$place"; fi
  chown "$owner" "$place"
}

for device in $ours; do attach "$device"; done
for device in $blank; do
  if ! next >/dev/null; then break; fi
  echo "~ formatting $device"
  # Without a flag that forces them, both refuse what is not blank.
  if command -v mkfs.ext4 >/dev/null; then
    mkfs.ext4 -q -m 0 -L "$label" "$device" </dev/null
  else
    mkfs.xfs -q -L "$label" "$device" </dev/null
  fi
  attach "$device"
done

mounts='' number=1
while [ "$number" -le "$count" ]; do
  place=$under/data_disk_$number
  taken "$place" || { echo "nothing is mounted at $place$others" >&2; exit 3; }
  mounts="$mounts $place"
  number=$((number + 1))
done
echo "= mounts$mounts"
