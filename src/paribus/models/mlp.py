"""The multilayer perceptron in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """`torch.nn.Linear` whose parameters are left unset: building one draws nothing from the global generator."""

    def reset_parameters(self) -> None:
        """The plan sets them."""


class Mlp(nn.Module):
    """x -> Linear -> ReLU -> dropout -> ... -> Linear -> logits: a ReLU, and dropout if any, after every hidden layer.

    `sizes`: inputs, hidden layers, classes. The parameters are unset until they are loaded.

    >>> Mlp([2, 3, 2])(torch.zeros(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(self, sizes: Sequence[int], dropout: float = 0.0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.linears = nn.ModuleList(Linear(n_in, n_out, dtype=dtype) for n_in, n_out in pairwise(sizes))
        self.dropout = dropout

    def forward(self, x: Tensor, keep: Sequence[Tensor] = ()) -> Tensor:
        """Logits (examples, classes) for x (examples, inputs).

        `keep`: while training with dropout, one mask (examples, units) of 0 and 1 for each hidden layer.
        """
        last = len(self.linears) - 1
        for i, linear in enumerate(self.linears):
            x = linear(x)  # (examples, units)
            if i < last:
                x = torch.relu(x)
                if keep:
                    x = x * (keep[i].to(x.dtype) / (1 - self.dropout))
        return x
