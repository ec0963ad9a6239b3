# SPDX-License-Identifier: Apache-2.0
"""Tensors straight from an archive, in the manner of safetensors: safe_open and load_file, over libhyc.

    weights = hyc.load_file("model.hyc", device="cuda")

With device="cuda" what goes over to the GPU are the compressed bytes, which are decoded there; on other devices, and with no
device at all, the processor decodes. The bits are the same.
"""

import contextlib
import ctypes
import functools
import json
import math
import os

from . import Failure

HOST = -1
# Names of safetensors, and what torch calls them. A name that this torch does not have is left out.
TORCH_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32", "U64": "uint64",
    "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
NUMPY_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8",
    "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8",
}


class _Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("msg", ctypes.c_char * 768)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("file", ctypes.c_uint32), ("dtype", ctypes.c_char_p), ("ndim", ctypes.c_uint32),
        ("shape", ctypes.c_uint64 * 64), ("bytes", ctypes.c_uint64), ("codec", ctypes.c_char_p),
        ("stored_bytes", ctypes.c_double), ("bpw", ctypes.c_double), ("sqnr_db", ctypes.c_double),
        ("max_error", ctypes.c_double), ("exact", ctypes.c_int),
    ]


class _File(ctypes.Structure):
    _fields_ = [
        ("path", ctypes.c_char_p), ("path_len", ctypes.c_size_t), ("mode", ctypes.c_uint32), ("size", ctypes.c_uint64),
        ("mtime_sec", ctypes.c_int64), ("mtime_nsec", ctypes.c_uint32), ("parent", ctypes.c_uint32),
        ("hash", ctypes.c_uint8 * 16), ("codec", ctypes.c_char_p), ("stored_bytes", ctypes.c_double), ("exact", ctypes.c_int),
    ]


class _Request(ctypes.Structure):
    _fields_ = [
        ("tensor", ctypes.c_uint32), ("off", ctypes.c_uint64), ("len", ctypes.c_uint64), ("dst", ctypes.c_void_p),
    ]


_Progress = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)


class _LoadOptions(ctypes.Structure):
    _fields_ = [
        ("device", ctypes.c_int), ("stream", ctypes.c_void_p), ("threads", ctypes.c_uint), ("progress", _Progress),
        ("arg", ctypes.c_void_p),
    ]


@functools.cache
def _library():
    """libhyc, found by HYC_LIBRARY or where the loader looks."""
    name = os.environ.get("HYC_LIBRARY", "libhyc.so.0")
    try:
        lib = ctypes.CDLL(name)
    except OSError as e:
        raise Failure(f"libhyc cannot be loaded ({e}); install hycfs, or let HYC_LIBRARY say where it is") from e
    pointer, u32, error = ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(_Error)
    for function, result, arguments in (
        ("hyc_open", ctypes.c_int, [ctypes.c_char_p, pointer, ctypes.POINTER(pointer), error]),
        ("hyc_close", None, [pointer]),
        ("hyc_tensor_count", u32, [pointer]),
        ("hyc_tensor_get", None, [pointer, u32, ctypes.POINTER(_Tensor)]),
        ("hyc_file_count", u32, [pointer]),
        ("hyc_file_get", None, [pointer, u32, ctypes.POINTER(_File)]),
        ("hyc_file_find", ctypes.c_int64, [pointer, ctypes.c_char_p]),
        ("hyc_read", ctypes.c_ssize_t, [pointer, u32, pointer, ctypes.c_size_t, ctypes.c_uint64]),
        ("hyc_load", ctypes.c_int, [pointer, ctypes.POINTER(_Request), ctypes.c_size_t, ctypes.POINTER(_LoadOptions), error]),
    ):
        f = getattr(lib, function)
        f.restype, f.argtypes = result, arguments
    return lib


class _Archive:
    """An open archive."""

    def __init__(self, path):
        self.path = os.fspath(path)
        self._handle = ctypes.c_void_p()
        error = _Error()
        if _library().hyc_open(os.fsencode(self.path), None, ctypes.byref(self._handle), ctypes.byref(error)):
            raise Failure(error.msg.decode(errors="replace"))

    def close(self):
        if self._handle:
            _library().hyc_close(self._handle)
        self._handle = ctypes.c_void_p()

    @property
    def handle(self):
        if not self._handle:
            raise Failure(f"{self.path}: is closed")
        return self._handle

    def tensors(self):
        """(number, name, file, dtype, shape, bytes) of all tensors."""
        t = _Tensor()
        for i in range(_library().hyc_tensor_count(self.handle)):
            _library().hyc_tensor_get(self.handle, i, ctypes.byref(t))
            yield i, t.name.decode(), t.file, t.dtype.decode(), tuple(t.shape[: t.ndim]), t.bytes

    def file_name(self, file):
        f = _File()
        _library().hyc_file_get(self.handle, file, ctypes.byref(f))
        return os.fsdecode(f.path)

    def find(self, name):
        file = _library().hyc_file_find(self.handle, os.fsencode(name))
        if file < 0:
            raise Failure(f"{self.path}: there is no file {name}")
        return file

    def read(self, file, length=None, offset=0):
        """Bytes of a file; all of them where no length is given."""
        f = _File()
        _library().hyc_file_get(self.handle, file, ctypes.byref(f))
        if offset >= f.size:
            return b""
        length = f.size - offset if length is None else min(length, f.size - offset)
        buffer = ctypes.create_string_buffer(length)
        got = _library().hyc_read(self.handle, file, buffer, length, offset)
        if got < 0:
            raise Failure(f"{self.path}: {self.file_name(file)}: {os.strerror(-got)}")
        return buffer.raw[:got]

    def load(self, requests, device, stream, threads, progress):
        """requests: (tensor, offset, length, address) each."""
        array = (_Request * len(requests))(*requests)
        error = _Error()
        total = sum(r[2] for r in requests)
        with _bar(total) if progress else contextlib.nullcontext() as bar:
            call = _Progress(lambda _, done, __: bar.update(done - bar.n)) if bar is not None else _Progress()
            options = _LoadOptions(device, stream, threads, call, None)
            if _library().hyc_load(self.handle, array, len(requests), ctypes.byref(options), ctypes.byref(error)):
                raise Failure(error.msg.decode(errors="replace"))


def _bar(total):
    from tqdm import tqdm

    return tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1024)


class _Torch:
    """Tensors of torch, on the processor or on a CUDA device. Others are loaded on the processor and moved."""

    def __init__(self, device):
        import torch

        self.torch = torch
        self.device = torch.device(f"cuda:{device}" if isinstance(device, int) else device)
        self.moves = self.device.type not in ("cpu", "cuda")
        self.number, self.stream = HOST, None
        if self.device.type == "cuda":
            self.number = torch.cuda.current_device() if self.device.index is None else self.device.index
            self.device = torch.device("cuda", self.number)
            self.stream = torch.cuda.current_stream(self.number).cuda_stream

    def empty(self, dtype, shape):
        found = getattr(self.torch, TORCH_DTYPES.get(dtype, ""), None)
        if found is None:
            raise Failure(f"this torch has no dtype for {dtype}")
        tensor = self.torch.empty(shape, dtype=found, device="cpu" if self.moves else self.device)
        return tensor, tensor.data_ptr()

    def done(self, tensor):
        return tensor.to(self.device) if self.moves else tensor


class _Numpy:
    """Arrays of numpy."""

    number, stream = HOST, None

    def __init__(self, device):
        import numpy

        if device != "cpu":
            raise Failure(f"numpy has no device {device}")
        self.numpy = numpy

    def empty(self, dtype, shape):
        if dtype not in NUMPY_DTYPES:
            raise Failure(f"numpy has no dtype for {dtype}")
        array = self.numpy.empty(shape, dtype=NUMPY_DTYPES[dtype])
        return array, array.ctypes.data

    def done(self, tensor):
        return tensor


FRAMEWORKS = {"pt": _Torch, "torch": _Torch, "pytorch": _Torch, "np": _Numpy, "numpy": _Numpy}


class safe_open:  # pylint: disable=invalid-name
    """The tensors of an archive, by the interface of safetensors.safe_open.

    file names the file of the archive that is meant, which is needed where several have a tensor of the same name.
    """

    def __init__(self, path, framework="pt", device="cpu", file=None, threads=0):
        if framework not in FRAMEWORKS:
            raise Failure(f"framework is {framework}, not one of {', '.join(FRAMEWORKS)}")
        self._framework = FRAMEWORKS[framework](device)
        self._threads = threads
        self._archive = _Archive(path)
        only = None if file is None else self._archive.find(file)
        self._tensors = {}
        for number, name, owner, dtype, shape, size in self._archive.tensors():
            if only not in (None, owner):
                continue
            if name in self._tensors:
                raise Failure(f"{path}: several files have a tensor {name}; say which one with file=")
            self._tensors[name] = number, owner, dtype, shape, size

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._archive.close()

    def keys(self):
        return list(self._tensors)

    def offset_keys(self):
        """Names in the order of the archive."""
        return sorted(self._tensors, key=lambda name: self._tensors[name][0])

    def metadata(self):
        """What the header of the safetensors file says under __metadata__; of the first one where there are several."""
        for _, owner, _, _, _ in self._tensors.values():
            if not self._archive.file_name(owner).endswith(".safetensors"):
                continue
            length = int.from_bytes(self._archive.read(owner, 8), "little")
            return json.loads(self._archive.read(owner, length, 8)).get("__metadata__")
        return None

    def read(self, file):
        """The bytes of a file of the archive, such as config.json."""
        return self._archive.read(self._archive.find(file))

    def _info(self, name):
        if name not in self._tensors:
            raise Failure(f"{self._archive.path}: there is no tensor {name}")
        return self._tensors[name]

    def get_tensors(self, names, progress=False):
        """A dictionary of several tensors, loaded at once."""
        tensors, requests = {}, []
        for name in names:
            number, _, dtype, shape, size = self._info(name)
            tensors[name], address = self._framework.empty(dtype, shape)
            requests.append((number, 0, size, address))
        self._archive.load(requests, self._framework.number, self._framework.stream, self._threads, progress)
        return {name: self._framework.done(tensor) for name, tensor in tensors.items()}

    def get_tensor(self, name):
        return self.get_tensors([name])[name]

    def get_slice(self, name):
        return Slice(self, name)

    def load_rows(self, name, first, end):
        """Rows of a tensor, counted along its first dimension."""
        number, _, dtype, shape, size = self._info(name)
        row = size // shape[0] if shape[0] else 0
        if size and size % shape[0]:
            raise Failure(f"{name}: its rows are no whole bytes")
        tensor, address = self._framework.empty(dtype, (end - first, *shape[1:]))
        self._archive.load([(number, first * row, (end - first) * row, address)], self._framework.number,
                           self._framework.stream, self._threads, False)
        return self._framework.done(tensor)


class Slice:
    """A tensor of which parts are loaded: of the first dimension only what is asked for is read."""

    def __init__(self, opened, name):
        self._opened, self._name = opened, name
        self._dtype, self._shape = opened._info(name)[2:4]  # pylint: disable=protected-access

    def get_shape(self):
        return list(self._shape)

    def get_dtype(self):
        return self._dtype

    def __getitem__(self, index):
        if not isinstance(index, tuple):
            index = (index,)
        if not self._shape or not index or not math.prod(self._shape):
            return self._opened.get_tensor(self._name)[index]
        first, rest = index[0], index[1:]
        if isinstance(first, int):
            if not -self._shape[0] <= first < self._shape[0]:
                raise IndexError(f"{self._name}: there is no row {first}")
            first %= self._shape[0]
            return self._opened.load_rows(self._name, first, first + 1)[(0, *rest)]
        if isinstance(first, slice):
            rows = range(*first.indices(self._shape[0]))
            if rows.step == 1:
                return self._opened.load_rows(self._name, rows.start, max(rows.start, rows.stop))[(slice(None), *rest)]
        return self._opened.get_tensor(self._name)[index]


def load_file(path, device="cpu", file=None, progress=False, threads=0):
    """All tensors of an archive, or of one file in it, as a dictionary; as safetensors.torch.load_file."""
    with safe_open(path, "pt", device, file, threads) as f:
        return f.get_tensors(f.offset_keys(), progress)
