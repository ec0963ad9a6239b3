#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hyc.load_file and hyc.safe_open bring the tensors safetensors reads from the unpacked files, lossless and lossy, on the processor
# and, where there is one, on the GPU; damage is an error and no tensor.
. "${srcdir:-.}/tests/lib.sh"
[ -z "${HYC_SANITIZED:-}" ] || skip "Python code, which no sanitizer looks into"
"$PYTHON" -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("torch", "transformers", "safetensors", "tqdm"))))' 2>/dev/null ||
	skip "needs torch, transformers, safetensors and tqdm for $PYTHON"
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$srcdir/python" HYC_LIBRARY="$builddir/.libs/libhyc.so.0"
[ -z "${HYC_CUDA_MODULE:-}" ] && [ -f "$builddir/.libs/hyc_cuda.so" ] && export HYC_CUDA_MODULE="$builddir/.libs/hyc_cuda.so"

devices=cpu
"$PYTHON" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null && [ -n "${HYC_CUDA_MODULE:-}" ] && devices="cpu cuda"

"$HYC" pack -o "$work/lossless.hyc" "$TINY"
"$HYC" pack --codec=tcq --bpw=4 -o "$work/tcq.hyc" "$TINY" || fail "cannot pack with tcq"
"$HYC" pack --codec=hyper -o "$work/hyper.hyc" "$TINY" || fail "cannot pack with hyper"
for codec in lossless tcq hyper; do
	"$HYC" unpack -C "$work/$codec" "$work/$codec.hyc"
	for device in $devices; do
		timeout 300 "$PYTHON" "$srcdir/tests/python-load.py" "$work/$codec.hyc" "$work/$codec" "$device" "$SEED" 2>"$work/.err" ||
			{ cat "$work/.err" >&2; fail "$codec on $device: see above"; }
	done
done

# A block with another byte in it.
size=$(stat -c %s "$work/lossless.hyc")
cp "$work/lossless.hyc" "$work/damaged.hyc"
printf '\001\002\003\004\005\006\007' | dd of="$work/damaged.hyc" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
for device in $devices; do
	"$PYTHON" -c "
import sys, hyc
try:
    hyc.load_file('$work/damaged.hyc', device='$device')
except hyc.Failure as e:
    sys.exit('damaged' not in str(e))
sys.exit('damage was not seen')" || fail "a damaged archive was loaded on $device"
done
