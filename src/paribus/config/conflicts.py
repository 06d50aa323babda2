"""What contradicts itself in a command, and what is given and changes nothing: each with its cure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from paribus.config.losses import UserLoss
from paribus.config.models import Cnn, Mlp, UserEstimator, UserModel
from paribus.config.optimizers import Muon, OptimizerConfig, Sgd, UserOptimizer
from paribus.config.recipes import RECIPES
from paribus.config.settings import Settings
from paribus.config.stopping import OF_CLASSES, OF_NUMBERS
from paribus.config.user_code import UserDefined
from paribus.config.values import format_value, plain_value

OPTIONAL: dict[str, tuple[str, ...]] = {
    "loader": ("indexed",),
    "precision": ("float32", "float64"),
    "label_smoothing": ("0", "0.0"),
    "loss": ("cross_entropy", "binary"),
    "class_weight": ("none",),
    "patience": ("none",),
    "optimizer.decay": ("all",),
    "optimizer.decoupled": ("false",),
    "eval_train": ("all",),
    "flip": ("false",),
    "crop": ("0",),
    "cutout": ("0",),
    "memory": ("contiguous",),
    "compile": ("false",),
    "device": ("cpu", "auto"),
    "threads": ("1",),
}
"""A setting that not every backend has -> the values that all of them have."""


def beyond(name: str, value: object) -> bool:
    """Whether a value of an optional setting is one that not every backend has.

    >>> beyond("precision", "float64"), beyond("precision", "bf16")
    (False, True)
    """
    return format_value(plain_value(value)) not in OPTIONAL[name]


def conflicts(settings: Settings | None, parts: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Every mistake of the kind, as far as the settings stand. `parts`: the configs that do; `given`: what stands in
    the command by full names."""
    found = [*_of_optimizer(parts.get("optimizer"), given), *_of_model(parts.get("model"), given)]
    if settings is not None:
        found += [*_of_schedule(settings, given), *_of_recipe(settings), *_of_muon(settings)]
        found += [*_of_loss(settings), *_of_stopping(settings, given)]
    return found


def _of_optimizer(optimizer: object, given: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(optimizer, Sgd):
        momentum, dampening = optimizer.momentum, optimizer.dampening
        if optimizer.nesterov and (momentum == 0 or dampening != 0):
            yield (
                f"nesterov=true needs momentum above 0 and dampening 0 (momentum={momentum:g}, "
                f"dampening={dampening:g}): give a momentum, as in momentum=0.9"
            )
        if "optimizer.dampening" in given and dampening != 0 and momentum == 0:
            yield f"dampening={dampening:g} has no effect with momentum=0: give a momentum, or leave it out"
    if isinstance(optimizer, OptimizerConfig) and optimizer.weight_decay == 0:
        for name, neutral in (("decay", "all"), ("decoupled", "false")):
            value = format_value(plain_value(getattr(optimizer, name, neutral)))
            if f"optimizer.{name}" in given and value != neutral:
                yield f"{name}={value} has no effect with weight_decay=0: give one, as in weight_decay=0.0005"
    if isinstance(optimizer, UserOptimizer) and optimizer.lr is not None and not takes_lr(optimizer.factory.thing):
        yield (
            f"lr={optimizer.lr:g} has no effect with optimizer={optimizer.name}: its function takes no `lr`; let it: "
            "lambda parameters, lr: ..."
        )


def _of_model(model: object, given: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(model, UserEstimator):
        yield from _of_estimator(model, given)
        return
    if isinstance(model, Mlp) and "model.dropout" in given and model.dropout > 0 and not model.hidden:
        yield f"dropout={model.dropout:g} has no effect with hidden=none: there is no hidden layer to drop units of"
    if isinstance(model, Mlp) and not model.hidden:
        for name, neutral in (("activation", "relu"), ("norm", "none"), ("skip", False)):
            value = getattr(model, name)
            if f"model.{name}" in given and value != neutral:
                yield f"{name}={format_value(value)} has no effect with hidden=none: there is no hidden layer"
    if not isinstance(model, Cnn | UserModel | None) and given.get("memory") == "channels_last":
        yield f"memory=channels_last has no effect with model={model.name}: its inputs are no images"  # type: ignore[attr-defined]


def _of_estimator(model: UserEstimator, given: Mapping[str, Any]) -> Iterator[str]:
    """Those of other models are told of already."""
    for name, value in given.items():
        minimised = name == "loss" and (isinstance(value, UserDefined) or value == "binary")
        if (minimised or not model.counts(name)) and not name.startswith("model."):
            shown = getattr(value, "name", None) or format_value(plain_value(value))
            yield (
                f"{name.rpartition('.')[2]}={shown} has no effect with model={model.name}: it is for networks, and an "
                "estimator of scikit-learn's is fitted by parameters of its own; give it these"
            )


def _of_muon(settings: Settings) -> Iterator[str]:
    model = settings.model
    if isinstance(settings.optimizer, Muon) and isinstance(model, Mlp) and len(model.hidden) < 2:
        yield (
            f"optimizer=muon has no effect with hidden={format_value(plain_value(model.hidden))}: it is for weights "
            "between two hidden layers, and moves all others as adamw does; take two hidden layers, as in "
            "hidden=64x64, or optimizer=adamw"
        )


def _of_schedule(settings: Settings, given: Mapping[str, Any]) -> Iterator[str]:
    schedule = settings.schedule
    if schedule.plateau and settings.validation == 0:
        yield (
            f"schedule={schedule} follows the validation loss, and validation=0 leaves no validation split: give it a "
            "share of the training data, as in validation=0.2"
        )
    if "schedule" in given and settings.epochs > 0:
        yield from (f"schedule={schedule} {conflict}" for conflict in schedule.conflicts(settings.epochs))


def _of_loss(settings: Settings) -> Iterator[str]:
    """Classes and numbers have losses of their own."""
    name, loss = settings.task.name, settings.loss
    if isinstance(loss, UserLoss):
        for setting, value, neutral in (
            ("label_smoothing", settings.label_smoothing, 0),
            ("class_weight", settings.class_weight, "none"),
        ):
            if value != neutral:
                yield f"{setting}={value} has no effect with loss={loss.name}, which is your own: put it in there"
        return
    if settings.task.regression and not loss.of_numbers:
        yield f"loss={loss} is one of classes, and {name} has numbers to predict: take loss=mse, mae or huber"
    if not settings.task.regression and loss.of_numbers:
        yield (
            f"loss={loss} is one of numbers to predict, and {name} has classes: take loss=cross_entropy, or give your "
            'own data as paribus.data(x, y, kind="regression")'
        )
    if settings.label_smoothing and loss.of_numbers:
        yield f"label_smoothing={settings.label_smoothing:g} has no effect with loss={loss}: it is for classes"
    if settings.class_weight != "none" and loss.of_numbers:
        yield f"class_weight={settings.class_weight} has no effect with loss={loss}: it is for classes"
    if settings.class_weight != "none" and settings.label_smoothing:
        yield (
            f"class_weight={settings.class_weight} and label_smoothing={settings.label_smoothing:g} exclude each "
            "other: libraries differ in how they weight smoothed labels; leave one of them out"
        )


def _of_stopping(settings: Settings, given: Mapping[str, Any]) -> Iterator[str]:
    """Early stopping watches what is measured on validation data."""
    if settings.patience is None:
        for name in ("min_delta", "monitor"):
            value = format_value(plain_value(getattr(settings, name)))
            if name in given and value != format_value(plain_value(type(settings).model_fields[name].default)):
                yield f"{name}={value} has no effect without early stopping: give patience, as in patience=10"
        return
    measured = OF_NUMBERS if settings.task.regression else OF_CLASSES
    if settings.monitor not in measured:
        what = "numbers to predict" if settings.task.regression else "classes"
        yield (
            f"monitor={settings.monitor} is not measured: {settings.task.name} has {what}; allowed is "
            f"{', '.join(measured)}"
        )
    if settings.validation == 0:
        yield (
            f"patience={settings.patience} watches {settings.monitor}, and validation=0 leaves no validation split: "
            "give it a share of the training data, as in validation=0.2"
        )


def _of_recipe(settings: Settings) -> Iterator[str]:
    if settings.recipe != "none" and not (
        isinstance(settings.model, Cnn) and RECIPES[settings.recipe].model == settings.model.name
    ):
        yield f"recipe={settings.recipe} has no effect with model={settings.model.name}: it is one for the cnn"


def takes_lr(factory: Callable[..., Any]) -> bool:
    """Whether a function that makes an optimizer takes a learning rate by name."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(one.name == "lr" or one.kind is one.VAR_KEYWORD for one in parameters)
