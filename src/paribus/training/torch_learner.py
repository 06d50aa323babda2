"""The PyTorch models in the loop."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.utils.data import DataLoader, TensorDataset

from paribus.core.plan import Indices, Plan
from paribus.core.settings import OptimizerSettings, OwnOptimizer, Settings
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
    add_param_group = inspect.unwrap(optimizer.add_param_group)
    return type(optimizer.__name__, (optimizer,), {"add_param_group": add_param_group, "step": step})


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return settings


def _with_betas(settings: dict[str, Any]) -> dict[str, Any]:
    return {"betas": (settings.pop("beta1"), settings.pop("beta2")), **settings}


OPTIMIZERS: dict[str, tuple[type[Optimizer], Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "sgd": (SGD, _plain),
    "adam": (Adam, _with_betas),
    "adamw": (AdamW, _with_betas),
    "rmsprop": (RMSprop, _plain),
}
"""PyTorch's class for each optimizer, and how settings become its arguments."""


def make_optimizer(settings: OptimizerSettings | OwnOptimizer, parameters: Iterable[Tensor]) -> Optimizer:
    """PyTorch's optimizer with these settings, or the user's own."""
    if isinstance(settings, OwnOptimizer):
        made = settings.factory.thing(parameters, **({} if settings.lr is None else {"lr": settings.lr}))
        if not isinstance(made, Optimizer):
            raise TypeError(f"its function gave {type(made).__name__}, not a torch.optim.Optimizer")
        return made
    kind, arguments = OPTIMIZERS[settings.name]
    return lean(kind)(parameters, **arguments(settings.model_dump(exclude={"name"})))


class PlannedBatches:
    """A batch sampler that hands a `DataLoader` the plan's batches."""

    def __init__(self) -> None:
        self.batches: list[Indices] = []

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class TorchLearner:
    """Autograd and `torch.optim`; see `learner.Learner`."""

    def __init__(self, settings: Settings, task: Task, plan: Plan) -> None:
        self._dtype = getattr(torch, settings.precision)
        self._plan = plan
        self._data = {
            name: (
                self._inputs(split.x),
                torch.from_numpy(split.y.copy()),
            )
            for name, split in task.splits.items()
        }
        self._x, self._y = self._data["train"]
        self.model = self._make_model(settings, task)
        self._parameters = dict(self.model.named_parameters())
        self.optimizer = make_optimizer(settings.optimizer, self._parameters.values())
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self._clip = settings.clip
        self._planned = PlannedBatches()
        self._loader = (
            # a generator of its own: the loader draws a seed for its workers from the global one
            DataLoader(TensorDataset(self._x, self._y), batch_sampler=self._planned, generator=torch.Generator())
            if settings.loader == "dataloader"
            else None
        )

    def _make_model(self, settings: Settings, task: Task) -> nn.Module:
        self._hidden, self._dropout = settings.mlp.hidden, settings.mlp.dropout
        sizes = [math.prod(task.card.input_shape), *self._hidden, task.card.classes]
        return Mlp(sizes, self._dropout, self._dtype)

    def _inputs(self, x: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(x.reshape(len(x), -1)).to(self._dtype)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(value.shape) for name, value in self._parameters.items()}

    def load(self, values: Mapping[str, NDArray[np.floating]]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(torch.from_numpy(values[name]))

    def scale_lr(self, factor: float) -> None:
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def begin_epoch(self, batches: list[Indices]) -> None:
        if self._loader is not None:
            self._planned.batches = batches
            self._batches = iter(self._loader)

    def step(self, examples: Indices, epoch: int) -> Tensor:
        if self._loader is None:
            rows = torch.from_numpy(examples)
            x, y = self._x[rows], self._y[rows]
        else:
            x, y = next(self._batches)
        loss = cross_entropy(self._training_logits(x, examples, epoch), y)
        for parameter in self._parameters.values():
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        if self._clip is not None:
            clip_grad_norm_(self._parameters.values(), self._clip)
        self.optimizer.step()
        return loss.detach()

    def _training_logits(self, x: Tensor, examples: Indices, epoch: int) -> Tensor:
        keep = (
            [
                torch.from_numpy(self._plan.keep(epoch, examples, i, units, self._dropout))
                for i, units in enumerate(self._hidden)
            ]
            if self._dropout
            else ()
        )
        logits: Tensor = self.model(x, keep)
        return logits

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        return logits

    def evaluate(self, split: str) -> tuple[float, float]:
        x, y = self._data[split]
        with torch.inference_mode():
            logits = self._logits(x)
            return cross_entropy(logits, y).item(), (logits.argmax(dim=1) == y).double().mean().item()

    def logits(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        with torch.inference_mode():
            found: NDArray[np.floating] = self._logits(self._inputs(x)).numpy()
        return found

    def weights(self) -> dict[str, NDArray[np.floating]]:
        return {name: value.detach().numpy().copy() for name, value in self._parameters.items()}
