"""What is read off a model beside its metrics. A probe reads and changes nothing."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from paribus.core.record import Boundary
from paribus.tasks import Task

_POINTS = 120
_MARGIN = 0.1


class _Model(Protocol):
    def logits(self, x: NDArray[np.floating]) -> NDArray[np.floating]: ...


def boundary(learner: _Model, task: Task) -> Boundary | None:
    """The class predicted on a grid over the data, where the task has two inputs."""
    if task.card.input_shape != (2,):
        return None
    everything = np.concatenate([split.x for split in task.splits.values()])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = _MARGIN * (high - low)
    extent = np.stack([low - margin, high + margin], axis=1).ravel()
    empty = Boundary(extent, np.zeros((_POINTS, _POINTS), np.uint8))
    grid = np.stack(np.meshgrid(empty.x, empty.y), axis=-1).reshape(-1, 2)
    return Boundary(extent, learner.logits(grid).argmax(axis=1).reshape(_POINTS, _POINTS).astype(np.uint8))
