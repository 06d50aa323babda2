"""What contradicts itself in a command, and what is given and changes nothing: each with its cure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from paribus.config.models import Cnn, Gru, Lstm, Mlp, UserModel
from paribus.config.optimizers import Muon, OptimizerConfig, Sgd, UserOptimizer
from paribus.config.recipes import RECIPES
from paribus.config.settings import Settings
from paribus.config.values import Initialisation, format_value, plain_value

FUSED_MODELS = ("mlp", "rnn")
"""What the fused engine has loops for."""

ALL = ("numpy", "torch")

LIMITED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "loader": (("indexed",), ("torch",)),
    "precision": (("float32", "float64"), ("torch",)),
    "label_smoothing": (("0", "0.0"), ALL),
    "optimizer.decay": (("all",), ALL),
    "optimizer.decoupled": (("false",), ALL),
    "eval_train": (("all",), ALL),
    "flip": (("false",), ("torch",)),
    "crop": (("0",), ("torch",)),
    "cutout": (("0",), ("torch",)),
    "memory": (("contiguous",), ("torch",)),
    "compile": (("false",), ("torch",)),
    "device": (("cpu", "auto"), ("torch",)),
    "threads": (("1",), ALL),
}
"""A setting -> the values that every implementation has, and who has the others too."""


def limited(name: str, value: object) -> tuple[str, ...] | None:
    """Who has this value of a setting, where not all have it."""
    neutral, takers = LIMITED.get(name, ((), ()))
    return takers if takers and format_value(plain_value(value)) not in neutral else None


def conflicts(settings: Settings | None, parts: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Every mistake of the kind, as far as the settings stand. `parts`: the configs that do; `given`: what stands in
    the command by full names."""
    found = [*_of_optimizer(parts.get("optimizer"), given), *_of_model(parts.get("model"), given)]
    if settings is not None:
        found += [*_of_implementation(settings), *_of_schedule(settings, given), *_of_recipe(settings)]
        found += _of_muon(settings)
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
    if isinstance(model, UserModel) and given.get("init", "default") not in ("default", Initialisation("default")):
        yield f"init={given['init']} has no effect with model={model.name}: it sets its initial values itself"
    if isinstance(model, Mlp) and "model.dropout" in given and model.dropout > 0 and not model.hidden:
        yield f"dropout={model.dropout:g} has no effect with hidden=none: there is no hidden layer to drop units of"
    if not isinstance(model, Cnn | UserModel | None) and given.get("memory") == "channels_last":
        yield f"memory=channels_last has no effect with model={model.name}: its inputs are no images"  # type: ignore[attr-defined]


def _of_implementation(settings: Settings) -> Iterator[str]:
    mine, flat = settings.implementation, settings.flat()
    if mine == "numpy" and isinstance(settings.model, Lstm | Gru):
        yield f"implementation=numpy has no {settings.model.name}: it has mlp, cnn and rnn; take implementation=torch"
    optimizer = settings.optimizer
    if isinstance(optimizer, OptimizerConfig) and mine not in optimizer.backends:
        yield (
            f"implementation={mine} has no {optimizer.name}: {' and '.join(optimizer.backends)} "
            f"{'has' if len(optimizer.backends) == 1 else 'have'} it; take implementation={optimizer.backends[-1]}, "
            "or leave it out"
        )
    if mine == "fused" and not isinstance(settings.model, UserModel) and settings.model.name not in FUSED_MODELS:
        yield (
            f"implementation=fused has no {settings.model.name}: it has {' and '.join(FUSED_MODELS)}; "
            "take implementation=torch, or leave it out"
        )
    if mine != "torch":
        for kind, thing in settings.user_defined_parts().items():
            if kind != "task":
                yield (
                    f"implementation={mine} cannot take {kind}={thing.name}: it is PyTorch's; take "
                    "implementation=torch, or leave it out"
                )
    for name, value in flat.items():
        takers = limited(name, value)
        if takers and mine not in takers:
            yield (
                f"{name.rpartition('.')[2]}={format_value(value)} has no effect with implementation={mine}: "
                f"{' and '.join(takers)} can have it; take implementation={takers[-1]}, or leave it out"
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
