# SPDX-License-Identifier: Apache-2.0
"""Compare models with a reference: perplexity, and the mean KL(reference || model) in nats a token.

    python3 -m hyc.evaluate REFERENCE MODEL... --text FILE... [options]

REFERENCE and MODEL are model directories, or archives mounted by hycfs. The measure is described in hyc/measure.py.
"""
import argparse
import glob
import json
import math
import os
import sys
import time

from hyc import Failure


def size(text):
    units = {"K": 10, "M": 20, "G": 30, "T": 40}
    shift = units.get(text[-1:].upper(), 0)
    value = int(text[:-1] if shift else text) << shift
    if value < 0:
        raise ValueError
    return value


def at_least(least):
    def number(text):
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is too small; {least} is the least")
        return value
    return number


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="hyc.evaluate", allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Perplexity of language models and their mean KL divergence from a reference, in nats a token.")
    add = parser.add_argument
    add("reference", metavar="REFERENCE", help="directory of the model the others are measured against")
    add("models", metavar="MODEL", nargs="+", help="directory or hycfs mount of a model")
    add("--text", metavar="FILE", nargs="+", action="extend", required=True, help="plain UTF-8 text to predict")
    add("--tokens", metavar="N", type=at_least(1), default=16384, help="how many tokens of each text, from its beginning")
    add("--window", metavar="N", type=at_least(1), default=512, help="tokens a window; windows do not overlap")
    add("--bpw", metavar="NAME=VALUE", action="append", default=[],
        help="bits per weight of the model shown as NAME, where those of all its weights as stored are not what is wanted")
    add("--json", metavar="FILE", help="write the results there")
    add("--plot", metavar="FILE.png", help="draw KL against bits per weight")
    add("--threads", metavar="N", type=at_least(1), help="threads that compute")
    add("--scratch", metavar="SIZE", type=size, default="4G",
        help="largest temporary file for the reference's logits; where it is too small the reference runs again beside each model")
    args = parser.parse_args(argv)
    for value in args.bpw:
        try:
            if not 0 < float(value.rpartition("=")[2]) < 1000 or not value.rpartition("=")[0]:
                raise ValueError
        except ValueError:
            parser.error(f"--bpw: {value} is no NAME=VALUE")
    names = short_names(args.models)
    unknown = [value for value in args.bpw if value.rpartition("=")[0] not in names + args.models]
    if unknown:
        parser.error(f"--bpw: {unknown[0]} names none of the models {', '.join(names)}")
    return args


def short_names(paths):
    """The last components of each path, as many as it takes to tell them apart; equal paths are numbered."""
    parts = [[part for part in os.path.abspath(path).split("/") if part] or ["/"] for path in paths]
    depth = 1
    while depth < max(map(len, parts)) and len({tuple(p[-depth:]) for p in parts}) < len({tuple(p) for p in parts}):
        depth += 1
    names = ["/".join(p[-depth:]) for p in parts]
    return [name if names.count(name) == 1 else f"{name}#{names[:i].count(name) + 1}" for i, name in enumerate(names)]


def stored_bpw(path, parameters):
    """Bits a weight takes where it is stored: in the archive, as a mount's files tell, or in the directory; None if neither is known."""
    files = glob.glob(os.path.join(glob.escape(path), "*.safetensors")) or glob.glob(os.path.join(glob.escape(path), "*.bin"))
    sizes = {file: os.path.getsize(file) for file in files}
    try:
        # One archive has one dtype, so the weights of its files are as their sizes.
        bits = sum(float(os.getxattr(file, "user.hyc.bpw")) * size for file, size in sizes.items())
        return bits / sum(sizes.values()) if files else None
    except OSError:
        return 8 * sum(sizes.values()) / parameters


class Progress:
    """One line on a terminal, nothing elsewhere."""

    def __init__(self):
        self.shown = sys.stderr.isatty()
        self.name, self.started = None, 0.0

    def __call__(self, name, done, total):
        if not self.shown:
            return
        now = time.monotonic()
        if name != self.name or done == 1:
            # The first window pays for warming up, so the estimate starts after it.
            self.name, self.started = name, now
        left = f", {(now - self.started) / (done - 1) * (total - done):.0f} s left" if done > 1 else ""
        sys.stderr.write(f"\r\x1b[K{name}: window {done} of {total}{left}")
        sys.stderr.flush()

    def say(self, text):
        if self.shown:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def clear(self):
        self.say("")


def table(reference, models, texts):
    """The results as lines of text."""
    head = [["", "bpw"], ["", ""]]
    for text in texts:
        head[0] += [text, "", ""]
        head[1] += ["PPL", "dPPL %", "KL"]
    rows = []
    for model in [reference] + models:
        row = [model["name"], "-" if model["bpw"] is None else f"{model['bpw']:.2f}"]
        for text in texts:
            score = model["texts"][text]
            row += [f"{score['ppl']:.3f}"]
            row += ["", ""] if model is reference else [f"{score['dppl_percent']:+.2f}", kl_text(score["kl"])]
        rows.append(row)
    widths = [max(len(row[i]) for row in head[1:] + rows) for i in range(len(rows[0]))]
    widths[1] = max(widths[1], 5)
    # A text's name stands over its three columns.
    for i, text in enumerate(texts):
        widths[2 + 3 * i] += max(len(text) - sum(widths[2 + 3 * i:5 + 3 * i]) - 4, 0)
    lines = []
    for row in [head[1]] + rows:
        lines.append("  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]).rstrip())
    top = " " * widths[0] + "  " + "bpw".rjust(widths[1])
    for i, text in enumerate(texts):
        top += "  " + text.rjust(sum(widths[2 + 3 * i:5 + 3 * i]) + 4)
    return [top] + lines


def kl_text(kl):
    """Three digits that count, without an exponent."""
    return "0" if kl == 0 else f"{kl:.{max(2 - math.floor(math.log10(kl)), 0)}f}"


def describe(name, path, bpw, scores, reference=None):
    texts = {}
    for text, score in scores.items():
        texts[text] = {"tokens": score.tokens, "ppl": score.ppl}
        if reference:
            texts[text]["dppl_percent"] = 100 * (score.ppl / reference[text].ppl - 1)
            texts[text]["kl"] = score.kl
            texts[text]["kl_error"] = None if math.isnan(score.kl_error) else score.kl_error
    return {"name": name, "path": path, "bpw": bpw, "texts": texts}


def evaluate(args):
    """Everything --json writes."""
    import torch
    import transformers
    from hyc import measure
    progress = Progress()
    measure.quiet()
    if args.threads:
        torch.set_num_threads(args.threads)
    asked = dict((value.rpartition("=")[0], float(value.rpartition("=")[2])) for value in args.bpw)
    progress.say(f"reading {args.reference}")
    tokenizer = measure.load_tokenizer(args.reference)
    texts = [measure.read_text(os.path.splitext(name)[0], path, tokenizer, args.tokens)
             for name, path in zip(short_names(args.text), args.text)]
    model = measure.load_model(args.reference)
    name = os.path.basename(os.path.abspath(args.reference))
    bpw = stored_bpw(args.reference, model.num_parameters())
    comparison = measure.Comparison(name, model, texts, args.window, args.scratch, progress)
    results = {"tokens": args.tokens, "window": args.window, "texts": [{"name": text.name, "path": text.path} for text in texts],
               "reference_logits": "stored" if comparison.stored else "computed again",
               "torch": torch.__version__, "transformers": transformers.__version__, "threads": torch.get_num_threads(),
               "reference": describe(name, args.reference, bpw, comparison.scores), "models": []}
    for name, path in zip(short_names(args.models), args.models):
        progress.say(f"reading {path}")
        model = measure.load_model(path)
        bpw = asked.get(name, asked.get(path, stored_bpw(path, model.num_parameters())))
        scores = comparison.measure(name, model)
        results["models"].append(describe(name, path, bpw, scores, comparison.scores))
    comparison.close()
    progress.clear()
    return results


def draw(path, results):
    from hyc import plot
    names = [text["name"] for text in results["texts"]]
    drawn = [model for model in results["models"] if model["bpw"] is not None]
    series = []
    for style, name in enumerate(names):
        # Both texts' points of a model stand above each other, so one label is enough.
        points = [plot.Point(m["bpw"], m["texts"][name]["kl"], m["name"] if name == names[0] else "") for m in drawn]
        series.append(plot.Series(name, points, joined=False, style=style))
    plot.draw(path, [plot.Panel(f"Difference from {results['reference']['name']}", series, label_colour="0.2")])


def check_paths(models, texts, outputs):
    """What can be known to be wrong before an hour of work is."""
    for path in models:
        if not os.path.isdir(path):
            raise Failure(f"{path}: no such directory; a model is a directory with a config.json, or a mounted archive")
        if not os.path.isfile(os.path.join(path, "config.json")):
            raise Failure(f"{path}: no config.json in it, so this is no model directory")
    for path in texts:
        if not os.path.isfile(path):
            raise Failure(f"{path}: no such text file")
    for path in outputs:
        folder = os.path.dirname(os.path.abspath(path))
        if not os.access(folder, os.W_OK):
            raise Failure(f"{path}: cannot be written; {folder} is no directory this user may write to")


def main(argv=None):
    args = parse(argv)
    try:
        check_paths([args.reference] + args.models, args.text, filter(None, [args.json, args.plot]))
        if args.plot:
            from hyc import plot  # noqa: F401, to know now that it can be imported
        results = evaluate(args)
        print("\n".join(table(results["reference"], results["models"], [text["name"] for text in results["texts"]])), flush=True)
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(results, file, indent=2, allow_nan=False)
                file.write("\n")
        if args.plot:
            draw(args.plot, results)
        return 0
    except Failure as failure:
        message = str(failure)
    except ImportError as error:
        message = f"Python has no {error.name}; install torch and transformers, and matplotlib for --plot"
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except KeyboardInterrupt:
        return 130
    finally:
        Progress().clear()
    print(f"hyc.evaluate: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
