#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# timeout=1 unmounts a mount nobody uses, but not while a file is open or somebody is there.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse

mnt=$work/mnt
"$HYC" pack -o "$work/a.hyc" "$TINY/config.json" >/dev/null
mounted() {
	grep -q -F " $mnt " /proc/self/mountinfo
}
# gone LEAST MOST WHEN: unmounted after at least and at most so many milliseconds from $start on.
gone() {
	local passed
	while mounted; do
		passed=$((($(date +%s%N) - start) / 1000000))
		[ $passed -le "$2" ] || fail "$3: still mounted after $passed ms"
		sleep 0.02
	done
	passed=$((($(date +%s%N) - start) / 1000000))
	[ $passed -ge "$1" ] || fail "$3: unmounted after $passed ms"
	for _ in $(seq 500); do
		[ -n "$(hycfs_pid "$mnt")" ] || return 0
		sleep 0.02
	done
	fail "$3: hycfs still runs"
}

start=$(date +%s%N)
mount_hyc "$work/a.hyc" "$mnt" -o timeout=1
gone 1000 6000 "unused"

mount_hyc "$work/a.hyc" "$mnt" -o timeout=1
exec 6<"$mnt/config.json"
sleep 2.5
mounted || fail "unmounted while a file is open"
cmp "$mnt/config.json" "$TINY/config.json" || fail "contents differ"
exec 6<&-
start=$(date +%s%N)
gone 900 6000 "after a file was closed"

mount_hyc "$work/a.hyc" "$mnt" -o timeout=1
cd "$mnt"
sleep 2.5
mounted || fail "unmounted while it is a working directory"
cd "$work"
start=$(date +%s%N)
gone 0 6000 "after a working directory was left"

# Requests put it off; 3 seconds of them are more than the timeout.
mount_hyc "$work/a.hyc" "$mnt" -o timeout=2
for i in $(seq 12); do
	[ ! -e "$mnt/nothing$i" ] || fail "nothing$i exists"
	sleep 0.25
done
mounted || fail "unmounted in spite of requests"
start=$(date +%s%N)
gone 1000 8000 "after the last request"
