"""What there is to choose from, by name: tasks, models, optimizers; and where the user's own takes their place."""

from __future__ import annotations

from paribus.config.base import Config
from paribus.config.models import MODELS, UserModel
from paribus.config.optimizers import OPTIMIZERS, UserOptimizer
from paribus.config.tasks import TASKS, UserData

REGISTRIES: dict[str, dict[str, type[Config]]] = {
    "task": dict(TASKS),
    "model": dict(MODELS),
    "optimizer": dict(OPTIMIZERS),
}
USER_DEFINED: dict[str, tuple[type[Config], str]] = {
    "task": (UserData, "arrays"),
    "model": (UserModel, "factory"),
    "optimizer": (UserOptimizer, "factory"),
}
"""The settings of what is the user's own, and the field that holds it."""
