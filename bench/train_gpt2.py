# SPDX-License-Identifier: Apache-2.0
"""Train a small GPT-2 on plain text files and save it in half precision.

    python3 bench/train_gpt2.py OUT_DIR TEXT... [--steps N] [--threads N]

A codec tuned on one model fits that model. This makes a second one in a few minutes on a CPU, different in everything a codec could rely
on: Conv1D weights (stored in by out), fp16, a tied embedding, biases, LayerNorm. The first tenth of every text is left out of the training
(and of the tokenizer), so that the usual evaluation, which begins at the beginning, sees text the model does not know.
"""
import argparse
import sys
import time

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

END = "<|endoftext|>"


def parse():
    parser = argparse.ArgumentParser(description="Train a small GPT-2 on plain text and save it in half precision.")
    parser.add_argument("out", metavar="OUT_DIR")
    parser.add_argument("text", metavar="TEXT", nargs="+")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=8, help="sequences a step")
    parser.add_argument("--length", type=int, default=256, help="tokens a sequence")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="learning rate at its peak")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def read(paths):
    texts = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        texts.append(text[len(text) // 10:])
    return texts


def make_tokenizer(texts, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, bos_token=END)


def make_model(args, tokenizer):
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=len(tokenizer), n_positions=1024, n_embd=args.width, n_layer=args.layers, n_head=args.width // 64,
        resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.0, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id))


def train(model, tokens, args):
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                                  lr=args.rate, betas=(0.9, 0.95))
    warm = max(args.steps // 20, 1)
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer, [torch.optim.lr_scheduler.LinearLR(optimizer, 1 / warm, 1, warm),
                    torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(args.steps - warm, 1), args.rate / 10)], [warm])
    started, mean = time.monotonic(), None
    model.train()
    for step in range(1, args.steps + 1):
        starts = torch.randint(len(tokens) - args.length, (args.batch,)).tolist()
        batch = torch.stack([tokens[at:at + args.length] for at in starts])
        loss = model(batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        if step % 50 == 0 or step == args.steps:
            print(f"step {step}/{args.steps}: loss {mean:.3f}, {time.monotonic() - started:.0f} s", flush=True)


def main():
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    texts = read(args.text)
    tokenizer = make_tokenizer(texts, args.vocabulary)
    tokens = torch.tensor([id for text in texts for id in tokenizer(text)["input_ids"]])
    model = make_model(args, tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokens):,} tokens", flush=True)
    train(model, tokens, args)
    # Half of the codecs' trouble is what fp16 cannot hold, so the weights really are rounded to it.
    model.half().eval().save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
