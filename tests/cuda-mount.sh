#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A mount that decodes ahead on the GPU shows the same bytes, also when the GPU fails at once, in the middle, or its memory is
# full: then one line is logged. Without a GPU its kernels are emulated.
. "${srcdir:-.}/tests/lib.sh"
[ -z "${HYC_SKIP_SLOW:-}" ] || skip "slow, and done by make check"
requires_fuse
export HYC_CUDA_MODULE=${HYC_CUDA_MODULE:-$builddir/.libs/hyc_cuda.so}
model=${SHARED:+$SHARED/small}
[ -d "$model" ] || model=$TINY
if [ ! -f "$HYC_CUDA_MODULE" ] || ! "$builddir/checkcuda" --small >/dev/null 2>&1; then
	echo "there is no CUDA device; its kernels are emulated"
	HYC_CUDA_MODULE=$work/emulate.so
	emulate_cuda "$HYC_CUDA_MODULE"
	model=$TINY
fi

"$HYC" pack -o "$work/lossless.hyc" "$model"
"$HYC" pack --codec=tcq -o "$work/tcq.hyc" "$model"
"$HYC" pack --codec=hyper -o "$work/hyper.hyc" "$model"
mkdir "$work/mnt"
hyc__mounts+=("$work/mnt")
for codec in lossless tcq hyper; do
	"$HYC" unpack -C "$work/$codec" "$work/$codec.hyc"
	for broken in "" batch batch5 memory2 scratch scratch3; do
		HYC_CUDA_FAIL=$broken "$HYCFS" -f -o device=cuda,prefetch=all "$work/$codec.hyc" "$work/mnt" 2>"$work/log" &
		daemon=$!
		wait_mounted "$work/mnt" $daemon
		wait_ahead "$work/mnt"
		diff -r "$work/$codec" "$work/mnt" || fail "$codec with HYC_CUDA_FAIL='$broken': the bytes differ"
		[ -n "$broken" ] || grep -q '"cuda"' "$work/mnt/.hycfs/stats.json" ||
			fail "$codec: nothing was decoded on the GPU: $(cat "$work/mnt/.hycfs/stats.json")"
		kill -TERM "$daemon"
		wait "$daemon" || fail "$codec with HYC_CUDA_FAIL='$broken': hycfs ended with $?: $(cat "$work/log")"
		lines=$(grep -c 'CUDA' "$work/log" || true)
		case $broken in
		batch) [ "$lines" = 1 ] && grep -q 'decoding goes on on the processor' "$work/log" ;;
		scratch) [ "$lines" = 1 ] && grep -q 'no memory of the device is left' "$work/log" ;;
		"") [ "$lines" = 0 ] ;;
		# Whether so much is asked of it depends on how many threads get how far ahead.
		*) [ "$lines" -le 1 ] ;;
		esac || fail "$codec with HYC_CUDA_FAIL='$broken': $lines lines about it in the log: $(cat "$work/log")"
	done
done

# What is full before anything is decoded is told at once.
expect_fail 1 "there is no memory for a batch" env HYC_CUDA_FAIL=memory "$HYCFS" -f -o device=cuda "$work/tcq.hyc" "$work/mnt"

for codec in lossless tcq hyper; do
	HYC_BACKEND=cuda "$HYC" verify --deep "$work/$codec.hyc" || fail "$codec: HYC_BACKEND=cuda does not verify"
done
