#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# lm_eval scores a lossless mount as it scores the plain directory, to the last bit, and a damaged copy otherwise.
. "${srcdir:-.}/tests/lib.sh"
[ -z "${HYC_SKIP_SLOW:-}" ] || skip "slow, and done by make check"
requires_fuse
"$PYTHON" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "transformers", "lm_eval"))))' 2>/dev/null ||
	skip "needs torch, transformers and lm_eval for $PYTHON (bench/requirements.txt)"
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 HF_HOME=$work/huggingface TMPDIR=$work

"$HYC" pack --progress=never -o "$work/tiny.hyc" "$TINY"
mount_hyc "$work/tiny.hyc" "$work/mounted"
mkdir "$work/same"
cp "$TINY"/* "$work/same"
chmod u+w "$work/same"/*
"$PYTHON" "$srcdir/tests/python-evaluate.py" damage "$TINY" "$work" "$SEED" || fail "cannot make the damaged models"

scores() {
	timeout 600 "$PYTHON" "$srcdir/bench/lm_eval/run.py" --equal --text "$srcdir/doc/format.md" --limit 16 "$TINY" "$1" 2>"$work/stderr"
}
scores "$work/mounted" || fail "the mount: $(tail -n 3 "$work/stderr")"
if scores "$work/strong"; then
	fail "a model with noise has the same scores, so they say nothing"
fi
grep -q "its scores are not those of" "$work/stderr" || fail "the model with noise: $(tail -n 3 "$work/stderr")"
