"""`paribus judge` in a terminal."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paribus.findings.judge import Judgement
from paribus.records.metrics import Direction, Format, Metric
from paribus.report.terminal.tables import differences_table


def judgement_table(judged: Judgement) -> RenderableType:
    """Each arm's mean of each metric, then the differences on the primary one."""
    metrics = judged.scores.values
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("arm", overflow="fold")
    for metric in metrics:
        table.add_column(Text(f"{metric}\n(mean, n)"), justify="right")
    for arm in metrics[judged.primary]:
        cells = []
        for arms in judged.summaries.values():
            one = arms[arm]
            known = one.mean is not None and math.isfinite(one.mean)
            half = f" ±{one.ci95[1] - one.mean:.3g}" if one.ci95 and one.mean is not None else ""
            cells.append("-" if not known else f"{one.mean:.5g}{half} ({one.n})")
        table.add_row(Text(arm), *cells)
    primary = [one for one in judged.found if one.metric == judged.primary]
    labels = {arm: arm for arm in metrics[judged.primary]}
    lines: list[RenderableType] = [
        Text(judged.name, style="bold"),
        *(Text(f"taken: {line}", style="dim") for line in judged.scores.taken),
        *map(Text, judged.warnings),
        table,
    ]
    direction: Direction | None = None if judged.lower is None else "lower" if judged.lower else "higher"
    as_given = Metric(judged.primary, direction, format=Format(places=5))  # what its unit is, nobody said
    found = differences_table(primary, labels, heading=judged.primary, metric=as_given, margin=judged.margin)
    return Group(*lines, "", found)
