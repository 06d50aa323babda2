"""The verdict on a claim, from a study's records.

A claim holds where all of its conditions are supported, each by its own 95 % interval: to be wrong, every one of them
would have to be wrong (an intersection-union test). It does not hold where one of them is refuted, by an interval at
0.05 / conditions. Else it is not shown; and where the study has the arms or the figures of no condition, not tested.
Where runs never reached a target, ranks take the place of intervals.

Source: R. L. Berger, Multiparameter hypothesis testing and acceptance sampling (Technometrics 1982).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from paribus.findings.differences import ALPHA, t_interval, too_few
from paribus.findings.summary import values
from paribus.findings.targets import by_seed, epochs_to, rank_test, seconds_to
from paribus.records.claims import Claim, Condition
from paribus.records.metrics import TO_TARGET, Metric
from paribus.records.record import Status, StudyRecord

Answer = Literal["holds", "does not hold", "not shown", "not tested at this scale"]


@dataclass(frozen=True)
class Found:
    """What a study found on one condition: in words and, where there is one, as the 95 % interval that says so."""

    answer: Literal["supported", "refuted", "open", "untested"]
    told: str
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Verdict:
    """On one claim. `id`: its name (`C1`); `reason`: a sentence with figures; `study`: that it rests on; `conditions`:
    what was found on each, the sentence in its parts."""

    id: str
    claim: str
    answer: Answer
    reason: str
    _: KW_ONLY
    study: str | None = None
    conditions: Sequence[Found] = ()


def verdicts(*studies: StudyRecord) -> list[Verdict]:
    """On every claim that the studies have. One that several have rests on all of them: all must hold, one is enough to
    refute, and its conditions count together."""
    counts = Counter[str]()
    for study in studies:
        for claim in study.claims:
            counts[claim.id] += len(claim.conditions)
    return combined([verdict(claim, study, counts[claim.id]) for study in studies for claim in study.claims])


@np.errstate(over="ignore", invalid="ignore")
def verdict(claim: Claim, study: StudyRecord, conditions: int | None = None) -> Verdict:
    """On one claim, with what was found on each of its conditions. `conditions`: how many it has in all studies."""
    judged = [_judge(one, study, conditions or len(claim.conditions)) for one in claim.conditions]
    reason = "; ".join(one.told if one.answer != "untested" else f"not tested: {one.told}" for one in judged)
    return Verdict(
        id=claim.id, claim=claim.text, answer=_answer(judged), reason=reason, study=study.name, conditions=judged
    )


def combined(found: Sequence[Verdict]) -> list[Verdict]:
    """Verdicts of several studies with one id as one, in the order of their first: all must hold, one is enough to
    refute."""
    together: dict[str, list[Verdict]] = {}
    for one in found:
        together.setdefault(one.id, []).append(one)
    return [_combine(parts) for parts in together.values()]


def _combine(parts: list[Verdict]) -> Verdict:
    if len(parts) == 1:
        return parts[0]
    answers = {one.answer for one in parts}
    answer: Answer = "not shown"
    if "does not hold" in answers:
        answer = "does not hold"
    elif len(answers) == 1:
        (answer,) = answers
    reason = ". ".join(f"{one.study}: {one.reason}" for one in parts)
    conditions = [replace(found, told=f"{one.study}: {found.told}") for one in parts for found in one.conditions]
    studies = ", ".join(str(one.study) for one in parts)
    return Verdict(
        id=parts[0].id, claim=parts[0].claim, answer=answer, reason=reason, study=studies, conditions=conditions
    )


def _answer(found: Sequence[Found]) -> Answer:
    answers = {one.answer for one in found}
    if "refuted" in answers:
        return "does not hold"
    if answers == {"untested"}:
        return "not tested at this scale"
    return "holds" if answers == {"supported"} else "not shown"


def _judge(condition: Condition, study: StudyRecord, conditions: int) -> Found:
    arms = {arm.name: arm for arm in study.arms}
    if missing := [name for name in condition.arms if name not in arms]:
        return Found("untested", f"there is no arm {', '.join(missing)}")
    metric = study.metric(condition.metric)
    columns = [values(study, arms[name], metric.name) for name in condition.arms]
    if not any(value is not None for column in columns for value in column):
        return Found("untested", f"{metric.label} is not measured")
    if metric.name in TO_TARGET and study.target is not None:
        when = seconds_to if metric.name == "seconds_to_target" else epochs_to
        ended = [by_seed(arms[name], study.target, when) for name in condition.arms]
        if any(math.inf in of.values() for of in ended):
            return _with_never(condition, ended, conditions)
    rows = [row for row in zip(*columns, strict=True) if None not in row]
    pairs = np.array(rows, dtype=np.float64).reshape(len(rows), len(columns))
    if condition.arm is not None:
        found = _level(condition, metric, pairs[:, 0], conditions)
    elif condition.ratio is not None:
        found = _ratio(condition, metric, pairs, conditions)
    else:
        found = _difference(condition, metric, pairs, conditions)
    if len(pairs) == len(study.seeds):
        return found
    # the runs that are left flatter an arm whose others diverged
    lost = any(run.status is Status.DIVERGED for name in condition.arms for run in arms[name].runs)
    answer = "open" if lost and found.answer == "supported" else found.answer
    return Found(answer, f"{found.told}, over {len(pairs)} of {len(study.seeds)} seeds", found.interval)


def _with_never(condition: Condition, ended: Sequence[dict[int, float]], conditions: int) -> Found:
    """Where some runs never reached the target, which is later than any epoch: by ranks. `ended`: of each arm, the runs
    that ended by themselves, by seed."""
    reached = [sum(map(math.isfinite, of.values())) for of in ended]
    told = " and ".join(
        f"{n} of {len(of)} runs of {_quoted(name)}" for n, of, name in zip(reached, ended, condition.arms, strict=True)
    )
    told += " reach the target"
    if condition.arm is not None:
        return Found("open", told)
    pairs, p, first = rank_test(*ended)
    if p is None or too_few(pairs, 1):
        return Found("open", f"{told}: too few seeds")
    told += f" (ranks, p = {p:.2g})"
    sure = p <= ALPHA / conditions and not too_few(pairs, conditions)
    if condition.higher is not None:
        if p <= ALPHA and not first and not condition.by:
            return Found("supported", told)
        return Found("refuted" if sure and first else "open", told)
    # as like as claimed they are not, where most of one arm's runs arrive and most of the other's never
    apart = len({math.isfinite(median(of.values())) for of in ended}) == 2
    return Found("refuted" if sure and apart else "open", told)


def _level(condition: Condition, metric: Metric, present: NDArray[np.float64], conditions: int) -> Found:
    bound, sign = (condition.at_least, 1.0) if condition.at_least is not None else (condition.at_most, -1.0)
    assert bound is not None
    asked = f"claimed: {'at least' if sign > 0 else 'at most'} {metric.told(bound)}"
    told = f"{metric.label}: {_quoted(condition.arm)} {_mean(metric, present)}, {asked}"
    return Found(_one_sided(sign * (present - bound), conditions), told, t_interval(present, ALPHA))


def _difference(condition: Condition, metric: Metric, pairs: NDArray[np.float64], conditions: int) -> Found:
    d, (a, b) = pairs[:, 0] - pairs[:, 1], condition.arms
    told = f"{metric.label}: {_quoted(a)} - {_quoted(b)} {_mean(metric, d, signed=True)}"
    interval = t_interval(d, ALPHA)
    if condition.alike is None:
        more = f", claimed: above {metric.told(condition.by)}" if condition.by else ""
        return Found(_one_sided(d - condition.by, conditions), told + more, interval)
    margin = float(condition.margin or 0.0)
    told += f", claimed: within {metric.told(margin)}"
    outer = t_interval(d, ALPHA / conditions)
    if interval is None or outer is None or too_few(len(d), 1):
        return Found("open", told, interval)
    if -margin < interval[0] and interval[1] < margin:
        return Found("supported", told, interval)
    outside = (outer[0] > margin or outer[1] < -margin) and not too_few(len(d), conditions)
    return Found("refuted" if outside else "open", told, interval)


def _ratio(condition: Condition, metric: Metric, pairs: NDArray[np.float64], conditions: int) -> Found:
    assert condition.between is not None
    a, b = condition.arms
    low, high = condition.between
    positive = pairs[(pairs > 0).all(axis=1)]
    d = np.log(positive[:, 0]) - np.log(positive[:, 1])
    inner, outer = t_interval(d, ALPHA), t_interval(d, ALPHA / conditions)
    head = f"{metric.label}: {_quoted(a)} / {_quoted(b)}"
    asked = f"claimed: {low:g} to {high:g}"
    if inner is None or outer is None or too_few(len(d), 1):
        return Found("open", f"{head} has too few seeds, {asked}")
    ends = float(np.exp(inner[0])), float(np.exp(inner[1]))
    told = f"{head} {np.exp(d.mean()):.3g} ({ends[0]:.3g} to {ends[1]:.3g}), {asked}"
    if low <= ends[0] and ends[1] <= high:
        return Found("supported", told, ends)
    outside = (outer[0] > math.log(high) or outer[1] < math.log(low)) and not too_few(len(d), conditions)
    return Found("refuted" if outside else "open", told, ends)


def _one_sided(d: NDArray[np.float64], conditions: int) -> Literal["supported", "refuted", "open"]:
    """Whether the mean is above 0."""
    inner, outer = t_interval(d, ALPHA), t_interval(d, ALPHA / conditions)
    if inner is None or outer is None or too_few(len(d), 1):
        return "open"
    if inner[0] > 0:
        return "supported"
    return "refuted" if outer[1] <= 0 and not too_few(len(d), conditions) else "open"


def _quoted(arm: str | None) -> str:
    """A name that may hold commas, dashes and numbers."""
    return f"“{arm}”"


def _mean(metric: Metric, d: NDArray[np.float64], *, signed: bool = False) -> str:
    if not len(d):
        return "is missing"
    interval = t_interval(d, ALPHA)
    told = metric.told(float(d.mean()), signed=signed)
    if interval is None:
        return told
    low, high = (metric.told(end, signed=signed) for end in interval)
    return f"{told} ({low} to {high})"
