# SPDX-License-Identifier: Apache-2.0
"""Archives that break one rule of doc/format.md each, and a few odd ones that break none.

A small valid archive is built from nothing, then changed in one place; checks and hashes around the change are made good again, so that the
rule itself is what a reader must notice. Everything is deterministic.

    python3 make_bad.py DIR      writes DIR/NAME.hyc for each case, and DIR/cases: "NAME <tab> STAGE <tab> FRAGMENT" a line

STAGE says when a reader must refuse the archive: "open", always; "block", when the damaged block is checked or read; "decode", when the block is
decoded; "digest", by a deep verification only; "good", never. FRAGMENT is part of the sentence it says then.
"""
import copy
import os
import struct
import sys
import zlib

from builder import (BF16, BYTES, CONSTANT, DIRECTORY, F32, FLOAT, I32, MIB, NO_OBJECT, RANS, RAW, REGULAR, STORED, ZSTD, Archive, float_block,
                     weights, xxh64, xxh128, zstd, zstd_rle, zstd_v07)

W = weights(BF16, 4096, 1)
W_MODES = (RANS, RAW)


def make_good():
    """The archive that all cases start from. Indices used below: files ROOT.., objects, blocks, tensors in the order of this text."""
    a = Archive()
    text = b"".join(b"line %d of a text that repeats itself\n" % i for i in range(40))
    head = b'{"w":"a header"}'
    w, i, f = struct.pack("<4096H", *W), struct.pack("<300I", *range(300)), weights(F32, 1024, 2)
    fb = struct.pack("<1024I", *f)
    model = head + w + bytes(16) + i + fb
    at_w, at_pad, at_i, at_f = len(head), len(head) + len(w), len(head) + len(w) + 16, len(head) + len(w) + 16 + len(i)
    a.add_object(ZSTD, BYTES, text, 1, len(text), MIB, [zstd(text)])
    a.add_object(STORED, BYTES, head, 1, len(head), MIB, [head])
    a.add_object(FLOAT, BF16, w, 64, 64, 4096, [float_block(BF16, W[k:k + 2048], W_MODES) for k in (0, 2048)])
    a.add_object(ZSTD, I32, i, 300, 1, 4096, [zstd(i)])
    a.add_object(FLOAT, F32, fb, 32, 32, 4096, [float_block(F32, f, (RANS, RAW, CONSTANT, CONSTANT))])
    a.add_file(b"", DIRECTORY | 0o755)
    a.add_file(b"a.txt", REGULAR | 0o644, text, [(0, 0, 0, 0)])
    a.add_file(b"empty", REGULAR | 0o600)
    a.add_file(b"m.safetensors", REGULAR | 0o644, model,
               [(0, 0, 1, 0), (at_w, 1, 2, 0), (at_pad, 2, 0, 0), (at_i, 1, 3, 0), (at_f, 1, 4, 0)], 1)
    a.add_file(b"sub", DIRECTORY | 0o755)
    a.add_file(b"sub/b.txt", REGULAR | 0o444, text[10:110], [(0, 0, 0, 10)])
    a.add_tensor(b"e", 3, NO_OBJECT, 0, BF16, [0, 3])
    a.add_tensor(b"f", 3, 4, 0, F32, [32, 32])
    a.add_tensor(b"i", 3, 3, 0, I32, [300])
    a.add_tensor(b"v", 3, 2, 2, BF16, [2, 3], [3, 1])
    a.add_tensor(b"w", 3, 2, 0, BF16, [64, 64])
    return a


ROOT, A_TXT, EMPTY, MODEL, SUB, B_TXT = range(6)
X_A, X_HEAD, X_W, X_PAD, X_I, X_F, X_B = range(7)
O_TEXT, O_HEAD, O_W, O_I, O_F = range(5)
B_TEXT, B_HEAD, B_W0, B_W1, B_I, B_F = range(6)
T_E, T_F, T_I, T_V, T_W = range(5)
CASES = []


def case(stage, says, *args):
    """Registers a change to the good archive. With args it is made once for each, and the arg is added to the case's name."""
    def register(change):
        for arg in args or (None,):
            name = change.__name__ if arg is None else f"{change.__name__}_{arg}"
            CASES.append((name, stage, says, change if arg is None else lambda a, arg=arg: change(a, arg)))
        return change
    return register


def sets(name, says, place, field, *values):
    """Registers a case for each value of one field. place: "super", "header", or a table and the index of a record."""
    for value in values:
        def change(a, value=value):
            if isinstance(place, str):
                getattr(a, place)[field] = value
            else:
                setattr(getattr(a, place[0])[place[1]], field, value)
        CASES.append((f"{name}_{value}" if len(values) > 1 else name, "open", says, change))


U32, U64 = 0xffffffff, (1 << 64) - 1


# ---- nothing wrong: what a reader must not refuse ----

@case("good", "")
def good(a):
    pass


@case("good", "")
def good_compat_bits(a):
    a.super["compat"] = 1 << 63 | 5


@case("good", "")
def good_reserved_fields(a):
    a.super["reserved"], a.header["reserved"] = b"\1" * 40, b"\2" * 16
    for r in a.files + a.blocks:
        r.reserved = 7


@case("good", "")
def good_unknown_kind(a):
    a.files[A_TXT].kind = 12345


@case("good", "")
def good_gap_before_index(a):
    a.gap = b"gap" * 100


@case("good", "")
def good_unreferenced_object(a):
    a.add_object(ZSTD, BYTES, bytes(5000), 1, 5000, 4096, [zstd(bytes(4096)), zstd(bytes(904))])


@case("good", "")
def good_zstd_without_content_size(a):
    data = bytes(5000)
    a.add_object(ZSTD, BYTES, data, 1, 5000, 8192, [zstd_rle(5000)])


# ---- superblock and the index as a whole ----

sets("magic_flipped", "not a hyc archive", "super", "magic", b"\x88HYC\r\n\x1a\n")
sets("magic_text_mode", "not a hyc archive", "super", "magic", b"\x89HYC\n\x1a\n\0")
sets("version", "format version", "super", "version", 0, 2, U32)
sets("superblock_bytes", "a superblock of", "super", "superblock_bytes", 0, 127, 129)
sets("incompat", "uses features", "super", "incompat", 1, 1 << 3, 1 << 63)
sets("superblock_check", "superblock's checksum is wrong", "super", "check", 12345)
sets("archive_bytes_huge", "bytes long instead of", "super", "archive_bytes", 1 << 63)
sets("index_off", "index is not at the end", "super", "index_off", 0, 127, 1 << 40, U64)
sets("index_stored", "index is not at the end", "super", "index_stored", 0, 1, 1 << 40, U64)
sets("index_bytes", "an index of", "super", "index_bytes", 0, 47, 1 << 30, (1 << 30) + 1, 1 << 40, U64)
sets("index_hash", "index's hash is wrong", "super", "index_hash", bytes(16))


@case("open", "not a hyc archive", 0, 1, 127)
def truncated_to(a, n):
    a.whole = lambda image: image[:n]


@case("open", "truncated", 128, 1000, 5000, -1)
def cut_to(a, n):
    a.whole = lambda image: image[:n]


@case("open", "bytes long instead of")
def byte_too_many(a):
    a.whole = lambda image: image + b"\0"


@case("open", "index is not at the end")
def index_place_wraps(a):
    size = len(a.image())
    a.super["index_off"], a.super["index_stored"] = (1 << 64) - 1000, size + 1000


FRAMES = {
    "zeros": lambda frame, raw: bytes(len(frame)),
    "cut": lambda frame, raw: frame[:-5],
    "followed_by_junk": lambda frame, raw: frame + b"junk",
    "two": lambda frame, raw: zstd(raw[:100]) + zstd(raw[100:]),
    "skippable": lambda frame, raw: b"\x50\x2a\x4d\x18\x08\0\0\0skipthis" + frame,
    "old_version": lambda frame, raw: zstd_v07(raw)}


@case("open", "index is not one zstd frame", *FRAMES)
def index_frame(a, how):
    raw = a.index()
    a.frame = lambda frame: FRAMES[how](frame, raw)


@case("open", "index does not decompress to", -1, 1)
def index_bytes_off_by(a, n):
    a.super["index_bytes"] = len(a.index()) + n


@case("open", "index does not decompress to")
def index_bomb(a):
    bomb = zstd_rle(1 << 30)
    a.frame = lambda frame: bomb
    a.super["index_bytes"] = MIB + 255 * len(bomb)


COUNTS = "n_files n_extents n_objects n_tensors n_blocks n_dims params_bytes names_bytes".split()


@case("open", "tables of the index take", *COUNTS)
def one_more(a, field):
    a.header[field] = dict(zip(COUNTS, struct.unpack_from("<8I", a.index())))[field] + 1


for count in COUNTS:
    sets("four_billion_" + count, "tables of the index take", "header", count, U32)


@case("open", "tables of the index take")
def four_billion_of_all(a):
    a.header = dict.fromkeys(COUNTS, U32)


@case("open", "tables of the index take")
def index_bytes_left_over(a):
    a.raw = lambda raw: raw + b"\0"


@case("open", "no root directory")
def nothing_at_all(a):
    a.__init__()


# ---- files ----

FORBIDDEN = "has a forbidden name"
sets("path_off", FORBIDDEN, ("files", B_TXT), "path_off", 1 << 16, 0x7fffffff, U32)
sets("path_len", FORBIDDEN, ("files", B_TXT), "path_len", 8, 10, 4097, U32)  # it is 9
sets("mode", "has mode", ("files", EMPTY), "mode", 0o644, 0xa1ff, 0x61ff, 0x11ff, 0x10000 | REGULAR)
sets("root_is_file", "has mode", ("files", ROOT), "mode", REGULAR | 0o644)
sets("directory_with_size", "impossible size", ("files", SUB), "size", 1)
sets("directory_with_hash", "directory with a hash", ("files", SUB), "hash", b"\1" * 16)
sets("file_size", "impossible size", ("files", A_TXT), "size", (1 << 62) + 1, U64)
sets("mtime_nsec", "impossible time", ("files", A_TXT), "mtime_nsec", 10 ** 9, U32)
sets("empty_file_with_extent", "extents for its size", ("files", A_TXT), "size", 0)
sets("file_without_extents", "extents for its size", ("files", EMPTY), "size", 5)
sets("first_extent", "are not in their place", ("files", MODEL), "first_extent", 0, 2, U32)
sets("extents_too_many", "are not in their place", ("files", B_TXT), "n_extents", 2, U32)
PATHS = {
    "dotdot": b"sub/..", "only_dotdot": b"..", "dot": b"sub/.", "absolute": b"/abs", "double_slash": b"sub//b", "trailing_slash": b"sub/",
    "zero": b"sub/b\0txt", "control": b".hycfs", "below_control": b".hycfs/x", "component_256": b"sub/" + b"x" * 256,
    "4097": b"/".join([b"sub"] + [b"x" * 15] * 256)[:4097], "65_deep": b"/".join([b"sub"] + [b"x"] * 64)}


def rename(a, file, path):
    f = a.files[file]
    f.path_off, f.path_len = a.name(path)


@case("open", FORBIDDEN, *PATHS)
def path(a, kind):
    if PATHS[kind].startswith(b"sub/"):
        rename(a, B_TXT, PATHS[kind])
        return
    # To keep the order of paths, the one in question becomes the first.
    a.files.insert(1, copy.copy(a.files[EMPTY]))
    a.files[1].first_extent = 0
    rename(a, 1, PATHS[kind])
    for t in a.tensors:
        t.file += 1


@case("open", FORBIDDEN)
def path_at_end_of_heap(a):
    a.names += b"sub/c"
    a.files[B_TXT].path_off, a.files[B_TXT].path_len = len(a.names) - 5, 5


@case("open", FORBIDDEN)
def root_with_name(a):
    rename(a, ROOT, b"/")


@case("open", "out of order", "A.txt", "a.txt")
def second_path(a, path):
    rename(a, EMPTY, path.encode())


@case("open", "has no parent directory")
def parent_missing(a):
    rename(a, B_TXT, b"zub/b.txt")


@case("open", "has no parent directory")
def parent_is_file(a):
    a.files[SUB].mode = REGULAR | 0o644


@case("open", "belong to no file")
def extents_left_over(a):
    a.extents.append(copy.copy(a.extents[X_B]))


@case("open", "are not in their place")
def extents_wrap(a):
    a.files[MODEL].n_extents = U32
    a.files[SUB].first_extent = a.files[B_TXT].first_extent = 0
    a.files[B_TXT].n_extents = 7


@case("open", "expand more than a million times")
def expands_too_much(a):
    o, n = a.objects[O_TEXT], 1 << 10
    o.bytes = o.cols = a.files[A_TXT].size = n << 24
    o.block_bytes, o.n_blocks = 1 << 24, n
    a.set_block(B_TEXT, b"abc")
    a.blocks[B_TEXT:B_TEXT + 1] = [copy.copy(a.blocks[B_TEXT]) for _ in range(n)]
    for later in a.objects[1:]:
        later.first_block += n - 1
    a.lay_out()


# ---- extents ----

PLACE = "overlaps the next one or the end of the file"
sets("extent_gap_at_start", "does not start with its first extent", ("extents", X_HEAD), "file_off", 1)
sets("extent_empty", PLACE, ("extents", X_PAD), "file_off", 16)
sets("extent_descending", PLACE, ("extents", X_I), "file_off", 100)
sets("extent_beyond_file", PLACE, ("files", MODEL), "size", 9424, 9000)  # the last one starts at 9424
sets("extent_off_huge", "goes beyond its object", ("extents", X_F), "file_off", 1 << 20, U64)
sets("extent_kind", "unknown kind", ("extents", X_PAD), "kind", 3, U32)
sets("extent_target", "refers to object", ("extents", X_W), "target", 5, U32)
sets("extent_start", "goes beyond its object", ("extents", X_W), "start", 1, 1 << 40, U64, (1 << 64) - 8192)
sets("literal_of_tensor", "object of the wrong kind", ("extents", X_I), "kind", 0)
sets("tensor_of_literal", "object of the wrong kind", ("extents", X_B), "kind", 1)
sets("padding_byte", "impossible padding", ("extents", X_PAD), "target", 256)
sets("padding_start", "impossible padding", ("extents", X_PAD), "start", 1)


@case("open", "impossible padding")
def padding_long(a):
    for later in a.extents[X_I:X_B]:
        later.file_off += MIB
    a.files[MODEL].size += MIB


# ---- objects ----

OBJECT = ("objects", O_W)
SHAPE = "has an impossible shape"
sets("codec", "codec", OBJECT, "codec", 3, 6, 7, U32)
sets("object_dtype", "unknown dtype", OBJECT, "dtype", 23, U32)
sets("object_bytes", SHAPE, ("objects", O_TEXT), "bytes", 0, (1 << 62) + 1, U64)
sets("rows", SHAPE, OBJECT, "rows", 0, 63, (1 << 58) + 64, U64)
sets("block_bytes", "has blocks of", OBJECT, "block_bytes", 0, 4095, (1 << 24) + 2, U32 - 1)
sets("n_blocks", "blocks for", OBJECT, "n_blocks", 0, 1, 3, U32)
sets("first_block", "are not in their place", OBJECT, "first_block", 0, 3, U32)
sets("params_off", "parameters outside the heap", OBJECT, "params_off", 1, U32)
sets("params_len", "parameters outside the heap", OBJECT, "params_len", 1, U32)
sets("object_flags", "unknown flags", OBJECT, "flags", 3, 1 << 31)
sets("not_exact", "exact", OBJECT, "flags", 0)
sets("mse", "exact", OBJECT, "mse", 0.5, -0.0, float("nan"))
sets("power", "exact", OBJECT, "power", 1.0, -0.0)
sets("max_error", "exact", OBJECT, "max_error", 1.0, float("inf"))
sets("float_of_integers", "float", ("objects", O_I), "codec", FLOAT)
sets("float_of_bytes", "float", ("objects", O_TEXT), "codec", FLOAT)
sets("stored_but_shorter", "stored bytes", ("objects", O_TEXT), "codec", STORED)


@case("open", "does not fit its codec", STORED, ZSTD, FLOAT)
def params_of_codec(a, codec):
    a.params = b"xyz"
    a.objects[{STORED: O_HEAD, ZSTD: O_I, FLOAT: O_W}[codec]].params_len = 3


@case("open", "belong to no object")
def blocks_left_over(a):
    a.blocks.append(copy.copy(a.blocks[B_F]))
    a.lay_out()


# ---- tensors ----

TENSOR = ("tensors", T_W)
sets("tensor_name_off", FORBIDDEN, TENSOR, "name_off", 1 << 16, U32)
sets("tensor_name_len", FORBIDDEN, TENSOR, "name_len", 0, 2, U32)  # it is 1
sets("tensor_file", "belongs to no file", TENSOR, "file", ROOT, SUB, 6, U32)
sets("tensor_in_earlier_file", "out of order", TENSOR, "file", A_TXT)
sets("tensor_object", "refers to object", TENSOR, "object", 5, U32 - 1)
sets("tensor_dtype", "unknown dtype", TENSOR, "dtype", 0, 23, U32)
sets("tensor_ndim", "dimensions", TENSOR, "ndim", 65, U32)
sets("tensor_first_dim", "shape outside the heap", TENSOR, "first_dim", 10, U32)  # it is 9, and there are 11
sets("strides_beyond_heap", "shape outside the heap", TENSOR, "flags", 1)
sets("tensor_flags", "unknown flags", TENSOR, "flags", 2, 1 << 31 | 1)
sets("tensor_start", "goes beyond its object", TENSOR, "start", 2, U64 - 1)
sets("empty_tensor_with_object", "the wrong object", ("tensors", T_E), "object", O_W)
sets("tensor_without_object", "the wrong object", TENSOR, "object", NO_OBJECT)


@case("open", FORBIDDEN, "4097", "zero", "unterminated")
def tensor_name(a, how):
    t = a.tensors[T_W]
    t.name_off, t.name_len = a.name({"4097": b"w" * 4097, "zero": b"w\0w", "unterminated": b"wx"}[how])
    if how == "unterminated":
        t.name_len, a.names = 2, a.names[:-1]


@case("open", "out of order", "a", "i")
def fourth_tensor(a, name):
    t = a.tensors[T_V]
    t.name_off, t.name_len = a.name(name.encode())


@case("open", "goes beyond its object", 65, 1 << 40)
def tensor_cols(a, n):
    a.dims[-1] = n


@case("open", "goes beyond its object", 4093, 1 << 40)
def tensor_stride(a, n):
    a.dims[a.tensors[T_V].first_dim + 2] = n


@case("open", SHAPE, "dims", "bits", "strides", "half_a_byte")
def tensor_shape(a, how):
    v = a.tensors[T_V].first_dim
    if how == "strides":
        a.dims[v:v + 4] = 4, 4, 1 << 63, 1 << 63
    elif how == "half_a_byte":
        a.tensors[T_W].dtype = 11
        a.dims[-2:] = 1, 3
    else:
        a.dims[-2:] = (1 << 32, 1 << 32) if how == "dims" else (1 << 30, 1 << 30)


# ---- block records ----

OUTSIDE = "lies outside the archive or overlaps another"
sets("block_in_superblock", OUTSIDE, ("blocks", B_TEXT), "off", 0, 127)
sets("block_descending", OUTSIDE, ("blocks", B_W1), "off", 128)
sets("block_beyond", OUTSIDE, ("blocks", B_F), "off", 1 << 20, 1 << 40, U64)
sets("stored", "stored bytes", ("blocks", B_HEAD), "stored", 0, 17)  # it is 16
sets("stored_huge", OUTSIDE, ("blocks", B_HEAD), "stored", U32)


@case("open", OUTSIDE, "overlap", "twice", "in_index")
def block(a, how):
    b = a.blocks
    if how == "overlap":
        b[B_W1].off -= 1
    elif how == "twice":
        b[B_W1].off = b[B_W0].off
    else:
        b[B_F].off += 1


# ---- contents of blocks ----

@case("block", "m.safetensors, tensor v, block 1")
def block_hash(a):
    a.blocks[B_W1].hash ^= 1


@case("block", "m.safetensors, tensor v, block 0")
def block_flipped(a):
    b = a.blocks[B_W0]
    b.data = b.data[:50] + bytes([b.data[50] ^ 1]) + b.data[51:]


@case("digest", "digest")
def object_crc32(a):
    a.objects[O_W].crc32 ^= 1


@case("digest", "digest")
def object_hash(a):
    a.objects[O_W].hash = bytes(16)


@case("decode", "sub/b.txt")
def file_hash(a):
    a.files[B_TXT].hash = bytes(16)


def set_w0(a, **lies):
    a.set_block(B_W0, float_block(BF16, W[:2048], W_MODES, **lies))


@case("decode", "m.safetensors, tensor v, block 0", 9, 17, 255)
def float_u(a, v):
    set_w0(a, say_u=v)


@case("decode", "m.safetensors, tensor v, block 0", "field_0", "field_1")
def float_mode_3(a, how):
    set_w0(a, say_modes=(3, RAW) if how == "field_0" else (RANS, 3))


@case("decode", "m.safetensors, tensor v, block 0")
def float_field_0_raw(a):
    # Four bits of exponent and six of the rest in a unit: just what planes of 10 bits would take, were they allowed.
    a.set_block(B_W0, bytes([10, RAW, CONSTANT, 0]) + b"\0\0" + bytes(10) + bytes(2 * (128 * 4 + 2 * 128 + 1024)))


@case("decode", "m.safetensors, tensor v, block 0", 64, 0xffff)
def float_constant(a, v):
    block = float_block(BF16, [e & 0x7fe0 for e in W[:2048]], (RANS, CONSTANT))
    a.set_block(B_W0, block[:4] + struct.pack("<H", v) + block[6:] if block[1] == CONSTANT else patch_constant(block, v))


def patch_constant(block, v):
    """Field 1's constant stands behind the table of field 0: replace it."""
    n = struct.unpack_from("<H", block, 4)[0]
    at = 6
    for _ in range(n):
        at += 2 if struct.unpack_from("<H", block, at)[0] >> 11 else 4
    return block[:at] + struct.pack("<H", v) + block[at + 2:]


TABLES = {
    "sum_low": lambda t: [*t[:-1], t[-1] - 1] if (t[-1] & 2047) > 1 else [t[0], t[1] - 1, *t[2:]],
    "sum_high": lambda t: [t[0], t[1] + 1, *t[2:]],
    "frequency_0": lambda t: [t[0] + 1, *t[1:], 1 << 11],
    "symbol_1024": lambda t: [2, 1024, 5, 1024, 1024],
    "symbol_65535": lambda t: [2, 1024, 5, 1024, 65535],
    "symbol_twice": lambda t: [2, 1024, 5, 1024, 5],
    "descending": lambda t: [2, 1024, 9, 1024, 5],
    "one_symbol": lambda t: [1, 2047, 5],
    "no_symbols": lambda t: [0],
    "count_65535": lambda t: [65535, *t[1:]],
    "gap_beyond": lambda t: [2, 1024, 1020, 1024 | 31 << 11]}


@case("decode", "m.safetensors, tensor v, block 0", *TABLES)
def float_table(a, how):
    set_w0(a, table=TABLES[how])


def lie(unit=0, **changes):
    """A change to the stream of one unit: new values, or functions of the old ones."""
    def stream(s):
        if s["unit"] == unit:
            for k, v in changes.items():
                s[k] = v(s[k]) if callable(v) else v
        return s
    return stream


STREAMS = {
    "word_missing": lie(words=lambda w: w[:-1], n_words=lambda n: n - 1),
    "no_words": lie(words=[], n_words=0),
    "word_left_over": lie(words=lambda w: w + [0], n_words=lambda n: n + 1),
    "end_state": lie(states=lambda x: x[:5] + [x[5] ^ 1 << 12] + x[6:]),
    "states_zero": lie(states=[0] * 32),
    "states_all_ones": lie(states=[0xffffffff] * 32),
    "words_shuffled": lie(words=lambda w: w[::-1]),
    "last_unit": lie(unit=1, words=lambda w: w[:-1], n_words=lambda n: n - 1),
    "exception_position": lie(exceptions=[(1024, 5)], n_exceptions=1),
    "exception_symbol": lie(exceptions=[(0, 1024)], n_exceptions=1),
    "words_beyond_block": lie(unit=1, n_words=65535),
    "exceptions_beyond_block": lie(unit=1, n_exceptions=65535)}


@case("decode", "m.safetensors, tensor v, block 0", *STREAMS)
def float_stream(a, how):
    set_w0(a, stream=STREAMS[how])


@case("decode", "m.safetensors, tensor v, block 0", 1, 16)
def float_trailing_bytes(a, n):
    set_w0(a, tail=bytes(n))


@case("decode", "m.safetensors, tensor v, block 0", 1, 3, 4, 20, 100, 1000)
def float_cut_to(a, n):
    a.set_block(B_W0, float_block(BF16, W[:2048], W_MODES)[:n])


@case("decode", "m.safetensors, tensor i, block 0", "short", "long", "two_frames", "trailing", "garbage", "skippable", "dictionary", "header_only")
def zstd_frame(a, how):
    i = struct.pack("<300I", *range(300))
    a.set_block(B_I, {
        "short": zstd_rle(1199), "long": zstd_rle(1201), "two_frames": zstd_rle(600) * 2, "trailing": zstd_rle(1200) + b"\0",
        "garbage": b"garbage" * 20, "skippable": b"\x50\x2a\x4d\x18\x08\0\0\0skipthis" + zstd_rle(1200),
        "dictionary": b"\x28\xb5\x2f\xfd\x01\x38\x05" + zstd_rle(1200)[6:],
        "header_only": zstd(i)[:6]}[how])


@case("decode", "m.safetensors, tensor i, block 0")
def zstd_old_version(a):
    data, f, o = bytes(1200), a.files[MODEL], a.objects[O_I]
    f.data = f.data[:8224] + data + f.data[9424:]
    f.hash, o.hash, o.crc32 = xxh128(f.data), xxh128(data), zlib.crc32(data)
    a.set_block(B_I, zstd_v07(data))


@case("decode", "m.safetensors, tensor i, block 0")
def zstd_bomb(a):
    a.set_block(B_I, zstd_rle(24 * MIB))


@case("decode", "a.txt")
def literal_damaged(a):
    a.set_block(B_TEXT, b"\0" * 100)


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    good = make_good()
    with open(os.path.join(out, "cases"), "w") as cases:
        for name, stage, says, change in CASES:
            a = copy.deepcopy(good)
            change(a)
            with open(os.path.join(out, name + ".hyc"), "wb") as archive:
                archive.write(a.image())
            cases.write(f"{name}\t{stage}\t{says}\n")


if __name__ == "__main__":
    main()
