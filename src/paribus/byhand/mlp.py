"""The multilayer perceptron by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from paribus.byhand.layers import Array, Dropout, Layer, Linear, ReLU


class Mlp:
    """x -> Linear -> ReLU -> Dropout -> ... -> Linear -> logits: a ReLU, and dropout if any, after every hidden layer.

    `sizes`: inputs, hidden layers, classes. Parameters are named as in the PyTorch model:
    `linears.0.weight`, `linears.0.bias`, ...

    Backward runs the same layers in the opposite order; each turns dL/d(output) into dL/d(input) (the chain rule).

    >>> model = Mlp([2, 3, 2])
    >>> {name: value.shape for name, value in model.parameters.items()}
    {'linears.0.weight': (3, 2), 'linears.0.bias': (3,), 'linears.1.weight': (2, 3), 'linears.1.bias': (2,)}
    >>> model.forward(np.ones((5, 2))).shape
    (5, 2)
    """

    def __init__(self, sizes: Sequence[int], dropout: float = 0.0, dtype: type[np.floating] = np.float64) -> None:
        self.linears = [
            Linear(np.zeros((n_out, n_in), dtype), np.zeros(n_out, dtype)) for n_in, n_out in pairwise(sizes)
        ]
        self.dropouts = [Dropout(dropout) for _ in self.linears[:-1]] if dropout else []
        self.layers: list[Layer] = []
        for i, linear in enumerate(self.linears):
            self.layers.append(linear)
            if i < len(self.linears) - 1:
                self.layers.append(ReLU())
                self.layers += self.dropouts[i : i + 1]
        self.parameters: dict[str, Array] = {
            f"linears.{i}.{name}": value
            for i, linear in enumerate(self.linears)
            for name, value in linear.parameters.items()
        }

    def load(self, values: Mapping[str, Array]) -> None:
        """Copy values into the parameters, in place, rounded to their type."""
        for name, parameter in self.parameters.items():
            parameter[...] = values[name]

    def forward(self, x: Array, keep: Sequence[NDArray[np.bool_]] = ()) -> Array:
        """Logits (examples, classes) for x (examples, inputs).

        `keep`: while training with dropout, one mask (examples, units) for each hidden layer.
        """
        for i, dropout in enumerate(self.dropouts):
            dropout.keep = keep[i] if keep else None
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dlogits: Array) -> dict[str, Array]:
        """dL/d(parameter) for every parameter, from dL/d(logits) of the last `forward`."""
        for layer in reversed(self.layers[1:]):
            dlogits = layer.backward(dlogits)
        self.linears[0].backward_to_parameters(dlogits)
        return {
            f"linears.{i}.{name}": gradient
            for i, linear in enumerate(self.linears)
            for name, gradient in linear.gradients.items()
        }
