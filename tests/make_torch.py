# SPDX-License-Identifier: Apache-2.0
"""Write checkpoints by torch, numpy and gguf for tests/pack-torch.sh: python3 make_torch.py matrix|model|sparse DIR"""
import io
import json
import os
import struct
import sys
import zipfile

import numpy as np
import torch
from torch import nn

FLOATS = [torch.float32, torch.float16, torch.bfloat16, torch.float64]
OTHERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.uint16, torch.uint32, torch.uint64, torch.complex64,
          torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu]


def values(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.02


def dtypes():
    table = {str(dtype).split(".")[1]: (values(40, 30, seed=i) * 1000).to(dtype) for i, dtype in enumerate(FLOATS + OTHERS)}
    return table | {"empty": torch.zeros(0, 3), "scalar": torch.tensor(3.5), "vector": values(1000), "param": nn.Parameter(values(9, 9))}


def views():
    whole, tied, wide = values(60, 50), values(300, 7), values(40, 90)
    parts = values(6, 20, 10)
    marked = nn.Parameter(values(5, 5))
    marked.mark = 1
    return {"tied.a": tied, "tied.b": tied, "tied.flat": tied.view(-1), "t": whole.t(), "whole": whole, "rows": whole[10:20], "columns": wide[:, 5:40],
            "steps": wide[::2], "third": parts[2], "last": parts[5], "perm": parts.permute(2, 0, 1), "expand": values(1, 30).expand(20, 30),
            "gap": values(1000)[100:200], "marked": marked}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.lin = nn.Embedding(100, 16), nn.Linear(16, 100, bias=False)
        self.lin.weight = self.embed.weight
        self.norm = nn.BatchNorm1d(16)


def without(path, out, dropped, prefix=None):
    """Old layouts, by construction: the same records without some, as a plain zip file has them."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as copy:
        for info in source.infolist():
            if not info.filename.endswith(dropped):
                copy.writestr(info.filename if prefix is None else prefix + info.filename[info.filename.index("/"):], source.read(info))


def matrix(out):
    def path(name):
        return os.path.join(out, name)
    torch.save(dtypes(), path("dtypes.bin"))
    torch.save(views(), path("views.pt"))
    torch.manual_seed(1)
    torch.save(Net().state_dict(), path("module.pth"))
    for protocol in (1, 3, 4, 5):
        torch.save(Net().state_dict(), path(f"protocol{protocol}.pt"), pickle_protocol=protocol)
    torch.save(dtypes() | {"c": torch.zeros(3, dtype=torch.complex128)}, path("complex128.bin"))
    torch.save({"model": Net().state_dict(), "epoch": 3, "lr": 0.5, "done": None}, path("nested.ckpt"))
    net = nn.Linear(300, 200)
    optimizer = torch.optim.AdamW(net.parameters())
    net.weight.grad, net.bias.grad = values(200, 300), values(200)
    optimizer.step()
    torch.save({"optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}, path("optimizer.pt"))
    buffer = io.BytesIO()
    torch.save(views(), buffer)
    with open(path("stream.bin"), "wb") as f:
        f.write(buffer.getvalue())
    torch.save(views(), path("legacy.bin"), _use_new_zipfile_serialization=False)
    torch.save({k: v for k, v in dtypes().items() if v.dtype not in OTHERS[6:9] + OTHERS[10:]}, path("legacy-dtypes.bin"), _use_new_zipfile_serialization=False)
    for alignment in (1, 4096):
        torch.utils.serialization.config.save.storage_alignment = alignment
        torch.save(views(), path(f"align{alignment}.bin"))
    torch.utils.serialization.config.save.storage_alignment = 64
    torch.serialization.set_crc32_options(False)
    torch.save(dtypes(), path("crc0.bin"))
    torch.serialization.set_crc32_options(True)
    without(path("views.pt"), path("old.bin"), (".format_version", ".storage_alignment", "byteorder", "serialization_id"))
    without(path("views.pt"), path("older.pt"), (".format_version", ".storage_alignment", "byteorder", "serialization_id"), "archive")
    shards, where = ({"a.weight": values(64, 64), "a.bias": values(64)}, {"b.weight": values(64, 32, seed=2)}), {}
    for i, shard in enumerate(shards):
        name = f"pytorch_model-{i + 1:05}-of-00002.bin"
        torch.save(shard, path(name))
        where |= dict.fromkeys(shard, name)
    with open(path("pytorch_model.bin.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": 1}, "weight_map": where}, f)
    np.savez(path("arrays.npz"), a=values(300, 200).numpy(), b=np.arange(7), c=np.asfortranarray(np.ones((3, 4))), s=np.float32(2), e=np.zeros((0, 3), np.float32))
    np.savez_compressed(path("compressed.npz"), a=np.ones(100))
    with open(path("tokenizer.bin"), "wb") as f:
        f.write(b"no checkpoint at all")


def model(out):
    """For the lossy codecs: weights that are taken, some twice, and others."""
    weight = values(256, 512)
    table = {"embed": weight, "head": weight, "kept": values(128, 256, seed=2), "t": values(200, 300, seed=3).t(), "f16": values(256, 256, seed=4).half(), "norm": values(512)}
    torch.save(table, os.path.join(out, "pytorch_model.bin"))
    torch.save(table, os.path.join(out, "legacy.pt"), _use_new_zipfile_serialization=False)
    torch.serialization.set_crc32_options(False)
    torch.save(table, os.path.join(out, "crc0.pt"))
    torch.serialization.set_crc32_options(True)


def sparse(out):
    """More than 4 GiB, nearly all of it a hole, so that sizes and offsets need 64 bits."""
    path = os.path.join(out, "big.bin")
    with torch.serialization.skip_data():
        torch.save({"big": torch.empty((1 << 30) + 1000, device="meta").to_empty(device="cpu"), "small": values(100, 100)}, path)


def gguf_file(out):
    import gguf
    writer = gguf.GGUFWriter(os.path.join(out, "model.gguf"), "llama")
    writer.add_block_count(2)
    writer.add_token_list([f"token{i}" for i in range(1000)])
    writer.add_array("some.floats", [0.5, 1.5])
    for name, array in (("f32.weight", values(64, 96).numpy()), ("f16.weight", values(64, 33).half().numpy()), ("norm", values(64).numpy())):
        writer.add_tensor(name, array)
    bf16 = values(300, 200).bfloat16().view(torch.int16).numpy().view(np.uint8)
    writer.add_tensor("bf16.weight", bf16, raw_dtype=gguf.GGMLQuantizationType.BF16)
    for kind in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0):
        writer.add_tensor(kind.name, gguf.quants.quantize(values(32, 64).numpy(), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    os.makedirs(sys.argv[2], exist_ok=True)
    {"matrix": matrix, "model": model, "sparse": sparse, "gguf": gguf_file}[sys.argv[1]](sys.argv[2])
