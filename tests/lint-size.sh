#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No source file above 800 lines, no function above 100. (In this tree a function's braces stand at the left margin.)
. "${srcdir:-.}/tests/lib.sh"

# lint FILE...: prints each breach, nothing if there is none.
lint() {
	awk '
		FNR == 1 { start = 0 }
		FNR == 801 { print FILENAME ": more than 800 lines" }
		/^{/ { start = FNR }
		/^}/ && start { if (FNR - start - 1 > 100) print FILENAME ":" start ": a function of " FNR - start - 1 " lines"; start = 0 }
	' "$@"
}

{ printf 'int f(void)\n{\n'; seq 101; printf '}\n'; seq 800; } >"$work/long.c"
[ "$(lint "$work/long.c" | wc -l)" = 2 ] || fail "the lint itself is broken"

breaches=$(cd "$srcdir" && lint ./*/*.[ch] ./tests/*/*.c)
[ -z "$breaches" ] || fail "$breaches"
