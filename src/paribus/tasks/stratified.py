"""Splits that each have every class by its share in the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stratified(order: NDArray[np.int64], y: NDArray[np.int64], sizes: Sequence[int]) -> NDArray[np.int64]:
    """The rows of `order` so that the first `sizes[0]`, the next `sizes[1]`, ... and the rest each have every class by
    its share, rows of a class in the order in which they stood. A class has a row in the rest, and one in each split
    before it, as far as it has rows.

    >>> y = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1])
    >>> y[stratified(np.arange(10), y, (5,))].tolist()
    [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    """
    left, parts = order, []
    for place, size in enumerate(sizes):
        classes, of, counts = np.unique(y[left], return_inverse=True, return_counts=True)
        later = sum(one > 0 for one in sizes[place + 1 :]) + 1
        taken = _shares(counts, size, np.maximum(counts - later, 0))
        nth = np.empty(len(left), dtype=np.int64)  # which row of its class each is
        for number in range(len(classes)):
            mine = np.flatnonzero(of == number)
            nth[mine] = np.arange(len(mine))
        chosen = nth < taken[of]
        parts.append(left[chosen])
        left = left[~chosen]
    return np.concatenate([*parts, left])


def _shares(counts: NDArray[np.int64], size: int, most: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of each class stand in `size` rows: by its share of them, at most `most` where that can be kept, those
    that would have none before those that lose a part of a row."""
    quota = counts * size / max(int(counts.sum()), 1)
    taken = np.minimum(np.floor(quota).astype(np.int64), most)
    for _ in range(size - int(taken.sum())):
        free = taken < most if (taken < most).any() else taken < counts
        none = free & (taken == 0)
        taken[int(np.argmax(np.where(none if none.any() else free, quota - taken, -np.inf)))] += 1
    return taken
