#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checkpoints as torch writes and wrote them: packed, unpacked, mounted, loaded in all the ways torch has. Coded with loss, the checksums in the
# file are those of what is shown. Then a file of more than 4 GiB.
. "${srcdir:-.}/tests/lib.sh"
"$PYTHON" -c 'import torch, numpy' 2>/dev/null || skip "needs a $PYTHON with torch and numpy"
requires unzip

src=$work/src
"$PYTHON" -W ignore "$srcdir/tests/make_torch.py" matrix "$src"
for codec in lossless stored; do
	rm -rf "$work/out"
	"$HYC" pack --codec=$codec -o "$work/$codec.hyc" "$src" 2>"$work/notes"
	[ "$(cat "$work/notes")" = "hyc: $src/complex128.bin: its tensors are not listed: a tensor has a dtype that cannot be listed" ] ||
		fail "--codec=$codec says: $(cat "$work/notes")"
	"$HYC" unpack -C "$work/out" "$work/$codec.hyc"
	diff -r "$src" "$work/out" || fail "--codec=$codec does not give the files back"
	"$HYC" verify --deep --source="$src" "$work/$codec.hyc"
done
for file in "$work"/out/*.bin "$work"/out/*.p*; do
	case $file in
	*/legacy* | */tokenizer* | */crc0* | *.json) ;;
	*) unzip -tqq "$file" || fail "unzip does not take $file" ;;
	esac
done
"$HYC" ls --tensors --json "$work/lossless.hyc" >"$work/lossless.json"
"$PYTHON" "$srcdir/tests/pack-torch.py" listed "$src" "$work/lossless.json"

# Storages are worth more than bytes also where their tensors have no names.
packed() {
	"$HYC" pack -o "$work/one.hyc" "$1" >/dev/null
	stat -c %s "$work/one.hyc"
}
for name in optimizer.pt arrays.npz; do
	cp "$src/$name" "$work/plain.dat"
	[ "$(packed "$src/$name")" -lt "$(packed "$work/plain.dat")" ] || fail "$name is not taken for floats"
done

mkdir "$work/model"
"$PYTHON" "$srcdir/tests/make_torch.py" model "$work/model"
"$HYC" pack --codec=tcq --bpw=5 --keep=kept -o "$work/tcq.hyc" "$work/model"
"$HYC" unpack -C "$work/lossy" "$work/tcq.hyc"
"$PYTHON" "$srcdir/tests/pack-torch.py" lossy "$work/model" "$work/lossy"
"$HYC" pack -j 3 --codec=tcq --bpw=5 --keep=kept -o "$work/again.hyc" "$work/model"
cmp "$work/tcq.hyc" "$work/again.hyc" || fail "the archive depends on the threads"
# Any name of a tied weight keeps it.
"$HYC" pack --codec=tcq --bpw=5 --keep=head -o "$work/head.hyc" "$work/model/pytorch_model.bin"
"$HYC" ls --tensors "$work/head.hyc" | grep -q '^embed .*float' || fail "--keep=head does not keep the weight it shares"
"$HYC" pack --codec=hyper -o "$work/hyper.hyc" "$work/model/pytorch_model.bin"
"$HYC" unpack -C "$work/hyper" "$work/hyper.hyc"
unzip -tqq "$work/hyper/pytorch_model.bin" || fail "checksums are wrong after hyper"

if [ -z "${HYC_SKIP_SLOW:-}${HYC_SANITIZED:-}" ]; then
	mkdir "$work/big"
	"$PYTHON" "$srcdir/tests/make_torch.py" sparse "$work/big"
	[ "$(stat -c %s "$work/big/big.bin")" -gt $((1 << 32)) ] || fail "the big file is not big"
	"$HYC" pack -j 2 -o "$work/big.hyc" "$work/big" 2>"$work/notes"
	[ ! -s "$work/notes" ] || fail "big.bin: $(cat "$work/notes")"
	"$HYC" ls --tensors "$work/big.hyc" | grep -q '^big .*1073742824' || fail "the big tensor is not listed"
	"$HYC" verify --deep "$work/big.hyc"
fi

requires_fuse
mount_hyc "$work/lossless.hyc" "$work/mnt"
diff -r "$src" "$work/mnt" || fail "the mount does not show the files"
"$PYTHON" -W ignore "$srcdir/tests/pack-torch.py" same "$src" "$work/mnt"
umount_hyc "$work/mnt"
mount_hyc "$work/tcq.hyc" "$work/mnt"
"$PYTHON" "$srcdir/tests/pack-torch.py" lossy "$work/model" "$work/mnt"
umount_hyc "$work/mnt"
