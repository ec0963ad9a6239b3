#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every file git tracks is in the release archive, but for git's own.
. "${srcdir:-.}/tests/lib.sh"
requires git
[ "$(git -C "$srcdir" rev-parse --show-toplevel 2>/dev/null)" = "$srcdir" ] || skip "not a git checkout"
[ -n "$(git -C "$srcdir" ls-files)" ] || skip "git tracks nothing here yet"

# A directory in the list stands for everything in it.
unset MAKEFLAGS MFLAGS
make -s dist-list | sort -u >"$work/list"
(cd "$srcdir" && while read -r entry; do
	if [ -d "$entry" ]; then find "$entry" -type f; else echo "$entry"; fi
done <"$work/list") | sort -u >"$work/dist"
git -C "$srcdir" ls-files | grep -v -x -E '(.*/)?\.git(ignore|attributes|keep)' | sort >"$work/tracked"
comm -23 "$work/tracked" "$work/dist" >"$work/missing"
[ ! -s "$work/missing" ] || fail "tracked, but not in the release archive: $(tr '\n' ' ' <"$work/missing")"
