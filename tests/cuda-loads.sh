#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The CUDA module loads on any machine, exports one symbol, needs no toolkit and no driver, and says what is missing.
. "${srcdir:-.}/tests/lib.sh"
module=$builddir/.libs/hyc_cuda.so
[ -f "$module" ] || skip "this build has no CUDA module (no nvcc)"
export HYC_CUDA_MODULE=$module

symbols=$(nm -D --defined-only "$module" | awk '{ print $3 }' | sed 's/@.*//')
[ "$symbols" = hyc_cuda_module ] || fail "the module exports: $symbols"
needed=$(readelf -d "$module" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p')
! printf '%s\n' "$needed" | grep -i -E 'cuda|nvidia' || fail "the module needs CUDA to be loaded"
for program in "$HYC" "$HYCFS"; do
	! readelf -d "$program" | grep -i -E 'NEEDED.*(cuda|stdc)' || fail "$program is linked with CUDA"
done

# One sentence, and exit 1, wherever no device can be had.
"$HYC" pack -o "$work/tiny.hyc" "$TINY"
mkdir "$work/mnt"
expect_fail 1 "no device" env CUDA_VISIBLE_DEVICES= "$HYCFS" -f -o device=cuda "$work/tiny.hyc" "$work/mnt"
expect_fail 1 "no device" env CUDA_VISIBLE_DEVICES= HYC_BACKEND=cuda "$HYC" cat "$work/tiny.hyc" config.json
expect_fail 1 "the device cannot be used" env HYC_CUDA_FAIL=open "$HYCFS" -f -o device=cuda "$work/tiny.hyc" "$work/mnt"
expect_fail 1 "cannot be opened" env HYC_CUDA_MODULE=/nowhere/hyc_cuda.so "$HYCFS" -f -o device=cuda "$work/tiny.hyc" "$work/mnt"
expect_fail 2 "must be cpu, auto or cuda" "$HYCFS" -o device=gpu "$work/tiny.hyc" "$work/mnt"
