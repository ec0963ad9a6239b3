# SPDX-License-Identifier: Apache-2.0
"""Print "XXH3-128  SIZE  PATH" for each regular file.

    hyc ls --json ARCHIVE | python3 digests.py     as the archive says
    python3 digests.py DIR                         of the files below DIR
"""
import ctypes
import json
import os
import sys


class _Hash128(ctypes.Structure):
    _fields_ = [("low64", ctypes.c_uint64), ("high64", ctypes.c_uint64)]


def digest(data):
    xxh = ctypes.CDLL("libxxhash.so.0")
    xxh.XXH3_128bits.restype, xxh.XXH3_128bits.argtypes = _Hash128, [ctypes.c_char_p, ctypes.c_size_t]
    value = xxh.XXH3_128bits(data, len(data))
    return f"{value.high64:016x}{value.low64:016x}"


def main():
    if len(sys.argv) == 1:
        for entry in json.load(sys.stdin):
            if entry["type"] == "file":
                print(f"{entry['xxh3']}  {entry['size']}  {entry['path']}")
        return
    for directory, _, names in os.walk(sys.argv[1]):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, "rb") as f:
                data = f.read()
            print(f"{digest(data)}  {len(data)}  {os.path.relpath(path, sys.argv[1])}")


if __name__ == "__main__":
    main()
