"""The hand-written models in the loop."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from paribus.byhand.layers import SoftmaxCrossEntropy
from paribus.byhand.mlp import Mlp
from paribus.byhand.optimizers import OPTIMIZERS, clip_by_global_norm
from paribus.core.plan import Indices, Plan
from paribus.core.settings import Settings
from paribus.tasks import Task


class NumpyLearner:
    """Forward, backward and update by hand; see `learner.Learner`."""

    def __init__(self, settings: Settings, task: Task, plan: Plan) -> None:
        dtype = np.dtype(settings.precision).type
        self._plan = plan
        self._data = {
            name: (split.x.reshape(len(split), -1).astype(dtype), split.y) for name, split in task.splits.items()
        }
        self._x, self._y = self._data["train"]
        hidden, self._dropout = settings.mlp.hidden, settings.mlp.dropout
        self._hidden = hidden
        self.model = Mlp([math.prod(task.card.input_shape), *hidden, task.card.classes], self._dropout, dtype)
        self.loss = SoftmaxCrossEntropy()
        make = OPTIMIZERS[settings.optimizer.name]
        self.optimizer = make(self.model.parameters, **settings.optimizer.model_dump(exclude={"name"}))
        self._rate, self._clip = self.optimizer.lr, settings.clip

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: value.shape for name, value in self.model.parameters.items()}

    def load(self, values: Mapping[str, NDArray[np.floating]]) -> None:
        self.model.load(values)

    def scale_lr(self, factor: float) -> None:
        self.optimizer.lr = self._rate * factor

    def begin_epoch(self, batches: list[Indices]) -> None:
        pass

    def step(self, examples: Indices, epoch: int) -> float:
        keep = (
            [self._plan.keep(epoch, examples, i, units, self._dropout) for i, units in enumerate(self._hidden)]
            if self._dropout
            else ()
        )
        loss = self.loss.forward(self.model.forward(self._x[examples], keep), self._y[examples])
        gradients = self.model.backward(self.loss.backward())
        if self._clip is not None:
            clip_by_global_norm(gradients, self._clip)
        self.optimizer.step(gradients)
        return loss

    def evaluate(self, split: str) -> tuple[float, float]:
        x, y = self._data[split]
        logits = self.model.forward(x)
        return self.loss.forward(logits, y), float((logits.argmax(axis=1) == y).mean())

    def logits(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        return self.model.forward(x.reshape(len(x), -1).astype(self._x.dtype))

    def weights(self) -> dict[str, NDArray[np.floating]]:
        return {name: value.copy() for name, value in self.model.parameters.items()}
