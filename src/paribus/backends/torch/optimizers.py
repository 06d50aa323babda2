"""PyTorch's optimizers from settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from paribus.config.optimizers import OptimizerConfig, Sgd, UserOptimizer


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


def make_optimizer(settings: OptimizerConfig | UserOptimizer, parameters: Iterable[Tensor]) -> Optimizer:
    """PyTorch's optimizer with these settings, or the user's own."""
    if isinstance(settings, UserOptimizer):
        made = settings.factory.thing(parameters, **({} if settings.lr is None else {"lr": settings.lr}))
        if not isinstance(made, Optimizer):
            raise TypeError(f"its function gave {type(made).__name__}, not a torch.optim.Optimizer")
        return made
    kind, arguments = OPTIMIZERS[settings.name]
    chosen = arguments(settings.model_dump(exclude={"name", "decay", "decoupled"}))
    if isinstance(settings, Sgd) and settings.decoupled:
        chosen["weight_decay"] = 0.0  # `decoupled_decay` does it
    if settings.decay == "all":
        return lean(kind)(parameters, **chosen)
    parameters = list(parameters)
    weights = [one for one in parameters if one.dim() > 1]
    others = [one for one in parameters if one.dim() <= 1]
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    return lean(kind)([group for group in groups if group["params"]], **chosen)


def decoupled_decay(optimizer: Optimizer, settings: Sgd) -> None:
    """Decoupled weight decay for SGD, before its step: theta <- theta - lr w theta.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization (2019), algorithm 1.
    """
    for group in optimizer.param_groups:
        decayed = [one for one in group["params"] if settings.decay == "all" or one.dim() > 1]
        if decayed:
            with torch.no_grad():
                torch._foreach_mul_(decayed, 1 - group["lr"] * settings.weight_decay)


def add_l1(parameters: Iterable[Tensor], strength: float) -> None:
    """As `byhand.optimizers.add_l1`: the gradient of strength * sum |w| is added to that of every weight w."""
    with torch.no_grad():
        for one in parameters:
            if one.dim() > 1 and one.requires_grad:
                push = strength * torch.sign(one)
                one.grad = push if one.grad is None else one.grad.add_(push)
