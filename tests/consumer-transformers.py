# SPDX-License-Identifier: Apache-2.0
"""Load the model in two directories in all the ways people do; exit 1 unless everything is the same.

    python3 consumer-transformers.py MOUNTED PLAIN
"""
import glob
import mmap
import os
import sys

import safetensors.torch
import torch
import transformers
from safetensors import safe_open
from transformers import AutoModelForCausalLM, core_model_loading


def check(holds, what):
    if not holds:
        sys.exit("FAIL: " + what)


def load(directory, threads):
    """The model, with weights read by so many threads."""
    os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = str(int(threads == 1))
    core_model_loading.GLOBAL_WORKERS = threads
    return AutoModelForCausalLM.from_pretrained(directory).eval()


def same_state(a, b, what):
    a, b = a.state_dict(), b.state_dict()
    check(list(a) == list(b) and len(a) > 0, what + ": other parameters")
    for name in a:
        check(a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]), f"{what}: {name} differs")
    return len(a)


def compare_models(mounted, plain):
    reference = load(plain, 4)
    tokens = torch.arange(3, 67).reshape(2, 32)
    with torch.no_grad():
        want = reference(tokens).logits
    for threads in 1, 8:
        model = load(mounted, threads)
        n = same_state(model, reference, f"{threads} threads")
        with torch.no_grad():
            check(torch.equal(model(tokens).logits, want), f"{threads} threads: logits differ")
        print(f"  from_pretrained with {threads} threads: {n} parameters and the logits are equal")


def compare_files(mounted, plain):
    for path in sorted(glob.glob(plain + "/*.safetensors")):
        other = os.path.join(mounted, os.path.basename(path))
        with open(path, "rb") as a, open(other, "rb") as b:
            with mmap.mmap(a.fileno(), 0, prot=mmap.PROT_READ) as x, mmap.mmap(b.fileno(), 0, prot=mmap.PROT_READ) as y:
                # From the end, a page at a time, so that no read ahead has it already.
                for at in reversed(range(0, len(x), 1 << 20)):
                    check(x[at:at + 4096] == y[at:at + 4096], f"{path}: mmap differs at {at}")
                check(x[:] == y[:], f"{path}: mmap differs")
        a, b = safetensors.torch.load_file(path), safetensors.torch.load_file(other)
        check(list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a), f"{path}: load_file differs")
        with safe_open(other, framework="pt") as f:
            check(set(f.keys()) == set(a), f"{path}: safe_open has other names")
            for name, tensor in a.items():
                part, n = f.get_slice(name), tensor.shape[0]
                check(part.get_shape() == list(tensor.shape), f"{name}: get_slice has another shape")
                check(torch.equal(part[n // 3:n // 2 + 1], tensor[n // 3:n // 2 + 1]), f"{name}: get_slice of rows differs")
                if tensor.dim() == 2:
                    check(torch.equal(part[:, 1:7], tensor[:, 1:7]), f"{name}: get_slice of columns differs")
        print(f"  {os.path.basename(path)}: mmap, load_file and get_slice agree on {len(a)} tensors")


def main():
    transformers.utils.logging.disable_progress_bar()
    mounted, plain = sys.argv[1:3]
    print(f"transformers {transformers.__version__}, torch {torch.__version__}: {plain}")
    compare_files(mounted, plain)
    compare_models(mounted, plain)


if __name__ == "__main__":
    main()
