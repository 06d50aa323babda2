"""What a study shows beyond single pairs of arms, in sentences: over several tasks, and over the values of a factor."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from paribus.findings.compared import HIGHER, Difference
from paribus.findings.findings import Findings
from paribus.findings.sweeps import Line, Sweep
from paribus.findings.tasks import OverTasks

TASKS = "Over the tasks"
SWEEPS = "Where each is best"
_MOST_TOLD, _TOLD_OF_MANY = 45, 10
"""So many lines of a sweep are told one by one: so few that each two of them are compared, too. Of more the first."""


def called(label: str) -> str:
    """An arm in a sentence: the value of its one factor where that is a word.

    >>> called("optimizer=adam"), called("lr=0.1"), called("optimizer=adam lr=0.1")
    ('adam', 'lr=0.1', 'optimizer=adam lr=0.1')
    """
    value = label.partition("=")[2]
    return value if " " not in label and value[:1].isalpha() and value not in ("true", "false", "none") else label


def task_lines(findings: Findings) -> list[str]:
    """A sentence for each pair of arms: on how many tasks one is higher, and by how much over all of them."""
    return [_over_tasks(findings, one) for one in findings.over_tasks]


def _over_tasks(findings: Findings, one: OverTasks) -> str:
    metric, many = findings.primary_metric, len(one.tasks)
    named = {1: called(one.a), -1: called(one.b)}
    told = []
    for side, count, p in ((1, one.a_on, one.a_p), (-1, one.b_on, one.b_p)):
        if count:
            lower = metric.direction == "lower"
            arm, way = (named[-side], "lower") if lower else (named[side], "higher")
            which = f"all {many}" if count == many else f"at least {count} of {many}"
            told.append(f"{arm} is {way} on {which} tasks (p = {p:.2g}){', which is better' * lower}")
    sides = sum(of.verdict in HIGHER for of in one.differences)
    head = (
        ", and ".join(told) or f"on no task is it shown, for all pairs at once, that {named[1]} and {named[-1]} differ"
    )
    if not told and sides:
        head = (
            f"{named[1]} and {named[-1]} differ on {sides} of {many} tasks alone, which is not shown of tasks together"
        )
    return f"{head}; {_mean(one, findings)}"


def _mean(one: OverTasks, findings: Findings) -> str:
    if one.mean is None:
        return one.why
    of, names = one.mean, f"{called(one.a)} less {called(one.b)}"
    if of.mean is None:
        return f"the mean over tasks is {of.verdict or 'not judged'}{f': {of.note}' if of.note else ''}"
    ends = "" if of.interval is None else f" ({of.interval[0]:+.2f} to {of.interval[1]:+.2f})"
    p = "" if of.p_adjusted is None else f", p = {of.p_adjusted:.2g}"
    told = f"{of.mean:+.2f} sd of each task's scores{ends}{p}: {_verdict(of, findings)}"
    return f"mean over tasks of {names} in {findings.primary_metric.words}: {told}"


def _verdict(of: Difference, findings: Findings) -> str:
    if of.verdict not in HIGHER:
        return of.verdict or ""
    higher, lower = map(called, (of.a, of.b) if of.verdict == "a higher" else (of.b, of.a))
    if findings.primary_metric.direction == "lower":
        return f"{lower} lower, which is better"
    return f"{higher} higher"


def sweep_lines(findings: Findings) -> list[str]:
    """Of each numeric factor where each arm is best, then a sentence for each pair that differs in this."""
    lines = []
    for sweep in findings.sweeps:
        if sweep.judged:
            told = [line for line in sweep.lines if line.mean is not None]
            many = not sweep.pairs and len(sweep.lines) > _MOST_TOLD
            few = told[:_TOLD_OF_MANY] if many else told
            lines += [_best(sweep, line, findings) for line in few]
            if many:
                lines.append(
                    f"{len(told) - len(few)} more lines have each a best {sweep.name}, which --json tells; no two of "
                    f"these {len(sweep.lines)} are compared in it"
                )
            lines += _told_apart(sweep)
    return lines


def _best(sweep: Sweep, line: Line, findings: Findings) -> str:
    better = "lowest" if findings.primary_metric.direction == "lower" else "highest"
    head = f"{called(line.label)}: " if line.label else ""
    metric = findings.primary_metric.words
    if line.lowest and line.highest:  # their mean would be a value at which no seed is best
        return (
            f"{head}{metric} is {better} at no one {sweep.name}: at {line.lowest} of {line.known} seeds at the lowest "
            f"that was tried, {_number(line.values[0])}, and at {line.highest} at the highest, "
            f"{_number(line.values[-1])}"
        )
    if line.ci95 is None:
        where = f"the same at {'its one seed' if line.known == 1 else f'all {line.known} seeds'}; finer was not tried"
    else:
        where = f"{_number(line.ci95[0])} to {_number(line.ci95[1])}, {line.known} seeds"
    edge = f"; {line.edge}" if line.edge else ""
    return f"{head}{metric} is {better} at {sweep.name} {_number(line.mean or 0.0)} ({where}){edge}"


def _told_apart(sweep: Sweep) -> list[str]:
    """Those that are shown, and how many are not."""
    shown = [one for one in sweep.pairs if one.verdict in HIGHER]
    said = [_pair(sweep, one) for one in shown]
    rest = _count_of(sweep.pairs, HIGHER)
    if rest:
        said.append(f"Best {sweep.name}, {'other pairs' if shown else 'pairs'}: {rest}")
    if said:
        said.append(f"Best values are among those tried, {_apart(sweep)} apart: finer is not known")
    return said


def _apart(sweep: Sweep) -> str:
    """How far the values of a line are apart, at most."""
    steps = [(a, b) for line in sweep.lines for a, b in pairwise(line.values)]
    return f"up to {_number(max(b / a if sweep.log else b - a for a, b in steps))}{' times' * sweep.log}"


def _count_of(pairs: Sequence[Difference], left_out: Sequence[str]) -> str:
    counts: dict[str, int] = {}
    for one in pairs:
        if one.verdict not in left_out:
            counts[one.verdict or ""] = counts.get(one.verdict or "", 0) + 1
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def _pair(sweep: Sweep, one: Difference) -> str:
    """`Best lr of adam: 3 to 10 times lower than that of sgd, p = 0.02`: the lower one first."""
    high, low = map(called, (one.a, one.b) if one.verdict == "a higher" else (one.b, one.a))
    sign = 1 if one.verdict == "a higher" else -1
    ends = sorted(sign * end for end in one.interval) if one.interval else [sign * (one.mean or 0.0)]
    if sweep.log:
        by = " to ".join(f"{_number(10.0**end)}" for end in ends) + " times lower"
    else:
        by = " to ".join(_number(end) for end in ends) + " lower"
    p = "" if one.p_adjusted is None else f", p = {one.p_adjusted:.2g}"
    note = f"; {one.note}" if one.note else ""
    return f"Best {sweep.name} of {low}: {by} than that of {high}{p}{note}"


def _number(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.3g}"
