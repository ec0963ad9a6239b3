# SPDX-License-Identifier: Apache-2.0
"""hyc.safe_open and hyc.load_file against safetensors on the unpacked files; exit 1 unless everything is the same.

    python3 python-load.py ARCHIVE UNPACKED-DIRECTORY DEVICE SEED
"""

import glob
import json
import os
import random
import sys

import safetensors
import safetensors.torch
import torch
import transformers

import hyc


def check(holds, what):
    if not holds:
        sys.exit("FAIL: " + what)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.device == b.device and torch.equal(
        a.contiguous().reshape(-1).view(torch.uint8), b.contiguous().reshape(-1).view(torch.uint8))


def compare_all(archive, plain, device):
    want = {}
    for path in sorted(glob.glob(plain + "/*.safetensors")):
        want |= safetensors.torch.load_file(path, device=device)
    check(want, "there is nothing to compare")
    for progress in False, True:
        got = hyc.load_file(archive, device=device, progress=progress)
        check(sorted(got) == sorted(want), "other names")
        for name, tensor in got.items():
            check(same(tensor, want[name]), f"{name} differs")
    return want


def compare_slices(archive, plain, device, rng):
    path = sorted(glob.glob(plain + "/*.safetensors"))[0]
    with safetensors.safe_open(path, "pt", device=device) as a, hyc.safe_open(archive, "pt", device=device, file=os.path.basename(path)) as b:
        check(a.metadata() == b.metadata(), f"metadata: {b.metadata()} is not {a.metadata()}")
        check(sorted(a.keys()) == sorted(b.keys()), "keys differ")
        for name in a.keys():
            check(same(a.get_tensor(name), b.get_tensor(name)), f"{name} differs")
            x, y = a.get_slice(name), b.get_slice(name)
            check(x.get_shape() == y.get_shape() and x.get_dtype() == y.get_dtype(), f"{name}: another shape or dtype")
            for _ in range(3):
                n = x.get_shape()[0]
                first = rng.randrange(n)
                end = rng.randrange(first, n + 1)
                check(same(x[first:end], y[first:end]), f"{name}[{first}:{end}] differs")
                check(same(a.get_tensor(name)[first], y[first]), f"{name}[{first}] differs")
                check(same(x[:, :end] if len(x.get_shape()) > 1 else x[first:], y[:, :end] if len(x.get_shape()) > 1 else y[first:]),
                      f"{name}: a slice differs")
        config = json.loads(b.read("config.json"))
    with open(os.path.join(plain, "config.json"), encoding="utf-8") as f:
        check(config == json.load(f), "config.json differs")


def compare_model(archive, plain, device):
    want = transformers.AutoModelForCausalLM.from_pretrained(plain, dtype="auto").to(device).eval()
    # As the manual has it.
    config = transformers.AutoConfig.from_pretrained(plain)
    weights = hyc.load_file(archive, device=device)
    model = getattr(transformers, config.architectures[0]).from_pretrained(
        None, config=config, state_dict=weights, dtype=config.dtype).to(device).eval()
    tokens = torch.arange(3, 67, device=device).reshape(2, 32)
    with torch.no_grad():
        check(torch.equal(want(tokens).logits, model(tokens).logits), "logits differ")


def complaints(archive):
    for call, word in (
        (lambda: hyc.load_file(archive + ".none"), "open"),
        (lambda: hyc.safe_open(archive, "jax"), "framework"),
        (lambda: hyc.safe_open(archive).get_tensor("no such"), "no such"),
        (lambda: hyc.safe_open(archive, file="none"), "none"),
    ):
        try:
            call()
        except hyc.Failure as e:
            check(word in str(e), f"'{e}' does not say '{word}'")
        else:
            check(False, f"nobody complained of {word}")
    with hyc.safe_open(archive, "np") as f:
        check(f.offset_keys() and len(f.keys()) == len(f.offset_keys()), "no names")


def main():
    archive, plain, device, seed = sys.argv[1:]
    compare_all(archive, plain, device)
    compare_slices(archive, plain, device, random.Random(int(seed)))
    compare_model(archive, plain, device)
    complaints(archive)
    print(f"  {archive}: equal on {device}")


main()
