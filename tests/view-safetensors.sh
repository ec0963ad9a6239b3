#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tensors that are parts of storages, tied, empty, in shards and with names of all sorts, shown in either container.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse
"$PYTHON" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "safetensors"))))' 2>/dev/null ||
	skip "needs torch and safetensors for $PYTHON"
check() {
	timeout 300 "$PYTHON" "$srcdir/tests/view_check.py" "$@" 2>"$work/.check" || fail "view_check.py $*: $(tail -n 12 "$work/.check")"
}
# listed ARCHIVE VIEW FILE...: the view has these files, and no other that looks like weights.
listed() {
	"$HYC" ls --json --view="$2" "$1" | "$PYTHON" -c 'import json, sys
got = [f["path"] for f in json.load(sys.stdin) if f["type"] == "file"]
assert got == sorted(sys.argv[1:]), got' "${@:3}" || fail "$1: not the files of view=$2"
}

mkdir "$work/views"
"$PYTHON" "$srcdir/tests/view_archives.py" views "$work/views"

listed "$work/views/model.hyc" bin pytorch_model.bin
listed "$work/views/model.hyc" safetensors model.safetensors
listed "$work/views/pytorch_model.hyc" safetensors model.safetensors
listed "$work/views/pytorch_model.hyc" both model.safetensors pytorch_model.bin
listed "$work/views/old.hyc" safetensors old.safetensors
listed "$work/views/old.hyc" bin old.pt
torch_shards=(sub/pytorch_model.fp16-0000{1,2}-of-00002.bin sub/pytorch_model.bin.index.fp16.json)
shards=(sub/model.fp16-0000{1,2}-of-00002.safetensors sub/model.safetensors.index.fp16.json)
rest=(config.json sub/other.json)
for archive in sharded-model sharded-pytorch_model; do
	listed "$work/views/$archive.hyc" bin "${torch_shards[@]}" "${rest[@]}"
	listed "$work/views/$archive.hyc" safetensors "${shards[@]}" "${rest[@]}"
	listed "$work/views/$archive.hyc" both "${torch_shards[@]}" "${shards[@]}" "${rest[@]}"
done

for archive in model:bin:pytorch_model.bin pytorch_model:safetensors:model.safetensors old:both:old.safetensors; do
	IFS=: read -r name view file <<<"$archive"
	mount_hyc "$work/views/$name.hyc" "$work/$name" -o view="$view"
	check built 0 "$work/$name/$file"
	umount_hyc "$work/$name"
done
mount_hyc "$work/views/sharded-model.hyc" "$work/a" -o view=bin
check built 1 "$work/a/${torch_shards[0]}" "$work/a/${torch_shards[1]}"
check weight-map "$work/a/sub" pytorch_model.bin.index.fp16.json
mount_hyc "$work/views/sharded-pytorch_model.hyc" "$work/b" -o view=safetensors
check built 1 "$work/b/${shards[0]}" "$work/b/${shards[1]}"
check weight-map "$work/b/sub" model.safetensors.index.fp16.json

# A file is as old as the one it is made from, and as readable.
[ "$(stat -c '%a %Y' "$work/b/${shards[0]}")" = "640 1700000000" ] || fail "mode or mtime: $(stat "$work/b/${shards[0]}")"
