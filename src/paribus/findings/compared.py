"""Two arms at the same seeds: their difference, how it is judged, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paribus.findings.anytime import side
from paribus.findings.effects import Effects
from paribus.findings.intervals import t_interval
from paribus.findings.pairs import Pairs, ranked, with_worst
from paribus.findings.power import ALPHA, least_seeds, seeds_for
from paribus.findings.sign_flips import COUNTED
from paribus.findings.stopping import End, Ended, Extended, Fixed, Signal, Stopping, UntilDecided
from paribus.records.metrics import Direction
from paribus.records.record import Status

Values = Sequence[float | None]
Interval = tuple[float, float]
IntervalOf = Literal["t", "t of the pair", "sign flips", "permutation", "equivalence", "e-process"]

LOST = (Status.DIVERGED, Status.FAILED)
"""How a run ended that has no score, as it did too badly to have one."""

HIGHER = ("a higher", "b higher")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Arm a minus arm b on one metric.

    `mean`, `ci95`: of the per-seed differences, with Student's t. `p`: of the sign-flip test. `pairs`: seeds that both
    arms have. `by_ranks`: whether p is that of ranks, in which runs that diverged or failed are the worst. `effects`:
    how large it is.

    On the primary metric also `p_adjusted` (Holm over the family of pairs), `ci95_family` (the t interval at level 1 -
    0.05 / pairs in the family), the `verdict`, the `interval` that goes with it and what it is an `interval_of`, a
    `note` on it, and `seeds_needed` (for 80 % power at a declared margin); None on others. Of seeds until decided also
    why the pair `ended`, and after how many: all is then of the seeds until that.

    `unpaired`: of runs that have nothing in common, by Welch's interval and permutations. `unit`: what there is a pair
    of scores for: a `seed`, or a `repeat` of the whole tuning.
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
    interval_of: IntervalOf | None = None
    note: str = ""
    seeds_needed: int | None = None
    ended: Ended | None = None
    ended_after: int | None = None
    unpaired: bool = False
    unit: str = "seed"

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


@dataclass(frozen=True)
class Judge:
    """What a pair is judged by: the family's size, the margin, its adjusted p, and the level that it was tested at."""

    family: int
    margin: float | None
    p: float | None
    level: float
    stopping: Stopping


@dataclass(frozen=True)
class Compared:
    """Two arms at the same seeds. `rows`: how many of the first seeds count; `end`: why no more do; `unit`: what a
    score is of, if not of a seed."""

    a: str
    b: str
    a_scores: Values
    b_scores: Values
    lost: Lost | None
    rows: int | None = None
    end: End | None = None
    unit: str = "seed"

    def first(self, rows: int) -> Compared:
        """The same with so many of the seeds."""
        return Compared(self.a, self.b, self.a_scores, self.b_scores, self.lost, rows)

    @property
    def unbroken(self) -> int:
        """Up to which seed it is known of both how they ended."""
        unknown = np.flatnonzero((~self._gone & np.isnan(self._both)).any(axis=1))
        return int(unknown[0]) if len(unknown) else len(self._both)

    def rows_of(self, n: int) -> int:
        """How many seeds it takes to have n pairs."""
        return int(np.searchsorted(np.cumsum(self._known), n)) + 1 if n else 0

    def signal(self) -> Signal:
        """What a sequential test takes in; nothing where losses cannot be ranked: such a pair is at its end."""
        tested, roundings = self._in_order()
        if tested is None:
            return Signal(np.zeros(0), np.zeros(0), 0, last=True)
        last = self.unbroken == len(self.a_scores)
        lost = np.asarray(self._gone[self._known].any(axis=1))
        return Signal(tested, roundings, self._scaled.exponent, last, lost)

    @cached_property
    def _scaled(self) -> Pairs:
        """Of all seeds that count; a run that was lost has its other's score."""
        known = self._both[self._known]
        other = known[:, ::-1]
        return Pairs.of(*np.where(np.isnan(known), other, known).T)

    def _in_order(self) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
        """What is tested where a study is looked at before its end, and what rounding may add to each: differences, of
        which that of a lost run is as large as the largest before it. So no seed changes what those before it show."""
        gone, pairs = self._gone[self._known], self._scaled
        if gone.any() and (self.lost is None or self.lost.direction is None):
            return None, np.zeros(0)
        worse = 1.0 if self.lost is not None and self.lost.direction == "lower" else -1.0
        lower = worse * (gone[:, 0].astype(float) - gone[:, 1].astype(float))
        return with_worst(pairs.d, lower), pairs.roundings

    @cached_property
    def _both(self) -> NDArray[np.float64]:
        """Shape (seeds, 2), NaN where a score is missing."""
        columns = [[math.nan if x is None else x for x in scores] for scores in (self.a_scores, self.b_scores)]
        found = np.array(columns, dtype=np.float64).reshape(2, -1).T[: self.rows]
        return np.where(np.isfinite(found), found, np.nan)

    @cached_property
    def _gone(self) -> NDArray[np.bool_]:
        """Shape (seeds, 2): what has no score because its run was lost."""
        if self.lost is None:
            return np.zeros(self._both.shape, dtype=bool)
        gone = np.array([self.lost.runs[self.a], self.lost.runs[self.b]], dtype=bool).T[: self.rows]
        return gone & np.isnan(self._both)

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

    def difference(self, metric: str, stopping: Stopping, *, counted: int) -> Difference:
        """Without a verdict. `counted`: see `sign_flip_p`."""
        pairs, by_ranks = self._pairs, bool(self._losses) and self._tested is not None
        d = pairs.a - pairs.b  # what may come from rounding counts in the test alone
        mean = pairs.unscaled(float(d.mean())) if len(d) else None
        return Difference(
            a=self.a,
            b=self.b,
            metric=metric,
            # of the runs that are left they would praise an arm for those that it lost
            mean=mean if mean is not None and math.isfinite(mean) and not by_ranks else None,
            ci95=None if by_ranks else self._t(stopping.level(ALPHA, len(d)) if isinstance(stopping, Fixed) else ALPHA),
            p=self._p(stopping, counted),
            pairs=len(d),
            by_ranks=by_ranks,
            unit=self.unit,
            effects=Effects.of_ranks(self._tested) if by_ranks and self._tested is not None else Effects.of(pairs),
        )

    def _p(self, stopping: Stopping, counted: int) -> float | None:
        if isinstance(stopping, Fixed):
            roundings = np.zeros(1) if self._losses else self._pairs.roundings
            return None if self._tested is None else stopping.p(self._tested, roundings, counted)
        tested, roundings = self._in_order()
        if isinstance(stopping, UntilDecided) and tested is not None and len(tested):
            return stopping.p_between(tested, roundings, self.end)
        return None if tested is None else stopping.p(tested, roundings, counted)

    def _t(self, alpha: float) -> Interval | None:
        """Student's interval, None where the differences have no spread to make one from."""
        pairs = self._pairs
        return None if pairs.same or not alpha else _unscaled(pairs, t_interval(pairs.a - pairs.b, alpha))

    def judged(self, found: Difference, by: Judge) -> Difference:
        """With its verdict, and what goes with that."""
        pairs, d = self._pairs, self._pairs.a - self._pairs.b
        verdict = self._verdict(found, by)
        interval, of = self._interval(verdict, by)
        unseen = isinstance(by.stopping, UntilDecided) and len(d) + self._losses < by.stopping.least
        sd = float(d.std(ddof=1)) if len(d) > 1 and not pairs.same else None
        known = by.margin is not None and sd and len(d) >= least_seeds(1)  # of fewer the sd is known too badly
        sd = pairs.unscaled(sd) if sd else None
        effect = by.margin / sd if by.margin is not None and sd and known else None
        return replace(
            found,
            p=None if verdict == "not judged" or unseen else found.p,
            p_adjusted=None if verdict == "not judged" or unseen else self._adjusted(by.p),
            ci95_family=None if found.by_ranks else self._t(by.stopping.level(ALPHA / by.family, len(d))),
            verdict=verdict,
            interval=_unscaled(pairs, interval),
            interval_of=None if interval is None else of,
            note=self._note(found, verdict, by, open_=interval is None),
            seeds_needed=None if by.stopping.shared else seeds_for(effect, by.family),
            ended=self.end.why or None if self.end else None,
            ended_after=self.end.n if self.end and self.end.why else None,
        )

    def _adjusted(self, p: float | None) -> float | None:
        """Not put beyond 0.05, or within it, by the last digit of a product."""
        if self.end is None or p is None:
            return p
        return min(p, ALPHA) if self.end.why == "found" else max(p, math.nextafter(ALPHA, 1.0))

    def _verdict(self, found: Difference, by: Judge) -> str:
        beyond = bool(found.pairs) and found.mean is None and not found.by_ranks
        if self.end is not None and not self.end.why:
            return "not decided yet"
        if self.end is None and by.stopping.least_p(found.pairs + self._losses) > by.level:
            return "too few seeds"
        if self._tested is None or by.p is None or beyond:
            return "not judged" if self._losses or beyond else "too few seeds"
        if self.end is not None:
            return self._verdict_at_end(self.end, by)
        if by.margin is not None and not self._losses and not self._pairs.same:
            inner = _unscaled(self._pairs, self._equivalence(by))
            if inner is not None and -by.margin < inner[0] and inner[1] < by.margin:
                return "equivalent"
        if by.p <= ALPHA and (side := self._side(by.stopping)):
            return HIGHER[int(side < 0)]
        return "no difference shown"

    def _side(self, stopping: Stopping) -> float:
        """Which is higher, above 0 for a; 0 where what was found once does not hold any more."""
        tested = self._tested if isinstance(stopping, Fixed) else self._in_order()[0]
        assert tested is not None
        return side(tested) if isinstance(stopping, Extended) else float(tested.sum())

    def _verdict_at_end(self, end: End, by: Judge) -> str:
        if end.why == "found":
            return HIGHER[int(self._side(by.stopping) < 0)]
        if end.why == "equivalent":
            return "equivalent"
        few = end.why == "most" and by.stopping.least_p(end.n) > end.level
        return "too few seeds" if few else "no difference shown"

    def _equivalence(self, by: Judge) -> Interval | None:
        """What has to lie inside the margin: Student's interval at twice the level, or that of the e-process."""
        d, level = self._pairs.a - self._pairs.b, 2 * ALPHA / by.family
        if isinstance(by.stopping, Extended):
            return by.stopping.interval(self._pairs.d, level, self._pairs.roundings)
        at = by.stopping.level(level, len(d))
        return t_interval(d, at) if at > 0 else None

    def _interval(self, verdict: str, by: Judge) -> tuple[Interval | None, IntervalOf | None]:
        """The one that says the same as the verdict: Student's of all pairs at once where it does, or of the pair at
        the level that Holm's method tested it at, else that of the sign-flip test at this level. None where runs count
        by their ranks, or differences show no spread."""
        pairs, d = self._pairs, self._pairs.a - self._pairs.b
        if self._losses or pairs.same or len(d) < 2:
            return None, None
        if verdict == "equivalent":
            return self._equivalence(by), "equivalence"
        if isinstance(by.stopping, Extended):
            return by.stopping.interval(pairs.d, by.level, pairs.roundings), "e-process"
        tested_at = by.level if self.end is None else self.end.level
        for level in (ALPHA / by.family, tested_at):
            at = by.stopping.level(level, len(d))
            inner = t_interval(d, at) if at > 0 else None
            if inner is not None and (verdict == "too few seeds" or _says(inner) == _told(verdict)):
                return inner, "t" if level == ALPHA / by.family else "t of the pair"
        return by.stopping.interval(pairs.d, tested_at, pairs.roundings), "sign flips"

    def _note(self, found: Difference, verdict: str, by: Judge, *, open_: bool) -> str:
        endless = isinstance(by.stopping, Extended) and open_ and not self._pairs.same and not self._losses
        said = (
            self._note_on_losses(found), self._note_on_spread(verdict), self._note_on_stopping(verdict, by),
            f"of so few {self.unit}s its interval has no end" * (endless and found.pairs > 1),
        )  # fmt: skip
        return "; ".join(filter(None, said))

    def _note_on_stopping(self, verdict: str, by: Judge) -> str:
        if isinstance(by.stopping, UntilDecided) and self.end and self.end.why and verdict != "too few seeds":
            n, most = self.end.n, by.stopping.most
            if self.end.why == "futile":
                return f"ended after {n} of {most} seeds, as a difference as large as the margin can hardly be found"
            return f"ended after {n} of {most} seeds" if n < most else ""
        if by.stopping.shared and verdict != "not judged":
            return f"seeds share examples (split=by_seed): by the {by.stopping.test}"
        if isinstance(by.stopping, Extended) and verdict != "not judged":
            looks = ", ".join(map(str, by.stopping.looks))
            when = f"looked at after {looks} {self.unit}s" if looks else "seeds were added as somebody saw fit"
            plain = Fixed().p(self._pairs.d, self._pairs.roundings, COUNTED) if not self._losses else None
            usual = "" if plain is None else f"; the usual p, {plain:.2g}, is not adjusted for these looks"
            return f"{when}, and judged by a test that allows it{usual}"
        return ""

    def _note_on_losses(self, found: Difference) -> str:
        if self.lost is None:
            n = len(self._both)
            return f"over the {found.pairs} of {n} {self.unit}s that both have" if 0 < found.pairs < n else ""
        both = int(self._gone.all(axis=1).sum())
        many = f"{len(self._both)} {self.unit}s"
        neither = f"at {both} of {many} {self.lost.both}, and they are left out" if both else ""
        if not self._losses:
            return neither
        runs = f"{seeds_with(self._losses, found.pairs + self._losses, self.unit)} {self.lost.told}"
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
        unseen = may_not_show(len(pairs.d), self.unit)
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


def seeds_with(n: int, seeds: int, unit: str = "seed") -> str:
    """Of how many seeds something is said.

    >>> seeds_with(1, 8), seeds_with(2, 8)
    ('1 of 8 seeds has', '2 of 8 seeds have')
    """
    return f"{n} of {seeds} {unit}s {'has' if n == 1 else 'have'}"


def may_not_show(n: int, unit: str = "seed") -> str:
    """The caution beside what so many seeds seem to settle."""
    of = "runs" if unit == "seed" else f"{unit}s"
    return f"{n} {unit}s may not show what happens in less than {100 * unseen_share(n):.0f} % of {of}"


def unseen_share(n: int) -> float:
    """How often something may happen that n seeds did not show: the upper 95 % limit of its chance, 1 - 0.05^(1 / n).

    >>> round(unseen_share(6), 3), round(unseen_share(59), 3)
    (0.393, 0.05)
    """
    return float(1 - ALPHA ** (1 / n)) if n else 1.0
