"""Recurrent networks in PyTorch: the report's cell, the LSTM and the GRU, each read out after the last step, or after
every one."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from paribus.models.mlp import Linear


class Recurrent(Protocol):
    """A model that carries a state along a sequence. x: (examples, T, inputs)."""

    def states(self, x: Tensor) -> list[Tensor]:
        """h(1), ..., h(T), each (examples, hidden) and each computed from the one before it."""

    def read(self, h: Tensor) -> Tensor:
        """Logits (examples, classes) from a state h (examples, hidden)."""


class Rnn(nn.Module):
    """h(t) = tanh(W_hx x(t) + W_hh h(t-1) + b_h) for t = 1, ..., T, from h(0) = 0;  logits = W_ph h(T) + b_o.

    A loop over time of PyTorch's operations; W_hx x(t) is one product for all steps. Parameters: `w_hx`
    (hidden, inputs), `w_hh` (hidden, hidden), `b_h` (hidden,), `w_ph` (classes, hidden), `b_o` (classes,), unset until
    they are loaded. `every_step`: logits are W_ph h(t) + b_o for each t.

    >>> Rnn(1, 3, 10)(torch.zeros(5, 4, 1)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self, inputs: int, hidden: int, classes: int, dtype: torch.dtype = torch.float32, *, every_step: bool = False
    ) -> None:
        super().__init__()
        self._every = every_step
        self.w_hx = nn.Parameter(torch.empty(hidden, inputs, dtype=dtype))
        self.w_hh = nn.Parameter(torch.empty(hidden, hidden, dtype=dtype))
        self.b_h = nn.Parameter(torch.empty(hidden, dtype=dtype))
        self.w_ph = nn.Parameter(torch.empty(classes, hidden, dtype=dtype))
        self.b_o = nn.Parameter(torch.empty(classes, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (examples, classes) for x (examples, T, inputs); with `every_step` (examples, T, classes)."""
        states = self.states(x)
        return self.read(torch.stack(states, dim=1) if self._every else states[-1])

    def states(self, x: Tensor) -> list[Tensor]:
        """h(1), ..., h(T), each (examples, hidden), for x (examples, T, inputs)."""
        driven = linear(x.transpose(0, 1), self.w_hx, self.b_h)  # (T, examples, hidden)
        h, states = driven.new_zeros(driven.shape[1:]), []
        # unbind's backward is one stack; that of driven[t] would fill a tensor of driven's size for each t
        for drive in driven.unbind():
            h = torch.tanh(torch.addmm(drive, h, self.w_hh.T))
            states.append(h)
        return states

    def read(self, h: Tensor) -> Tensor:
        """Logits (examples, classes) from a state h (examples, hidden)."""
        return linear(h, self.w_ph, self.b_o)


class _UnsetLstm(nn.LSTM):
    """`torch.nn.LSTM` whose parameters are left unset: building one draws nothing from the global generator."""

    def reset_parameters(self) -> None:
        """The plan sets them."""


class _UnsetGru(nn.GRU):
    """`torch.nn.GRU`, likewise."""

    def reset_parameters(self) -> None:
        """The plan sets them."""


class _ReadOut(nn.Module):
    """One of PyTorch's recurrent layers, and a linear layer on h(T), or on every h(t)."""

    def __init__(self, recurrent: nn.RNNBase, classes: int, dtype: torch.dtype, *, every_step: bool) -> None:
        super().__init__()
        self._every = every_step
        self.recurrent = recurrent
        self.linear = Linear(recurrent.hidden_size, classes, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (examples, classes) for x (examples, T, inputs); with `every_step` (examples, T, classes)."""
        outputs, _ = self.recurrent(x)  # (examples, T, hidden)
        return self.read(outputs if self._every else outputs[:, -1])

    def read(self, h: Tensor) -> Tensor:
        """Logits (examples, classes) from a state h (examples, hidden)."""
        logits: Tensor = self.linear(h)
        return logits


class Lstm(_ReadOut):
    """`torch.nn.LSTM` from states of 0, then a linear layer on h(T).

    Parameters: `recurrent.weight_ih_l0` (4 hidden, inputs), `recurrent.weight_hh_l0` (4 hidden, hidden),
    `recurrent.bias_ih_l0` and `recurrent.bias_hh_l0` (4 hidden,), rows in the order of the gates i, f, g, o;
    `linear.weight` (classes, hidden), `linear.bias` (classes,). Unset until they are loaded.

    Source: S. Hochreiter and J. Schmidhuber, Long short-term memory (Neural Computation 1997); F. A. Gers et al.,
    Learning to forget (2000), for the gate f; formulas: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html

    >>> Lstm(1, 3, 10)(torch.zeros(5, 4, 1)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self, inputs: int, hidden: int, classes: int, dtype: torch.dtype = torch.float32, *, every_step: bool = False
    ) -> None:
        recurrent = _UnsetLstm(inputs, hidden, batch_first=True, dtype=dtype)
        super().__init__(recurrent, classes, dtype, every_step=every_step)

    def states(self, x: Tensor) -> list[Tensor]:
        """h(1), ..., h(T), each (examples, hidden), step by step with the same weights."""
        h = c = x.new_zeros(len(x), self.recurrent.hidden_size)
        states = []
        for step in x.unbind(1):
            h, c = torch.lstm_cell(step, (h, c), *self.recurrent.all_weights[0])
            states.append(h)
        return states


class Gru(_ReadOut):
    """`torch.nn.GRU` from a state of 0, then a linear layer on h(T).

    Parameters as those of `Lstm`, with 3 hidden rows in the order of the gates r, z, n. Unset until they are loaded.

    Source: K. Cho et al., Learning phrase representations using RNN encoder-decoder (EMNLP 2014); formulas (the reset
    gate after the product, unlike there): https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html

    >>> Gru(1, 3, 10)(torch.zeros(5, 4, 1)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self, inputs: int, hidden: int, classes: int, dtype: torch.dtype = torch.float32, *, every_step: bool = False
    ) -> None:
        recurrent = _UnsetGru(inputs, hidden, batch_first=True, dtype=dtype)
        super().__init__(recurrent, classes, dtype, every_step=every_step)

    def states(self, x: Tensor) -> list[Tensor]:
        """h(1), ..., h(T), each (examples, hidden), step by step with the same weights."""
        h, states = x.new_zeros(len(x), self.recurrent.hidden_size), []
        for step in x.unbind(1):
            h = torch.gru_cell(step, h, *self.recurrent.all_weights[0])
            states.append(h)
        return states


def state_gradients(model: Recurrent, x: Tensor, y: Tensor) -> NDArray[np.float64]:
    """|dL/dh(t)| for t = 1, ..., T, shape (T,), for L the mean cross-entropy of x (examples, T, inputs), y (examples,).

    The root of the sum over examples and units of the squares, as `byhand.rnn.Rnn.state_gradient_norms` has it. Every
    way from h(t) through later steps counts. An LSTM carries c(t) beside h(t), and what the loss feels through c(t)
    alone is not in it. The parameters' own gradients are left as they are.

    >>> model = Rnn(1, 2, 10)
    >>> for parameter in model.parameters():
    ...     _ = nn.init.constant_(parameter, 0.1)
    >>> state_gradients(model, torch.zeros(3, 5, 1), torch.tensor([0, 1, 2])).shape
    (5,)
    """
    with torch.enable_grad():
        states = model.states(x)
        gradients = torch.autograd.grad(cross_entropy(model.read(states[-1]), y), states)
    norms: list[float] = []
    for gradient in gradients:
        # scaled to 1, in float64: the squares of a gradient of 1e-30 are no float32 numbers
        largest = gradient.abs().max().double()
        scale = largest if 0 < largest < torch.inf else 1.0
        norms.append(float(torch.linalg.vector_norm(gradient.double() / scale) * scale))
    return np.array(norms)
