"""The figures of a page for numbers to predict: residuals, and of a task of one input the fitted curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paribus.records.record import Fits, Residuals, StudyRecord
from paribus.report.page.curves import Figure, Key
from paribus.report.page.json import Columns, short, shorten
from paribus.report.series import MOST_PANELS, Panel, Range, common_range, drawn_rows, fits, residuals, strengths

RESIDUALS = (
    "Each mark is a test row: across, what was predicted; up, the residual (measured minus predicted), in the data's "
    "units. Shaded: where the middle 90 % of the residuals of all test rows lie."
)
READ_RESIDUALS = (
    "An even cloud around 0, as high at the left as at the right: what is left looks like noise. A bend or a slope: "
    "the model misses a shape that is in the data. A funnel: errors grow with what is predicted. A cloud that lies "
    "above or below 0: predictions are too low or too high throughout."
)
FITS = (
    "Lines: what the model predicts from the least input to the greatest, faint at early epochs, strong at the end. "
    "Rings: test rows."
)
READ_FITS = (
    "A last line that stays flatter than the rings has not learned their shape, or not yet; one that follows single "
    "rings has learned noise."
)

_DIFFER = "Each arm has axes of its own: their sizes are too far apart for common ones."


def residual_figures(study: StudyRecord, labels: Mapping[str, str]) -> tuple[list[Figure], str]:
    """Of each arm residual over prediction, and what is said under them."""
    shown = residuals(study, labels)[:MOST_PANELS]
    across = common_range([_ends(found.predicted) for _, found in shown])
    up = common_range([_ends(found.values, 0.0) for _, found in shown])
    note = [RESIDUALS, READ_RESIDUALS, drawn_rows([(len(one.rows), panel.run.task.test) for panel, one in shown])]
    if len(shown) > 1 and None in (across, up):
        note.append(_DIFFER)
    return [_residuals(panel, found, across, up) for panel, found in shown], " ".join(filter(None, note))


def _residuals(panel: Panel, found: Residuals, across: Range, up: Range) -> Figure:
    low, high = found.middle.tolist()
    caption = f"{panel.label}, seed {panel.run.seed}. The middle 90 % of the residuals: {_told(low)} to {_told(high)}."
    trace = {
        "x": shorten(found.predicted), "y": shorten(found.values), "mode": "markers",
        "hovertemplate": "predicted %{x:.4~g}, residual %{y:.3~g}<extra></extra>",
        "marker": {"symbol": "circle", "size": 5, "color": "@0", "opacity": 0.8},
    }  # fmt: skip
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0,
            "line": {"color": "@text", "width": 1.5}}  # fmt: skip
    band = {"type": "rect", "layer": "below", "line": {"width": 0}, "fillcolor": "@muted/0.2", "xref": "paper",
            "x0": 0, "x1": 1, "y0": short(low), "y1": short(high)}  # fmt: skip
    return Figure(
        name=f"residuals-{panel.style}",
        caption=caption,
        label=f"Residuals of {caption}",
        data=[trace],
        layout={
            "height": 300,
            "margin": {"l": 52, "r": 8, "t": 8, "b": 44},
            "xaxis": {"title": {"text": "predicted"}, "zeroline": False, **_axis(across)},
            "yaxis": {"title": {"text": "residual"}, "zeroline": False, **_axis(up)},
            "shapes": [line, *([band] if np.isfinite(found.middle).all() else [])],
        },
        facts={"captioned": True},
    )


def fit_figures(study: StudyRecord, labels: Mapping[str, str], columns: Columns) -> tuple[list[Figure], str, list[Key]]:
    """Of each arm what it predicts over its one input, at some epochs; what is said under them, and the legend."""
    shown = fits(study, labels)[:MOST_PANELS]
    ends = [_height(found) for _, found in shown]
    up = common_range(ends)
    note = [FITS, READ_FITS, drawn_rows([(len(one.rows_x), panel.run.task.test) for panel, one in shown])]
    known = any(len(one.truth) for _, one in shown)
    if known:
        note.insert(1, "Dotted: the function that the data were made with, without its noise.")
    if len(shown) > 1 and up is None:
        note.append(_DIFFER)
    if any(len(one.epochs) == 1 for _, one in shown):
        note.append("An arm with a single line was looked at once, at its end.")
    figures = [
        _fit(panel, found, up or common_range([own]), _input(study, panel), columns)
        for (panel, found), own in zip(shown, ends, strict=True)
    ]
    return figures, " ".join(filter(None, note)), _fit_keys([one for _, one in shown], known=known)


def _fit(panel: Panel, found: Fits, up: Range, named: str, columns: Columns) -> Figure:
    x, epochs = columns.add(found.x), found.epochs.tolist()
    data: list[dict[str, Any]] = [
        {"x": columns.add(found.rows_x), "y": columns.add(found.rows_y), "mode": "markers", "name": "test row",
         "hovertemplate": "%{x:.3~g}, measured %{y:.4~g}<extra></extra>",
         "marker": {"symbol": "circle-open", "size": 4, "color": "@muted", "opacity": 0.7}}
    ]  # fmt: skip
    for epoch, y, strength in zip(epochs, found.predicted, strengths(len(epochs)), strict=True):
        data.append(
            {"x": x, "y": shorten(y), "mode": "lines", "name": f"epoch {epoch:g}",
             "hovertemplate": "%{x:.3~g}: %{y:.4~g}<extra>%{fullData.name}</extra>",
             "line": {"color": "@0", "width": short(1.2 + 1.8 * strength)}, "opacity": short(strength)}
        )  # fmt: skip
    if len(found.truth):
        data.append(
            {"x": x, "y": columns.add(found.truth), "mode": "lines", "name": "without noise",
             "hovertemplate": "%{x:.3~g}: %{y:.4~g}<extra>%{fullData.name}</extra>",
             "line": {"color": "@text", "width": 1.6, "dash": "2px,3px"}}
        )  # fmt: skip
    at = f"epochs {', '.join(f'{epoch:g}' for epoch in epochs)}" if len(epochs) > 1 else "at its end"
    caption = f"{panel.label}, seed {panel.run.seed}: {at}"
    return Figure(
        name=f"fit-{panel.style}",
        caption=caption,
        label=f"What is predicted over the input by {caption}.",
        data=data,
        layout={
            "height": 300,
            "margin": {"l": 52, "r": 8, "t": 8, "b": 44},
            "xaxis": {"title": {"text": named}, "zeroline": False},
            "yaxis": {"title": {"text": "predicted"}, "zeroline": False, **_axis(up)},
        },
        facts={"captioned": True},
    )


def _height(found: Fits) -> tuple[float, float]:
    """The ends of what is measured and of the last curve; earlier ones may lie anywhere, and add half of that at most
    at either end."""
    low, high = _ends(found.predicted[-1], *found.rows_y.tolist())
    least, greatest = _ends(found.predicted, low, high)
    more = 0.5 * (high - low)
    return max(least, low - more), min(greatest, high + more)


def _input(study: StudyRecord, panel: Panel) -> str:
    standardised = study.arms[panel.style].settings.get("task.standardise") is True
    return "input, standardised" if standardised else "input"


def _fit_keys(shown: Sequence[Fits], *, known: bool) -> list[Key]:
    """The epochs where all arms have the same; else only which end is which."""
    if not shown:
        return []
    epochs = shown[0].epochs
    told = [f"epoch {epoch:g}" for epoch in epochs.tolist()]
    if any(not np.array_equal(one.epochs, epochs) for one in shown):
        told = ["early", "last"]
    keys = [
        Key(label=label, style=0, dash="solid", strength=strength)
        for label, strength in zip(told, strengths(len(told)), strict=True)
    ]
    return [*keys, *([Key(label="without noise", style=7, dash="2px,3px")] if known else [])]


def _ends(values: np.ndarray[Any, Any], *more: float) -> tuple[float, float]:
    """The least and the greatest that are finite; NaN where none is."""
    there = [*values[np.isfinite(values)].tolist(), *more]
    return (min(there), max(there)) if there else (np.nan, np.nan)


def _told(value: float) -> str:
    """Three digits: -2,970."""
    return f"{float(f'{value:.3g}'):,g}"


def _axis(ends: Range) -> dict[str, Any]:
    return {} if ends is None else {"range": shorten(ends)}
