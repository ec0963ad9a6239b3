#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The archive appears whole or not at all: a run that is killed, has no room, or may not write leaves the old archive and nothing else.
. "${srcdir:-.}/tests/lib.sh"

dir=$work/dir
mkdir "$dir" "$work/slow"
echo old >"$work/old"
"$HYC" pack -o "$dir/a.hyc" "$work/old"
cp "$dir/a.hyc" "$work/before.hyc"

# Text takes the thorough level of compression some seconds.
"$PYTHON" - "$work/slow" <<'EOF'
import random, sys
rng = random.Random(5)
words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(1, 12))) for _ in range(5000)]
for i in range(4):
    open(f"{sys.argv[1]}/{i}.txt", "w").write(" ".join(rng.choices(words, k=200000)))
EOF

# pack_until_writing: starts hyc, sets pid, returns when it has the new archive open.
pack_until_writing() {
	"$HYC" pack -j 1 -o "$dir/a.hyc" "$work/slow" >"$work/log" 2>&1 &
	pid=$!
	for _ in $(seq 2000); do
		if find "/proc/$pid/fd" -lname "$dir/*" 2>/dev/null | grep -q .; then
			return 0
		fi
		kill -0 $pid 2>/dev/null || fail "hyc ended early: $(cat "$work/log")"
		sleep 0.005
	done
	fail "hyc did not begin to write within 10 s"
}

for signal in TERM KILL; do
	pack_until_writing
	named=$(find "$dir" -name '.hyc-*')
	kill -$signal $pid
	status=0
	wait $pid || status=$?
	[ $status -gt 128 ] || fail "SIG$signal came too late: hyc ended with status $status"
	cmp "$dir/a.hyc" "$work/before.hyc" || fail "SIG$signal damaged the old archive"
	if [ -n "$named" ]; then
		echo "this file system has no files without a name, so SIG$signal may leave $named"
		rm -f "$named"
	fi
	[ "$(ls -A "$dir")" = a.hyc ] || fail "SIG$signal left something behind: $(ls -A "$dir")"
done

# a place that is none
expect_fail 1 "$work/none/a.hyc" "$HYC" pack -o "$work/none/a.hyc" "$work/old"
expect_fail 1 "$work/old/a.hyc" "$HYC" pack -o "$work/old/a.hyc" "$work/old"
expect_fail 1 'is a directory' "$HYC" pack -o "$dir" "$work/old"
expect_fail 1 'No such file' "$HYC" pack -o "$dir/a.hyc" "$work/none"
cmp "$dir/a.hyc" "$work/before.hyc"
if [ "$(id -u)" != 0 ]; then
	chmod 0555 "$dir"
	expect_fail 1 'Permission denied' "$HYC" pack -o "$dir/a.hyc" "$work/old"
	chmod 0755 "$dir"
fi

# a disk that is full, and one that cannot be written, in a mount namespace of its own
if [ "$(id -u)" = 0 ]; then
	own=(unshare -m)
else
	own=(unshare -r -m)
fi
"${own[@]}" mount -t tmpfs none "$dir" 2>/dev/null || skip "the signals were tried, full and read-only disks not: cannot mount a tmpfs"
head -c 4000000 /dev/urandom >"$work/noise"
export work dir
export -f expect_fail fail
"${own[@]}" bash -eu -c '
	mount -t tmpfs -o size=1m none "$dir"
	cp "$work/before.hyc" "$dir/a.hyc"
	expect_fail 1 "No space left on device" "$HYC" pack -o "$dir/a.hyc" "$work/noise"
	cmp "$dir/a.hyc" "$work/before.hyc"
	[ "$(ls -A "$dir")" = a.hyc ] || fail "a full disk left something behind: $(ls -A "$dir")"
	"$HYC" pack -o "$dir/a.hyc" "$work/old" || fail "nothing was freed"
	mount -t tmpfs -o ro none "$dir"
	expect_fail 1 "Read-only file system" "$HYC" pack -o "$dir/a.hyc" "$work/old"
'
