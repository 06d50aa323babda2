"""A study that was extended without a declared maximum: a verdict that holds however often it was looked at.

The e-process is the wealth of somebody who bets at each seed on the sign of the next difference, at even odds:

    E_n = 1/8 sum over theta in {1/2, 1, 2, 4} and both sides of prod_i (1 +- tanh(theta |d_i| / s_i) sgn d_i)

with s_i^2 the mean of d_1^2 ... d_i^2. Where differences are symmetric about 0 its mean stays 1, so that it ever comes
to 1 / alpha with a chance of at most alpha: p is 1 / the largest E so far.

Source: A. Ramdas and others, Admissible anytime-valid sequential inference must rely on nonnegative martingales (2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_THETA = np.array([0.5, 1.0, 2.0, 4.0])


def wealths(d: Values) -> tuple[Values, Values]:
    """After each difference what those own who bet on positive ones, and on negative ones; shape (seeds,) each."""
    spread = np.sqrt(np.cumsum(d**2) / np.arange(1, len(d) + 1))
    size = np.divide(np.abs(d), spread, out=np.zeros_like(d), where=spread > 0)
    bets = np.tanh(_THETA[:, None] * size) * np.sign(d)
    with np.errstate(over="ignore"):
        return np.cumprod(1 + bets, axis=1).mean(axis=0), np.cumprod(1 - bets, axis=1).mean(axis=0)


def e_values(d: Values) -> Values:
    """E after each difference, in the order of their seeds; shape (seeds,).

    >>> e_values(np.array([1.0, 1.0, 1.0, 1.0])).round(2).tolist()
    [1.0, 1.68, 3.04, 5.64]
    """
    more, less = wealths(d)
    return np.asarray((more + less) / 2)


def side(d: Values) -> int:
    """Which side the largest E so far was won on, 1 or -1; 0 where the mean has gone over to the other since.

    >>> side(np.array([1.0, 1, 1, 1, 1])), side(np.array([1.0, 1, 1, 1, -9]))
    (1, 0)
    """
    more, less = wealths(d)
    at = int((more + less).argmax())
    won = 1 if more[at] >= less[at] else -1
    return won if won * float(d.sum()) > 0 else 0


def anytime_p(d: Values) -> float | None:
    """1 / the largest E so far, at most 1; None without differences.

    >>> round(anytime_p(np.ones(8)), 4), anytime_p(np.array([1.0, -1.0]))
    (0.0136, 1.0)
    """
    if not len(d):
        return None
    return float(min(1.0, 1 / max(1.0, float(e_values(d).max()))))
