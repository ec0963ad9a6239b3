#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 16 processes of 4 threads fault at random through mappings, with the smallest cache: no hang, right bytes, and the
# cache keeps its limit all the time. SECONDS_LONG=600 makes the long run.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse
SECONDS_LONG=${SECONDS_LONG:-3}

"$PYTHON" - "$work/source" "$SEED" <<'PY'
import random, sys
rng = random.Random(int(sys.argv[2]))
with open(sys.argv[1], "wb") as f:
    for _ in range(90):
        f.write(rng.randbytes(1 << 19) + bytes(1 << 19))
PY
"$HYC" pack -o "$work/a.hyc" "$work/source" >/dev/null
mount_hyc "$work/a.hyc" "$work/mnt" -o cache=64M
"$builddir/stress-mmap" "$work/mnt/source" "$work/source" 16 4 "$SECONDS_LONG" "$((SEED % 1000000))" >"$work/out" &
stress=$!
samples=0
while kill -0 $stress 2>/dev/null; do
	"$PYTHON" -c 'import json, sys
s = json.load(open(sys.argv[1]))
sys.exit(f"{s}" if s["cache_bytes"] > s["cache_limit"] or s["cache_limit"] != 64 << 20 else 0)' "$work/mnt/.hycfs/stats.json" ||
		fail "the cache is larger than its limit"
	samples=$((samples + 1))
done
wait $stress || fail "stress-mmap ended with status $?: $(cat "$work/out")"
[ $samples -gt 0 ] && [ "$(grep -c places "$work/out")" = 16 ] || fail "$samples samples; $(cat "$work/out")"
grep -q '"errors": 0' "$work/mnt/.hycfs/stats.json" || fail "$(cat "$work/mnt/.hycfs/stats.json")"
umount_hyc "$work/mnt"
