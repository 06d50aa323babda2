"""Pictures of a study as PNG files: its curves, and for data in the plane the decision boundaries."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paribus.extras import need
from paribus.findings.findings import Findings
from paribus.records.files import replacing
from paribus.records.metrics import SPLITS, split_of
from paribus.records.record import ArmRecord, RunRecord, StudyRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by people who do not see red and green. Five dashes go with eight colours without
# a common divisor: forty arms before two look the same.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C00", "#000000")
_DASHES: tuple[Any, ...] = ("solid", (0, (4, 3)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (8, 2)))
_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
MOST_LINES = 50
_MOST_PANELS = 12
_LETTER = 0.078  # inches, of the legend's font
_FAR = 1e300


@np.errstate(over="ignore", invalid="ignore")
def draw(findings: Findings, folder: Path) -> list[Path]:
    """Write `curves.png` and, for data in the plane, `data.png`; the files that were written."""
    written = []
    for name, figure in (("curves.png", curves(findings)), ("data.png", data(findings))):
        if figure is not None:
            with replacing(folder / name) as part:
                figure.savefig(part, format="png", dpi=120)
            written.append(folder / name)
    return written


def curves(findings: Findings) -> Figure | None:
    """Loss, accuracy and the user's own metrics on every split, a colour and a dash for each arm, one line a seed; None
    where nothing was evaluated.

    The first arm is drawn thicker, so that curves that coincide are both seen.
    """
    need("a figure", "matplotlib")
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    study = findings.study
    splits, measured = drawn(findings)
    if not splits:
        return None
    width = 4.8 * len(splits) + 0.4
    labels = [fill(_plain(arm.name or study.name), int(width / _LETTER) - 8) for arm in study.arms]
    longest = max(len(line) for label in labels for line in label.splitlines() or [""])
    columns = max(1, min(4, len(labels), int(width / (longest * _LETTER + 0.6))))
    rows = -(-len(labels) // columns)
    figure = Figure(figsize=(width, 3.3 * len(measured) + 0.2 * rows), layout="constrained")
    axes = figure.subplots(len(measured), len(splits), sharex=True, sharey="row", squeeze=False)
    styles = [
        {"color": COLOURS[i % len(COLOURS)], "linestyle": _DASHES[i % len(_DASHES)], "linewidth": 1.1 if i else 1.9}
        for i in range(len(study.arms))
    ]
    for column, split in enumerate(splits):
        for row, metric in enumerate(measured):
            axis = axes[row][column]
            for arm, style in zip(study.arms, styles, strict=True):
                for run in arm.runs[:MOST_LINES]:
                    if (name := full_name(split, metric)) in run.curve:
                        x, y = run.curve["epoch"], run.curve[name]
                        axis.plot(x, in_reach(y), alpha=0.75, marker="." if len(x) == 1 else None, **style)
            axis.set_title(f"{split} {metric}".strip(), fontsize=10)
            axis.grid(alpha=0.25, linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
        axes[-1][column].set_xlabel("epoch")
    for row, metric in enumerate(measured):
        axes[row][0].set_ylabel(findings.metric(full_name(splits[0], metric)).format.axis or metric)
    handles = [Line2D([], [], **{**style, "linewidth": 2}) for style in styles]
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    title = f"{study.name} ({_seeds_told(study)}, one line each)"
    figure.suptitle(fill(_plain(title), int(width / 0.1)), fontsize=11)
    return figure


def _seeds_told(study: StudyRecord) -> str:
    """How many seeds have a line: those that were trained, which may be fewer than were asked for."""
    trained = [sum(bool(run.curve) for run in arm.runs) for arm in study.arms] or [0]
    if max(trained) > MOST_LINES:
        return f"the first {MOST_LINES} of {max(trained)} seeds"
    least, most = min(trained), max(trained)
    return f"{most} seed{'s' * (most != 1)}" if least == most else f"{least} to {most} seeds"


def drawn(findings: Findings) -> tuple[list[str], list[str]]:
    """The splits and what is measured on them, of which curves are drawn; of a user's loop the split is "", as its
    metrics are of no split that is known."""
    study = findings.study
    recorded = {name for arm in study.arms for run in arm.runs for name in run.curve}
    if study.own_loop:
        return [""] * bool(findings.measured), findings.measured[:_MOST_PANELS]
    there = [split_of(name)[1] for name in findings.measured]
    measured = dict.fromkeys([*(name for name in ("loss", "accuracy") if name in there), *there])
    return [split for split in SPLITS if f"{split}_loss" in recorded], list(measured)


def full_name(split: str, metric: str) -> str:
    """A metric's full name."""
    return f"{split}_{metric}" if split else metric


def data(findings: Findings) -> Figure | None:
    """The data with each arm's decision boundary, of its first seed that has one; None where they do not lie in the
    plane."""
    from matplotlib.figure import Figure

    study = findings.study
    panels = in_the_plane(study)
    if not panels:
        return None
    shown = panels[:_MOST_PANELS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    assert shown[0][1].points is not None
    x, y = in_reach(shown[0][1].points["train_x"]).T
    height = float(np.clip(np.ptp(y) / (np.ptp(x) or 1), 0.4, 1.5))  # of a panel over its width, as the data have it
    figure = Figure(figsize=(4.4 * columns, (4.0 * height + 0.9) * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    for axis, (name, run) in zip(axes, shown, strict=False):
        _panel(axis, name, run)
    legend = "filled: training examples; open: test examples; shaded: the class predicted"
    if len(panels) > len(shown):
        legend += f"; the first {len(shown)} of {len(panels)} arms"
    figure.suptitle(fill(legend, 44 * columns), fontsize=9)
    return figure


def in_the_plane(study: StudyRecord) -> list[tuple[str, RunRecord]]:
    """Of each arm whose data lie in the plane its name, and its first run that has a boundary, else its first."""
    firsts = [(arm, _first(arm)) for arm in study.arms]
    return [(arm.name or study.name, run) for arm, run in firsts if run is not None and run.points is not None]


def arm_picture(name: str, run: RunRecord) -> bytes | None:
    """The data with one run's decision boundary, if it has one yet, as PNG; None where they do not lie in the plane."""
    from matplotlib.figure import Figure

    if run.points is None:
        return None
    figure = Figure(figsize=(5, 4), layout="constrained")
    _panel(figure.subplots(), name, run)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return content.getvalue()


def _first(arm: ArmRecord) -> RunRecord | None:
    """The arm's first run with a boundary, else its first."""
    return next((run for run in arm.runs if run.boundary is not None), arm.runs[0] if arm.runs else None)


def _panel(axis: Axes, name: str, run: RunRecord) -> None:
    points: Mapping[str, NDArray[np.float64]] = run.points or {}
    if run.boundary is not None:
        grid = run.boundary
        levels = np.arange(max(int(grid.classes.max()) + 1, 2) + 1) - 0.5
        axis.contourf(grid.x, grid.y, grid.classes, levels=levels, colors=_colours(len(levels) - 1), alpha=0.2)
    for split, alpha, filled in (("train", 0.45, True), ("test", 0.95, False)):
        x, y = in_reach(points[f"{split}_x"]), points[f"{split}_y"].astype(int)
        for label in np.unique(y):
            colour, chosen = COLOURS[label % len(COLOURS)], x[y == label]
            face: dict[str, Any] = {"color": colour} if filled else {"facecolors": "none", "edgecolors": colour}
            marker = _MARKERS[label % len(_MARKERS)]
            axis.scatter(chosen[:, 0], chosen[:, 1], s=9, alpha=alpha, marker=marker, linewidths=0.7, **face)
    axis.set_title(fill(_plain(f"{name}, seed {run.seed}"), 44), fontsize=9)
    axis.set_aspect("equal")
    axis.spines[["top", "right"]].set_visible(False)


def in_reach(values: ArrayLike) -> NDArray[np.float64]:
    """Near enough to 0 that Matplotlib can measure an axis: its two ends may not be more than 1.8e308 apart.

    >>> in_reach([-1.7e308, 2.0]).tolist()
    [-1e+300, 2.0]
    """
    return np.clip(np.asarray(values, dtype=np.float64), -_FAR, _FAR)


def _colours(count: int) -> Sequence[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def printable(text: str) -> str:
    """Text that every figure can show: without control signs, which have no place in an SVG file."""
    whole = text.encode("utf-8", "replace").decode()
    return "".join(sign if sign.isprintable() else " " for sign in whole)


def _plain(text: str) -> str:
    """Text in which Matplotlib reads no formula."""
    return printable(text).replace("$", r"\$")
