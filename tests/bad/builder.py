# SPDX-License-Identifier: Apache-2.0
"""Builds archives from doc/format.md with nothing but the standard library, libzstd and libxxhash, and lets its caller lie in every field."""
import ctypes
import struct
import zlib

MIB = 1 << 20
BYTES, F16, BF16, F32, I32 = 0, 4, 5, 16, 17
STORED, ZSTD, FLOAT = 0, 1, 2
CONSTANT, RAW, RANS = 0, 1, 2
DIRECTORY, REGULAR = 0x4000, 0x8000
NO_OBJECT = 0xffffffff


# ---- hashes and zstd ----

class _Hash128(ctypes.Structure):
    _fields_ = [("low64", ctypes.c_uint64), ("high64", ctypes.c_uint64)]


_xxh = ctypes.CDLL("libxxhash.so.0")
_xxh.XXH3_64bits.restype, _xxh.XXH3_64bits.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t]
_xxh.XXH3_128bits.restype, _xxh.XXH3_128bits.argtypes = _Hash128, [ctypes.c_char_p, ctypes.c_size_t]
_zstd = ctypes.CDLL("libzstd.so.1")
_zstd.ZSTD_compress.restype = ctypes.c_size_t
_zstd.ZSTD_compress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]


def xxh64(data):
    return _xxh.XXH3_64bits(bytes(data), len(data))


def xxh128(data):
    value = _xxh.XXH3_128bits(bytes(data), len(data))
    return struct.pack(">QQ", value.high64, value.low64)


def zstd(data):
    out = ctypes.create_string_buffer(len(data) + 1024)
    n = _zstd.ZSTD_compress(out, len(out), bytes(data), len(data), 19)
    return out.raw[:n]


def zstd_rle(n, window_byte=0x38, byte=b"\0"):
    """A frame without a content size, of RLE blocks of at most 128 KiB; window_byte 0x38 is a window of 128 KiB."""
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([window_byte])
    while n:
        part = min(n, 1 << 17)
        n -= part
        frame += struct.pack("<I", (n == 0) | 1 << 1 | part << 3)[:3] + byte
    return frame


def zstd_v07(data):
    """A frame of zstd 0.7, which is not RFC 8878 but which libzstd may take all the same; data is repeats of one byte or is copied."""
    rle = len(set(data)) == 1
    n = len(data)
    return (b"\x27\xb5\x2f\xfd\0\x38" + bytes([(2 if rle else 1) << 6 | n >> 16, n >> 8 & 255, n & 255]) + (data[:1] if rle else data) +
            b"\xc0\0\0")


# ---- codec float ----

class Random:
    """Numerical Recipes' generator: the same numbers with every Python."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) & 0xffffffff
        return (self.state >> 8) % n


def table_words(frequencies):
    """The serialised table of {symbol: frequency}."""
    words, previous = [len(frequencies)], -1
    for symbol in sorted(frequencies):
        gap = symbol - previous
        words += [frequencies[symbol] | gap << 11] if gap < 32 else [frequencies[symbol], symbol]
        previous = symbol
    return words


def normalise(symbols):
    """Frequencies that sum to 2048, from a list of symbols of at least two kinds."""
    counts = {s: symbols.count(s) for s in sorted(set(symbols))}
    out = {s: max(1, c * 2048 // len(symbols)) for s, c in counts.items()}
    out[max(out, key=out.get)] += 2048 - sum(out.values())
    return out


def rans_encode(symbols, frequencies):
    """Returns (states, words) of a stream; symbols with frequency 0 are not allowed."""
    starts, total = {}, 0
    for s in sorted(frequencies):
        starts[s] = total
        total += frequencies[s]
    order = sorted(range(len(symbols)), key=lambda i: (i // 64, i % 2, i % 64))
    states, words = [1 << 16] * 32, []
    for i in reversed(order):
        lane, f = i // 2 % 32, frequencies[symbols[i]]
        x = states[lane]
        if x >= f << 21:
            words.append(x & 0xffff)
            x >>= 16
        states[lane] = (x // f << 11) + x % f + starts[symbols[i]]
    return states, words[::-1]


def pad(data, unit):
    return data + bytes(-len(data) % unit)


def planes(values, bits):
    out = b""
    for width in (8, 4, 2, 1):
        if not bits & width:
            continue
        part = [v >> (0 if width in (8, 4) or bits < 6 else 4) & (1 << width) - 1 for v in values]
        if width == 8:
            out += pad(bytes(part), 16)
            continue
        row = 1024 // width
        for first in range(0, len(part), row):
            words = [0] * 32
            for e, v in enumerate(part[first:first + row]):
                words[e // 2 % 32] |= v << (e // 64 * width + 16 * (e % 2))
            out += struct.pack("<32I", *words)
    return out


# Bits of each field, and how to cut an element.
FIELDS = {
    BF16: ((10, 6), lambda v: (v >> 5 & 0x3ff, v >> 15 << 5 | v & 31)),
    F32: ((10, 6, 8, 8), lambda v: (v >> 21 & 0x3ff, v >> 31 << 5 | v >> 16 & 31, v >> 8 & 255, v & 255)),
}


def same(x):
    return x


def float_block(dtype, elements, modes, u=10, say_u=None, say_modes=None, table=same, stream=same, tail=b""):
    """A block, with places to lie: table gets the words of each table, stream a dict of what makes each stream."""
    bits, cut = FIELDS[dtype]
    fields = list(zip(*map(cut, elements)))
    out = bytes([say_u or u]) + bytes(say_modes or modes)
    out = pad(out, 2)
    frequencies = {}
    for k, (mode, values) in enumerate(zip(modes, fields)):
        if mode == CONSTANT:
            out += struct.pack("<H", values[0])
        elif mode == RANS:
            # What occurs once is not worth a slot: it becomes an exception.
            frequencies[k] = normalise([v for v in values if values.count(v) > 1])
            words = table(table_words(frequencies[k]))
            out += struct.pack(f"<{len(words)}H", *words)
    body = b""
    for first in range(0, len(elements), 1 << u):
        for k, mode in enumerate(modes):
            values = list(fields[k][first:first + (1 << u)])
            if mode == RAW:
                body += planes(values, bits[k])
            elif mode == RANS:
                common = max(frequencies[k], key=frequencies[k].get)
                exceptions = [(i, v) for i, v in enumerate(values) if v not in frequencies[k]]
                coded = [v if v in frequencies[k] else common for v in values]
                states, words = rans_encode(coded, frequencies[k])
                s = {"states": states, "words": words, "exceptions": exceptions, "unit": first >> u}
                s["n_words"], s["n_exceptions"] = len(words), len(exceptions)
                s = stream(s)
                out += struct.pack("<HH", s["n_words"], s["n_exceptions"])
                body += struct.pack("<32I", *s["states"])
                body += pad(struct.pack(f"<{len(s['words'])}H", *s["words"]), 16)
                body += pad(b"".join(struct.pack("<HH", *e) for e in s["exceptions"]), 16)
    return pad(out, 16) + body + tail


def weights(dtype, n, seed):
    """Elements as bf16 weights have them: few exponents, random mantissas; one outlier."""
    r = Random(seed)
    out = []
    for i in range(n):
        exponent = 123 - min(r.below(2), r.below(9)) - r.below(2)
        out.append(r.below(2) << 15 | (201 if i == 77 else exponent) << 7 | r.below(128))
    return [v << 16 for v in out] if dtype == F32 else out


# ---- archives ----

class Record:
    def __init__(self, **fields):
        self.__dict__.update(fields)


class Archive:
    """The records of an archive, all fields explicit; image() makes the bytes."""

    def __init__(self):
        self.files, self.extents, self.objects, self.tensors, self.blocks, self.dims = [], [], [], [], [], []
        self.params, self.names = b"", b""
        self.header, self.super = {}, {}     # what to say instead of the truth
        self.raw = self.frame = self.whole = same  # a last change to the index, its frame, the archive
        self.gap = b""                       # between the last block and the index

    def name(self, text):
        self.names += text + b"\0"
        return len(self.names) - len(text) - 1, len(text)

    def add_file(self, path, mode, data=b"", parts=(), kind=0):
        off, length = self.name(path)
        self.files.append(Record(
            path_off=off, path_len=length, mode=mode, kind=kind, size=len(data), mtime_sec=1700000000, mtime_nsec=5,
            first_extent=len(self.extents), n_extents=len(parts), reserved=0,
            hash=xxh128(data) if mode & REGULAR else bytes(16), data=data))
        for file_off, kind, target, start in parts:
            self.extents.append(Record(file_off=file_off, kind=kind, target=target, start=start))

    def add_object(self, codec, dtype, data, rows, cols, block_bytes, blocks):
        self.objects.append(Record(
            codec=codec, dtype=dtype, bytes=len(data), rows=rows, cols=cols, block_bytes=block_bytes,
            first_block=len(self.blocks), n_blocks=len(blocks), crc32=zlib.crc32(data), hash=xxh128(data), params_off=0, params_len=0,
            flags=1, power=0.0, mse=0.0, max_error=0.0))
        for block in blocks:
            self.blocks.append(Record(off=0, stored=len(block), reserved=0, hash=xxh64(block), data=block))
        self.lay_out()

    def add_tensor(self, name, file, object, start, dtype, shape, strides=()):
        off, length = self.name(name)
        self.tensors.append(Record(
            name_off=off, name_len=length, file=file, object=object, start=start, dtype=dtype, ndim=len(shape),
            first_dim=len(self.dims), flags=1 if strides else 0))
        self.dims += [*shape, *strides]

    def lay_out(self):
        off = 128
        for b in self.blocks:
            b.off = off
            off += len(b.data)

    def set_block(self, i, data):
        b = self.blocks[i]
        b.data, b.stored, b.hash = data, len(data), xxh64(data)
        self.lay_out()

    def index(self):
        def table(form, records, *fields):
            return b"".join(struct.pack("<" + form, *(getattr(r, f) for f in fields)) for r in records)

        header = dict(n_files=len(self.files), n_extents=len(self.extents), n_objects=len(self.objects), n_tensors=len(self.tensors),
                      n_blocks=len(self.blocks), n_dims=len(self.dims), params_bytes=len(self.params), names_bytes=len(self.names),
                      reserved=bytes(16))
        header.update(self.header)
        return b"".join((
            struct.pack("<8I16s", *header.values()),
            table("IIIIQqIIII16s", self.files, "path_off", "path_len", "mode", "kind", "size", "mtime_sec", "mtime_nsec", "first_extent",
                  "n_extents", "reserved", "hash"),
            table("QIIQ", self.extents, "file_off", "kind", "target", "start"),
            table("IIQQQIIII16sIIIfdd", self.objects, "codec", "dtype", "bytes", "rows", "cols", "block_bytes", "first_block", "n_blocks",
                  "crc32", "hash", "params_off", "params_len", "flags", "power", "mse", "max_error"),
            table("IIIIQIIII", self.tensors, "name_off", "name_len", "file", "object", "start", "dtype", "ndim", "first_dim", "flags"),
            table("QIIQ", self.blocks, "off", "stored", "reserved", "hash"),
            struct.pack(f"<{len(self.dims)}Q", *self.dims), self.params, self.names))

    def image(self):
        raw = self.raw(self.index())
        frame = self.frame(zstd(raw))
        blocks = b"".join(b.data for b in self.blocks) + self.gap
        s = dict(magic=b"\x89HYC\r\n\x1a\n", version=1, superblock_bytes=128, incompat=0, compat=0,
                 archive_bytes=128 + len(blocks) + len(frame), index_off=128 + len(blocks), index_stored=len(frame), index_bytes=len(raw),
                 index_hash=xxh128(frame), reserved=bytes(40))
        s.update(self.super)
        check = s.pop("check", None)
        head = struct.pack("<8sIIQQQQQQ16s40s", *s.values())
        head += struct.pack("<Q", xxh64(head) if check is None else check)
        return self.whole(head + blocks + frame)
