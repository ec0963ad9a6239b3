#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every float32 value that the codec hyper reconstructs is that of the published algorithm, by code that shares nothing.
. "${srcdir:-.}/tests/lib.sh"
"$PYTHON" -c 'import numpy' 2>/dev/null || skip "needs numpy for $PYTHON"
[ -x "$builddir/check-hyper" ] || fail "check-hyper is not built"

# compare WHAT [OPTION...]: WHAT are the oracle's file arguments, separated by spaces.
compare() {
	local oracle=$srcdir/tests/hyper_oracle.py what
	echo "== $*"
	read -ra what <<<"$1"
	"$PYTHON" -B "$oracle" compare --seed="$SEED" "${@:2}" "$builddir/check-hyper" "${what[@]}" >"$work/log" ||
		{ cat "$work/log"; fail "the codec and the published algorithm differ"; }
	tail -n 1 "$work/log"
}

for nodes in 225 1600; do
	compare "random shapes" --nodes=$nodes
	compare "$TINY/model.safetensors" --nodes=$nodes
done
# MobileNetV3's own settings, and others: sides, classes, thresholds that are never or always met, short blocks.
compare shapes --side=0.8 --classes=4 --limit=1
compare "random shapes" --side=0.05 --nodes=400 --classes=10 --threshold=0 --limit=1000 --block=1000
compare "random shapes" --side=0.33 --nodes=4095 --classes=1 --threshold=1 --limit=1000
compare random --nodes=4 --side=3 --classes=2 --limit=1000
# 26 million values, each compared with the nearest of 1,601 nodes, take minutes.
[ -z "$SHARED" ] || [ -n "${HYC_SKIP_SLOW:-}${HYC_SANITIZED:-}" ] || for nodes in 225 1600; do
	compare "$(echo "$SHARED"/small/*.safetensors)" --nodes=$nodes
done
