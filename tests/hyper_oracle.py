# SPDX-License-Identifier: Apache-2.0
"""Hyper-Compression as it was published (arXiv 2409.00592), in numpy: what the codec hyper must reproduce bit by bit in
float32.

It shares nothing with the C code: no lattice arithmetic, no look-up table, points are compared with nodes one by one.
The published program computes on float32 weights, with float32 scalars where numpy keeps them so, and with float64
nodes, factors and distances; so does this. Where that program's last bits depend on its libraries, the rules are:
centroid = float64 mean, rounded to float32; norms of two components without fused multiplications; the nearest node of
lowest index.

    hyper_oracle.py compare [OPTION...] CHECK FILE...

runs the program CHECK (tests/check-hyper.c) on every float tensor of the safetensors files and compares each value it
decodes; `random` in the place of a file stands for heavy-tailed tensors, `shapes` for the convolutions of a UNet and of
a MobileNetV3.
"""
import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np

F32, F64 = np.float32, np.float64
TOO_SMALL = 10


def geometry(l, n_nodes):
    """Steps of the trajectory, as the published decoder derives them: through norms, not as l / m**2 and l / m."""
    m = np.ceil(np.sqrt(F64(n_nodes)))
    gap = l / m
    sin_alpha = l / np.sqrt(l * l + gap * gap)
    step = (l / sin_alpha) / m
    norm = np.sqrt((l / m) * (l / m) + l * l)
    return ((l / m) / norm) * step, (l / norm) * step


def nodes_of(l, n_nodes, center):
    """Node 0 is the centroid, node t the step t - 1 of the trajectory, wrapped into the square around it."""
    steps = np.arange(n_nodes).astype(F64)
    xy = np.stack([np.fmod(steps * d, l) for d in geometry(l, n_nodes)], axis=1)
    low = center.astype(F64) - l / 2
    return np.concatenate([center.astype(F64)[None], xy + low])


def nearest(points, nodes):
    """Index of the nearest node of each point; the lowest of equals (argmin takes the first)."""
    out = np.empty(len(points), np.int64)
    step = max(1, 60000 // len(nodes))
    dx, dy = np.empty((step, len(nodes))), np.empty((step, len(nodes)))
    for i in range(0, len(points), step):
        p = points[i:i + step]
        x, y = dx[:len(p)], dy[:len(p)]
        np.subtract(p[:, None, 0], nodes[None, :, 0], out=x)
        np.subtract(p[:, None, 1], nodes[None, :, 1], out=y)
        np.multiply(x, x, out=x)
        np.multiply(y, y, out=y)
        np.add(x, y, out=x)
        x.argmin(axis=1, out=out[i:i + step])
    return out


def nearest_of_many(points, nodes, l):
    """The same for many points, by squares of points: only nodes near a square are looked at, and where the nearest of
    them is further away than a node that was left out could be, all are."""
    if len(points) * len(nodes) < 50_000_000:
        return nearest(points, nodes)
    low = nodes[1:].min(axis=0)
    cell = l / 16
    keys = np.floor((points - low) / cell).astype(np.int64).clip(-2, 17)
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    keys_sorted = keys[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(keys_sorted, axis=0) != 0).any(axis=1)])
    out = np.empty(len(points), np.int64)
    for a, b in zip(starts, np.r_[starts[1:], len(order)]):
        who = order[a:b]
        p = points[who]
        margin = 2 * l / np.sqrt(len(nodes))
        near = np.flatnonzero(((nodes >= p.min(axis=0) - margin) & (nodes <= p.max(axis=0) + margin)).all(axis=1))
        if len(near) == 0:
            out[who] = nearest(p, nodes)
            continue
        best = near[nearest(p, nodes[near])]
        far = ((p - nodes[best]) ** 2).sum(axis=1) >= (0.99 * margin) ** 2
        best[far] = nearest(p[far], nodes)
        out[who] = best
    return out


def norms(d):
    """Float32 norms of float32 pairs: three roundings and a root."""
    return np.sqrt(d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1])


class Coded:
    """What the published encoder finds for one tensor, and what the published decoder makes of it."""

    def __init__(self, weights, l, n_nodes, n_classes, threshold):
        w = np.ascontiguousarray(weights, F32).ravel()
        self.n, self.l, self.n_nodes = len(w), F64(l), n_nodes
        if len(w) % 2:
            w = np.append(w, F32(w.astype(F64).mean()))
        self.pairs = w.reshape(-1, 2)
        self.center = self.pairs.astype(F64).mean(axis=0).astype(F32)
        self.offset = self.pairs - self.center
        r = norms(self.offset)
        self.radius = F32(r.max())
        self.r = r.astype(F64)
        # The bounds are float32: numpy (2 and later) rounds the Python float l / 2 before it adds it to a float32.
        low, high = self.center - F32(l / 2), self.center + F32(l / 2)
        self.inside = ((self.pairs >= low) & (self.pairs <= high)).all(axis=1)
        self.nodes = nodes_of(self.l, n_nodes, self.center)
        self.choose(n_classes, threshold)
        self.code(self.classes)
        self.error = np.abs(self.decode64() - self.pairs.ravel()[:self.n]).mean()

    def bounds(self, k):
        """Radius of class 0 .. k: the last one is the largest radius itself."""
        bounds = np.arange(k + 1).astype(F64) * ((F64(self.radius) - self.l / 2) / k) + self.l / 2
        bounds[-1] = F64(self.radius)
        return bounds

    def code_outside(self, k, who, first):
        """Class and node of the points who, whose class is at least first, and the encoder's own reconstruction."""
        bounds = self.bounds(k)
        cls = (self.r[who][:, None] <= bounds[None, first:]).argmax(axis=1) + first
        factor = ((self.l / 2) / bounds)[cls][:, None]
        shrunk = self.offset[who] * factor + self.center
        node = nearest_of_many(shrunk, self.nodes, self.l)
        return cls, node, (self.nodes[node] - self.center) / factor + self.center

    def choose(self, n_classes, threshold):
        inside = self.pairs[self.inside].astype(F64)
        errors = np.abs(self.nodes[nearest_of_many(inside, self.nodes, self.l)] - inside).ravel()
        self.classes = 0
        outside = np.flatnonzero(~self.inside)
        if len(outside) == 0:
            return
        best = np.inf
        for k in range(1, n_classes + 1):
            _, _, rebuilt = self.code_outside(k, outside, 1)
            error = np.append(errors, np.abs(rebuilt - self.pairs[outside]).ravel()).mean()
            if error <= best:
                self.classes, best = k, error
            if error <= threshold:
                break

    def code(self, k):
        everyone = np.arange(len(self.pairs))
        if k == 0:
            self.cls = np.zeros(len(self.pairs), np.int64)
            self.node = nearest_of_many(self.pairs.astype(F64), self.nodes, self.l)
            return
        cls, node, _ = self.code_outside(k, everyone[~self.inside], 0)
        self.cls, self.node = np.zeros(len(everyone), np.int64), np.empty(len(everyone), np.int64)
        self.cls[~self.inside], self.node[~self.inside] = cls, node
        shrunk = self.offset[self.inside] * F64(1) + self.center.astype(F64)
        self.node[self.inside] = nearest_of_many(shrunk, self.nodes, self.l)

    def codes(self):
        """The published integers; their fixed width is what the published file takes for each pair."""
        return self.cls * (self.n_nodes + 1) + self.node

    def width(self):
        return max(1, int(self.codes().max()).bit_length())

    def decode64(self):
        """The published decoder, from the codes alone, before it rounds to float32."""
        codes = self.codes()
        k = np.floor(codes / (self.n_nodes + 1))
        node = self.nodes[(codes - k * (self.n_nodes + 1)).astype(np.int64)]
        if self.classes:
            each = (F64(self.radius) - self.l / 2) / self.classes
            factor = ((self.l / 2) / (self.l / 2 + k * each))[:, None]
            node = (node - self.center) / factor + self.center
        return node.ravel()[:self.n]

    def decode(self):
        return self.decode64().astype(F32)


def tensors_of(path):
    """Name, shape and float32 values of each float tensor of a safetensors file."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        base = f.tell()
        for name, t in header.items():
            if name == "__metadata__" or t["dtype"] not in ("BF16", "F16", "F32"):
                continue
            begin, end = t["data_offsets"]
            f.seek(base + begin)
            raw = f.read(end - begin)
            if t["dtype"] == "BF16":
                values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(F32)
            else:
                values = np.frombuffer(raw, "<f2" if t["dtype"] == "F16" else "<f4").astype(F32)
            yield name, tuple(t["shape"]), values


def random_tensors(seed):
    rng = np.random.default_rng(seed)

    def heavy(n, sigma=0.02):
        rows = max(1, n // 64)
        w = rng.standard_t(8, n) * np.repeat(np.exp(rng.normal(0, 0.4, rows)), -(-n // rows))[:n] * sigma
        return np.clip(w, -0.5, 0.5).astype(F32)

    def planted(n, outlier):
        w = rng.normal(0, 0.02, n).astype(F32)
        w[rng.integers(n)] = outlier
        return w

    for n in list(range(10, 24)) + [127, 128, 129, 130, 4097]:
        yield f"length {n}", (n,), heavy(n)
    for sigma in (0.001, 0.01, 0.03, 0.1):
        yield f"sigma {sigma}", (60001,), heavy(60001, sigma)
    for outlier in (0.3, 0.8, 1.9):
        yield f"outlier {outlier}", (40000,), planted(40000, outlier)
    yield "gaussian 0.01", (300, 301), rng.normal(0, 0.01, 300 * 301).astype(F32)
    yield "around one", (5000,), (1 + heavy(5000)).astype(F32)
    yield "around 1000", (5000,), (1000 + heavy(5000)).astype(F32)
    yield "bfloat16 grid", (20000,), (heavy(20000).view(np.uint32) & 0xffff0000).view(F32)
    yield "denormal", (500,), (heavy(500) * F32(1e-40)).astype(F32)
    yield "equal", (100,), np.full(100, 0.3, F32)
    yield "zeros", (99,), np.zeros(99, F32)
    yield "two values", (1000,), np.where(rng.random(1000) < 0.5, F32(0.05), F32(-0.05))
    yield "on the bounds", (4000,), rng.choice(np.array([-0.1, -0.05, 0, 0.05, 0.1, 0.05000001, 0.0499999], F32), 4000)
    yield "a few outside", (3000,), np.append(rng.normal(0, 0.004, 2998), [0.06, 0.07]).astype(F32)


UNET = [(64, 3, 3, 3), (64,), (128, 64, 3, 3), (256, 128, 3, 3), (64, 32, 2, 2), (1, 64, 1, 1), (2, 64, 1, 1)]
MOBILENET = [(16, 3, 3, 3), (16, 1, 3, 3), (8, 16, 1, 1), (24, 72, 1, 1), (96, 1, 5, 5), (40, 240, 1, 1), (10, 1280)]


def shaped_tensors(seed):
    rng = np.random.default_rng(seed)
    for net, shapes in (("unet", UNET), ("mobilenet", MOBILENET)):
        for shape in shapes:
            fan_in = max(1, int(np.prod(shape[1:])))
            yield f"{net} {shape}", shape, (rng.standard_t(6, shape) / np.sqrt(3 * fan_in)).astype(F32).ravel()


def run_check(check, values, args, directory):
    """What the C code makes of a tensor: its report and the float32 values it decodes."""
    src, dst = os.path.join(directory, "in.f32"), os.path.join(directory, "out.f32")
    values.astype("<f4").tofile(src)
    options = [repr(args.side), str(args.nodes), str(args.classes), repr(args.threshold), repr(args.limit)]
    done = subprocess.run([check, *options, src, dst, str(args.block)], check=True, stdout=subprocess.PIPE)
    report = json.loads(done.stdout)
    return report, np.fromfile(dst, "<f4") if report["coded"] else None


def compare(name, shape, values, args, directory, total):
    report, got = run_check(args.check, values, args, directory)
    if len(values) < TOO_SMALL:
        assert not report["coded"], f"{name}: {len(values)} values must be left alone"
        return
    want = Coded(values, args.side, args.nodes, args.classes, args.threshold)
    if want.error > args.limit:
        assert not report["coded"], f"{name}: error {want.error} is above the limit, but it was coded"
        print(f"{name} {shape}: kept, error {want.error:.6f}")
        return
    assert report["coded"], f"{name}: {report['reason']}, but its error is {want.error}"
    decoded = want.decode()
    wrong = int((decoded.view(np.uint32) != got.view(np.uint32)).sum())
    total["values"] += len(values)
    total["wrong"] += wrong
    total["width_bits"] += len(want.pairs) * want.width()
    total["stored_bits"] += 8 * report["stored"]
    print(f"{name} {shape}: K {want.classes}, error {want.error:.6f}, {wrong} of {len(values)} values differ, "
          f"{8 * report['stored'] / len(values):.3f} bits a weight, published {want.width() / 2}")
    if wrong or report["classes"] != want.classes or abs(report["error"] - want.error) > 1e-5 * want.error + 1e-18:
        total["failed"] += 1
        print(f"  MISMATCH: K {report['classes']}, error {report['error']}, not {want.error}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["compare"])
    parser.add_argument("--side", type=float, default=0.1)
    parser.add_argument("--nodes", type=int, default=1600)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--threshold", type=float, default=0.001)
    parser.add_argument("--limit", type=float, default=0.006)
    parser.add_argument("--block", type=int, default=262144)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("check")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    total = {"values": 0, "wrong": 0, "failed": 0, "width_bits": 0, "stored_bits": 0}
    with tempfile.TemporaryDirectory() as directory:
        for path in args.files:
            named = {"random": random_tensors, "shapes": shaped_tensors}.get(path)
            for name, shape, values in named(args.seed) if named else tensors_of(path):
                compare(name, shape, values, args, directory, total)
    of_width = total["stored_bits"] / max(1, total["width_bits"])
    of_weight = total["stored_bits"] / max(1, total["values"])
    print(f"{total['values']} values compared, {total['wrong']} differ; "
          f"stored bits {of_width:.4f} of the published width ({of_weight:.4f} a weight)")
    sys.exit(total["failed"] > 0)


if __name__ == "__main__":
    main()
