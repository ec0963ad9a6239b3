#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The help of each program and verb and its man page list the same options, and the bash completion can read the help.
. "${srcdir:-.}/tests/lib.sh"

same() {
	diff "$work/help" "$work/man" >"$work/diff" || fail "$1: --help (<) and man page (>) differ: $(cat "$work/diff")"
}

# The options that a help shows at the start of a line, or of a man page's list item ("Fl -name" in mdoc).
help_options() {
	sed -n 's/^  \(-., \|    \)\{0,1\}\(--[a-z][a-z_-]*\).*/\2/p' | sort -u
}
man_options() {
	sed -n '/^\.It .*Fl -/s/^.*Fl -\([a-z][a-z_-]*\).*/--\1/p' | sort -u
}

"$HYC" --help >"$work/text"
verbs=$(sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' "$work/text")
[ "$(echo "$verbs" | wc -l)" -ge 7 ] || fail "cannot read the verbs from hyc --help"
help_options <"$work/text" >"$work/help"
sed '/^\.Ss pack/q' "$srcdir/man/hyc.1" | man_options >"$work/man"
[ "$(cat "$work/help")" = "$(printf '%s\n' --help --version)" ] || fail "hyc --help lacks options: $(cat "$work/help")"
same hyc
diff <(echo "$verbs") <(sed -n 's/^\.Ss //p' "$srcdir/man/hyc.1") || fail "hyc --help (<) and man page (>) differ in verbs"

for verb in $verbs; do
	"$HYC" "$verb" --help >"$work/text"
	help_options <"$work/text" | grep -v -x -e --help -e --version >"$work/help" || :
	[ -s "$work/help" ] || fail "hyc $verb --help shows no options"
	sed "1,/^\.Ss $verb\$/d" "$srcdir/man/hyc.1" | sed '/^\.S[sh] /,$d' >"$work/section"
	man_options <"$work/section" >"$work/man"
	same "hyc $verb"
	# Short options and the names of values are the same, too.
	sed -n 's/^  -\(.\), --.*/\1/p' "$work/text" | grep -v -x '[hV]' | sort >"$work/help" || :
	sed -n 's/^\.It Fl \([a-zA-Z]\) .*/\1/p' "$work/section" | sort >"$work/man"
	same "hyc $verb (short options)"
	sed -n 's/^  .*--\([a-z]*=[^ ]*\).*/\1/p' "$work/text" | sort >"$work/help"
	sed -n 's/^\.It .*Fl -\([a-z]*\) Ns = Ns \(Ar\|Cm\) \(.*\)/\1=\3/p' "$work/section" | tr -d ' ' | sort >"$work/man"
	same "hyc $verb (values)"
done

"$HYCFS" --help >"$work/text"
sed -n 's/^  -., \(--[a-z]*\).*/\1/p' "$work/text" | sort -u >"$work/help"
man_options <"$srcdir/man/hycfs.1" >"$work/man"
same hycfs
sed -n '/^OPTIONS:/,/^Taken/s/^  \([a-z_]*\)\(=[A-Z]*\)\{0,1\} .*/\1\2/p' "$work/text" | sort >"$work/help"
[ -s "$work/help" ] || fail "cannot read the mount options from hycfs --help"
sed -n 's/^\.It Cm \([a-z_]*\)\(=[A-Z]*\)\{0,1\}$/\1\2/p' "$srcdir/man/hycfs.1" | sort >"$work/man"
same "hycfs -o"

# What the completion offers comes from --help at run time; here only that it still can read it.
if command -v mapfile >/dev/null; then
	mkdir "$work/bin"
	ln -s "$HYC" "$work/bin/hyc"
	ln -s "$HYCFS" "$work/bin/hycfs"
	# complete WORD...: what bash would offer for the last word.
	offered() {
		PATH=$work/bin:$PATH bash -c '
			complete() { :; }
			compopt() { :; }
			. "$1"; shift
			COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
			"_$1"
			printf "%s\n" "${COMPREPLY[@]}"' _ "$srcdir/completions/$1" "$@" | sort | tr '\n' ' '
	}
	offers() {
		local want=$1
		shift
		[ "$(offered "$@")" = "$want " ] || fail "completion of '$*' is '$(offered "$@")', wanted '$want'"
	}
	"$HYC" pack "$TINY" -o "$work/a.hyc" >/dev/null
	offers unpack hyc un
	offers lossless hyc pack --codec = l
	offers "original" hyc ls --view = o
	offers "--help --length= --offset= --version --view=" hyc cat x.hyc --
	offers model.safetensors hyc cat "$work/a.hyc" model
	offers cache= hycfs -o ca
	offers noatime,timeout= hycfs -o noatime,ti
fi

if command -v mandoc >/dev/null; then
	for page in hyc.1 hycfs.1 hyc.5; do
		mandoc -T lint -W warning "$srcdir/man/$page" >"$work/lint" || fail "man/$page: $(cat "$work/lint")"
	done
fi
