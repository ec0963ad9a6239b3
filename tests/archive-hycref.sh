#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The reference decoder, which shares no code with the C one, gets the same bytes out of fresh archives.
. "${srcdir:-.}/tests/lib.sh"
"$PYTHON" -c 'import numpy' 2>/dev/null || skip "needs numpy for $PYTHON"
ref=$srcdir/python/hyc/hycref.py

# same NAME SOURCE [OPTION...]: packs SOURCE and compares sources, hyc unpack, hyc ls and the reference decoder.
same() {
	local name=$1 source=$2
	shift 2
	"$HYC" pack "$@" -o "$work/$name.hyc" "$source"
	"$PYTHON" "$ref" --unpack "$work/$name.ref" "$work/$name.hyc" >"$work/$name.digests" || fail "hycref refuses $name"
	[[ "$*" == *tcq* || "$*" == *hyper* ]] || diff -r "$source" "$work/$name.ref" || fail "hycref and the source of $name differ"
	"$HYC" unpack -C "$work/$name.c" "$work/$name.hyc"
	diff -r "$work/$name.c" "$work/$name.ref" || fail "hycref and hyc differ on $name"
	"$HYC" ls --json "$work/$name.hyc" | "$PYTHON" -B "$srcdir/tests/golden/digests.py" | sort >"$work/$name.ls"
	sort "$work/$name.digests" | diff "$work/$name.ls" - || fail "hyc ls and hycref name other digests for $name"
	echo "$name: $(wc -l <"$work/$name.digests") files agree"
}

same tiny "$TINY"
same stored "$TINY" --codec=stored
same tcq "$TINY" --codec=tcq --bpw=3
same hyper "$TINY" --codec=hyper
"$PYTHON" -B "$srcdir/tests/bad/make_bad.py" "$work/bad"
for archive in "$work"/bad/good*.hyc; do
	"$HYC" verify --deep "$archive" >/dev/null || fail "hyc refuses $archive"
done
# It agrees on what is an archive, too. What hashes vouch for here are the bytes, since both compute them.
"$PYTHON" -B - "$srcdir/python/hyc" "$work/bad" <<'END' >"$work/verdicts" || fail "$(tail -n 3 "$work/verdicts")"
import contextlib, io, sys
sys.path.insert(0, sys.argv[1])
import hycref
wrong = n = 0
for line in open(sys.argv[2] + "/cases"):
    name, stage, _ = line.split("\t")
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        try:
            status = hycref.main([f"{sys.argv[2]}/{name}.hyc"])
        except SystemExit as refusal:
            status = refusal.code
    if bool(status) != (stage != "good"):
        print(f"hycref {'refuses' if status else 'takes'} {name} ({stage})")
        wrong += 1
    n += 1
print(f"bad: hycref agrees on {n - wrong} of {n} archives")
sys.exit(wrong > 0)
END
cat "$work/verdicts"
