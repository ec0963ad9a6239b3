#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# libhyc.so exports the HYC_API functions of include/hyc.h, each of them and nothing else.
. "${srcdir:-.}/tests/lib.sh"
[ -z "${HYC_SANITIZED:-}" ] || skip "a sanitizer adds symbols of its own"
requires nm

library=$builddir/.libs/libhyc.so
[ -e "$library" ] || fail "$library is not built"
nm -D --defined-only "$library" | awk '{ print $3 }' | sort >"$work/exported"
sed -n 's/^HYC_API .*[ *]\(hyc_[a-z0-9_]*\)(.*/\1/p' "$srcdir/include/hyc.h" | sort >"$work/declared"
[ -s "$work/declared" ] || fail "include/hyc.h declares nothing"
[ "$(grep -c '^HYC_API' "$srcdir/include/hyc.h")" = "$(wc -l <"$work/declared")" ] || fail "cannot read every HYC_API line of hyc.h"
diff "$work/declared" "$work/exported" >"$work/diff" || fail "declared (<) and exported (>) differ: $(cat "$work/diff")"
