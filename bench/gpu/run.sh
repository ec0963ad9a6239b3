#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The GPU benchmarks, from a build directory: ../bench/gpu/run.sh OUT-DIRECTORY [GIB]. Needs a GPU and torch; writes kernels.json,
# load.json, mount.txt and gpu.png.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$PWD out=${1:?"usage: run.sh OUT-DIRECTORY [GIB]"} gib=${2:-4}
python=${PYTHON:-python3}
export HYC_CUDA_MODULE=${HYC_CUDA_MODULE:-$build/.libs/hyc_cuda.so} HYC_LIBRARY=$build/.libs/libhyc.so.0 HYC=$build/hyc PYTHONPATH=$top/python
[ -x "$build/bench-gpu-kernels" ] || make bench-gpu-kernels
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/mnt"
"$build/bench-gpu-kernels" >"$out/kernels.json"
"$python" "$top/bench/gpu/load.py" --gib "$gib" --work "$work" --json "$out/load.json"

# A whole file read through a fresh mount: the processor against the GPU, with 1, 4 and all cores.
for cores in 0 0-3 0-$(($(nproc) - 1)); do
	for codec in lossless tcq; do
		for device in cpu cuda; do
			taskset -c "$cores" "$build/hycfs" -f -o "device=$device,log=error" "$work/bench-$codec.hyc" "$work/mnt" &
			daemon=$!
			until grep -q -F " $work/mnt " /proc/mounts; do sleep 0.05; done
			printf 'cores %s, %s, device=%s: ' "$cores" "$codec" "$device"
			dd if="$work/mnt/model.safetensors" of=/dev/null bs=4M 2>&1 | tail -n 1
			kill "$daemon"
			wait "$daemon"
		done
	done
done | tee "$out/mount.txt"
"$python" "$top/bench/gpu/plot.py" "$out/kernels.json" "$out/load.json" "$out/gpu.png"
