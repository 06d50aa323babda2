"""Losses for autograd: the formulas of `byhand.losses`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from paribus.config.losses import UserLoss
from paribus.config.settings import Settings
from paribus.config.values import Loss
from paribus.tasks import Task

Objective = Callable[[Tensor, Tensor], Tensor]
"""The mean loss of outputs (examples, outputs) and targets (examples,)."""


def training_loss(settings: Settings, task: Task, dtype: torch.dtype, device: torch.device) -> Objective:
    """What is minimised, but for l1: with smoothed labels and weights of classes."""
    if isinstance(settings.loss, UserLoss):
        return _users(settings.loss, dtype, device, numbers=settings.task.regression)
    if settings.loss.of_numbers:
        return told_loss(settings.loss)
    weights = None if settings.class_weight == "none" else torch.from_numpy(task.class_weights()).to(device, dtype)
    smoothing = settings.label_smoothing
    return lambda z, y: functional.cross_entropy(z, y, weight=weights, label_smoothing=smoothing)


def told_loss(loss: Loss) -> Objective:
    """What an evaluation tells."""
    match loss.kind:
        case "mse":
            return lambda z, y: functional.mse_loss(z[:, 0], y)
        case "mae":
            return lambda z, y: functional.l1_loss(z[:, 0], y)
        case "huber":
            return lambda z, y: functional.huber_loss(z[:, 0], y)
        case "quantile":
            q = loss.q or 0.0

            def pinball(z: Tensor, y: Tensor) -> Tensor:
                d = z[:, 0] - y
                return torch.where(d > 0, (1 - q) * d, -q * d).mean()

            return pinball
    return functional.cross_entropy


def both_logits(z: Tensor) -> Tensor:
    """Of the second class's logit, shape (examples, 1) or (examples,), those of both: 0 and z."""
    column = z if z.ndim > 1 else z[:, None]
    return torch.cat([torch.zeros_like(column), column], dim=1)


def _users(loss: UserLoss, dtype: torch.dtype, device: torch.device, *, numbers: bool) -> Objective:
    """The user's function; of numbers to predict it gets outputs of the targets' shape."""
    function = loss.function.thing
    if isinstance(function, nn.Module):
        function = function.to(device, dtype)
        if any(one.requires_grad for one in function.parameters()):
            raise ValueError("the loss has parameters of its own, which nothing trains: put them into the model")

    def minimised(z: Tensor, y: Tensor) -> Tensor:
        found = function(z[:, 0] if numbers else z, y)
        if not isinstance(found, Tensor):
            raise TypeError(f"the loss gives {type(found).__name__}, not a tensor: compute it by PyTorch's functions")
        if found.ndim:
            raise ValueError(f"the loss has shape {tuple(found.shape)}, it has to be one number: take the mean")
        if not found.requires_grad:
            raise ValueError("the loss has no gradient: it may be computed through NumPy, or with .detach()")
        return found

    return minimised
