"""How a model is moved: the settings of every optimizer, and their registry."""

from __future__ import annotations

from typing import ClassVar, Literal

from paribus.config.base import Config, setting
from paribus.config.user_code import UserDefined


class OptimizerConfig(Config):
    """What every optimizer takes."""

    summary: ClassVar[str]

    name: str
    lr: float = setting(0.01, "learning rate: the size of a step", "a finite number above 0", gt=0)
    weight_decay: float = setting(
        0.0,
        "L2 penalty: this times the weights is added to the gradient",
        "a finite number of at least 0",
        ge=0,
    )
    decay: Literal["all", "weights"] = setting(
        "all", "what weight decay acts on: all parameters, or weights alone (no biases, no norms)", "all or weights"
    )


class _Adaptive(OptimizerConfig):
    eps: float = setting(1e-8, "added to the denominator", "a finite number of at least 0", ge=0)


class _Moments(_Adaptive):
    beta1: float = setting(
        0.9, "share of the mean gradient that is kept each step", "a number from 0 to below 1", ge=0, lt=1
    )
    beta2: float = setting(
        0.999, "share of the mean square that is kept each step", "a number from 0 to below 1", ge=0, lt=1
    )


class Adam(_Moments):
    """Adam, as `torch.optim.Adam`."""

    summary = "adaptive moments; weight decay is a penalty in the gradient"

    name: Literal["adam"] = "adam"


class AdamW(_Moments):
    """Adam with decoupled weight decay, as `torch.optim.AdamW`."""

    summary = "adaptive moments; weight decay apart from the gradient"

    name: Literal["adamw"] = "adamw"
    weight_decay: float = setting(
        0.01, "this times lr times the weights is taken off them", "a finite number of at least 0", ge=0
    )


class RmsProp(_Adaptive):
    """Root mean square propagation, as `torch.optim.RMSprop`."""

    summary = "gradient over its root mean square, with momentum, and centered"

    name: Literal["rmsprop"] = "rmsprop"
    alpha: float = setting(
        0.99, "share of the mean square that is kept each step", "a number from 0 to below 1", ge=0, lt=1
    )
    momentum: float = setting(0.0, "share of the last step that is kept", "a finite number of at least 0", ge=0)
    centered: bool = setting(False, "divide by the standard deviation instead", "true or false")


class Sgd(OptimizerConfig):
    """Stochastic gradient descent, as `torch.optim.SGD`."""

    summary = "stochastic gradient descent, with momentum, dampening and Nesterov"

    name: Literal["sgd"] = "sgd"
    momentum: float = setting(
        0.0, "share of the last step's direction that is kept", "a finite number of at least 0", ge=0
    )
    dampening: float = setting(
        0.0,
        "share of the new gradient that momentum leaves out",
        "a finite number",
    )
    nesterov: bool = setting(False, "look ahead: Nesterov's momentum", "true or false")
    decoupled: bool = setting(
        False,
        "weight decay apart from the gradient: this times lr times the weights is taken off them",
        "true or false",
    )


class UserOptimizer(Config):
    """An optimizer of the user's own: a function that makes it from the parameters, and `lr` where it takes that."""

    summary: ClassVar[str] = "an optimizer of your own, in Python"

    name: str
    factory: UserDefined
    lr: float | None = setting(None, "learning rate, where the function takes one", "a finite number above 0", gt=0)


OPTIMIZERS: dict[str, type[OptimizerConfig]] = {"sgd": Sgd, "adam": Adam, "adamw": AdamW, "rmsprop": RmsProp}
