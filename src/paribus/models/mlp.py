"""The multilayer perceptron in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class Linear(nn.Linear):
    """`torch.nn.Linear` whose parameters are left unset: building one draws nothing from the global generator."""

    def reset_parameters(self) -> None:
        """The plan sets them."""


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "identity": lambda x: x,
}

NORMS: dict[str, Callable[[int, torch.dtype], nn.Module]] = {
    "batch": lambda units, dtype: nn.BatchNorm1d(units, dtype=dtype),
    "layer": lambda units, dtype: nn.LayerNorm(units, dtype=dtype),
}


class Mlp(nn.Module):
    """x -> hidden layers -> Linear -> logits. A hidden layer: Linear -> norm, if any -> activation -> dropout, if any.

    `sizes`: inputs, hidden layers, classes. `skip`: a hidden layer f whose input and output have the same size gives
    x + f(x). The parameters of the linear layers are unset until they are loaded.

    >>> Mlp([2, 3, 2])(torch.zeros(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        dropout: float = 0.0,
        dtype: torch.dtype = torch.float32,
        *,
        activation: str = "relu",
        norm: str = "none",
        skip: bool = False,
    ) -> None:
        super().__init__()
        self.linears = nn.ModuleList(Linear(n_in, n_out, dtype=dtype) for n_in, n_out in pairwise(sizes))
        # the norms after all linears: the plan's draws for a linear go by its place among the parameters
        self.norms = nn.ModuleList(NORMS[norm](units, dtype) for units in sizes[1:-1] if norm != "none")
        self.normalised = norm != "none"
        self.activation = ACTIVATIONS[activation]
        self.skips = [skip and n_in == n_out for n_in, n_out in pairwise(sizes[:-1])]
        self.dropout = dropout

    def forward(self, x: Tensor, keep: Sequence[Tensor] = ()) -> Tensor:
        """Logits (examples, classes) for x (examples, inputs).

        `keep`: while training with dropout, one mask (examples, units) of 0 and 1 for each hidden layer.
        """
        *hidden, last = self.linears
        norms = list(self.norms) if self.normalised else ()
        for i, linear in enumerate(hidden):
            y = linear(x)  # (examples, units)
            if norms:
                y = norms[i](y)
            y = self.activation(y)
            if keep:
                y = y * (keep[i].to(y.dtype) / (1 - self.dropout))
            x = x + y if self.skips[i] else y
        logits: Tensor = last(x)
        return logits
