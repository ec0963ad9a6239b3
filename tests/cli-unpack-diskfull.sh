#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A full disk, foreseen or not: one sentence, no temporary file, exit status 1.
. "${srcdir:-.}/tests/lib.sh"

no_temporaries() {
	[ -z "$(find "$1" -name '.hyc*')" ] || fail "left behind: $(find "$1" -name '.hyc*')"
}

head -c 3000000 /dev/urandom >"$work/big"
head -c 1000 "$work/big" >"$work/small"
"$HYC" pack "$work/big" "$work/small" -o "$work/a.hyc" >/dev/null

# A limit on the size of files stands for a disk that fills up while unpack writes.
(
	ulimit -f 1000
	expect_fail 1 "$work/limited/big: cannot be written: File too large" "$HYC" unpack "$work/a.hyc" -C "$work/limited"
)
no_temporaries "$work/limited"
[ ! -e "$work/limited/big" ] || fail "a partial file is there"

requires_root
mkdir "$work/disk"
mount -t tmpfs -o size=1m,nr_inodes=4 tmpfs "$work/disk" 2>/dev/null || skip "needs the right to mount a tmpfs"
at_exit umount "$work/disk"

expect_fail 1 "$work/disk: needs 3.0 MB, 1.0 MB free" "$HYC" unpack "$work/a.hyc" -C "$work/disk"
expect_fail 1 "$work/disk/new/dir: needs 3.0 MB, 1.0 MB free" "$HYC" unpack "$work/a.hyc" -C "$work/disk/new/dir"
[ -z "$(ls -A "$work/disk")" ] || fail "something was written where there is no room: $(ls -A "$work/disk")"
"$HYC" unpack "$work/a.hyc" -C "$work/disk" small
cmp "$work/small" "$work/disk/small" || fail "what fits was not unpacked"

# No room for one more name.
rm "$work/disk/small"
touch "$work/disk/1" "$work/disk/2" "$work/disk/3"
expect_fail 1 "$work/disk/small: cannot be made: No space left on device" "$HYC" unpack "$work/a.hyc" -C "$work/disk" small
[ "$(cd "$work/disk" && echo *)" = "1 2 3" ] || fail "left behind: $(ls -A "$work/disk")"

# strace can make the disk full in the middle of a file.
rm "$work/disk"/*
if command -v strace >/dev/null && [ -z "${HYC_SANITIZED:-}" ] && strace -f -o /dev/null true 2>/dev/null; then
	expect_fail 1 "$work/mid/big: cannot be written: No space left on device" \
		strace -f -qq -o /dev/null -e trace=write -e inject=write:error=ENOSPC:when=3 \
		"$HYC" unpack "$work/a.hyc" -C "$work/mid" big
	no_temporaries "$work/mid"
	[ ! -e "$work/mid/big" ] || fail "a partial file is there"
fi
