#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A GGUF file written by the gguf package comes back; its floats are tensors and take less room.
. "${srcdir:-.}/tests/lib.sh"
"$PYTHON" -c 'import torch, gguf' 2>/dev/null || skip "needs a $PYTHON with torch and gguf"

"$PYTHON" "$srcdir/tests/make_torch.py" gguf "$work/src"
"$HYC" pack -o "$work/a.hyc" "$work/src" 2>"$work/notes"
[ ! -s "$work/notes" ] || fail "$(cat "$work/notes")"
"$HYC" unpack -C "$work/out" "$work/a.hyc"
cmp "$work/src/model.gguf" "$work/out/model.gguf" || fail "the file does not come back"
"$HYC" verify --deep --source="$work/src" "$work/a.hyc"
"$HYC" ls --tensors --json "$work/a.hyc" >"$work/list.json"
"$PYTHON" - "$work/list.json" <<'EOF'
import json, sys
got = {t["name"]: t for t in json.load(open(sys.argv[1]))}
assert {n: (t["dtype"], t["shape"]) for n, t in got.items()} == {
    "f32.weight": ("F32", [64, 96]), "f16.weight": ("F16", [64, 33]), "norm": ("F32", [64]), "bf16.weight": ("BF16", [300, 200])}, got
assert got["bf16.weight"]["stored_bytes"] < 0.8 * got["bf16.weight"]["bytes"] and got["f32.weight"]["stored_bytes"] < 0.95 * got["f32.weight"]["bytes"]
EOF
