"""How a model is moved: the settings of every optimizer, and their registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from paribus.config.base import Config, setting
from paribus.config.user_code import UserDefined


class OptimizerConfig(Config):
    """What every optimizer takes. `backends`: those that have a version of it; any other refuses it."""

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


class Adagrad(_Adaptive):
    """Adaptive gradient, as `torch.optim.Adagrad`."""

    summary = "gradient over the root of the sum of all squares so far"

    name: Literal["adagrad"] = "adagrad"
    lr_decay: float = setting(
        0.0, "the rate of step t is lr / (1 + (t - 1) lr_decay)", "a finite number of at least 0", ge=0
    )
    initial_accumulator_value: float = setting(
        0.0, "what the sum of squares begins with", "a finite number of at least 0", ge=0
    )
    eps: float = setting(1e-10, "added to the denominator", "a finite number of at least 0", ge=0)


class NAdam(_Moments):
    """Adam with Nesterov's momentum, as `torch.optim.NAdam`."""

    summary = "adaptive moments with Nesterov's momentum"

    name: Literal["nadam"] = "nadam"
    momentum_decay: float = setting(
        0.004,
        "how fast the momentum of a step grows to beta1: beta1 (1 - 0.96^(t momentum_decay) / 2)",
        "a finite number of at least 0",
        ge=0,
    )


class Lion(OptimizerConfig):
    """Evolved sign momentum (Chen et al., 2023)."""

    summary = "sign of a mean gradient: every step has size lr; weight decay apart from the gradient"

    name: Literal["lion"] = "lion"
    weight_decay: float = setting(
        0.0, "this times lr times the weights is taken off them", "a finite number of at least 0", ge=0
    )
    beta1: float = setting(
        0.9, "share of the mean gradient in what gives the sign", "a number from 0 to below 1", ge=0, lt=1
    )
    beta2: float = setting(
        0.99, "share of the mean gradient that is kept each step", "a number from 0 to below 1", ge=0, lt=1
    )


class Muon(_Moments):
    """Orthogonalised momentum for hidden matrices, AdamW for all other parameters (Jordan, 2024).

    `lr`, `weight_decay`, `momentum` and `nesterov` are of the hidden matrices (`hidden_matrices`), the other settings
    are AdamW's. The orthogonalisation runs in the precision of the run, not in bfloat16 as published, so that every
    backend takes the same steps.
    """

    summary = "orthogonalised momentum for the hidden layers' weights; AdamW, with adamw_lr, for all other parameters"

    name: Literal["muon"] = "muon"
    lr: float = setting(0.02, "learning rate of the hidden matrices", "a finite number above 0", gt=0)
    weight_decay: float = setting(
        0.0, "this times lr times the hidden matrices is taken off them", "a finite number of at least 0", ge=0
    )
    momentum: float = setting(
        0.95, "share of the mean gradient that is kept each step", "a number from 0 to below 1", ge=0, lt=1
    )
    nesterov: bool = setting(True, "look ahead: Nesterov's momentum", "true or false")
    adamw_lr: float = setting(
        0.0003, "learning rate of the other parameters, by AdamW", "a finite number above 0", gt=0
    )
    adamw_weight_decay: float = setting(
        0.0, "this times adamw_lr times the other parameters is taken off them", "a finite number of at least 0", ge=0
    )
    beta2: float = setting(
        0.95, "share of the mean square that is kept each step", "a number from 0 to below 1", ge=0, lt=1
    )
    eps: float = setting(1e-10, "added to the denominator", "a finite number of at least 0", ge=0)


def hidden_matrices(shapes: Sequence[tuple[int, ...]]) -> list[bool]:
    """Which parameters Muon orthogonalises, from all their shapes in the order of the model.

    Of the weights (parameters with two axes or more), all but the first and the last, which belong to the inputs and
    the outputs. Source: the README of https://github.com/KellerJordan/Muon.

    >>> hidden_matrices([(20, 2), (20,), (20, 20), (20,), (3, 20), (3,)])
    [False, False, True, False, False, False]
    """
    weights = [place for place, shape in enumerate(shapes) if len(shape) > 1]
    return [place in weights[1:-1] for place in range(len(shapes))]


class UserOptimizer(Config):
    """An optimizer of the user's own: a function that makes it from the parameters, and `lr` where it takes that."""

    summary: ClassVar[str] = "an optimizer of your own, in Python"

    name: str
    factory: UserDefined
    lr: float | None = setting(None, "learning rate, where the function takes one", "a finite number above 0", gt=0)


OPTIMIZERS: dict[str, type[OptimizerConfig]] = {
    "sgd": Sgd,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RmsProp,
    "adagrad": Adagrad,
    "nadam": NAdam,
    "lion": Lion,
    "muon": Muon,
}
