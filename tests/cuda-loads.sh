#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The CUDA module loads on any machine, exports one symbol, needs no toolkit and no driver, and says what is missing: the driver, a
# newer one, a GPU. device=cuda ends there, device=auto serves.
. "${srcdir:-.}/tests/lib.sh"
module=$builddir/.libs/hyc_cuda.so
[ -f "$module" ] || skip "this build has no CUDA module (no nvcc)"
export HYC_CUDA_MODULE=$module

# served WHAT CMD...: a mount by CMD shows what was packed, and its log gets one line of WHAT, or none if that is empty.
served() {
	local what=$1 daemon
	shift
	"$@" "$HYCFS" -f -o "device=auto,prefetch=all" "$work/tiny.hyc" "$work/mnt" 2>"$work/log" &
	daemon=$!
	wait_mounted "$work/mnt" $daemon
	wait_ahead "$work/mnt"
	diff -r "$TINY" "$work/mnt" || fail "$*: the bytes differ"
	kill -TERM "$daemon"
	wait "$daemon" || fail "$*: hycfs ended with $?: $(cat "$work/log")"
	[ "$(grep -c CUDA "$work/log")" = "$([ -z "$what" ] && echo 0 || echo 1)" ] || fail "$*: wanted one line of '$what': $(cat "$work/log")"
	grep -q -F -e "$what" "$work/log" || fail "$*: wanted '$what': $(cat "$work/log")"
}

symbols=$(nm -D --defined-only "$module" | awk '{ print $3 }' | sed 's/@.*//')
[ "$symbols" = hyc_cuda_module ] || fail "the module exports: $symbols"
needed=$(readelf -d "$module" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p')
! printf '%s\n' "$needed" | grep -i -E 'cuda|nvidia' || fail "the module needs CUDA to be loaded"
for program in "$HYC" "$HYCFS"; do
	! readelf -d "$program" | grep -i -E 'NEEDED.*(cuda|stdc)' || fail "$program is linked with CUDA"
done

"$HYC" pack -o "$work/tiny.hyc" "$TINY"
mkdir "$work/mnt"
hyc__mounts+=("$work/mnt")
expect_fail 2 "must be cpu, auto or cuda" "$HYCFS" -o device=gpu "$work/tiny.hyc" "$work/mnt"

# A driver as the module sees it: the version it knows and what it says when it is asked to start.
driver() {
	mkdir -p "$work/$1"
	cat >"$work/driver.c" <<-EOF
		#include <string.h>
		int cuDriverGetVersion(int *version) { *version = $2; return 0; }
		int cuInit(unsigned flags) { return $3; }
		int cuGetProcAddress_v2(const char *name, void **found, int version, unsigned long flags, void *status)
		{
			*found = !strcmp(name, "cuDriverGetVersion") ? (void *)cuDriverGetVersion : !strcmp(name, "cuInit") ? (void *)cuInit :
				 !strcmp(name, "cuGetProcAddress") ? (void *)cuGetProcAddress_v2 : NULL;
			return *found ? 0 : 500;
		}
		int cuGetProcAddress(const char *name, void **found, int version, unsigned long flags)
		{
			return cuGetProcAddress_v2(name, found, version, flags, NULL);
		}
		int cuGetExportTable(const void **table, const void *id) { *table = NULL; return 500; }
		int cuGetErrorString(int error, const char **text) { *text = ""; return 0; }
		int cuGetErrorName(int error, const char **text) { *text = ""; return 0; }
	EOF
	"$cc" -shared -fPIC -w -o "$work/$1/libcuda.so.1" "$work/driver.c"
}

# missing SENTENCE VAR=VALUE...: device=cuda says it in one line and exits 1; device=auto says it in the log where it would have used
# the GPU, on few processors that decode in plain C, and serves.
missing() {
	local what=$1
	shift
	expect_fail 1 "$what" env "$@" "$HYCFS" -f -o device=cuda "$work/tiny.hyc" "$work/mnt"
	expect_fail 1 "$what" env HYC_BACKEND=cuda "$@" "$HYC" cat "$work/tiny.hyc" config.json
	[ -n "$few" ] || return 0
	served "$what" env HYC_BACKEND=scalar "$@" "${few[@]}"
}
few=()
[ ! -c /dev/fuse ] || ! command -v taskset >/dev/null || few=(taskset -c "$(taskset -cp $$ | sed 's/.*: *\([0-9]*\).*/\1/')")

missing "no device" CUDA_VISIBLE_DEVICES=
missing "the device cannot be used" HYC_CUDA_FAIL=open
missing "cannot be opened" HYC_CUDA_MODULE=/nowhere/hyc_cuda.so
if cc=$(command -v gcc || command -v clang); then
	driver old 11040 0
	missing "the NVIDIA driver is too old: it knows CUDA 11.4, " LD_LIBRARY_PATH="$work/old:${LD_LIBRARY_PATH:-}"
	driver blind 99000 100
	missing "no device: the driver shows no NVIDIA GPU" LD_LIBRARY_PATH="$work/blind:${LD_LIBRARY_PATH:-}"
fi

# Where auto does not want it, it is not even looked for.
if [ -n "$few" ] && HYC_BACKEND=avx2 "$HYC" verify "$work/tiny.hyc" >/dev/null 2>&1; then
	served "" env HYC_BACKEND=avx2 HYC_CUDA_FAIL=open "${few[@]}"
fi
