#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verify: a sound archive is called so, a flipped byte is found and named, differences to the source are told.
. "${srcdir:-.}/tests/lib.sh"
requires "$PYTHON"

cd "$work"
mkdir -p src/sub
cp "$TINY"/*.json "$TINY/model.safetensors" src/
cp "$TINY/config.json" src/sub/
ln -s ../config.json src/sub/link.json
"$HYC" pack src -o a.hyc >/dev/null

"$HYC" verify a.hyc >out || fail "a sound archive: status $?"
grep -q '^a.hyc: ok, .* checked$' out || fail "verify: $(cat out)"
"$HYC" verify --deep --source=src a.hyc -j 2 >out 2>err || fail "deep, with source: $(cat err)"
grep -q '^a.hyc: ok, .* checked and decoded, 7 files the same as the source$' out || fail "verify --deep --source: $(cat out)"
[ ! -s err ] || fail "a sound archive: $(cat err)"

# json FILE EXPRESSION: a Python expression over v, the object in FILE.
json() {
	"$PYTHON" -c 'import json, sys; v = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' "$1" "$2" || fail "not $2: $(cat "$1")"
}
"$HYC" verify --json a.hyc >out
json out "list(v) == ['archive', 'ok', 'deep', 'lossy', 'damaged', 'different', 'messages', 'notes']"
json out "v['archive'] == 'a.hyc' and v['ok'] is True and v['deep'] is False and v['lossy'] is False"
json out "v['damaged'] == 0 and v['different'] is None and v['messages'] == [] and v['notes'] == []"

# A flipped byte in each of: the first block, the last one, the index, the superblock.
size=$(stat -c %s a.hyc)
index=$("$PYTHON" -c 'import struct; print(struct.unpack("<Q", open("a.hyc", "rb").read(48)[40:])[0])')
flip() {
	"$PYTHON" -c 'import sys
b = bytearray(open("a.hyc", "rb").read()); b[int(sys.argv[1])] ^= int(sys.argv[2]); open("bad.hyc", "wb").write(b)' "$1" "$2"
}
for at in 128 $((index / 2)) $((index - 1)) "$index" $((size - 1)) 0 9 60 127; do
	flip "$at" 4
	for deep in '' --deep; do
		status=0
		# shellcheck disable=SC2086
		"$HYC" verify $deep bad.hyc >out 2>err || status=$?
		[ $status = 1 ] || fail "a flip at $at is not found, status $status"
		grep -q '^hyc: bad.hyc: ' err || fail "a flip at $at: no message: $(cat err)"
	done
	status=0
	"$HYC" verify --json bad.hyc >out 2>err || status=$?
	[ $status = 1 ] || fail "a flip at $at is not found with --json, status $status"
	case $at in
	0 | 9) ;; # no archive of this version: an error, not a finding
	*) json out "v['ok'] is False and v['damaged'] >= 1 and len(v['messages']) >= 1 and v['messages'][0]" ;;
	esac
done
# The first block belongs to a file, which is named.
flip 128 1
"$HYC" verify bad.hyc >out 2>err || :
grep -q -E 'model.safetensors|\.json' err || fail "the damaged file is not named: $(cat err)"
grep -q '^bad.hyc: DAMAGED, 1 finding$' out || fail "the verdict: $(cat out)"
"$HYC" verify --deep bad.hyc >out 2>err || :
grep -q '^bad.hyc: DAMAGED, ' out || fail "the verdict: $(cat out)"
head -c $((size / 2)) a.hyc >short.hyc
expect_fail 1 "short.hyc: " "$HYC" verify short.hyc
expect_fail 1 "none.hyc: " "$HYC" verify --json none.hyc

# Differences to the source.
differs() {
	local fragment=$1 status=0
	"$HYC" verify --source=other a.hyc >out 2>err || status=$?
	[ $status = 1 ] || fail "$fragment: status $status"
	[ "$(wc -l <err)" = 1 ] && grep -q -F "hyc: a.hyc: $fragment" err || fail "wanted '$fragment', got: $(cat err)"
	grep -q '^a.hyc: sound, but not the same as other: 1 difference$' out || fail "$fragment: the verdict: $(cat out)"
	status=0
	"$HYC" verify --json --source=other a.hyc >out || status=$?
	[ $status = 1 ] || fail "$fragment: status $status with --json"
	json out "v['ok'] is False and v['damaged'] == 0 and v['different'] == 1 and len(v['messages']) == 1"
	rm -rf other
	cp -a src other
}
cp -a src other
printf X | dd of=other/model.safetensors bs=1 seek=700000 conv=notrunc 2>/dev/null
touch -r src/model.safetensors other/model.safetensors
differs "model.safetensors: differs from the source from byte 700000 on"
echo >>other/tokenizer.json
touch -r src/tokenizer.json other/tokenizer.json
differs "tokenizer.json: has $(stat -c %s src/tokenizer.json) bytes, in the source $(($(stat -c %s src/tokenizer.json) + 1))"
rm other/generation_config.json
touch -r src other
differs "generation_config.json: not in the source"
echo >other/sub/extra
touch -r src/sub other/sub
differs "sub/extra: is in the source only"
mkdir -p other/new/dir
echo >other/new/dir/file
differs "new: is in the source only"
rm other/sub/config.json
mkdir other/sub/config.json
touch -r src/sub other/sub
differs "sub/config.json: is a file, in the source a directory"

# Modes and mtimes are told, but are no damage; the archive may lie in its source.
chmod 0600 other/config.json
touch -d '2001-01-01 UTC' other/model.safetensors
"$HYC" verify --source=other a.hyc >out 2>err || fail "modes and mtimes count as differences"
grep -q -F 'hyc: a.hyc: config.json: mode is' err || fail "the mode is not told: $(cat err)"
grep -q -F 'hyc: a.hyc: model.safetensors: mtime differs' err || fail "the mtime is not told: $(cat err)"
"$HYC" verify --json --source=other a.hyc >out
json out "v['ok'] is True and v['different'] == 0 and len(v['notes']) >= 2"
cp a.hyc src/sub/a.hyc
"$HYC" verify --source=src src/sub/a.hyc >out 2>err || fail "the archive is taken for a part of its source: $(cat err)"
expect_fail 1 "nowhere: No such file or directory" "$HYC" verify --source=nowhere a.hyc
expect_fail 1 "a.hyc: Not a directory" "$HYC" verify --source=a.hyc a.hyc
