"""The curves of a page: one line a seed, and of each arm the mean with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.findings.findings import Findings
from paribus.records.metrics import MEASURED, OF_NUMBERS, SPLITS, split_of
from paribus.records.record import ArmRecord, RunRecord, StudyRecord
from paribus.report.page.json import Columns, literal, shorten
from paribus.report.terminal.tables import shown_arms

Values = NDArray[np.float64]

MOST_LINES = 50
MOST_ARMS = 40
MOST_POINTS = 300
"""Of one line; fewer where a page has very many lines."""

_PAGE_POINTS = 120_000
_LEAST_POINTS = 30
DASHES = ("solid", "8px,5px", "2px,3px", "12px,4px,2px,4px", "16px,4px")
"""As `report.curves` has them: with eight colours, forty arms before two look the same."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """An entry of a legend: the line or the mark that stands for a label. `arm`: the one that it hides and shows;
    `strength`: how opaque it is."""

    label: str
    style: int
    dash: str = ""
    symbol: str = ""
    arm: int | None = None
    strength: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure as Plotly draws it, but for its colours: `@3` is the fourth arm's, `@text` that of the page's text.

    A trace's `x` may be a column's number, its `arm` the arm that the legend hides it with, its `part` what it is.
    `label`: what is to be seen, for who cannot see it; `facts`: what `page.js` needs beside; `legend`: in HTML, where
    it finds room on a phone and words are only words.
    """

    name: str
    caption: str
    label: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    legend: list[Key] = field(default_factory=list)


def thinned(low: Values, high: Values, most: int) -> NDArray[np.int64]:
    """Which points of a line (low = high) or of a band are kept: at most `most`, among them the first and the last,
    and of each stretch the one with the least `low` and the one with the greatest `high`.

    >>> values = np.array([0.0, 1, 2, 9, 2, 1, 0, 0, -5, 0])
    >>> values[thinned(values, values, 6)].tolist()
    [0.0, 9.0, 1.0, -5.0, 0.0]
    """
    n = len(low)
    if n <= most:
        return np.arange(n)
    kept = {0, n - 1}
    for stretch in np.array_split(np.arange(n), max((most - 2) // 2, 1)):
        kept.add(int(stretch[_first(low[stretch], least=True)]))
        kept.add(int(stretch[_first(high[stretch], least=False)]))
    return np.array(sorted(kept))


def _first(values: Values, *, least: bool) -> int:
    """Where the least or the greatest stands, before what is not finite."""
    ranked = np.where(np.isfinite(values), values if least else -values, np.inf)
    return int(ranked.argmin())


def most_points(studies: Sequence[Findings]) -> int:
    """How many points a line of this page may have, so that the page stays small."""
    lines = sum(_lines(one.study) * len(one.measured) for one in studies)
    return int(np.clip(_PAGE_POINTS // max(lines, 1), _LEAST_POINTS, MOST_POINTS))


def _lines(study: StudyRecord) -> int:
    runs = sum(len(arm.runs) for arm in study.arms)
    return min(runs, MOST_LINES) + 3 * min(len(study.arms), MOST_ARMS) * (len(study.seeds) > 1)


def drawn(arms: Sequence[ArmRecord]) -> set[tuple[str, int]]:
    """Arm and seed of the lines that are drawn: all arms' first seeds, then their second, up to fifty in all."""
    turns = sorted(
        ((rank, i, arm.name, run.seed) for i, arm in enumerate(arms) for rank, run in enumerate(arm.runs[:MOST_LINES])),
        key=lambda one: one[:2],
    )
    return {(name, seed) for _, _, name, seed in turns[:MOST_LINES]}


def arm_keys(findings: Findings, labels: Mapping[str, str]) -> list[Key]:
    """The arms that are drawn, each with its line."""
    arms = shown_arms(findings)[:MOST_ARMS]
    return [Key(label=labels[arm.name], style=i % 8, dash=DASHES[i % len(DASHES)], arm=i) for i, arm in enumerate(arms)]


def curve_figures(findings: Findings, labels: Mapping[str, str], columns: Columns, most: int) -> list[Figure]:
    """A figure for each metric and split that was recorded."""
    return [_figure(findings, labels, columns, metric, most) for metric in sorted(findings.measured, key=_place)]


def _place(metric: str) -> tuple[bool, int, str]:
    """Losses first, then what is measured beside them, each by split."""
    split, name = split_of(metric)
    return (name != "loss", SPLITS.index(split), name) if name in {**MEASURED, **OF_NUMBERS} else (True, 9, metric)


def _figure(findings: Findings, labels: Mapping[str, str], columns: Columns, metric: str, most: int) -> Figure:
    arms = shown_arms(findings)[:MOST_ARMS]
    wanted, about = drawn(arms), findings.metric(metric)
    bands: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    ends = []
    for i, arm in enumerate(arms):
        runs = [run for run in arm.runs if len(run.curve.get(metric, ()))]
        mean = findings.band(arm.name, metric)
        lines += [
            _line(run, metric, i, labels[arm.name], columns=columns, most=most, alone=mean is None)
            for run in runs
            if (arm.name, run.seed) in wanted
        ]
        if mean is not None:
            kept = thinned(mean.low, mean.high, most)
            name = literal(f"{labels[arm.name]}, mean of {mean.runs} seeds")
            at = columns.add(mean.epochs[kept])
            bands += [
                {"x": at, "y": shorten(mean.low[kept]), "line": {"width": 0}, "hoverinfo": "skip", "arm": i,
                 "part": "low"},
                {"x": at, "y": shorten(mean.high[kept]), "line": {"width": 0}, "hoverinfo": "skip", "arm": i,
                 "part": "band", "fill": "tonexty", "fillcolor": f"@{i % 8}/0.2"},
            ]  # fmt: skip
            means.append(
                {"x": at, "y": shorten(mean.mean[kept]), "name": name, "arm": i, "part": "mean", **_mode(kept),
                 "line": {"color": f"@{i % 8}", "width": 2.4, "dash": DASHES[i % len(DASHES)]}}
            )  # fmt: skip
            ends.append(f"{labels[arm.name]} ends at {mean.mean[-1]:.4g}")
        elif runs:
            ends.append(f"{labels[arm.name]} ends at {runs[0].curve[metric][-1]:.4g}")
    title = about.words
    axis: dict[str, Any] = {"title": {"text": about.format.quantity or literal(title)}}
    return Figure(
        name=metric,
        caption=title,
        label=f"{title} by epoch, one line a seed. {'; '.join(ends[:8])}.",
        data=[*bands, *lines, *means],
        layout={
            "height": 300,
            "xaxis": {"title": {"text": "epoch"}},
            "yaxis": {**axis, **({"tickformat": "~%"} if about.percent else {})},
        },
        facts={"logx": True, "logy": about.format.logarithmic, "each": {"mode": "lines", "hovertemplate": _HOVER}},
    )


_HOVER = "epoch %{x}: %{y:.4~g}<extra>%{fullData.name}</extra>"


def _line(
    run: RunRecord, metric: str, arm: int, label: str, *, columns: Columns, most: int, alone: bool
) -> dict[str, Any]:
    y = run.curve[metric]
    kept = thinned(y, y, most)
    return {
        "x": columns.add(run.curve["epoch"][kept]), "y": shorten(y[kept]), **_mode(kept),
        "name": literal(f"{label}, seed {run.seed}"), "arm": arm, "part": "seed" if not alone else "mean",
        "line": {"color": f"@{arm % 8}", "width": 2 if alone else 1, "dash": DASHES[arm % len(DASHES)]},
        "opacity": 0.9 if alone else 0.55,
    }  # fmt: skip


def _mode(points: NDArray[np.int64]) -> dict[str, str]:
    """A lone point is no line."""
    return {"mode": "lines+markers"} if len(points) == 1 else {}
