#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One damaged byte in a tensor: its block is EIO, everything else is right, and the log says once what is damaged and where.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse

mnt=$work/mnt
"$HYC" pack -o "$work/a.hyc" "$TINY" >/dev/null
# The middle of the archive is the middle of the weights, which are nearly all of it.
"$PYTHON" - "$work/a.hyc" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    at = f.seek(0, 2) // 2
    f.seek(at)
    byte = f.read(1)[0]
    f.seek(at)
    f.write(bytes([byte ^ 0x10]))
PY
mount_hyc "$work/a.hyc" "$mnt"

status=0
cp "$mnt/model.safetensors" "$work/copy" 2>"$work/err" || status=$?
[ $status != 0 ] || fail "a damaged file can be copied"
grep -q -F "Input/output error" "$work/err" || fail "cp said: $(cat "$work/err")"
for file in config.json generation_config.json tokenizer.json tokenizer_config.json; do
	cmp "$TINY/$file" "$mnt/$file" || fail "$file is not damaged, but cannot be read"
done

# Page by page: right or EIO, and only the pages of one block are EIO.
"$PYTHON" - "$TINY/model.safetensors" "$mnt/model.safetensors" <<'PY' || fail "page by page"
import errno, os, sys
want = open(sys.argv[1], "rb").read()
for round in 1, 2:
    fd = os.open(sys.argv[2], os.O_RDONLY)
    bad = []
    for off in range(0, len(want), 4096):
        try:
            got = os.pread(fd, 4096, off)
        except OSError as e:
            assert e.errno == errno.EIO, e
            bad.append(off)
        else:
            assert got == want[off:off + 4096], f"wrong bytes at {off}"
    assert bad and bad[-1] - bad[0] == 4096 * (len(bad) - 1) <= (1 << 20) + 8192, bad
    print(len(bad), "of", -(-len(want) // 4096), "pages are EIO")
PY

lines=$(grep -c " error: " "$mnt/.hycfs/log" || true)
[ "$lines" = 1 ] || fail "$lines error lines in the log: $(cat "$mnt/.hycfs/log")"
line=$(grep " error: " "$mnt/.hycfs/log")
for word in model.safetensors tensor block; do
	[[ $line == *$word* ]] || fail "the log does not name the $word: $line"
done
grep -q -E '"errors": [1-9]' "$mnt/.hycfs/stats.json" || fail "no error was counted: $(cat "$mnt/.hycfs/stats.json")"
umount_hyc "$mnt"
