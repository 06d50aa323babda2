"""Intervals of a mean: Student's, and the ends of any test's by halving."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

_FAR_OUT = 1e-6
_HALVINGS = 20  # an end is known to a millionth of its distance from where it is looked for


def t_interval(d: NDArray[np.float64], alpha: float) -> Interval | None:
    """mean +- t(1 - alpha / 2, n - 1) sd / sqrt(n); None with fewer than two values.

    Source: Student, The probable error of a mean (1908).
    """
    n = len(d)
    if n < 2:
        return None
    from scipy.special import stdtrit

    # the two are one but for the last digit; so far out 1 - alpha / 2 would be 1
    t = stdtrit(n - 1, 1 - alpha / 2) if alpha > _FAR_OUT else -stdtrit(n - 1, alpha / 2)
    half = float(t) * float(d.std(ddof=1)) / math.sqrt(n)
    return float(d.mean()) - half, float(d.mean()) + half


def halved(inside: float, outside: float, ruled_out: Callable[[float], bool]) -> float:
    """Between a mean that is not ruled out and one that is, the last that is not: a test rules out ever more from the
    mean outwards. 0 is tried first, as it decides.

    >>> round(halved(1.0, 5.0, lambda mean: mean > 3), 5)
    3.0
    """
    for i in range(_HALVINGS):
        middle = 0.0 if i == 0 and min(inside, outside) <= 0 <= max(inside, outside) else (inside + outside) / 2
        inside, outside = (inside, middle) if ruled_out(middle) else (middle, outside)
    return inside
