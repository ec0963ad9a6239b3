#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is packed and what is left out: single files, names the format forbids, things that are no files, the archive itself.
. "${srcdir:-.}/tests/lib.sh"
requires mkfifo

listed() {
	"$HYC" ls "$1" --json | "$PYTHON" -c 'import json, sys; print(*sorted(f["path"] for f in json.load(sys.stdin)))'
}

# single files: the root holds them, is 0755, and as new as the newest
mkdir -p "$work/one" "$work/two"
echo a >"$work/one/a.txt"
echo b >"$work/two/b.txt"
touch -d '2001-02-03 04:05:06.789123456 UTC' "$work/one/a.txt"
touch -d '2001-02-03 04:05:06.789123457 UTC' "$work/two/b.txt"
chmod 0640 "$work/one/a.txt"
chmod 4711 "$work/two/b.txt"
"$HYC" pack -o "$work/files.hyc" "$work/one/a.txt" "$work/two/b.txt"
"$HYC" unpack -C "$work/out" "$work/files.hyc"
[ "$(ls -A "$work/out" | tr '\n' ' ')" = 'a.txt b.txt ' ] || fail "unpacked: $(ls -A "$work/out")"
[ "$(stat -c '%a %.9Y' "$work/out")" = '755 981173106.789123457' ] || fail "root: $(stat -c '%a %.9Y' "$work/out")"
[ "$(stat -c '%a %.9Y' "$work/out/a.txt")" = '640 981173106.789123456' ] || fail "$(stat -c '%a %.9Y' "$work/out/a.txt")"
cp "$work/one/a.txt" "$work/two/a.txt"
expect_fail 1 'another source has the same name' "$HYC" pack -o "$work/x.hyc" "$work/one/a.txt" "$work/two/a.txt"
expect_fail 1 'is a directory; pack one directory, or one or more files' "$HYC" pack -o "$work/x.hyc" "$work/one" "$work/two"
expect_fail 1 'No such file' "$HYC" pack -o "$work/x.hyc" "$work/none"
expect_fail 1 'No such file' "$HYC" pack -o "$work/x.hyc" "$work/one/a.txt" "$work/none"
expect_fail 1 'neither a file nor a directory' "$HYC" pack -o "$work/x.hyc" /dev/null

# the default name
(cd "$work" && "$HYC" pack one/)
[ -f "$work/one.hyc" ] || fail "no one.hyc beside one/"

# no bytes, no files, many levels, names in any bytes
mkdir -p "$work/empty"
"$HYC" pack -o "$work/empty.hyc" "$work/empty"
[ "$("$HYC" info --json "$work/empty.hyc" | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["bytes"])')" = 0 ]
deep=$work/deep$(printf '/d%.0s' $(seq 63))
mkdir -p "$deep" "$work/deep/-" "$work/deep/a-b" "$work/deep/a/b"
: >"$deep/file"
: >"$work/deep/a/b/.hycfs"
: >"$work/deep/$(printf 'bytes \xff\xfe \\ " \t')"
: >"$work/deep/$(printf 'n%.0s' $(seq 255))"
"$HYC" pack -o "$work/deep.hyc" "$work/deep"
"$HYC" unpack -C "$work/deep.out" "$work/deep.hyc"
diff -r "$work/deep" "$work/deep.out"
mkdir "$deep/d"
: >"$deep/d/file"
expect_fail 1 'more than 64 directories deep' "$HYC" pack -o "$work/x.hyc" "$work/deep"
mkdir "$work/reserved"
: >"$work/reserved/.hycfs"
expect_fail 1 'reserved' "$HYC" pack -o "$work/x.hyc" "$work/reserved"
expect_fail 1 'reserved' "$HYC" pack -o "$work/x.hyc" "$work/reserved/.hycfs"

# what is no file is left out, with a word
mkdir "$work/odd"
echo x >"$work/odd/file"
mkfifo "$work/odd/fifo"
"$HYC" pack -o "$work/odd.hyc" "$work/odd" 2>"$work/notes"
grep -q 'odd/fifo: left out' "$work/notes" || fail "no note about the fifo: $(cat "$work/notes")"
[ "$(listed "$work/odd.hyc" | xargs)" = 'file' ] || fail "listed: $(listed "$work/odd.hyc")"

# an archive in its own source is left out, and so is what a killed run left there; another file is not overwritten
"$HYC" pack -o "$work/odd/self.hyc" "$work/one"
: >"$work/odd/.hyc-abcdef"
"$HYC" pack -o "$work/odd/self.hyc" "$work/odd" 2>"$work/notes"
grep -q 'self.hyc: left out' "$work/notes" || fail "no note about the archive: $(cat "$work/notes")"
grep -q '.hyc-abcdef: left out' "$work/notes" || fail "no note about the temporary: $(cat "$work/notes")"
[ "$(listed "$work/odd/self.hyc" | xargs)" = 'file' ] || fail "listed: $(listed "$work/odd/self.hyc")"
expect_fail 1 'to be packed and to be replaced' "$HYC" pack -o "$work/one/a.txt" "$work/one"
expect_fail 1 'to be packed and to be replaced' "$HYC" pack -o "$work/one/a.txt" "$work/one/a.txt"
[ "$(cat "$work/one/a.txt")" = a ] || fail "the source was overwritten"

# who may not read it, may not pack it
if [ "$(id -u)" != 0 ]; then
	chmod 0 "$work/one/a.txt"
	expect_fail 1 'Permission denied' "$HYC" pack -o "$work/x.hyc" "$work/one"
fi
[ ! -e "$work/x.hyc" ] || fail "a failed run left an archive"
