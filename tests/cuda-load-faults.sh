#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hyc_load to a device brings the same bytes where the device's memory is full from the start or gets so: then the processor decodes,
# and one line says so. Where the device itself fails, so does the load, with one sentence. Without a GPU its kernels are emulated.
. "${srcdir:-.}/tests/lib.sh"
[ -z "${HYC_SKIP_SLOW:-}" ] || skip "slow, and done by make check"
export HYC_CUDA_MODULE=${HYC_CUDA_MODULE:-$builddir/.libs/hyc_cuda.so}
"$HYC" pack -o "$work/lossless.hyc" "$TINY"
if [ ! -f "$HYC_CUDA_MODULE" ] || ! "$builddir/checkload" "$work/lossless.hyc" >/dev/null 2>&1; then
	echo "there is no CUDA device; its kernels are emulated"
	HYC_CUDA_MODULE=$work/emulate.so
	emulate_cuda "$HYC_CUDA_MODULE"
fi

"$HYC" pack --codec=tcq -o "$work/tcq.hyc" "$TINY"
"$HYC" pack --codec=hyper -o "$work/hyper.hyc" "$TINY"
# Not all blocks are for the GPU, and all of the last are not.
"$HYC" pack --codec=stored -o "$work/stored.hyc" "$TINY"
for codec in lossless tcq hyper stored; do
	for broken in "" memory memory2 scratch scratch2; do
		HYC_CUDA_FAIL=$broken "$builddir/checkload" "$work/$codec.hyc" "$SEED" 2>"$work/err" ||
			fail "$codec with HYC_CUDA_FAIL='$broken' ended with $?: $(cat "$work/err")"
		lines=$(wc -l <"$work/err")
		case $broken in
		memory | scratch) [ "$lines" = 1 ] && grep -q 'no memory of the device is left' "$work/err" ;;
		"") [ "$lines" = 0 ] ;;
		# Whether so much is asked of it depends on how many threads there are.
		*) [ "$lines" -le 1 ] ;;
		esac || fail "$codec with HYC_CUDA_FAIL='$broken': $lines lines: $(cat "$work/err")"
	done
	expect_fail 2 "the CUDA device failed while it was loaded: " env HYC_CUDA_FAIL=batch "$builddir/checkload" "$work/$codec.hyc" "$SEED"
done

# A damaged block is an error whoever decodes it.
cp "$work/tcq.hyc" "$work/damaged.hyc"
printf '\001\002\003\004\005\006\007' | dd of="$work/damaged.hyc" bs=1 seek=$(($(stat -c %s "$work/tcq.hyc") / 2)) conv=notrunc 2>/dev/null
for broken in "" memory scratch; do
	status=0
	HYC_CUDA_FAIL=$broken "$builddir/checkload" "$work/damaged.hyc" "$SEED" 2>"$work/err" || status=$?
	[ $status = 2 ] && grep -q 'checkload: .*damaged' "$work/err" || fail "damage with HYC_CUDA_FAIL='$broken': status $status: $(cat "$work/err")"
done
