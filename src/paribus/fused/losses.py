"""Losses of numbers to predict over one batch: the formulas of `byhand.losses`."""

# Compiled functions take their types from what they are called with.
# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs

from __future__ import annotations

import numpy as np

from paribus.fused.compiled import compiled
from paribus.fused.rows import ROW, get, put
from paribus.fused.softmax import LABEL

CROSS_ENTROPY, MEAN_SQUARED, MEAN_ABSOLUTE, HUBER, QUANTILE = 0, 1, 2, 3, 4
NUMBERS = {
    "cross_entropy": CROSS_ENTROPY,
    "mse": MEAN_SQUARED,
    "mae": MEAN_ABSOLUTE,
    "huber": HUBER,
    "quantile": QUANTILE,
}
"""A loss -> its number in `steps.RUN`."""


@compiled
def residuals(s, z, dz, work, n, share, kind, quantile):
    """dL/dz = share f'(d) into dz, with d = z - t; the targets t are in the row LABEL. Returns the sums of f(d), of d^2
    and of |d|, in float64: finite if and only if every loss is."""
    real, target = s.dtype.type, work + LABEL * ROW
    zero, one = real(0), real(1)
    above, below = real(1.0 - quantile), real(-quantile)
    loss = squares = sizes = 0.0
    for i in range(n):
        d = get(s, z + i) - get(s, target + i)
        size = d if d > zero else -d
        if kind == MEAN_SQUARED:
            slope, f = d + d, d * d
        elif kind == MEAN_ABSOLUTE:
            slope, f = one if d > zero else (-one if d < zero else zero), size
        elif kind == HUBER:
            slope, f = (d, real(0.5) * d * d) if size < one else (one if d > zero else -one, size - real(0.5))
        else:
            slope = above if d > zero else below
            f = slope * d
        put(s, dz + i, share * slope)
        loss += np.float64(f)
        squares += np.float64(d) * np.float64(d)
        sizes += np.float64(size)
    return loss, squares, sizes
