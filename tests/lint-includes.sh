#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Which room may include what of which other room, and which foreign library belongs in which room.
. "${srcdir:-.}/tests/lib.sh"

# The headers a room may include, as an extended regular expression.
allowed() {
	case $1 in
	include) echo 'x^' ;;
	base) echo 'base/.*|include/hyc\.h' ;;
	format) echo '(base|format)/.*|include/hyc\.h' ;;
	cache) echo '(base|cache)/.*|include/hyc\.h' ;;
	codec) echo '(base|format|codec)/.*|include/hyc\.h' ;;
	codec/cuda) echo '(base|format|codec)/.*|include/hyc\.h' ;;
	archive) echo '(base|format|codec|cache|archive)/.*|include/hyc\.h' ;;
	pack) echo '(base|format|codec|pack)/.*|include/hyc\.h' ;;
	cli) echo '(base|cli)/.*|pack/pack\.h|include/hyc\.h' ;;
	fs) echo '(base|fs)/.*|include/hyc\.h' ;;
	esac
}

# lint ROOT: prints each breach as "file: what", nothing if there is none.
lint() {
	local root=$1 room file header first
	for room in include base format cache codec codec/cuda archive pack cli fs; do
		for file in "$root/$room"/*.[ch]; do
			[ -e "$file" ] || continue
			while read -r header; do
				[ "$header" = config.h ] || printf '%s\n' "$header" | grep -q -x -E "$(allowed $room)" ||
					echo "$room/${file##*/}: includes \"$header\""
			done < <(sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$file")
			while read -r header; do
				case $room:$header in
				fs:fuse*) ;;
				codec/cuda:cuda_runtime_api.h) ;;
				pack:jansson.h | cli:jansson.h) ;;
				*:fuse* | *:jansson.h | *:*cuda*) echo "$room/${file##*/}: includes <$header>" ;;
				esac
			done < <(sed -n 's/^[ \t]*#[ \t]*include[ \t]*<\([^>]*\)>.*/\1/p' "$file")
			case $file in *.c)
				first=$(sed -n 's/^[ \t]*#[ \t]*include[ \t]*//p' "$file" | head -n 1)
				[ "$first" = '"config.h"' ] || echo "$room/${file##*/}: does not include \"config.h\" first"
			esac
		done
	done
}

# A lint that finds nothing proves nothing, so it first has to find what is planted here.
mkdir -p "$work/base" "$work/fs" "$work/cache"
printf '#include "config.h"\n#include "fs/ops.h"\n' >"$work/base/a.c"
printf '#include <stdio.h>\n#include "config.h"\n# include "format/ondisk.h"\n#include <fuse_lowlevel.h>\n' >"$work/fs/b.c"
printf '#include "base/error.h"\n#include <fuse3/fuse.h>\n' >"$work/cache/c.h"
[ "$(lint "$work" | wc -l)" = 4 ] || fail "the lint itself is broken: $(lint "$work")"

[ -f "$srcdir/base/error.c" ] || fail "there is nothing to look at in $srcdir"
breaches=$(lint "$srcdir")
[ -z "$breaches" ] || fail "$breaches"
