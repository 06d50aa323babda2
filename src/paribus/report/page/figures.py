"""The figures of a page beside the curves: differences, what was tried, boundaries, confusions, sequences."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.findings.compared import Difference
from paribus.findings.findings import Findings
from paribus.records.record import RunRecord, StudyRecord
from paribus.report.page.curves import DASHES, Figure, Key
from paribus.report.page.json import Columns, folded, literal, short, shorten
from paribus.report.page.text import Pairs, amount, sentence
from paribus.report.series import (
    MOST_PANELS,
    Panel,
    Series,
    boundary_frames,
    budgets,
    by_length,
    class_png,
    evenly,
    gradients,
    most_confused,
    panels,
    tried,
)

MOST_ROWS = 40
SYMBOLS = ("circle", "triangle-up", "square", "diamond", "triangle-down", "cross", "x", "star")
MARKS = {
    "a higher": ("circle", "a difference is shown"),
    "b higher": ("circle", "a difference is shown"),
    "equivalent": ("square", "equivalent"),
    "no difference shown": ("circle-open", "no difference is shown"),
    "too few seeds": ("x-thin", "too few seeds"),
    "not judged": ("x-thin", "not judged"),
    "not decided yet": ("x-thin", "not decided yet"),
}
_MOST_POINTS = 1000
_MOST_NUMBERS = 12
FOLDS = (100, 44)  # columns of a difference's name, on a screen and on a phone


def forest(pairs: Pairs) -> Figure | None:
    """The differences as intervals on one axis, with what lies inside the margin shaded."""
    rows = [one for one in pairs.found if one.mean is not None][:MOST_ROWS]
    if not rows:
        return None
    metric, margin = pairs.metric, pairs.margin
    by = metric.format.scale
    shapes = [zero_line()]
    if margin is not None:
        shapes.append({"type": "rect", "layer": "below", "line": {"width": 0}, "fillcolor": "@2/0.18", "yref": "paper",
                       "x0": short(-by * margin), "x1": short(by * margin), "y0": 0, "y1": 1})  # fmt: skip
    named = ", ".join(filter(None, [f"difference in {metric.words}", metric.format.difference]))
    caption = "Each mark is a mean difference, its line the interval that the verdict goes with."
    if any(one.interval is None for one in rows):
        caption += " Without a line: judged by ranks, or without a spread to make an interval of."
    if len(rows) < len(pairs.found):
        caption += f" Shown: {len(rows)} of {len(pairs.found)} pairs."
    if margin is not None:
        caption += f" Shaded: within the margin of {amount(metric, margin, None)[0]}."
    names = [_name(one, pairs) for one in rows]
    # a row has room for as many lines as the longest of its names takes, on a screen and on a phone
    notes = [[folded(name, width, 4) for name in names] for width in FOLDS]
    said = [sentence(one, pairs.labels, metric, margin) for one in rows]
    return Figure(
        name="differences",
        caption=caption,
        label="Differences as intervals. " + " ".join(said[:6]),
        data=[_row(one, by, len(rows) - i, text) for i, (one, text) in enumerate(zip(rows, said, strict=True))],
        layout={
            "hovermode": "closest",
            "margin": {"l": 12, "r": 12, "t": 4, "b": 48},
            "xaxis": {"title": {"text": literal(named)}, "zeroline": False},
            "yaxis": {"range": [0.5, len(rows) + 0.95], "visible": False, "fixedrange": True},
            "shapes": shapes,
            "annotations": [row_note(len(rows) - i) for i in range(len(rows))],
        },
        facts={
            "wide": True,
            "notes": [["<br>".join(map(literal, lines)) for lines in one] for one in notes],
            "heights": [72 + len(rows) * (30 + 15 * max(map(len, one))) for one in notes],
        },
        legend=[
            Key(label=text.replace("seeds", f"{rows[0].unit}s"), style=0, symbol=symbol)
            for symbol, text in dict.fromkeys(
                MARKS[verdict] for verdict in MARKS if any(one.verdict == verdict for one in rows)
            )
        ],
    )


def _name(one: Difference, pairs: Pairs) -> str:
    value, interval = amount(pairs.metric, one.mean or 0.0, one.interval)
    return f"{pairs.labels[one.a]} - {pairs.labels[one.b]}: {value}" + (f" ({interval})" if interval else "")


def _row(one: Difference, by: float, place: int, said: str) -> dict[str, Any]:
    mean = one.mean or 0.0
    low, high = one.interval or (mean, mean)
    symbol = MARKS[one.verdict or "no difference shown"][0]
    return {
        "x": shorten([by * mean]), "y": [place], "mode": "markers", "text": [literal(said, 44, 8)],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": symbol, "size": 10, "color": "@0", "line": {"width": 2, "color": "@0"}},
        "error_x": {"type": "data", "symmetric": False, "array": shorten([by * (high - mean)]),
                    "arrayminus": shorten([by * (mean - low)]), "color": "@0", "thickness": 2, "width": 5},
    }  # fmt: skip


def row_note(place: int) -> dict[str, Any]:
    """Where the name of a difference stands: at the left, over its interval."""
    return {
        "x": 0, "xref": "paper", "xanchor": "left", "y": place + 0.14, "yanchor": "bottom", "showarrow": False,
        "align": "left", "text": "", "font": {"size": 12}, "bgcolor": "@paper/0.75", "borderpad": 0,
    }  # fmt: skip


def zero_line() -> dict[str, Any]:
    line = {"color": "@text", "width": 1.5}
    return {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper", "line": line, "layer": "between"}


def boundaries(study: StudyRecord, labels: Mapping[str, str], columns: Columns) -> list[Figure]:
    """Of each arm the data in the plane, and over the epochs the class that it predicts everywhere."""
    shown = panels(study, labels, lambda run: run.points is not None and boundary_frames(run) is not None)
    return [_boundary(panel, columns) for panel in shown[:MOST_PANELS]]


def _boundary(panel: Panel, columns: Columns) -> Figure:
    found = boundary_frames(panel.run)
    assert found is not None
    (left, right, bottom, top), frames = found
    rows, width = frames[0][1].shape
    dx, dy = (right - left) / max(width - 1, 1), (top - bottom) / max(rows - 1, 1)  # of a cell, around its point
    sources = [{"epoch": short(epoch), "source": data_uri(class_png(classes))} for epoch, classes in frames]
    picture = {
        "source": sources[-1]["source"], "xref": "x", "yref": "y", "x": short(left - dx / 2), "y": short(top + dy / 2),
        "sizex": short(right - left + dx), "sizey": short(top - bottom + dy), "sizing": "stretch", "layer": "below",
    }  # fmt: skip
    epochs = "" if len(frames) < 2 else f", from epoch {frames[0][0]:g} to {frames[-1][0]:g}"
    return Figure(
        name=f"boundary-{panel.style}",
        caption=f"{panel.label}, seed {panel.run.seed}",
        label=f"The data and the decision boundary of {panel.label}, seed {panel.run.seed}{epochs}.",
        data=_points(panel.run, columns),
        layout={
            "height": 300,
            "hovermode": "closest",
            "images": [picture],
            "margin": {"l": 36, "r": 8, "t": 8, "b": 28},
            "xaxis": {"range": shorten([left, right]), "zeroline": False, "constrain": "domain"},
            "yaxis": {"range": shorten([bottom, top]), "zeroline": False, "scaleanchor": "x", "constrain": "domain"},
        },
        facts={"frames": sources, "aspect": short(float(np.clip((top - bottom) / (right - left), 0.3, 1.5)))},
    )


def _points(run: RunRecord, columns: Columns) -> list[dict[str, Any]]:
    """A trace for each split and class: training examples filled, test examples open."""
    points = run.points or {}
    traces = []
    for split, filled in (("train", True), ("test", False)):
        if f"{split}_x" not in points:
            continue
        kept = evenly(len(points[f"{split}_x"]), _MOST_POINTS)
        x, y = points[f"{split}_x"][kept], points[f"{split}_y"][kept].astype(int)
        for label in np.unique(y).tolist():
            at = x[y == label]
            traces.append(
                {"x": columns.add(at[:, 0]), "y": columns.add(at[:, 1]), "mode": "markers",
                 "name": f"class {label}, {split}",
                 "hovertemplate": "%{x:.3~g}, %{y:.3~g}<extra>%{fullData.name}</extra>",
                 "marker": {"symbol": SYMBOLS[label % 8] + ("" if filled else "-open"), "color": f"@{label % 8}",
                            "size": 5 if filled else 6, "opacity": 0.5 if filled else 1}}
            )  # fmt: skip
    return traces


def confusions(study: StudyRecord, labels: Mapping[str, str]) -> list[Figure]:
    """Of each arm how many test examples of each class were taken for which."""
    shown = panels(study, labels, lambda run: run.pictures.confusion is not None)
    return [_confusion(panel, panel.run.pictures.confusion) for panel in shown[:MOST_PANELS]]


def _confusion(panel: Panel, counts: NDArray[np.int64] | None) -> Figure:
    assert counts is not None
    n = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = n <= _MOST_NUMBERS
    plain = {"showgrid": False, "zeroline": False, "constrain": "domain", **({"tick0": 0, "dtick": 1} if few else {})}
    worst = most_confused(counts)
    caption = f"{panel.label}, seed {panel.run.seed}"
    said = f"Most often taken for another: {', '.join(worst)}." if worst else "No example was taken for another class."
    trace = {
        "type": "heatmap", "x": list(range(n)), "y": list(range(n)), "z": [shorten(row) for row in np.sqrt(shares)],
        "text": counts.tolist(), "customdata": [shorten(100 * row) for row in shares], "colorscale": "@shades",
        "zmin": 0, "zmax": 1, "showscale": False, "xgap": 1, "ygap": 1,
        "hovertemplate": "class %{y} taken for %{x}: %{text} (%{customdata:.3~g} %)<extra></extra>",
        **({"texttemplate": "%{text}", "textfont": {"size": 11}} if few else {}),
    }  # fmt: skip
    return Figure(
        name=f"confusion-{panel.style}",
        caption=f"{caption}. {said}",
        label=f"Confusion matrix of {caption}. {said}",
        data=[trace],
        layout={
            "height": 360,
            "margin": {"l": 44, "r": 8, "t": 8, "b": 44},
            "xaxis": {"title": {"text": "taken for"}, **plain},
            "yaxis": {"title": {"text": "class"}, "autorange": "reversed", "scaleanchor": "x", **plain},
        },
        facts={"captioned": True},
    )


def lengths(findings: Findings) -> Figure | None:
    """The accuracy at each length of the sequences, a line for each combination of the other factors."""
    metric, found = by_length(findings)
    if not found:
        return None
    data, words = [trace(one, "length %{x}: %{y:.2%}") for one in found], findings.metric(metric).words
    several = f" Lines: {'; '.join(one.label for one in found)}." if len(found) > 1 else ""
    return Figure(
        name="lengths",
        caption=f"{words} at each length; bars: the mean's 95 % interval.",
        label=f"{words} by length of the sequence.{several}",
        data=data,
        layout={
            "height": 360,
            "xaxis": {"title": {"text": "digits read"}},
            "yaxis": {"title": {"text": words}, "tickformat": "~%"},
        },
        facts={"wide": True},
        legend=keys(found) if len(found) > 1 else [],
    )


def tuned(findings: Findings, labels: Mapping[str, str]) -> Figure | None:
    """What tuning tried, and of each arm the value that it chose, where it tuned one number."""
    study = findings.study
    name, found = tried(study, labels)
    if not found or study.tuning is None:
        return None
    data = [trace(one, "%{x}: %{y:.4~g}") for one in found]
    positive = all(x > 0 for one in found for x in one.x)
    metric, asked = findings.metric(study.tuning.metric), name.rpartition(".")[2]
    axis = {"type": "log", "dtick": 1, "exponentformat": "power"} if positive else {}
    share = {"tickformat": "~%"} if metric.percent else {}
    chosen = "; ".join(f"{one.label}: {one.x[one.chosen]:g}" for one in found if one.chosen is not None)
    return Figure(
        name="tuning",
        caption=(
            f"{metric.words} of each value tried, the mean over the tuning's seeds; the large marks are those chosen."
        ),
        label=f"What tuning tried. Chosen {asked}: {chosen}.",
        data=data,
        layout={
            "height": 360,
            "xaxis": {"title": {"text": asked}, **axis},
            "yaxis": {"title": {"text": metric.words}, **share},
        },
        facts={"wide": True},
        legend=keys(found),
    )


def budget(findings: Findings, labels: Mapping[str, str]) -> Figure | None:
    """The expected best validation score of each arm over the number of candidates."""
    found, tuning = budgets(findings, labels), findings.study.tuning
    if not found or tuning is None:
        return None
    metric = findings.metric(tuning.metric)
    share = {"tickformat": "~%"} if metric.percent else {}
    ends = "; ".join(f"{one.label}: {metric.told(one.y[0])} of 1, {metric.told(one.y[-1])} of all" for one in found)
    return Figure(
        name="budget",
        caption=f"{findings.budget_told} (Dodge and others 2019). A candidate that did not end counts as the worst.",
        label=f"Expected best {metric.words} after so many candidates. {ends}.",
        data=[trace(one, "%{x} candidates: %{y:.4~g}") for one in found],
        layout={
            "height": 360,
            "xaxis": {"title": {"text": "candidates"}},
            "yaxis": {"title": {"text": f"expected best {metric.words}"}, **share},
        },
        facts={"wide": True},
        legend=keys(found),
    )


def keys(found: list[Series]) -> list[Key]:
    """The legend of some lines."""
    return [
        Key(label=one.label, style=one.style % 8, dash=DASHES[one.style % len(DASHES)], symbol=SYMBOLS[one.style % 8])
        for one in found
    ]


def class_keys(run: RunRecord) -> list[Key]:
    """The classes of data in the plane, each with its mark."""
    classes = np.unique((run.points or {})["train_y"].astype(int)).tolist()
    return [Key(label=f"class {label}", style=label % 8, symbol=SYMBOLS[label % 8]) for label in classes]


def trace(one: Series, hover: str) -> dict[str, Any]:
    """A line with its marks and intervals."""
    colour, dash, symbol = f"@{one.style % 8}", DASHES[one.style % len(DASHES)], SYMBOLS[one.style % 8]
    made: dict[str, Any] = {
        "x": shorten(one.x), "y": shorten(one.y), "mode": "lines+markers", "name": literal(one.label, 44),
        "line": {"color": colour, "width": 2, "dash": dash},
        "hovertemplate": f"{hover}<extra>%{{fullData.name}}</extra>",
        "marker": {"symbol": symbol, "size": [15 if k == one.chosen else 7 for k in range(len(one.x))]},
    }  # fmt: skip
    if one.high:
        up = shorten(high - y for high, y in zip(one.high, one.y, strict=True))
        down = shorten(y - low for low, y in zip(one.low, one.y, strict=True))
        made["error_y"] = {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "color": colour}
    return made


def state_gradients(study: StudyRecord, labels: Mapping[str, str]) -> Figure | None:
    """|dL/dh(t)| over t on a logarithmic axis, of each arm before its first step (dotted) and after its last."""
    data = []
    found = gradients(study, labels)[:MOST_PANELS]
    for panel, norms in found:
        for norm, when, dash in ((norms[0], "before the first step", "2px,3px"), (norms[1], "after the last", "solid")):
            data.append(
                {"x": list(range(1, len(norm) + 1)), "y": shorten(np.where(norm > 0, norm, np.nan)),
                 "mode": "lines+markers", "name": literal(f"{panel.label}, {when}", 44),
                 "line": {"color": f"@{panel.style % 8}", "width": 2, "dash": dash},
                 "marker": {"symbol": SYMBOLS[panel.style % 8], "size": 7, "maxdisplayed": 12},
                 "hovertemplate": "t = %{x}: %{y:.3~g}<extra>%{fullData.name}</extra>"}
            )  # fmt: skip
    if not data:
        return None
    said = "; ".join(
        f"{panel.label}: {norms[1][0]:.2g} at t = 1, {norms[1][-1]:.2g} at the end" for panel, norms in found
    )
    return Figure(
        name="gradients",
        caption="Dotted: before the first step; solid: after the last. A norm of 0 has no place on this axis.",
        label=f"Norm of the loss's gradient with respect to each hidden state. After the last step, {said}.",
        data=data,
        layout={
            "height": 380,
            "xaxis": {"title": {"text": "t, the digit that was read"}},
            "yaxis": {"type": "log", "title": {"text": "|dL/dh(t)|"}, "exponentformat": "power"},
        },
        facts={"wide": True},
        legend=[
            Key(label=panel.label, style=panel.style % 8, dash="solid", symbol=SYMBOLS[panel.style % 8])
            for panel, _ in found
        ],
    )


def data_uri(png: bytes) -> str:
    """A PNG as text that an <img> takes for its source."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def as_spec(figure: Figure) -> Mapping[str, Any]:
    """What `page.js` reads of a figure."""
    return {"data": figure.data, "layout": figure.layout, **figure.facts}
