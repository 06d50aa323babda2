"""What there is to choose from, by name: tasks, models, optimizers; and where the user's own takes their place."""

from __future__ import annotations

from paribus.config.base import Config
from paribus.config.implementations import UserImplementation
from paribus.config.losses import UserLoss
from paribus.config.models import MODELS, UserEstimator, UserModel
from paribus.config.optimizers import OPTIMIZERS, UserOptimizer
from paribus.config.tasks import TASKS, TableData, UserData
from paribus.config.user_code import UserDefined, UserTable, is_estimator

REGISTRIES: dict[str, dict[str, type[Config]]] = {
    "task": dict(TASKS),
    "model": dict(MODELS),
    "optimizer": dict(OPTIMIZERS),
}
A_TABLE = "a table"
"""What a task is called in messages whose settings are those of a file's columns."""

USER_DEFINED: dict[str, tuple[type[Config], str]] = {
    "task": (UserData, "arrays"),
    "model": (UserModel, "factory"),
    "optimizer": (UserOptimizer, "factory"),
    "loss": (UserLoss, "function"),
    "implementation": (UserImplementation, "network"),
}
"""The settings of what is the user's own, and the field that holds it."""


def own_config(kind: str, chosen: UserDefined) -> type[Config]:
    """The settings of a thing of the user's: of a table it has those of its columns, too."""
    if kind == "model" and is_estimator(chosen.thing):
        return UserEstimator
    return TableData if isinstance(chosen, UserTable) else USER_DEFINED[kind][0]
