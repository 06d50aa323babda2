"""Scores from elsewhere on a page: what `paribus judge` says of them, in sentences, figures and a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from paribus.findings.factors import FactorEffect
from paribus.findings.judge import Judgement
from paribus.findings.summary import Summary
from paribus.records.metrics import Metric
from paribus.report.page.curves import Figure, Key
from paribus.report.page.figures import FOLDS, MOST_ROWS, SYMBOLS, as_spec, forest, row_note
from paribus.report.page.json import folded, literal, shorten, to_json
from paribus.report.page.parts import Group, Section
from paribus.report.page.tables import Cell, Raw, Repeat, Table, csv_text, differences_csv
from paribus.report.page.text import Answer, Pairs, count, of_factors, ranked, too_few_lines
from paribus.report.terminal.tables import EFFECTS
from paribus.study.names import folder_name

_MOST_LINES = 100
_MOST_METRICS = 8
_UNPAIRED = (
    "Unpaired: a difference is that of the two means, its interval is Welch's, and p is of the permutation test; "
    "a run of one arm has nothing in common with one of another."
)


def section_of_scores(id_: str, judged: Judgement) -> Section:
    """Judged scores as a study stands on a page."""
    scores = judged.scores
    groups = [*effect_groups(judged.effects, judged.metric, judged.margin), *_differences(judged), *_dots(judged)]
    payload = {
        "columns": [],
        "figures": {figure.name: as_spec(figure) for group in groups for figure in group.figures},
        "csv": {
            "results": _results_csv(judged),
            "runs": _scores_csv(judged),
            "differences": differences_csv(judged.found),
        },
    }
    of = count(len(scores.seeds), "seed") if scores.seeds else "unpaired runs"
    return Section(
        id=id_,
        name=judged.name,
        about=f"{count(len(scores.arms), 'arm')}, {of}, judged by {judged.primary}",
        answers=answers_of_scores(judged),
        compared=bool(scores.seeds),
        before=groups,
        table=results_of_scores(judged),
        meters=None,
        after=[],
        mistakes=[],
        tuning=None,
        repeat=_repeat(judged),
        payload=to_json(payload),
        file=folder_name(judged.name),
        timed=False,
        each="every score",
    )


def effect_groups(effects: Sequence[FactorEffect], metric: Metric, margin: float | None) -> Iterator[Group]:
    """A figure of the main effects, and one of the interactions."""
    for number, (kind, about) in enumerate(EFFECTS.items()):
        drawn = forest(Pairs.of_effects(effects, kind, metric, margin))
        if drawn is not None:
            named = replace(drawn, name=f"effects{number}")
            yield Group(title=about, note=drawn.caption, figures=[named], legend=drawn.legend)


def pairs_of_scores(judged: Judgement) -> Pairs:
    labels = {arm: arm for arm in judged.scores.arms}
    return Pairs(ranked(judged.on_primary), labels, judged.metric, judged.margin)


def answers_of_scores(judged: Judgement) -> list[Answer]:
    pairs, before = pairs_of_scores(judged), of_factors(judged.effects, judged.metric, judged.margin)
    said = [*too_few_lines(pairs.found, judged.least_seeds), *pairs.sentences]
    more = [] if judged.scores.seeds else [_UNPAIRED]
    each = Answer("Each pair" if before else "", judged.warnings, said, more)
    first, *rest = [*before, each]
    return [replace(first, taken=judged.scores.taken), *rest]


def _differences(judged: Judgement) -> Iterator[Group]:
    figure = forest(pairs_of_scores(judged))
    if figure is not None:
        yield Group(title="Differences", note=figure.caption, figures=[figure], legend=figure.legend)


def _dots(judged: Judgement) -> Iterator[Group]:
    """Every score as a point in its arm's row, with each arm's mean; those of one seed are joined."""
    scores, metric = judged.scores, judged.metric
    columns = list(scores.values[judged.primary].items())[:MOST_ROWS]
    rows = len(columns)
    places = {arm: rows - i for i, (arm, _) in enumerate(columns)}
    drawn = np.array([[np.nan if one is None else one for one in of] for _, of in columns]) if scores.seeds else None
    data: list[dict[str, Any]] = []
    joined = drawn is not None and rows > 1
    if drawn is not None and joined:
        lines = np.vstack([drawn[:, :_MOST_LINES], np.full((1, min(drawn.shape[1], _MOST_LINES)), np.nan)])
        data.append(
            {"x": shorten(lines.T.ravel()), "y": [*places.values(), None] * lines.shape[1], "mode": "lines",
             "hoverinfo": "skip", "line": {"color": "@muted", "width": 1}, "opacity": 0.35}
        )  # fmt: skip
    for i, (arm, of) in enumerate(columns):
        names = scores.seeds or [str(one) for one in range(len(of))]
        there = [(seed, one) for seed, one in zip(names, of, strict=True) if one is not None]
        which = "seed " if scores.seeds else "run "
        data.append(
            {"x": shorten(one for _, one in there), "y": [places[arm]] * len(there), "mode": "markers",
             "text": [literal(f"{arm}, {which}{seed}") for seed, _ in there],
             "hovertemplate": "%{text}: %{x:.6~g}<extra></extra>",
             "marker": {"symbol": SYMBOLS[0], "size": 7, "opacity": 0.6, "color": f"@{i % 8}"}}
        )  # fmt: skip
    data += [_mean(judged.summaries[judged.primary][arm], places[arm], arm) for arm, _ in columns]
    caption = "A point is a score. A diamond is an arm's mean, its line the mean's own 95 % interval (Student's t)."
    if joined:
        caption += " Thin lines join the scores of one seed: the differences above are along these."
        if len(scores.seeds) > _MOST_LINES:
            caption += f" Joined are the first {_MOST_LINES} of {len(scores.seeds)} seeds."
    if rows < len(scores.arms):
        caption += f" The first {rows} of {len(scores.arms)} arms."
    notes = [[folded(arm, width, 2) for arm, _ in columns] for width in FOLDS]
    keys = [Key(label="a score", style=0, symbol="circle"), Key(label="mean and interval", style=7, symbol="diamond")]
    figure = Figure(
        name="scores",
        caption=caption,
        label=f"Every score by arm. {'; '.join(_told(judged, arm) for arm, _ in columns[:8])}.",
        data=data,
        layout={
            "hovermode": "closest",
            "margin": {"l": 12, "r": 12, "t": 4, "b": 48},
            "xaxis": {"title": {"text": literal(metric.words)}, "zeroline": False},
            "yaxis": {"range": [0.5, rows + 0.95], "visible": False, "fixedrange": True},
            "annotations": [row_note(rows - i) for i in range(rows)],
        },
        facts={
            "wide": True,
            "notes": [["<br>".join(map(literal, lines)) for lines in one] for one in notes],
            "heights": [72 + rows * (40 + 15 * max(map(len, one))) for one in notes],
        },
        legend=keys,
    )
    yield Group(title="Scores", note=caption, figures=[figure], legend=figure.legend)


def _mean(summary: Summary, place: int, arm: str) -> dict[str, Any]:
    mean = summary.mean if summary.mean is not None else float("nan")
    low, high = summary.ci95 or (mean, mean)
    return {
        "x": shorten([mean]), "y": [place], "mode": "markers", "text": [literal(f"{arm}, mean of {summary.n}")],
        "hovertemplate": "%{text}: %{x:.6~g}<extra></extra>",
        "marker": {"symbol": "diamond", "size": 12, "color": "@text"},
        "error_x": {"type": "data", "symmetric": False, "array": shorten([high - mean]),
                    "arrayminus": shorten([mean - low]), "color": "@text", "thickness": 2, "width": 6},
    }  # fmt: skip


def _told(judged: Judgement, arm: str) -> str:
    return f"{arm}: {_cell(judged.summaries[judged.primary][arm]).text}"


def results_of_scores(judged: Judgement) -> Table:
    """A row for each arm: how many scores it has, and the mean of every metric ± half of its interval."""
    shown = list(judged.summaries)[:_MOST_METRICS]
    shown = list(dict.fromkeys([judged.primary, *shown]))
    rows = [
        [Cell(arm), _n(judged.summaries[judged.primary][arm]), *(_cell(judged.summaries[name][arm]) for name in shown)]
        for arm in judged.scores.arms
    ]
    return Table(["arm", "scores", *shown], rows)


def _n(summary: Summary) -> Cell:
    return Cell(str(summary.n), summary.n)


def _cell(summary: Summary) -> Cell:
    if summary.mean is None:
        return Cell("-")
    half = "" if summary.ci95 is None else f" ±{summary.ci95[1] - summary.mean:.3g}"
    return Cell(f"{summary.mean:.5g}{half}", summary.mean)


def _results_csv(judged: Judgement) -> str:
    heads = [f"{name}{end}" for name in judged.summaries for end in ("", "_low", "_high", "_n")]
    rows: list[list[Raw]] = [["arm", *heads]]
    for arm in judged.scores.arms:
        line: list[Raw] = [arm]
        for of in judged.summaries.values():
            line += [of[arm].mean, *(of[arm].ci95 or (None, None)), of[arm].n]
        rows.append(line)
    return csv_text(rows)


def _scores_csv(judged: Judgement) -> str:
    """A row for each arm and seed, as `paribus judge` reads it."""
    scores = judged.scores
    rows: list[list[Raw]] = [["arm", *(["seed"] if scores.seeds else []), *scores.values]]
    for arm in scores.arms:
        columns = [of[arm] for of in scores.values.values()]
        each = zip(*columns, strict=True)
        rows += [[arm, *scores.seeds[i : i + 1], *values] for i, values in enumerate(each)]
    return csv_text(rows)


def _repeat(judged: Judgement) -> Repeat:
    facts = [("scores", judged.name), ("judged is", judged.primary)]
    facts += [("seeds", ", ".join(judged.scores.seeds))] if judged.scores.seeds else []
    facts += [("compared with", judged.baseline)] if judged.baseline else []
    facts += [("margin", f"{judged.margin:g}")] if judged.margin is not None else []
    commands = [judged.command] if judged.command else []
    return Repeat(commands=commands, toml=None, why_not="", facts=facts, about="Scores and seeds")
