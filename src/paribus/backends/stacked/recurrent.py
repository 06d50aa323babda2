"""PyTorch's LSTM and GRU layers step by step, by the same formulas: `vmap` has no rule for the layers themselves."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

State = tuple[Tensor, ...]
Step = Callable[[Tensor, State, Tensor], State]
"""The state after a step: from W_ih x + b_ih, the state before, and W_hh h + b_hh."""


def go_by_steps(module: nn.Module) -> None:
    """Let every such layer of a module go by steps; those with two directions, projections or dropout stay as they are,
    for `vmap` to refuse."""
    for layer in module.modules():
        if not isinstance(layer, nn.LSTM | nn.GRU):
            continue
        if not (layer.bidirectional or layer.proj_size or (layer.dropout and layer.num_layers > 1)):
            setattr(layer, "forward", functools.partial(_layers, layer))  # noqa: B010 (mypy: a method)


def _lstm(driven: Tensor, state: State, fed_back: Tensor) -> State:
    """i, f, o = sigmoid, g = tanh of the gates;  c <- f c + i g;  h <- o tanh(c)."""
    i, f, g, o = (driven + fed_back).chunk(4, dim=-1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru(driven: Tensor, state: State, fed_back: Tensor) -> State:
    """r, z = sigmoid of the gates;  n = tanh(its drive + r its feedback);  h <- (1 - z) n + z h."""
    (h,) = state
    (dr, dz, dn), (fr, fz, fn) = driven.chunk(3, dim=-1), fed_back.chunk(3, dim=-1)
    z = torch.sigmoid(dz + fz)
    n = torch.tanh(dn + torch.sigmoid(dr + fr) * fn)
    return (1 - z) * n + z * h,  # fmt: skip


def _layers(
    module: nn.LSTM | nn.GRU, x: Tensor, hx: Tensor | tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
    """What `module(x, hx)` gives: the outputs of its last layer, and the last state of each layer.

    Formulas: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html and torch.nn.GRU.html
    """
    is_lstm = isinstance(module, nn.LSTM)
    parts: State = () if hx is None else hx if isinstance(hx, tuple) else (hx,)
    alone = x.dim() == 2
    if alone:  # one sequence, without an axis for the examples
        x, parts = x.unsqueeze(1), tuple(one.unsqueeze(1) for one in parts)
    elif module.batch_first:
        x = x.transpose(0, 1)  # (T, examples, inputs)
    last: list[State] = []
    for layer in range(module.num_layers):
        zeros = x.new_zeros(x.shape[1], module.hidden_size)
        state = tuple(one[layer] for one in parts) or ((zeros, zeros) if is_lstm else (zeros,))
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if module.bias else 2]
        w_ih, w_hh, *biases = (getattr(module, f"{name}_l{layer}") for name in names)
        b_ih, b_hh = biases or (None, None)
        step: Step = _lstm if is_lstm else _gru
        states = []
        for driven in linear(x, w_ih, b_ih).unbind():
            state = step(driven, state, linear(state[0], w_hh, b_hh))
            states.append(state[0])
        x = torch.stack(states)
        last.append(state)
    ends = tuple(torch.stack(each) for each in zip(*last, strict=True))
    if alone:
        x, ends = x.squeeze(1), tuple(one.squeeze(1) for one in ends)
    elif module.batch_first:
        x = x.transpose(0, 1)
    return x, ends if is_lstm else ends[0]
