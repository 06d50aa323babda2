"""What stands on a network's outputs, and what a loss does with such outputs.

It is read off the graph that PyTorch's autograd keeps of one forward pass, so that a function (`torch.relu`) is seen as
well as a module (`nn.ReLU`). Only what gives the outputs is seen, with nothing but changes of shape after it: a ReLU
before a mean over an image, as in "Network in network" (Lin et al. 2013), does not stand on the outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from paribus.records.structure import ACTIVATION_ON_OUTPUTS, SOFTMAX_BEFORE_LOSS, tagged

_NO_CHANGE = {
    "View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Transpose", "T", "Permute", "Select", "Slice",
    "Alias", "Clone", "ToCopy", "Cat", "Expand",
}  # fmt: skip
"""Operations that give the numbers that they get, in another shape or type; `Cat` puts the logit of a second class
beside a constant."""

_GELU_LEAST, _SILU_LEAST, _MISH_LEAST = -0.17, -0.2785, -0.3089


def _elu(node: Any) -> tuple[float, float]:
    return -float(node._saved_alpha) * float(node._saved_scale), math.inf


def _hardtanh(node: Any) -> tuple[float, float]:
    return float(node._saved_min_val), float(node._saved_max_val)


_RANGES: dict[str, tuple[str, Callable[[Any], tuple[float, float]]]] = {
    "Relu": ("ReLU", lambda _: (0.0, math.inf)),
    "Hardtanh": ("Hardtanh or ReLU6", _hardtanh),
    "Tanh": ("tanh", lambda _: (-1.0, 1.0)),
    "Sigmoid": ("sigmoid", lambda _: (0.0, 1.0)),
    "Hardsigmoid": ("Hardsigmoid", lambda _: (0.0, 1.0)),
    "Softmax": ("softmax", lambda _: (0.0, 1.0)),
    "Softplus": ("softplus", lambda _: (0.0, math.inf)),
    "LogSigmoid": ("log-sigmoid", lambda _: (-math.inf, 0.0)),
    "Exp": ("exp", lambda _: (0.0, math.inf)),
    "Elu": ("ELU", _elu),
    "Gelu": ("GELU", lambda _: (_GELU_LEAST, math.inf)),
    "Silu": ("SiLU", lambda _: (_SILU_LEAST, math.inf)),
    "Mish": ("Mish", lambda _: (_MISH_LEAST, math.inf)),
}
"""An operation of autograd -> what it is called, and between what its values lie."""

_OUT_OF_REACH = 0.05
"""A share of the training targets."""


@dataclass(frozen=True)
class End:
    """What stands on the outputs: its name, between what they lie, and whether it is a dropout."""

    name: str
    low: float = -math.inf
    high: float = math.inf
    dropout: bool = False


def end_of(outputs: Tensor) -> End | None:
    """What gives the outputs, but for changes of shape; None where it is nothing that bounds or drops them.

    >>> import torch
    >>> end_of(torch.relu(torch.nn.Linear(3, 2)(torch.ones(4, 3)))).name
    'ReLU'
    """
    node: Any = outputs.grad_fn
    while node is not None:
        operation = node.name().partition("Backward")[0]
        before = [one for one, _ in node.next_functions if one is not None]
        if operation in _RANGES:
            called, limits = _RANGES[operation]
            low, high = limits(node)
            return End(called, low, high)
        if operation == "NativeDropout" or (operation == "Mul" and _is_dropout(node)):
            return End("dropout", dropout=True)
        if operation not in _NO_CHANGE or len(before) != 1:
            return None
        node = before[0]
    return None


def _is_dropout(node: Any) -> bool:
    """Whether numbers are multiplied by zeros and one other number, 1 / (1 - p)."""
    other = getattr(node, "_saved_other", None)
    if not isinstance(other, Tensor) or other.ndim < 2:
        return False
    values = np.unique(other.detach().cpu().double().numpy()).tolist()
    return len(values) == 2 and values[0] == 0 and values[1] > 1


def remark(end: End | None, *, classes: int, binary: bool, targets: NDArray[np.floating]) -> str | None:
    """What there is to say of outputs that end so. `classes`: 0 where numbers are predicted; `targets`: those of
    training, as a loss gets them."""
    if end is None:
        return None
    if not classes:
        return _of_numbers(end, targets)
    if end.dropout:  # of classes it does little harm
        return None
    if end.name in ("sigmoid", "softmax", "Hardsigmoid"):
        return _squashed(end, classes, binary=binary)
    if binary:
        return _of_one_logit(end)
    if end.low == 0 and end.name in ("ReLU", "Hardtanh or ReLU6"):
        return tagged(
            ACTIVATION_ON_OUTPUTS,
            f"a {end.name} stands on the logits: none is below 0, and one that is 0 has no gradient. Leave it out "
            "after the last layer",
        )
    if math.isfinite(end.low) and math.isfinite(end.high):
        least = math.log1p((classes - 1) * math.exp(end.low - end.high))
        return tagged(
            ACTIVATION_ON_OUTPUTS,
            f"a {end.name} stands on the logits, which lie between {end.low:g} and {end.high:g}: of {classes} classes, "
            f"the loss never falls below {least:.3g}. Leave it out after the last layer",
        )
    return None


def _squashed(end: End, classes: int, *, binary: bool) -> str:
    """Probabilities where a loss takes logits. A softmax of one output is always 1."""
    if binary:
        least = math.log1p(math.exp(-1.0))
        what = "which is 1 for every input" if end.name == "softmax" else "and the loss takes a sigmoid itself"
        return tagged(
            SOFTMAX_BEFORE_LOSS,
            f"a {end.name} stands on the one output, {what}: examples of the first class never have a loss below "
            f"{math.log(2):.3g}, those of the second none below {least:.3g}. Return the logit, without the {end.name}",
        )
    least = math.log(math.e + classes - 1) - 1
    return tagged(
        SOFTMAX_BEFORE_LOSS,
        f"a {end.name} stands on the outputs, and the loss takes a softmax of them: they lie between 0 and 1, so of "
        f"{classes} classes the loss never falls below {least:.3g}, and its gradients are small. Return the logits, "
        f"without the {end.name}",
    )


def _of_one_logit(end: End) -> str | None:
    if not (math.isfinite(end.low) or math.isfinite(end.high)):
        return None
    ends_ = [1 / (1 + math.exp(-one)) if math.isfinite(one) else float(one > 0) for one in (end.low, end.high)]
    return tagged(
        ACTIVATION_ON_OUTPUTS,
        f"a {end.name} stands on the one output, the logit of the second class: its probability lies between "
        f"{ends_[0]:.2g} and {ends_[1]:.2g} whatever the input is. Leave it out after the last layer",
    )


def _of_numbers(end: End, targets: NDArray[np.floating]) -> str | None:
    """Told only where targets lie out of reach; a softmax of one output is always 1. A dropout of rate p makes the
    squared error least at (1 - p) times the target."""
    if end.name == "softmax":
        return tagged(
            ACTIVATION_ON_OUTPUTS, "a softmax stands on the one output, which is 1 for every input. Leave it out"
        )
    if end.dropout:
        return tagged(
            ACTIVATION_ON_OUTPUTS,
            "a dropout stands on the output: in training it is 0 for a share of the examples and too large for the "
            "rest, so that numbers too near to 0 are learned. Put it before the last layer",
        )
    beyond = float(((targets < end.low) | (targets > end.high)).mean())
    if beyond <= _OUT_OF_REACH:
        return None
    limits = f"between {end.low:g} and {end.high:g}" if math.isfinite(end.high) else f"at {end.low:g} or above"
    if not math.isfinite(end.low):
        limits = f"at {end.high:g} or below"
    return tagged(
        ACTIVATION_ON_OUTPUTS,
        f"a {end.name} stands on the output, which lies {limits}, and {beyond:.0%} of the training targets, scaled to "
        "mean 0 and sd 1, do not. Leave it out after the last layer",
    )
