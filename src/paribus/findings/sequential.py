"""Seeds until decided: sign flips looked at after every seed up to a declared maximum.

Looking often finds too much, unless what may be found by chance is spent over the looks: by the look at n of at most N
seeds alpha (n / N)^2 of it. Given the sizes of the differences every path of their signs is as likely as the one that
was seen. At each look those of the paths that still run whose sums lie farthest from 0 are taken out, until so large a
share of all is gone; where the path that was seen goes, a difference is found. So the chance to find one where there is
none is at most alpha, whatever the scores' distribution, as long as it is symmetric.

Sources: K. K. G. Lan and D. L. DeMets, Discrete sequential boundaries for clinical trials (Biometrika 1983); K. Kim and
D. L. DeMets, Design and analysis of group sequential tests based on the type I error spending rate function (Biometrika
1987); for families T. Ye and others, A group sequential Holm procedure with multiple primary endpoints (Statistics in
Medicine 2013); C. Jennison and B. W. Turnbull, Interim analyses: the repeated confidence interval approach (JRSS B
1989).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_ALL, MOST_FOLLOWED = 14, 18
"""Every path of so many signs is followed, of many pairs of more; of further seeds each goes on at random, by a
generator that is always the same, so that alpha holds but for sqrt(alpha / paths), 0.2 points."""

_FARTHEST = 12.0  # standard deviations: beyond, no share is left that a number could hold
_POINTS = 301  # of a sum's density; more change no level by a thousandth of itself


class Paths:
    """The paths of the signs of one pair, taken in one difference after the other. `level`: the least chance that has
    to be told from others."""

    def __init__(self, level: float) -> None:
        self._sums, self._alive = np.zeros(1), np.ones(1, dtype=bool)
        self._all, self._rounding, self.n = followed(level), 0.0, 0
        self.gone_at: int | None = None

    def add(self, d: float, rounding: float = 0.0) -> None:
        """The next difference, and by how much rounding may put it: sums that are closer than all of these are tied.

        The first path is the one that was seen; those that differ from others in every sign are left out, as their sums
        are as far from 0."""
        self._rounding += rounding
        if self.n == 0:
            self._sums = self._sums + d
        elif self.n <= self._all:
            self._sums = np.concatenate([self._sums + d, self._sums - d])
            self._alive = np.concatenate([self._alive, self._alive])
        else:
            self._sums = self._sums + d * _signs(self.n, len(self._sums))
        self.n += 1

    def look(self, share: float) -> bool:
        """Take out paths until at most this share of all is gone; whether the one that was seen is gone."""
        paths = len(self._sums)
        budget = math.floor(paths * share + 1e-9) - int(paths - self._alive.sum())
        size = np.abs(self._sums[self._alive])
        if self.gone_at is None and budget > 0:
            least = _boundary(size, budget, self._rounding) if budget < len(size) else 0.0
            self._alive &= ~(np.abs(self._sums) >= least)
            if not self._alive[0]:
                self.gone_at = self.n
        return self.gone_at is not None


def _boundary(size: Values, budget: int, rounding: float) -> float:
    """The least of the largest `budget` sums, or of fewer, so that no sum below it is tied with it; infinite where that
    is none."""
    top = np.sort(np.partition(size, len(size) - budget - 1)[-budget - 1 :])
    apart = np.flatnonzero(np.diff(top) > rounding + 4 * np.finfo(float).eps * top[1:])
    return float(top[apart[0] + 1]) if len(apart) else math.inf


@lru_cache(maxsize=1024)
def _signs(place: int, paths: int) -> NDArray[np.int8]:
    """Of every path the sign at one place; that of the first is the one that was seen."""
    signs = (2 * np.random.default_rng([place, paths]).integers(0, 2, paths) - 1).astype(np.int8)
    signs[0] = 1
    return signs


def spent(alpha: float, n: int, most: int) -> float:
    """What of alpha may be spent by the look at n of at most `most` seeds: alpha (n / most)^2.

    >>> spent(0.05, 20, 40)
    0.0125
    """
    return alpha * min(n / most, 1.0) ** 2


def followed(level: float) -> int:
    """Of how many signs after the first every path is followed: so many that a few paths are this share.

    >>> followed(0.05), followed(0.05 / 820), followed(1e-9)
    (14, 18, 18)
    """
    return min(max(_ALL, math.ceil(math.log2(8 / level))), MOST_FOLLOWED)


def found_at(d: Values, alpha: float, until: tuple[int, int], roundings: Values | None = None) -> int | None:
    """After how many of the differences, in the order of their seeds, a difference is found; None where it is not yet.
    `until`: the seeds of the first look and of the last; `roundings`: by how much each may be off.

    >>> found_at(np.array([1.0, 2.0, 1.5, 0.5, 1.0, 3.0, 2.0, 1.0, 0.7, 1.1]), 0.05, (6, 20))
    8
    """
    paths, (least, most) = Paths(alpha), until
    for n, (value, off) in enumerate(zip(d, np.zeros(len(d)) if roundings is None else roundings, strict=True), 1):
        paths.add(float(value), float(off))
        if n >= least and paths.look(spent(alpha, n, most)):
            return n
    return None


@lru_cache(maxsize=256)
def nominal_levels(alpha: float, least: int, most: int) -> tuple[float, ...]:
    """Of each look from `least` to `most` the level alpha'_n at which a normal test, looked at every time, spends what
    it may: P(|Z_n| >= z_n, none before) = alpha(n) - alpha(n - 1), and alpha'_n = P(|Z_n| >= z_n).

    By recursive integration over the density of the sums that are left.

    Source: P. Armitage, C. K. McPherson and B. C. Rowe, Repeated significance tests on accumulating data (JRSS A 1969).

    >>> levels = nominal_levels(0.05, 6, 40)
    >>> len(levels), round(levels[0], 6), round(levels[-1], 3)
    (35, 0.001125, 0.024)
    """
    from scipy.special import ndtr

    levels, before = [], 0.0
    density, points = np.ones(1), np.zeros(1)  # nothing is added before the first look
    for n in range(least, most + 1):
        step = math.sqrt(least if n == least else 1)
        z = _bound(density, points, step, math.sqrt(n), spent(alpha, n, most) - before)
        levels.append(2 * float(ndtr(-z)))
        before = spent(alpha, n, most)
        ends = math.sqrt(n) * np.linspace(-z, z, _POINTS + 1)
        inside = ndtr((ends[None, :] - points[:, None]) / step)
        density, points = density @ np.diff(inside, axis=1), (ends[1:] + ends[:-1]) / 2
    return tuple(levels)


def _bound(density: Values, points: Values, step: float, unit: float, target: float) -> float:
    """At how many units the next sum lies further out with this chance. `density`: of the sums before, at `points`."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    def beyond(z: float) -> float:
        edge = z * unit
        return float((density * (ndtr((points - edge) / step) + ndtr((-points - edge) / step))).sum())

    return float(brentq(lambda z: beyond(z) - target, 0.0, _FARTHEST))
