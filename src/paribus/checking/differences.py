"""Central differences of a function of several arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

STEP, STEP_32 = 6e-6, 1e-2
"""About the cube root of the rounding, eps: there h^2 f''' / 6 and eps / h are of one size, 1e-11."""


def central(
    f: Callable[[Mapping[str, Array]], Any],
    at: Mapping[str, Array],
    name: str,
    dy: Any,
    step: float = STEP,
    *,
    places: Array | None = None,
) -> Array:
    """d(sum of f dy)/d(at[name]), of its shape: the sum of (f(a + h) - f(a - h)) dy / 2h, number by number.

    The values are subtracted before they are summed: the sum of many numbers would round away what one of them changes.

    `places`: numbers, in the order of memory, of which alone it is taken; the others are 0.

    >>> central(lambda v: v["x"] ** 2, {"x": np.array([1.0, 3.0])}, "x", np.ones(2)).round(6).tolist()
    [2.0, 6.0]
    """
    values = {key: np.array(value) for key, value in at.items()}
    slopes = np.zeros(values[name].shape)
    every = range(slopes.size) if places is None else places
    for i in (np.unravel_index(int(one), slopes.shape) for one in every):
        before = values[name][i]
        values[name][i] = before + step
        above = np.array(f(values), float)
        values[name][i] = before - step
        below = np.array(f(values), float)
        values[name][i] = before
        slopes[i] = np.sum((above - below) * dy) / (2 * step)
    return slopes


def extrapolated(
    f: Callable[[Mapping[str, Array]], Any],
    at: Mapping[str, Array],
    name: str,
    dy: Any,
    step: float,
    *,
    places: Array | None = None,
) -> Array:
    """(4 D(h) - D(2h)) / 3, which has no error of order h^2 (Richardson 1911): for functions that bend strongly.

    >>> found = extrapolated(lambda v: np.exp(v["x"]), {"x": np.zeros(1)}, "x", np.ones(1), 1e-3)
    >>> abs(found.item() - 1) < 1e-11
    True
    """
    once, twice = (central(f, at, name, dy, h, places=places) for h in (step, 2 * step))
    found: Array = (4 * once - twice) / 3
    return found


def sampled(places: Array | None, slopes: Any) -> Array:
    """Gradients at those places, and 0 elsewhere, as `central` gives them; None is all."""
    mine = np.asarray(slopes)
    if places is None:
        return mine
    found = np.zeros_like(mine)
    found.ravel()[places] = mine.ravel()[places]
    return found


def alike(mine: Array, true: Array, tolerance: float) -> bool:
    """Whether they are the same, up to a share of the largest number."""
    return distance(mine, true) <= tolerance


def distance(mine: Array, true: Array) -> float:
    """The largest difference, as a share of the largest true number (of 1e-3 where that is less)."""
    if not np.isfinite(mine).all():
        return float("inf")
    if not true.size:
        return 0.0
    return float(np.abs(np.asarray(mine, float) - true).max() / max(1e-3, float(np.abs(true).max())))
