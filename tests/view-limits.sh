#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a view refuses or leaves as it is; files beyond 4 GiB and beyond 65535 records; hostile indices.
. "${srcdir:-.}/tests/lib.sh"
mkdir "$work/r"
"$PYTHON" "$srcdir/tests/view_archives.py" refused "$work/r"
"$PYTHON" "$srcdir/tests/view_archives.py" many "$work/many.hyc"

files() {
	(ulimit -v $((${HYC_SANITIZED:+1} + 0 ? 1 << 40 : 2 << 20)) && exec timeout 120 "$HYC" ls --json --view="$2" "$1") >"$work/files" || fail "hyc ls --view=$2 $1"
	"$PYTHON" -c 'import json, sys; print(*(f["path"] for f in json.load(sys.stdin)))' <"$work/files"
}
for case in name-not-utf8 name-surrogate name-metadata strided dims-beyond-int64 dims-product-beyond-int64 no-tensors two-ends unreadable-shard \
	name-too-long six-bits half-bytes-odd element index-exists; do
	for view in safetensors bin both; do
		[ "$(files "$work/r/$case.hyc" $view)" = "$(files "$work/r/$case.hyc" original)" ] || fail "$case, view=$view: $(files "$work/r/$case.hyc" $view)"
	done
done
[ "$(files "$work/r/good.hyc" safetensors)" = model.safetensors ] || fail "good: $(files "$work/r/good.hyc" safetensors)"
[ "$(files "$work/r/both-there.hyc" safetensors)" = model.safetensors ] || fail "both-there, safetensors"
[ "$(files "$work/r/both-there.hyc" bin)" = pytorch_model.bin ] || fail "both-there, bin"
[ "$(files "$work/r/both-there.hyc" both)" = "model.safetensors pytorch_model.bin" ] || fail "both-there, both"
[ "$(files "$work/r/half-bytes.hyc" bin)" = pytorch_model.bin ] || fail "half-bytes"
for verb in ls unpack; do
	for view in safetensors both; do
		expect_fail 1 "view=$view would show a file model.safetensors, and there is another one of that name; pack the model without it" \
			"$HYC" $verb --view=$view "$work/r/target-exists.hyc"
	done
	[ ! -e "$work/r/target-exists" ] || fail "unpack left something behind"
done
"$HYC" ls --view=bin "$work/r/target-exists.hyc" >/dev/null
# Who lists, reads or unpacks is told why something stays, in one line and beside what was asked for.
for verb in "ls --json" "cat --length=1" "unpack -C $work/out"; do
	# shellcheck disable=SC2086
	"$HYC" $verb --view=safetensors "$work/r/index-exists.hyc" $([[ $verb != cat* ]] || echo model.safetensors.index.json) >"$work/stdout" 2>"$work/stderr" ||
		fail "hyc $verb: $(cat "$work/stderr")"
	[ "$(grep -c "^hyc: .*pytorch_model-00001-of-00001.bin stays as it is with view=safetensors: its shards would need an index.json" "$work/stderr")" = 1 ] ||
		fail "hyc $verb does not say why: $(cat "$work/stderr")"
done
"$HYC" ls --view=safetensors "$work/r/good.hyc" 2>"$work/stderr" >/dev/null
[ ! -s "$work/stderr" ] || fail "there is nothing to say of good: $(cat "$work/stderr")"
expect_fail 2 "--view cannot be 'gguf', only original|safetensors|bin|both" "$HYC" ls --view=gguf "$work/r/good.hyc"
# Its headers would take 330 MB; some of the files are shown, the rest stays.
[ "$(files "$work/r/header-bomb.hyc" safetensors | tr ' ' '\n' | grep -c '^[0-9][0-9]\.')" = 40 ] || fail "header-bomb"
[ "$(files "$work/many.hyc" bin)" = pytorch_model.bin ] || fail "many"

requires_fuse
"$PYTHON" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "safetensors"))))' 2>/dev/null ||
	skip "what needs no torch passed; the rest needs torch and safetensors for $PYTHON"
check() {
	timeout 300 "$PYTHON" "$srcdir/tests/view_check.py" "$@" 2>"$work/.check" || fail "view_check.py $*: $(tail -n 12 "$work/.check")"
}
blocks_decoded() {
	"$PYTHON" -c 'import json, sys; print(sum(n for c in json.load(open(sys.argv[1]))["blocks_decoded"].values() for n in c.values()))' \
		"$1/.hycfs/stats.json"
}
# The reason why something stays is told by who mounts.
mount_hyc "$work/r/name-metadata.hyc" "$work/mnt" -o view=safetensors
grep -q "pytorch_model.bin stays as it is with view=safetensors: a tensor is named __metadata__" "$work/mnt/.hycfs/log" || fail "no word of it in the log"
umount_hyc "$work/mnt"
mount_hyc "$work/r/half-bytes.hyc" "$work/mnt" -o view=bin
check zip "$work/mnt/pytorch_model.bin"
umount_hyc "$work/mnt"
mount_hyc "$work/many.hyc" "$work/mnt" -o view=bin
check big "$work/mnt/pytorch_model.bin" t69999 49 49
umount_hyc "$work/mnt"

"$PYTHON" "$srcdir/tests/view_archives.py" big "$work/big.hyc"
mount_hyc "$work/big.hyc" "$work/mnt" -o view=both
stat -c %s "$work/mnt"/* >/dev/null
: <"$work/mnt/pytorch_model.bin"
[ "$(blocks_decoded "$work/mnt")" = 0 ] || fail "stat and open took $(blocks_decoded "$work/mnt") decoded blocks"
# What reads the heads only may get some data from the kernel's read-ahead.
check zip "$work/mnt/pytorch_model.bin"
block=16777216
check big "$work/mnt/pytorch_model.bin" a.big 5 $((256 * block + 17)) $((5 * block))
check big "$work/mnt/pytorch_model.bin" d.last 3 $((3 * block - 1))
[ "$(blocks_decoded "$work/mnt")" -lt 20 ] || fail "4 bytes took $(blocks_decoded "$work/mnt") decoded blocks"
