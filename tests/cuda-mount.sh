#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A mount that decodes ahead on the GPU shows the same bytes, also when the GPU fails at once, in the middle, or has no memory.
. "${srcdir:-.}/tests/lib.sh"
requires_fuse
module=${HYC_CUDA_MODULE:-$builddir/.libs/hyc_cuda.so}
[ -f "$module" ] || skip "this build has no CUDA module (no nvcc)"
export HYC_CUDA_MODULE=$module
"$builddir/checkcuda" --small >/dev/null 2>&1 || skip "there is no CUDA device"

model=${SHARED:+$SHARED/small}
[ -d "$model" ] || model=$TINY
"$HYC" pack -o "$work/lossless.hyc" "$model"
"$HYC" pack --codec=tcq -o "$work/tcq.hyc" "$model"
"$HYC" pack --codec=hyper -o "$work/hyper.hyc" "$model"
for codec in lossless tcq hyper; do
	"$HYC" unpack -C "$work/$codec" "$work/$codec.hyc"
	for broken in "" 1 5 memory; do
		mkdir -p "$work/mnt"
		HYC_CUDA_FAIL=$broken "$HYCFS" -f -o device=cuda,prefetch=all "$work/$codec.hyc" "$work/mnt" 2>"$work/log" &
		daemon=$!
		for _ in $(seq 600); do hyc__mounted "$work/mnt" && break; sleep 0.05; done
		diff -r "$work/$codec" "$work/mnt" || fail "$codec with HYC_CUDA_FAIL='$broken': the bytes differ"
		[ -n "$broken" ] || grep -q '"cuda"' "$work/mnt/.hycfs/stats.json" ||
			fail "$codec: nothing was decoded on the GPU: $(cat "$work/mnt/.hycfs/stats.json")"
		kill -TERM "$daemon"
		wait "$daemon" || fail "$codec with HYC_CUDA_FAIL='$broken': hycfs ended with $?: $(cat "$work/log")"
		n=$(grep -c 'decoding goes on on the processor' "$work/log" || true)
		case $broken in
		[0-9]*) [ "$n" = 1 ] || fail "$codec: $n lines in the log of an error: $(cat "$work/log")" ;;
		"") [ "$n" = 0 ] || fail "$codec: the GPU failed: $(cat "$work/log")" ;;
		esac
	done
	HYC_BACKEND=cuda "$HYC" verify --deep "$work/$codec.hyc" || fail "$codec: HYC_BACKEND=cuda does not verify"
done
