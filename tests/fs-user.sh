#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An ordinary user mounts, reads and unmounts through fusermount3; the files are theirs, and nobody else gets in.
. "${srcdir:-.}/tests/lib.sh"
requires_root
requires setpriv fusermount3
requires_fuse
[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not set-user-id root"

mode=$(stat -c %a /dev/fuse)
at_exit chmod "$mode" /dev/fuse
chmod 0666 /dev/fuse
user() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# Where the user can reach it, whatever the modes of the build directory.
chmod 755 "$work"
install -m 755 "$HYCFS" "$work/hycfs"
HYCFS=$work/hycfs
"$HYC" pack -o "$work/a,b \\c.hyc" "$TINY" >/dev/null
chmod 644 "$work/a,b \\c.hyc"
mkdir "$work/mnt" "$work/roots"
chown 65534:65534 "$work/mnt"
gone() {
	local tries=0
	while [ -n "$(hycfs_pid "$work/mnt")" ] || grep -q -F " $work/mnt " /proc/self/mountinfo; do
		[ $((tries += 1)) -le 500 ] || fail "$1: still there after 10 s"
		sleep 0.02
	done
}
at_exit eval 'user fusermount3 -uz "$work/mnt" 2>/dev/null'

user "$HYCFS" "$work/a,b \\c.hyc" "$work/mnt" || fail "an ordinary user cannot mount"
user diff -r "$TINY" "$work/mnt" || fail "contents differ"
[ "$(user stat -c '%u %g' "$work/mnt/config.json")" = "65534 65534" ] || fail "the files belong to $(user stat -c '%u %g' "$work/mnt/config.json")"
grep -F " $work/mnt " /proc/self/mountinfo | grep -q -F "fuse.hycfs $work/a,b\\040\\134c.hyc " || fail "source: $(grep -F " $work/mnt " /proc/self/mountinfo)"
grep -q -F " $work/mnt ro,nosuid,nodev" /proc/self/mountinfo || fail "mounted $(grep -F " $work/mnt " /proc/self/mountinfo)"
! ls "$work/mnt" 2>/dev/null || fail "root gets into a user's mount"
user fusermount3 -u "$work/mnt" || fail "the user cannot unmount"
gone "fusermount3 -u"

# SIGTERM, with a file open.
user "$HYCFS" "$work/a,b \\c.hyc" "$work/mnt"
setpriv --reuid=65534 --regid=65534 --clear-groups tail -f "$work/mnt/config.json" >/dev/null &
reader=$!
sleep 0.2
user kill -TERM "$(hycfs_pid "$work/mnt")"
gone "SIGTERM"
kill "$reader"
ls "$work/mnt" >/dev/null || fail "a stale mount is left"

# Idle.
user "$HYCFS" "$work/a,b \\c.hyc" "$work/mnt" -o timeout=1
gone "timeout=1"

# What is not allowed is one sentence.
expect_fail 1 "user has no write access to mountpoint" user "$HYCFS" "$work/a,b \\c.hyc" "$work/roots"
if ! grep -q -s -x user_allow_other /etc/fuse.conf; then
	expect_fail 1 "user_allow_other" user "$HYCFS" "$work/a,b \\c.hyc" "$work/mnt" -o allow_other
fi
chmod 600 "$work/a,b \\c.hyc"
expect_fail 1 "Permission denied" user "$HYCFS" "$work/a,b \\c.hyc" "$work/mnt"
! grep -q -F " $work/mnt " /proc/self/mountinfo || fail "something is mounted after a failure"
