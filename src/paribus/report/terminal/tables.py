"""Results as tables for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paribus.config.values import format_value
from paribus.findings.agreement import Agreement
from paribus.findings.claims import Verdict
from paribus.findings.compared import HIGHER, Difference
from paribus.findings.factors import FactorEffect
from paribus.findings.findings import Findings
from paribus.findings.power import ALPHA
from paribus.findings.stopping import Fixed
from paribus.findings.summary import Summary
from paribus.records.expected import Expected
from paribus.records.metrics import Metric
from paribus.records.record import ArmRecord, Status, StudyRecord
from paribus.report.terminal.over import SWEEPS, TASKS, sweep_lines, task_lines

_MOST_ROWS = 15
_MOST_ARMS, _BEST_ARMS = 100, 40
"""A table has a row for each of so many arms; of more the best have one."""

PLUS_MINUS = "±: half of the mean's 95 % interval (Student's t) over the runs that are done"


def results(findings: Findings, width: int) -> RenderableType:
    """The results table, a column for each factor and as many metrics as `width` has room for; then what is to be
    said of it."""
    study = findings.study
    seeds, arms = len(study.seeds), shown_arms(findings)
    shown = dict.fromkeys([study.primary_metric, *findings.measured] if findings.measured else [])
    names = sorted(shown, key=lambda name: (name != study.primary_metric, not name.startswith("test")))
    if study.timing and "seconds_per_epoch" not in names:
        names.insert(1, "seconds_per_epoch")
    factors = [] if study.named else study.factors
    columns = [["arm", *(arm.name for arm in arms)]] if study.named else []
    columns += [
        [_heading(factor.rpartition(".")[2]), *(format_value(arm.settings.get(factor, "")) for arm in arms)]
        for factor in factors
    ]
    labels = len(columns)
    columns.append(
        ["done", *(f"{sum(run.status is Status.DONE for run in arm.runs)}/{_asked(study, arm)}" for arm in arms)]
    )
    left = width - 2 - sum(_room(column) for column in columns)
    omitted = []
    for name in names:
        metric = findings.metric(name)
        column = [_heading(metric.title), *(cell(metric, findings.summaries[arm.name][name]) for arm in arms)]
        if left >= _room(column) or name == study.primary_metric:
            columns.append(column)
            left -= _room(column)
        else:
            omitted.append(metric.words)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    for i, column in enumerate(columns):
        table.add_column(Text(column[0]), justify="left" if i < labels else "right", overflow="fold")
    for row in zip(*(column[1:] for column in columns), strict=True):
        table.add_row(*map(Text, row))
    heading = Text(f"{study.name} ({findings.seeds_told})", style="bold")
    lines: list[RenderableType] = [heading, *(Text(line, style="bold") for line in findings.confounders), table]
    if len(arms) < len(study.arms):
        lines.append(Text(f"{best_told(findings, len(arms))}; --json has them all", style="dim"))
    if omitted:
        lines.append(Text(f"no room for {', '.join(omitted)}: a wider terminal or --json shows them", style="dim"))
    if seeds > 1 and names:
        lines.append(Text(PLUS_MINUS, style="dim"))
    lines += [
        Text(line) for line in (*findings.stopped_early, *findings.troubles, *map(agreement_line, findings.agreements))
    ]
    lines += [Text(line, style="bold") for line in findings.warnings]
    lines += [Text(line) for line in target_lines(findings)]
    if len(study.arms) > 1 and seeds > 1:
        labels_of = {arm.name: arm_label(study, arm) for arm in study.arms}
        lines += [
            "",
            *_beyond_pairs(findings),
            *effects_tables(findings.effects, findings.primary_metric, study.margin),
            primary_table(findings, labels_of),
        ]
        if findings.decided:
            lines.append(Text(findings.decided))
    if study.claims:
        lines += ["", verdicts_table(findings.verdicts)]
    return Group(*lines)


def shown_arms(findings: Findings) -> list[ArmRecord]:
    """The rows of a table of arms: all, in their order; of very many the best, from the best on."""
    arms = findings.study.arms
    if len(arms) <= _MOST_ARMS:
        return arms
    named = {arm.name: arm for arm in arms}
    return [named[name] for name in findings.ranked[:_BEST_ARMS]]


def best_told(findings: Findings, shown: int) -> str:
    """Which arms these are."""
    return f"the {shown} best of {len(findings.study.arms):,} arms by their mean {findings.primary_metric.words}"


def _beyond_pairs(findings: Findings) -> list[RenderableType]:
    """What is told over several tasks, and over the values of a factor; before what each pair shows."""
    lines: list[RenderableType] = []
    for title, said in ((TASKS, task_lines(findings)), (SWEEPS, sweep_lines(findings))):
        if said:
            lines += [Text(title, style="bold"), *map(Text, said), ""]
    return [*lines, Text("Each pair", style="bold")] if lines and not findings.effects else lines


_MARKS = {"supported": "+", "refuted": "-", "open": "?", "untested": "."}
"""Of what was found on a condition."""


def verdicts_table(found: Sequence[Verdict]) -> RenderableType:
    """The verdict on each claim, and what was found on each of its conditions."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("claim", overflow="fold", max_width=10)
    table.add_column("verdict", overflow="fold", max_width=14)
    table.add_column("what was claimed, and what was found", overflow="fold")
    for one in found:
        lines = [f"{_MARKS[found.answer]} {found.told}" for found in one.conditions] or [one.reason]
        told = Text(one.claim).append("\n" + "\n".join([*lines, *(f"note: {note}" for note in one.notes)]), style="dim")
        table.add_row(Text(one.id), Text(one.told, style="bold"), told)
    return table


def dry_run_table(folder: Path, stages: Sequence[Expected]) -> RenderableType:
    """What a command would do."""
    lines: list[RenderableType] = []
    for stage in stages:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
        for column in ("arm", "runs to train", "recorded", "s a run"):
            table.add_column(Text(column), justify="left" if column == "arm" else "right", overflow="fold")
        for one in stage.arms:
            a_run = "-" if one.seconds is None else f"{one.seconds:.2g}"
            table.add_row(Text(one.arm or "(one arm)"), str(one.missing), str(stage.seeds - one.missing), a_run)
        lines += [*([Text(stage.name)] if len(stages) > 1 else []), *map(Text, stage.notes), table]
    runs = sum(one.missing for stage in stages for one in stage.arms)
    seconds = sum(stage.seconds for stage in stages)
    most = "at most " * any(stage.at_most for stage in stages)
    what = f"{most}{runs} runs into {folder}, about {seconds:.3g} s of training and evaluation"
    return Group(*lines, Text(f"{what}; nothing was trained or written"))


def target_lines(findings: Findings) -> list[str]:
    """How many runs of each arm reached the target, and when; nothing where there is none."""
    study, target = findings.study, findings.target
    if target is None:
        return []
    lines = [f"To {findings.metric(target.metric).words} {target.value:g}:"]
    for arm, found in zip(study.arms, findings.reached, strict=True):
        told = f"  {arm.name or study.name}: {found.reached} of {found.runs} runs"
        if found.median_epochs is not None:
            told += f", median epoch {found.median_epochs:g}"
        elif found.reached:
            told += ", no median as half of them or more did not"
        seconds = findings.seconds_to_target[arm.name]
        if seconds is not None:
            told += f", {seconds:.3g} s of training" + " (median of those)" * (found.reached < found.runs)
        lines.append(told)
    lines += [
        f"  {a} is earlier than {b} (ranks, p = {pair.p_adjusted:.2g})"
        for pair in findings.earlier
        if pair.p_adjusted is not None and pair.p_adjusted <= ALPHA
        for a, b in [(pair.a, pair.b) if pair.a_first else (pair.b, pair.a)]
    ]
    if not isinstance(findings.stopping, Fixed) and len(study.arms) > 1:
        lines.append("  which arm is earlier is not judged: the study was looked at before its end")
    return lines


def arm_label(study: StudyRecord, arm: ArmRecord) -> str:
    """An arm in few words: its values of the factors, whose names stand in the table above."""
    if study.named:
        return arm.name
    return " ".join(format_value(arm.settings[factor]) for factor in study.factors if factor in arm.settings)


_MOST_NAMED = 4
_MARK: Mapping[str | None, str] = {"t of the pair": " '", "sign flips": " *", "permutation": " #", "equivalence": " +"}
_MARKED = {
    " '": "of this pair alone, at the level at which Holm's method tested it",
    " *": "of the sign-flip test, which decides: Student's interval does not say the same",
    " #": "of the permutation test, which decides: Welch's interval does not say the same",
    " +": "of the two one-sided tests: all of it is inside the margin, so the two are equivalent whatever p is",
}


def primary_table(findings: Findings, labels: Mapping[str, str]) -> RenderableType:
    """The differences of a study on its primary metric."""
    metric = findings.primary_metric
    return differences_table(
        findings.primary,
        labels,
        heading=metric.label,
        metric=metric,
        margin=findings.study.margin,
        family=findings.asked.family,
    )


def effects_tables(
    effects: Sequence[FactorEffect], metric: Metric, margin: float | None, heading: str = ""
) -> list[RenderableType]:
    """What each factor does, and which two interact; before what each arm does."""
    lines: list[RenderableType] = []
    for kind, about in EFFECTS.items():
        found = [one.difference for one in effects if one.kind == kind]
        if found and kind == "interaction":
            lines += [Text(about, style="bold"), *map(Text, interaction_lines(effects, metric)), ""]
        elif found:
            labels = {name: name for one in found for name in (one.a, one.b)}
            table = differences_table(found, labels, heading=heading or metric.label, metric=metric, margin=margin)
            lines += [Text(about, style="bold"), table, ""]
    return [*lines, Text("Each pair", style="bold")] if lines else []


_MOST_INTERACTIONS = 3
"""So many are told one by one though none of them is shown."""


def interaction_lines(effects: Sequence[FactorEffect], metric: Metric) -> list[str]:
    """A sentence for each interaction that is shown, and one for all others; where there are few, for each."""
    found = [one for one in effects if one.kind == "interaction"]
    shown = [one for one in found if one.difference.verdict in HIGHER]
    if len(found) <= _MOST_INTERACTIONS:
        rest = [one for one in found if one not in shown]
        return [_interaction(one, metric) for one in (*shown, *rest)]
    lines = [_interaction(one, metric) for one in shown]
    for factors in dict.fromkeys(one.factors for one in found):
        others = [one.difference.verdict for one in found if one.factors == factors and one not in shown]
        if others:
            first, second = (name.rpartition(".")[2] for name in factors)
            what = "other interaction" if len(others) < sum(one.factors == factors for one in found) else "interaction"
            why = ", ".join(f"{count} {verdict}" for verdict, count in Counter(others).items())
            lines.append(f"{first} and {second}: no {what} is shown, of {len(others)} that were looked for: {why}")
    return lines


def _interaction(one: FactorEffect, metric: Metric) -> str:
    of = one.difference
    first, second = (name.rpartition(".")[2] for name in one.factors)
    step, _, at = of.a.partition(" at ")
    other = of.b.partition(" at ")[2]
    p = "" if of.p_adjusted is None else f", p = {of.p_adjusted:.2g}"
    if one.means[0] is None or one.means[1] is None or of.mean is None:
        return f"{first} and {second}: {of.verdict}{'; ' * bool(of.note)}{of.note}"
    ends = "" if of.interval is None else f" ({' to '.join(metric.told(end, signed=True) for end in of.interval)})"
    head = "They interact" if of.verdict in HIGHER else f"No interaction is shown ({of.verdict})"
    if of.verdict == "no difference shown":
        head = "No interaction is shown"
    by, less = (metric.told(mean, signed=True) for mean in (one.means[0], one.means[1]))
    return (
        f"{first} and {second}: {head}: {step} changes {metric.label} by {by} at {at} and by {less} at {other}, a "
        f"difference of {metric.told(of.mean, signed=True)}{ends}{p}"
    )


EFFECTS = {
    "main effect": "Each factor, over all values of the others",
    "interaction": "Whether what a factor does depends on another",
}


def differences_table(
    found: Sequence[Difference],
    labels: Mapping[str, str],
    *,
    heading: str,
    metric: Metric,
    margin: float | None,
    family: int | None = None,
) -> RenderableType:
    """Differences on the primary metric, each with the interval that its verdict goes with. `family`: of how many pairs
    at once, where these are some of them."""
    by = metric.format.scale
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    several = len(found) > 1
    table.add_column(Text(f"{heading}: a - b"), overflow="fold")
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("95 % interval" + (f"\nof {family or len(found)} pairs at once" if several else ""), no_wrap=True)
    table.add_column("p" + ("\nHolm" if several else ""), justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    shown = sorted(found, key=lambda one: -abs(one.mean or 0))[:_MOST_ROWS]
    for one in shown:
        mean = "-" if one.mean is None else metric.told(one.mean, signed=True)
        interval = "-"
        if one.interval is not None:
            interval = " to ".join(metric.told(end, signed=True) for end in one.interval) + _MARK.get(
                one.interval_of, ""
            )
        p = "-" if one.p_adjusted is None else f"{one.p_adjusted:.2g}"
        verdict = verdict_words(one, labels, metric)
        if one.verdict in ("too few seeds", "no difference shown") and (one.seeds_needed or 0) > one.pairs:
            verdict += f" ({one.seeds_needed} {one.unit}s find the margin with 80 % power)"
        table.add_row(Text(f"{labels[one.a]} - {labels[one.b]}"), mean, interval, p, Text(verdict))
    lines: list[RenderableType] = [table]
    if margin is not None and any(one.verdict == "equivalent" for one in found):
        within = f"{by * margin:g} {metric.format.difference}".strip()
        lines.append(Text(f"equivalent: within {within} of each other (margin {margin:g})"))
    lines += [
        Text(f"{mark.strip()} {_MARKED[mark]}")
        for mark in dict.fromkeys(_MARK.get(one.interval_of, "") for one in shown)
        if mark
    ]
    noted: dict[str, list[str]] = {}
    for one in shown:
        if one.note:
            noted.setdefault(one.note, []).append(f"{labels[one.a]} - {labels[one.b]}")
    for note, pairs in noted.items():
        more = f" and {len(pairs) - _MOST_NAMED} more" if len(pairs) > _MOST_NAMED else ""
        lines.append(Text(f"{', '.join(pairs[:_MOST_NAMED])}{more}: {note}"))
    if len(found) > _MOST_ROWS:
        lines.append(Text(f"the {_MOST_ROWS} largest of {len(found)} differences; --json has them all", style="dim"))
    return Group(*lines)


def verdict_words(one: Difference, labels: Mapping[str, str], metric: Metric) -> str:
    """The verdict by the arms' names, and which is better where the metric says so.

    >>> one = Difference(a="1", b="2", metric="test_loss", mean=0.5, ci95=None, p=0.01, pairs=8, verdict="a higher")
    >>> verdict_words(one, {"1": "sgd", "2": "adam"}, Metric("test_loss", "lower"))
    'adam lower, which is better'
    """
    if one.verdict not in HIGHER:
        return (one.verdict or "").replace("seeds", f"{one.unit}s")
    higher, lower = (one.a, one.b) if one.verdict == "a higher" else (one.b, one.a)
    return f"{labels[lower]} lower, which is better" if metric.direction == "lower" else f"{labels[higher]} higher"


def agreement_line(found: Agreement) -> str:
    """How close two implementations came; where they departed, when, and what tells why.

    >>> one = Agreement(
    ...     a="implementation=mine.py:MLP", b="implementation=torch", metric="train_loss", seeds=6, gap=0.21, at_seed=3,
    ...     at_epoch=9.0, departs_at_step=7, departs_at_seed=0, at_once=True, own=("mine.py:MLP",)
    ... )
    >>> agreement_line(one).partition("They ")[2][:46], agreement_line(one)[-50:]
    ('depart at once: at step 7 (seed 0) already by ', ' `paribus check mine.py:MLP` checks the gradients.')
    """
    head = f"Same plan, two {'modules' if found.kind == 'model' else 'implementations'}: {found.a} and {found.b}"
    metric = Metric(found.metric).words
    if found.gap is None:
        return f"{head}. No two curves of the same seed to compare."
    where = f", at seed {found.at_seed}, epoch {found.at_epoch:g}" if found.gap else ""
    line = f"{head}. Over the whole curves, the largest |difference| in {metric} is {found.gap:.2g}{where}."
    if found.departs_at_step is None:
        return line
    when = f"at step {found.departs_at_step} (seed {found.departs_at_seed})"
    if found.at_once:
        line += f" They depart at once: {when} already by more than rounding, so the two compute different things."
    else:
        line += (
            f" They agree at first, and depart {when}: training may magnify what is rounding at first, or the two "
            "differ in something that acts late."
        )
    shown = [f"`paribus check {name}`" if ".py:" in name else f"`paribus.check` of {name}" for name in found.own]
    return line + (f" {' and '.join(shown)} {'check' if len(shown) > 1 else 'checks'} the gradients." if shown else "")


def _asked(study: StudyRecord, arm: ArmRecord) -> int:
    """How many runs it was to have: of seeds until decided those that it took."""
    return len(study.seeds) if study.least is None else len(arm.runs)


def _heading(name: str) -> str:
    return name.replace("_", "\n")


def _room(column: list[str]) -> int:
    """The width that a column takes, with the gap beside it."""
    return max((len(line) for text in column for line in text.splitlines()), default=0) + 2


def cell(metric: Metric, summary: Summary) -> str:
    """Mean ± half of its interval, in the metric's unit for people."""
    if summary.mean is None:
        return "-"
    half = "" if summary.ci95 is None else f" ±{metric.told(summary.ci95[1] - summary.mean)}"
    return metric.told(summary.mean) + half
