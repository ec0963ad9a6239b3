#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bytes at random places are the source's, whichever way they are read: pread, mmap, O_DIRECT, several threads, caches full or dropped.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse

"$HYC" pack -o "$work/a.hyc" "$TINY" >/dev/null
mount_hyc "$work/a.hyc" "$work/mnt" -o cache=64M,threads=4
"$PYTHON" - "$TINY/model.safetensors" "$work/mnt/model.safetensors" "$SEED" <<'PY' || fail "random reads differ"
import mmap, os, random, sys, threading
source, mounted, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
want = open(source, "rb").read()
size = len(want)
wrong = []

def lengths(rng):
    return rng.choice((1, rng.randrange(1, 64), rng.randrange(1, 8192), rng.randrange(1, 1 << 20), size))

def check(how, off, got, n):
    if got != want[off:off + n]:
        wrong.append(f"{how}: {n} bytes at {off}")

def preads(number):
    rng = random.Random(seed + number)
    fd = os.open(mounted, os.O_RDONLY)
    for _ in range(400):
        if rng.random() < 0.2:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        off, n = rng.randrange(size + 100), lengths(rng)
        check("pread", off, os.pread(fd, n, off), n)
    os.close(fd)

def mapped(number):
    rng = random.Random(seed + number)
    fd = os.open(mounted, os.O_RDONLY)
    with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as m:
        m.madvise(rng.choice((mmap.MADV_RANDOM, mmap.MADV_SEQUENTIAL, mmap.MADV_NORMAL)))
        for _ in range(300):
            off, n = rng.randrange(size), lengths(rng)
            check("mmap", off, m[off:off + n], n)
    os.close(fd)

def direct(number):
    rng = random.Random(seed + number)
    fd = os.open(mounted, os.O_RDONLY | os.O_DIRECT)
    buf = mmap.mmap(-1, 4 << 20)
    for _ in range(200):
        off = rng.randrange(size // 4096 + 1) * 4096
        n = rng.randrange(1, 700) * 4096
        got = os.preadv(fd, [memoryview(buf)[:n]], off)
        if got != max(0, min(n, size - off)):
            wrong.append(f"O_DIRECT: {got} bytes at {off}, asked for {n}")
        check("O_DIRECT", off, buf[:got], got)
    os.close(fd)

threads = [threading.Thread(target=f, args=(i,)) for i, f in enumerate((preads, preads, mapped, mapped, direct, direct))]
for t in threads:
    t.start()
for t in threads:
    t.join()
sys.exit(f"SEED={seed}: " + "; ".join(wrong[:5]) if wrong else 0)
PY
umount_hyc "$work/mnt"
