# SPDX-License-Identifier: Apache-2.0
# What every shell test shares: where things are, a scratch directory that always goes away, mounting, and the three ways a test ends.
# Sourced first, by bash, with the build directory as the working directory:   . "${srcdir:-.}/tests/lib.sh"
# shellcheck shell=bash disable=SC2034
set -eu
export LC_ALL=C

srcdir=$(cd "${srcdir:-.}" && pwd)
builddir=$(pwd)
PYTHON=${PYTHON:-python3}
TINY=$srcdir/tests/data/tiny
SHARED=
if [ -d "$srcdir/../shared/models" ]; then
	SHARED=$(cd "$srcdir/../shared/models" && pwd)
fi
SEED=${SEED:-$((RANDOM << 15 | RANDOM))}
export srcdir builddir PYTHON TINY SHARED SEED
echo "SEED=$SEED MALLOC_PERTURB_=${MALLOC_PERTURB_:-}"

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

# The reason also goes where check.sh finds it.
skip() {
	echo "SKIP: $*"
	exit 77
}

# A program that libtool wraps in a script is a shell away from the process a test wants to trace, kill or measure.
hyc__program() {
	[ -x "$builddir/$1" ] || { echo "FAIL: $builddir/$1 is not built" >&2; exit 99; }
	if [ -x "$builddir/.libs/$1" ] && [ "$(head -c 2 "$builddir/$1")" = '#!' ]; then
		echo "$builddir/.libs/$1"
	else
		echo "$builddir/$1"
	fi
}
HYC=${HYC:-$(hyc__program hyc)}
HYCFS=${HYCFS:-$(hyc__program hycfs)}
case $HYC in
*/.libs/*) export LD_LIBRARY_PATH="$builddir/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" ;;
esac
export HYC HYCFS

work=$(mktemp -d "${TMPDIR:-/tmp}/hyc-test.XXXXXX")
hyc__mounts=()
hyc__at_exit=()

# at_exit CMD...: runs when the test ends, last registered first, before mounts go. (A test that sets its own EXIT trap loses the clean-up.)
at_exit() {
	hyc__at_exit=("$(printf '%q ' "$@")" "${hyc__at_exit[@]}")
}

# A sanitised daemon has nobody to report to, so reports go to files and a test that left one has failed.
if [ -n "${HYC_SANITIZED:-}" ]; then
	mkdir "$work/.sanitizer"
	for hyc__var in ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS LSAN_OPTIONS; do
		export "$hyc__var=${!hyc__var:+${!hyc__var}:}log_path=$work/.sanitizer/report"
	done
fi

hyc__lock_of() {
	echo "$work/.lock.$(printf '%s' "$1" | cksum | tr -c '0-9\n' _)"
}

hyc__mounted() {
	grep -q -F -- " $(printf '%s' "$1" | sed 's/\\/\\134/g; s/ /\\040/g; s/\t/\\011/g') fuse" /proc/self/mounts
}

hyc__unmount() {
	if [ "$(id -u)" = 0 ]; then
		umount "${@:2}" "$1"
	else
		fusermount3 -u "${@:2}" "$1"
	fi
}

# (Prefixed throughout: what tests register to be run here sees these names.)
hyc__cleanup() {
	local hyc__status=$? hyc__cmd hyc__mnt hyc__pid
	trap - EXIT HUP INT TERM
	set +e
	cd /
	for hyc__cmd in "${hyc__at_exit[@]}"; do
		eval "$hyc__cmd"
	done
	for hyc__mnt in "${hyc__mounts[@]}"; do
		hyc__pid=$(hycfs_pid "$hyc__mnt")
		if hyc__mounted "$hyc__mnt"; then
			hyc__unmount "$hyc__mnt" 2>/dev/null || hyc__unmount "$hyc__mnt" -l 2>/dev/null || fusermount3 -uz "$hyc__mnt"
		fi
		if ! flock -w 30 "$(hyc__lock_of "$hyc__mnt")" true && [ -n "$hyc__pid" ]; then
			echo "hycfs of $hyc__mnt (pid $hyc__pid) did not end; killing it" >&2
			kill -9 "$hyc__pid"
			[ $hyc__status != 0 ] || hyc__status=1
		fi
	done
	if ls "$work"/.sanitizer/* >/dev/null 2>&1; then
		cat "$work"/.sanitizer/* >&2
		echo "FAIL: a sanitizer reported something" >&2
		[ $hyc__status != 0 ] && [ $hyc__status != 77 ] || hyc__status=1
	fi
	chmod -R u+rwX "$work" 2>/dev/null
	rm -rf --one-file-system "$work"
	exit $hyc__status
}
trap hyc__cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

requires() {
	local cmd
	for cmd; do
		command -v "$cmd" >/dev/null || skip "needs $cmd"
	done
}

requires_root() {
	[ "$(id -u)" = 0 ] || skip "needs root"
}

requires_fuse() {
	[ -c /dev/fuse ] || skip "needs /dev/fuse, which this machine lacks"
	(exec 3<>/dev/fuse) 2>/dev/null || skip "needs /dev/fuse, which user $(id -un) may not open"
	if [ "$(id -u)" = 0 ]; then
		# Bit 21 is CAP_SYS_ADMIN, without which a container's root cannot mount.
		[ $((0x$(sed -n 's/^CapEff:\t//p' /proc/self/status) >> 21 & 1)) = 1 ] || skip "needs the right to mount (CAP_SYS_ADMIN)"
	else
		requires fusermount3
	fi
}

# hycfs_pid MNT: the process that serves MNT, nothing when there is none.
hycfs_pid() {
	local dir args
	for dir in /proc/[0-9]*; do
		[ "$(readlink "$dir/exe" 2>/dev/null)" = "$HYCFS" ] || continue
		mapfile -d '' -t args 2>/dev/null <"$dir/cmdline" || continue
		if [[ " ${args[*]} " == *" $1 "* ]]; then
			echo "${dir#/proc/}"
			return 0
		fi
	done
	return 0
}

# mount_hyc ARCHIVE MNT [ARG...]: the daemon inherits a locked descriptor, so that "the lock is free" means "the daemon has gone".
mount_hyc() {
	local archive=$1 mnt=$2
	shift 2
	mkdir -p "$mnt"
	mnt=$(cd "$mnt" && pwd)
	hyc__mounts+=("$mnt")
	(flock 9 && exec "$HYCFS" "$archive" "$mnt" "$@") 9>"$(hyc__lock_of "$mnt")" ||
		fail "hycfs $archive $mnt $* ended with status $?"
	hyc__mounted "$mnt" || fail "hycfs $archive $mnt $* returned 0 but nothing is mounted there"
}

# wait_mounted MNT PID: until the server in the background has mounted it.
wait_mounted() {
	for _ in $(seq 600); do
		! hyc__mounted "$1" || return 0
		kill -0 "$2" 2>/dev/null || break
		sleep 0.05
	done
	fail "what was to serve $1 did not mount it"
}

# wait_ahead MNT: until a block was decoded ahead. Readers that are faster than what decodes ahead leave it nothing.
wait_ahead() {
	for _ in $(seq 600); do
		grep -q '"prefetched": *0,' "$1/.hycfs/stats.json" || break
		sleep 0.05
	done
}

umount_hyc() {
	local mnt
	mnt=$(cd "$1" && pwd)
	if [ "$(id -u)" = 0 ] && ! command -v fusermount3 >/dev/null; then
		umount "$mnt" || fail "cannot unmount $mnt"
	else
		fusermount3 -u "$mnt" || fail "cannot unmount $mnt"
	fi
	flock -w 30 "$(hyc__lock_of "$mnt")" true || fail "hycfs still runs 30 s after $mnt was unmounted"
}

# emulate_cuda MODULE: the CUDA module for a machine without a GPU, its kernels compiled as C++ for coroutines.
emulate_cuda() {
	local cxx cc kernel flags dir=$work/.emulate
	[ -z "${HYC_SANITIZED:-}" ] || skip "coroutines, which sanitizers do not follow"
	cxx=$(command -v g++ || command -v clang++) || skip "needs a C++ compiler"
	cc=$(command -v gcc || command -v clang) || skip "needs a C compiler"
	flags="-O2 -g -fPIC -fvisibility=hidden -ffp-contract=off -D_GNU_SOURCE -I$dir -I$srcdir"
	mkdir -p "$dir"
	: >"$dir/config.h"
	for kernel in parse float tcq hyper; do
		# shellcheck disable=SC2086
		"$cxx" -std=c++17 $flags -Wno-attributes -include "$srcdir/tests/emulate.h" -x c++ -c "$srcdir/codec/cuda/$kernel.cu" -o "$dir/$kernel.o" ||
			fail "$kernel.cu does not compile"
	done
	# shellcheck disable=SC2086
	"$cc" -std=gnu11 $flags -c "$srcdir/tests/emulate.c" -o "$dir/emulate.o" || fail "the emulation does not compile"
	"$cxx" -shared -o "$1" "$dir"/*.o -lpthread
}

# expect_fail STATUS FRAGMENT CMD...
expect_fail() {
	local want=$1 fragment=$2 status=0
	shift 2
	"$@" 2>"$work/.stderr" >"$work/.stdout" || status=$?
	[ $status = "$want" ] || fail "$*: exit status $status, wanted $want: $(cat "$work/.stderr")"
	[ "$(wc -l <"$work/.stderr")" = 1 ] || fail "$*: wanted one line on stderr, got: $(cat "$work/.stderr")"
	grep -q -F -e "$fragment" "$work/.stderr" || fail "$*: stderr lacks '$fragment': $(cat "$work/.stderr")"
}
