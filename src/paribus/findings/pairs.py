"""Scores of two arms at the same seeds, ready to be tested: what rounding alone makes of them decides nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_ROUNDINGS = 4.0
"""Of both scores, of their difference, and of the two sums that are compared."""

_LEAST_EXPONENT = -1000  # 2**1074 is no number
_SHORT = 20
"""Numbers of no more binary digits are written exactly, in 32 bits as in 64."""


@dataclass(frozen=True)
class Pairs:
    """Scores of two arms, divided by 2^`exponent`, so that no sum of them overflows; shape (pairs,) each.

    `d`: a - b, exactly 0 where it may come from rounding alone; `roundings`: by how much each of the others may be off
    for no other reason than that scores have so many digits: 4 eps (|a| + |b|), eps that of 32 bits where all scores
    have no more.
    """

    a: Values
    b: Values
    d: Values
    roundings: Values
    exponent: int

    @property
    def rounding(self) -> float:
        """By how much a sum of all of them may be off."""
        return float(self.roundings.sum())

    @classmethod
    def of(cls, a: Sequence[float] | Values, b: Sequence[float] | Values, *, off: Values | None = None) -> Pairs:
        """Of finite scores, in one order of the seeds. `off`: by how much rounding may put each difference, where they
        were computed from other scores; by default by the digits of both.

        >>> pairs = Pairs.of([0.3, 0.5], [0.1 + 0.2, 0.25])
        >>> pairs.d.tolist(), pairs.unscaled(pairs.d[1])
        ([0.0, 0.25], 0.25)
        """
        first, second = (np.asarray(one, dtype=np.float64) for one in (a, b))
        exponent = max(math.frexp(np.abs(np.concatenate([first, second])).max(initial=0.0))[1], _LEAST_EXPONENT)
        scaled, other = np.ldexp(first, -exponent), np.ldexp(second, -exponent)
        tiny = np.finfo(
            float
        ).smallest_subnormal  # next to 0, where eps of a score is no number: as written, and scaled
        smallest = max(np.ldexp(tiny, -exponent), tiny)
        least = np.maximum(np.finfo(float).eps * (np.abs(scaled) + np.abs(other)), smallest)
        own = np.ldexp(digits(first), -exponent) + np.ldexp(digits(second), -exponent)
        rounding = _ROUNDINGS * np.maximum(own if off is None else np.ldexp(off, -exponent), least)
        d = scaled - other
        kept = np.abs(d) > rounding
        return cls(scaled, other, np.where(kept, d, 0.0), np.where(kept, rounding, 0.0), exponent)

    def unscaled(self, value: float) -> float:
        """In the unit of the scores; infinite where it is beyond all numbers."""
        with np.errstate(over="ignore"):
            return float(np.ldexp(value, self.exponent))

    @property
    def same(self) -> bool:
        """Whether all differences are one and the same, but for rounding."""
        n = len(self.d)
        return n > 0 and float(np.ptp(self.d)) <= 2 * self.rounding / n


def digits(scores: Values) -> Values:
    """By how much each score may be off for no other reason than that it is written with so many digits.

    Those of 32 bits where every score, or a hundredth of it, has no more, and some have many.

    >>> scores = np.array([0.5, 0.1])
    >>> bool((digits(scores) < 1e-15).all()), bool((digits(scores.astype(np.float32)) > 1e-9).all())
    (True, True)
    """
    scores = np.asarray(scores, dtype=np.float64)
    finite = np.where(np.isfinite(scores), scores, 0.0)
    eps = np.finfo(np.float32 if _single(finite) or _single(finite / 100) else np.float64).eps
    return np.asarray(float(eps) * np.abs(finite))


def _single(scores: Values) -> bool:
    """Whether they are numbers of 32 bits, and not just short ones."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        single = scores.astype(np.float32).astype(np.float64)
        if not (np.abs(scores - single) <= np.finfo(float).eps * np.abs(scores)).all():
            return False
    short = np.ldexp(np.frexp(single)[0], _SHORT)
    return bool((short != np.rint(short)).any()) and not bool((single == np.rint(single)).all())


def ranked(a: Values, b: Values) -> Values:
    """The differences of their ranks among all scores of both, ties at their mean rank; infinity is the last.

    Scores that differ by rounding alone are ties.

    >>> ranked(np.array([0.3, np.inf]), np.array([0.1 + 0.2, 0.9])).tolist()
    [0.0, 1.0]
    """
    from scipy.stats import rankdata  # half a second to import

    both, off = np.concatenate([a, b]), _ROUNDINGS * np.concatenate([digits(a), digits(b)])
    order = np.argsort(both, kind="stable")
    ascending, off = both[order], off[order]
    with np.errstate(invalid="ignore", over="ignore"):  # of two infinities
        apart = (ascending[1:] != ascending[:-1]) & ~(np.diff(ascending) <= off[1:] + off[:-1])
    group = np.empty(len(both))
    group[order] = np.concatenate([[0], np.cumsum(apart)])[: len(both)]
    found: Values = rankdata(group, method="average")
    return found[: len(a)] - found[len(a) :]


def with_worst(d: Values, side: Values) -> Values:
    """Differences in the order of their seeds; where `side` is not 0 one run was lost, and the difference is as large
    as the largest so far, to that side. So it counts as the worst, and what came before it stays as it was.

    >>> with_worst(np.array([0.0, 2.0, -3.0, 0.0]), np.array([1.0, 0.0, 0.0, -1.0])).tolist()
    [2.0, 2.0, -3.0, -3.0]
    """
    size = np.maximum.accumulate(np.where(side == 0, np.abs(d), 0.0))
    first = size[size > 0][:1]
    return np.where(side == 0, d, side * np.where(size > 0, size, first if len(first) else 1.0))
