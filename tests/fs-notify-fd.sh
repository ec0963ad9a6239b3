#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# notify_fd= gets one byte and its end when, and only when, the mount is ready; in the background and in the foreground.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse

mnt=$work/mnt
mkdir "$mnt"
mkfifo "$work/ready"
"$HYC" pack -o "$work/a.hyc" "$TINY/config.json" >/dev/null
at_exit eval 'fusermount3 -uz "$work/mnt" 2>/dev/null'

for flags in "" -f; do
	"$HYCFS" $flags -o notify_fd=7 "$work/a.hyc" "$mnt" 7>"$work/ready" 2>"$work/err" &
	pid=$!
	# To its end: nobody else may hold the descriptor open.
	got=$(timeout 10 cat "$work/ready") || fail "hycfs $flags: the descriptor was not closed"
	[ "$got" = R ] || fail "hycfs $flags: got '$got'; $(cat "$work/err")"
	cmp "$mnt/config.json" "$TINY/config.json" || fail "hycfs $flags: ready, but not there"
	fusermount3 -u "$mnt"
	wait "$pid" || fail "hycfs $flags: status $?"
	for _ in $(seq 500); do
		[ -n "$(hycfs_pid "$mnt")" ] || break
		sleep 0.02
	done
	[ -z "$(hycfs_pid "$mnt")" ] || fail "hycfs $flags: still runs"
done

# A failure closes it without a byte.
expect_none() {
	"$HYCFS" -o notify_fd=7 "$@" 7>"$work/ready" 2>/dev/null &
	pid=$!
	got=$(timeout 10 cat "$work/ready") || fail "$*: the descriptor was not closed"
	[ -z "$got" ] || fail "$*: got '$got'"
	! wait "$pid" || fail "$*: status 0"
}
expect_none "$work/none.hyc" "$mnt"
expect_none "$work/a.hyc" "$work/none"

# A reader that has gone is no reason to die.
mount_hyc "$work/a.hyc" "$mnt" -o notify_fd=7 7> >(:)
cmp "$mnt/config.json" "$TINY/config.json" || fail "not mounted without a reader"
umount_hyc "$mnt"
