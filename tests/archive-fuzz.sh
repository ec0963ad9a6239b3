#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every fuzz target takes every input of its corpus.
. "${srcdir:-.}/tests/lib.sh"

for target in archive float hyper tcq zstd split torchzip pickle gguf; do
	[ -d "$srcdir/tests/fuzz/corpus/$target" ] || fail "fuzz target $target has no corpus"
	"$builddir/replay-$target" "$srcdir/tests/fuzz/corpus/$target" >"$work/out" || fail "$target: $(tail -n 3 "$work/out")"
	echo "$target: $(tail -n 1 "$work/out")"
done
