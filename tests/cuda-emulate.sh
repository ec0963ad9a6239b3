#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The CUDA kernels without a GPU: compiled as C++ for coroutines, they equal plain C on whole and broken blocks, and stay inside
# of their buffers. Where there is a GPU, the module itself as well.
. "${srcdir:-.}/tests/lib.sh"
[ -z "${HYC_SKIP_SLOW:-}" ] || skip "slow, and done by make check"
[ -z "${HYC_SANITIZED:-}" ] || skip "coroutines, which sanitizers do not follow"
cxx=$(command -v g++ || command -v clang++) || skip "needs a C++ compiler"
cc=$(command -v gcc || command -v clang) || skip "needs a C compiler"

flags="-O2 -g -fPIC -fvisibility=hidden -ffp-contract=off -D_GNU_SOURCE -I$work -I$srcdir"
: >"$work/config.h"
for kernel in parse float tcq hyper; do
	# shellcheck disable=SC2086
	"$cxx" -std=c++17 $flags -Wno-attributes -include "$srcdir/tests/emulate.h" -x c++ -c "$srcdir/codec/cuda/$kernel.cu" -o "$work/$kernel.o" ||
		fail "$kernel.cu does not compile"
done
# shellcheck disable=SC2086
"$cc" $flags -c "$srcdir/tests/emulate.c" -o "$work/emulate.o" || fail "the emulation does not compile"
"$cxx" -shared -o "$work/emulate.so" "$work"/*.o
HYC_CUDA_MODULE=$work/emulate.so timeout 600 "$builddir/checkcuda" --small "$SEED" || fail "the kernels differ from plain C"

[ -f "$builddir/.libs/hyc_cuda.so" ] || exit 0
status=0
HYC_CUDA_MODULE=$builddir/.libs/hyc_cuda.so timeout 600 "$builddir/checkcuda" "$SEED" || status=$?
[ $status = 0 ] || [ $status = 77 ] || fail "on the GPU: see above"
