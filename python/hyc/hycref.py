# SPDX-License-Identifier: Apache-2.0
"""Reference decoder of hyc archives: an independent, executable form of doc/format.md.

It was written from that text alone and shares no code with the C library, so that each can be tested against the other. It follows the
words of the text, is not fast, and holds whole files in memory. Lengths and offsets are in bytes unless a name says otherwise.

    python3 hycref.py ARCHIVE                 verify everything; print "xxh3-128  size  path" for each regular file
    python3 hycref.py --unpack DIR ARCHIVE    also write names and contents (no modes, no times) below DIR
"""
import argparse, ctypes, functools, itertools, math, os, pathlib, struct, sys, zlib
from collections import namedtuple
import numpy as np

class FormatError(Exception):
    """The archive breaks a rule of doc/format.md; the argument is a sentence that says which."""

def need(holds, sentence):
    if not holds:
        raise FormatError(sentence)

def rules(what, **rules_by_name):
    """Demand that all rules hold; each is named after what it is about. Errors: FormatError for the first that does not."""
    for name, holds in rules_by_name.items():
        need(holds, f"{what} breaks a rule about its {name.replace('_', ' ')}")

_P, _N, _U64 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64
_Hash128 = type("_Hash128", (ctypes.Structure,), {"_fields_": [("low64", _U64), ("high64", _U64)]})
_xxh3_64, _xxh3_128, _zstd_frame_size, _zstd_decompress = (
    ctypes.CFUNCTYPE(*prototype)((name, ctypes.CDLL(library))) for library, name, *prototype in (
        ("libxxhash.so.0", "XXH3_64bits", _U64, _P, _N), ("libxxhash.so.0", "XXH3_128bits", _Hash128, _P, _N),
        ("libzstd.so.1", "ZSTD_findFrameCompressedSize", _N, _P, _N), ("libzstd.so.1", "ZSTD_decompress", _N, _P, _N, _P, _N)))

def xxh3_128(data):
    value = _xxh3_128(data, len(data))
    return struct.pack(">QQ", value.high64, value.low64)  # the canonical form

def zstd_decode(frame, n_bytes):
    """Decode bytes that are one zstd frame of n_bytes (> 0), not more and not less, to a bytearray. Errors: FormatError."""
    need(len(frame) >= 6 and frame[:4] == b"\x28\xb5\x2f\xfd" and _zstd_frame_size(frame, len(frame)) == len(frame),
         "it is not a zstd frame, or the frame does not end where the data ends")
    out = bytearray(n_bytes)
    size = _zstd_decompress((ctypes.c_char * n_bytes).from_buffer(out), n_bytes, frame, len(frame))
    need(size == n_bytes, "the zstd frame is damaged or has another decoded length")  # sizes near 2^64 are errors
    return out

class _Cursor:
    """Reads a block from its start and refuses to pass its end: n elements of a dtype, and then zero bytes up to a multiple of align."""
    def __init__(self, data):
        self.data, self.at = data, 0

    def array(self, dtype, n, align=1):
        start, end = self.at, self.at + n * np.dtype(dtype).itemsize
        need(end <= len(self.data), "the block is too short")
        self.at = end + -end % align
        return np.frombuffer(self.data, dtype, n, start) if n else np.empty(0, dtype)

    def word(self, dtype="<u2"):
        return int(self.array(dtype, 1)[0])

def slot_table(symbols, frequencies, values):
    """Section 5: uint32 of shape (4, 2048): for each slot the value of its symbol (modulo 2^16), the symbol's frequency, slot - start,
    and the symbol mod 2. The arguments are for each symbol, in ascending order. Errors: FormatError."""
    need(sum(frequencies) == 2048, "the frequencies of a table do not sum to 2048")
    rows = np.array([values, frequencies, np.cumsum(frequencies) - frequencies, symbols]).repeat(frequencies, axis=1)
    return np.array([rows[0] & 0xffff, rows[1], np.arange(2048) - rows[2], rows[3] & 1], np.uint32)

def read_table(cursor, limit):
    """Section 5: read the frequency table of symbols below limit. Returns a slot_table of them. Errors: FormatError."""
    symbols, frequencies = [-1], []
    for _ in range(cursor.word()):
        gap, frequency = divmod(cursor.word(), 2048)
        symbol = symbols[-1] + gap if gap else cursor.word()
        need(symbols[-1] < symbol < limit and frequency > 0, "a frequency table has a symbol out of order or range, or a frequency of 0")
        symbols, frequencies = [*symbols, symbol], [*frequencies, frequency]
    return slot_table(symbols[1:], frequencies, symbols[1:])

def rans_decode(table, rows, n, trellis, streams):
    """Sections 5 and 7: decode R streams of rows times n symbols each, all lanes of all streams at once. table: (4, slots), slot_tables
    side by side. streams: for each one the first slot of its table (with trellis two tables), (32,) uint32 states, uint16 words, (n, 2)
    uint16 exceptions or patches, and the (rows * n,) uint16 array that takes the values of its symbols. Errors: FormatError."""
    (value, frequency, bias, parity), (table_at, states, words, changes, outs) = table, zip(*streams)
    ends = np.cumsum([w.size for w in words])[:, None]
    position = ends - [[w.size] for w in words]
    heap = np.concatenate([*words, [0]]).astype(np.uint32)  # one word more, so that it is never empty
    state, decoded = np.array(states, np.uint32), np.zeros((rows, -(-n // 64), 2, len(words), 32), np.uint16)
    columns, A = np.zeros(decoded.shape[1:], np.int64), np.array([0, 4, 1, 5, 6, 3, 2, 7])  # the states of the trellis
    for row, group, odd in np.ndindex(decoded.shape[:3]):
        lanes = min(32, (n - 64 * group - odd + 1) // 2)  # those that are not idle; they are the lowest
        x, column = state[:, :lanes], columns[group, odd, :, :lanes]
        slot = np.array(table_at)[:, None] + (column >> 2 << 11) + (x & 2047)
        decoded[row, group, odd, :, :lanes] = value[slot]
        if trellis:
            column[:] = A[column] ^ parity[slot]
        x = frequency[slot] * (x >> 11) + bias[slot]
        refill = x < 1 << 16
        # A stream that has no word left reads some other one here; its position passes its end and is refused below.
        word = heap[np.minimum(position + refill.cumsum(axis=1) - 1, heap.size - 1)]
        state[:, :lanes] = np.where(refill, x << 16 | word, x)
        position = position + refill.sum(axis=1, keepdims=True)
    need((position == ends).all() and (state == 1 << 16).all(), "a rANS stream does not end with its words, or not in states of 2^16")
    for out, values, change in zip(outs, decoded.transpose(3, 0, 1, 4, 2).reshape(len(words), rows, -1), changes):
        out[:] = values[:, :n].reshape(-1)
        out[change[:, 0]] = change[:, 1]  # where a position repeats, the last one stays

def read_planes(cursor, bits, n):
    """Section 6: read the raw planes of a field of `bits` bits in a unit of n elements; returns (n,). Errors: FormatError."""
    if bits == 8:
        return cursor.array(np.uint8, n, 16)
    values = np.zeros(n, np.uint16)
    for width in (w for w in (4, 2, 1) if bits & w):
        word = cursor.array("<u4", -(-n * width // 1024) * 32).reshape(-1, 1, 32, 1)  # axes: row, e div 64, word, e mod 2
        shift = np.arange(0, 16, width, np.uint32).reshape(-1, 1, 1) + np.array([0, 16], np.uint32)
        values |= (word >> shift & (1 << width) - 1).astype(np.uint16).reshape(-1)[:n] << (bits & -2 * width)  # above the wider planes
    return values

def cut(n, size):  # the lengths of the pieces of n things cut into pieces of `size`
    return [min(size, n - at) for at in range(0, n, size)]

def read_units(cursor, shapes, fields, trellis=False):
    """Sections 6 to 8: read and decode the units that end a block, and their directory. shapes: for each unit (rows, n), see rans_decode.
    fields: (limit, slot_table) of a field with streams of symbols below limit, or for another one a function that reads n values. Returns
    for each unit a list of integer arrays of shape (rows * n,), one for each field. Errors: FormatError."""
    tables, units, batches = [field[1] for field in fields if not callable(field)], [], {}
    counts = iter(cursor.array("<u2", 2 * len(shapes) * len(tables), 16).reshape(-1, 2).tolist())
    for rows, n in shapes:
        units.append([])
        for f, field in enumerate(fields):
            units[-1].append(field(n) if callable(field) else np.empty(rows * n, np.uint16))
            if not callable(field):
                (n_words, n_changes), table_at = next(counts), 2048 * sum(not callable(other) for other in fields[:f])
                states, words = cursor.array("<u4", 32), cursor.array("<u2", n_words, 16)
                changes = cursor.array("<u2", 2 * n_changes, 16).reshape(-1, 2)
                need((changes < (rows * n, field[0])).all(), "an exception or a patch is out of range")
                batches.setdefault((rows, n), []).append((table_at, states, words, changes, units[-1][f]))
    need(cursor.at == len(cursor.data), "the block is longer or shorter than its units")
    for shape, streams in batches.items():  # streams of one shape are decoded together
        rans_decode(np.concatenate(tables, axis=1), *shape, trellis, streams)
    return units

# Section 6: element bits, then for each field its bits b, how many of them are adjacent in v, and the lowest position of those. The
# remaining bit of a field, if any, is its most significant one and the most significant one of v.
_F32 = (32, ((10, 10, 21), (6, 5, 16), (8, 8, 8), (8, 8, 0)))
_FLOAT = {4: (16, ((7, 7, 8), (1, 0, 0), (8, 8, 0))), 5: (16, ((10, 10, 5), (6, 5, 0))), 16: _F32, 22: _F32,
          **dict.fromkeys((1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13), (8, ((8, 8, 0),)))}

def decode_float(dtype, block, n_bytes):
    """Section 6: decode a block of codec float to n_bytes bytes of elements of this dtype. Errors: FormatError."""
    element_bits, layout = _FLOAT[dtype]
    n, cursor, fields = n_bytes * 8 // element_bits, _Cursor(block), []
    u, *modes = cursor.array(np.uint8, 1 + len(layout), 2).tolist()
    need(10 <= u <= 16, f"the unit exponent is {u}")
    for (bits, _, _), mode in zip(layout, modes):
        constant = 0 if mode else cursor.word()
        rules(f"a field of {bits} bits", mode=mode in (0, 2) or (mode == 1 and bits in (8, 6, 1)), constant=constant < 1 << bits)
        fields.append((1 << bits, read_table(cursor, 1 << bits)) if mode == 2 else
                      functools.partial(read_planes, cursor, bits) if mode == 1 else functools.partial(np.full, fill_value=constant))
    v = np.zeros(n, np.uint32)
    for values, (_, adjacent, position) in zip(zip(*read_units(cursor, [(1, length) for length in cut(n, 1 << u)], fields)), layout):
        value = np.concatenate(values).astype(np.uint32)
        v |= (value & (1 << adjacent) - 1) << position | value >> adjacent << element_bits - 1
    return v.astype(f"<u{element_bits // 8}").tobytes()

_LOSSY = {4: np.dtype("<f2"), 5: np.dtype("<u2"), 16: np.dtype("<f4")}  # of sections 7 and 8; BF16 as its bits
_SCALES = np.ldexp(np.array([float.fromhex(t) for t in (  # of section 7, by their byte
    "0x1.000000p+0  0x1.172b84p+0  0x1.306fe0p+0  0x1.4bfdaep+0  0x1.6a09e6p+0  0x1.8ace54p+0  0x1.ae89fap+0  0x1.d5818ep+0").split()] * 32,
    np.float32), np.arange(256, dtype=np.int32) // 8 - 16)

@np.errstate(over="ignore")
def to_dtype(values, dtype):
    """Section 7: round a float32 array to a dtype of _LOSSY."""
    u = values.view(np.uint32)
    return (u + 0x7fff + (u >> 16 & 1) >> 16 if dtype == 5 else values).astype(_LOSSY[dtype])

def read_byte_table(cursor, step, Q):
    """Section 7: read a frequency table. Returns a slot_table of the levels step * k - Q * sign(k). Errors: FormatError."""
    frequencies, total = [], 0
    while total < 2048:
        v = cursor.word("u1")
        new = [0] * (cursor.word("u1") + 1) if v == 0 else [v if v < 128 else (v - 128) * 256 + cursor.word("u1")]
        frequencies, total = frequencies + new, total + new[0]
        need((v == 0 or 0 < new[0] < 2048) and len(frequencies) <= 1024, "a frequency, or the symbol of one, is out of range")
    k = np.arange(len(frequencies)) - 512
    return slot_table(k, frequencies, step * k - Q * np.sign(k))

def open_tcq(o, params):
    """Section 7: check the parameters (bytes) of object record o. Returns decode(block, offset, n_bytes). Errors: FormatError."""
    rules("an object of codec tcq", dtype=o.dtype in _LOSSY, parameters=len(params) >= 8)
    D, flags, zero, unit_rows = struct.unpack_from("<fBBH", params)
    n_a, n_b, trellis, row_bytes = flags % 2 * o.rows, flags // 2 % 2 * o.cols, flags // 4 % 2, o.cols * _LOSSY[o.dtype].itemsize
    rules("an object of codec tcq", step=2.0 ** -94 <= D <= 2.0 ** 75, flags=flags < 8, parameters=len(params) == 8 + n_a + n_b,
          reserved_byte=zero == 0, unit_rows=1 <= unit_rows and unit_rows * min(o.cols, 256) <= 65536)
    a, b = np.split(_SCALES[np.frombuffer(params, np.uint8)[8:]], [n_a])
    r, c = np.float32(D) * a[:, None] if n_a else np.float32(D), b if n_b else np.float32(1)
    def decode(block, offset, n_bytes):
        need(offset % row_bytes == n_bytes % row_bytes == 0, "a block of codec tcq does not hold whole rows")
        first, rows, cursor = offset // row_bytes, n_bytes // row_bytes, _Cursor(block)
        table = np.concatenate([read_byte_table(cursor, 1 + trellis, Q) for Q in range(1 + trellis)], axis=1)
        cursor.array(np.uint8, 0, 4)
        bands, stripes = cut(rows, unit_rows), cut(o.cols, 256)
        units = iter(read_units(cursor, [(h, w) for h in bands for w in stripes], [(1 << 16, table)], trellis))
        m = np.vstack([np.hstack([next(units)[0].reshape(h, w) for w in stripes]) for h in bands]).view(np.int16)
        return to_dtype(m.astype(np.float32) * c * (r[first:first + rows] if n_a else r), o.dtype).tobytes()
    return decode

def open_hyper(o, params):
    """Section 8: check the parameters (bytes) of object record o. Returns decode(block, offset, n_bytes). Errors: FormatError."""
    rules("an object of codec hyper", dtype=o.dtype in _LOSSY, parameters=len(params) == 40)
    l, dx, dy, cx, cy, R, U, K, q = struct.unpack("<dddfffHBB", params)
    m = math.isqrt(max(U, 1) - 1) + 1
    s = -(-m >> q)
    S, pair_bytes, largest = 1 + (K + 1) * s * s, 2 * _LOSSY[o.dtype].itemsize, 65504 if o.dtype == 4 else 2.0 ** 126
    rules("an object of codec hyper", l=1e-6 <= l <= 1e6, dx=0 < dx < l, dy=0 < dy < l, R=R >= (l / 4 if K else 0), U=4 <= U <= 4096,
          K=K <= 10, q=q <= 3, S=S <= 1024, numbers=all(map(math.isfinite, (l, dx, dy, cx, cy, R))),
          range=max(abs(cx), abs(cy)) + max(R, l / 2) <= largest)
    def decode(block, offset, n_bytes):
        need(offset % pair_bytes == 0 and (n_bytes % pair_bytes == 0 or offset + n_bytes == o.bytes), "a block splits a pair")
        n, cursor = -(-n_bytes // pair_bytes), _Cursor(block)
        mode, u = cursor.array(np.uint8, 2).tolist()
        need(mode < 2 or (mode == 2 and 10 <= u <= 16), f"a block of codec hyper has mode {mode} and u {u}")
        if mode == 2:
            fields = (S, read_table(cursor, S)), functools.partial(read_planes, cursor, 2 * q)
            symbol, low = map(np.concatenate, zip(*read_units(cursor, [(1, length) for length in cut(n, 1 << u)], fields)))
            index = symbol.astype(int) << 2 * q | low
        else:
            index = cursor.array("<u2", n).astype(int) if mode == 1 else np.full(n, cursor.word())
        need(cursor.at == len(block) and (index < S << 2 * q).all(), "a block of codec hyper has a wrong length, or an index out of range")
        symbol, low = np.divmod(index, 1 << 2 * q)
        k, tile = np.divmod(symbol - 1, s * s)
        i, j = (tile // s << q) + (low >> q), (tile % s << q) + low % (1 << q)
        t = i * m + j + 1
        k, t = np.where((symbol > 0) & (i < m) & (j < m) & (t <= U), (k, t), 0)
        x = np.stack([np.where(t > 0, np.fmod((t - 1) * step, l) + (c - l / 2), c) for step, c in ((dx, cx), (dy, cy))], axis=1)
        if K > 0:
            x = (x - (cx, cy)) / ((l / 2) / (l / 2 + k * ((R - l / 2) / K)))[:, None] + (cx, cy)
        return to_dtype(x.astype(np.float32), o.dtype).tobytes()[:n_bytes]
    return decode

def open_lossless(o, params):
    """Section 4: check the object record o of codec 0, 1 or 2. Returns decode(block, offset, n_bytes). Errors: FormatError."""
    rules("an object of a lossless codec", parameters=not params, flags=o.flags == 1, dtype=o.codec < 2 or o.dtype in _FLOAT)
    return lambda block, _, n_bytes: zstd_decode(block, n_bytes) if o.codec == 1 else decode_float(o.dtype, block, n_bytes)

_CODECS = (open_lossless, open_lossless, open_lossless, open_hyper, open_tcq)  # by id, section 4
_BITS = (8, 8, 8, 8, 16, 16, 8, 8, 8, 8, 8, 4, 6, 6, 16, 16, 32, 32, 32, 64, 64, 64, 64)  # by dtype, section 3.7
_DIRECTORY, _REGULAR, _NO_OBJECT, _LITERAL, _PADDING = 0x4000, 0x8000, 0xffffffff, 0, 2
# The records of section 3 in the order of their tables. Names are read as their lengths first, and then replaced by the names.
_RECORDS = [(namedtuple(name, fields), struct.Struct("<" + layout)) for name, layout, fields in (
    ("File", "IIIIQqIIII16s", "path_off path mode kind size mtime_sec mtime_nsec first_extent n_extents reserved hash"),
    ("Extent", "QIIQ", "file_off kind target start"),
    ("Object", "IIQQQIIII16sIIIIQQ", "codec dtype bytes rows cols block_bytes first_block n_blocks crc32 hash params_off params_bytes "
     "flags power mse max_error"),  # the last three as their bits
    ("Tensor", "IIIIQIIII", "name_off name file object start dtype ndim first_dim flags"),
    ("Block", "QIIQ", "off stored reserved hash"))] + [(int, struct.Struct("<Q"))]

class Archive:
    """An archive with a valid index: files, extents, objects, tensors and blocks are lists of the records above, dims is the heap of
    shapes, a list of int. Errors: FormatError; OSError where the file cannot be read."""
    def __init__(self, path):
        self._file = open(path, "rb")
        index, sizes = memoryview(self._read_index()), [*(layout.size for _, layout in _RECORDS), 1, 1]
        ends = [*itertools.accumulate((n * size for n, size in zip(struct.unpack_from("<8I", index), sizes)), initial=48)]
        need(ends[-1] == len(index), "the tables of the index do not add up to its size")
        *tables, self._params, self._names = (bytes(index[a:b]) for a, b in zip(ends, ends[1:]))
        files, self.extents, self.objects, tensors, self.blocks, self.dims = (
            [record(*r) for r in layout.iter_unpack(table)] for (record, layout), table in zip(_RECORDS, tables))
        self.files = [f._replace(path=self._name(f.path_off, f.path)) for f in files]
        self.tensors = [t._replace(name=self._name(t.name_off, t.name)) for t in tensors]
        for check in self._check_objects, self._check_files, self._check_tensors:
            check()

    def _read_index(self):  # section 2, and the limits of section 3
        head, size = self._read(0, 128), os.fstat(self._file.fileno()).st_size
        (magic, version, head_bytes, incompat, _, self.archive_bytes, self.index_off, index_stored, index_bytes, index_hash, _,
         check) = struct.unpack("<8sIIQQQQQQ16s40sQ", head)
        rules("the superblock", magic=magic == b"\x89HYC\r\n\x1a\n", check=check == _xxh3_64(head, 120), version=version == 1,
              size=head_bytes == 128, features=incompat == 0, archive_bytes=self.archive_bytes == size,
              index=128 <= self.index_off == size - index_stored, index_bytes=index_bytes <= min(1 << 30, (1 << 20) + 255 * index_stored))
        index = self._read(self.index_off, index_stored)
        rules("the index", hash=xxh3_128(index) == index_hash, size=index_bytes >= 48)
        return zstd_decode(index, index_bytes)

    def _read(self, offset, n):
        self._file.seek(offset)
        data = self._file.read(n)
        need(len(data) == n, "the archive is truncated")
        return data

    def _name(self, offset, length):
        name = self._names[offset:offset + length + 1]
        need(len(name) == length + 1 and name.find(0) == length, "a name is outside its heap, holds a zero byte or has none after it")
        return name[:-1]

    def _check_objects(self):  # sections 3.3, 3.5 and 4
        n_blocks, end, self._decoders = 0, 128, []
        for i, o in enumerate(self.objects):
            rules(f"object {i}", codec=o.codec < len(_CODECS), dtype=o.dtype < len(_BITS), block_bytes=1 <= o.block_bytes <= 1 << 24)
            element, start, n_blocks = max(1, _BITS[o.dtype] // 8), n_blocks, n_blocks + o.n_blocks
            rules(f"object {i}", size=1 <= o.bytes <= 1 << 62, coding_shape=o.rows * o.cols * element == o.bytes, flags=o.flags <= 1,
                  block_bytes=o.block_bytes % element == 0, errors=o.flags == 0 or o.power == o.mse == o.max_error == 0,
                  parameters=o.params_off + o.params_bytes <= len(self._params),
                  blocks=o.n_blocks == -(-o.bytes // o.block_bytes) and o.first_block == start and n_blocks <= len(self.blocks))
            self._decoders.append(_CODECS[o.codec](o, self._params[o.params_off:o.params_off + o.params_bytes]))
            for b, _, length in self._blocks_of(o):
                rules(f"the block at {b.off}", place=end <= b.off <= self.index_off - b.stored,
                      stored_length=(length if o.codec == 0 else 1) <= b.stored <= length)
                end = b.off + b.stored
        need(n_blocks == len(self.blocks), "the objects do not have the blocks of the index")

    def _check_files(self):  # sections 3.1 and 3.2
        self._by_path, extents, last = {}, 0, b""
        need(self.files and self.files[0].path == b"" and self.is_dir(0), "file 0 is not the root directory")
        for i, f in enumerate(self.files):
            kind, parts = f.mode & ~0o7777, f.path.split(b"/")
            parent = self._by_path.get(b"/".join(parts[:-1]))
            rules(f"file {i}", order=i == 0 or f.path > last, parent=i == 0 or (parent is not None and self.is_dir(parent)),
                  path=i == 0 or (len(f.path) <= 4096 and len(parts) <= 64 and all(1 <= len(p) <= 255 for p in parts)
                                  and b"." not in parts and b".." not in parts and parts[0] != b".hycfs"),
                  mode=kind in (_REGULAR, _DIRECTORY), directories=kind == _REGULAR or (f.size == 0 and f.hash == bytes(16)),
                  size=f.size <= 1 << 62, time=f.mtime_nsec < 10 ** 9, extents=(f.n_extents == 0) == (f.size == 0),
                  first_extent=f.first_extent == extents and extents + f.n_extents <= len(self.extents))
            extents, last, self._by_path[f.path] = extents + f.n_extents, f.path, i
            for e, length in self._spans(f):
                o = self.objects[e.target] if e.kind != _PADDING and e.target < len(self.objects) else None
                rules(f"an extent of file {i}", length=length > 0, start=e.file_off == 0 or e is not self.extents[f.first_extent],
                      kind=e.kind <= _PADDING, target=o or (e.kind == _PADDING and e.target <= 255),
                      span=e.start + length <= o.bytes if o else e.start == 0 and length <= 1 << 20,
                      dtype=o is None or (e.kind == _LITERAL) == (o.dtype == 0))
        rules("the index", extents=extents == len(self.extents), sizes=sum(f.size for f in self.files) <= self.archive_bytes << 20)

    def _check_tensors(self):  # section 3.4; integers here have no width, so that nothing wraps
        last = (-1, b"")
        for i, t in enumerate(self.tensors):
            mid, end = t.first_dim + t.ndim, t.first_dim + t.ndim * (1 + t.flags)
            rules(f"tensor {i}", name=1 <= len(t.name) <= 4096, file=t.file < len(self.files) and not self.is_dir(t.file),
                  order=(t.file, t.name) > last, dtype=0 < t.dtype < len(_BITS), flags=t.flags <= 1,
                  shape=t.ndim <= 64 and end <= len(self.dims))
            shape, strides, last = self.dims[t.first_dim:mid], self.dims[mid:end], (t.file, t.name)
            elements = math.prod(shape)
            bits = _BITS[t.dtype] * (1 + sum((d - 1) * s for d, s in zip(shape, strides)) if t.flags and elements else elements)
            rules(f"tensor {i}", shape=elements < 1 << 64 and bits % 8 == 0, object=(elements == 0) == (t.object == _NO_OBJECT),
                  span=elements == 0 or (t.object < len(self.objects) and t.start + bits // 8 <= self.objects[t.object].bytes))

    def is_dir(self, i):
        return self.files[i].mode & ~0o7777 == _DIRECTORY

    def _spans(self, f):  # (extent, length) for each extent of file record f
        extents = self.extents[f.first_extent:f.first_extent + f.n_extents]
        return ((e, end - e.file_off) for e, end in zip(extents, [*(e.file_off for e in extents[1:]), f.size]))

    def _blocks_of(self, o):  # (block, offset in the object, decoded length) for each block of object record o
        return zip(self.blocks[o.first_block:o.first_block + o.n_blocks], range(0, o.bytes, o.block_bytes), cut(o.bytes, o.block_bytes))

    @functools.lru_cache(maxsize=2)  # two, because literals and tensors alternate in a file
    def read_object(self, i):
        """Decoded bytes of object i; blocks and digests are checked. Errors: FormatError, IndexError."""
        o, parts = self.objects[i], []
        for b, offset, length in self._blocks_of(o):
            data = self._read(b.off, b.stored)
            need(_xxh3_64(data, len(data)) == b.hash, f"the hash of the block at {b.off} is wrong")
            parts.append(data if b.stored == length else self._decoders[i](data, offset, length))
        data = b"".join(parts)
        need(zlib.crc32(data) == o.crc32 and xxh3_128(data) == o.hash, f"a digest of object {i} is wrong")
        return data

    def read_file(self, path):
        """Bytes of the regular file `path` (str or bytes). Errors: FormatError, FileNotFoundError."""
        i = self._by_path.get(os.fsencode(path), 0)  # of no file: the root
        if self.is_dir(i):
            raise FileNotFoundError(path)
        data = b"".join(bytes([e.target]) * length if e.kind == _PADDING else
                        memoryview(self.read_object(e.target))[e.start:e.start + length] for e, length in self._spans(self.files[i]))
        need(xxh3_128(data) == self.files[i].hash, f"the hash of file {i} is wrong")
        return data

def main(arguments=None):
    parser = argparse.ArgumentParser(prog="hycref", description="Verify a hyc archive and print the digests of its files.")
    parser.add_argument("archive")
    parser.add_argument("--unpack", metavar="DIR", help="also write the files below DIR")
    options = parser.parse_args(arguments)
    try:
        archive = Archive(options.archive)
        if options.unpack is not None:
            os.makedirs(options.unpack, exist_ok=True)
            root = os.open(options.unpack, os.O_DIRECTORY)
        for i, f in enumerate(archive.files):
            data = None if archive.is_dir(i) else archive.read_file(f.path)
            if options.unpack is not None and i > 0:
                *parents, name = f.path.split(b"/")
                for part in root, *parents:  # one by one: a path of 4096 bytes below another directory is too long for the system
                    os.chdir(part)
                os.makedirs(name, exist_ok=True) if data is None else pathlib.Path(os.fsdecode(name)).write_bytes(data)
            if data is not None:
                sys.stdout.buffer.write(b"%s  %d  %s\n" % (f.hash.hex().encode(), f.size, f.path))
        for i in set(range(len(archive.objects))) - {e.target for e in archive.extents if e.kind != _PADDING}:
            archive.read_object(i)
    except (FormatError, OSError) as e:
        sys.exit(f"hycref: {options.archive}: {e}")

if __name__ == "__main__":
    main()
