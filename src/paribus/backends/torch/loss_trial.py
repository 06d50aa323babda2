"""What a loss of the user's own does, seen from what it gives for outputs of which the answer is known.

Each test holds for every loss of its kind, up to rounding, and is made on three draws of outputs: what is told is told
of the function itself, whatever network it trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from paribus.config.user_errors import RAISED
from paribus.records.structure import (
    BROADCAST_LOSS,
    FLIPPED_LOSS,
    REGRESSION_AS_CLASSES,
    SUMMED_LOSS,
    tagged,
)

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of outputs (examples, outputs) and targets (examples,)."""

_EXAMPLES = 12
_SAME = 1e-4
"""By what share of itself a loss may differ where it is the same: float32, and sums of a few examples."""

_FAR = 4.0
"""Where outputs are plainly wrong: in logits, or in the targets' sd."""

_ERRORS: dict[str, Callable[[Tensor], Tensor]] = {"squared": torch.square, "absolute": torch.abs}
_PROBABILITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "the outputs": lambda z: z,
    "softmax": lambda z: z.softmax(dim=1),
    "sigmoid": lambda z: z.sigmoid(),
}


def remarks(loss: Loss, classes: int, dtype: torch.dtype, device: torch.device) -> list[str]:
    """What there is to say of it; nothing of one that draws, or that does not take such outputs. `classes`: 0 of
    numbers to predict.

    >>> def summed(z: Tensor, y: Tensor) -> Tensor:
    ...     return functional.cross_entropy(z, y, reduction="sum")
    >>> [one.rpartition(" ")[2] for one in remarks(summed, 3, torch.float64, torch.device("cpu"))]
    ['[summed-loss]']
    """
    try:
        draws = [_draw(seed, classes, dtype, device) for seed in (0, 1, 2)]
        if not all(_finite(loss, z, y) for z, y in draws):
            return []
        found = []
        if all(_flipped(loss, z, y, classes) for z, y in draws):
            found.append(
                tagged(
                    FLIPPED_LOSS,
                    "the loss is lower for outputs that are wrong than for outputs that are right, and it is "
                    "minimised: turn its sign",
                )
            )
        if all(_ignores_pairs(loss, z, y) for z, y in draws):
            found.append(
                tagged(
                    BROADCAST_LOSS,
                    "the loss is the same whichever target belongs to which output, as where shapes (n, 1) and (n,) "
                    "are subtracted to (n, n): give both the same shape",
                )
            )
        if all(_summed(loss, z, y) for z, y in draws):
            found.append(
                tagged(
                    SUMMED_LOSS,
                    "the loss is a sum over the batch, so that the gradient, and what a rate means, grow with "
                    "batch_size: take the mean over the examples",
                )
            )
        if classes and (told := _error_of_classes(loss, draws)):
            found.append(told)
        return found
    except RAISED:  # whatever a user's function raises for outputs that no network gave
        return []


def _draw(seed: int, classes: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Outputs, and targets that are not all the same."""
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(_EXAMPLES, classes or 1, generator=random, dtype=torch.float64).to(dtype)
    y = torch.randn(_EXAMPLES, generator=random, dtype=torch.float64).to(dtype)
    if classes:
        y = (torch.arange(_EXAMPLES) % classes)[torch.randperm(_EXAMPLES, generator=random)]
    return z.to(device), y.to(device)


def _value(loss: Loss, z: Tensor, y: Tensor) -> float:
    return float(loss(z.clone().requires_grad_(), y.clone()).detach())


def _finite(loss: Loss, z: Tensor, y: Tensor) -> bool:
    """Whether it is a number, the same each time, that depends on the outputs."""
    one, again, other = _value(loss, z, y), _value(loss, z, y), _value(loss, 0.5 * z, y)
    return math.isfinite(one) and one == again and not _same(one, other)


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME * max(abs(one), abs(other))


def _flipped(loss: Loss, z: Tensor, y: Tensor, classes: int) -> bool:
    """Whether it rises from wrong outputs to right ones, whichever way they are wrong."""
    if classes:
        right, wrong = (_FAR * functional.one_hot(one, classes).to(z.dtype) for one in (y, (y + 1) % classes))
        best, worse = _value(loss, right, y), [_value(loss, wrong, y)]
    else:
        best = _value(loss, y[:, None], y)
        worse = [_value(loss, (y + far)[:, None], y) for far in (_FAR, -_FAR)]
    return all(best > one and not _same(best, one) for one in worse)


def _ignores_pairs(loss: Loss, z: Tensor, y: Tensor) -> bool:
    one = _value(loss, z, y)
    return all(_same(one, _value(loss, z, torch.cat([y[steps:], y[:steps]]))) for steps in (1, 2, 3, 5))


def _summed(loss: Loss, z: Tensor, y: Tensor) -> bool:
    one, twice = _value(loss, z, y), _value(loss, torch.cat([z, z]), torch.cat([y, y]))
    part, rest = _value(loss, z[:5], y[:5]), _value(loss, z[5:], y[5:])
    return _same(twice, 2 * one) and _same(part + rest, one) and not _same(one, 0.0)


def _error_of_classes(loss: Loss, draws: list[tuple[Tensor, Tensor]]) -> str | None:
    """Where it is, up to a factor, the mean squared or absolute error of outputs or probabilities."""
    found = [_value(loss, z, y) for z, y in draws]
    for error, measure in _ERRORS.items():
        for called, probability in _PROBABILITIES.items():
            theirs = [
                float(measure(probability(z) - functional.one_hot(y, z.shape[1]).to(z.dtype)).mean()) for z, y in draws
            ]
            if found[0] > 0 and all(_same(found[0] * b, a * theirs[0]) for a, b in zip(found, theirs, strict=True)):
                return tagged(
                    REGRESSION_AS_CLASSES,
                    f"it is the {error} error of {called}, with 1 for the class and 0 for the others: its gradient is "
                    "small where an answer is certain and wrong; cross-entropy's is not",
                )
    return None
