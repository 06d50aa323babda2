"""Recall of one class: of its examples, the share that was recognised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Recall:
    """Right predictions of class `number` over all examples of that class, a share from 0 to 1; NaN where there is no
    such example.

    >>> Recall(1)(np.array([0, 1, 1, 1, 1]), np.array([1, 1, 0, 1, 1]))
    0.75
    """

    number: int

    def __call__(self, y: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
        of = y == self.number
        return float((predicted[of] == self.number).mean()) if of.any() else float("nan")
