"""What went wrong, on the page: what and where, the evidence as a small figure, and the command that tries a cure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paribus.findings.diagnosis import Diagnosis
from paribus.findings.diagnosis.evidence import Evidence
from paribus.findings.findings import Findings
from paribus.report.cures import Tried
from paribus.report.diagnoses import commands, instead, runs_told
from paribus.report.page.curves import DASHES, Figure, Key
from paribus.report.page.json import literal, shorten
from paribus.report.terminal.cures import cure_words

_MOST_SHOWN = 12
_SYMBOLS = ("circle", "square", "triangle-up")


@dataclass(frozen=True)
class Wrong:
    """A diagnosis as the page shows it. `title`: the arm and the code; `where`: of which runs, layer and epoch."""

    title: str
    where: str
    evidence: str
    cause: str
    commands: list[str]
    instead: str
    figure: Figure | None


def wrongs(findings: Findings, labels: Mapping[str, str]) -> list[Wrong]:
    """The first diagnoses of a study; nothing of one that is well."""
    return [_wrong(findings, one, labels, number) for number, one in enumerate(findings.diagnoses[:_MOST_SHOWN])]


@dataclass(frozen=True)
class Cured:
    """The cures of an arm that were tried. `title`: of which arm and codes; `rows`: verdict, cure, what it rests on."""

    title: str
    rows: list[tuple[str, str, str]]


def cured(tried: Sequence[Tried], labels: Mapping[str, str]) -> list[Cured]:
    """What came of the cures of a study's arms, the best of each arm first."""
    return [
        Cured(
            title=f"{labels[one.arm]}: {', '.join(one.codes)}" if len(labels) > 1 else ", ".join(one.codes),
            rows=[(cure.answer, cure.name, cure_words(cure, one.findings.primary_metric)) for cure in one.cures],
        )
        for one in tried
        if one.findings is not None
    ]


def left_out(findings: Findings) -> str:
    """What is said of those that are not shown."""
    more = len(findings.diagnoses) - _MOST_SHOWN
    return f"{more} more: paribus diagnose on the study's folder lists them." if more > 0 else ""


def _wrong(findings: Findings, one: Diagnosis, labels: Mapping[str, str], number: int) -> Wrong:
    epoch = "" if one.epoch is None else f"epoch {one.epoch:g}"
    places = [runs_told(one), one.layer or "", epoch]
    source = "" if one.source == "own" else f" ({one.source})"
    made, several = commands(findings, one), len(findings.study.arms) > 1
    drawn = findings.evidence(one)
    words = instead(findings, one)
    return Wrong(
        title=f"{labels[one.arm]}: {one.code}" if several else one.code,
        where=", ".join(filter(None, places)),
        evidence=f"{_sentence(one.evidence)}.",
        cause=f"{_sentence(one.cause)}{source}.",
        commands=made,
        instead=f"To try: {words}." if words else "",
        figure=None if drawn is None else _figure(f"wrong{number}", one, drawn),
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _figure(name: str, one: Diagnosis, drawn: Evidence) -> Figure:
    lines = [_line(drawn, title, list(values), i) for i, (title, values) in enumerate(drawn.lines.items())]
    legend = [
        Key(label=title, style=i % 8, dash=DASHES[i % len(DASHES)], symbol=_SYMBOLS[i % 3] if drawn.by_layer else "")
        for i, title in enumerate(drawn.lines)
    ]
    if drawn.level is not None:
        lines.append(
            {"x": [drawn.x[0], drawn.x[-1]], "y": shorten([drawn.level[1]] * 2), "mode": "lines",
             "name": literal(drawn.level[0]), "line": {"color": "@muted", "width": 1.5, "dash": "2px,3px"},
             "hovertemplate": "%{y:.3~g}<extra>%{fullData.name}</extra>"}
        )  # fmt: skip
    level = "" if drawn.level is None else f"; dotted: that of {drawn.level[0]}, {drawn.level[1]:.3g}"
    x_title = {"text": drawn.over}
    return Figure(
        name=name,
        caption=f"{drawn.quantity}{level}",
        label=f"{one.code}: {drawn.quantity} by {x_title['text']}. {_sentence(one.evidence)}.",
        data=lines,
        layout={
            "height": 230,
            "margin": {"l": 52, "r": 14, "t": 8, "b": 40},
            "xaxis": {"title": x_title, **({"type": "category"} if drawn.by_layer else {})},
            "yaxis": _sizes(drawn),
        },
        legend=legend if len(legend) > 1 else [],
    )


def _sizes(drawn: Evidence) -> dict[str, Any]:
    """The axis of the values, whose name is the figure's caption: there it has room on a phone."""
    if not drawn.log:
        return {"range": [0, 1.02], "tickformat": "~%"} if drawn.by_layer else {}
    known = [value for values in drawn.lines.values() for value in values if value > 0 and math.isfinite(value)]
    decades = math.log10(max(known) / min(known)) if known else 0.0
    steps = "D2" if decades < 2 else max(1, round(decades / 4))
    return {"type": "log", "exponentformat": "power", "minexponent": 2, "dtick": steps}


def _line(drawn: Evidence, title: str, values: list[float], number: int) -> dict[str, Any]:
    """What has no place on a logarithmic axis is left out of it."""
    shown = [value if value > 0 or not drawn.log else float("nan") for value in values]
    x = [literal(str(one)) for one in drawn.x] if drawn.by_layer else shorten(map(float, drawn.x))
    return {
        "x": x, "y": shorten(shown), "mode": "lines+markers" if drawn.by_layer or len(x) == 1 else "lines",
        "marker": {"symbol": _SYMBOLS[number % 3], "size": 8}, "name": literal(title),
        "line": {"color": f"@{number % 8}", "width": 2, "dash": DASHES[number % len(DASHES)]},
        "hovertemplate": "%{x}: %{y:.3~g}<extra>%{fullData.name}</extra>",
    }  # fmt: skip
