#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mount -t fuse.hycfs, and a line of fstab.

# mount(8) looks for hycfs in the system's directories only, so the test gives itself a /usr/local/bin that nobody else sees.
if [ -z "${HYC_OWN_MOUNTS:-}" ] && unshare -m true 2>/dev/null; then
	HYC_OWN_MOUNTS=1 exec unshare -m "$0" "$@"
fi
. "${srcdir:-.}/tests/lib.sh"
requires_root
requires_fuse
requires mount.fuse3 unshare
[ -n "${HYC_OWN_MOUNTS:-}" ] || skip "needs a mount namespace of its own (unshare -m)"

mount -t tmpfs -o size=64M,mode=755 tmpfs /usr/local/bin
install -m 755 "$HYCFS" /usr/local/bin/hycfs
HYCFS=/usr/local/bin/hycfs
archive="$work/a model.hyc"
mnt=$work/mnt
mkdir "$mnt"
"$HYC" pack -o "$archive" "$TINY" >/dev/null
at_exit eval 'umount -l "$work/mnt" 2>/dev/null'

check() {
	grep -F " $mnt " /proc/self/mountinfo | grep -q -F " ro,nosuid,nodev" || fail "$1: mounted $(grep -F " $mnt " /proc/self/mountinfo)"
	grep -F " $mnt " /proc/self/mountinfo | grep -q -F " - fuse.hycfs $work/a\\040model.hyc " || fail "$1: mounted $(grep -F " $mnt " /proc/self/mountinfo)"
	cmp "$TINY/model.safetensors" "$mnt/model.safetensors" || fail "$1: contents differ"
	[ "$(sed -n 's/.*"cache_limit": \([0-9]*\),/\1/p' "$mnt/.hycfs/stats.json")" = $((128 << 20)) ] || fail "$1: cache=128M was not passed on"
	umount "$mnt"
	for _ in $(seq 500); do
		[ -n "$(hycfs_pid "$mnt")" ] || return 0
		sleep 0.02
	done
	fail "$1: hycfs still runs 10 s after umount"
}

mount -t fuse.hycfs "$archive" "$mnt" -o ro,cache=128M || fail "mount -t fuse.hycfs: status $?"
check "mount -t"

# All that may stand in fstab for others.
printf '%s %s fuse.hycfs %s 0 0\n' "$work/a\\040model.hyc" "$mnt" \
	"ro,noauto,nofail,_netdev,users,x-systemd.automount,x-systemd.idle-timeout=60,comment=weights,cache=128M,allow_other,noatime" >"$work/fstab"
mount -T "$work/fstab" "$mnt" || fail "mount from fstab: status $?"
check "fstab"

printf '%s %s fuse.hycfs defaults,cache=128M 0 0\n' "$work/a\\040model.hyc" "$mnt" >"$work/fstab"
mount -T "$work/fstab" "$mnt" || fail "mount from fstab with defaults: status $?"
check "fstab with defaults"

# What goes wrong comes back through mount(8).
status=0
mount -t fuse.hycfs "$archive" "$mnt" -o cache=1K 2>"$work/err" || status=$?
[ $status != 0 ] || fail "cache=1K: mounted"
grep -q -F "cache=1K" "$work/err" || fail "cache=1K: $(cat "$work/err")"
! grep -q -F " $mnt " /proc/self/mountinfo || fail "something is mounted after a failure"
