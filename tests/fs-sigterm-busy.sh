#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SIGTERM under load: a file that is being read is read to its end, readers that never stop get an error and never a wrong byte, the
# mount is out of the tree at once, and hycfs ends with status 0.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse

mkdir "$work/src"
"$PYTHON" -c 'import random, sys; sys.stdout.buffer.write(random.Random(int(sys.argv[1])).randbytes(32 << 20))' "$SEED" >"$work/src/data"
"$HYC" pack -o "$work/a.hyc" "$work/src" >/dev/null

# start_hycfs: in the foreground, so that its exit status can be had; sets $pid.
start_hycfs() {
	mkdir -p "$work/mnt"
	mkfifo "$work/ready"
	"$HYCFS" -f -o notify_fd=7,threads=4 "$work/a.hyc" "$work/mnt" 2>"$work/log" 7>"$work/ready" &
	pid=$!
	[ "$(cat "$work/ready")" = R ] || fail "hycfs did not start: $(cat "$work/log")"
	rm "$work/ready"
}
at_exit eval 'fusermount3 -uz "$work/mnt" 2>/dev/null'

# wait_gone: the mount is out of the tree within a second; the daemon ends with status 0 within $1 seconds.
wait_gone() {
	local tries=0 status=0
	while grep -q -F " $work/mnt " /proc/self/mountinfo; do
		[ $((tries += 1)) -le 50 ] || fail "still mounted a second after the signal"
		sleep 0.02
	done
	tries=0
	while kill -0 "$pid" 2>/dev/null && [ "$(cut -d ' ' -f 3 "/proc/$pid/stat" 2>/dev/null)" != Z ]; do
		[ $((tries += 1)) -le $(($1 * 50)) ] || fail "hycfs still runs $1 seconds after the signal"
		sleep 0.02
	done
	wait "$pid" || status=$?
	[ $status = 0 ] || fail "hycfs ended with status $status: $(cat "$work/log")"
	ls "$work/mnt" >/dev/null || fail "a stale mount is left"
}

# Idle: ends at once.
start_hycfs
kill -TERM "$pid"
wait_gone 2

# A file that is open, but not being read, holds nothing up for long.
start_hycfs
exec 6<"$work/mnt/data"
kill -INT "$pid"
wait_gone 4
exec 6<&-

# Read once by two readers: they get it all.
start_hycfs
exec 5<"$work/mnt/data" 6<"$work/mnt/data"
cmp "$work/src/data" - <&5 &
first=$!
sha256sum <&6 >"$work/sum" &
second=$!
exec 5<&- 6<&-
sleep 0.05
kill -TERM "$pid"
wait "$first" || fail "a running read did not finish: cmp said $?"
wait "$second" || fail "a running read did not finish"
[ "$(sha256sum <"$work/src/data")" = "$(cat "$work/sum")" ] || fail "a running read got other bytes"
wait_gone 7

# Four readers that go on for ever.
start_hycfs
readers=()
for i in 1 2 3 4; do
	"$PYTHON" - "$work/src/data" "$work/mnt/data" "$SEED$i" "$work/reading$i" <<'PY' &
import os, random, sys
want = open(sys.argv[1], "rb").read()
rng = random.Random(int(sys.argv[3]))
fd = os.open(sys.argv[2], os.O_RDONLY)
n = 0
while True:
    off = rng.randrange(len(want))
    size = rng.randrange(1, 1 << 20)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        got = os.pread(fd, size, off)
    except OSError as e:
        print(f"{n} reads, then {e}")
        break
    # The kernel may cut a read short where an error follows.
    if not got or got != want[off:off + len(got)]:
        sys.exit(f"{size} bytes at {off} differ")
    n += 1
    if n == 10:
        open(sys.argv[4], "w").close()
PY
	readers+=($!)
done
for i in $(seq 3000); do
	[ ! -e "$work/reading1" ] || [ ! -e "$work/reading2" ] || [ ! -e "$work/reading3" ] || [ ! -e "$work/reading4" ] || break
	sleep 0.02
done
kill -TERM "$pid"
for reader in "${readers[@]}"; do
	wait "$reader" || fail "a reader failed"
done
wait_gone 8
