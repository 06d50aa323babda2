"""Settings: everything that defines a run except its seed, as one frozen, validated value.

What tasks, models and optimizers have of their own stands in `tasks.py`, `models.py` and `optimizers.py`; how overrides
(`lr=0.01 hidden=64x64`) become settings in `overrides.py`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from paribus.config.base import Config, setting
from paribus.config.implementations import UserImplementation
from paribus.config.losses import LossOf, UserLoss
from paribus.config.models import Mlp, ModelConfig
from paribus.config.optimizers import OptimizerConfig, UserOptimizer
from paribus.config.recipes import RECIPES, parse_recipe
from paribus.config.registries import REGISTRIES, USER_DEFINED
from paribus.config.schedules import ALLOWED, Constant
from paribus.config.stopping import MONITORS, Stopping
from paribus.config.tasks import TaskConfig
from paribus.config.user_code import UserDefined
from paribus.config.values import (
    MOST_THREADS,
    Clip,
    Count,
    Every,
    Init,
    Initialisation,
    Interval,
    Loss,
    LrSchedule,
    Patience,
    Threads,
    Value,
    plain_value,
)


class Settings(Config):
    """Everything that defines a run except its seed.

    Made by `overrides.build`, which fills in the task's defaults and collects every mistake.
    """

    task: TaskConfig
    model: ModelConfig
    optimizer: OptimizerConfig | UserOptimizer
    schedule: LrSchedule = setting(Constant(), "how the learning rate changes while training", ALLOWED)
    clip: Clip = setting(
        None, "gradients are scaled down to this global norm, after backward", "a finite number above 0, or none"
    )
    l1: float = setting(
        0.0,
        "this times the sum of |weights| is added to the loss that is minimised; losses are told without it",
        "a number of at least 0",
        ge=0,
    )
    loader: Literal["indexed", "dataloader"] = setting(
        "indexed",
        "how torch gets its batches: from arrays, or a DataLoader over a TensorDataset",
        "indexed or dataloader",
    )
    implementation: str | UserImplementation = setting(
        "auto",
        "who computes: numpy (derivatives by hand), torch (autograd), stacked (torch, many runs in each operation), "
        "fused (compiled, many runs at once); auto takes fused where it can be had, else torch; a network of your own, "
        "written in NumPy, is FILE.py:CLASS",
        "auto, numpy, torch, stacked or fused, or FILE.py:CLASS",
    )
    init: Init = setting(
        Initialisation("default"),
        "initial values; default is PyTorch's own for linear layers, and what a module of your own sets itself",
        f"normal:STD with STD above 0 (as in normal:0.001), or {', '.join(Initialisation.KINDS[1:])}",
    )
    batch_size: int = setting(128, "examples in a step", "a whole number above 0", ge=1)
    sampler: Literal["shuffle", "replacement"] = setting(
        "shuffle",
        "shuffle: each example once an epoch; replacement: drawn with repeats",
        "shuffle or replacement",
    )
    steps_per_epoch: Count = setting(
        "all",
        "steps in an epoch; all: as many as one pass over the data takes",
        "all, or a whole number above 0",
    )
    flip: bool = setting(
        False, "augmentation: each image is turned left to right with probability 1/2 an epoch", "true or false"
    )
    crop: int = setting(
        0,
        "augmentation: each image is padded with this many black pixels a side and cut back at random",
        "a whole number from 0 to 32",
        ge=0,
        le=32,
    )
    cutout: int = setting(
        0,
        "augmentation: a square of this many pixels a side is blotted out of each image at random",
        "a whole number from 0 to 64",
        ge=0,
        le=64,
    )
    label_smoothing: float = setting(
        0.0, "share of each training label that is spread over all classes", "a number from 0 to below 1", ge=0, lt=1
    )
    loss: LossOf = setting(
        Loss("cross_entropy"),
        "what is minimised, a mean over the batch: cross_entropy of classes, or binary of two, with one output; of "
        "numbers to predict (scaled by the mean and sd of the training rows) mse where nothing is given, mae, huber "
        "(squared below 1, linear above), quantile",
        "cross_entropy, binary, mse, mae, huber, or quantile:Q with Q between 0 and 1 (as in quantile:0.9)",
    )
    class_weight: Literal["none", "balanced"] = setting(
        "none",
        "weights of the classes in the loss that is minimised; balanced: training rows / (classes x those of a class); "
        "losses are told without it",
        "none or balanced",
    )
    patience: Patience = setting(
        None,
        "early stopping: a run ends after so many evaluations that do not improve `monitor`; what is reported and kept "
        "of it is the best evaluation",
        "none, or a whole number above 0",
    )
    min_delta: float = setting(
        0.0, "early stopping: by no more than this is no improvement", "a number of at least 0", ge=0
    )
    monitor: Literal["validation_loss", "validation_accuracy", "validation_rmse", "validation_mae", "validation_r2"] = (
        setting("validation_loss", "early stopping: what has to improve", ", ".join(MONITORS))
    )
    epochs: int = setting(100, "epochs to train", "a whole number of at least 0", ge=0)
    eval_every: Interval = setting(
        Every(1, "epochs"),
        "evaluation interval, in epochs (10) or steps (500steps)",
        "a whole number above 0, of epochs (10) or steps (500steps)",
    )
    validation: float = setting(
        0.0,
        "share of the training data carved off as the validation split",
        "a number from 0 to below 1",
        ge=0,
        lt=1,
    )
    split: Literal["fixed", "by_seed"] = setting(
        "fixed", "fixed: one split for all seeds; by_seed: the seed deals the data", "fixed or by_seed"
    )
    eval_train: Count = setting(
        "all",
        "training examples that an evaluation looks at: all, or the first so many",
        "all, or a whole number above 0",
    )
    precision: Literal["float32", "float64", "bf16"] = setting(
        "float32",
        "type of every number in training; bf16: products and convolutions in bfloat16, weights in float32",
        "float32, float64 or bf16",
    )
    memory: Literal["contiguous", "channels_last"] = setting(
        "contiguous", "how images lie in memory", "contiguous or channels_last"
    )
    compile: bool = setting(False, "training steps of torch go through torch.compile", "true or false")
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto",
        "where torch computes; auto takes cuda for all but the mlp, where PyTorch sees it",
        "auto, cpu or cuda",
    )
    threads: Threads = setting(
        1,
        "threads of a run's arithmetic; all: as many as there are cores",
        f"a whole number from 1 to {MOST_THREADS}, or all",
        ge=1,
    )
    recipe: Annotated[str, BeforeValidator(parse_recipe)] = setting(
        "none",
        "a bundle of settings that the model starts from (`paribus list recipes`)",
        f"none, {' or '.join(RECIPES)}",
    )

    def flat(self) -> dict[str, Value]:
        """Every setting that counts under its full dotted name, each value in its canonical spelling."""
        words: dict[str, Value] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Config):
                words[name] = getattr(value, "name")  # noqa: B009 (each config that is a field has a name)
                fields = (field for field in type(value).model_fields if field != "name")
                words.update({f"{name}.{field}": plain_value(getattr(value, field)) for field in fields})
            else:
                words[name] = plain_value(value)
        return {name: value for name, value in words.items() if self.model.counts(name)}

    def user_defined_parts(self) -> dict[str, UserDefined]:
        """What in these settings is the user's own: `task`, `model`, `optimizer`, as far as they are."""
        found = {}
        for kind, (config, field) in USER_DEFINED.items():
            mine = getattr(self, kind)
            if isinstance(mine, config):
                found[kind] = getattr(mine, field)
        return found

    def fingerprints(self) -> dict[str, str]:
        """Which setting holds the fingerprint of each of what may be the user's own."""
        return {kind: f"{kind}.{field}" for kind, (_, field) in USER_DEFINED.items()}

    def values(self) -> dict[str, Any]:
        """What `overrides.build` makes these settings from: `flat`, with the user's own things for their names."""
        values: dict[str, Any] = dict(self.flat())
        for kind, thing in self.user_defined_parts().items():
            values[kind] = thing
            del values[f"{kind}.{USER_DEFINED[kind][1]}"]
            if values.get(f"{kind}.lr") == "none":
                del values[f"{kind}.lr"]
        return values

    @property
    def stopping(self) -> Stopping | None:
        """When a run ends early; None where all epochs are trained."""
        return None if self.patience is None else Stopping(self.patience, self.min_delta, self.monitor)

    @property
    def told_loss(self) -> Loss:
        """What an evaluation tells: of a loss of the user's own, the one that the task has otherwise."""
        if isinstance(self.loss, UserLoss):
            return Loss("mse" if self.task.regression else "cross_entropy")
        return self.loss

    @property
    def runs_user_code(self) -> bool:
        """Whether what trains is the user's own, which may draw from any generator."""
        return bool(self.user_defined_parts().keys() - {"task"})

    def with_copies(self) -> Settings:
        """The same settings with what is the user's own in copies that one run may do anything to."""
        found: dict[str, Any] = {}
        for kind, thing in self.user_defined_parts().items():
            if kind != "task":  # its arrays are read-only
                field = USER_DEFINED[kind][1]
                found[kind] = getattr(self, kind).model_copy(update={field: thing.copy()})
        return self.model_copy(update=found) if found else self

    @property
    def backend(self) -> str:
        """The name of who computes."""
        own = self.implementation
        return own.backend if isinstance(own, UserImplementation) else own

    @property
    def implementation_name(self) -> str:
        """The implementation as it is called."""
        own = self.implementation
        return own.name if isinstance(own, UserImplementation) else own

    @property
    def mlp(self) -> Mlp:
        """The model, where it is known to be a multilayer perceptron."""
        assert isinstance(self.model, Mlp)
        return self.model


def common_settings() -> list[str]:
    """The names of the settings that belong to no config."""
    return [name for name in Settings.model_fields if name not in REGISTRIES]


def evaluations(settings: Settings, n_train: int) -> int:
    """How often a run is evaluated."""
    per_epoch = steps_in_epoch(settings, n_train)
    return max(1, math.ceil(settings.epochs * per_epoch / settings.eval_every.in_steps(per_epoch)))


def steps_in_epoch(settings: Settings, n_train: int) -> int:
    """Steps that one epoch takes on `n_train` examples; the last batch may be short."""
    passes = math.ceil(n_train / settings.batch_size)
    return passes if settings.steps_per_epoch == "all" else settings.steps_per_epoch
