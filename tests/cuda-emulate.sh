#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The CUDA kernels without a GPU: compiled as C++ for coroutines, they equal plain C on whole and broken blocks, and stay inside
# of their buffers. Where there is a GPU, the module itself as well.
. "${srcdir:-.}/tests/lib.sh"
[ -z "${HYC_SKIP_SLOW:-}" ] || skip "slow, and done by make check"
emulate_cuda "$work/emulate.so"
HYC_CUDA_MODULE=$work/emulate.so timeout 600 "$builddir/checkcuda" --small "$SEED" || fail "the kernels differ from plain C"

[ -f "$builddir/.libs/hyc_cuda.so" ] || exit 0
status=0
HYC_CUDA_MODULE=$builddir/.libs/hyc_cuda.so timeout 600 "$builddir/checkcuda" "$SEED" || status=$?
[ $status = 0 ] || [ $status = 77 ] || fail "on the GPU: see above"
