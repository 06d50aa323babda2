"""`paribus judge` in a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paribus.findings.judge import Judgement
from paribus.findings.summary import summarise
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
        for values in metrics.values():
            found = summarise(values[arm])
            half = f" ±{found.ci95[1] - (found.mean or 0):.3g}" if found.ci95 else ""
            cells.append("-" if found.mean is None else f"{found.mean:.5g}{half} ({found.n})")
        table.add_row(Text(arm), *cells)
    primary = [one for one in judged.found if one.metric == judged.primary]
    labels = {arm: arm for arm in metrics[judged.primary]}
    lines: list[RenderableType] = [Text(judged.name, style="bold"), *map(Text, judged.warnings), table]
    return Group(*lines, "", differences_table(primary, labels, margin=judged.margin, as_given=True))
