#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Packed from torch's files, mounted with view=safetensors: safetensors and transformers take them, and the tensors are the same.
. "${srcdir:-.}/tests/lib.sh"
[ -z "${HYC_SKIP_SLOW:-}" ] || skip "slow, and done by make check"
requires_fuse
"$PYTHON" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "safetensors", "transformers"))))' 2>/dev/null ||
	skip "needs torch, safetensors and transformers for $PYTHON"
export HF_HUB_OFFLINE=1
check() {
	timeout 300 "$PYTHON" "$srcdir/tests/view_check.py" "$@" 2>"$work/.check" || fail "view_check.py $*: $(tail -n 12 "$work/.check")"
}

mkdir "$work/torch"
check torch "$work/torch" "$TINY"
cp "$TINY"/*.json "$work/torch/whole"
cp "$TINY"/*.json "$work/torch/sharded"
for model in whole sharded odd legacy; do
	for codec in lossless tcq; do
		case $model-$codec in odd-tcq | legacy-tcq | sharded-tcq) continue ;; esac
		name=$model-$codec
		"$HYC" pack --codec=$codec -o "$work/$name.hyc" "$work/torch/$model" 2>/dev/null
		mount_hyc "$work/$name.hyc" "$work/$name" -o view=safetensors
		mount_hyc "$work/$name.hyc" "$work/$name-original"
		! ls "$work/$name" | grep -E '\.(bin|pt|pth)' || fail "$name: torch's files are not hidden"
		check tensors "$work/$name-original" "$work/$name"
		[ $codec = tcq ] || diff -r "$work/torch/$model" "$work/$name-original"
		[ $model != sharded ] || check weight-map "$work/$name" model.safetensors.index.json
		[ ! -e "$work/$name/config.json" ] || check model "$work/$name-original" "$work/$name"
		umount_hyc "$work/$name"
		umount_hyc "$work/$name-original"
	done
done

# There and back: what a view shows is a checkpoint like any other.
"$HYC" pack -o "$work/tiny.hyc" "$TINY" 2>/dev/null
"$HYC" unpack --view=bin "$work/tiny.hyc" -C "$work/tiny-bin"
"$HYC" pack -o "$work/back.hyc" "$work/tiny-bin" 2>/dev/null
"$HYC" unpack --view=safetensors "$work/back.hyc" -C "$work/back"
check tensors "$TINY" "$work/back"
[ "$(cd "$work/back" && echo *)" = "$(cd "$TINY" && echo *)" ] || fail "there and back: $(ls "$work/back")"
