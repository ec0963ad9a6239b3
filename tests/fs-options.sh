#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Wrong usage is status 2, what cannot be mounted status 1, each with one sentence; and nothing is mounted then.
. "${srcdir:-.}/tests/lib.sh"

archive=$work/a.hyc
mnt=$work/mnt
mkdir "$mnt"
"$HYC" pack -o "$archive" "$TINY/config.json" >/dev/null

usage() {
	expect_fail 2 "$1" "$HYCFS" "${@:2}"
}
usage "ARCHIVE is missing"
usage "MOUNTPOINT is missing" "$archive"
usage "'c' is one operand too many" a b c
usage "unknown option '-x'" -x "$archive" "$mnt"
usage "unknown option '--cache=1G'" "$archive" "$mnt" --cache=1G
usage "takes no value" "$archive" "$mnt" --help=me
usage "-o needs a value" "$archive" "$mnt" -o
usage "unknown option 'cahce=1G'" "$archive" "$mnt" -o cahce=1G
usage "unknown option 'nonsense'" "$archive" "$mnt" -o ro,nonsense,nodev
usage "unknown option 'a,b'" "$archive" "$mnt" -o 'ro,a\,b'
usage "option cache needs a value" "$archive" "$mnt" -o cache
usage "option allow_other takes no value" "$archive" "$mnt" -o allow_other=1
for value in '' 0 63M 67108863 -1 +1G 64MB 1.5G 64m1 64X lots 99999999G 18446744073709551616 17179869185G; do
	usage "cache=$value: must be a size from 64M to " "$archive" "$mnt" -o "cache=$value"
done
for value in '' 0 257 -1 4x 99999999999999999999; do
	usage "threads=$value: must be a number from 1 to 256" "$archive" "$mnt" -o "threads=$value"
done
for value in '' on AUTO 1; do
	usage "prefetch=$value: must be off, auto or all" "$archive" "$mnt" -o "prefetch=$value"
done
for value in '' -1 x 65537 99999999999999999999; do
	usage "readahead_kb=$value: must be a number from 0 to 65536" "$archive" "$mnt" -o "readahead_kb=$value"
done
for value in '' -1 x 31536001; do
	usage "timeout=$value: must be a number from 0 to 31536000" "$archive" "$mnt" -o "timeout=$value"
done
for value in '' x -1 4294967295; do
	usage "uid=$value: must be a number from 0 to 4294967294" "$archive" "$mnt" -o "uid=$value"
	usage "gid=$value: must be a number from 0 to 4294967294" "$archive" "$mnt" -o "gid=$value"
done
for value in '' loud 3; do
	usage "log=$value: must be error, warning, info or debug" "$archive" "$mnt" -o "log=$value"
done
usage "notify_fd=1: must be a number from 3" "$archive" "$mnt" -o notify_fd=1
usage "notify_fd=77: is not a descriptor that is open for writing" "$archive" "$mnt" -o notify_fd=77
exec 7<"$archive"
usage "notify_fd=7: is not a descriptor that is open for writing" "$archive" "$mnt" -o notify_fd=7
exec 7<&-
usage "fsname=: the value is empty" "$archive" "$mnt" -o fsname=
usage "subtype=a,b: must not hold" "$archive" "$mnt" -o 'subtype=a\,b'

# The help and the man page know the same options, and each of them is accepted: nothing else is wrong with these lines than the archive.
"$HYCFS" --help >"$work/help"
sed -n '/^OPTIONS:/,/^Taken/s/^  \([a-z_]*\(=[A-Z]*\)\{0,1\}\) .*/\1/p' "$work/help" | sort >"$work/help-options"
sed -n 's/^\.It Cm \(.*\)/\1/p' "$srcdir/man/hycfs.1" | sort >"$work/man-options"
diff "$work/help-options" "$work/man-options" || fail "--help (<) and man page (>) list different options"
[ "$(wc -l <"$work/help-options")" -ge 10 ] || fail "cannot read the options from --help"
sed '1,/^Taken/d; /^$/,$d' "$work/help" | tr -s ' ' '\n' | sed /^$/d | sort >"$work/help-ignored"
sed -n '/^A mount is always/,/^stands for/s/^\.Cm //p' "$srcdir/man/hycfs.1" | tr -s ' ,' '\n' | sed '/^\.\{0,1\}$/d' | sort >"$work/man-ignored"
diff "$work/help-ignored" "$work/man-ignored" || fail "--help (<) and man page (>) list different options without effect"
while read -r option; do
	case $option in
	*=SIZE) option=${option%=*}=64M ;;
	*=LEVEL) option=${option%=*}=info ;;
	*=MODE) option=${option%=*}=auto ;;
	readahead_kb=*) [ "$(id -u)" = 0 ] || continue ;&
	notify_fd=*) continue ;;
	*=*) option=${option%=*}=1 ;;
	*\*) option=${option%\*}anything ;;
	esac
	expect_fail 1 "$work/none.hyc: cannot open" "$HYCFS" "$work/none.hyc" "$mnt" -o "$option"
done < <(cat "$work/help-options" "$work/help-ignored")

# Help and version: status 0, on stdout, wherever they stand.
"$HYCFS" --help >"$work/help" || fail "--help: status $?"
"$HYCFS" "$archive" -h | cmp - "$work/help" || fail "-h is not --help"
grep -q -F "cache=SIZE" "$work/help" || fail "--help does not say cache=SIZE"
[ "$("$HYCFS" -V)" = "$("$HYC" --version | sed s/^hyc/hycfs/)" ] || fail "-V: $("$HYCFS" -V)"
[ "$("$HYCFS" --version)" = "$("$HYCFS" -V)" ] || fail "--version is not -V"

if [ -c /dev/full ]; then
	! "$HYCFS" --help >/dev/full 2>"$work/err" || fail "--help on a full disk: status 0"
	grep -q -F "standard output: No space left" "$work/err" || fail "--help on a full disk: $(cat "$work/err")"
fi

failure() {
	expect_fail 1 "$1" "$HYCFS" "${@:2}"
}
failure "$work/none.hyc: cannot open the archive: No such file or directory" "$work/none.hyc" "$mnt"
failure "$work: " "$work" "$mnt"
failure "$TINY/model.safetensors: " "$TINY/model.safetensors" "$mnt"
head -c 200 "$archive" >"$work/short.hyc"
failure "$work/short.hyc: " "$work/short.hyc" "$mnt"
failure "$work/none: cannot mount there: No such file or directory" "$archive" "$work/none"
failure "$archive: cannot mount there: not a directory" "$archive" "$archive"
HYC_BACKEND=abacus failure "abacus" "$archive" "$mnt"
! grep -q -F " $work" /proc/self/mountinfo || fail "something is mounted after a failure"

# What is accepted, in any order, options behind operands, twice, and with what stands in fstab for others.
requires_fuse
mount_hyc "$archive" "$mnt" -o defaults,rw,nofail,_netdev,x-systemd.automount,user=me,,noatime -o cache=64M -o cache=100m -o threads=256
[ "$(sed -n 's/.*"cache_limit": \([0-9]*\),/\1/p' "$mnt/.hycfs/stats.json")" = $((100 << 20)) ] || fail "cache=100m: $(cat "$mnt/.hycfs/stats.json")"
umount_hyc "$mnt"
mount_hyc "$archive" "$mnt" -o 'fsname=commas\, and \\ too,subtype=other,threads=1'
grep -q -F " - fuse.other commas,\\040and\\040\\134\\040too " /proc/self/mountinfo || fail "fsname: $(grep -F " $mnt " /proc/self/mountinfo)"
cmp "$TINY/config.json" "$mnt/config.json" || fail "contents differ"
umount_hyc "$mnt"

# A path with what means something in option lists; a mountpoint that is relative, full, and full of such things.
odd="$work/a,b=\\,'c\" d"
mkdir "$odd" "$odd/m,nt"
: >"$odd/m,nt/hidden"
cp "$archive" "$odd/x,y.hyc"
(cd "$odd" && mount_hyc x,y.hyc m,nt && cmp "$TINY/config.json" m,nt/config.json && [ ! -e m,nt/hidden ] && umount_hyc m,nt && [ -e m,nt/hidden ]) ||
	fail "odd paths"

# Two mounts of one archive, a mount in a mount's directory; log= decides what is kept.
mkdir "$work/two"
mount_hyc "$archive" "$mnt" -o log=error
mount_hyc "$archive" "$work/two" -o log=debug
cmp "$mnt/config.json" "$work/two/config.json" || fail "two mounts of one archive differ"
[ ! -s "$mnt/.hycfs/log" ] && [ -z "$(cat "$mnt/.hycfs/log")" ] || fail "log=error: $(cat "$mnt/.hycfs/log")"
[ -n "$(cat "$work/two/.hycfs/log")" ] || fail "log=debug says nothing"
umount_hyc "$work/two"
umount_hyc "$mnt"

# Killed: a dead mount is told from other trouble; with auto_unmount none is left.
mount_hyc "$archive" "$mnt"
stat "$mnt" "$mnt/config.json" >/dev/null
kill -9 "$(hycfs_pid "$mnt")"
tries=0
while stat -f "$mnt" >/dev/null 2>&1; do
	[ $((tries += 1)) -le 500 ] || fail "the mount of a killed hycfs still answers"
	sleep 0.02
done
expect_fail 1 "$mnt: a dead mount is there" "$HYCFS" "$archive" "$mnt"
fusermount3 -u "$mnt"
[ "$(id -u)" = 0 ] || exit 0 # for others fusermount3 cannot see that the mount is dead unless they have allow_other
mount_hyc "$archive" "$mnt" -o auto_unmount
kill -9 "$(hycfs_pid "$mnt")"
tries=0
while grep -q -F " $mnt " /proc/self/mountinfo; do
	[ $((tries += 1)) -le 500 ] || fail "auto_unmount left the mount of a killed hycfs"
	sleep 0.02
done
