#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is decoded ahead of readers, by the mount's own statistics: of a reader in order most, of one tensor no other one, of random reads
# nothing; prefetch=off and prefetch=all; and all of it gives the right bytes.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse

# Four tensors of 8 MiB, so 16 blocks each, and the first byte of each in the file.
"$PYTHON" - "$work/model.safetensors" "$SEED" >"$work/offsets" <<'PY'
import json, random, struct, sys
rng = random.Random(int(sys.argv[2]))
n, size = 4, 8 << 20
header = {f"t{i}": {"dtype": "BF16", "shape": [4096, 1024], "data_offsets": [i * size, (i + 1) * size]} for i in range(n)}
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text)
    for i in range(n):
        f.write(b"".join(struct.pack("<H", 0x3c00 | rng.getrandbits(15) & 0x81ff) for _ in range(4096)) * (size // 8192))
        print(8 + len(text) + i * size)
PY
"$HYC" pack -o "$work/a.hyc" "$work/model.safetensors" >/dev/null
file=$work/mnt/model.safetensors

stat_of() {
	"$PYTHON" -c 'import json, sys
s = json.load(open(sys.argv[1] + "/.hycfs/stats.json"))
s["decoded"] = sum(n for by in s["blocks_decoded"].values() for n in by.values())
print(s[sys.argv[2]])' "$work/mnt" "$1"
}
mounted() {
	mount_hyc "$work/a.hyc" "$work/mnt" -o "$@"
}
# read_range OFFSET LENGTH STEP
read_range() {
	"$PYTHON" - "$file" "$work/model.safetensors" "$@" <<'PY'
import os, sys
mounted, source = (os.open(p, os.O_RDONLY) for p in sys.argv[1:3])
off, length, step = map(int, sys.argv[3:])
end = off + length
while off < end:
    n = min(step, end - off)
    if os.pread(mounted, n, off) != os.pread(source, n, off):
        sys.exit(f"wrong bytes at {off}")
    off += n
PY
}
total=65 # with the header's

# On a busy machine readers may be faster than threads that decode ahead get a processor: that much is tried some times.
for try in 1 2 3 4 5; do
	mounted prefetch=auto
	read_range 0 "$(stat -c %s "$file")" 131072 || fail "in order: wrong bytes"
	[ "$(stat_of decoded)" = $total ] || fail "in order: $(stat_of decoded) of $total blocks decoded"
	[ "$(stat_of prefetch_used)" = "$(stat_of prefetched)" ] || fail "in order: $(stat_of prefetch_used) of $(stat_of prefetched) used"
	[ "$(stat_of prefetch_wasted)" = 0 ] || fail "in order: $(stat_of prefetch_wasted) blocks decoded in vain"
	[ "$(stat_of prefetched)" -lt 16 ] || break
	[ $try -lt 5 ] || fail "in order: $(stat_of prefetched) of $total blocks decoded ahead"
	umount_hyc "$work/mnt"
done
# The same once more, when the kernel has forgotten it: what has left the cache meanwhile is decoded ahead again.
before=$(stat_of prefetched)
for try in 1 2 3 4 5; do
	"$PYTHON" -c 'import os, sys
os.posix_fadvise(os.open(sys.argv[1], os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)' "$file"
	read_range 0 "$(stat -c %s "$file")" 131072 || fail "in order, again: wrong bytes"
	[ "$(stat_of prefetched)" -le "$before" ] && [ "$(stat_of evictions)" != 0 ] || break
	[ $try -lt 5 ] || fail "in order, again: nothing decoded ahead"
done
umount_hyc "$work/mnt"

mounted prefetch=off
read_range 0 "$(stat -c %s "$file")" 131072 || fail "prefetch=off: wrong bytes"
[ "$(stat_of prefetched)" = 0 ] && [ "$(stat_of decoded)" = $total ] || fail "prefetch=off: $(stat_of prefetched) blocks ahead"
umount_hyc "$work/mnt"

# Tensors out of order: each is decoded ahead, and none of the two that nobody reads, but for where the kernel reads on.
for try in 1 2 3 4 5; do
	mounted prefetch=auto
	for i in 3 1; do
		read_range "$(sed -n "${i}p" "$work/offsets")" 8388608 131072 || fail "tensor $i: wrong bytes"
	done
	[ "$(stat_of decoded)" -le 38 ] || fail "two tensors of 16 blocks: $(stat_of decoded) blocks decoded"
	[ "$(stat_of prefetched)" -lt 4 ] || break
	[ $try -lt 5 ] || fail "two tensors: $(stat_of prefetched) blocks decoded ahead"
	umount_hyc "$work/mnt"
done
umount_hyc "$work/mnt"

# Random small reads, no two of them neighbours: the blocks they need (two where one spans a border), and nothing else.
mounted prefetch=auto
"$PYTHON" - "$file" "$work/model.safetensors" "$SEED" "$work/offsets" >"$work/needed" <<'PY'
import mmap, os, random, sys
rng = random.Random(int(sys.argv[3]))
starts = [int(line) for line in open(sys.argv[4])]
want = open(sys.argv[2], "rb").read()
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
buf = mmap.mmap(-1, 4096)
blocks = set()
for page in rng.sample(range(0, len(want) // 4096, 2), 40):
    off = page * 4096
    n = os.preadv(fd, [buf], off)
    assert buf[:n] == want[off:off + n], off
    for at in (off, off + n - 1):
        blocks.add((at - starts[0]) // (512 << 10) if at >= starts[0] else -1)
print(len(blocks))
PY
[ "$(stat_of prefetched)" = 0 ] || fail "SEED=$SEED: random reads: $(stat_of prefetched) blocks decoded ahead"
[ "$(stat_of decoded)" -le "$(($(cat "$work/needed") + 1))" ] || fail "SEED=$SEED: random reads of $(cat "$work/needed") blocks decoded $(stat_of decoded)"
umount_hyc "$work/mnt"

# All of it, before anybody asks.
mounted prefetch=all
for ((i = 0; i < 600; i++)); do
	[ "$(stat_of prefetched)" -lt $total ] || break
done
[ "$(stat_of prefetched)" = $total ] || fail "prefetch=all: $(stat_of prefetched) of $total blocks"
read_range 0 "$(stat -c %s "$file")" 1000000 || fail "prefetch=all: wrong bytes"
[ "$(stat_of misses)" = 0 ] || fail "prefetch=all: $(stat_of misses) misses"
umount_hyc "$work/mnt"

if [ "$(id -u)" = 0 ] && [ -w /sys/class/bdi ]; then
	mounted readahead_kb=1024
	read_range 0 "$(stat -c %s "$file")" 1000000 || fail "readahead_kb=1024: wrong bytes"
	device=$(awk -v mnt="$work/mnt" '$5 == mnt { print $3 }' /proc/self/mountinfo)
	[ "$(cat "/sys/class/bdi/$device/read_ahead_kb")" = 1024 ] || fail "readahead_kb=1024: $(cat "/sys/class/bdi/$device/read_ahead_kb")"
	umount_hyc "$work/mnt"
fi

# An archive that takes long to answer is read ahead of what is decoded: more reads are under way than threads there are to wait for them.
mkdir "$work/slow"
"$builddir/bench/bare-fuse" "$work/a.hyc" "$work/slow" 20000 >"$work/reads" &
server=$!
at_exit umount -q "$work/slow"
wait_mounted "$work/slow" $server
mount_hyc "$work/slow/file" "$work/mnt" -o threads=2
cmp "$work/model.safetensors" "$file" || fail "a slow archive gives other bytes"
umount_hyc "$work/mnt"
hyc__unmount "$work/slow"
wait $server || fail "bare-fuse failed"
most=$(sed -n 's/ reads at once$//p' "$work/reads")
[ "$most" -ge 12 ] || fail "of a slow archive only $most reads were under way at once"
