"""The figures of a page beyond single pairs: over the values of a factor, and over several tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from paribus.report.page.curves import Figure
from paribus.report.page.figures import forest, keys, trace
from paribus.report.page.text import View, ranked
from paribus.report.series import swept
from paribus.report.terminal.over import called

_MOST_LINES = 12


def sweep_figures(view: View) -> Iterator[Figure]:
    """The primary metric over each numeric factor, a line for each combination of the others."""
    metric = view.findings.primary_metric
    for number, (sweep, found) in enumerate(swept(view.findings)):
        shown = found[:_MOST_LINES]
        caption = f"{metric.words} at each {sweep.name}; bars: the mean's 95 % interval (Student's t)."
        if len(shown) < len(found):
            caption += f" The first {len(shown)} of {len(found)} lines."
        axis = {"type": "log", "dtick": 1, "exponentformat": "power"} if sweep.log else {}
        share = {"tickformat": "~%"} if metric.percent else {}
        yield Figure(
            name=f"sweep{number}",
            caption=caption,
            label=f"{metric.words} over {sweep.name}. Lines: {'; '.join(one.label for one in shown)}.",
            data=[trace(one, f"{sweep.name} %{{x}}: %{{y:.4~g}}") for one in shown],
            layout={
                "height": 360,
                "xaxis": {"title": {"text": sweep.name}, **axis},
                "yaxis": {"title": {"text": metric.words}, **share},
            },
            facts={"wide": True},
            legend=keys(shown) if len(shown) > 1 else [],
        )


def task_figures(view: View) -> list[Figure]:
    """The differences on each task, side by side."""
    tasks = view.findings.tasks
    if tasks is None:
        return []
    found = []
    for number, (task, arms) in enumerate(tasks.arms.items()):
        labels = {name: called(label) for label, name in arms.items()}
        pairs = ranked([one for one in view.found if one.a in labels])
        drawn = forest(replace(view.pairs, found=pairs, labels=labels))
        if drawn is not None:
            found.append(replace(drawn, name=f"task{number}", caption=task, facts={**drawn.facts, "wide": False}))
    return found
