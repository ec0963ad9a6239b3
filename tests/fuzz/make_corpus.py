# SPDX-License-Identifier: Apache-2.0
"""Make the seeds of the fuzz targets from the archives of tests/bad: python3 make_corpus.py CORPUS-DIR"""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bad"))
sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import builder
import make_bad
import make_bad_sources
import view_archives

# For the archive target: some cases for each part of the format. (The replay of all of them as they are is tests/archive-bad.sh.)
SEEDS = """good good_unreferenced_object good_zstd_without_content_size index_bomb one_more_n_files path_dotdot parent_missing expands_too_much extent_empty
    padding_long tensor_shape_strides block_overlap float_table_symbol_65535 float_stream_exception_position float_cut_to_100 zstd_frame_window
    zstd_bomb""".split()


def put(directory, name, data):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "wb") as f:
        f.write(data)


def put_sources(out):
    """Good ones and small bad ones, each once."""
    b = make_bad_sources
    put(out + "/torchzip", "good", b.torch_zip())
    put(out + "/torchzip", "good-copies", b.torch_zip(data_pkl=b.table(a=b.tensor(shape=(2, 2), strides=(1, 2)), b=b.tensor(), c=b.tensor(offset=1, shape=(3,)))))
    put(out + "/torchzip", "good-npz", b.zip_file([b.record("a.npy", b"\x93NUMPY\1\0\x3a\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n" + b.DATA)]))
    put(out + "/pickle", "good", b.GOOD)
    put(out + "/pickle", "good-untyped", b.table(a=b.name("torch._utils", "_rebuild_tensor_v3") + b.tup(
        b.storage(kind="UntypedStorage", module="torch.storage", n=6), b.number(0), b.tup(b.number(3)), b.tup(b.number(1)), b"\x89", b"}", b.name("torch", "uint16")) + b"R"))
    put(out + "/pickle", "good-legacy", b.legacy())
    put(out + "/gguf", "good", b.gguf(pairs=[b.gs(b"k") + struct.pack("<IIQ", 9, 8, 2) + b.gs(b"x") + b.gs(b"y"), b.gs(b"general.alignment") + struct.pack("<II", 4, 32)]))
    for case, _, data in b.cases():
        target = {"zip": "torchzip", "leg": "pickle", "ggu": "gguf", "pic": "pickle"}.get(case[:3])
        if target and len(data) < 1500:
            put(f"{out}/{target}", case.split(".")[0], b.pickle_of(data) if case.startswith("pickle") else data)


def put_archive(out, name, a):
    image = a.image()
    index_off, = struct.unpack_from("<Q", image, 40)
    put(out + "/archive", name, b"\1" + image[:index_off] + a.raw(a.index()))
    return image


def put_views(out):
    """Archives that have something to show in another container."""
    def write(model, path):
        name = os.path.basename(path).split(".")[0]
        if name in ("model", "sharded-pytorch_model", "target-exists", "two-ends", "half-bytes"):
            put_archive(out, "view-" + name, model)

    view_archives.Model.write = write
    view_archives.views(out)
    view_archives.refused(out)


def main():
    out = sys.argv[1]
    for name, _, _, change in make_bad.CASES:
        if name not in SEEDS:
            continue
        a = make_bad.make_good()
        change(a)
        image = put_archive(out, name, a)
        put(out + "/archive", name + ".raw", b"\0" + image) if name == "good" else None
    for name, dtype, modes, u in (("bf16", builder.BF16, (builder.RANS, builder.RAW), 10), ("bf16-one-unit", builder.BF16, (builder.RANS, builder.RANS), 11),
                                  ("f32", builder.F32, (builder.RANS, builder.RAW, builder.RAW, builder.CONSTANT), 10)):
        w = builder.weights(dtype, 1500, 3)
        put(out + "/float", name, bytes([dtype]) + struct.pack("<I", len(w) - 1)[:3] + builder.float_block(dtype, w, modes, u))
        put(out + "/float", name + "-elements",
            bytes([dtype | 0x80, 0, 0, 0]) + struct.pack(f"<{len(w)}{'H' if dtype == builder.BF16 else 'I'}", *w))
    text = b"".join(b"a text, line %d\n" % i for i in range(100))
    for name, n, frame in (("text", len(text), builder.zstd(text)), ("rle", 5000, builder.zstd_rle(5000)), ("bomb", 1000, builder.zstd_rle(1 << 24)),
                           ("window", 5000, builder.zstd_rle(5000, 15 << 3))):
        put(out + "/zstd", name, struct.pack("<I", n - 1)[:3] + b"\0" + frame)
    put(out + "/zstd", "text-round-trip", b"\0\0\0\x83" + text)
    put_sources(out)
    put_views(out)


if __name__ == "__main__":
    main()
