# SPDX-License-Identifier: Apache-2.0
"""Generate text with the model in each of two directories; exit 1 unless logits and text are the same.

    python3 ci/demo.py MOUNTED PLAIN
"""
import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

PROMPT = "The river is"


def run(directory):
    """Load the model in `directory`, print what it writes, and return its logits for the prompt and the text."""
    started = time.monotonic()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory).eval()
    loaded = time.monotonic()
    inputs = tokenizer(PROMPT, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        logits = model(**inputs).logits
        tokens = model.generate(**inputs, max_new_tokens=40, do_sample=False)
    text = tokenizer.decode(tokens[0], skip_special_tokens=True)
    print(f"\n  {directory}: loaded in {loaded - started:.2f} s, {sum(p.numel() for p in model.parameters()):,} parameters")
    print(f"  {text!r}")
    return logits, text


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    (logits, text), (plain_logits, plain_text) = map(run, sys.argv[1:3])
    same = torch.equal(logits, plain_logits), text == plain_text
    print("\n  logits of the two: %s   text: %s" % tuple("the same" if s else "DIFFERENT" for s in same))
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
