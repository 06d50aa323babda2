"""A tuned study in a terminal: what was tried, and all arms at one value beside each at its own best."""

from __future__ import annotations

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paribus.config.values import Value, format_overrides, format_value
from paribus.findings.findings import Findings
from paribus.records.record import Status, Tuning
from paribus.report.terminal.diagnoses import diagnosis_lines
from paribus.report.terminal.tables import PLUS_MINUS, arm_label, cell, differences_table, primary_table, results

_MOST_CANDIDATES = 30


def study_results(findings: Findings, width: int) -> RenderableType:
    """The results of any study, and what went wrong in its training."""
    tuning = findings.study.tuning
    shown = tuned_results(findings, tuning) if tuning else results(findings, width)
    wrong = diagnosis_lines(findings)
    return Group(shown, Text(""), *wrong) if wrong else shown


def tuned_results(findings: Findings, tuning: Tuning) -> RenderableType:
    """The candidates and what was chosen; the primary metric at the shared value and at each arm's own; differences
    in both."""
    study = findings.study
    seeds = len(study.seeds or (tuning.shared.seeds if tuning.shared else []))
    lines: list[RenderableType] = [Text(f"{study.name} ({seeds} seed{'s' * (seeds != 1)})", style="bold")]
    if not tuning.arms:
        return Group(
            *lines,
            Text("no values are chosen yet: the same command goes on; what there is, shows its folder `tuning`"),
        )
    lines += [_candidates(findings, tuning), *(Text(line, style="bold") for line in findings.edges)]
    lines += ["", _side_by_side(findings, tuning)]
    if seeds > 1:
        lines.append(Text(PLUS_MINUS, style="dim"))
    labels = {arm.name: arm.name for arm in study.arms}
    labels |= {arm.name: arm_label(tuning.shared, arm) for arm in tuning.shared.arms} if tuning.shared else {}
    for title, one in (
        (f"all at {format_overrides(tuning.shared_values)}", findings.shared),
        ("each at its own best", findings),
    ):
        runs = [run.status for arm in one.study.arms for run in arm.runs] if one else []
        if runs.count(Status.DONE) < seeds * len(tuning.arms):
            lines.append(
                Text(f"{title}: {runs.count(Status.DONE)} of {seeds * len(tuning.arms)} runs are done", style="bold")
            )
        if one is None:
            continue
        lines += [Text(f"{title}: {line}", style="bold") for line in one.notes]
        if len(one.study.arms) > 1 and seeds > 1:
            lines += ["", Text(title, style="bold"), primary_table(one, labels)]
    if tuning.asked_repeats > 1:
        lines += _over_repeats(findings, tuning, labels)
    return Group(*lines)


AT_CHOSEN = "This is about the values that were chosen: whether the arms differ at them, over seeds."
OF_TUNED = (
    "This is about arms that are tuned like this: whether they differ, whatever values one tuning happens to choose. "
    "Each repeat tunes anew and compares, on seeds of its own, and counts as one score: its mean."
)


def _over_repeats(findings: Findings, tuning: Tuning, labels: Mapping[str, str]) -> list[RenderableType]:
    """What was chosen in each repeat of the tuning, and how arms differ that are tuned so."""
    lines: list[RenderableType] = [
        Text(AT_CHOSEN),
        "",
        Text(f"over {tuning.asked_repeats} repeats of the whole tuning", style="bold"),
        *(Text(f"  {one.arm or findings.study.name}: {one.told}") for one in findings.choices),
        *(Text(line, style="bold") for line in findings.of_repeats),
    ]
    if findings.over_repeats:
        metric, margin = findings.primary_metric, findings.study.margin
        lines.append(
            differences_table(findings.over_repeats, labels, heading=metric.label, metric=metric, margin=margin)
        )
    return [*lines, Text(OF_TUNED)]


def candidate_values(tuning: Tuning) -> list[Mapping[str, Value]]:
    """Every candidate that any arm was given, by size."""
    found: list[Mapping[str, Value]] = []
    for arm in tuning.arms:
        found += [one.values for one in arm.candidates if one.values not in found]
    return sorted(found, key=_order)


def _candidates(findings: Findings, tuning: Tuning) -> RenderableType:
    """A row for each candidate, a column for each arm; the chosen one is marked."""
    names = list(tuning.arms[0].chosen)
    values = every = candidate_values(tuning)
    if len(values) > _MOST_CANDIDATES:
        values = [one for one in values if any(one == arm.chosen for arm in tuning.arms)]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    for name in names:
        table.add_column(name.rpartition(".")[2], justify="right")
    for arm in tuning.arms:
        table.add_column(Text(arm.arm or findings.study.name), justify="right", overflow="fold")
    metric = findings.metric(tuning.metric)
    for one in values:
        scores = []
        for arm in tuning.arms:
            means = [candidate.mean for candidate in arm.candidates if candidate.values == one]
            told = ["did not end" if mean is None else metric.told(mean) for mean in means] or ["-"]
            scores.append(Text(told[0] + (" *" if one == arm.chosen else "  ")))
        table.add_row(*(format_value(one[name]) for name in names), *scores)
    tried = len(tuning.arms[0].candidates)
    by = f" that {tuning.sampler} proposed to each arm" if tuning.sampler else ""
    held_out = f"{100 * tuning.validation:g} % of the training data"
    seeds = "1 seed" if len(tuning.seeds) == 1 else f"{len(tuning.seeds)} seeds"
    how = f"{tried} candidates{by}, {seeds} apart from the comparison's, {held_out}"
    left = f" ({len(every) - len(values)} that nobody chose are left out)" if len(values) < len(every) else ""
    return Group(Text(f"tuning: {metric.label} over {how}; * chosen{left}"), table)


def _side_by_side(findings: Findings, tuning: Tuning) -> RenderableType:
    metric = findings.primary_metric
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    title = metric.label
    table.add_column("arm", overflow="fold")
    table.add_column(Text(f"{title}, all at\n{format_overrides(tuning.shared_values)}"), justify="right")
    table.add_column("own best", justify="left", overflow="fold")
    table.add_column(Text(f"{title},\neach at its own"), justify="right")
    own = {arm: of[metric.name] for arm, of in findings.summaries.items()}
    shared = {arm: of[metric.name] for arm, of in findings.shared.summaries.items()} if findings.shared else {}
    for one in tuning.arms:
        table.add_row(
            Text(one.arm or findings.study.name),
            cell(metric, shared[one.arm]) if one.arm in shared else "-",
            format_overrides(one.chosen),
            cell(metric, own[one.arm]) if one.arm in own else "-",
        )
    return table


def _order(values: Mapping[str, Value]) -> tuple[tuple[bool, float, str], ...]:
    """Numbers by size, before words."""
    return tuple(
        (isinstance(one, str), 0.0 if isinstance(one, str) else float(one), str(one)) for one in values.values()
    )
