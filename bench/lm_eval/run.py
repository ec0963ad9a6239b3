# SPDX-License-Identifier: Apache-2.0
"""lm_eval on a model directory and on mounts of it, the scores side by side.

    python3 bench/lm_eval/run.py PLAIN MOUNT... --text FILE [--limit N] [--equal] [--json FILE]

With --equal every score of every mount must be the plain directory's, to the last bit; exit 1 if one is not.
"""
import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def parse():
    parser = argparse.ArgumentParser(prog="run.py", allow_abbrev=False, description="Scores of lm_eval on a directory and on mounts of it.")
    parser.add_argument("plain", metavar="PLAIN", help="directory of the model")
    parser.add_argument("mounts", metavar="MOUNT", nargs="+", help="mount of an archive of it")
    parser.add_argument("--text", metavar="FILE", required=True, help="local text file the tasks are made of")
    parser.add_argument("--limit", metavar="N", type=int, help="documents of each task [all]")
    parser.add_argument("--batch", metavar="N", type=int, default=8, help="requests at a time [8]")
    parser.add_argument("--equal", action="store_true", help="exit 1 unless all scores are the same")
    parser.add_argument("--json", metavar="FILE", help="write the scores there")
    return parser.parse_args()


def scores(directory, args):
    """{"task metric": value}; standard errors are no scores."""
    import lm_eval
    from lm_eval.tasks import TaskManager
    # The text's path reaches the tasks as metadata; what they make of it is in local_text.py.
    tasks = TaskManager(include_path=HERE, include_defaults=False, metadata={"text": os.path.abspath(args.text)})
    results = lm_eval.simple_evaluate(
        model="hf", model_args={"pretrained": os.path.abspath(directory), "dtype": "float32"}, device="cpu", batch_size=args.batch,
        tasks=["hyc_text", "hyc_choice"], task_manager=tasks, limit=args.limit, bootstrap_iters=0)
    return {f"{task} {metric.partition(',')[0]}": value for task, metrics in results["results"].items() for metric, value in metrics.items()
            if isinstance(value, float) and "_stderr" not in metric}


def main():
    args = parse()
    for path in [args.plain] + args.mounts:
        if not os.path.isfile(os.path.join(path, "config.json")):
            print(f"run.py: {path}: no model directory; there is no config.json in it", file=sys.stderr)
            return 1
    if not os.path.isfile(args.text):
        print(f"run.py: {args.text}: no such text file", file=sys.stderr)
        return 1
    found = {directory: scores(directory, args) for directory in [args.plain] + args.mounts}
    plain = found[args.plain]
    if not plain:
        print("run.py: lm_eval returned no scores", file=sys.stderr)
        return 1
    width = max(map(len, plain))
    print(" " * width + "".join(f"  {os.path.basename(os.path.abspath(path)):>14.14}" for path in found))
    for name in plain:
        print(f"{name:{width}}" + "".join(f"  {values[name]:14.6f}" for values in found.values()))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"text": args.text, "limit": args.limit, "scores": found}, file, indent=2)
            file.write("\n")
    different = [path for path, values in found.items() if values != plain]
    if args.equal and different:
        print(f"run.py: {different[0]}: its scores are not those of {args.plain}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
