"""Settings: everything that defines a run except its seed, as one frozen, validated value.

Each field says its meaning and what is allowed; `paribus list settings` and every error message are made from that.
How words (`lr=0.01`, `hidden=64x64`) become settings stands in `words.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from paribus.core.own import Own
from paribus.core.schedules import Schedule

Word = bool | int | float | str


def setting(default: Any, meaning: str, allowed: str, **bounds: Any) -> Any:
    """A field with its meaning and, for people, what is allowed."""
    return Field(default, description=meaning, json_schema_extra={"allowed": allowed}, **bounds)


class Section(BaseModel):
    """Frozen, closed to unknown names, and without NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)


# --- values with a spelling of their own -------------------------------------------------------------------------


def parse_sizes(value: object) -> tuple[int, ...]:
    """Sizes of layers: `64x64x64`, `20`, or `none`.

    >>> parse_sizes("64x32"), parse_sizes("none"), parse_sizes(20)
    ((64, 32), (), (20,))
    """
    if isinstance(value, list | tuple):
        sizes = tuple(value)
    elif value in ("none", "", None):
        sizes = ()
    else:
        sizes = tuple(int(part) for part in str(value).split("x"))
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ValueError("sizes are whole numbers above 0")
    return sizes


@dataclass(frozen=True)
class Initialisation:
    """How initial values are scaled: `default`, `xavier_normal`, ..., or `normal:STD`.

    >>> str(Initialisation.parse("normal:0.001"))
    'normal:0.001'
    """

    kind: str
    std: float | None = None

    KINDS: ClassVar = (
        "normal",
        "default",
        "xavier_normal",
        "xavier_uniform",
        "kaiming_normal",
        "kaiming_uniform",
        "orthogonal",
    )

    @classmethod
    def parse(cls, value: object) -> Initialisation:
        """From its word; ValueError for anything else."""
        if isinstance(value, cls):
            return value
        kind, colon, rest = str(value).partition(":")
        if kind not in cls.KINDS or (kind == "normal") != bool(colon):
            raise ValueError
        if kind != "normal":
            return cls(kind)
        std = float(rest)
        if not (math.isfinite(std) and std > 0):
            raise ValueError
        return cls(kind, std)

    def __str__(self) -> str:
        return self.kind if self.std is None else f"{self.kind}:{self.std!r}"


@dataclass(frozen=True)
class Every:
    """An interval of epochs (`10`) or of steps (`500steps`).

    >>> Every.parse("500steps"), Every.parse("10").in_steps(steps_per_epoch=7)
    (Every(count=500, unit='steps'), 70)
    """

    count: int
    unit: Literal["epochs", "steps"]

    @classmethod
    def parse(cls, value: object) -> Every:
        """From its word; ValueError for anything else."""
        if isinstance(value, cls):
            return value
        text = str(value)
        count = int(text.removesuffix("steps"))
        if count < 1:
            raise ValueError
        return cls(count, "steps" if text.endswith("steps") else "epochs")

    def in_steps(self, steps_per_epoch: int) -> int:
        """The interval in steps."""
        return self.count if self.unit == "steps" else self.count * steps_per_epoch

    def __str__(self) -> str:
        return f"{self.count}{'steps' if self.unit == 'steps' else ''}"


def parse_steps(value: object) -> int | Literal["all"]:
    """Steps in an epoch: a number, or `all`: as many as one pass over the data takes."""
    if value == "all":
        return "all"
    steps = int(str(value))
    if steps < 1:
        raise ValueError
    return steps


def parse_clip(value: object) -> float | None:
    """A norm, or `none`."""
    if value in ("none", None):
        return None
    norm = float(str(value))
    if not (math.isfinite(norm) and norm > 0):
        raise ValueError
    return norm


Sizes = Annotated[tuple[int, ...], BeforeValidator(parse_sizes)]
Init = Annotated[Initialisation, BeforeValidator(Initialisation.parse)]
Interval = Annotated[Every, BeforeValidator(Every.parse)]
Steps = Annotated[int | Literal["all"], BeforeValidator(parse_steps)]
Clip = Annotated[float | None, BeforeValidator(parse_clip)]
LrSchedule = Annotated[Schedule, BeforeValidator(Schedule.parse)]


def word(value: object) -> Word:
    """The canonical spelling of a setting's value: what a record holds and a command takes.

    >>> word((64, 32)), word(()), word(None), word(0.01), word(True)
    ('64x32', 'none', 'none', 0.01, True)
    """
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return "x".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def spell(value: Word) -> str:
    """A word as a command takes it.

    >>> spell(True), spell(0.01)
    ('true', '0.01')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def spell_all(values: Mapping[str, Word]) -> str:
    """Several settings as a command takes them, by their short names.

    >>> spell_all({"optimizer.lr": 0.1, "model.hidden": "5x5"})
    'lr=0.1 hidden=5x5'
    """
    return " ".join(f"{name.rpartition('.')[2]}={spell(value)}" for name, value in values.items())


# --- tasks -------------------------------------------------------------------------------------------------------


class TaskSettings(Section):
    """What a task is made from. `defaults`: the settings that its runs start from."""

    summary: ClassVar[str]
    defaults: ClassVar[dict[str, Word]]

    name: str
    test_share: float = setting(
        0.2, "share of the data held out as the test split", "a number between 0 and 1", gt=0, lt=1
    )
    standardise: bool = setting(
        False, "subtract the training split's mean, divide by its standard deviation", "true or false"
    )


_REPORT: dict[str, Word] = {
    "model.hidden": 20,
    "init": "normal:0.001",
    "optimizer.lr": 0.01,
    "eval_every": 10,
}


class Moons(TaskSettings):
    """`sklearn.datasets.make_moons` with the source report's arguments."""

    summary = "two interleaved half circles (scikit-learn), 2 classes in the plane"
    defaults = {**_REPORT, "epochs": 1500}

    name: Literal["moons"] = "moons"
    n: int = setting(1000, "number of examples, all splits together", "a whole number of at least 10", ge=10)
    noise: float = setting(0.08, "standard deviation of the noise on each coordinate", "a number of at least 0", ge=0)
    random_state: int = setting(1, "the generator's seed", "a whole number from 0 to 4294967295", ge=0, le=2**32 - 1)


class Circles(TaskSettings):
    """`sklearn.datasets.make_circles` with the source report's arguments."""

    summary = "one circle inside another (scikit-learn), 2 classes in the plane"
    defaults = {**_REPORT, "epochs": 5000}

    name: Literal["circles"] = "circles"
    n: int = setting(1000, "number of examples, all splits together", "a whole number of at least 10", ge=10)
    noise: float = setting(0.08, "standard deviation of the noise on each coordinate", "a number of at least 0", ge=0)
    factor: float = setting(
        0.5, "radius of the inner circle over the outer's", "a number from 0 to below 1", ge=0, lt=1
    )
    random_state: int = setting(1, "the generator's seed", "a whole number from 0 to 4294967295", ge=0, le=2**32 - 1)


class Blobs(TaskSettings):
    """`sklearn.datasets.make_blobs` with the source report's arguments."""

    summary = "normal clouds (scikit-learn), 2 classes in the plane"
    defaults = {**_REPORT, "epochs": 1500}

    name: Literal["blobs"] = "blobs"
    n: int = setting(1000, "number of examples, all splits together", "a whole number of at least 10", ge=10)
    features: int = setting(2, "number of input features", "a whole number of at least 1", ge=1)
    centers: int = setting(2, "number of clouds, one a class", "a whole number from 2 to 255", ge=2, le=255)
    cluster_std: float = setting(1.0, "standard deviation of each cloud", "a number above 0", gt=0)
    random_state: int = setting(2, "the generator's seed", "a whole number from 0 to 4294967295", ge=0, le=2**32 - 1)


class Digits(TaskSettings):
    """`sklearn.datasets.load_digits`, pixels divided by 16."""

    summary = "1,797 images of handwritten digits, 8x8 (scikit-learn), 10 classes"
    # Not in the source report: an ordinary initialisation and a rate at which plain SGD learns the task in seconds.
    defaults = {"model.hidden": 64, "init": "default", "optimizer.lr": 0.1, "epochs": 60, "eval_every": 1}

    name: Literal["digits"] = "digits"


class OwnData(TaskSettings):
    """Data of the user's own, made by `paribus.data`."""

    summary = "arrays, frames or data sets of your own, in Python"
    defaults = {}

    arrays: Own


# --- models and optimizers ---------------------------------------------------------------------------------------


class ModelSettings(Section):
    """The sizes of a model."""

    summary: ClassVar[str]

    name: str


class Mlp(ModelSettings):
    """Linear, ReLU, ..., Linear."""

    summary = "multilayer perceptron: linear layers with a ReLU after every hidden one"

    name: Literal["mlp"] = "mlp"
    hidden: Sizes = setting(
        (20,), "sizes of the hidden layers", "whole numbers above 0 joined by x, as in 64x64, or none"
    )
    dropout: float = setting(
        0.0,
        "share of each hidden layer's units dropped while training",
        "a number from 0 to below 1",
        ge=0,
        lt=1,
    )


class OwnModel(ModelSettings):
    """A module of the user's own: a function without arguments that makes it."""

    summary = "an nn.Module of your own, in Python"

    factory: Own


class OptimizerSettings(Section):
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


class _Adaptive(OptimizerSettings):
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


class Sgd(OptimizerSettings):
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


class OwnOptimizer(Section):
    """An optimizer of the user's own: a function that makes it from the parameters, and `lr` where it takes that."""

    summary: ClassVar[str] = "an optimizer of your own, in Python"

    name: str
    factory: Own
    lr: float | None = setting(None, "learning rate, where the function takes one", "a finite number above 0", gt=0)


TASKS: dict[str, type[TaskSettings]] = {"moons": Moons, "circles": Circles, "blobs": Blobs, "digits": Digits}
MODELS: dict[str, type[ModelSettings]] = {"mlp": Mlp}
OPTIMIZERS: dict[str, type[OptimizerSettings]] = {"sgd": Sgd, "adam": Adam, "adamw": AdamW, "rmsprop": RmsProp}
REGISTRIES: dict[str, dict[str, type[Section]]] = {
    "task": dict(TASKS),
    "model": dict(MODELS),
    "optimizer": dict(OPTIMIZERS),
}
OWN: dict[str, tuple[type[Section], str]] = {
    "task": (OwnData, "arrays"),
    "model": (OwnModel, "factory"),
    "optimizer": (OwnOptimizer, "factory"),
}
"""The section of what is the user's own, and the field that holds it."""


# --- all of a run ------------------------------------------------------------------------------------------------


class Settings(Section):
    """Everything that defines a run except its seed.

    Made by `words.build`, which fills in the task's defaults and collects every mistake.
    """

    task: TaskSettings
    model: ModelSettings
    optimizer: OptimizerSettings | OwnOptimizer
    schedule: LrSchedule = setting(
        Schedule("constant"), "how the learning rate changes while training", Schedule.ALLOWED
    )
    clip: Clip = setting(
        None, "gradients are scaled down to this global norm, after backward", "a finite number above 0, or none"
    )
    loader: Literal["indexed", "dataloader"] = setting(
        "indexed",
        "how torch gets its batches: from arrays, or a DataLoader over a TensorDataset",
        "indexed or dataloader",
    )
    implementation: Literal["numpy", "torch", "fused"] = setting(
        "auto",
        "who computes: numpy (derivatives by hand), torch (autograd), fused (compiled, many runs at once); auto takes "
        "fused where it can be had",
        "auto, numpy, torch or fused",
    )
    init: Init = setting(
        Initialisation("default"),
        "initial values; default is PyTorch's own for linear layers",
        f"normal:STD with STD above 0 (as in normal:0.001), or {', '.join(Initialisation.KINDS[1:])}",
    )
    batch_size: int = setting(128, "examples in a step", "a whole number above 0", ge=1)
    sampler: Literal["shuffle", "replacement"] = setting(
        "shuffle",
        "shuffle: each example once an epoch; replacement: drawn with repeats",
        "shuffle or replacement",
    )
    steps_per_epoch: Steps = setting(
        "all",
        "steps in an epoch; all: as many as one pass over the data takes",
        "all, or a whole number above 0",
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
    precision: Literal["float32", "float64"] = setting(
        "float32", "type of every number in training", "float32 or float64"
    )
    threads: int = setting(1, "threads of a run's arithmetic", "a whole number above 0", ge=1)

    def flat(self) -> dict[str, Word]:
        """Every setting under its full dotted name, each value in its canonical spelling."""
        words: dict[str, Word] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Section):
                words[name] = getattr(value, "name")  # noqa: B009 (each section that is a field has a name)
                fields = (field for field in type(value).model_fields if field != "name")
                words.update({f"{name}.{field}": word(getattr(value, field)) for field in fields})
            else:
                words[name] = word(value)
        return words

    def own_things(self) -> dict[str, Own]:
        """What in these settings is the user's own: `task`, `model`, `optimizer`, as far as they are."""
        found = {}
        for kind, (section, field) in OWN.items():
            mine = getattr(self, kind)
            if isinstance(mine, section):
                found[kind] = getattr(mine, field)
        return found

    def values(self) -> dict[str, Any]:
        """What `words.build` makes these settings from: `flat`, with the user's own things for their names."""
        values: dict[str, Any] = dict(self.flat())
        for kind, thing in self.own_things().items():
            values[kind] = thing
            del values[f"{kind}.{OWN[kind][1]}"]
            if values.get(f"{kind}.lr") == "none":
                del values[f"{kind}.lr"]
        return values

    @property
    def mlp(self) -> Mlp:
        """The model, where it is known to be a multilayer perceptron."""
        assert isinstance(self.model, Mlp)
        return self.model


def common_settings() -> list[str]:
    """The names of the settings that belong to no section."""
    return [name for name in Settings.model_fields if name not in REGISTRIES]


def steps_in_epoch(settings: Settings, n_train: int) -> int:
    """Steps that one epoch takes on `n_train` examples; the last batch may be short."""
    passes = math.ceil(n_train / settings.batch_size)
    return passes if settings.steps_per_epoch == "all" else settings.steps_per_epoch
