"""`paribus judge` in a terminal."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paribus.findings.judge import Judgement
from paribus.report.terminal.tables import differences_table, effects_tables

_MOST_METRICS = 4


def judgement_table(judged: Judgement) -> RenderableType:
    """What was taken for what, the effects of the factors, each arm's mean of each metric, then the differences on the
    primary one."""
    lines: list[RenderableType] = [
        Text(judged.name, style="bold"),
        *(Text(f"taken: {line}", style="dim") for line in judged.scores.taken),
        *map(Text, judged.warnings),
    ]
    effects = effects_tables(judged.effects, judged.metric, judged.margin, judged.primary)
    labels = {arm: arm for arm in judged.scores.arms}
    pairs = judged.on_primary
    found = differences_table(pairs, labels, heading=judged.primary, metric=judged.metric, margin=judged.margin)
    return Group(*lines, *([""] if effects else []), *effects, *_arms(judged), "", found)


def _arms(judged: Judgement) -> list[RenderableType]:
    """The primary metric first, and as many others as a terminal has room for."""
    metrics = list(dict.fromkeys([judged.primary, *judged.summaries]))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("arm", overflow="fold")
    for metric in metrics[:_MOST_METRICS]:
        table.add_column(Text(f"{metric}\n(mean, n)"), justify="right")
    for arm in judged.scores.arms:
        cells = []
        for metric in metrics[:_MOST_METRICS]:
            one = judged.summaries[metric][arm]
            known = one.mean is not None and math.isfinite(one.mean)
            half = f" ±{one.ci95[1] - one.mean:.3g}" if one.ci95 and one.mean is not None else ""
            cells.append("-" if not known else f"{one.mean:.5g}{half} ({one.n})")
        table.add_row(Text(arm), *cells)
    more = metrics[_MOST_METRICS:]
    return [table, Text(f"--json has {len(more)} further metrics: {', '.join(more)}", style="dim")] if more else [table]
