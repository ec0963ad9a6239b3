# SPDX-License-Identifier: Apache-2.0
"""How far a language model's predictions are from a reference's: perplexity and Kullback-Leibler divergence.

A text is cut into windows that do not overlap; every token of a window predicts the next one, so each position counts once and the longest
context is one window. KL(reference || model) is taken over the whole vocabulary at every position and averaged, in nats a token. Models are
run in fp32 on their weights as they are, the probabilities are formed in fp64, so a model compared with itself gives 0 and not almost 0.

The reference's logits are what does not fit in memory: tokens x vocabulary x 4 bytes. They go into an unnamed temporary file when they are
small enough, and the reference is run once. Otherwise it stays loaded and is run again beside each model, which takes no disk and twice the
time. Either way one window is all that is held at once.
"""
import math
import shutil
import tempfile
from dataclasses import dataclass

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from hyc import Failure

# fp64 numbers a worker array may hold while probabilities are formed.
CHUNK = 1 << 22


def quiet():
    """transformers talks of things that are no business of someone who compares models."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def load_model(path):
    """The model in a directory, in fp32; a Failure if any of its weights is not there."""
    try:
        model, info = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, local_files_only=True, output_loading_info=True)
    except Exception as error:  # every library below has exceptions of its own
        raise Failure(f"{path}: cannot be loaded as a language model: {first_line(error)}") from error
    # transformers fills what it does not find with random numbers.
    absent = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if absent:
        raise Failure(f"{path}: {len(absent)} weights are missing or of another shape, the first of them {absent[0]}")
    return model.eval()


def load_tokenizer(path):
    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True)
    except Exception as error:
        raise Failure(f"{path}: its tokenizer cannot be loaded: {first_line(error)}") from error


@dataclass
class Text:
    name: str
    path: str
    tokens: torch.Tensor

    def windows(self, size):
        """(input tokens, the tokens to predict), neither of them empty."""
        for at in range(0, len(self.tokens) - 1, size):
            end = min(at + size, len(self.tokens) - 1)
            yield self.tokens[at:end], self.tokens[at + 1:end + 1]

    def predicted(self):
        return len(self.tokens) - 1


def read_text(name, path, tokenizer, count):
    """The beginning of a file, long enough to predict `count` tokens; all of it if it is shorter."""
    characters = 16 * (count + 1)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(characters)
            tokens = encode(tokenizer, text)
            # The last token before the cut may be another one than in the whole text.
            while len(tokens) < count + 2 and (more := file.read(characters)):
                text += more
                tokens = encode(tokenizer, text)
    except UnicodeDecodeError as error:
        raise Failure(f"{path}: not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {error.strerror}") from error
    if len(tokens) < 2:
        raise Failure(f"{path}: too short; it has {len(tokens)} tokens and 2 are the least")
    return Text(name, path, torch.tensor(tokens[:count + 1]))


def encode(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


class Logits:
    """Arrays of one width in a file without a name: append in order, read back by position. No mmap: a full disk is an error, not a signal."""

    def __init__(self):
        self.file = tempfile.TemporaryFile(prefix="hyc-evaluate-")

    def append(self, logits):
        self.file.write(memoryview(logits.numpy()).cast("B"))

    def read(self, row, rows, width):
        array = np.empty((rows, width), np.float32)
        self.file.seek(4 * row * width)
        if self.file.readinto(memoryview(array).cast("B")) != array.nbytes:
            raise Failure("the temporary file of the reference's logits is shorter than it was written")
        return torch.from_numpy(array)

    def close(self):
        self.file.close()


def run(model, inputs):
    return model(inputs[None], use_cache=False).logits[0].float().contiguous()


def score(reference, logits, targets):
    """Two fp64 vectors, an element a position: -log p(target) under `logits`, and KL(reference || logits)."""
    step = max(CHUNK // logits.shape[1], 1)
    losses, divergences = [], []
    for at in range(0, len(targets), step):
        p = torch.log_softmax(reference[at:at + step].double(), -1)
        q = torch.log_softmax(logits[at:at + step].double(), -1)
        losses.append(-q.gather(1, targets[at:at + step, None])[:, 0])
        divergences.append((p.exp() * (p - q)).sum(-1))
    return torch.cat(losses), torch.cat(divergences)


@dataclass
class Score:
    """Of one model on one text. kl_error is the standard error of kl, by windows, for neighbouring tokens are not independent."""
    tokens: int
    ppl: float
    kl: float
    kl_error: float


def standard_error(means, sizes):
    if len(means) < 2:
        return math.nan
    means, sizes = np.array(means), np.array(sizes) / sum(sizes)
    spread = ((means - (means * sizes).sum()) ** 2 * sizes ** 2).sum()
    return math.sqrt(spread * len(means) / (len(means) - 1))


class Comparison:
    """A reference and the texts, against which models are measured one after the other."""

    def __init__(self, name, model, texts, window, scratch, progress):
        """`scratch`: the most bytes the temporary file may take. `progress(name, done, total)` is called after every window."""
        self.texts, self.window, self.progress = texts, window, progress
        self.width = model.get_output_embeddings().weight.shape[0]
        limit = getattr(model.config, "max_position_embeddings", None)
        if limit and window > limit:
            raise Failure(f"{name}: it takes {limit} tokens at a time, fewer than a window of {window}; use --window={limit}")
        self.total = sum(math.ceil(text.predicted() / window) for text in texts)
        size = 4 * self.width * sum(text.predicted() for text in texts)
        self.stored = size <= scratch and size < shutil.disk_usage(tempfile.gettempdir()).free * 3 // 4
        self.logits = Logits() if self.stored else None
        self.model = model
        # Itself against itself: the reference's own perplexity, and its logits on the way.
        self.scores = self._measure(name, model, self._record if self.stored else None)
        if self.stored:
            self.model = None

    def close(self):
        if self.logits:
            self.logits.close()

    def _record(self, logits):
        try:
            self.logits.append(logits)
        except OSError as error:
            raise Failure(f"{tempfile.gettempdir()}: no room for the reference's logits ({error.strerror}); "
                          "use --scratch=0 to do without or set TMPDIR") from error

    def _reference(self, row, inputs):
        if not self.stored:
            return run(self.model, inputs)
        return self.logits.read(row, len(inputs), self.width)

    def measure(self, name, model):
        """{name of the text: Score}"""
        if model.get_output_embeddings().weight.shape[0] != self.width:
            raise Failure(f"{name}: it knows {model.get_output_embeddings().weight.shape[0]} tokens and the reference {self.width}; "
                          "models can be compared only over one vocabulary")
        return self._measure(name, model, None)

    @torch.inference_mode()
    def _measure(self, name, model, record):
        row = done = 0
        scores = {}
        itself = model is self.model
        for text in self.texts:
            losses, divergences, sizes = [], [], []
            for inputs, targets in text.windows(self.window):
                logits = run(model, inputs)
                if record:
                    record(logits)
                loss, divergence = score(logits if itself else self._reference(row, inputs), logits, targets)
                if not (torch.isfinite(loss).all() and torch.isfinite(divergence).all()):
                    raise Failure(f"{name}: its predictions for {text.path} are not finite numbers from token {row} on")
                losses.append(loss.sum().item())
                divergences.append(divergence.mean().item())
                sizes.append(len(inputs))
                row += len(inputs)
                done += 1
                self.progress(name, done, self.total)
            kl = sum(d * n for d, n in zip(divergences, sizes)) / sum(sizes)
            # Rounding can leave a sum of nothing but zeros a hair below zero.
            scores[text.name] = Score(sum(sizes), math.exp(sum(losses) / sum(sizes)), max(kl, 0.0), standard_error(divergences, sizes))
        return scores
