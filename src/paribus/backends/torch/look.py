"""A look at a PyTorch module: what its layers are given, and the gradients of their weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paribus.training.vitals import Layer, Look, Moves

_MOST = 2**18
"""Numbers of a layer's inputs that are looked at; of more every k-th row."""

_BOUNDED: dict[type[nn.Module], str] = {nn.Tanh: "tanh", nn.Hardtanh: "tanh", nn.Sigmoid: "sigmoid"}


def look(model: nn.Module, x: Tensor, outputs_of: Callable[[Tensor], Tensor], loss: Callable[[Tensor], Tensor]) -> Look:
    """Forward and backward of a copy that may be spoilt. `outputs_of`: what a loss takes, from what the module gives.

    Layers stand in the order in which they are called; parameters of no such layer, of a recurrent one say, come after
    them, without inputs.
    """
    given: dict[str, Tensor] = {}
    bounded: dict[str, str] = {}
    ends: list[tuple[Tensor, str]] = []  # holds the tensors, so that no other has their place
    handles: list[Any] = []
    for name, module in model.named_modules():
        for kind, called in _BOUNDED.items():
            if isinstance(module, kind):
                handles.append(module.register_forward_hook(_remember(ends, called)))
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim > 1:
            handles.append(module.register_forward_pre_hook(_take(given, bounded, ends, name)))
    for parameter in model.parameters():
        parameter.grad = None
    try:
        with torch.enable_grad():
            outputs = outputs_of(model(x))
            value = loss(outputs)
            value.backward()  # type: ignore[no-untyped-call]
    finally:
        for handle in handles:
            handle.remove()
    named = dict(model.named_parameters())
    of_layers = {f"{name}.weight" if name else "weight": name for name in given}
    order = [*of_layers, *(name for name, one in named.items() if one.ndim > 1 and name not in of_layers)]
    layers = []
    for name in order:
        weight, owner = named[name], of_layers.get(name)
        gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
        layers.append(
            Layer(
                name if owner is None else owner or "weight",
                _numpy(weight),
                _numpy(gradient),
                None if owner is None else _units(given[owner]),
                None if owner is None else bounded.get(owner),
            )
        )
    return Look(layers, _numpy(outputs), float(value.detach()))


def move(model: nn.Module, moved: Moves) -> None:
    """Add to the weights of layers, by the names that `look` gives them."""
    named = dict(model.named_parameters())
    with torch.no_grad():
        for layer, by in moved.items():
            weight = named[layer] if layer in named else named[f"{layer}.weight"]
            weight.add_(torch.from_numpy(np.asarray(by)).to(weight))


def _remember(ends: list[tuple[Tensor, str]], called: str) -> Callable[..., None]:
    def after(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            ends.append((output, called))

    return after


def _take(
    given: dict[str, Tensor], bounded: dict[str, str], ends: list[tuple[Tensor, str]], name: str
) -> Callable[..., None]:
    def before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0] if inputs else None
        if name in given or not isinstance(x, Tensor) or not x.is_floating_point():
            return
        if called := next((kind for one, kind in ends if one is x), None):
            bounded[name] = called
        units_first = isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and x.ndim > 2
        given[name] = (x.movedim(1, -1) if units_first else x).detach()

    return before


def _units(x: Tensor) -> NDArray[np.floating]:
    """(examples, ..., units) -> (rows, units), no more rows than are needed."""
    rows = x.reshape(-1, x.shape[-1])
    step = max(1, -(-rows.numel() // _MOST))
    return _numpy(rows[::step])


def _numpy(x: Tensor) -> NDArray[np.floating]:
    found: NDArray[np.floating] = (
        x.detach().float().cpu().numpy() if x.dtype == torch.bfloat16 else x.detach().cpu().numpy()
    )
    return found
