# SPDX-License-Identifier: Apache-2.0
"""Compare what torch loads from two places: python3 pack-torch.py same SOURCE SHOWN | lossy SOURCE SHOWN | listed SOURCE LISTING"""
import glob
import json
import os
import sys
import zipfile

import torch

MODES = [{}, {"mmap": True}, {"weights_only": True}, {"weights_only": False}, {"mmap": True, "weights_only": True}, {"map_location": "meta"},
         {"map_location": "meta", "mmap": True}]


def flat(value, prefix=""):
    if isinstance(value, torch.Tensor):
        return {prefix: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return {k: v for key, item in items for k, v in flat(item, f"{prefix}/{key}").items()}


def checkpoints(directory):
    return sorted(p for end in ("bin", "pt", "pth", "ckpt") for p in glob.glob(f"{directory}/*.{end}") if os.path.basename(p) != "tokenizer.bin")


def same(source, shown):
    n = 0
    for path in checkpoints(source):
        other = os.path.join(shown, os.path.basename(path))
        for mode in MODES:
            if "legacy" in path and "mmap" in mode:
                continue
            # Not every protocol of pickle is one that weights_only, the default, takes.
            if "protocol" in path:
                mode = mode | {"weights_only": False}
            a, b = flat(torch.load(path, **mode)), flat(torch.load(other, **mode))
            assert a.keys() == b.keys() and a, (path, mode)
            for k in a:
                assert (a[k].dtype, a[k].shape, a[k].stride(), a[k].device) == (b[k].dtype, b[k].shape, b[k].stride(), b[k].device), (path, mode, k)
                if a[k].device.type != "meta" and a[k].numel():
                    raw = [bytes(t.contiguous().reshape(-1).view(torch.uint8).numpy()) for t in (a[k].detach(), b[k].detach())]
                    assert raw[0] == raw[1], (path, mode, k)
            n += len(a)
        if zipfile.is_zipfile(path) and "crc0" not in path:
            assert zipfile.ZipFile(other).testzip() is None, path
    print(n, "tensors loaded")


def lossy(source, shown):
    """Near to the source, the same by all ways to load; the checksums in the zip file are those of what is shown."""
    for path in checkpoints(source):
        other = os.path.join(shown, os.path.basename(path))
        a, b = torch.load(path), torch.load(other)
        for k in a:
            assert a[k].dtype == b[k].dtype and a[k].stride() == b[k].stride()
            relative = (a[k].float() - b[k].float()).norm() / a[k].float().norm()
            assert (relative == 0) == (k in ("kept", "t", "norm")) and relative < 0.1, (path, k, relative)
        assert torch.equal(b["embed"], b["head"]) and b["embed"].data_ptr() == b["head"].data_ptr()
        if not zipfile.is_zipfile(path):
            continue
        mapped = torch.load(other, mmap=True, weights_only=True)
        assert all(torch.equal(mapped[k], b[k]) for k in b)
        before, after = ({i.filename: i for i in zipfile.ZipFile(p).infolist()} for p in (path, other))
        for name, info in after.items():
            assert (info.CRC == 0) == (before[name].CRC == 0), (path, name)
        if "crc0" not in path:
            assert zipfile.ZipFile(other).testzip() is None, path
            assert sum(after[name].CRC != before[name].CRC for name in after) == 2, path


def listed(source, listing):
    """The tensors of tables are listed with what torch knows of them; others are not."""
    got = {}
    for t in json.load(open(listing)):
        got.setdefault(t["file"], {})[t["name"]] = t["dtype"], t["shape"]
    names = {"float": "F", "bfloat": "BF", "int": "I", "uint": "U", "complex": "C"}
    for path in checkpoints(source):
        file, table = os.path.basename(path), torch.load(path, weights_only=False)
        plain = all(isinstance(v, torch.Tensor) and v.dtype != torch.complex128 for v in table.values())
        assert (file in got) == plain, file
        if plain:
            assert got[file].keys() == table.keys(), file
            for name, tensor in table.items():
                dtype = str(tensor.dtype).removeprefix("torch.").removesuffix("fn").removesuffix("fnu").upper().replace("FLOAT8", "F8")
                stem = dtype.rstrip("0123456789").lower()
                want = names[stem] + dtype[len(stem):] if stem in names else dtype
                assert got[file][name] == (want, list(tensor.shape)), (file, name, got[file][name], want)


if __name__ == "__main__":
    {"same": same, "lossy": lossy, "listed": listed}[sys.argv[1]](*sys.argv[2:])
