# … LABEL PUSHED SHA256: unpacks a tree that was sent as a tar file, once it is known to have arrived as it was sent.
label=$1 pushed=$2 sha256=$3
begin
mv "$pushed" "$work/tree.tar"
clean
if complete; then held; exit 0; fi
telling="checking what was sent of $label"
if ! matches "$work/tree.tar" "$sha256"; then failed "its SHA-256 is $sum on the node, $sha256 here"; exit 3; fi
telling="unpacking $label"
mkdir "$work/tree"
during '' tar -xof "$work/tree.tar" -C "$work/tree" || { failed "tar: $(why)"; exit 3; }
rm -f "$work/tree.tar"
publish "$work/tree" sent || exit 3
held
