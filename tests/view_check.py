#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the view tests ask real torch, safetensors and transformers.

view_check.py tensors SOURCE SHOWN...  every way to load the files SHOWN gives exactly the tensors of the directory or file SOURCE
view_check.py model SOURCE SHOWN       transformers gives the same logits for both directories
view_check.py zip FILE                 a torch file's records lie where torch itself would have put them
view_check.py weight-map DIR NAME      the index NAME is that of the files beside it
view_check.py built FIRST FILE...      the files hold what view_archives.py put in, whose shards count from FIRST
view_check.py big FILE NAME VALUE I... bytes I of one tensor of a file of several GiB, by mmap
view_check.py torch DIR SOURCE         write the model SOURCE as torch writes it, whole and in shards, and tensors that are views, new and legacy
view_check.py dtypes DIR               write a model of all dtypes that torch and safetensors both know, in two shards
"""
import json
import os
import struct
import sys
import tempfile
import zipfile
import zlib

os.environ["TORCH_SERIALIZATION_DEBUG"] = "1"  # torch compares the offsets it computes with those it reads
if sys.argv[1:2] != ["zip"]:  # which needs none of them
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file
    from torch.utils.serialization import config


def weights(path):
    """Every file below path that torch or safetensors reads, in order."""
    if os.path.isfile(path):
        return [path]
    return sorted(os.path.join(path, n) for n in os.listdir(path) if n.endswith((".safetensors", ".bin", ".pt", ".pth")))


def load_any(path):
    return load_file(path) if path.endswith(".safetensors") else torch.load(path)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and \
        a.contiguous().view(-1).view(torch.uint8).equal(b.contiguous().view(-1).view(torch.uint8)) if a.numel() else \
        a.dtype == b.dtype and a.shape == b.shape


def compare(want, got, how):
    assert set(want) == set(got), (how, set(want) ^ set(got))
    for name in want:
        assert same(want[name], got[name]), (how, name, want[name].dtype, want[name].shape, got[name].dtype, got[name].shape)


def torch_modes(path):
    for only in (True, False):
        yield "default", torch.load(path, weights_only=only)
        yield "mmap", torch.load(path, weights_only=only, mmap=True)
        config.load.calculate_storage_offsets = True
        yield "calculated", torch.load(path, weights_only=only, mmap=True)
        config.load.calculate_storage_offsets = False


def safetensors_modes(path):
    yield "load_file", load_file(path)
    for backend in ("mmap", "pread"):
        try:
            f = safe_open(path, framework="pt", backend=backend)
        except TypeError:  # safetensors before 0.8
            continue
        with f:
            assert f.metadata() == {"format": "pt"} or f.metadata() is None, f.metadata()
            yield "safe_open " + backend, {k: f.get_tensor(k) for k in f.keys()}


def check_header(path, tensors):
    """The header is the library's own, but for the spaces behind it."""
    with open(path, "rb") as f:
        length, = struct.unpack("<Q", f.read(8))
        header = f.read(length)
    with tempfile.NamedTemporaryFile() as t:
        save_file({k: v.clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}, t.name, metadata={"format": "pt"})
        data = open(t.name, "rb").read()
    want = data[8:8 + struct.unpack("<Q", data[:8])[0]]
    assert header.rstrip(b" ") == want.rstrip(b" "), (header[:400], want[:400])
    assert (8 + length) % 8 == 0
    assert open(path, "rb").read()[8 + length:] == data[8 + len(want):]


def tensors(source, *shown):
    want = {}
    for path in weights(source):
        want.update(load_any(path))
    got = [{} for _ in range(8)]
    for directory in shown:
        for path in weights(directory):
            modes = torch_modes(path) if not path.endswith(".safetensors") else safetensors_modes(path)
            for i, (how, part) in enumerate(modes):
                got[i].update(part)
            if path.endswith(".safetensors"):
                if path.startswith(source):
                    continue
                check_header(path, got[0] if len(weights(directory)) == 1 else load_file(path))
            else:
                meta = torch.load(path, map_location="meta")
                assert all(meta[k].is_meta and meta[k].shape == part[k].shape for k in part)
                assert zipfile.ZipFile(path).testzip() is None, path
                assert type(part).__name__ == "OrderedDict"
    for i, part in enumerate(got):
        if part:
            compare(want, part, i)
    print(len(want), "tensors")


def model(source, shown):
    from transformers import AutoModelForCausalLM
    ids = torch.arange(12).reshape(1, 12)
    logits = []
    for path in (source, shown):
        kwargs = {} if any(n.endswith(".safetensors") for n in os.listdir(path)) else {"use_safetensors": False}
        m = AutoModelForCausalLM.from_pretrained(path, **kwargs).eval()
        with torch.no_grad():
            logits.append(m(ids).logits)
    assert logits[0].equal(logits[1])


def check_zip(path):
    """Local headers, descriptors and the directory say the same, and data is where the alignment wants it."""
    z = zipfile.ZipFile(path)
    align = int(z.read(z.namelist()[0].split("/")[0] + "/.storage_alignment"))
    end = 0
    with open(path, "rb") as f:
        for i in z.infolist():
            assert i.header_offset == end, (i.filename, i.header_offset, end)
            f.seek(end)
            head = f.read(30)
            name_len, extra_len = struct.unpack("<HH", head[26:30])
            assert f.read(name_len).decode() == i.filename
            wide = i.file_size >= 0xffffffff or end >= 0xffffffff
            extra = f.read(extra_len)
            if wide:
                sizes = (i.file_size, 0) if i.file_size >= 0xffffffff else ()
                sizes += (end,) if end >= 0xffffffff else ()
                zip64 = struct.pack("<HH%dQ" % len(sizes), 1, 8 * len(sizes), *sizes)
                assert extra.startswith(zip64), (i.filename, extra[:28])
                extra = extra[len(zip64):]
            assert extra[:2] == b"FB" and set(extra[4:]) <= {0x5a} and len(extra) < 4 + align
            data = end + 30 + name_len + extra_len
            assert data % align == 0
            f.seek(data + i.file_size)
            end = data + i.file_size
            if i.file_size:
                assert f.read(8) == b"PK\x07\x08" + struct.pack("<I", i.CRC)
                assert f.read(16 if wide else 8) == struct.pack("<QQ" if wide else "<II", i.file_size, i.file_size)
                end += 24 if wide else 16
    names = [n.split("/", 1)[1] for n in z.namelist()]
    assert names[:4] == ["data.pkl", ".format_version", ".storage_alignment", "byteorder"]
    assert names[-2:] == ["version", ".data/serialization_id"]
    assert names[4:-2] == ["data/%d" % k for k in range(len(names) - 6)]


def weight_map(directory, name):
    """The index names every tensor of every file, once."""
    index = json.load(open(os.path.join(directory, name)))
    want, total = {}, 0
    for path in weights(directory):
        if path.endswith(".bin") == (".bin.index." in name):
            part = load_any(path)
            want.update({k: os.path.basename(path) for k in part})
            total += sum(v.numel() * v.element_size() for v in part.values())
    assert index["weight_map"] == want, (index["weight_map"], want)
    assert index["metadata"]["total_size"] == total
    text = open(os.path.join(directory, name)).read()
    assert text == json.dumps(index, indent=2, sort_keys=True) + "\n"


def built(first, *files):
    """See tensors() of view_archives.py. What is a part of something shares its storage, what is equal does not."""
    for n, path in enumerate(files):
        shift = int(first) + n
        f32 = torch.arange(600, dtype=torch.float32) / 8 + shift
        i8 = torch.arange(shift, 50 + shift, dtype=torch.int8)
        want = {"a.whole": f32.view(20, 30), "b.part": f32[100:150].view(10, 5), "c.part": f32[110:126].view(4, 4), "d.row": f32[599],
                "e.empty": torch.zeros(0, 7), "f.i8": i8, "g.tied": i8.view(5, 10), "h.as_u8": i8.view(torch.uint8),
                "i.\u00e9\U0001f600\"\\\n\x7f": i8[3:10]}
        prefix = "layer.%d." % shift if shift else ""
        want = {prefix + k: v for k, v in want.items()}
        for how, got in safetensors_modes(path) if path.endswith(".safetensors") else torch_modes(path):
            compare(want, got, how)
        if path.endswith(".safetensors"):
            check_header(path, want)
        else:
            check_zip(path)
            where = {k[len(prefix):]: v.untyped_storage().data_ptr() for k, v in torch.load(path).items()}
            assert where["a.whole"] == where["b.part"] == where["c.part"] == where["d.row"] and where["f.i8"] != where["h.as_u8"]
            assert zipfile.ZipFile(path).testzip() is None


def dtypes(out):
    names = ("bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "bfloat16", "float32", "float64",
             "complex64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2")
    torch.manual_seed(1)
    index = {}
    for shard in (1, 2):
        file, part = "model-%05d-of-00002.safetensors" % shard, {}
        for name in names:
            data = torch.randint(0, 2 if name == "bool" else 256, (16 * shard, 48), dtype=torch.uint8).view(getattr(torch, name))
            part[f"{shard}.{name}"] = data
            part[f"{shard}.{name}.empty"] = data[:0].clone()
        part[f"{shard}.scalar"] = torch.tensor(2.5)
        save_file(part, os.path.join(out, file), metadata={"format": "pt"})
        index.update({k: file for k in part})
    with open(os.path.join(out, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": 0}, "weight_map": index}, f)


def write_torch(out, source):
    weights = load_file(os.path.join(source, "model.safetensors"))
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    shards = {1: {}, 2: {}}
    for i, name in enumerate(sorted(weights)):
        shards[1 + i % 2][name] = weights[name]
    x = torch.arange(100.0).view(10, 10)
    odd = {"t": x.t(), "row": x[3], "column": x[:, 2], "scalar": x[1, 1], "empty": torch.zeros(0, 5), "whole": x, "tied": x,
           "expanded": torch.ones(1).expand(4, 4), "parameter": torch.nn.Parameter(torch.ones(3)), "half": x.half(), "int": x.int()}
    for name in ("whole", "sharded", "odd", "legacy"):
        os.mkdir(os.path.join(out, name))
    torch.save(weights, os.path.join(out, "whole", "pytorch_model.bin"))
    for i, part in shards.items():
        torch.save(part, os.path.join(out, "sharded", "pytorch_model-%05d-of-00002.bin" % i))
    with open(os.path.join(out, "sharded", "pytorch_model.bin.index.json"), "w") as f:
        json.dump({"metadata": {}, "weight_map": {k: "pytorch_model-%05d-of-00002.bin" % i for i, p in shards.items() for k in p}}, f)
    torch.save(odd, os.path.join(out, "odd", "odd.pt"))
    torch.save(odd, os.path.join(out, "legacy", "legacy.pth"), _use_new_zipfile_serialization=False)


def big(path, name, value, *index):
    config.load.calculate_storage_offsets = True
    t = torch.load(path, mmap=True)[name]
    for i in index:
        assert t.view(torch.uint8)[int(i)] == int(value), (i, t.view(torch.uint8)[int(i)])


if __name__ == "__main__":
    verbs = {"tensors": tensors, "model": model, "zip": check_zip, "weight-map": weight_map, "built": built, "big": big, "torch": write_torch, "dtypes": dtypes}
    verbs[sys.argv[1]](*sys.argv[2:])
