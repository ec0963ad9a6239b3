#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The archive loses its second half while it is mounted: reads of that are EIO, what is still there is read, hycfs lives and unmounts.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse

mnt=$work/mnt
"$HYC" pack -o "$work/a.hyc" "$TINY" >/dev/null
mount_hyc "$work/a.hyc" "$mnt"
pid=$(hycfs_pid "$mnt")
[ -n "$pid" ] || fail "no daemon"
truncate -s $(($(stat -c %s "$work/a.hyc") / 2)) "$work/a.hyc"

"$PYTHON" - "$TINY/model.safetensors" "$mnt/model.safetensors" <<'PY' || fail "reads of a truncated archive"
import errno, os, sys
want = open(sys.argv[1], "rb").read()
fd = os.open(sys.argv[2], os.O_RDONLY)
good = bad = 0
for off in range(0, len(want), 65536):
    try:
        got = os.pread(fd, 65536, off)
    except OSError as e:
        assert e.errno == errno.EIO, e
        bad += 1
    else:
        # A read may be cut short where an error follows.
        assert got and got == want[off:off + len(got)], f"wrong bytes at {off}"
        good += 1
print(good, "reads are right,", bad, "are EIO")
sys.exit(not (good and bad))
PY
[ "$(hycfs_pid "$mnt")" = "$pid" ] || fail "hycfs died"
[ "$(ls "$mnt")" = "$(ls "$TINY")" ] || fail "the directory cannot be read any more"
grep -q " error: " "$mnt/.hycfs/log" || fail "nothing in the log: $(cat "$mnt/.hycfs/log")"
umount_hyc "$mnt"
