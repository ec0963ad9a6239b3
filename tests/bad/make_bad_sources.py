# SPDX-License-Identifier: Apache-2.0
"""Write malicious checkpoints and check how hyc packs them: python3 make_bad_sources.py write DIR | check HYC DIR

Each is kept as an ordinary file with one note, or, where only what its pickle refers to is foreign, without names. Nothing of it runs.
"""
import concurrent.futures
import filecmp
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

MARK = "/tmp/hyc-bad-source-was-run"
MAX_RSS = None if os.environ.get("HYC_SANITIZED") else 400 << 20
SECONDS = 120 if os.environ.get("HYC_SANITIZED") else 30
P2 = b"\x80\x02"


# ---- pickles ----

def text(s):
    s = s.encode() if isinstance(s, str) else s
    return b"X" + struct.pack("<I", len(s)) + s


def number(n):
    b = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(b)]) + b


def tup(*parts):
    return b"(" + b"".join(parts) + b"t"


def name(module, attr):
    return f"c{module}\n{attr}\n".encode()


def storage(key="0", kind="FloatStorage", n=4, tag="storage", module="torch"):
    return tup(text(tag), name(module, kind), text(key), text("cpu"), number(n)) + b"Q"


def tensor(s=None, offset=0, shape=(4,), strides=(1,), func="_rebuild_tensor_v2"):
    args = (s or storage(), number(offset), tup(*map(number, shape)), tup(*map(number, strides)), b"\x89", name("collections", "OrderedDict") + b")R")
    return name("torch._utils", func) + tup(*args) + b"R"


def table(**tensors):
    return P2 + b"}(" + b"".join(text(k) + v for k, v in tensors.items()) + b"u."


class Evil:
    def __reduce__(self):
        return os.system, (f"touch {MARK}",)


GOOD = table(a=tensor())
DATA = struct.pack("<4f", 1, 2, 3, 4)


# ---- zip ----

def record(path, data, **odd):
    """One record as torch writes it. odd changes fields of its header (l_), descriptor (d_) or directory entry (c_), or of all."""
    crc, flags = zlib.crc32(data), 0x0808 if data else 0x0800
    f = {"crc": crc, "size": len(data), "usize": len(data), "flags": flags, "method": 0, "name": path.encode(), "head": None, "extra": b""} | odd
    return f, data


def zip_file(records, tail=b"", end=None, gap=b"", directory=None, **odd_end):
    out, places = io.BytesIO(), []
    for f, data in records:
        places.append(out.tell())
        local = f.get("l_name", f["name"])
        out.write(struct.pack("<IHHHHHIIIHH", 0x04034b50, 0, f.get("l_flags", f["flags"]), f.get("l_method", f["method"]), 0, 0, f.get("l_crc", 0), f.get("l_size", 0),
                              f.get("l_usize", 0), len(local), f.get("l_extra_len", len(f["extra"]))) + local + f["extra"] + data)
        if f["flags"] & 8 and not f.get("d_none"):
            out.write(struct.pack("<IIII", f.get("d_sig", 0x08074b50), f.get("d_crc", f["crc"]), f.get("d_size", f["size"]), f.get("d_usize", f["usize"])))
        out.write(gap)
    start = out.tell()
    entries = b"".join(
        struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 0, 0, f["flags"], f["method"], 0, 0, f["crc"], f["size"], f["usize"], len(f["name"]), len(f.get("c_extra", b"")), 0,
                    f.get("c_disk", 0), 0, 0, f["head"] if f["head"] is not None else place) + f["name"] + f.get("c_extra", b"")
        for (f, _), place in zip(records, places))
    out.write(entries if directory is None else directory(entries))
    e = {"n": len(records), "size": len(entries), "off": start, "comment": 0, "disk": 0} | odd_end
    out.write(tail + struct.pack("<IHHHHIIH", 0x06054b50, e["disk"], 0, e["n"], e["n"], e["size"], e["off"], e["comment"]))
    return out.getvalue()


def torch_zip(data_pkl=GOOD, data=DATA, extra=(), odd=None, odd_pkl=None, **kwargs):
    records = [record("x/data.pkl", data_pkl, **(odd_pkl or {})), record("x/byteorder", b"little"), record("x/data/0", data, **(odd or {})), record("x/version", b"3\n")]
    return zip_file(records + list(extra), **kwargs)


def pickle_of(data):
    """The data.pkl in what torch_zip made."""
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        return z.read("x/data.pkl")


def legacy(obj=GOOD, keys=None, body=struct.pack("<q", 4) + DATA, protocol=1001, little=True):
    pickles = [pickle.dumps(0x1950a86a20f9469cfc6c, 2), pickle.dumps(protocol, 2), pickle.dumps({"protocol_version": 1001, "little_endian": little}, 2), obj,
               pickle.dumps(["0"], 2) if keys is None else keys]
    return b"".join(pickles) + body


# ---- GGUF ----

def gs(s):
    return struct.pack("<Q", len(s)) + s


def gguf(n=1, pairs=(), tensors=None, data=b"\0" * 64, version=3, n_pairs=None, magic=b"GGUF"):
    one = gtensor()
    head = magic + struct.pack("<IQQ", version, n, len(pairs) if n_pairs is None else n_pairs) + b"".join(pairs) + b"".join([one] if tensors is None else tensors)
    return head + b"\0" * (-len(head) % 32) + data


def gtensor(nm=b"a", dims=(4,), kind=0, off=0, ndim=None):
    return gs(nm) + struct.pack("<I", len(dims) if ndim is None else ndim) + struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", kind, off)


KEPT = "kept as an ordinary file: "
UNLISTED = "its tensors are not listed: "
BIG = 1 << 62


def cases():
    def z(case, says, **kwargs):
        return case + ".bin", KEPT + says, torch_zip(**kwargs)

    def p(case, says, data_pkl):
        return case + ".bin", KEPT + says, torch_zip(data_pkl=data_pkl)

    def lg(case, says, **kwargs):
        return case + ".pt", KEPT + says, legacy(**kwargs)

    def g(case, says, **kwargs):
        return case + ".gguf", KEPT + says, gguf(**kwargs)
    deep = P2 + b"(" * 200000 + b")" + b"t" * 200000 + b"."
    loop = P2 + b"}q\0(" + text("a") + b"h\0" + text("b") + tensor() + b"u."
    laughs = P2 + b"]q\0" + b"".join(b"](" + bytes([ord("h"), i]) * 10 + b"eq" + bytes([i + 1]) for i in range(60)) + b"."
    return [
        # pickles
        ("pickle-os-system.bin", UNLISTED + "it refers to posix.system", torch_zip(data_pkl=pickle.dumps({"a": Evil()}, 2))),
        ("pickle-os-system-and-tensor.bin", UNLISTED + "it refers to os.system", torch_zip(data_pkl=table(a=tensor(), b=name("os", "system") + tup(text(f"touch {MARK}")) + b"R"))),
        ("pickle-eval.bin", UNLISTED + "it refers to builtins.eval", torch_zip(data_pkl=table(a=name("builtins", "eval") + tup(text("1")) + b"R"))),
        ("pickle-stack-global.bin", UNLISTED + "it refers to os.system", torch_zip(data_pkl=b"\x80\x04" + text("os") + text("system") + b"\x93" + tup(text(f"touch {MARK}")) + b"R.")),
        ("pickle-global-newline.bin", UNLISTED + "it refers to os?.sys", torch_zip(data_pkl=b"\x80\x04" + text("os\n") + text("sys\0tem") + b"\x93.")),
        ("pickle-instance.bin", UNLISTED + "it refers to os.system", torch_zip(data_pkl=P2 + b"(" + text(f"touch {MARK}") + b"ios\nsystem\n.")),
        ("pickle-build-foreign.bin", UNLISTED + "it refers to a.B", torch_zip(data_pkl=P2 + name("a", "B") + b")\x81}b.")),
        ("pickle-load-from-bytes.bin", UNLISTED + "it refers to torch.storage._load_from_bytes", torch_zip(data_pkl=table(a=name("torch.storage", "_load_from_bytes") + tup(b"C\0") + b"R"))),
        ("pickle-deep.bin", None, torch_zip(data_pkl=deep)),
        p("pickle-too-deep", "its pickle is nested too deeply", P2 + b"(" * 1500000 + b"."),
        ("pickle-holds-itself.bin", None, torch_zip(data_pkl=loop)),
        ("pickle-laughs.bin", None, torch_zip(data_pkl=laughs)),
        p("pickle-memo-far", "its pickle has memo 4294967295", P2 + b"Nr\xff\xff\xff\xff."),
        p("pickle-memo-text-far", "its pickle has memo", P2 + b"Np99999999999\n."),
        p("pickle-memo-unfilled", "a memo that was never filled", P2 + b"h\7."),
        p("pickle-memo-of-nothing", "remembers a value where there is none", P2 + b"q\0."),
        p("pickle-long-string", "its pickle ends too early", P2 + b"X\xff\xff\xff\xff."),
        p("pickle-longer-string", "its pickle ends too early", b"\x80\x04\x8d" + b"\xff" * 8 + b"."),
        p("pickle-long-number", "its pickle ends too early", P2 + b"\x8b\xff\xff\xff\x7f."),
        p("pickle-no-stop", "its pickle ends too early", GOOD[:-1]),
        p("pickle-empty", "its pickle ends too early", b""),
        p("pickle-pop-nothing", "takes a value where there is none", P2 + b"0."),
        p("pickle-no-mark", "goes back to a mark", P2 + b"Nt."),
        p("pickle-mark-in-tuple", "takes a value where there is none", P2 + b"((N\x87."),
        p("pickle-half-pair", "half a pair", P2 + b"}(Nu."),
        p("pickle-protocol", "has protocol 9", b"\x80\x09N."),
        p("pickle-opcode", "has opcode 0x97", P2 + b"\x97."),
        p("pickle-extension", "has opcode 0x82", P2 + b"\x82\1."),
        p("pickle-persistent-name", "is not that of a storage", P2 + text("storage") + b"Q."),
        p("pickle-persistent-tag", "is not that of a storage", table(a=tensor(storage(tag="module")))),
        p("pickle-storage-class", "of no known type", table(a=tensor(storage(kind="EvilStorage")))),
        p("pickle-storage-negative", "is not that of a storage", table(a=tensor(storage(n=-1)))),
        p("pickle-storage-huge", "larger than any file", table(a=tensor(storage(n=BIG)))),
        p("pickle-storage-two-sizes", "two types or sizes", table(a=tensor(), b=tensor(storage(n=8)))),
        p("pickle-storage-missing", "which the zip file does not have", table(a=tensor(storage(key="7")))),
        p("pickle-storage-slip", "which the zip file does not have", table(a=tensor(storage(key="../../etc/passwd")))),
        p("pickle-storage-zero-byte", "has no plain name", table(a=tensor(storage(key="0\0")))),
        p("pickle-tensor-offset", "reaches beyond its storage", table(a=tensor(offset=1))),
        p("pickle-tensor-offset-huge", "reaches beyond its storage", table(a=tensor(offset=(1 << 63) - 1))),
        p("pickle-tensor-shape", "reaches beyond its storage", table(a=tensor(shape=(5,)))),
        p("pickle-tensor-shape-huge", "reaches beyond its storage", table(a=tensor(shape=(BIG, BIG), strides=(0, 0)))),
        p("pickle-tensor-stride", "reaches beyond its storage", table(a=tensor(strides=(2,)))),
        p("pickle-tensor-stride-huge", "reaches beyond its storage", table(a=tensor(shape=(2, 2), strides=(BIG, BIG)))),
        p("pickle-tensor-no-strides", "as many strides", table(a=tensor(strides=()))),
        p("pickle-tensor-negative", "made of the wrong parts", table(a=tensor(shape=(-4,)))),
        p("pickle-tensor-dims", "made of the wrong parts", table(a=tensor(shape=(1,) * 65, strides=(1,) * 65))),
        p("pickle-tensor-storage", "made of the wrong parts", table(a=tensor(text("0")))),
        p("pickle-parameter", "a parameter of its pickle is no tensor", table(a=name("torch._utils", "_rebuild_parameter") + tup(b"N") + b"R")),
        ("pickle-expand.bin", UNLISTED + "what its strided views show", torch_zip(data_pkl=table(a=tensor(shape=(1 << 50,), strides=(0,))))),
        ("pickle-many-copies.bin", UNLISTED + "what its strided views show",
         torch_zip(data_pkl=table(**{f"t{i}": tensor(shape=(50, 4), strides=(0, 1)) for i in range(300)}))),
        ("pickle-name-zero-byte.bin", UNLISTED + "a tensor has a name", torch_zip(data_pkl=table(**{"a\0b": tensor()}))),
        ("pickle-name-empty.bin", UNLISTED + "a tensor has a name", torch_zip(data_pkl=table(**{"": tensor()}))),
        ("pickle-name-long.bin", UNLISTED + "a tensor has a name", torch_zip(data_pkl=table(**{"a" * 5000: tensor()}))),
        ("pickle-name-not-utf8.bin", UNLISTED + "a tensor has a name", torch_zip(data_pkl=P2 + b"}" + text(b"\xed\xa0\x80") + tensor() + b"s.")),
        ("pickle-name-twice.bin", UNLISTED + "a name is there twice", torch_zip(data_pkl=P2 + b"}" + (text("a") + tensor() + b"s") * 2 + b".")),
        # zip
        z("zip-overlap", "overlaps what follows it", odd={"size": 100, "usize": 100}),
        ("zip-same-data.bin", KEPT + "overlaps what follows it", zip_file([record("x/data.pkl", GOOD), record("x/data/0", DATA, head=0)])),
        z("zip-size-huge", "overlaps what follows it", odd={"size": 0xfffffffe, "usize": 0xfffffffe}),
        z("zip-two-sizes", "has two sizes", odd={"usize": 15}),
        z("zip-size-of-storage", "its pickle wants 16", data=DATA + b"0"),
        z("zip-compressed-storage", "is compressed", odd={"method": 8}),
        z("zip-compressed-pickle", "is compressed", odd_pkl={"method": 8}),
        z("zip-encrypted", "is encrypted", odd={"flags": 0x0809}),
        z("zip-descriptor-crc", "the data descriptor of zip record x/data/0", odd={"d_crc": 1}),
        z("zip-descriptor-size", "the data descriptor of zip record x/data/0", odd={"d_size": 1}),
        z("zip-descriptor-missing", "has no data descriptor", odd={"d_none": True}),
        z("zip-descriptor-signature", "has no data descriptor", odd={"d_sig": 7}),
        z("zip-header-name", "another name in its header", odd={"l_name": b"x/data/1"}),
        z("zip-header-method", "header of zip record x/data/0", odd={"l_method": 8}),
        z("zip-header-flags", "header of zip record x/data/0", odd={"l_flags": 0}),
        z("zip-header-size", "header of zip record x/data/0", odd={"l_size": 3}),
        z("zip-header-crc", "header of zip record x/data/0", odd={"l_crc": 3}),
        z("zip-header-extra", "overlaps what follows it", odd={"l_extra_len": 0xffff}),
        z("zip-extra-too-long", "an extra field is longer", odd={"extra": b"\1\0\xff\0"}),
        z("zip-zip64-missing", "a zip64 field is missing", odd={"size": 0xffffffff, "usize": 0xffffffff}),
        z("zip-zip64-huge", "overlaps what follows it", odd={"size": 0xffffffff, "usize": 0xffffffff, "c_extra": b"\1\0\x10\0" + b"\xff" * 16}),
        z("zip-zip64-twice", "two zip64 fields", odd={"c_extra": b"\1\0\0\0\1\0\0\0"}),
        z("zip-slip", "no plain path", extra=[record("x/../../etc/passwd", b"root")]),
        z("zip-absolute", "no plain path", extra=[record("/etc/passwd", b"root")]),
        z("zip-backslash", "no plain path", extra=[record("x\\y", b"root")]),
        z("zip-zero-byte-name", "no plain path", extra=[record("x\0y", b"root")]),
        z("zip-same-name", "two zip records called x/data/0", extra=[record("x/data/0", DATA)]),
        z("zip-two-pickles", "has no data.pkl, or several", extra=[record("y/data.pkl", GOOD)]),
        z("zip-gap", "belong to no record", gap=b"hidden"),
        ("zip-two-directories.bin", KEPT + "", torch_zip() + torch_zip()),
        z("zip-directory-twice", "", directory=lambda d: d + d),
        z("zip-directory-cut", "the central directory", directory=lambda d: d[:-3]),
        z("zip-end-offset", "does not lie before its end record", off=0xfffffff0),
        z("zip-end-count", "claims 60000 records", n=60000),
        z("zip-end-few", "has bytes behind its last record", n=2),
        z("zip-end-zip64", "zip64 end record is missing", n=0xffff),
        z("zip-comment", "is not at its end", comment=9),
        z("zip-parts", "one part of several", disk=1),
        ("zip-locator-astray.bin", KEPT + "the zip64 locator", torch_zip(tail=struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 0, 0, 0, 0, 0, 0, 0, 0) + struct.pack("<IIQI", 0x07064b50, 0, 5, 1))),
        ("zip-truncated.bin", KEPT + "is it truncated?", torch_zip()[:-30]),
        ("zip-four-bytes.bin", KEPT + "is it truncated?", b"PK\3\4"),
        ("zip-big-endian.bin", KEPT + "its byte order is not little", zip_file([record("x/data.pkl", GOOD), record("x/byteorder", b"big"), record("x/data/0", DATA)])),
        ("lfs.bin", KEPT + "a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        # legacy
        lg("legacy-big-endian", "its byte order is not little", little=False),
        lg("legacy-protocol", "is not 1001", protocol=1002),
        lg("legacy-numel", "has another size", body=struct.pack("<q", 5) + DATA),
        lg("legacy-numel-negative", "has another size", body=struct.pack("<q", -1) + DATA),
        lg("legacy-truncated", "truncated", body=struct.pack("<q", 4) + DATA[:-1]),
        lg("legacy-no-storages", "", body=b""),
        lg("legacy-keys-twice", "its list of storages", keys=pickle.dumps(["0", "0"], 2)),
        lg("legacy-keys-other", "its list of storages", keys=pickle.dumps(["1"], 2)),
        lg("legacy-keys-none", "its list of storages", keys=pickle.dumps(None, 2)),
        ("legacy-os-system.pt", UNLISTED + "it refers to posix.system", legacy(obj=pickle.dumps({"a": Evil()}, 2), keys=pickle.dumps([], 2), body=b"")),
        ("legacy-view.pt", KEPT + "a view of another",
         legacy(obj=table(a=tensor(tup(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), number(4), tup(text("1"), number(0), number(2))) + b"Q")))),
        # GGUF
        g("gguf-magic", "does not begin as", magic=b"FUGG"),
        g("gguf-version", "its GGUF version is", version=0x03000000),
        g("gguf-many-tensors", "it claims", n=BIG),
        g("gguf-many-pairs", "it claims", n_pairs=BIG),
        g("gguf-few-tensors", "", n=2, data=b""),
        g("gguf-key-long", "truncated", pairs=[struct.pack("<Q", BIG)]),
        g("gguf-string-long", "truncated", pairs=[gs(b"k") + struct.pack("<IQ", 8, BIG)]),
        g("gguf-type", "unknown type 99", pairs=[gs(b"k") + struct.pack("<I", 99)]),
        g("gguf-array-long", "truncated", pairs=[gs(b"k") + struct.pack("<IIQ", 9, 12, BIG)]),
        g("gguf-array-strings", "truncated", pairs=[gs(b"k") + struct.pack("<IIQ", 9, 8, BIG)]),
        g("gguf-array-type", "array of unknown type", pairs=[gs(b"k") + struct.pack("<IIQ", 9, 77, 1)]),
        g("gguf-array-deep", "arrays of arrays", pairs=[gs(b"k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 100000]),
        g("gguf-alignment-0", "no power of two", pairs=[gs(b"general.alignment") + struct.pack("<II", 4, 0)]),
        g("gguf-alignment-text", "no 32 bit number", pairs=[gs(b"general.alignment") + struct.pack("<I", 8) + gs(b"32")]),
        g("gguf-alignment-huge", "reaches beyond", pairs=[gs(b"general.alignment") + struct.pack("<II", 4, 1 << 31)]),
        g("gguf-name-long", "the name of a tensor has", tensors=[struct.pack("<Q", BIG)]),
        g("gguf-name-empty", "the name of a tensor has 0", tensors=[gtensor(b"")]),
        g("gguf-name-bytes", "cannot be listed", tensors=[gtensor(b"\xff")]),
        g("gguf-dims", "has 9 dimensions", tensors=[gtensor(ndim=9)]),
        g("gguf-shape", "overflows", tensors=[gtensor(dims=(BIG, BIG))]),
        g("gguf-shape-bytes", "overflows", tensors=[gtensor(dims=(BIG, 2))]),
        g("gguf-beyond", "reaches beyond the end", tensors=[gtensor(dims=(17,))]),
        g("gguf-offset", "reaches beyond the end", tensors=[gtensor(off=(1 << 64) - 32)]),
        g("gguf-overlap", "overlaps another", n=2, tensors=[gtensor(b"a"), gtensor(b"b", off=8)]),
        g("gguf-same-name", "two tensors called a", n=2, tensors=[gtensor(b"a"), gtensor(b"a", off=32)]),
        ("gguf-four-bytes.gguf", KEPT + "truncated", b"GGUF"),
        ("lfs.gguf", KEPT + "a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        # npz
        ("zip-truncated.npz", KEPT + "is it truncated?", torch_zip()[:-30]),
        ("zip-slip.npz", KEPT + "no plain path", zip_file([record("../a.npy", b"")])),
    ]


def write(directory):
    os.makedirs(directory, exist_ok=True)
    for case, _, data in cases():
        with open(os.path.join(directory, case), "wb") as f:
            f.write(data)


def run(arguments):
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


def check_case(hyc, directory, case, says):
    source, archive, out = (os.path.join(directory, case + end) for end in ("", ".hyc", ".out"))
    limit = ["prlimit", f"--as={MAX_RSS}"] if MAX_RSS else []
    status, _, err = run([*limit, hyc, "pack", "-j", "1", "-o", archive, source])
    if status != 0 or len(err.splitlines()) != (says is not None) or (says is not None and not all(part in err for part in (source, *says.split(": ", 1)))):
        return f"{case}: status {status}, wanted {says}: {err.strip()[:300]}"
    status, _, err = run([hyc, "unpack", "-C", out, archive])
    if status or not filecmp.cmp(source, os.path.join(out, case), shallow=False):
        return f"{case}: is not given back: {err}"
    status, listing, err = run([hyc, "ls", "--tensors", "--json", archive])
    if status or (says is not None and json.loads(listing)):
        return f"{case}: has tensors: {listing[:300]}{err}"
    return None


def check(hyc, directory):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = [w for w in pool.map(lambda c: check_case(hyc, directory, *c[:2]), cases()) if w]
    if os.path.exists(MARK):
        wrong.append("something of a pickle was run")
    print("\n".join(wrong))
    print(len(cases()), "hostile files,", len(wrong), "wrong answers")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(write(sys.argv[2]) if sys.argv[1] == "write" else check(*sys.argv[2:]))
