"""Central differences of a function of several arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

STEP, STEP_32 = 1e-6, 1e-2


def central(f: Callable[[Mapping[str, Array]], float], at: Mapping[str, Array], name: str, step: float) -> Array:
    """df/d(at[name]), of its shape: (f(a + h) - f(a - h)) / 2h, number by number.

    >>> central(lambda v: float((v["x"] ** 2).sum()), {"x": np.array([1.0, 3.0])}, "x", 1e-6).round(6).tolist()
    [2.0, 6.0]
    """
    values = {key: np.array(value) for key, value in at.items()}
    slopes = np.zeros(values[name].shape)
    for i in np.ndindex(slopes.shape):
        before = values[name][i]
        values[name][i] = before + step
        above = f(values)
        values[name][i] = before - step
        below = f(values)
        values[name][i] = before
        slopes[i] = (above - below) / (2 * step)
    return slopes


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
