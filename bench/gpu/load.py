#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From files in the page cache to tensors on the GPU: hyc.load_file against safetensors.torch.load_file, in one run.

    load.py [--gib N] [--json FILE] [--work DIR] [--codecs lossless,tcq]

Makes a model of random weights (normal, bf16, matrices of 4096 columns), packs it, and loads plain file and archives in turn.
What is loaded on the GPU is compared with what the processor decodes. PYTHONPATH, HYC_LIBRARY, HYC_CUDA_MODULE and HYC (the
program) say what is measured.
"""

import argparse
import json
import os
import subprocess
import time

import safetensors.torch
import torch

import hyc

ROUNDS = 4


def make_model(path, gib):
    generator = torch.Generator(device="cuda").manual_seed(1)
    tensors, n = {}, 0
    while n < gib * 2**30:
        i = len(tensors)
        rows = (4096, 1024, 14336)[i % 3]
        t = torch.randn(rows, 4096, generator=generator, device="cuda") * 0.02 * (1 + torch.rand(rows, 1, generator=generator, device="cuda"))
        tensors[f"layers.{i:03}.weight"] = t.bfloat16().cpu()
        n += rows * 8192
    safetensors.torch.save_file(tensors, path)


def warm(path):
    with open(path, "rb") as f:
        while f.read(1 << 24):
            pass


def timed(call):
    torch.cuda.synchronize()
    start = time.perf_counter()
    result = call()
    torch.cuda.synchronize()
    return time.perf_counter() - start, result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--json")
    parser.add_argument("--work", default="/tmp")
    parser.add_argument("--codecs", default="lossless,tcq")
    args = parser.parse_args()
    plain = os.path.join(args.work, "bench-load")
    os.makedirs(plain, exist_ok=True)
    file = os.path.join(plain, "model.safetensors")
    make_model(file, args.gib)
    decoded = os.path.getsize(file)
    out = {"gpu": torch.cuda.get_device_name(), "cpus": os.cpu_count(), "decoded_bytes": decoded, "runs": []}
    archives = {}
    for codec in args.codecs.split(","):
        archives[codec] = os.path.join(args.work, f"bench-{codec}.hyc")
        if os.path.exists(archives[codec]):
            os.unlink(archives[codec])
        extra = ["--bpw=4"] if codec == "tcq" else []
        start = time.perf_counter()
        subprocess.run([os.environ.get("HYC", "hyc"), "pack", f"--codec={codec}", *extra, "--progress=never", "-o", archives[codec], plain], check=True)
        print(f"packed {codec} in {time.perf_counter() - start:.1f} s", flush=True)
    calls = {"safetensors": lambda: safetensors.torch.load_file(file, device="cuda")}
    for codec, archive in archives.items():
        calls[f"hyc {codec}"] = lambda archive=archive: hyc.load_file(archive, device="cuda")
    for path in file, *archives.values():
        warm(path)
    seconds = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            took, tensors = timed(call)
            seconds[name].append(took)
            del tensors
            torch.cuda.empty_cache()
    base = sorted(seconds["safetensors"][1:])[len(seconds["safetensors"][1:]) // 2]
    for name, took in seconds.items():
        median = sorted(took[1:])[len(took[1:]) // 2]
        run = {"name": name, "first_s": round(took[0], 4), "median_s": round(median, 4), "gbs": round(decoded / median / 1e9, 2),
               "times_safetensors": round(base / median, 3)}
        if name != "safetensors":
            run["ratio"] = round(decoded / os.path.getsize(archives[name.split()[1]]), 4)
        out["runs"].append(run)
        print(json.dumps(run), flush=True)
    for codec, archive in archives.items():
        a, b = hyc.load_file(archive, device="cuda"), hyc.load_file(archive)
        out[f"{codec}_equal"] = all(torch.equal(a[k].cpu().view(torch.int16), b[k].view(torch.int16)) for k in b) and len(a) == len(b)
        print(codec, "equal to the processor's:", out[f"{codec}_equal"], flush=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(out, f, indent=1)


if __name__ == "__main__":
    main()
