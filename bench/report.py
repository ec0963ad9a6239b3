# SPDX-License-Identifier: Apache-2.0
"""The table and the picture of bench/quality, from the results it writes as JSON.

    python3 bench/report.py DIR     writes them again for a DIR that has a quality.json
"""
import json
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "python"))

from hyc import evaluate  # noqa: E402


def rows_of(results, half):
    return sorted((row for row in results["rows"] if row["half"] == half), key=lambda row: -row["bpw"])


def bpw_at(curve, kl):
    """Bits per weight at which a curve of (bpw, KL) reaches this KL, by interpolation of its logarithm; None beyond its ends."""
    curve = sorted(curve)
    for (b0, k0), (b1, k1) in zip(curve, curve[1:]):
        if k1 <= kl <= k0:
            return b0 + (b1 - b0) * math.log(k0 / kl) / math.log(k0 / k1)
    return None


def equal_tcq(results, row):
    """The tcq rate of this row's KL, the mean over the texts."""
    if row["family"] == "tcq":
        return None
    found = []
    for text in results["texts"]:
        curve = [(r["bpw"], r["texts"][text]["kl"]) for r in rows_of(results, row["half"]) if r["family"] == "tcq"]
        found.append(bpw_at(curve, row["texts"][text]["kl"]) if row["texts"][text]["kl"] > 0 else None)
    return None if None in found else sum(found) / len(found)


def markdown(results, titles):
    texts = list(results["texts"])
    lines = [f"Model `{os.path.basename(os.path.abspath(results['model']))}`, the first {results['tokens']} tokens of each of {', '.join(texts)} in "
             f"windows of {results['window']}. Perplexity of the original: " +
             " / ".join(f"{results['reference_ppl'][text]:.3f}" for text in texts) + ". KL in nats a token.", ""]
    for half in dict.fromkeys(row["half"] for row in results["rows"]):
        lines += [f"{titles[half]} ({results['weights'][half] / 1e6:.2f} M weights):", "",
                  "| codec | bpw | SQNR dB | dPPL % | KL | tcq bpw at this KL |", "|---|---|---|---|---|---|"]
        for row in rows_of(results, half):
            equal = equal_tcq(results, row)
            name = f"**{row['name']}**" if row["family"] in ("lossless", "hyper", "tcq") else row["name"]
            lines.append(f"| {name} | {row['bpw']:.2f} | " + ("exact" if row["sqnr_db"] is None else f"{row['sqnr_db']:.1f}") + " | " +
                         " / ".join(f"{row['texts'][text]['dppl_percent']:+.2f}" for text in texts) + " | " +
                         " / ".join(evaluate.kl_text(row["texts"][text]["kl"]) for text in texts) + " | " +
                         ("" if equal is None else f"{equal:.2f}") + " |")
        lines.append("")
    return "\n".join(lines)


FAMILIES = ["tcq", "hyper", "hyper as published", "gguf", "RTN", "NF4"]


def draw(results, half, title, path):
    from hyc import plot
    rows = [row for row in rows_of(results, half) if row["family"] in FAMILIES]
    panels = []
    for text in results["texts"]:
        series = []
        for number, family in enumerate(FAMILIES):
            points = [plot.Point(row["bpw"], row["texts"][text]["kl"], row["name"].removeprefix("tcq "))
                      for row in rows if row["family"] == family]
            # gguf's formats are two kinds, with and without a minimum, so no line goes through them.
            if points:
                series.append(plot.Series(family, points, joined=family in ("tcq", "RTN"), style=number))
        panels.append(plot.Panel(text, series))
    if rows:
        plot.draw(path, panels, f"{os.path.basename(os.path.abspath(results['model']))}. {title}")


def main():
    folder = sys.argv[1]
    with open(os.path.join(folder, "quality.json"), encoding="utf-8") as file:
        results = json.load(file)
    titles = {half: half for half in results["weights"]}
    print(markdown(results, titles))
    for half in results["weights"]:
        draw(results, half, half, os.path.join(folder, f"quality-{half}.png"))


if __name__ == "__main__":
    main()
