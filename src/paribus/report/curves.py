"""Pictures of a study as PNG files: its curves, and for data in the plane the decision boundaries."""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paribus.core.record import SPLITS, RunRecord, StudyRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by people who do not see red and green; black first would hide the grid.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
_DASHES: tuple[Any, ...] = ("solid", (0, (4, 3)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")


def draw(study: StudyRecord, folder: Path) -> list[Path]:
    """Write `curves.png` and, for data in the plane, `data.png`; the files that were written."""
    written = []
    for name, figure in (("curves.png", curves(study)), ("data.png", data(study))):
        if figure is not None:
            figure.savefig(folder / name, dpi=120)
            written.append(folder / name)
    return written


def curves(study: StudyRecord) -> Figure | None:
    """Loss and accuracy on every split, one colour an arm, one line a seed; None where nothing was evaluated.

    Later arms are dashed and thinner, so that curves that coincide are both seen.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    recorded = {name for arm in study.arms for run in arm.runs for name in run.curve}
    splits = [split for split in SPLITS if f"{split}_loss" in recorded]
    if not splits:
        return None
    rows = -(-len(study.arms) // 3)
    figure = Figure(figsize=(4.8 * len(splits) + 0.4, 6.6 + 0.25 * rows), layout="constrained")
    axes = figure.subplots(2, len(splits), sharex=True, sharey="row", squeeze=False)
    styles = [
        (colour, dash) for _, colour, dash in zip(study.arms, cycle(COLOURS), _dashes(len(study.arms)), strict=False)
    ]
    for column, split in enumerate(splits):
        for row, metric in enumerate(("loss", "accuracy")):
            axis = axes[row][column]
            for arm, (colour, dash) in zip(study.arms, styles, strict=True):
                for run in arm.runs:
                    if f"{split}_{metric}" in run.curve:
                        x, y = run.curve["epoch"], run.curve[f"{split}_{metric}"]
                        marker = "." if len(x) == 1 else None
                        axis.plot(x, y, color=colour, linestyle=dash, linewidth=1.1, alpha=0.75, marker=marker)
            axis.set_title(f"{split} {metric}", fontsize=10)
            axis.grid(alpha=0.25, linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
        axes[1][column].set_xlabel("epoch")
    axes[0][0].set_ylabel("cross-entropy")
    axes[1][0].set_ylabel("share classified rightly")
    handles = [Line2D([], [], color=colour, linestyle=dash, linewidth=2) for colour, dash in styles]
    labels = [_plain(arm.name or study.name) for arm in study.arms]
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False, fontsize=9)
    figure.suptitle(
        _plain(f"{study.name} ({len(study.seeds)} seed{'s' * (len(study.seeds) != 1)}, one line each)"),
        fontsize=11,
    )
    return figure


def data(study: StudyRecord) -> Figure | None:
    """The data with each arm's decision boundary (its first recorded seed); None where they do not lie in the plane."""
    from matplotlib.figure import Figure

    if study.data is None:
        return None
    drawn = [
        (arm.name or study.name, next((run for run in arm.runs if run.boundary is not None), None))
        for arm in study.arms
    ]
    panels = [(name, run) for name, run in drawn if run is not None][:12]
    empty: tuple[str, RunRecord | None] = ("data", None)
    columns = min(3, len(panels)) or 1
    rows = -(-len(panels) // columns) or 1
    x, y = study.data["train_x"].T
    height = float(np.clip(np.ptp(y) / (np.ptp(x) or 1), 0.4, 1.5))  # of a panel over its width, as the data have it
    figure = Figure(figsize=(4.4 * columns, (4.0 * height + 0.6) * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axis in axes[max(len(panels), 1) :]:
        axis.set_visible(False)
    for axis, (name, run) in zip(axes, [*panels] if panels else [empty], strict=False):
        _panel(axis, study.data, name, run)
    figure.suptitle("filled: training examples; open: test examples; shaded: the class predicted", fontsize=9)
    return figure


def arm_picture(study: StudyRecord, name: str, run: RunRecord | None) -> bytes | None:
    """The data with one run's decision boundary, if it has one yet, as PNG; None where they do not lie in the plane."""
    from matplotlib.figure import Figure

    if study.data is None:
        return None
    figure = Figure(figsize=(5, 4), layout="constrained")
    _panel(figure.subplots(), study.data, name, run)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return content.getvalue()


def _panel(axis: Axes, data: Mapping[str, NDArray[np.float64]], name: str, run: RunRecord | None) -> None:
    if run is not None and run.boundary is not None:
        grid = run.boundary
        classes = int(grid.classes.max()) + 1
        levels = np.arange(max(classes, 2) + 1) - 0.5
        colours = [COLOURS[i % len(COLOURS)] for i in range(len(levels) - 1)]
        axis.contourf(grid.x, grid.y, grid.classes, levels=levels, colors=colours, alpha=0.2)
        name = f"{name}, seed {run.seed}"
    for split, alpha, filled in (("train", 0.45, True), ("test", 0.95, False)):
        x, y = data[f"{split}_x"], data[f"{split}_y"].astype(int)
        for label in np.unique(y):
            colour, points = COLOURS[label % len(COLOURS)], x[y == label]
            face: dict[str, Any] = {"color": colour} if filled else {"facecolors": "none", "edgecolors": colour}
            marker = _MARKERS[label % len(_MARKERS)]
            axis.scatter(points[:, 0], points[:, 1], s=9, alpha=alpha, marker=marker, linewidths=0.7, **face)
    axis.set_title(_plain(name), fontsize=10)
    axis.set_aspect("equal")
    axis.spines[["top", "right"]].set_visible(False)


def _dashes(arms: int) -> list[Any]:
    """Solid, then dashed and dotted: each overlap shows what lies beneath."""
    return [_DASHES[i % len(_DASHES)] for i in range(arms)]


def _plain(text: str) -> str:
    """Text in which Matplotlib reads no formula."""
    return text.replace("$", r"\$")
