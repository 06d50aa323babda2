"""Initial values for a module of the user's, where a setting asks for others than its own."""

from __future__ import annotations

import torch
from torch import nn

from paribus.config.settings import Settings
from paribus.config.values import Initialisation
from paribus.models.initialisation import WEIGHTS
from paribus.plan import Plan

_OWN = (nn.Embedding, nn.EmbeddingBag)
"""Rows of a table, not weights of a sum: fan_in says nothing of them."""


def at_initial_values(module: nn.Module, settings: Settings, dtype: torch.dtype, plan: Plan) -> nn.Module:
    """A module of the user's as a run begins with it: in the type of its training, at its own values or those that
    `init` asks for."""
    module = module.to(dtype).train()
    if settings.init.kind != "default":
        draw_over(module, settings.init, plan)
    return module


def draw_over(module: nn.Module, init: Initialisation, plan: Plan) -> None:
    """Set the weights of a module's layers as `models.initialisation.initial_values` does, and their biases to 0.

    A weight has two axes or more, (out, in, ...); a bias is the `bias` beside it. All else stays as the module set it:
    norms, embeddings, biases of recurrent layers, parameters of its own with one axis. ValueError where that is all.

    >>> layer = nn.Linear(3, 2)
    >>> draw_over(layer, Initialisation("kaiming_normal"), Plan(0))
    >>> layer.bias.tolist()
    [0.0, 0.0]
    """
    weights = 0
    for tensor, (name, parameter) in enumerate(module.named_parameters()):
        if isinstance(parameter, nn.UninitializedParameter):
            raise ValueError(f"{name} has no size before its first input: init={init} needs layers that have one")
        path, _, last = name.rpartition(".")
        owner = module.get_submodule(path)
        weight = getattr(owner, "weight", None)
        if parameter.ndim > 1 and not isinstance(owner, _OWN):
            values = torch.from_numpy(WEIGHTS[init.kind](plan, tensor, tuple(parameter.shape), init))
            weights += 1
        elif last == "bias" and isinstance(weight, nn.Parameter) and weight.ndim > 1:
            values = torch.zeros(parameter.shape)
        else:
            continue
        with torch.no_grad():
            parameter.copy_(values)
    if not weights:
        raise ValueError(f"it has no layer with weights for init={init}: leave it out")
