"""The PyTorch twin of a network by hand: linear layers, an activation between them, an ending; gradient descent in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from paribus.checking.autograd import applied
from paribus.checking.differences import Array, distance
from paribus.checking.known import variants
from paribus.checking.networks.driver import LR, Affine

ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid", "leaky_relu", "elu", "gelu", "silu", "softplus")
ENDINGS = ("logits", "softmax", "log_softmax", "sigmoid")
_MOST = 2  # hidden layers whose activations are told apart; of more, all have the same
Activation = tuple[str, str]  # name and variant


@dataclass(frozen=True, kw_only=True)
class Form:
    """What stands between the linear layers, and after the last; `gap`: how far its output is from the network's."""

    activations: tuple[Activation, ...]
    ending: str
    gap: float = 0.0
    without: str | None = None

    def __str__(self) -> str:
        names = dict.fromkeys(f"{name} {variant}".strip().replace("_", " ") for name, variant in self.activations)
        return f"{', '.join(names) or 'another activation'}; {self.ending.replace('_', ' ')}"


def affine(x: Array, one: Affine, params: Mapping[str, Array], without: str | None = None) -> Array:
    """x W + b, the weight as it lies; `without`: a bias that is left out."""
    weight = params[one.weight]
    z: Array = x @ (weight.T if one.turned else weight)
    return z if one.bias in {None, without} else z + params[str(one.bias)].ravel()


def activated(op: str, z: Array) -> dict[str, Array]:
    """Its variants; the identity has one."""
    return {"": z} if op == "identity" else variants(op, [z], {}, {}) or {}


def ending_of(y: Array) -> str:
    """What the numbers of an output are: shares, their logarithms, numbers between 0 and 1, or any."""
    if (y > 0).all() and (y < 1).all():
        return "softmax" if np.allclose(y.sum(1), 1, atol=1e-5) else "sigmoid"
    return "log_softmax" if np.allclose(np.exp(y).sum(1), 1, atol=1e-5) else "logits"


def likeliest(x: Array, y: Array, affines: tuple[Affine, ...], params: Mapping[str, Array]) -> Form:
    """The form whose output is nearest to y, of all activations and endings; with a bias left out where that is y."""
    found = [_nearest(x, y, affines, params, None)]
    if found[0].gap > 1e-6:
        found += [_nearest(x, y, affines, params, one.bias) for one in affines if one.bias is not None]
    return min(found, key=lambda form: form.gap)


def _nearest(x: Array, y: Array, affines: tuple[Affine, ...], params: Mapping[str, Array], without: str | None) -> Form:
    hidden = len(affines) - 1
    usual = [(op, variant) for op in ACTIVATIONS for variant in activated(op, np.zeros((1, 1)))]
    several = product(usual, repeat=hidden) if hidden <= _MOST else ((one,) * hidden for one in usual)
    best: Form | None = None
    for activations in several:
        z = x
        for i, one in enumerate(affines):
            z = affine(z, one, params, without)
            if i < hidden:
                op, variant = activations[i]
                z = activated(op, z)[variant]
        for ending in ENDINGS:
            out = z if ending == "logits" else activated(ending, z)[""]
            gap = distance(np.asarray(y, float), out)
            if best is None or gap < best.gap:
                best = Form(activations=activations, ending=ending, gap=gap, without=without)
    assert best is not None
    return best


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A step of the twin, before the parameters move: each stage's output and slope, and the parameters' slopes.

    The stages: `input`, then of each layer its linear part and what its activation makes of it; `output` last.
    """

    loss: float
    stages: tuple[str, ...]
    outputs: tuple[Array, ...]
    slopes: tuple[Array, ...]
    params: Mapping[str, Array]


class Twin:
    """The same values, trained by PyTorch."""

    def __init__(self, affines: tuple[Affine, ...], form: Form, params: Mapping[str, Array]) -> None:
        import torch

        self._affines, self._form = affines, form
        self._params = {n: torch.tensor(v, dtype=torch.float64, requires_grad=True) for n, v in params.items()}

    def _stages(self, x: Any) -> list[tuple[str, Any]]:
        found = [("input", x)]
        for i, one in enumerate(self._affines, 1):
            weight = self._params[one.weight]
            z = found[-1][1] @ (weight.T if one.turned else weight)
            if one.bias is not None:
                z = z + self._params[one.bias].ravel()
            found.append((f"linear layer {i}", z))
            if i < len(self._affines):
                op, variant = self._form.activations[i - 1]
                if op != "identity":
                    found.append((f"{op.replace('_', ' ')} {i}", applied(op, variant, z)))
        if self._form.ending != "logits":
            found.append((self._form.ending.replace("_", " "), applied(self._form.ending, "", found[-1][1])))
        return found

    def _loss(self, y: Any, z: Any, t: Any) -> Any:
        if self._form.ending == "sigmoid":
            import torch

            return torch.nn.functional.binary_cross_entropy(y, t, reduction="sum") / len(t)
        log = {"softmax": lambda: y.log(), "log_softmax": lambda: y, "logits": lambda: z.log_softmax(1)}
        return -(t * log[self._form.ending]()).sum() / len(t)

    def step(self, x: Array, t: Array, scale: float) -> Pass:
        """Forward, backward of the mean cross-entropy times `scale`, and a step of gradient descent."""
        import torch

        start = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        names, stages = zip(*self._stages(start), strict=True)
        for one in stages:
            one.retain_grad()
        loss = self._loss(stages[-1], stages[-1], torch.tensor(t))
        (loss * scale).backward()
        found = Pass(
            loss=float(loss.detach()),
            stages=names,
            outputs=tuple(one.detach().numpy().copy() for one in stages),
            slopes=tuple(one.grad.numpy().copy() for one in stages),
            params={n: v.grad.numpy().copy() for n, v in self._params.items()},  # type: ignore[union-attr]
        )
        with torch.no_grad():  # as torch.optim.SGD, whose import takes seconds
            for one in self._params.values():
                one -= LR * one.grad  # type: ignore[operator]
                one.grad = None
        return found

    def values(self) -> dict[str, Array]:
        """The parameters now."""
        return {name: one.detach().numpy().copy() for name, one in self._params.items()}
