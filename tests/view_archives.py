#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Archives for the view tests, built from doc/format.md: what packing does not make, or not at a size that a test can wait for.

view_archives.py views DIR   a checkpoint of each container whose tensors are parts of few objects; shards; names of all sorts
view_archives.py refused DIR what a view refuses, or leaves as it is
view_archives.py big FILE    a safetensors file of more than 4 GiB
view_archives.py many FILE   one of more than 65535 tensors
"""
import os
import struct
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "bad"))
import builder as b  # noqa: E402

SAFETENSORS, TORCH, LEGACY = 1, 2, 3
F6 = 12


class Model(b.Archive):
    """Objects are stored as they are; a file's extents show its objects, which is not what the real file would look like."""

    def __init__(self):
        super().__init__()
        self.add_file(b"", b.DIRECTORY | 0o755)

    def data(self, dtype, data):
        size = 4 if dtype == b.F32 else 1
        self.add_object(b.STORED, dtype, data, len(data) // size, 1, 1 << 20, [data[i:i + (1 << 20)] for i in range(0, len(data), 1 << 20)])
        return len(self.objects) - 1

    def file(self, path, kind, objects=(), literal=b""):
        data, parts = b"", []
        for o in objects:
            parts.append((len(data), 1, o, 0))
            data += b"".join(block.data for block in self.blocks[self.objects[o].first_block:][:self.objects[o].n_blocks])
        if literal:
            self.add_object(b.STORED, b.BYTES, literal, len(literal), 1, 1 << 20, [literal])
            parts.append((len(data), 0, len(self.objects) - 1, 0))
            data += literal
        self.add_file(path, b.REGULAR | 0o640, data, parts, kind)
        return len(self.files) - 1

    def write(self, path):
        with open(path, "wb") as f:
            f.write(self.image())


def floats(n, first=0):
    return struct.pack(f"<{n}f", *(first + i / 8 for i in range(n)))


def tensors(m, file, f32, i8, prefix=b"", more=()):
    """Whole objects, parts of them, ties, tensors without elements, a scalar; f32 has 600 elements, i8 has 50."""
    t = [(b"a.whole", f32, 0, b.F32, [20, 30]), (b"b.part", f32, 400, b.F32, [10, 5]), (b"c.part", f32, 440, b.F32, [4, 4]),
         (b"d.row", f32, 2396, b.F32, []), (b"e.empty", b.NO_OBJECT, 0, b.F32, [0, 7]), (b"f.i8", i8, 0, 3, [50]),
         (b"g.tied", i8, 0, 3, [5, 10]), (b"h.as_u8", i8, 0, 2, [50]), (b"i.\xc3\xa9\xf0\x9f\x98\x80\"\\\n\x7f", i8, 3, 3, [7]), *more]
    for name, obj, start, dtype, shape in sorted(t):
        m.add_tensor(prefix + name, file, obj, start, dtype, shape)


def views(out):
    for name, kind in ((b"model.safetensors", SAFETENSORS), (b"pytorch_model.bin", TORCH), (b"old.pt", LEGACY)):
        m = Model()
        f32, i8 = m.data(b.F32, floats(600)), m.data(3, bytes(range(50)))
        tensors(m, m.file(name, kind, [f32, i8]), f32, i8)
        m.write(f"{out}/{name.decode().split('.')[0]}.hyc")
    for kind, name, end in ((SAFETENSORS, b"model", b".safetensors"), (TORCH, b"pytorch_model", b".bin")):
        m = Model()
        m.file(b"config.json", 0, literal=b"{}\n")
        m.add_file(b"sub", b.DIRECTORY | 0o755)
        shards = {b"sub/%s.fp16-%05d-of-00002%s" % (name, shard, end): shard for shard in (1, 2)}
        index = b"sub/" + name + end + b".index.fp16.json"
        todo = []
        for path in sorted([index, b"sub/other.json", *shards]):
            if path not in shards:
                m.file(path, 0, literal=b"{\"old\": 1}\n")
                continue
            shard = shards[path]
            f32, i8 = m.data(b.F32, floats(600, shard)), m.data(3, bytes(range(shard, 50 + shard)))
            todo.append((m.file(path, kind, [f32, i8]), f32, i8, b"layer.%d." % shard))
        for args in todo:
            tensors(m, *args)
        m.write(f"{out}/sharded-{name.decode()}.hyc")


def refused(out):
    def one(case, names=(b"w",), kind=TORCH, path=b"pytorch_model.bin", shape=(50,), dtype=3, strides=(), others=(), obj=True):
        m = Model()
        i8 = m.data(dtype, bytes(range(50)))
        files = sorted([(path, kind), *others])
        indices = [m.file(p, k, [i8]) for p, k in files]
        for i, (p, k) in zip(indices, files):
            for name in sorted(names if k else ()):
                m.add_tensor(name, i, i8 if obj else b.NO_OBJECT, 0, dtype, list(shape), strides)
        m.write(f"{out}/{case}.hyc")

    one("good")
    one("name-not-utf8", (b"w", b"\xff"))
    one("name-surrogate", (b"\xed\xa0\x80",))
    one("name-metadata", (b"__metadata__",))
    one("strided", strides=(1,))
    one("dims-beyond-int64", shape=(1 << 63, 0), obj=False)
    one("dims-product-beyond-int64", shape=(1 << 40, 1 << 40, 0), obj=False)
    one("no-tensors", ())
    one("two-ends", path=b"x.bin", others=[(b"x.pt", TORCH)])
    one("unreadable-shard", path=b"pytorch_model-00001-of-00002.bin", others=[(b"pytorch_model-00002-of-00002.bin", 0)])
    one("target-exists", others=[(b"model.safetensors", 0)])
    one("index-exists", path=b"pytorch_model-00001-of-00001.bin", others=[(b"model.safetensors.index.json", 0)])
    one("both-there", others=[(b"model.safetensors", SAFETENSORS)])
    one("name-too-long", path=b"x" * 246 + b".bin")
    one("folder-not-utf8", path=b"\xff.safetensors", kind=SAFETENSORS)
    one("six-bits", path=b"model.safetensors", kind=SAFETENSORS, dtype=F6, shape=(4,))
    one("half-bytes", path=b"model.safetensors", kind=SAFETENSORS, dtype=11, shape=(2, 10))
    one("half-bytes-odd", path=b"model.safetensors", kind=SAFETENSORS, dtype=11, shape=(4, 5))
    # A storage whose length or offset is no multiple of the element.
    m = Model()
    i8 = m.data(3, bytes(range(50)))
    m.add_tensor(b"w", m.file(b"model.safetensors", SAFETENSORS, [i8]), i8, 4, b.F32, [3])
    m.write(f"{out}/element.hyc")
    # Names that share their bytes: a small index that would need headers of gigabytes.
    m = Model()
    i8 = m.data(3, bytes(range(50)))
    heap = len(m.names)
    m.names += b"n" * 4096 + b"\0"
    for i in range(40):
        file = m.file(b"%02d.bin" % i, TORCH, [i8])
        for length in range(1, 4097):
            m.tensors.append(b.Record(name_off=heap + 4096 - length, name_len=length, file=file, object=0, start=0, dtype=3, ndim=1,
                                      first_dim=0, flags=0))
    m.dims = [50]
    m.write(f"{out}/header-bomb.hyc")


def big(path):
    """Blocks of 16 MiB of one byte each, the first two tensors beyond 4 GiB together, one of them alone."""
    m = Model()
    block = 1 << 24
    total = []
    for k, n_blocks in enumerate((257, 3)):
        crc, frames = 0, []
        for i in range(n_blocks):
            byte = bytes([(i + k) % 251])
            crc = zlib.crc32(byte * block, crc)
            frames.append(b.zstd_rle(block, byte=byte))
        m.add_object(b.ZSTD, 3, b"", n_blocks * block, 1, block, frames)
        m.objects[-1].bytes, m.objects[-1].crc32 = n_blocks * block, crc
        total.append(n_blocks * block)
    m.add_file(b"model.safetensors", b.REGULAR | 0o644, b"", [(0, 1, 0, 0), (total[0], 1, 1, 0)], SAFETENSORS)
    m.files[-1].size = sum(total)
    for name, obj, shape in ((b"a.big", 0, [total[0]]), (b"b.after", 1, [3, block]), (b"c.empty", b.NO_OBJECT, [0]), (b"d.last", 1, [3 * block])):
        m.add_tensor(name, 1, obj, 0, 3, shape)
    m.write(path)


def many(path):
    m = Model()
    i8 = m.data(3, bytes(range(50)))
    file = m.file(b"model.safetensors", SAFETENSORS, [i8])
    for i in range(70000):
        m.add_tensor(b"t%05d" % i, file, i8, 0, 3, [50])
    m.write(path)


if __name__ == "__main__":
    {"views": views, "refused": refused, "big": big, "many": many}[sys.argv[1]](sys.argv[2])
