#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Golden archives decode to the same digests for ever: with hyc, and with the reference decoder.
. "${srcdir:-.}/tests/lib.sh"

n=0
for archive in "$srcdir"/tests/golden/*.hyc; do
	[ -e "$archive" ] || fail "there are no golden archives"
	name=$(basename "$archive" .hyc)
	sort "${archive%.hyc}.digests" >"$work/want"
	[ -s "$work/want" ] || fail "$name.digests is empty"
	"$HYC" verify --deep "$archive" >/dev/null || fail "hyc verify --deep finds damage in $name"
	"$HYC" ls --json "$archive" | "$PYTHON" -B "$srcdir/tests/golden/digests.py" | sort | diff "$work/want" - ||
		fail "hyc ls names other digests for $name"
	# The digests in the archive are claims; these are of the bytes themselves.
	"$HYC" unpack -C "$work/$name" "$archive"
	"$PYTHON" -B "$srcdir/tests/golden/digests.py" "$work/$name" | sort | diff "$work/want" - || fail "hyc unpack gives other bytes for $name"
	if "$PYTHON" -c 'import numpy' 2>/dev/null; then
		"$PYTHON" "$srcdir/python/hyc/hycref.py" "$archive" | sort | diff "$work/want" - || fail "hycref gives other bytes for $name"
	fi
	n=$((n + 1))
done
echo "$n golden archives"
