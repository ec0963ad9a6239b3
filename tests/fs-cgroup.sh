#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The cache is at most a quarter of what the daemon's own control group may have, or one above it.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse
requires_root

# limited FILE TOP: a group with a limit at the top of a hierarchy, and one without in it.
limited() {
	[ -d "$2" ] || return 1
	[ "$1" != memory.max ] || grep -q -w memory "$2/cgroup.subtree_control" 2>/dev/null || return 1
	group=$(mktemp -d "$2/hyc-test.XXXXXX" 2>/dev/null) || return 1
	at_exit rmdir "$group"
	mkdir "$group/below" && at_exit rmdir "$group/below"
	echo $((600 << 20)) 2>/dev/null >"$group/$1"
}
{ limited memory.max /sys/fs/cgroup || limited memory.limit_in_bytes /sys/fs/cgroup/memory; } 2>/dev/null ||
	skip "needs a hierarchy of control groups in which it may limit memory"

"$HYC" pack -o "$work/a.hyc" "$TINY"
mkdir "$work/mnt"
hyc__mounts+=("$work/mnt")
sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group/below" "$HYCFS" -f "$work/a.hyc" "$work/mnt" 2>"$work/log" &
daemon=$!
wait_mounted "$work/mnt" $daemon
grep -q "hyc-test" "/proc/$daemon/cgroup" || fail "the daemon is not in the group: $(cat "/proc/$daemon/cgroup")"
limit=$(sed -n 's/.*"cache_limit": *\([0-9]*\).*/\1/p' "$work/mnt/.hycfs/stats.json")
kill -TERM "$daemon"
wait "$daemon" || fail "hycfs ended with $?: $(cat "$work/log")"
memory=$(($(getconf _PHYS_PAGES) * $(getconf PAGESIZE)))
[ "$memory" -ge $((1200 << 20)) ] || skip "the machine has less memory than the limit would leave"
[ "$limit" -le $((150 << 20)) ] || fail "the cache may have $limit bytes, of the 600 MiB of its group"
