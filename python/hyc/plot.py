# SPDX-License-Identifier: Apache-2.0
"""KL against bits per weight as a picture: a logarithmic axis, a line or points for each codec, and labels that do not cover one another."""
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator
from matplotlib.transforms import Bbox

# Okabe and Ito's colours, which colour-blind readers tell apart, and a marker each for those who print in grey.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]


@dataclass
class Point:
    bpw: float
    kl: float
    label: str


@dataclass
class Series:
    name: str
    points: list
    joined: bool
    style: int  # which colour and marker


@dataclass
class Panel:
    title: str
    series: list
    label_colour: str = ""  # the series' own, unless labels stand for several of them


def plain(value, _position=None):
    return f"{value:.10f}".rstrip("0").rstrip(".")


def limits(panels):
    """One pair of axes limits for all panels, so that they can be compared by eye."""
    points = [point for panel in panels for series in panel.series for point in series.points]
    kl = [point.kl for point in points if point.kl > 0] or [0.001, 1]
    bpw = [point.bpw for point in points] or [1, 16]
    margin = max(0.06 * (max(bpw) - min(bpw)), 0.5)
    return (max(min(bpw) - margin, 0), max(bpw) + margin), (min(kl) / 2.2, max(kl) * 2)


def prepare(axes, panel, x, y):
    axes.set_title(panel.title, fontsize=11, loc="left")
    axes.set_yscale("log")
    axes.set_xlim(x)
    axes.set_ylim(y)
    axes.xaxis.set_major_locator(MultipleLocator(1 if x[1] - x[0] < 14 else 2))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if y[1] / y[0] < 1e4 else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(plain))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    axes.grid(True, which="major", color="0.88", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("bits per weight, as stored")


def colour(series):
    return COLOURS[series.style % len(COLOURS)]


def draw_series(axes, series, bottom):
    """The points of one series, each with the place it is drawn at: no difference at all has no place on a logarithmic axis."""
    placed = [(point.bpw, point.kl or bottom, point) for point in sorted(series.points, key=lambda p: p.bpw)]
    axes.plot([p[0] for p in placed], [p[1] for p in placed], color=colour(series), marker=MARKERS[series.style % len(MARKERS)],
              markersize=6, linestyle="-" if series.joined else "none", linewidth=1.6, label=series.name, zorder=3, clip_on=False)
    return [(x, y, f"{point.label} (KL 0)" if point.kl == 0 and point.label else point.label) for x, y, point in placed]


def obstacles(axes, drawn):
    """What no label may cover, in pixels: the markers, and the lines as a row of small boxes."""
    boxes = []
    for series, points in drawn:
        pixels = axes.transData.transform([(x, y) for x, y, _ in points]) if points else []
        boxes += [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in pixels]
        for (x0, y0), (x1, y1) in zip(pixels, pixels[1:]) if series.joined else []:
            steps = max(int(max(abs(x1 - x0), abs(y1 - y0)) / 4), 1)
            boxes += [Bbox.from_bounds(x0 + (x1 - x0) * i / steps - 2, y0 + (y1 - y0) * i / steps - 2, 4, 4) for i in range(steps)]
    return boxes


# Where a label may stand, in points from its marker, the best first.
PLACES = [(dx * far, dy * far, ha, va) for far in (1, 1.7, 2.6, 3.6) for dx, dy, ha, va in (
    (7, 4, "left", "bottom"), (7, -4, "left", "top"), (8, 0, "left", "center"), (-7, -4, "right", "top"), (-7, 4, "right", "bottom"),
    (0, 8, "center", "bottom"), (0, -8, "center", "top"), (-8, 0, "right", "center"))]


def covered(box, taken):
    """The area of a label's box that lies on others."""
    total = 0.0
    for other in taken:
        common = Bbox.intersection(box, other)
        total += common.width * common.height if common else 0
    return total


def place_labels(figure, axes, panel, drawn):
    renderer = figure.canvas.get_renderer()
    taken = obstacles(axes, drawn)
    frame = axes.get_window_extent(renderer)
    for series, points in drawn:
        for x, y, label in points:
            if not label:
                continue
            best = None
            for dx, dy, ha, va in PLACES:
                text = axes.annotate(label, (x, y), (dx, dy), textcoords="offset points", ha=ha, va=va, fontsize=8,
                                     color=panel.label_colour or colour(series), annotation_clip=False, zorder=4)
                box = text.get_window_extent(renderer).padded(1.5)
                outside = box.width * box.height - covered(box, [frame])
                cost = covered(box, taken) + outside
                if best is None or cost < best[0]:
                    if best:
                        best[1].remove()
                    best = cost, text, box
                else:
                    text.remove()
                if cost == 0:
                    break
            taken.append(best[2])


def draw(path, panels, title=None):
    figure = Figure(figsize=(7.0 * len(panels), 6.0), dpi=150)
    FigureCanvasAgg(figure)
    x, y = limits(panels)
    rows = []
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), i + 1)
        prepare(axes, panel, x, y)
        rows.append((axes, panel, [(series, draw_series(axes, series, y[0])) for series in panel.series]))
        if i == 0:
            axes.set_ylabel("KL(reference || model), nats a token")
    handles, names = rows[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=min(len(names), 4 * len(panels)), frameon=False)
    if title:
        figure.suptitle(title, fontsize=12)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.draw_without_rendering()
    for row in rows:
        place_labels(figure, *row)
    figure.savefig(path, metadata={"Software": None})
