# SPDX-License-Identifier: Apache-2.0
"""plot.py KERNELS.json LOAD.json OUT.png: what the GPU decodes beside what its memory, its link and safetensors do."""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


def main():
    kernels, load, out = sys.argv[1:]
    with open(kernels, encoding="utf-8") as f:
        runs = json.load(f)["runs"]
    with open(load, encoding="utf-8") as f:
        loads = json.load(f)
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.5), constrained_layout=True)
    names = [r["codec"] for r in runs]
    axes[0].barh(names, [100 * r["kernel_share"] for r in runs])
    axes[0].set_title("Kernels: % of the card's write bandwidth")
    axes[1].barh(names, [r["pipeline_gbs"] for r in runs], label="decoded")
    axes[1].barh(names, [r["copy_gbs"] for r in runs], height=0.3, label="raw copy over the link")
    axes[1].set_title("Pinned memory to GPU tensors, GB/s")
    axes[1].legend()
    axes[2].barh([r["name"] for r in loads["runs"]], [r["gbs"] for r in loads["runs"]])
    axes[2].set_title(f"load_file(device='cuda') from page cache, GB/s\n{loads['gpu']}")
    for a in axes:
        a.invert_yaxis()
    figure.savefig(out, dpi=110)


main()
