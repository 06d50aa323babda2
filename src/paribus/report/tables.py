"""Results as tables for a terminal."""

from __future__ import annotations

from collections import Counter

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paribus.core.record import Status, StudyRecord
from paribus.core.settings import spell
from paribus.findings.agreement import Agreement, agreements
from paribus.findings.summary import Summary, metrics, summaries


def results(study: StudyRecord, width: int) -> RenderableType:
    """The results table, a column for each factor and as many metrics as `width` has room for; then what is to be
    said of it."""
    seeds = len(study.seeds)
    names = sorted(metrics(study), key=lambda name: (name != study.primary_metric, not name.startswith("test")))
    found = [summaries(study, arm) for arm in study.arms]
    columns = [
        [_heading(factor.rpartition(".")[2]), *(spell(arm.settings[factor]) for arm in study.arms)]
        for factor in study.factors
    ]
    columns.append(["done", *(f"{sum(run.status is Status.DONE for run in arm.runs)}/{seeds}" for arm in study.arms)])
    left = width - sum(_room(column) for column in columns)
    omitted = []
    for name in names:
        column = [_heading(name) + " %" * name.endswith("accuracy"), *(_cell(name, summary[name]) for summary in found)]
        if left >= _room(column):
            columns.append(column)
            left -= _room(column)
        else:
            omitted.append(name.replace("_", " "))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column[0], justify="left" if i < len(study.factors) else "right", overflow="fold")
    for row in zip(*(column[1:] for column in columns), strict=True):
        table.add_row(*map(Text, row))
    title = Text(f"{study.name} ({seeds} seed{'s' * (seeds != 1)})", style="bold")
    lines: list[RenderableType] = [title, table]
    if omitted:
        lines.append(Text(f"no room for {', '.join(omitted)}: a wider terminal or --json shows them", style="dim"))
    if seeds > 1 and names:
        lines.append(Text("±: half of the mean's 95 % interval (Student's t) over the runs that are done", style="dim"))
    lines += [Text(line) for line in (*_troubles(study), *map(agreement_line, agreements(study)), *study.warnings)]
    return Group(*lines)


def agreement_line(found: Agreement) -> str:
    """One sentence on how close two implementations came."""
    head = f"Same plan, two implementations: {found.a} and {found.b}"
    metric = found.metric.replace("_", " ")
    if found.gap is None:
        return f"{head}. No two curves of the same seed to compare."
    where = f", at seed {found.at_seed}, epoch {found.at_epoch:g}" if found.gap else ""
    return f"{head}. Over the whole curves, the largest |difference| in {metric} is {found.gap:.2g}{where}."


def _heading(name: str) -> str:
    return name.replace("_", "\n")


def _room(column: list[str]) -> int:
    """The width that a column takes, with the gap beside it."""
    return max(len(line) for text in column for line in text.splitlines()) + 3


def _cell(name: str, summary: Summary) -> str:
    if summary.mean is None:
        return "-"
    scale, places = (100, 2) if name.endswith("accuracy") else (1, 4)
    text = f"{scale * summary.mean:.{places}f}"
    if summary.ci95 is not None:
        text += f" ±{scale * (summary.ci95[1] - summary.mean):.{places}f}"
    return text


def _troubles(study: StudyRecord) -> list[str]:
    """A line for each arm and status other than done."""
    lines = []
    for arm in study.arms:
        statuses = Counter(run.status for run in arm.runs if run.status is not Status.DONE)
        for status, count in statuses.items():
            first = next(run for run in arm.runs if run.status is status)
            runs = "1 run" if count == 1 else f"{count} runs"
            reason = f": {first.error}" if first.error else ""
            lines.append(
                f"{arm.name or study.name}: {runs} {status} (seed {first.seed}{', ...' * (count > 1)}){reason}"
            )
    return lines
