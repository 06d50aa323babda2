"""A study in a notebook: the answer first, then its differences with their intervals, then the arms.

Colours are the notebook's own (`currentColor`), so that it reads the same in the dark; styles stand in the elements, as
some viewers take style sheets away; figures are beside the numbers that they draw, and say nothing of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from paribus.findings.findings import Findings
from paribus.findings.judge import Judgement
from paribus.report.page.lead import scaled
from paribus.report.page.page import environment
from paribus.report.page.scores import answers_of_scores, pairs_of_scores, results_of_scores
from paribus.report.page.tables import Table, results
from paribus.report.page.text import Answer, Pairs, View, amount, answers, count, p_text
from paribus.report.terminal.diagnoses import diagnosis_lines

MOST_ROWS = 20
_WIDTH, _HEIGHT, _EDGE = 180.0, 18.0, 6.0


@dataclass(frozen=True)
class Row:
    """A difference: whose, how large, its p, the verdict; where its interval and 0 lie in the drawing, None where there
    is no interval."""

    name: str
    size: str
    interval: str
    p: str
    verdict: str
    mean: float | None
    low: float | None
    high: float | None
    zero: float


def notebook(found: Findings | Judgement) -> str:
    """HTML for a notebook's cell.

    >>> from paribus.records.record import StudyRecord
    >>> empty = StudyRecord(name="<b>", factors=[], seeds=[0], primary_metric="test_accuracy", arms=[])
    >>> "&lt;b&gt;" in notebook(Findings.of(empty))
    True
    """
    said: list[Answer]
    if isinstance(found, Findings):
        view = View.of(found)
        name, said, pairs, table = found.study.name, answers(view), view.pairs, results(view)
        about = f"{count(len(found.study.arms), 'arm')}, {found.seeds_told}"
        wrong = [line.plain for line in diagnosis_lines(found)]
    else:
        name, said, pairs, table = (
            found.name,
            answers_of_scores(found),
            pairs_of_scores(found),
            results_of_scores(found),
        )
        about, wrong = count(len(found.scores.arms), "arm"), []
    html: str = (
        environment()
        .get_template("notebook.html")
        .render(
            name=name,
            about=about,
            answers=said,
            wrong=wrong,
            metric=pairs.metric.words,
            rows=rows(pairs),
            left_out=max(0, len(pairs.found) - MOST_ROWS),
            table=_few(table),
            more_arms=max(0, len(table.rows) - MOST_ROWS),
            width=_WIDTH,
            height=_HEIGHT,
        )
    )
    return html


def rows(pairs: Pairs) -> list[Row]:
    """The first differences, all on one axis that holds 0, every interval and the margin."""
    shown = pairs.found[:MOST_ROWS]
    ends = [0.0]
    for one in shown:
        ends += [value for value in (one.mean, *(one.interval or ())) if value is not None]
    place = scaled(ends, _WIDTH, _EDGE)
    found = []
    for one in shown:
        size, interval = ("-", "") if one.mean is None else amount(pairs.metric, one.mean, one.interval)
        ends_of = one.interval or (None, None)
        found.append(
            Row(
                name=f"{pairs.labels[one.a]} - {pairs.labels[one.b]}",
                size=size,
                interval=interval,
                p="" if one.p_adjusted is None else p_text(one.p_adjusted),
                verdict=_verdict(one.verdict, pairs.labels[one.a], pairs.labels[one.b]),
                mean=place(one.mean),
                low=place(ends_of[0]),
                high=place(ends_of[1]),
                zero=place(0.0) or _EDGE,
            )
        )
    return found


def _verdict(verdict: str | None, a: str, b: str) -> str:
    return {"a higher": f"{a} higher", "b higher": f"{b} higher"}.get(str(verdict), verdict or "-")


def _few(table: Table) -> Table:
    return Table(table.columns, table.rows[:MOST_ROWS], table.words)
