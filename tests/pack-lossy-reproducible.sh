#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same input gives the same lossy archive with any number of threads, and the lossless parts of it are those of a lossless one.
. "${srcdir:-.}/tests/lib.sh"

src=$work/src
"$PYTHON" "$srcdir/tests/make_safetensors.py" kinds "$src"
cp -R "$TINY" "$src/tiny"
for codec in tcq hyper; do
	for j in 1 5; do
		"$HYC" pack --codec=$codec --lossy='*' -j $j -o "$work/$j.hyc" "$src" >"$work/out" 2>"$work/err.$j"
		cmp "$work/1.hyc" "$work/$j.hyc" || fail "$codec: -j $j gives another archive than -j 1"
		cmp "$work/err.1" "$work/err.$j" || fail "$codec: -j $j says something else than -j 1"
	done
	"$HYC" verify --deep "$work/1.hyc"
	rm -rf "$work/u"
	"$HYC" unpack -C "$work/u" "$work/1.hyc"
	# Every file but those with floats is as it was; what is not is called lossy.
	(cd "$src" && find . -type f ! -iname '*.safetensors') | while read -r f; do
		cmp "$src/$f" "$work/u/$f" || fail "$codec changed $f"
	done
	# Packing what came out again loses nothing that is kept.
	"$HYC" pack --codec=$codec --keep='*' -o "$work/k.hyc" "$work/u" >"$work/out" 2>&1
	"$HYC" verify --deep --source="$work/u" "$work/k.hyc"
done
