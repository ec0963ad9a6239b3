#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ci/build.sh MODE: configure, build and test in one way. check.sh is a list of these; each also runs alone, anywhere.
#   gcc          warnings are errors; the whole suite
#   clang        the same without the slow tests
#   asan         AddressSanitizer and UBSan; the whole suite
#   tsan         ThreadSanitizer; the tests in which threads meet
#   fuzz         libFuzzer targets, built only (ci/fuzz.sh runs them)
#   distcheck    make distcheck, without the slow tests
# PYTHON names the interpreter of the tests (default: .venv, else python3). CONFIGURE_FLAGS is added to configure's arguments.
set -eu
cd "$(dirname "$0")/.."
top=$PWD
mode=${1:?"usage: ci/build.sh gcc|clang|asan|tsan|fuzz|distcheck"}

if [ -z "${PYTHON:-}" ]; then
	PYTHON=python3
	[ ! -x .venv/bin/python ] || PYTHON=$top/.venv/bin/python
fi
export PYTHON

dir=build-$mode cc=gcc cflags="-O2 -g" flags=--enable-warnings=error target=check
sanitize="-g -fno-omit-frame-pointer -fno-sanitize-recover=all"
case $mode in
gcc) dir=build ;;
clang) cc=clang ;;
asan) cflags="-O1 $sanitize -fsanitize=address,undefined" ;;
tsan) cflags="-O1 $sanitize -fsanitize=thread" target=check-threads ;;
fuzz) cc=clang cflags="-O1 $sanitize -fsanitize=fuzzer-no-link,address,undefined" flags="$flags --enable-fuzzers" target=all ;;
distcheck) target=distcheck ;;
*) echo "ci/build.sh: unknown mode $mode" >&2; exit 2 ;;
esac

# Sanitizers want fewer random address bits than new kernels give. The setting is inherited by all that runs below.
run=()
case $mode in
asan | tsan | fuzz)
	if setarch --addr-no-randomize true 2>/dev/null; then
		run=(setarch --addr-no-randomize)
	fi
	export HYC_SANITIZED=$mode
	export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
	export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
	;;
esac
# nvcc takes its time, and what it builds does not depend on the mode: once is enough.
[ $mode = gcc ] || flags="$flags --with-cuda=no"
# What is slow and does not depend on the compiler is left to the gcc mode.
case $mode in clang | distcheck) export HYC_SKIP_SLOW=1 ;; esac

if [ ! -x configure ] || [ -n "$(find configure.ac Makefile.am ./*/local.mk -newer configure)" ]; then
	autoreconf -fi
fi
mkdir -p "$dir"
cd "$dir"
# shellcheck disable=SC2206
args=($flags ${CONFIGURE_FLAGS:-} CC="$cc" CFLAGS="$cflags" PYTHON="$PYTHON")
if [ ! -e config.status ] || [ "$(cat .arguments 2>/dev/null)" != "${args[*]}" ] || [ ../configure -nt config.status ]; then
	"${run[@]}" ../configure -q "${args[@]}"
	echo "${args[*]}" >.arguments
fi
jobs=-j$(nproc)
case $target in
check*)
	find . -name '*.trs' -delete
	"${run[@]}" make "$jobs" check TESTS= VERBOSE=1 >build.log 2>&1 || { cat build.log; exit 1; }
	;;
esac
exec "${run[@]}" make "$jobs" -k "$target" VERBOSE=1
