"""When a study comes to its end, and what that makes of its tests: at a number of seeds that was declared before, when
all is decided, or extended as somebody saw fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from paribus.findings.anytime import anytime_p
from paribus.findings.intervals import halved, t_interval
from paribus.findings.sequential import MOST_FOLLOWED, Paths, found_at, nominal_levels, spent
from paribus.findings.sign_flips import sign_flip_interval, sign_flip_p

Values = NDArray[np.float64]
Interval = tuple[float, float]
Ended = Literal["", "found", "equivalent", "futile", "most"]

_MOST_BITS = 1000
_STEPS = 15  # of halving a p-value's logarithm: to a few thousandths of itself
_HOPELESS = 0.1
"""A pair ends where the chance that it is still found, were the difference as large as the margin, is below this."""


class Stopping(Protocol):
    """How p-values, levels and intervals are made. `d`: differences in the order of their seeds, and by how much
    rounding may put each. `test`: what the test is called; `shared`: whether seeds share examples, so that no number
    of them makes the mean as sure as may be wanted."""

    test: ClassVar[str]
    shared: ClassVar[bool] = False

    def p(self, d: Values, roundings: Values, counted: int, /) -> float | None:
        """Two-sided; None without differences."""

    def level(self, level: float, n: int, /) -> float:
        """At which Student's interval of n seeds says what a test at `level` does, whenever it is looked at."""

    def least_p(self, n: int) -> float:
        """The least that p can be after n seeds."""

    def interval(self, d: Values, level: float, roundings: Values, /) -> Interval | None:
        """Every mean difference that the test does not rule out."""


@dataclass(frozen=True)
class Fixed:
    """At a number of seeds that was declared before."""

    test: ClassVar[str] = "sign-flip test"
    shared: ClassVar[bool] = False

    def p(self, d: Values, roundings: Values, counted: int, /) -> float | None:
        return sign_flip_p(d, float(roundings.sum()), counted=counted)

    def level(self, level: float, _n: int, /) -> float:
        return level

    def least_p(self, n: int) -> float:
        return 2.0 ** (1 - min(n, _MOST_BITS))

    def interval(self, d: Values, level: float, roundings: Values, /) -> Interval | None:
        return sign_flip_interval(d, level, float(roundings.sum()))


@dataclass(frozen=True)
class End:
    """After how many seeds a pair ended, and why: `found`, `equivalent`, `futile` (it can hardly be found any more),
    `most` seeds; "" where it goes on. `level`: that it was tested at last."""

    n: int
    why: Ended
    level: float


@dataclass(frozen=True)
class UntilDecided:
    """After `least` seeds and then every further one, up to `most`."""

    least: int
    most: int
    test: ClassVar[str] = "sequential sign-flip test"
    shared: ClassVar[bool] = False

    def p(self, d: Values, roundings: Values, _counted: int, /) -> float | None:
        """As `p_between`, where nothing is known of it."""
        return self.p_between(d, roundings, None) if len(d) else None

    def p_between(self, d: Values, roundings: Values, end: End | None) -> float:
        """The least alpha at which a difference would be found by now, to a few thousandths of itself, and not below
        it. `end`: what is known: that it was found at a level, or was not."""
        found = end is not None and end.why == "found"
        low, high = math.log(self.least_p(len(d)) / 2), 0.0
        if end is not None and found:
            high = math.log(end.level)
        elif self.least_p(len(d)) >= 1 or not self._found(d, 1.0, roundings):
            return 1.0
        elif end is not None:
            low = math.log(end.level)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._found(d, math.exp(middle), roundings) else (middle, high)
        return min(math.exp(high), end.level) if end is not None and found else math.exp(high)

    def _found(self, d: Values, alpha: float, roundings: Values) -> bool:
        return found_at(d, alpha, (self.least, self.most), roundings) is not None

    def level(self, level: float, n: int, /) -> float:
        levels = nominal_levels(level, self.least, self.most)
        return levels[min(n, self.most) - self.least] if n >= self.least else 0.0

    def least_p(self, n: int) -> float:
        if n < self.least:
            return 1.0
        return max(2.0 ** (1 - min(n, _MOST_BITS)), 2.0**-MOST_FOLLOWED) / spent(1.0, n, self.most)

    def interval(self, d: Values, level: float, roundings: Values, /) -> Interval | None:
        if len(d) < self.least or self.least_p(len(d)) > level:
            return None
        return _ends(d, lambda shifted: self._found(shifted, level, roundings))


@dataclass(frozen=True)
class Extended:
    """As somebody saw fit, after looks at so many seeds."""

    looks: tuple[int, ...] = ()
    test: ClassVar[str] = "e-process"
    shared: ClassVar[bool] = False

    def p(self, d: Values, _roundings: Values, _counted: int, /) -> float | None:
        return anytime_p(d)

    def level(self, _level: float, _n: int, /) -> float:
        return 0.0  # a normal interval would be wider than that of the test

    def least_p(self, n: int) -> float:
        return _least_anytime_p(n)

    def interval(self, d: Values, level: float, _roundings: Values, /) -> Interval | None:
        return _ends(d, lambda shifted: (anytime_p(shifted) or 1.0) <= level) if len(d) > 1 else None


@lru_cache(maxsize=256)
def _least_anytime_p(n: int) -> float:
    return anytime_p(np.ones(min(n, _MOST_BITS))) or 1.0


def _ends(d: Values, ruled_out: Callable[[Values], bool]) -> Interval | None:
    """By halving between the mean, which is not ruled out, and one far outside. 0 is tried first, as it decides."""
    centre = float(d.mean())
    if ruled_out(d - centre):
        return None
    reach = float(np.ptp(d)) or abs(centre) or 1.0
    ends = []
    for side in (-1.0, 1.0):
        outside = centre + side * reach
        for _ in range(8):
            if ruled_out(d - outside):
                break
            outside += side * reach
        else:
            return None
        ends.append(halved(centre, outside, lambda mean: ruled_out(d - mean)))
    return ends[0], ends[1]


@dataclass(frozen=True)
class Signal:
    """What a pair is tested by, in the order of the seeds: differences divided by 2^`exponent`. `last`: whether no more
    will come; `lost`: which of them are of a run that was lost, so that nothing is equivalent from then on."""

    d: Values
    roundings: Values
    exponent: int
    last: bool = False
    lost: NDArray[np.bool_] | None = None

    def whole(self, n: int) -> bool:
        """Whether none of the first n was lost."""
        return self.lost is None or not bool(self.lost[:n].any())


def ends_of(signals: Sequence[Signal], until: UntilDecided, alpha: float, margin: float | None) -> list[End]:
    """When each pair of a family ends, from the records alone: whoever looks, and whenever, finds the same.

    Found is by Holm's method over the family; one that is found lets the others be tested at a higher level from then
    on, their earlier looks too.
    """
    family, ends = len(signals), dict[int, End]()
    level, tests = alpha / max(family, 1), [_Running(one, until) for one in signals]
    at = [0] * family
    for n in range(until.least, max((len(one.d) for one in signals), default=0) + 1):
        for i in range(family):
            at[i] = at[i] if i in ends else min(n, len(signals[i].d))
        open_ = [i for i in range(family) if ends.get(i, _OPEN).why not in ("found", "equivalent")]
        while found := [i for i in open_ if at[i] >= until.least and tests[i].found_by(at[i], level)]:
            ends |= {i: End(tests[i].gone_at, "found", level) for i in found}
            open_ = [i for i in open_ if i not in found]
            level = alpha / max(sum(one.why != "found" for one in ends.values()) + family - len(ends), 1)
        for i in open_:
            if i not in ends and at[i] == n and (why := _other_end(signals[i], n, until, alpha / family, margin)):
                ends[i] = End(n, why, level)
    return [
        ends[i] if ends.get(i, _OPEN).why in ("found", "equivalent")
        else End(at[i], ends.get(i, _OPEN).why or ("most" if signals[i].last else ""), level)
        for i in range(family)
    ]  # fmt: skip


_OPEN = End(0, "", 1.0)


class _Running:
    """A test that goes on from look to look, and begins again where its level changes."""

    def __init__(self, signal: Signal, until: UntilDecided) -> None:
        self._signal, self._until, self._level = signal, until, math.nan
        self._paths = Paths(1.0)

    @property
    def gone_at(self) -> int:
        """By how many seeds it was found."""
        return self._paths.gone_at or 0

    def found_by(self, n: int, level: float) -> bool:
        if level != self._level:
            self._level, self._paths = level, Paths(level)
        found = False
        while self._paths.n < n:
            self._paths.add(float(self._signal.d[self._paths.n]), float(self._signal.roundings[self._paths.n]))
            if self._paths.n >= self._until.least:
                found = self._paths.look(spent(level, self._paths.n, self._until.most))
        return found or self._paths.gone_at is not None


def _other_end(signal: Signal, n: int, until: UntilDecided, alpha: float, margin: float | None) -> Ended:
    """`alpha`: of one pair of the family."""
    d = signal.d[:n]
    if margin is not None and signal.whole(n) and float(np.ptp(d)) > 2 * float(signal.roundings[:n].sum()) / n:
        margin = float(np.ldexp(margin, -signal.exponent))
        inner = t_interval(d, until.level(2 * alpha, n))
        if inner is not None and -margin < inner[0] and inner[1] < margin:
            return "equivalent"
        if n < until.most and _chance_of(d, margin, until, alpha) < _HOPELESS:
            return "futile"
    return "most" if n >= until.most else ""


def _chance_of(d: Values, effect: float, until: UntilDecided, alpha: float) -> float:
    """The chance that the last look finds a difference, were it as large as `effect` to the side to which it is seen:
    normal, with the sd of what is there."""
    from scipy.special import ndtr, ndtri

    left, sd = until.most - len(d), float(d.std(ddof=1))
    edge = -float(ndtri(until.level(alpha, until.most) / 2)) * sd * math.sqrt(until.most)
    return float(ndtr((abs(d.sum()) + left * effect - edge) / (sd * math.sqrt(left))))
