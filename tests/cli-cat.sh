#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cat writes the bytes that dd cuts from the source, for offsets and lengths around every border; and it ends well when
# nobody reads on.
. "${srcdir:-.}/tests/lib.sh"
requires cmp dd

file=$TINY/model.safetensors
size=$(stat -c %s "$file")
"$HYC" pack "$TINY" -o "$work/a.hyc" >/dev/null

"$HYC" cat "$work/a.hyc" model.safetensors | cmp - "$file" || fail "the whole file differs"
"$HYC" cat "$work/a.hyc" config.json | cmp - "$TINY/config.json" || fail "config.json differs"

same() {
	"$HYC" cat "$work/a.hyc" model.safetensors --offset="$1" --length="$2" >"$work/have"
	dd if="$file" bs=64K iflag=skip_bytes,count_bytes skip="$1" count="$2" of="$work/want" 2>/dev/null
	cmp "$work/have" "$work/want" || fail "offset $1, length $2 differ"
}
for offset in 0 1 7 8 9 4095 4096 524287 524288 524289 $((size - 1)) "$size" $((size + 1)); do
	for length in 0 1 8 4096 524289 "$size"; do
		same "$offset" "$length"
	done
done
RANDOM=$((SEED % 32768))
for _ in $(seq 40); do
	same $(((RANDOM << 15 | RANDOM) % size)) $(((RANDOM << 15 | RANDOM) % (size / 3)))
done

# Suffixes are powers of 1024; options may stand behind; nothing beyond the end; to the end without a length.
"$HYC" cat --offset=1K "$work/a.hyc" --length=2k model.safetensors | cmp - <(tail -c +1025 "$file" | head -c 2048) || fail "1K, 2k"
"$HYC" cat "$work/a.hyc" model.safetensors --offset=1M | cmp - <(tail -c +1048577 "$file") || fail "1M to the end"
[ "$("$HYC" cat "$work/a.hyc" model.safetensors --offset=7T | wc -c)" = 0 ] || fail "there are bytes beyond the end"

expect_fail 1 "there is no file 'model' in it" "$HYC" cat "$work/a.hyc" model
mkdir -p "$work/src/dir"
: >"$work/src/dir/nothing"
"$HYC" pack "$work/src" -o "$work/b.hyc" >/dev/null
expect_fail 1 "'dir' is a directory" "$HYC" cat "$work/b.hyc" dir
[ "$("$HYC" cat "$work/b.hyc" dir/nothing | wc -c)" = 0 ] || fail "an empty file has bytes"

# Nobody reads on: ended by SIGPIPE as usual, or, where that is ignored, with one line.
set +o pipefail
status=$({ "$HYC" cat "$work/a.hyc" model.safetensors 2>"$work/err" || echo $? >"$work/status"; } | head -c 1 >/dev/null; cat "$work/status")
[ "$status" = 141 ] && [ ! -s "$work/err" ] || [ "$(cat "$work/err")" = "hyc: standard output: Broken pipe" ] ||
	fail "closed pipe: status $status, $(cat "$work/err")"
(trap '' PIPE; { "$HYC" cat "$work/a.hyc" model.safetensors 2>"$work/err" || echo $? >"$work/status"; } | head -c 1 >/dev/null)
[ "$(cat "$work/status")" = 1 ] && [ "$(cat "$work/err")" = "hyc: standard output: Broken pipe" ] ||
	fail "closed pipe, SIGPIPE ignored: status $(cat "$work/status"), $(cat "$work/err")"
