#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Symbolic links are followed: a snapshot of a Hugging Face cache is a directory of links into a store of blobs. Loops are refused.
. "${srcdir:-.}/tests/lib.sh"

# hub/models--x/{blobs/HASH,snapshots/REV/NAME -> ../../blobs/HASH}
model=$work/hub/models--org--name
rev=$model/snapshots/0123456789abcdef
mkdir -p "$model/blobs" "$rev/onnx" "$model/refs"
i=0
for file in "$TINY"/*; do
	i=$((i + 1))
	cp "$file" "$model/blobs/blob$i"
	ln -s "../../blobs/blob$i" "$rev/$(basename "$file")"
done
ln -s ../../../blobs/blob1 "$rev/onnx/again.json"
chmod 0440 "$model/blobs/blob1"
touch -d '2020-02-02 02:02:02.123456789 UTC' "$model/blobs/blob1"

"$HYC" pack -o "$work/snapshot.hyc" "$rev"
"$HYC" unpack -C "$work/out" "$work/snapshot.hyc"
diff -r "$rev" "$work/out"
[ -z "$(find "$work/out" -type l)" ] || fail "links were unpacked"
[ "$(stat -c '%a %.9Y' "$work/out/onnx/again.json")" = '440 1580608922.123456789' ] || fail "mode or mtime is not the blob's"
"$HYC" verify --deep --source="$rev" "$work/snapshot.hyc"

# through a link to the snapshot, and a file by its link: the link's name counts
ln -s "$rev" "$work/link"
"$HYC" pack -o "$work/link.hyc" "$work/link"
cmp "$work/link.hyc" "$work/snapshot.hyc" || fail "a link to the directory gives another archive"
"$HYC" pack -o "$work/file.hyc" "$rev/config.json"
cmp <("$HYC" cat "$work/file.hyc" config.json) "$TINY/config.json"

# the same directory by two ways is no loop
mkdir -p "$work/twice/a"
echo x >"$work/twice/a/file"
ln -s a "$work/twice/b"
"$HYC" pack -o "$work/twice.hyc" "$work/twice"
[ "$("$HYC" cat "$work/twice.hyc" b/file)" = x ]

# loops and dead ends
mkdir -p "$work/loop/a/b"
for target in . .. ../.. ../../a "$work/loop"; do
	ln -s "$target" "$work/loop/a/b/up"
	expect_fail 1 'leads back to a directory above it' "$HYC" pack -o "$work/x.hyc" "$work/loop"
	rm "$work/loop/a/b/up"
done
ln -s self "$work/loop/self"
expect_fail 1 'Too many levels of symbolic links' "$HYC" pack -o "$work/x.hyc" "$work/loop"
rm "$work/loop/self"
ln -s ../blobs/gone "$work/loop/gone"
expect_fail 1 'loop/gone: this symbolic link leads nowhere' "$HYC" pack -o "$work/x.hyc" "$work/loop"
[ ! -e "$work/x.hyc" ] || fail "a failed run left an archive"
