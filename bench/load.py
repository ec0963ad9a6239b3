# SPDX-License-Identifier: Apache-2.0
"""Load a checkpoint in a fresh process, touch every weight, and say how long that took; bench/mount and bench/slowdisk run it.

    python3 bench/load.py from_pretrained DIR
    python3 bench/load.py torch_load FILE
    python3 bench/load.py torch_load_mmap FILE
    python3 bench/load.py save DIR FILE            writes the weights of DIR as one PyTorch file

The clock starts when everything is imported. Touching is a sum of each tensor with all threads, which is also how a first forward faults a
mapped file in. The sum of the sums is printed too: the same for the same weights.
"""
import json
import mmap
import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch  # noqa: E402

from common import size_of  # noqa: E402


def touch(tensors):
    return sum(torch.sum(tensor.detach(), dtype=torch.float32).double().item() for tensor in tensors)


def prime_memory(size):
    """Take so much memory and give it back, so that a guest has got it from its host before anything is timed."""
    with open("/proc/meminfo", encoding="ascii") as file:
        available = next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))
    with mmap.mmap(-1, min(size, available // 2)) as memory:
        torch.frombuffer(memory, dtype=torch.uint8)[::mmap.PAGESIZE].fill_(1)


def main():
    how, path = sys.argv[1:3]
    if how in ("from_pretrained", "save"):
        from transformers import LlamaForCausalLM
        from transformers.utils import logging
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    if how == "save":
        with open(sys.argv[3], "wb") as file:
            torch.save(LlamaForCausalLM.from_pretrained(path, dtype="auto").state_dict(), file)
            file.flush()
            os.fsync(file.fileno())
        return
    torch.zeros(1 << 20).sum()  # starts the threads
    prime_memory(2 * size_of(path))  # pages of the file, and of an archive
    began = time.monotonic()
    if how == "from_pretrained":
        tensors = list(LlamaForCausalLM.from_pretrained(path, dtype="auto").parameters())
    else:
        tensors = list(torch.load(path, mmap=how == "torch_load_mmap", weights_only=True).values())
    loaded = time.monotonic()
    total = touch(tensors)
    done = time.monotonic()
    with open("/proc/self/status", encoding="ascii") as file:
        peak = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))
    print(json.dumps({"load_s": loaded - began, "touch_s": done - loaded, "seconds": done - began, "sum": total, "peak_rss": peak,
                      "bytes": sum(tensor.nbytes for tensor in tensors), "threads": torch.get_num_threads()}))


main()
