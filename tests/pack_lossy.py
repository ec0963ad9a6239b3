# SPDX-License-Identifier: Apache-2.0
"""What the tests of lossy packing share: safetensors files from and to numpy arrays, and what hyc says of an archive."""
import json
import math
import os
import struct
import subprocess
import sys

import numpy as np

HYC = os.environ.get("HYC", "hyc")


def check(ok, *what):
    if not ok:
        sys.exit("FAIL: " + " ".join(str(w) for w in what))


def to_dtype(values, dtype):
    """Values rounded to a dtype, as an array of its bits."""
    values = np.asarray(values)
    if dtype == "BF16":
        u = values.astype(np.float32).view(np.uint32)
        rounded = ((u + np.uint32(0x7FFF) + ((u >> 16) & 1)) >> 16).astype(np.uint16)
        return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)
    return values.astype({"F16": np.float16, "F32": np.float32, "F64": np.float64, "I64": np.int64}[dtype])


def to_float(bits, dtype):
    if dtype == "BF16":
        return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return bits.astype(np.float64)


def save(path, tensors):
    """tensors: a list of (name, dtype, values)."""
    header, off, data = {}, 0, []
    for name, dtype, values in tensors:
        data.append(to_dtype(values, dtype).tobytes())
        header[name] = {"dtype": dtype, "shape": list(np.shape(values)), "data_offsets": [off, off + len(data[-1])]}
        off += len(data[-1])
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def load(path):
    """A dictionary of name -> (dtype, bytes, values as doubles)."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    kinds = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32, "F64": np.float64, "I64": np.int64}
    out = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        raw = data[slice(*t["data_offsets"])]
        bits = np.frombuffer(raw, kinds[t["dtype"]]).reshape(t["shape"])
        out[name] = t["dtype"], raw, to_float(bits, t["dtype"])
    return out


def hyc_json(*args):
    return json.loads(subprocess.run([HYC, *args, "--json"], check=True, stdout=subprocess.PIPE).stdout)


def tensors(archive):
    return {t["name"]: t for t in hyc_json("ls", "--tensors", archive)}


def bpw(archive):
    """Bits for each weight of the lossy tensors, none of which may be there twice, as hyc ls counts them."""
    lossy = [t for t in tensors(archive).values() if not t["exact"]]
    weights = sum(math.prod(t["shape"]) for t in lossy)
    return sum(8 * t["stored_bytes"] for t in lossy) / weights


def sqnr_db(values, error):
    power, noise = float(np.mean(values**2)), float(np.mean(error**2))
    return 10 * math.log10(power / noise) if noise else math.inf
