"""Optimizers by hand: how a gradient g becomes a step of the parameters theta, in place.

Every optimizer is made from its settings' names (`paribus list optimizers`) and may be given another `lr` before any
step. A new one is a class with a `direction` and an entry of `OPTIMIZERS`.
"""

from __future__ import annotations

from collections.abc import Callable

from paribus.byhand.optimizers.adam import Adam, AdamW, NAdam
from paribus.byhand.optimizers.base import Optimizer, add_l1, clip_by_global_norm
from paribus.byhand.optimizers.lion import Lion
from paribus.byhand.optimizers.muon import Muon, orthogonalised
from paribus.byhand.optimizers.sgd import Sgd
from paribus.byhand.optimizers.squares import Adagrad, RmsProp

__all__ = ["OPTIMIZERS", "Optimizer", "Sgd", "add_l1", "clip_by_global_norm", "orthogonalised"]

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": Sgd,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RmsProp,
    "adagrad": Adagrad,
    "nadam": NAdam,
    "lion": Lion,
    "muon": Muon,
}
