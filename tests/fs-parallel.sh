#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sixteen processes read everything at once, by read and by mmap, with one thread, some, and more than there are readers.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse

# read_all SRC OPTIONS
read_all() {
	local pids=() i pid
	"$HYC" pack -o "$work/a.hyc" "$1" >/dev/null
	mount_hyc "$work/a.hyc" "$work/mnt" -o "$2"
	for i in $(seq 16); do
		"$PYTHON" - "$1" "$work/mnt" "$SEED$i" <<'PY' &
import mmap, os, random, sys
source, mounted, seed = sys.argv[1:]
names = sorted(os.listdir(source))
random.Random(int(seed)).shuffle(names)
for i, name in enumerate(names):
    with open(f"{source}/{name}", "rb") as a, open(f"{mounted}/{name}", "rb") as b:
        want = a.read()
        got = mmap.mmap(b.fileno(), 0, prot=mmap.PROT_READ)[:] if (int(seed) + i) % 2 else b.read()
    if got != want:
        sys.exit(f"{name} differs")
PY
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "-o $2: a reader got other bytes"
	done
	"$PYTHON" - "$work/mnt/.hycfs/stats.json" <<'PY' || fail "-o $2: $(cat "$work/mnt/.hycfs/stats.json")"
import json, sys, time
# What was begun ahead of the readers may outlast them a little.
for _ in range(600):
    s = json.load(open(sys.argv[1]))
    assert s["cache_bytes"] <= s["cache_limit"] and s["errors"] == 0
    if s["in_flight"] == 0:
        sys.exit()
    time.sleep(0.1)
sys.exit("blocks are still being decoded")
PY
	umount_hyc "$work/mnt"
}

read_all "$TINY" cache=64M,threads=1
read_all "$TINY" threads=256
if [ -n "$SHARED" ] && [ -d "$SHARED/small" ]; then
	read_all "$SHARED/small" cache=64M
fi
