# SPDX-License-Identifier: Apache-2.0
"""Weights for the benchmarks: as many as wanted, with the statistics of a real model, and no two pieces alike.

Every tensor takes a run of a real model's bf16 matrices from a place of its own, and each weight is moved by up to eight units in its last
place. Exponents keep the distribution they have (the exponent is what a lossless codec can gain from), the low bits are as random as they
are in any trained model, and neither deduplication nor a long match finds anything.

    python3 bench/weights.py OUT_DIR BYTES      writes a Llama checkpoint of about so many bytes
"""
import glob
import json
import math
import os
import struct
import sys

import numpy as np

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "python"))

from hyc import Failure  # noqa: E402

SHARD = 640 << 20
PIECE = 1 << 23  # weights made at a time


def source_dir():
    shared = os.path.join(TOP, "../shared/models/small")
    return shared if os.path.isdir(shared) else os.path.join(TOP, "tests/data/tiny")


def read_pool(folder):
    """The bf16 matrices of a model, end to end, as bit patterns."""
    found = []
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        with open(path, "rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(size))
            for name, tensor in header.items():
                if name != "__metadata__" and tensor["dtype"] == "BF16" and len(tensor["shape"]) == 2:
                    begin, end = tensor["data_offsets"]
                    file.seek(8 + size + begin)
                    found.append(np.frombuffer(file.read(end - begin), "<u2"))
    if not found:
        raise Failure(f"{folder}: no bf16 matrices in it to learn from")
    return np.concatenate(found)


class Maker:
    def __init__(self, folder, seed=1):
        self.pool, self.random = read_pool(folder), np.random.Generator(np.random.SFC64(seed))

    def pieces(self, count):
        """So many new weights, in arrays of bit patterns."""
        at = int(self.random.integers(len(self.pool)))
        while count:
            n = min(count, PIECE, len(self.pool) - at)
            bits = self.pool[at:at + n]
            move = self.random.integers(0, 1 << 64, (n + 7) // 8, dtype=np.uint64).view(np.uint8)[:n] & 15
            # Only numbers whose magnitude has room below, lest a sign or a zero change.
            yield np.where((bits & 0x7fff) > 0x0100, bits + move - np.uint16(8), bits).astype("<u2")
            count -= n
            at = int(self.random.integers(len(self.pool)))


def write_safetensors(path, tensors, maker):
    """tensors: (name, shape, constant or None). Synced, so that the pages can be dropped."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _ in tensors:
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape, constant in tensors:
            count = math.prod(shape)
            if constant is not None:
                file.write(np.full(count, constant, "<u2").tobytes())
            else:
                for piece in maker.pieces(count):
                    file.write(piece.data)
        file.flush()
        os.fsync(file.fileno())
    return 8 + len(text) + offset


def stream(path, size, maker):
    """One safetensors file of matrices of 4096 columns, like a shard of a large model."""
    columns, rows = 4096, 4096
    per = 2 * columns * rows
    tensors = [(f"model.layers.{i}.weight", (rows, columns), None) for i in range(size // per)]
    rest = (size % per) // (2 * columns)
    if rest:
        tensors.append(("lm_head.weight", (rest, columns), None))
    return write_safetensors(path, tensors, maker)


def llama(hidden, layers):
    """config.json and the tensors of a Llama, untied, with grouped heads."""
    heads, kv, middle, vocabulary = hidden // 64, hidden // 256, hidden * 11 // 4, 16384
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16", "hidden_act": "silu", "hidden_size": hidden,
        "intermediate_size": middle, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": 64,
        "vocab_size": vocabulary, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "bos_token_id": 0,
        "eos_token_id": 1, "pad_token_id": 2}
    one = 0x3f80  # 1.0
    tensors = [("model.embed_tokens.weight", (vocabulary, hidden), None)]
    for i in range(layers):
        name = f"model.layers.{i}."
        tensors += [
            (name + "self_attn.q_proj.weight", (hidden, hidden), None), (name + "self_attn.k_proj.weight", (kv * 64, hidden), None),
            (name + "self_attn.v_proj.weight", (kv * 64, hidden), None), (name + "self_attn.o_proj.weight", (hidden, hidden), None),
            (name + "mlp.gate_proj.weight", (middle, hidden), None), (name + "mlp.up_proj.weight", (middle, hidden), None),
            (name + "mlp.down_proj.weight", (hidden, middle), None), (name + "input_layernorm.weight", (hidden,), one),
            (name + "post_attention_layernorm.weight", (hidden,), one)]
    return config, tensors + [("model.norm.weight", (hidden,), one), ("lm_head.weight", (vocabulary, hidden), None)]


def checkpoint(folder, size, maker):
    """A Llama checkpoint of at least so many bytes, in shards, as transformers writes it."""
    hidden = 2048 if size >= 800 << 20 else 1024
    layers = 1
    while sum(2 * math.prod(shape) for _, shape, _ in llama(hidden, layers)[1]) < size:
        layers += 1
    config, tensors = llama(hidden, layers)
    shards, room = [[]], SHARD
    for tensor in tensors:
        n = 2 * math.prod(tensor[1])
        if n > room and shards[-1]:
            shards.append([])
            room = SHARD
        shards[-1].append(tensor)
        room -= n
    os.makedirs(folder, exist_ok=True)
    index, total = {}, 0
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_safetensors(os.path.join(folder, name), shard, maker)
        index.update({tensor[0]: name for tensor in shard})
        total += sum(2 * math.prod(tensor[1]) for tensor in shard)
    for name, value in (("config.json", config), ("model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
    return total


if __name__ == "__main__":
    print(checkpoint(sys.argv[1], int(sys.argv[2]), Maker(source_dir())), "bytes of weights")
