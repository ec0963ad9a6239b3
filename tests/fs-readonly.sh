#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every call that would change something is EROFS: refused by the kernel, and by hycfs itself where root has remounted read-write.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse

mkdir -p "$work/src/dir/sub"
echo one >"$work/src/file"
echo two >"$work/src/dir/other"
"$HYC" pack -o "$work/a.hyc" "$work/src" >/dev/null
mount_hyc "$work/a.hyc" "$work/mnt"

try_all() {
	"$PYTHON" - "$work/mnt" <<'PY' || fail "$1"
import errno, os, socket, stat, sys
os.chdir(sys.argv[1])
O = os.open
calls = {
    "open for writing": lambda: O("file", os.O_WRONLY),
    "open for both": lambda: O("file", os.O_RDWR),
    "open and truncate": lambda: O("file", os.O_RDWR | os.O_TRUNC),
    "open to append": lambda: O("dir/other", os.O_WRONLY | os.O_APPEND),
    "open a control file": lambda: O(".hycfs/log", os.O_WRONLY),
    "create": lambda: O("new", os.O_WRONLY | os.O_CREAT, 0o644),
    "create exclusively": lambda: O("dir/new", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644),
    "create beside the control files": lambda: O(".hycfs/new", os.O_RDWR | os.O_CREAT, 0o644),
    "truncate": lambda: os.truncate("file", 0),
    "grow": lambda: os.truncate("file", 1 << 20),
    "mkdir": lambda: os.mkdir("new"),
    "rmdir": lambda: os.rmdir("dir/sub"),
    "unlink": lambda: os.unlink("file"),
    "rename": lambda: os.rename("file", "elsewhere"),
    "rename over": lambda: os.rename("file", "dir/other"),
    "link": lambda: os.link("file", "hardlink"),
    "symlink": lambda: os.symlink("file", "symlink"),
    "mkfifo": lambda: os.mkfifo("fifo"),
    "bind a socket": lambda: socket.socket(socket.AF_UNIX).bind("socket"),
    "chmod": lambda: os.chmod("file", 0o600),
    "chown": lambda: os.chown("file", os.getuid(), os.getgid()),
    "utime": lambda: os.utime("file", (1, 1)),
    "utime of a directory": lambda: os.utime("dir"),
    "setxattr": lambda: os.setxattr("file", "user.x", b"y"),
    "removexattr": lambda: os.removexattr("file", "user.hyc.xxh3"),
}
bad = []
for name, call in calls.items():
    try:
        call()
        bad.append(f"{name}: done")
    except OSError as e:
        if e.errno != errno.EROFS:
            bad.append(f"{name}: {e}")
assert sorted(os.listdir()) == ["dir", "file"] and os.listdir("dir/sub") == []
assert open("file").read() == "one\n" and open("dir/other").read() == "two\n"
print(len(calls), "calls")
sys.exit("; ".join(bad) if bad else 0)
PY
}
try_all "read-only as mounted"
grep -q -F " $work/mnt ro,nosuid,nodev" /proc/self/mountinfo || fail "mounted $(grep -F " $work/mnt " /proc/self/mountinfo)"
if [ "$(id -u)" = 0 ]; then
	mount -i -o remount,rw "$work/mnt"
	grep -q -F " $work/mnt rw," /proc/self/mountinfo || fail "the remount had no effect"
	try_all "remounted read-write"
fi
umount_hyc "$work/mnt"

# And where it is asked for, it is not given; nor are set-user-id bits and devices.
mount_hyc "$work/a.hyc" "$work/mnt" -o rw,suid,dev,exec
grep -q -F " $work/mnt ro,nosuid,nodev" /proc/self/mountinfo || fail "-o rw,suid,dev: $(grep -F " $work/mnt " /proc/self/mountinfo)"
umount_hyc "$work/mnt"
