#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A daemon that cannot start its threads: one sentence and status 1 from the command, the descriptor of notify_fd= is closed without a byte,
# and no mount is left behind; in the foreground the reason is told.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse
[ -z "${HYC_SANITIZED:-}" ] || skip "a sanitizer needs more address space than this test leaves"

"$HYC" pack -o "$work/a.hyc" "$TINY/config.json" >/dev/null
mkdir "$work/mnt"
mkfifo "$work/ready"

# Room for all hycfs maps, but not for the stack of a thread.
ulimit -s 4000000 2>/dev/null || skip "cannot raise the limit of the stack"
ulimit -v 2000000
expect_fail 1 "$work/mnt: cannot start a thread: " timeout 20 "$HYCFS" -f -o log=error "$work/a.hyc" "$work/mnt"
! grep -q -F " $work/mnt " /proc/self/mountinfo || fail "a mount is left behind by -f"

cat "$work/ready" >"$work/got" &
reader=$!
expect_fail 1 "$work/mnt: the daemon ended before the mount was ready" timeout 20 "$HYCFS" -o notify_fd=7 "$work/a.hyc" "$work/mnt" 7>"$work/ready"
wait "$reader"
[ ! -s "$work/got" ] || fail "notify_fd got '$(cat "$work/got")'"
! grep -q -F " $work/mnt " /proc/self/mountinfo || fail "a mount is left behind"
ls "$work/mnt" >/dev/null || fail "the mountpoint cannot be used"
