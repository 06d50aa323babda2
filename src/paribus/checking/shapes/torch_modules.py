"""Modules and functions of PyTorch: their backward by autograd, of copies in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from paribus.checking.build import Made, _fitting, made
from paribus.checking.differences import Array
from paribus.checking.isolation import Generators, called
from paribus.checking.shapes.operation import Operation, Passed, required


class TorchOperation(Operation):
    """f(inputs) with the parameters of a module, by `torch.func.functional_call`."""

    def __init__(self, module: Any, apply: Callable[..., Any] | None, generators: Generators) -> None:
        self._module, self._apply, self._generators = module, apply, generators
        known = {} if module is None else dict(module.named_parameters())
        self.params: dict[str, Array] = {n: p.detach().double().numpy().copy() for n, p in known.items()}
        self.settings = (
            {k: v for k, v in vars(module).items() if isinstance(v, int | float)} if module is not None else {}
        )

    def _run(self, inputs: Mapping[str, Any], params: Mapping[str, Array]) -> tuple[Any, list[Any], dict[str, Any]]:
        self._generators.set_back()
        torch.default_generator.manual_seed(0)  # of this device alone: torch.manual_seed takes milliseconds
        given = [
            torch.tensor(v, requires_grad=v.dtype.kind == "f") if isinstance(v, np.ndarray) else v
            for v in inputs.values()
        ]
        weights = {n: torch.tensor(v, requires_grad=True) for n, v in params.items()}
        if self._apply is not None:
            return called(self._apply, *given), given, weights
        buffers = {n: b.clone() for n, b in self._module.named_buffers()}
        y = called(torch.func.functional_call, self._module, {**buffers, **weights}, tuple(given))
        return y, given, weights

    def forward(self, inputs: Mapping[str, Any], params: Mapping[str, Array]) -> Any:
        """As an array."""
        y = self._run(inputs, params)[0]
        return (y[0] if isinstance(y, tuple) else y).detach().numpy()

    def passed(self, inputs: Mapping[str, Any], params: Mapping[str, Array], dy: Any, *, times: int = 1) -> Passed:
        """By autograd."""
        y, given, weights = self._run(inputs, params)
        y = y[0] if isinstance(y, tuple) else y
        called(_summed(y, dy).backward)
        slopes = {
            n: g.grad.numpy() for n, g in zip(inputs, given, strict=True) if torch.is_tensor(g) and g.grad is not None
        }
        grads = {n: None if w.grad is None else w.grad.numpy() for n, w in weights.items()}
        return Passed(y.detach().numpy(), slopes, grads)

    def after_another(self, inputs: Mapping[str, Any], other: Mapping[str, Any], dy: Any) -> Passed | None:
        """Two graphs of one module."""
        y, given, weights = self._run(inputs, self.params)
        self._run(other, self.params)
        called(_summed(y[0] if isinstance(y, tuple) else y, dy).backward)
        slopes = {
            n: g.grad.numpy() for n, g in zip(inputs, given, strict=True) if torch.is_tensor(g) and g.grad is not None
        }
        return Passed(y, slopes, {n: None if w.grad is None else w.grad.numpy() for n, w in weights.items()})

    def again(self, first: Mapping[str, Any], second: Mapping[str, Any], dys: tuple[Any, Any]) -> Passed:
        """One after the other."""
        if dys[0] is not None:
            self.passed(first, self.params, dys[0])
        return self.passed(second, self.params, dys[1])


def _summed(y: Any, dy: Any) -> Any:
    """The sum of y dy: backward of an array, and not of a number, makes PyTorch import half of itself."""
    return (y * torch.as_tensor(np.asarray(dy), dtype=y.dtype)).sum()


def of_module(thing: Any, name: str, op: str | None, generators: Generators) -> Made:
    """A module, a class of modules, or an autograd.Function."""
    if isinstance(thing, type) and issubclass(thing, torch.autograd.Function):
        operation = TorchOperation(None, thing.apply, generators)
        names = (required(thing.forward) or ["ctx", "x"])[1:] or ["x"]
    else:
        module = thing if isinstance(thing, torch.nn.Module) else made(thing, name, op, generators)
        operation = TorchOperation(module.double(), None, generators)
        names = required(module.forward) or ["x"]
    return operation, _fitting(operation, names, op, name)
