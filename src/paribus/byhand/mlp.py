"""The multilayer perceptron by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from paribus.byhand.activations import ACTIVATIONS
from paribus.byhand.layers import Array, Dropout, Layer, Linear, Skip
from paribus.byhand.norms import NORMS, Norm


class Mlp:
    """x -> hidden layers -> Linear -> logits. A hidden layer: Linear -> norm, if any -> activation -> dropout, if any.

    `sizes`: inputs, hidden layers, classes. `skip`: a hidden layer f whose input and output have the same size gives
    x + f(x). Parameters are named as in the PyTorch model: `linears.0.weight`, `linears.0.bias`, ..., and after all of
    those `norms.0.weight`, ...

    Backward runs the same layers in the opposite order; each turns dL/d(output) into dL/d(input) (the chain rule).

    >>> model = Mlp([2, 3, 2])
    >>> {name: value.shape for name, value in model.parameters.items()}
    {'linears.0.weight': (3, 2), 'linears.0.bias': (3,), 'linears.1.weight': (2, 3), 'linears.1.bias': (2,)}
    >>> model.forward(np.ones((5, 2))).shape
    (5, 2)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        dropout: float = 0.0,
        dtype: type[np.floating] = np.float64,
        *,
        activation: str = "relu",
        norm: str = "none",
        skip: bool = False,
    ) -> None:
        hidden = sizes[1:-1]
        self.linears = [
            Linear(np.zeros((n_out, n_in), dtype), np.zeros(n_out, dtype)) for n_in, n_out in pairwise(sizes)
        ]
        self.norms: list[Norm] = [NORMS[norm](units, dtype) for units in hidden] if norm != "none" else []
        self.dropouts = [Dropout(dropout) for _ in hidden] if dropout else []
        self.dropped: tuple[int, ...] = tuple(hidden) if dropout else ()
        blocks: list[list[Layer]] = [
            [self.linears[i], *self.norms[i : i + 1], ACTIVATIONS[activation](), *self.dropouts[i : i + 1]]
            for i in range(len(hidden))
        ]
        self.layers: list[Layer] = []
        for block, n_in, n_out in zip(blocks, sizes, hidden, strict=False):
            self.layers += [Skip(block)] if skip and n_in == n_out else block
        self.layers.append(self.linears[-1])
        first = self.layers[0]
        assert isinstance(first, Linear | Skip)
        self._first = first
        # the norms after all linears: the plan's draws for a linear go by its place among the parameters
        named: dict[str, Layer] = {f"linears.{i}": linear for i, linear in enumerate(self.linears)}
        named |= {f"norms.{i}": one for i, one in enumerate(self.norms)}
        self._learned = {f"{name}.{key}": (layer, key) for name, layer in named.items() for key in layer.parameters}
        self.parameters: dict[str, Array] = {name: one.parameters[key] for name, (one, key) in self._learned.items()}
        self.buffers: dict[str, Array] = {
            f"norms.{i}.{key}": value for i, one in enumerate(self.norms) for key, value in one.buffers.items()
        }

    def load(self, values: Mapping[str, Array]) -> None:
        """Copy values into the parameters, in place, rounded to their type."""
        for name, parameter in self.parameters.items():
            parameter[...] = values[name]

    def train(self, *, training: bool = True) -> None:
        """Normalise with the batch's statistics (as a new model does), or with the running ones."""
        for norm in self.norms:
            norm.training = training

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
        dy = dlogits
        for layer in self.layers[:0:-1]:
            dy = layer.backward(dy)
        self._first.backward_to_parameters(dy)  # nobody asks for dL/d(data)
        return {name: layer.gradients[key] for name, (layer, key) in self._learned.items()}

    def at_once(self, x: Array) -> int:
        """All of them."""
        return max(1, len(x))
