"""Losses for autograd: the formulas of `byhand.losses`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from paribus.config.settings import Settings
from paribus.config.values import Loss
from paribus.tasks import Task

Objective = Callable[[Tensor, Tensor], Tensor]
"""The mean loss of outputs (examples, outputs) and targets (examples,)."""


def training_loss(settings: Settings, task: Task, dtype: torch.dtype, device: torch.device) -> Objective:
    """What is minimised, but for l1: with smoothed labels and weights of classes."""
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
