"""The paths of PyTorch's own optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from paribus.checking.update_rules import LR, Path, start


def steps_of(cls: type, constants: Mapping[str, Any]) -> Path:
    """Of a class of optimizers, over the steps of `start`."""
    params, slopes = start()
    leaves = {name: torch.nn.Parameter(torch.tensor(one)) for name, one in params.items()}
    optimizer: torch.optim.Optimizer = cls(list(leaves.values()), lr=LR, **constants)
    path = []
    for g in slopes:
        for name, one in leaves.items():
            one.grad = torch.tensor(g[name])
        optimizer.step()
        path.append({name: one.detach().numpy().copy() for name, one in leaves.items()})
    return path


def of_torch(rule: str, own: Mapping[str, Any]) -> list[tuple[str, Path]]:
    """Those of that name, with the constants of what is checked, and with PyTorch's; none of a name that it has not."""
    cls = next((one for name, one in vars(torch.optim).items() if name.lower() == rule and isinstance(one, type)), None)
    if cls is None or rule == "sgd":  # of which `update_rules` has all
        return []
    known = {"betas": (own["beta1"], own["beta2"])} if {"beta1", "beta2"} <= own.keys() else {}
    known |= {name: own[name] for name in ("betas", "eps", "weight_decay", "momentum_decay", "rho") if name in own}
    found = []
    for constants in (known, {}):
        try:
            found.append((f"PyTorch's {cls.__name__}", steps_of(cls, constants)))
        except TypeError:  # a constant that this one has not
            continue
    return found
