#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hyc.evaluate: a model is 0 away from itself and from its lossless mount, noise moves it, and what is wrong is said in one sentence.
. "${srcdir:-.}/tests/lib.sh"
[ -z "${HYC_SKIP_SLOW:-}" ] || skip "slow, and done by make check"
[ -z "${HYC_SANITIZED:-}" ] || skip "Python code, which no sanitizer looks into"
"$PYTHON" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "transformers"))))' 2>/dev/null ||
	skip "needs torch and transformers for $PYTHON"
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$srcdir/python" TMPDIR=$work
evaluate="$PYTHON -m hyc.evaluate"

head -c 30000 "$srcdir/doc/format.md" >"$work/format.txt"
cp "$srcdir/COPYING" "$work/licence.txt"
mkdir "$work/same"
cp "$TINY"/* "$work/same"
chmod u+w "$work/same"/*
"$PYTHON" "$srcdir/tests/python-evaluate.py" damage "$TINY" "$work" "$SEED" || fail "cannot make the damaged models"

# Bad paths and bad models, one sentence each; bad usage is told apart.
# shellcheck disable=SC2086
{
	expect_fail 1 "no-such-model: no such directory" $evaluate "$TINY" "$work/no-such-model" --text "$work/format.txt"
	expect_fail 1 "$work: no config.json in it" $evaluate "$work" "$TINY" --text "$work/format.txt"
	expect_fail 1 "no-such-text: no such text file" $evaluate "$TINY" "$work/same" --text "$work/no-such-text"
	expect_fail 1 "no directory this user may write to" $evaluate "$TINY" "$work/same" --text "$work/format.txt" --json "$work/none/a.json"
	printf 'caf\351 au lait' >"$work/latin1.txt"
	expect_fail 1 "latin1.txt: not UTF-8 text" $evaluate "$TINY" "$work/same" --text "$work/latin1.txt"
	: >"$work/empty.txt"
	expect_fail 1 "empty.txt: too short" $evaluate "$TINY" "$work/same" --text "$work/empty.txt"
	expect_fail 1 "fewer than a window of 4096" $evaluate "$TINY" "$work/same" --text "$work/format.txt" --tokens 64 --window 4096
	expect_fail 1 "broken: cannot be loaded" $evaluate "$TINY" "$work/broken" --text "$work/format.txt" --tokens 64
	expect_fail 1 "incomplete: 1 weights are missing" $evaluate "$TINY" "$work/incomplete" --text "$work/format.txt" --tokens 64
	expect_fail 1 "infinite: its predictions" $evaluate "$TINY" "$work/infinite" --text "$work/format.txt" --tokens 64
	for wrong in "--tokens 0" "--bpw same" "--bpw other=4" "--threads none"; do
		status=0
		$evaluate "$TINY" "$work/same" --text "$work/format.txt" $wrong >/dev/null 2>"$work/.stderr" || status=$?
		[ $status = 2 ] || fail "$wrong: exit status $status, wanted 2"
	done
}
[ -z "$(find "$work" -name 'hyc-evaluate-*')" ] || fail "a temporary file was left behind"

# The measure itself, with the reference's logits kept and, in a second run, computed again.
mounted=()
if (requires_fuse); then
	"$HYC" pack --progress=never -o "$work/tiny.hyc" "$TINY"
	mount_hyc "$work/tiny.hyc" "$work/mounted"
	mounted=("$work/mounted")
fi
for scratch in 1G 0; do
	# shellcheck disable=SC2086
	$evaluate "$TINY" "$work/same" "$work/slight" "$work/strong" "${mounted[@]}" --text "$work/format.txt" "$work/licence.txt" \
		--tokens 900 --window 256 --threads 1 --scratch $scratch --bpw slight=6.5 --json "$work/$scratch.json" >"$work/$scratch.table" ||
		fail "exit status $? with --scratch $scratch"
done
cat "$work/1G.table"
cmp "$work/1G.table" "$work/0.table" || fail "the table depends on where the reference's logits come from"
"$PYTHON" "$srcdir/tests/python-evaluate.py" check "$work/1G.json" "$work/0.json" "$TINY" ${mounted:+mounted} || fail "see above"

if "$PYTHON" -c 'import matplotlib' 2>/dev/null; then
	# shellcheck disable=SC2086
	$evaluate "$TINY" "$work/same" "$work/strong" --text "$work/format.txt" --tokens 64 --plot "$work/kl.png" >/dev/null || fail "--plot failed"
	[ "$(head -c 4 "$work/kl.png" | tail -c 3)" = PNG ] || fail "--plot wrote no PNG"
fi
