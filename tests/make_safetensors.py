#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write safetensors files for the tests, with nothing but the standard library.

make_safetensors.py kinds DIR     every dtype, shapes of all sorts, foreign headers
make_safetensors.py tied DIR      one.safetensors, and two.safetensors that holds its tensors several times
make_safetensors.py bulk FILE MB  tensors of plausible BF16 weights, MB million bytes
"""
import json
import os
import random
import struct
import sys

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F32": 32, "I32": 32, "U32": 32, "F64": 64,
    "I64": 64, "U64": 64, "C64": 64,
}
# Bytes of weights around 0.02: the exponent takes few values, the rest is noise.
TOP = bytes(random.Random(1).choices([0x3A, 0x3B, 0x3C, 0x3D, 0xBA, 0xBB, 0xBC, 0xBD], [1, 4, 9, 2, 1, 4, 9, 2], k=256))


def count(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def values(rng, dtype, shape):
    """Bytes a tensor of this dtype may well have."""
    n = count(shape) * BITS[dtype] // 8
    data = bytearray(rng.randbytes(n))
    if dtype in ("BF16", "F32", "F64", "C64", "F16"):
        step = {"BF16": 2, "F16": 2, "F32": 4, "C64": 4, "F64": 8}[dtype]
        data[step - 1 :: step] = bytes(data[step - 1 :: step]).translate(TOP)
    elif dtype == "BOOL":
        data = bytearray(b & 1 for b in data)
    elif dtype in ("I16", "U16", "I32", "U32", "I64", "U64"):
        step = BITS[dtype] // 8
        for i in range(1, step):
            data[i::step] = bytes(len(data[i::step]))
    return bytes(data)


def write(path, tensors, metadata=None, pad=0, shuffle=None, separators=(",", ":")):
    """tensors: a list of (name, dtype, shape, bytes), in the order of their bytes."""
    header, off = {}, 0
    for name, dtype, shape, data in tensors:
        assert len(data) * 8 == count(shape) * BITS[dtype], name
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [off, off + len(data)]}
        off += len(data)
    if shuffle:
        names = list(header)
        shuffle.shuffle(names)
        header = {name: header[name] for name in names}
    if metadata is not None:
        header["__metadata__"] = metadata
    text = json.dumps(header, separators=separators).encode() + b" " * pad
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, _, _, data in tensors:
            f.write(data)


def kinds(out):
    rng = random.Random(42)
    os.makedirs(out, exist_ok=True)

    def tensor(name, dtype, shape):
        return name, dtype, shape, values(rng, dtype, shape)

    write(f"{out}/dtypes.safetensors", [tensor(f"{d}.weight", d, [6, 40]) for d in BITS], {"format": "pt"})
    # More than one block of each: rows, vectors, and a last block that is not full.
    big = [tensor(f"{d}.rows", d, [300, 3000 * 8 // BITS[d]]) for d in BITS]
    big += [tensor(f"{d}.vector", d, [1100000 * 8 // BITS[d] // 4 * 4]) for d in BITS]
    write(f"{out}/blocks.safetensors", big, shuffle=rng)
    shapes = [[], [1], [7], [1, 1], [0], [0, 5], [5, 0], [1, 600000], [2, 600000], [300001, 1], [3, 4, 5, 6], [2] * 12]
    write(f"{out}/shapes.safetensors", [tensor(f"s{i}.{d}", d, s) for i, s in enumerate(shapes) for d in ("BF16", "F32", "I64")])
    write(f"{out}/odd.safetensors", [tensor("\u00e9\U0001f600 \"\\\n/..", "F16", [3]), tensor("a" * 4096, "U8", [1])],
          {"": "", "k" * 1000: "v" * 1000}, pad=12345, separators=(" , ", "  :  "))
    write(f"{out}/unaligned.SafeTensors", [tensor("x", "U8", [3]), tensor("y", "F32", [5, 5])], pad=1)
    write(f"{out}/none.safetensors", [])
    write(f"{out}/metadata-only.safetensors", [], {"a": "b"}, pad=7)
    write(f"{out}/only-empty.safetensors", [tensor("e", "F32", [0]), tensor("f", "BF16", [4, 0])])
    write(f"{out}/constant.safetensors", [("zeros", "BF16", [1000, 1000], bytes(2000000)),
                                          ("ones", "F32", [600000], struct.pack("<f", 1) * 600000),
                                          ("mask", "BOOL", [1000, 1000], b"".join(b"\1" * i + bytes(1000 - i) for i in range(1000))),
                                          ("noise", "BF16", [500, 500], rng.randbytes(500000))])


def tied(out):
    rng = random.Random(7)
    os.makedirs(out, exist_ok=True)
    wte = values(rng, "BF16", [500, 2000])
    norm = values(rng, "F32", [4000])
    one = [("wte", "BF16", [500, 2000], wte), ("norm", "F32", [4000], norm)]
    two = one + [
        ("lm_head", "BF16", [500, 2000], wte),
        ("transposed", "BF16", [2000, 500], wte),
        ("as_u8", "U8", [2000000], wte),
        ("norm2", "F32", [4000], norm),
    ]
    write(f"{out}/one.safetensors", one)
    write(f"{out}/two.safetensors", two)


def bulk(path, megabytes):
    rng = random.Random(3)
    shape = [1000, 4096]
    n = -(-megabytes * 1000000 // (count(shape) * 2))
    header = {
        f"layers.{i}.weight": {"dtype": "BF16", "shape": shape, "data_offsets": [i * count(shape) * 2, (i + 1) * count(shape) * 2]}
        for i in range(n)
    }
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _ in range(n):
            f.write(values(rng, "BF16", shape))


if __name__ == "__main__":
    if sys.argv[1] == "kinds":
        kinds(sys.argv[2])
    elif sys.argv[1] == "tied":
        tied(sys.argv[2])
    elif sys.argv[1] == "bulk":
        bulk(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(__doc__)
