# SPDX-License-Identifier: Apache-2.0
"""The quantisers hycfs is compared with, as functions of one matrix: what a decoder of theirs would give back, and the bits it takes.

A matrix is fp32 with one row an output, as torch's Linear has it; groups run along a row, the direction of the sum. All of them are the
plain, data-free form of their method. What they give back stays fp32, as it does in the programs that use them; hycfs rounds to the
tensor's dtype, which is the harder rule at eight bits and makes no difference below.
"""
import math
from dataclasses import dataclass
from typing import Callable

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize


@dataclass
class Peer:
    name: str
    family: str
    code: Callable  # (matrix) -> (matrix that comes back, bits)
    as_stored: bool = False  # takes the numbers in the order of the file, whichever way the matrix lies in it


def gguf(kind):
    """llama.cpp's formats, by its own Python package: blocks of 32 with an fp16 scale (and, in the _1 formats, an fp16 minimum)."""
    kind = GGMLQuantizationType[kind]

    def code(matrix):
        if matrix.shape[1] % 32:
            raise ValueError("a row that is no multiple of 32")
        stored = quantize(matrix, kind)
        return dequantize(stored, kind), 8 * stored.nbytes
    return code


def grouped(matrix, size):
    """Rows cut in groups; the last one of a row is filled up with its last element."""
    missing = -matrix.shape[1] % size
    return np.pad(matrix, ((0, 0), (0, missing)), mode="edge").reshape(-1, size)


def ungrouped(groups, matrix):
    return groups.reshape(matrix.shape[0], -1)[:, :matrix.shape[1]]


def rtn(bits, size):
    """Round to nearest on a grid between a group's minimum and maximum: fp16 step, integer zero point."""
    top = 2 ** bits - 1

    def code(matrix):
        groups = grouped(matrix, size)
        low = np.minimum(groups.min(1, keepdims=True), 0)
        high = np.maximum(groups.max(1, keepdims=True), 0)
        step = ((high - low) / top).astype(np.float16).astype(np.float32)
        step[step == 0] = 1
        zero = np.clip(np.round(-low / step), 0, top)
        levels = np.clip(np.round(groups / step) + zero, 0, top)
        return ungrouped((levels - zero) * step, matrix), matrix.size * bits + len(groups) * (16 + bits)
    return code


# The quantiles of a normal distribution that QLoRA's NF4 has for its sixteen values.
NF4_VALUES = np.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0], np.float32)


def nf4(size):
    bounds = (NF4_VALUES[1:] + NF4_VALUES[:-1]) / 2

    def code(matrix):
        groups = grouped(matrix, size)
        scale = np.abs(groups).max(1, keepdims=True).astype(np.float16).astype(np.float32)
        scale[scale == 0] = 1
        return ungrouped(NF4_VALUES[np.searchsorted(bounds, groups / scale)] * scale, matrix), matrix.size * 4 + len(groups) * 16
    return code


def lattice(side, nodes):
    """The published trajectory's nodes: a line of integer slope that wraps around in the square, so a sheared m x m grid."""
    m = math.ceil(math.sqrt(nodes))
    # Every m-th node lies on the square's edge, at the bottom or at the top as the last bit of the step has it; this is how the program
    # comes by it.
    direction = np.array([side / m, side])
    length = np.sqrt((direction ** 2).sum())
    step = direction / length * (length / m)
    return m, np.fmod(np.arange(nodes)[:, None] * step, side) - side / 2


def nearest(points, side, m, grid):
    """Index of the nearest node to each point of the square: 0 is the centre, 1 + i the lattice's node i."""
    best = np.zeros(len(points), np.int64)
    distance = (points ** 2).sum(1)
    x, y = (points / side + 0.5).T * m
    for above in 0, 1:
        row = np.clip(np.floor(y).astype(np.int64) + above, 0, m - 1)
        column = np.clip(np.round(x - row / m).astype(np.int64), 0, m - 1)
        node = np.minimum(column * m + row, len(grid) - 1)
        d = ((points - grid[node]) ** 2).sum(1)
        closer = d < distance
        best[closer] = node[closer] + 1
        distance[closer] = d[closer]
    return best


def hyper(side=0.1, nodes=1600, classes=3, threshold=0.001, limit=0.006):
    """Hyper-Compression (arXiv 2409.00592) as its program for language models does it: pairs of weights are points about their centroid,
    those inside a square become the nearest node of a lattice in it, the others are shrunk into the square first, by a factor for each of up
    to `classes` rings. Every pair takes the bits of the tensor's largest code. A tensor it codes worse than `limit` stays as it was."""
    m, grid = lattice(side, nodes)
    centred = np.concatenate([grid, np.zeros((1, 2))])  # so that [index - 1] is the centre for index 0

    def code(matrix):
        flat = matrix.reshape(-1).astype(np.float32)
        odd = np.full(len(flat) % 2, flat.mean(), np.float32)
        points = np.concatenate([flat, odd]).reshape(-1, 2).astype(np.float64)
        centre = points.mean(0).astype(np.float32)
        points -= centre
        far = np.abs(points).max(1) > side / 2
        near, outer = points[~far], points[far]
        largest = nearest(near, side, m, grid)
        back = np.empty_like(points)
        back[~far] = centred[largest - 1]
        largest, best, total = largest.max(initial=0), None, np.abs(back[~far] - near).sum()
        for rings in range(1, classes + 1) if len(outer) else []:
            distance = np.sqrt((outer ** 2).sum(1))
            width = (distance.max() - side / 2) / rings
            ring = np.clip(np.ceil((distance - side / 2) / width), 1, rings)
            factor = (side / 2 / (side / 2 + ring * width))[:, None]
            node = nearest(outer * factor, side, m, grid)
            error = total + np.abs(centred[node - 1] / factor - outer).sum()
            if best is None or error < best[0]:
                best = error, centred[node - 1] / factor, int((node + (nodes + 1) * ring).max())
            if error <= threshold * points.size:
                break
        if best:
            total, back[far], largest = best
        if total > limit * points.size:
            return matrix, 32 * matrix.size
        back = (back + centre).astype(np.float32).reshape(-1)[:len(flat)]
        return back.reshape(matrix.shape), int(largest).bit_length() * len(points)
    return code


PEERS = [
    Peer("hyper as published", "hyper as published", hyper(), as_stored=True),
    Peer("Q8_0", "gguf", gguf("Q8_0")), Peer("Q5_1", "gguf", gguf("Q5_1")), Peer("Q5_0", "gguf", gguf("Q5_0")),
    Peer("Q4_1", "gguf", gguf("Q4_1")), Peer("Q4_0", "gguf", gguf("Q4_0")),
    Peer("int8 g128", "RTN", rtn(8, 128)), Peer("int6 g128", "RTN", rtn(6, 128)), Peer("int5 g128", "RTN", rtn(5, 128)),
    Peer("int4 g128", "RTN", rtn(4, 128)),
    Peer("NF4 g64", "NF4", nf4(64)),
]
