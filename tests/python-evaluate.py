# SPDX-License-Identifier: Apache-2.0
"""The parts of tests/python-evaluate.sh that Python does better.

    python3 python-evaluate.py damage TINY WORK SEED       copies in WORK of WORK/same, damaged in several ways
    python3 python-evaluate.py check STORED AGAIN TINY [mounted]      the results, against a measure written anew
"""
import json
import math
import os
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file

METADATA = {"format": "pt"}


def damage(tiny, work, seed):
    weights = load_file(tiny + "/model.safetensors")
    random = torch.Generator().manual_seed(int(seed))

    def copy(name, changed):
        shutil.copytree(work + "/same", f"{work}/{name}")
        save_file(changed, f"{work}/{name}/model.safetensors", METADATA)

    copy("incomplete", {key: tensor for key, tensor in weights.items() if key != "model.layers.1.mlp.up_proj.weight"})
    for name, amount in ("slight", 0.01), ("strong", 0.1), ("infinite", math.inf):
        noisy = {}
        for key, tensor in weights.items():
            noise = torch.randn(tensor.shape, generator=random) * tensor.float().std() * amount if tensor.ndim == 2 else 0
            noisy[key] = (tensor.float() + noise).to(tensor.dtype)
        copy(name, noisy)
    shutil.copytree(work + "/same", work + "/broken")
    with open(work + "/broken/model.safetensors", "r+b") as file:
        file.truncate(1000000)


def check(holds, what):
    if not holds:
        sys.exit("FAIL: " + what)


def measure(reference, model, path, tokens, window):
    """(PPL of the reference, PPL of the model, KL), as plainly as it can be written."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with open(path, encoding="utf-8") as file:
        ids = torch.tensor(AutoTokenizer.from_pretrained(reference)(file.read(), add_special_tokens=False)["input_ids"][:tokens + 1])
    parts = []
    for directory in reference, model:
        network = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
        with torch.no_grad():
            logits = [network(ids[at:at + window][None]).logits[0] for at in range(0, tokens, window)]
        parts.append(torch.log_softmax(torch.cat(logits)[:tokens].double(), -1))
    p, q = parts
    at = torch.arange(tokens)
    return [*(math.exp(-x[at, ids[1:]].mean()) for x in (p, q)), torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum") / tokens]


def compare(results, tiny):
    texts = {text["name"]: text["path"] for text in results["texts"]}
    check(list(texts) == ["format", "licence"], f"texts {list(texts)}")
    check((results["tokens"], results["window"], results["threads"]) == (900, 256, 1), "tokens, window or threads differ from the options")
    models = {model["name"]: model for model in results["models"]}
    check(list(models)[:3] == ["same", "slight", "strong"], f"models {list(models)}")
    check(models["slight"]["bpw"] == 6.5, "--bpw is not heard")
    check(15.9 < models["same"]["bpw"] < 16.2, f"bpw of a plain bf16 directory is {models['same']['bpw']}")
    for name, path in texts.items():
        reference, (same, slight, strong) = results["reference"]["texts"][name], (models[m]["texts"][name] for m in ("same", "slight", "strong"))
        check(reference["tokens"] == same["tokens"] == 900, f"{name}: {same['tokens']} tokens")
        check(same["kl"] == 0 and same["ppl"] == reference["ppl"] and same["dppl_percent"] == 0, f"{name}: a copy is not the same")
        check(0 < slight["kl"] < 0.05 * strong["kl"], f"{name}: KL {slight['kl']} for a little noise and {strong['kl']} for ten times that")
        check(0 < strong["kl_error"] < strong["kl"], f"{name}: standard error {strong['kl_error']}")
        directory = models["strong"]["path"]
        for found, wanted in zip((reference["ppl"], strong["ppl"], strong["kl"]), measure(tiny, directory, path, 900, 256)):
            check(abs(found / wanted - 1) < 1e-4, f"{name}: {found}, and {wanted} when measured anew")
    return models


def main():
    if sys.argv[1] == "damage":
        damage(*sys.argv[2:5])
        return
    results = []
    for path in sys.argv[2:4]:
        with open(path, encoding="utf-8") as file:
            results.append(json.load(file))
    check([r.pop("reference_logits") for r in results] == ["stored", "computed again"], "--scratch is not heard")
    check(results[0] == results[1], "the results depend on where the reference's logits come from")
    models = compare(results[0], sys.argv[4])
    if "mounted" in sys.argv[5:]:
        mounted = models["mounted"]
        check(all(text["kl"] == 0 for text in mounted["texts"].values()), "a lossless mount is not the same")
        xattr = float(os.getxattr(mounted["path"] + "/model.safetensors", "user.hyc.bpw"))
        check(abs(mounted["bpw"] - xattr) < 1e-9, f"bpw {mounted['bpw']}, and the mount says {xattr}")


if __name__ == "__main__":
    main()
