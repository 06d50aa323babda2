"""Pictures of numbers to predict by Matplotlib: residuals, and the fitted curve of a task of one input."""

from __future__ import annotations

import io
from collections.abc import Iterator
from textwrap import fill
from typing import TYPE_CHECKING

from paribus.records.record import Fits, Residuals, RunRecord
from paribus.report.files.curves import COLOURS, in_reach, printable
from paribus.report.series import strengths

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_residuals(axis: Axes, found: Residuals) -> None:
    """Residual over prediction, a line at 0, and shaded where the middle 90 % of the residuals lie."""
    low, high = in_reach(found.middle).tolist()
    axis.axhspan(low, high, color="black", alpha=0.1, linewidth=0)
    axis.axhline(0, color="black", linewidth=1)
    axis.scatter(in_reach(found.predicted), in_reach(found.values), s=9, alpha=0.7, color=COLOURS[0])
    axis.set_xlabel("predicted")
    axis.set_ylabel("residual: measured minus predicted")
    axis.spines[["top", "right"]].set_visible(False)


def draw_fits(axis: Axes, found: Fits) -> None:
    """What is predicted over the input, faint at early epochs; rings: test rows; dotted: without noise."""
    rows_x, rows_y = in_reach(found.rows_x), in_reach(found.rows_y)
    axis.scatter(rows_x, rows_y, s=10, facecolors="none", edgecolors="grey", linewidths=0.7)
    epochs = found.epochs.tolist()
    for epoch, y, strength in zip(epochs, found.predicted, strengths(len(epochs)), strict=True):
        label = f"epoch {epoch:g}"
        axis.plot(in_reach(found.x), in_reach(y), color=COLOURS[0], alpha=strength, linewidth=1 + strength, label=label)
    if len(found.truth):
        axis.plot(in_reach(found.x), in_reach(found.truth), color="black", linestyle=":", label="without noise")
    axis.set_xlabel("input")
    axis.set_ylabel("predicted")
    axis.legend(fontsize=7, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def run_pictures(name: str, run: RunRecord) -> Iterator[tuple[str, bytes]]:
    """Title and PNG of each picture of one run; none of a task of classes."""
    from matplotlib.figure import Figure

    residuals, fits = run.pictures.residuals, run.pictures.fits
    for title, draw in (
        ("residuals", None if residuals is None else lambda axis: draw_residuals(axis, residuals)),
        ("fitted curve", None if fits is None else lambda axis: draw_fits(axis, fits)),
    ):
        if draw is None:
            continue
        figure, content = Figure(figsize=(5, 4), layout="constrained"), io.BytesIO()
        axis = figure.subplots()
        draw(axis)
        axis.set_title(fill(printable(f"{name}, seed {run.seed}").replace("$", r"\$"), 44), fontsize=9)
        figure.savefig(content, format="png", dpi=100)
        yield title, content.getvalue()
