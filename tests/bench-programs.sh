#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmarks' own programs: the bare FUSE server serves the bytes of its file, and the reader reads all of them in each way and knows wrong
# ones; the peers decode what they coded; the scripts explain themselves.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse

file=$TINY/model.safetensors
size=$(stat -c %s "$file")
reader=$builddir/bench/reader
hash=$("$reader" -k -H none "$file" 2>&1 >/dev/null | sed -n 's/.* is \([0-9a-f]*\), not none$/\1/p')
[ ${#hash} = 32 ] || fail "the reader did not name the hash"

mkdir "$work/mnt"
"$builddir/bench/bare-fuse" "$file" "$work/mnt" &
pid=$!
at_exit hyc__unmount "$work/mnt"
wait_mounted "$work/mnt" $pid
cmp "$file" "$work/mnt/file" || fail "the bare server gives other bytes"

for options in "-t 1" "-t 3 -m mmap" "-t 4 -m read -b 100000" "-t 2 -p" "-t 2 -m memory"; do
	# shellcheck disable=SC2086
	"$reader" $options -H "$hash" "$work/mnt/file" >"$work/out" || fail "$options: failed"
	grep -q "^{\"bytes\": $size, .*}$" "$work/out" || fail "$options: $(cat "$work/out")"
done
"$reader" -t 2 -m direct "$work/mnt/file" | grep -q "\"bytes\": $((size / 4096 * 4096))," || fail "O_DIRECT does not read all whole pages"
"$reader" -t 2 -m direct -r 500 -b 4096 -w -H "$hash" "$work/mnt/file" >"$work/out" || fail "random O_DIRECT reads failed"
grep -q '"bytes": 2048000,.*"ops_per_s": .*"p50_us": ' "$work/out" || fail "$(cat "$work/out")"
"$reader" -r 10 -b 4096 -s 65536 "$work/mnt/file" >/dev/null || fail "random reads failed"
! "$reader" -H "${hash/[0-9a-f]/x}" "$work/mnt/file" >/dev/null 2>"$work/err" || fail "wrong bytes went unnoticed"
grep -q 'wrong bytes' "$work/err" || fail "$(cat "$work/err")"
! "$reader" -t 0 "$file" 2>/dev/null || fail "no threads are threads"
! "$reader" "$work/nothing" 2>/dev/null || fail "nothing can be read"

"$builddir/bench/decode-peers" -n 1 "$file" >"$work/out" || fail "decode-peers failed"
grep -q "^{\"bytes\": $size, \"zstd_bytes\": .*\"zstd_shuffled_gbps\": \[[0-9.]*\]}$" "$work/out" || fail "$(cat "$work/out")"

"$PYTHON" -c 'import numpy' 2>/dev/null || exit 0
for bench in mount decode slowdisk; do
	"$PYTHON" "$srcdir/bench/$bench" --help | grep -q -e --markdown || fail "bench/$bench does not explain itself"
done
"$PYTHON" "$srcdir/bench/weights.py" "$work/model" 60000000 >/dev/null || fail "no weights were made"
"$PYTHON" - "$work/model" <<'PY' || fail "the weights are not a checkpoint"
import json, os, struct, sys
folder = sys.argv[1]
index = json.load(open(os.path.join(folder, "model.safetensors.index.json")))
assert index["metadata"]["total_size"] >= 60000000
for name in set(index["weight_map"].values()):
    with open(os.path.join(folder, name), "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        end = file.tell() + max(t["data_offsets"][1] for key, t in header.items() if key != "__metadata__")
        assert os.fstat(file.fileno()).st_size == end
PY
# Repetition would make an archive smaller than real weights make it.
"$HYC" pack -o "$work/model.hyc" "$work/model" >/dev/null
stored=$(stat -c %s "$work/model.hyc")
[ $((stored * 100)) -gt $((60000000 * 62)) ] || fail "the weights compress to $stored bytes, which no real ones do"
