#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Packed from safetensors, mounted with view=bin: torch takes the files in every way it has, and so do transformers and unzip.
. "${srcdir:-.}/tests/lib.sh"
[ -z "${HYC_SKIP_SLOW:-}" ] || skip "slow, and done by make check"
requires_fuse
requires unzip getfattr
"$PYTHON" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "safetensors", "transformers"))))' 2>/dev/null ||
	skip "needs torch, safetensors and transformers for $PYTHON"
export HF_HUB_OFFLINE=1
check() {
	timeout 300 "$PYTHON" "$srcdir/tests/view_check.py" "$@" 2>"$work/.check" || fail "view_check.py $*: $(tail -n 12 "$work/.check")"
}
blocks_decoded() {
	"$PYTHON" -c 'import json, sys; print(sum(n for c in json.load(open(sys.argv[1]))["blocks_decoded"].values() for n in c.values()))' \
		"$1/.hycfs/stats.json"
}

mkdir "$work/dtypes"
check dtypes "$work/dtypes"
try() {
	local model=$1 codec=$2 name file
	name=$(basename "$model")-$codec
	"$HYC" pack --codec=$codec -o "$work/$name.hyc" "$model" 2>/dev/null
	mount_hyc "$work/$name.hyc" "$work/$name" -o view=bin
	mount_hyc "$work/$name.hyc" "$work/$name-original"

	# To list, to look at and to open it all takes no decoding.
	ls -lR "$work/$name" >"$work/ls"
	for file in "$work/$name"/*.bin; do
		: <"$file"
		getfattr -d -m - "$file" >"$work/xattrs" 2>/dev/null
		grep -q user.hyc.bpw "$work/xattrs" || fail "$file: $(cat "$work/xattrs")"
		! grep -q user.hyc.xxh3 "$work/xattrs" || fail "$file: a hash that cannot be known: $(cat "$work/xattrs")"
	done
	[ "$(blocks_decoded "$work/$name")" = 0 ] || fail "$name: stat, open and xattrs decoded $(blocks_decoded "$work/$name") blocks"
	! grep -q safetensors "$work/ls" || fail "$name: weights of the other kind are not hidden: $(cat "$work/ls")"
	for file in "$work/$name"/*.bin; do
		unzip -tqq "$file" || fail "unzip -t $file"
		check zip "$file"
	done
	[ "$(blocks_decoded "$work/$name")" != 0 ] || fail "$name: the counter of decoded blocks counts nothing"

	check tensors "$work/$name-original" "$work/$name"
	[ -e "$model/model.safetensors" ] || check weight-map "$work/$name" pytorch_model.bin.index.json
	[ ! -e "$model/config.json" ] || check model "$work/$name-original" "$work/$name"

	# The same bytes by every other way out.
	"$HYC" unpack --view=bin "$work/$name.hyc" -C "$work/unpacked"
	diff -r "$work/$name" "$work/unpacked" || fail "$name: unpack --view=bin differs from the mount"
	file=$(cd "$work/unpacked" && ls ./*.bin | head -n 1)
	"$HYC" cat --view=bin "$work/$name.hyc" "${file#./}" | cmp - "$work/$name/$file" || fail "$name: cat --view=bin differs"
	[ "$(stat -c %y%a "$work/unpacked/$file")" = "$(stat -c %y%a "$work/$name/$file")" ] || fail "$name: mode or mtime of $file"
	"$HYC" ls --view=bin --json "$work/$name.hyc" >"$work/ls.json"
	"$PYTHON" - "$work/ls.json" "$work/$name" <<'PY' || fail "$name: see above"
import json, os, sys
for f in json.load(open(sys.argv[1])):
    assert os.stat(os.path.join(sys.argv[2], f["path"])).st_size == f["size"], f
    assert (f["xxh3"] is None) == ("pytorch_model" in f["path"]), f
PY
	"$HYC" ls --view=bin --tensors "$work/$name.hyc" >"$work/bin.txt"
	"$HYC" ls --tensors "$work/$name.hyc" >"$work/original.txt"
	diff <(grep bpw "$work/bin.txt" | sort) <(grep bpw "$work/original.txt" | sort) || fail "$name: ls --tensors differs"

	umount_hyc "$work/$name"
	umount_hyc "$work/$name-original"
	rm -rf "$work/unpacked"
}
try "$TINY" lossless
try "$TINY" tcq
try "$work/dtypes" lossless
[ -z "$SHARED" ] || try "$SHARED/small" lossless

# Both: what is there stays what it is, bit by bit.
mount_hyc "$work/tiny-lossless.hyc" "$work/both" -o view=both
for file in "$TINY"/*; do
	cmp "$file" "$work/both/${file##*/}" || fail "view=both: ${file##*/} is not itself any more"
done
check tensors "$TINY" "$work/both"
mount_hyc "$work/tiny-lossless.hyc" "$work/same" -o view=safetensors
diff -r "$TINY" "$work/same" || fail "view=safetensors of safetensors is not itself"
"$HYC" verify --deep "$work/tiny-lossless.hyc" >/dev/null
