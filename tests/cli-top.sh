#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hyc top: once where there is no terminal or with --json, again and again on one, until the mount goes.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse

"$HYC" pack -o "$work/a.hyc" "$TINY" >/dev/null
mount_hyc "$work/a.hyc" "$work/mnt"
cat "$work/mnt/model.safetensors" >"$work/copy"

"$HYC" top "$work/mnt" >"$work/text" || fail "status $?"
for fragment in "mount     $work/mnt, up 0:" "served    " "cache     " " hits" "float, " " GB/s a thread" "errors    0"; do
	grep -q -F -- "$fragment" "$work/text" || fail "lacks '$fragment': $(cat "$work/text")"
done
"$HYC" top --json "$work/mnt" | "$PYTHON" -c '
import json, sys
s = json.load(sys.stdin)
assert s["errors"] == 0 and s["bytes_served"] > 2_500_000 and s["cache_limit"] >= s["cache_bytes"] > 0, s' || fail "--json"

# On a terminal: drawn at least twice, then the mount goes and so does it.
"$PYTHON" - "$HYC" "$work/mnt" <<'PY' || fail "on a terminal"
import os, pty, subprocess, sys
main, side = pty.openpty()
top = subprocess.Popen([sys.argv[1], "top", sys.argv[2]], stdin=side, stdout=side, stderr=side, env=os.environ | {"TERM": "xterm"})
os.close(side)
seen = b""
while seen.count(b"\x1b[H\x1b[J") < 2 or not seen.endswith(b"errors    0\r\n"):
    seen += os.read(main, 65536)
assert b"/s, read of the archive" in seen, seen
subprocess.run(["umount", "-l", sys.argv[2]] if os.getuid() == 0 else ["fusermount3", "-uz", sys.argv[2]], check=True)
try:
    while chunk := os.read(main, 65536):
        seen += chunk
except OSError:
    pass
assert top.wait() == 1 and b"no archive is mounted there" in seen, (top.returncode, seen)
PY
expect_fail 1 "$work/mnt: no archive is mounted there" "$HYC" top "$work/mnt"
