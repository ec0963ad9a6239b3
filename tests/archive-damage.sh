#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 1,000 changed bytes and 200 truncations at random places of a real archive: no wrong byte, no crash, no hang, and verify sees each that matters.
. "${srcdir:-.}/tests/lib.sh"

"$HYC" pack -o "$work/tiny.hyc" "$TINY"
# ThreadSanitizer looks for races, not for damage, and takes 20 times as long.
n=1000
[ "${HYC_SANITIZED:-}" != tsan ] || n=50
"$builddir/test-damage" "$work/tiny.hyc" "$TINY" $n $((n / 5)) "$SEED"
