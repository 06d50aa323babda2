"""What a study's records say on one condition of a claim.

It is supported by its 95 % interval and by the sign-flip test at 0.05, both; refuted by both at 0.05 / (how many
conditions the claim has); else open. Differences that are all the same have no spread to judge by: they support and
refute nothing. Of runs that diverged or failed a difference asks which arm is higher by ranks, where they are the
worst; all else is open where there are any. An epoch that was never reached is known to lie beyond the last one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from paribus.findings.anytime import side
from paribus.findings.compared import LOST, seeds_with
from paribus.findings.intervals import t_interval
from paribus.findings.pairs import Pairs, digits
from paribus.findings.power import ALPHA, too_few
from paribus.findings.resplit import of_study
from paribus.findings.sign_flips import COUNTED
from paribus.findings.stopping import Fixed, Stopping
from paribus.findings.summary import value_at, values
from paribus.findings.targets import by_seed, common_grid, rank_test
from paribus.records.claims import Condition
from paribus.records.metrics import JITTERS, METERS, TIMES, TO_TARGET, Metric
from paribus.records.record import ArmRecord, Status, StudyRecord

Values = NDArray[np.float64]
Answered = Literal["supported", "refuted", "open", "untested"]

_MOST = 1e150
"""Of larger numbers, and of as small ones, the squares are none."""


@dataclass(frozen=True)
class Found:
    """What a study found on one condition: in words and, where there is one, as the 95 % interval that says so.

    `seeds`: how many it rests on.
    """

    answer: Answered
    told: str
    interval: tuple[float, float] | None = None
    seeds: int = 0


def judge(condition: Condition, study: StudyRecord, conditions: int) -> Found:
    """`conditions`: how many the claim has."""
    arms = {arm.name: arm for arm in study.arms}
    if missing := [name for name in condition.arms if name not in arms]:
        return Found("untested", f"there is no arm {', '.join(missing)}")
    asked = _Asked(condition, study.metric(condition.metric), conditions, of_study(study))
    chosen = [arms[name] for name in condition.arms]
    if asked.metric.name in TO_TARGET and study.target is not None:
        return _on_target(asked, study, chosen)
    columns = [_values(condition, study, arm, asked.metric) for arm in chosen]
    status = [{run.seed: run.status for run in arm.runs} for arm in chosen]
    without = [
        [of.get(seed) if value is None else None for seed, value in zip(study.seeds, column, strict=True)]
        for of, column in zip(status, columns, strict=True)
    ]
    lost = [[one in LOST for one in of] for of in without]
    valueless = [Status.DONE in of for of in zip(*without, strict=True)]
    if any(valueless) and any(value is not None for column in columns for value in column):
        told = f"{seeds_with(sum(valueless), len(study.seeds))} a run without a value, and why is not known"
        return Found("open", f"{asked.label}: {told}")
    if gone := int(np.array(lost).any(axis=0).sum()):
        told = f"{asked.label}: {seeds_with(gone, len(study.seeds))} a run that diverged or failed"
        return _with_lost(asked, columns, lost, told)
    return _of_scores(asked, study, columns)


@dataclass(frozen=True)
class _Asked:
    """A condition of a claim with so many."""

    condition: Condition
    metric: Metric
    conditions: int
    stopping: Stopping
    over: str = ""
    """On how many of the seeds, where it is not on all."""

    @property
    def label(self) -> str:
        """What was measured, and where."""
        condition, label = self.condition, self.metric.label
        if self.metric.name in (*TIMES, *METERS):
            return f"{label} on this machine"
        if condition.at is None:
            return label
        since = f" since epoch {condition.since:g}" if condition.since is not None else ""
        return f"{label} at epoch {condition.at:g}{since}"

    def interval(self, d: Values) -> tuple[float, float] | None:
        """The 95 % interval of a mean, whenever the study was looked at."""
        level = self.stopping.level(ALPHA, len(d))
        if level > 0:
            return t_interval(d, level)
        pairs = Pairs.of(d, np.zeros(len(d)))
        ends = self.stopping.interval(pairs.d, ALPHA, pairs.roundings) if len(d) > 1 else None
        return None if ends is None else (pairs.unscaled(ends[0]), pairs.unscaled(ends[1]))

    def mean(self, d: Values, *, signed: bool = False) -> str:
        """With its interval, in the metric's unit."""
        interval, told = self.interval(d), self.metric.told(float(d.mean()), signed=signed)
        if interval is None or Pairs.of(d, np.zeros(len(d))).same:
            return told
        low, high = (self.metric.told(end, signed=signed) for end in interval)
        return f"{told} ({low} to {high})"

    def found(self, told: str, evidence: _Evidence, interval: tuple[float, float] | None) -> Found:
        """`interval` beside what is told, unless there is no spread to make it from."""
        answer, why = evidence.answer(self.conditions, self.stopping)
        n = len(evidence.supported[0].more)
        return Found(answer, told + self.over + (f"; {why}" if why else ""), None if evidence.same else interval, n)


def _values(condition: Condition, study: StudyRecord, arm: ArmRecord, metric: Metric) -> list[float | None]:
    if condition.at is None:
        return values(study, arm, metric.name)
    found = {run.seed: value_at(run, metric.name, condition.at, condition.since) for run in arm.runs}
    return [found.get(seed) for seed in study.seeds]


def _of_scores(asked: _Asked, study: StudyRecord, columns: Sequence[Sequence[float | None]]) -> Found:
    """Where no run was lost: over the seeds that all arms have."""
    rows = [row for row in zip(*columns, strict=True) if None not in row]
    if not rows:
        when = " so early, or so late" if asked.condition.at is not None else ""
        return Found("untested", f"{asked.metric.label} is not measured{when}")
    scores = np.array(rows, dtype=np.float64)
    if len(rows) < len(study.seeds):
        asked = replace(asked, over=f", over {len(rows)} of {len(study.seeds)} seeds")
    if asked.condition.ratio is not None:  # of their logarithms, which no number is too large for
        return _ratio(asked, scores)
    if (largest := float(np.abs(scores).max())) and not 1 / _MOST < largest < _MOST:
        return Found("open", f"{asked.metric.label}: values of {largest:.2g} are beyond what can be reckoned with")
    if asked.condition.arm is not None:
        return _level(asked, scores[:, 0])
    return _line(asked, scores) if asked.condition.line is not None else _difference(asked, scores)


# --- the kinds of conditions ---


def _level(asked: _Asked, scores: Values) -> Found:
    condition = asked.condition
    bound, least = (condition.at_least, True) if condition.at_least is not None else (condition.at_most, False)
    assert bound is not None
    ends, off = np.full_like(scores, bound), digits(scores)
    above, below = _Order(scores, ends, off), _Order(ends, scores, off)
    supported, refuted = (above, below) if least else (below, above)
    claimed = f"claimed: {'at least' if least else 'at most'} {asked.metric.told(bound)}"
    told = f"{asked.label}: {_quoted(condition.arm)} {asked.mean(scores)}, {claimed}"
    return asked.found(told, _Evidence([supported], [refuted]), asked.interval(scores))


def _difference(asked: _Asked, scores: Values) -> Found:
    condition, (a, b) = asked.condition, asked.condition.arms
    x, y, off = scores[:, 0], scores[:, 1], digits(scores[:, 0]) + digits(scores[:, 1])
    told = f"{asked.label}: {_quoted(a)} - {_quoted(b)} {asked.mean(x - y, signed=True)}"
    interval = asked.interval(x - y)
    if condition.alike is None:
        by = condition.by
        evidence = _Evidence([_Order(x, y + by, off)], [_Order(y + by, x, off)])
        more = f", claimed: above {asked.metric.told(by)}" if by else ""
        return asked.found(told + more, evidence, interval)
    margin = float(condition.margin or 0.0)
    evidence = _Evidence(
        [_Order(x + margin, y, off), _Order(y + margin, x, off)],
        [_Order(x, y + margin, off), _Order(y, x + margin, off)],
    )
    return asked.found(f"{told}, claimed: within {asked.metric.told(margin)}", evidence, interval)


def _ratio(asked: _Asked, scores: Values) -> Found:
    condition, (a, b) = asked.condition, asked.condition.arms
    assert condition.between is not None
    head = f"{asked.label}: {_quoted(a)} / {_quoted(b)}"
    if none := int((scores <= 0).any(axis=1).sum()):
        return Found("open", f"{head}: {seeds_with(none, len(scores))} a value that is not above 0, and no ratio")
    x, y = np.log(scores).T
    off = digits(scores[:, 0]) / scores[:, 0] + digits(scores[:, 1]) / scores[:, 1]
    low, high = map(math.log, condition.between)
    evidence = _Evidence(
        [_Order(x, y + low, off), _Order(y + high, x, off)], [_Order(y + low, x, off), _Order(x, y + high, off)]
    )
    told, inner = f"{head}, geometric mean {np.exp((x - y).mean()):.3g}", asked.interval(x - y)
    ends = None if inner is None else (float(np.exp(inner[0])), float(np.exp(inner[1])))
    if ends is not None and not evidence.same:
        told += f" ({ends[0]:.3g} to {ends[1]:.3g})"
    return asked.found(f"{told}, claimed: {condition.between[0]:g} to {condition.between[1]:g}", evidence, ends)


def _line(asked: _Asked, scores: Values) -> Found:
    """How far the arms' means lie from a straight line, as a share of the rise from the least x to the greatest.

    Of each seed what every arm is off the line, and the rise, are sums of its scores with fixed weights, so that noise
    moves their means to neither side.
    """
    condition = asked.condition
    share, within = (condition.within, True) if condition.within is not None else (condition.beyond, False)
    assert share is not None
    x = np.array(condition.x)
    x = (x - x.mean()) / (np.ptp(x) or 1.0)  # else a line through large or small x is lost to rounding
    weights = np.eye(len(x)) - np.vander(x, 2) @ np.linalg.pinv(np.vander(x, 2))
    off_line, extent = scores @ weights, scores[:, x.argmax()] - scores[:, x.argmin()]
    extent = extent * np.sign(extent.mean())
    rounding = np.stack([digits(of) for of in scores.T]).sum(axis=0)
    limits = [(side * off_line[:, arm], share * extent) for arm in range(len(x)) for side in (1.0, -1.0)]
    outside = [_Order(own, limit, rounding) for own, limit in limits]
    inside = [_Order(limit, own, rounding) for own, limit in limits]
    # of three arms what each is off is the same figure, with other weights; of one only one side can be outside
    tries = 1 if len(x) == 3 else len(x)
    farthest = int(np.abs(off_line.mean(axis=0)).argmax())
    size = float(extent.mean())
    if not size:
        return Found("open", f"{asked.label}: nothing rises from the least x to the greatest", seeds=len(scores))
    own = off_line[:, farthest] * np.sign(off_line[:, farthest].mean())
    interval = _ratio_interval(own, extent, asked.stopping.level(ALPHA, len(scores)))
    told = f"{asked.label}: {_quoted(condition.arms[farthest])} lies {100 * own.mean() / size:.1f} %"
    if interval is not None:
        told += f" ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"
    told += f" of the rise off a straight line, claimed: {'no more' if within else 'more'} than {100 * share:g} %"
    if within:
        return asked.found(told, _Evidence(inside, outside, tries=tries), interval)
    return asked.found(told, _Evidence(outside, inside, of_any=True, tries=tries), interval)


def _ratio_interval(x: Values, y: Values, level: float) -> tuple[float, float] | None:
    """The ratios r of two means at which Student's interval of x - r y holds 0; None where these have no end.

    Source: E. C. Fieller, Some problems in interval estimation (JRSS B 1954).
    """
    n = len(x)
    if n < 2 or not level:
        return None
    from scipy.special import stdtrit

    share = float(stdtrit(n - 1, 1 - level / 2)) ** 2 / n
    covariance = np.cov(x, y)
    a = y.mean() ** 2 - share * covariance[1, 1]
    b = x.mean() * y.mean() - share * covariance[0, 1]
    c = x.mean() ** 2 - share * covariance[0, 0]
    if a <= 0:
        return None
    root = math.sqrt(max(b * b - a * c, 0.0))
    return float((b - root) / a), float((b + root) / a)


# --- what is missing, in one way or another ---


def _with_lost(
    asked: _Asked, columns: Sequence[Sequence[float | None]], lost: Sequence[Sequence[bool]], told: str
) -> Found:
    """Where runs diverged or failed, which is worse than any score: which arm is higher, by ranks."""
    metric = asked.metric
    if asked.condition.higher is None or metric.direction is None or metric.name in (*TIMES, *METERS, *JITTERS):
        return Found("open", told)
    worst = math.inf if metric.direction == "lower" else -math.inf
    values = [
        {seed: worst if gone else one for seed, (one, gone) in enumerate(zip(of, out, strict=True))
         if gone or one is not None}
        for of, out in zip(columns, lost, strict=True)
    ]  # fmt: skip
    return _by_ranks(asked, [{seed: float(x) for seed, x in of.items() if x is not None} for of in values], told)


def _on_target(asked: _Asked, study: StudyRecord, arms: Sequence[ArmRecord]) -> Found:
    """Epochs, or seconds, to the target: of each arm up to the epoch that all were trained to."""
    assert study.target is not None
    if study.target.direction is None:
        return Found("untested", f"whether lower or higher is better of the target {study.target} is not known")
    grid, seconds = common_grid(*arms), asked.metric.name == "seconds_to_target"
    until = float(grid[-1]) if grid is not None and len(grid) else math.inf
    ended = [by_seed(arm, study.target, grid, seconds=seconds) for arm in arms]
    if not any(math.inf in of.values() for of in ended):
        return _of_scores(asked, study, [[of.get(seed) for seed in study.seeds] for of in ended])
    reached = [sum(map(math.isfinite, of.values())) for of in ended]
    told = " and ".join(
        f"{n} of {len(of)} runs of {_quoted(arm.name)}" for n, of, arm in zip(reached, ended, arms, strict=True)
    )
    told = f"{told} reach the target"
    if asked.condition.higher is not None:
        return _by_ranks(asked, ended, told)
    if len(arms) != 2 or seconds or not math.isfinite(until):
        return Found("open", told)
    return _beyond(asked, ended, until, told)


def _beyond(asked: _Asked, ended: Sequence[dict[int, float]], until: float, told: str) -> Found:
    """A ratio or a likeness of epochs of which some lie beyond `until`: refuted only where that is enough for it."""
    seeds = sorted(ended[0].keys() & ended[1].keys())
    epochs = np.array([[of[seed] for of in ended] for seed in seeds], dtype=np.float64).reshape(-1, 2)
    never = np.isinf(epochs)
    later = [bool((never[:, arm] & ~never[:, 1 - arm]).any()) for arm in range(2)]
    x, y = np.minimum(epochs, until).T
    if sum(later) != 1 or never.all(axis=1).any() or (epochs <= 0).any():
        return Found("open", told)
    condition, zeros = asked.condition, np.zeros(len(seeds))
    if condition.between is not None:
        low, high = map(math.log, condition.between)
        x, y = np.log(x), np.log(y)
    else:
        low, high = -float(condition.margin or 0.0), float(condition.margin or 0.0)
    order = _Order(x, y + high, zeros) if later[0] else _Order(y + low, x, zeros)
    return Found("refuted" if order.sure(ALPHA / asked.conditions, asked.stopping) else "open", told, seeds=len(seeds))


def _by_ranks(asked: _Asked, values: Sequence[dict[int, float]], told: str) -> Found:
    """Which of two arms is higher. `values`: of each by seed, infinite where there is none. Where the seeds that have
    both values all show the same difference, they are no evidence, and the others alone are judged."""
    one, second = values
    finite = [seed for seed in one.keys() & second.keys() if math.isfinite(one[seed]) and math.isfinite(second[seed])]
    known = np.array([(one[seed], second[seed]) for seed in finite]).reshape(-1, 2)
    if len(known) > 1 and Pairs.of(*known.T).same:
        told += f"; the other {len(known)} seeds give the same, which is no evidence"
        values = [{seed: x for seed, x in of.items() if seed not in finite} for of in values]
    pairs, p, first = rank_test(values[0], values[1], asked.stopping)
    if p is None or too_few(pairs, 1):
        return Found("open", f"{told}: too few seeds")
    told += f" (ranks, p = {p:.2g})"
    if not isinstance(asked.stopping, Fixed):
        return Found("open", f"{told}: ranks are not judged of a study that was looked at before its end", seeds=pairs)
    if p <= ALPHA and not first and not asked.condition.by:
        return Found("supported", told, seeds=pairs)
    against = p <= ALPHA / asked.conditions and first and asked.condition.by >= 0
    return Found("refuted" if against else "open", told, seeds=pairs)


# --- evidence ---


@dataclass(frozen=True)
class _Order:
    """That `more` is above `less` on average; shape (seeds,). `off`: by how much rounding may put their difference."""

    more: Values
    less: Values
    off: Values

    @cached_property
    def pairs(self) -> Pairs:
        return Pairs.of(self.more, self.less, off=self.off)

    def p(self, stopping: Stopping) -> float:
        found = stopping.p(self.pairs.d, self.pairs.roundings, COUNTED)
        return 1.0 if found is None else found

    def by_t(self, alpha: float, stopping: Stopping) -> bool:
        """By the t interval alone; where there is none for such a study, by the sign of the mean."""
        level = stopping.level(alpha, len(self.pairs.d))
        if not level:
            return len(self.pairs.d) > 0 and side(self.pairs.d) > 0
        interval = t_interval(self.pairs.d, level)
        return interval is not None and interval[0] > 0

    def sure(self, alpha: float, stopping: Stopping) -> bool:
        """By the t interval and by the test, both at `alpha`, where there is any spread."""
        return self.by_t(alpha, stopping) and not self.pairs.same and self.p(stopping) <= alpha


@dataclass(frozen=True)
class _Evidence:
    """For a condition all of `supported`, or with `of_any` one of them; against it one of `refuted`, or then all.

    `tries`: how many chances to be wrong the one that is enough has.
    """

    supported: Sequence[_Order]
    refuted: Sequence[_Order]
    of_any: bool = False
    tries: int = 1

    @property
    def same(self) -> bool:
        """Whether seeds do not differ at all."""
        return len(self.supported[0].more) > 1 and all(one.pairs.same for one in self.supported)

    def _sure(self, orders: Sequence[_Order], alpha: float, stopping: Stopping, *, of_any: bool) -> bool:
        if of_any:
            return any(one.sure(alpha / self.tries, stopping) for one in orders)
        return all(one.sure(alpha, stopping) for one in orders)

    def answer(self, conditions: int, stopping: Stopping) -> tuple[Literal["supported", "refuted", "open"], str]:
        """And why it is open, where the figures alone would not say so."""
        if self._sure(self.supported, ALPHA, stopping, of_any=self.of_any):
            return "supported", ""
        if self._sure(self.refuted, ALPHA / conditions, stopping, of_any=not self.of_any):
            return "refuted", ""
        n = len(self.supported[0].more)
        if self.same:
            return "open", f"all {n} seeds give the same, which is no evidence of what another would give"
        if stopping.least_p(n) > ALPHA:
            return "open", f"{n} seed{'s' if n != 1 else ''} cannot come to p = {ALPHA:g}"
        if self._sure(self.refuted, ALPHA, stopping, of_any=not self.of_any):
            return "open", f"against it at {ALPHA:g}, but one of {conditions} conditions needs {ALPHA / conditions:.2g}"
        level = ALPHA / conditions / (1 if self.of_any else self.tries)
        against = [one.by_t(level, stopping) for one in self.refuted]
        if all(against) or (any(against) and not self.of_any):
            return "open", f"Student's interval is against it, and the {stopping.test} does not show it"
        if not self.of_any and all(one.by_t(ALPHA, stopping) for one in self.supported):
            p = max(one.p(stopping) for one in self.supported)
            return "open", f"the {stopping.test} does not show it (p = {p:.2g})"
        return "open", ""


def _quoted(arm: str | None) -> str:
    """A name that may hold commas, dashes and numbers."""
    return f"“{arm}”"
