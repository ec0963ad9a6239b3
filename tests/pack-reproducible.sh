#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same input gives the same archive: with any number of threads, packed again, and from another place.
. "${srcdir:-.}/tests/lib.sh"

src=$work/src
"$PYTHON" "$srcdir/tests/make_safetensors.py" kinds "$src"
cp -R "$TINY" "$src/tiny"
mkdir "$src/empty"
: >"$src/no-bytes"
for i in $(seq 100); do echo "$i" >"$src/small-$i"; done

"$HYC" pack -j 1 -o "$work/1.hyc" "$src"
for j in 2 7; do
	"$HYC" pack -j $j -o "$work/$j.hyc" "$src"
	cmp "$work/1.hyc" "$work/$j.hyc" || fail "-j $j gives another archive than -j 1"
done
"$HYC" pack -j 3 -o "$work/1.hyc" "$src/"
cmp "$work/1.hyc" "$work/2.hyc" || fail "packing over an archive gives another one"
cp -a "$src" "$work/copy"
(cd "$work/copy" && "$HYC" pack -o "$work/copy.hyc" .)
cmp "$work/1.hyc" "$work/copy.hyc" || fail "a copy of the directory gives another archive"
