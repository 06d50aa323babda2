"""The PyTorch models in the loop."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Optimizer

from paribus.core.plan import Indices, Plan
from paribus.core.settings import Settings
from paribus.models.mlp import Mlp
from paribus.tasks import Task


def lean(optimizer: type[Optimizer]) -> type[Optimizer]:
    """The same optimizer, without `torch._dynamo`, whose import at the first call takes as long as PyTorch's own.

    PyTorch wraps these methods so that `torch.compile` leaves them alone; `functools.wraps` keeps what is inside. Where
    a release wraps them no longer, this is the optimizer itself.
    """

    def step(self: Optimizer, closure: None = None) -> None:
        with torch.no_grad():
            inspect.unwrap(optimizer.step)(self, closure)

    step.hooked = True  # type: ignore[attr-defined]  # no profiler around each step
    methods: dict[str, Any] = {
        name: inspect.unwrap(getattr(optimizer, name)) for name in ("add_param_group", "zero_grad")
    }
    return type(optimizer.__name__, (optimizer,), {**methods, "step": step})


class TorchLearner:
    """Autograd and `torch.optim`; see `learner.Learner`."""

    def __init__(self, settings: Settings, task: Task, plan: Plan) -> None:
        self._dtype = getattr(torch, settings.precision)
        self._plan = plan
        self._data = {
            name: (
                torch.from_numpy(split.x.reshape(len(split), -1)).to(self._dtype),
                torch.from_numpy(split.y.copy()),
            )
            for name, split in task.splits.items()
        }
        self._x, self._y = self._data["train"]
        self._hidden, self._dropout = settings.model.hidden, settings.model.dropout
        sizes = [math.prod(task.card.input_shape), *self._hidden, task.card.classes]
        self.model = Mlp(sizes, self._dropout, self._dtype)
        self._parameters = dict(self.model.named_parameters())
        self.optimizer = lean(SGD)(self._parameters.values(), **settings.optimizer.model_dump(exclude={"name"}))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(value.shape) for name, value in self._parameters.items()}

    def load(self, values: Mapping[str, NDArray[np.floating]]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(torch.from_numpy(values[name]))

    def step(self, examples: Indices, epoch: int) -> Tensor:
        rows = torch.from_numpy(examples)
        keep = (
            [
                torch.from_numpy(self._plan.keep(epoch, examples, i, units, self._dropout))
                for i, units in enumerate(self._hidden)
            ]
            if self._dropout
            else ()
        )
        loss = cross_entropy(self.model(self._x[rows], keep), self._y[rows])
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def evaluate(self, split: str) -> tuple[float, float]:
        x, y = self._data[split]
        with torch.inference_mode():
            logits = self.model(x)
            return cross_entropy(logits, y).item(), (logits.argmax(dim=1) == y).double().mean().item()

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.int64]:
        with torch.inference_mode():
            classes: NDArray[np.int64] = (
                self.model(torch.from_numpy(x.reshape(len(x), -1)).to(self._dtype)).argmax(dim=1).numpy()
            )
        return classes

    def weights(self) -> dict[str, NDArray[np.floating]]:
        return {name: value.detach().numpy().copy() for name, value in self._parameters.items()}
