"""Which differences between arms are real: paired over seeds, with intervals, p-values and verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paribus.findings.effects import Effects
from paribus.findings.pairs import Pairs, ranked
from paribus.findings.power import ALPHA, least_seeds, seeds_for
from paribus.findings.sign_flips import COUNTED, COUNTED_SOON, sign_flip_interval, sign_flip_p
from paribus.records.metrics import Direction
from paribus.records.record import Status

Values = Sequence[float | None]
Interval = tuple[float, float]

LOST = (Status.DIVERGED, Status.FAILED)
"""How a run ended that has no score, as it did too badly to have one."""

HIGHER = ("a higher", "b higher")
_MOST_BITS = 1000


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Arm a minus arm b on one metric.

    `mean`, `ci95`: of the per-seed differences, with Student's t. `p`: of the sign-flip test. `pairs`: seeds that both
    arms have. `by_ranks`: whether p is that of ranks, in which runs that diverged or failed are the worst. `effects`:
    how large it is.

    On the primary metric also `p_adjusted` (Holm over the family of pairs), `ci95_family` (the t interval at level 1 -
    0.05 / pairs in the family), the `verdict`, the `interval` that goes with it and what it is an `interval_of`, a
    `note` on it, and `seeds_needed` (for 80 % power at a declared margin); None on others.
    """

    a: str
    b: str
    metric: str
    mean: float | None
    ci95: Interval | None
    p: float | None
    pairs: int
    by_ranks: bool = False
    effects: Effects = field(default_factory=Effects)
    p_adjusted: float | None = None
    ci95_family: Interval | None = None
    verdict: str | None = None
    interval: Interval | None = None
    interval_of: Literal["t", "t of the pair", "sign flips", "equivalence"] | None = None
    note: str = ""
    seeds_needed: int | None = None

    def as_data(self) -> dict[str, Any]:
        """Plain values, the effects among them: what `--json` and tables have."""
        own = {key: value for key, value in vars(self).items() if key != "effects"}
        return own | asdict(self.effects)


@dataclass(frozen=True)
class Lost:
    """Runs that have no score because they did badly: of each arm whether at each seed. They count as the worst where
    `direction` says which way the metric is better. `told`, `unknown`: what is said of them, and where it does not.

    `unexplained`: arms with a run that ended well and has no score all the same.
    """

    runs: Mapping[str, Sequence[bool]]
    direction: Direction | None
    told: str = "a run that diverged or failed"
    both: str = "both runs diverged or failed"
    unknown: str = "whether lower or higher is better is not known"
    unexplained: frozenset[str] = frozenset()

    def between(self, a: str, b: str) -> Lost:
        """What is said of two of the arms."""
        if not self.unexplained & {a, b}:
            return self
        return Lost(self.runs, None, told="no value of one arm", unknown="why is not known", both="both have no value")


@np.errstate(over="ignore", invalid="ignore")
def differences(
    arms: Mapping[str, Values],
    metric: str,
    *,
    primary: bool = True,
    baseline: str | None = None,
    margin: float | None = None,
    lost: Lost | None = None,
) -> list[Difference]:
    """All pairs of arms, or all arms against the baseline, on one metric; values aligned by seed, None where missing.

    The verdict is `too few seeds` exactly when no outcome could have been found at the level that Holm's method tested
    the pair at, 0.05 / family for the first that is not found: 2^(1 - pairs) is above it. Otherwise `not judged` where
    runs were lost that cannot be ranked, or differences are beyond all numbers; with a margin, `equivalent` where two
    one-sided t tests at 0.05 / family put the difference inside it; then `a higher` or `b higher` where the adjusted p
    is at most 0.05; else `no difference shown`.

    Raises ValueError for a baseline that is no arm.

    >>> a, b = [0.91, 0.92, 0.93, 0.91, 0.94, 0.92], [0.90, 0.90, 0.91, 0.90, 0.92, 0.91]
    >>> found, = differences({"adam": a, "sgd": b}, "test_accuracy")
    >>> found.verdict, found.p, round(found.mean, 4)
    ('a higher', 0.03125, 0.015)
    """
    if baseline is not None and baseline not in arms:
        raise ValueError(f"there is no arm {baseline!r} to compare with: there is {', '.join(map(repr, arms))}")
    names = [(a, b) for a, b in combinations(arms, 2) if baseline is None]
    names += [(name, baseline) for name in arms if baseline is not None and name != baseline]
    compared = [_Compared(a, b, arms[a], arms[b], lost.between(a, b) if lost else None) for a, b in names]
    found = [one.difference(metric, counted=COUNTED if primary else COUNTED_SOON) for one in compared]
    if not primary:
        return found
    ps = [one.p for one in found]
    judged = zip(compared, found, holm(ps), holm_levels(ps), strict=True)
    return [one.judged(of, _Judge(len(names), margin, p, level)) for one, of, p, level in judged]


@dataclass(frozen=True)
class _Judge:
    """What a pair is judged by: the family's size, the margin, its adjusted p, and the level that it was tested at."""

    family: int
    margin: float | None
    p: float | None
    level: float


@dataclass(frozen=True)
class _Compared:
    """Two arms at the same seeds."""

    a: str
    b: str
    a_scores: Values
    b_scores: Values
    lost: Lost | None

    @cached_property
    def _both(self) -> NDArray[np.float64]:
        """Shape (seeds, 2), NaN where a score is missing."""
        columns = [[math.nan if x is None else x for x in scores] for scores in (self.a_scores, self.b_scores)]
        found = np.array(columns, dtype=np.float64).reshape(2, -1).T
        return np.where(np.isfinite(found), found, np.nan)

    @cached_property
    def _gone(self) -> NDArray[np.bool_]:
        """Shape (seeds, 2): what has no score because its run was lost."""
        if self.lost is None:
            return np.zeros(self._both.shape, dtype=bool)
        return np.array([self.lost.runs[self.a], self.lost.runs[self.b]], dtype=bool).T & np.isnan(self._both)

    @cached_property
    def _known(self) -> NDArray[np.bool_]:
        """Seeds at which it is known of both runs how they ended, and one has a score."""
        return np.asarray((self._gone | ~np.isnan(self._both)).all(axis=1) & ~self._gone.all(axis=1))

    @cached_property
    def _losses(self) -> int:
        return int(self._gone[self._known].any(axis=1).sum())

    @cached_property
    def _pairs(self) -> Pairs:
        whole = self._both[~np.isnan(self._both).any(axis=1)]
        return Pairs.of(whole[:, 0], whole[:, 1])

    @cached_property
    def _tested(self) -> NDArray[np.float64] | None:
        """What signs are flipped of: differences, or those of ranks where runs were lost; None of what has no rank."""
        if not self._losses:
            return self._pairs.d
        if self.lost is None or self.lost.direction is None:
            return None
        worst = math.inf if self.lost.direction == "lower" else -math.inf
        known = np.where(self._gone, worst, self._both)[self._known]
        return ranked(known[:, 0], known[:, 1])

    def difference(self, metric: str, *, counted: int) -> Difference:
        """Without a verdict. `counted`: see `sign_flip_p`."""
        pairs, by_ranks = self._pairs, bool(self._losses) and self._tested is not None
        d = pairs.a - pairs.b  # what may come from rounding counts in the test alone
        mean = pairs.unscaled(float(d.mean())) if len(d) else None
        rounding = 0.0 if by_ranks else pairs.rounding
        return Difference(
            a=self.a,
            b=self.b,
            metric=metric,
            # of the runs that are left they would praise an arm for those that it lost
            mean=mean if mean is not None and math.isfinite(mean) and not by_ranks else None,
            ci95=None if by_ranks else self._t(ALPHA),
            p=None if self._tested is None else sign_flip_p(self._tested, rounding, counted=counted),
            pairs=len(d),
            by_ranks=by_ranks,
            effects=Effects.of_ranks(self._tested) if by_ranks and self._tested is not None else Effects.of(pairs),
        )

    def _t(self, alpha: float) -> Interval | None:
        """Student's interval, None where the differences have no spread to make one from."""
        pairs = self._pairs
        return None if pairs.same else _unscaled(pairs, t_interval(pairs.a - pairs.b, alpha))

    def judged(self, found: Difference, by: _Judge) -> Difference:
        """With its verdict, and what goes with that."""
        pairs, d = self._pairs, self._pairs.a - self._pairs.b
        verdict = self._verdict(found, by)
        interval, of = self._interval(verdict, by)
        sd = float(d.std(ddof=1)) if len(d) > 1 and not pairs.same else None
        known = by.margin is not None and sd and len(d) >= least_seeds(1)  # of fewer the sd is known too badly
        sd = pairs.unscaled(sd) if sd else None
        effect = by.margin / sd if by.margin is not None and sd and known else None
        return replace(
            found,
            p=None if verdict == "not judged" else found.p,
            p_adjusted=None if verdict == "not judged" else by.p,
            ci95_family=None if found.by_ranks else self._t(ALPHA / by.family),
            verdict=verdict,
            interval=_unscaled(pairs, interval),
            interval_of=of,
            note=self._note(found, verdict),
            seeds_needed=seeds_for(effect, by.family),
        )

    def _verdict(self, found: Difference, by: _Judge) -> str:
        if 2.0 ** (1 - min(found.pairs + self._losses, _MOST_BITS)) > by.level:
            return "too few seeds"
        if self._tested is None or by.p is None or (found.pairs and found.mean is None and not found.by_ranks):
            return "not judged"
        if by.margin is not None and not self._losses and not self._pairs.same:
            inner = _unscaled(self._pairs, t_interval(self._pairs.a - self._pairs.b, 2 * ALPHA / by.family))
            if inner is not None and -by.margin < inner[0] and inner[1] < by.margin:
                return "equivalent"
        if by.p <= ALPHA:
            return HIGHER[int(self._tested.sum() < 0)]
        return "no difference shown"

    def _interval(
        self, verdict: str, by: _Judge
    ) -> tuple[Interval | None, Literal["t", "t of the pair", "sign flips", "equivalence"] | None]:
        """The one that says the same as the verdict: Student's of all pairs at once where it does, or of the pair at
        the level that Holm's method tested it at, else that of the sign-flip test at this level. None where runs count
        by their ranks, or differences show no spread."""
        pairs, d = self._pairs, self._pairs.a - self._pairs.b
        if self._losses or pairs.same or len(d) < 2:
            return None, None
        if verdict == "equivalent":
            return t_interval(d, 2 * ALPHA / by.family), "equivalence"
        for level in (ALPHA / by.family, by.level):
            inner = t_interval(d, level)
            if inner is not None and (verdict == "too few seeds" or _says(inner) == _told(verdict)):
                return inner, "t" if level == ALPHA / by.family else "t of the pair"
        return sign_flip_interval(pairs.d, by.level, pairs.rounding), "sign flips"

    def _note(self, found: Difference, verdict: str) -> str:
        return "; ".join(filter(None, (self._note_on_losses(found), self._note_on_spread(verdict))))

    def _note_on_losses(self, found: Difference) -> str:
        if self.lost is None:
            n = len(self._both)
            return f"over the {found.pairs} of {n} seeds that both have" if 0 < found.pairs < n else ""
        both = int(self._gone.all(axis=1).sum())
        neither = f"at {both} of {len(self._both)} seeds {self.lost.both}, and they are left out" if both else ""
        if not self._losses:
            return neither
        runs = f"{seeds_with(self._losses, found.pairs + self._losses)} {self.lost.told}"
        if self.lost.direction is None:
            runs += f", and {self.lost.unknown}"
        else:
            worst = "highest" if self.lost.direction == "lower" else "lowest"
            runs += (
                f", which counts as the worst, that is the {worst}: judged by ranks of all {found.pairs + self._losses}"
            )
        return "; ".join(filter(None, (runs, neither)))

    def _note_on_spread(self, verdict: str) -> str:
        pairs = self._pairs
        if verdict == "not judged":
            beyond = self._tested is not None and not self._losses
            return "the scores differ by more than any number can say" if beyond else ""
        if self._losses:
            return ""
        unseen = may_not_show(len(pairs.d))
        if pairs.same and len(pairs.d) > 1:
            return f"all {len(pairs.d)} differences are the same, and {unseen}"
        if verdict == "equivalent":
            return unseen
        return ""


def _told(verdict: str) -> int:
    return {"a higher": 1, "b higher": -1}.get(verdict, 0)


def _says(interval: Interval) -> int:
    """1 for above 0, -1 for below, 0 where it holds 0."""
    return int(interval[0] > 0) - int(interval[1] < 0)


def _unscaled(pairs: Pairs, interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    ends = pairs.unscaled(interval[0]), pairs.unscaled(interval[1])
    return ends if all(map(math.isfinite, ends)) else None


def seeds_with(n: int, seeds: int) -> str:
    """Of how many seeds something is said.

    >>> seeds_with(1, 8), seeds_with(2, 8)
    ('1 of 8 seeds has', '2 of 8 seeds have')
    """
    return f"{n} of {seeds} seeds {'has' if n == 1 else 'have'}"


def may_not_show(n: int) -> str:
    """The caution beside what so many seeds seem to settle."""
    return f"{n} seeds may not show what happens in less than {100 * unseen_share(n):.0f} % of runs"


def unseen_share(n: int) -> float:
    """How often something may happen that n seeds did not show: the upper 95 % limit of its chance, 1 - 0.05^(1 / n).

    >>> round(unseen_share(6), 3), round(unseen_share(59), 3)
    (0.393, 0.05)
    """
    return float(1 - ALPHA ** (1 / n)) if n else 1.0


def t_interval(d: NDArray[np.float64], alpha: float) -> Interval | None:
    """mean +- t(1 - alpha / 2, n - 1) sd / sqrt(n); None with fewer than two values.

    Source: Student, The probable error of a mean (1908).
    """
    n = len(d)
    if n < 2:
        return None
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 1 - alpha / 2)) * float(d.std(ddof=1)) / math.sqrt(n)
    return float(d.mean()) - half, float(d.mean()) + half


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values: sorted ascending, max so far of (m - i) p, at most 1; None stays None.

    m counts every pair of the family, those without a p too.

    Source: S. Holm, A simple sequentially rejective multiple test procedure (1979).

    >>> holm([0.01, 0.04, None, 0.03])
    [0.04, 0.09, None, 0.09]
    """
    adjusted: list[float | None] = [None] * len(ps)
    worst = 0.0
    for rank, (p, i) in enumerate(_ascending(ps)):
        worst = max(worst, min(1.0, (len(ps) - rank) * p))
        adjusted[i] = worst
    return adjusted


def holm_levels(ps: Sequence[float | None]) -> list[float]:
    """The level that each pair was tested at: 0.05 / (m - i), up to the first that is not found, whose level is that of
    all after it. Equal p-values are tested at the level of their first, so that the order of the arms decides nothing.

    >>> holm_levels([0.01, 0.04, 0.03]) == [0.05 / 3, 0.05 / 2, 0.05 / 2]
    True
    """
    levels = [ALPHA / max(len(ps), 1)] * len(ps)
    before, level, stopped = math.nan, math.nan, False
    for rank, (p, i) in enumerate(_ascending(ps)):
        if p != before and not stopped:
            level = ALPHA / (len(ps) - rank)
        levels[i] = level
        before, stopped = p, stopped or p > level
    return levels


def _ascending(ps: Sequence[float | None]) -> list[tuple[float, int]]:
    return sorted((p, i) for i, p in enumerate(ps) if p is not None)
