"""Values with a spelling of their own, as a command takes them and a record holds them: `64x64`, `500steps`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from paribus.config.schedules import Schedule

Value = bool | int | float | str

MOST = 1_000_000
MOST_THREADS = 1024  # of many thousands a machine cannot start the last


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
        "he_fan_out",
    )

    FORMER: ClassVar = {"report": "he_fan_out"}
    """Spellings of older versions, which stay readable."""

    @classmethod
    def parse(cls, value: object) -> Initialisation:
        """From its word; ValueError for anything else."""
        if isinstance(value, cls):
            return value
        kind, colon, rest = str(value).partition(":")
        kind = cls.FORMER.get(kind, kind)
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
class Loss:
    """What is minimised: `cross_entropy` of classes, or `binary` of two with one output, the logit of the second;
    `mse`, `mae`, `huber` or `quantile:Q` of numbers.

    `q`: the quantile that is predicted.

    >>> Loss.parse("quantile:0.9"), str(Loss.parse("mse"))
    (Loss(kind='quantile', q=0.9), 'mse')
    """

    kind: str
    q: float | None = None

    OF_CLASSES: ClassVar = ("cross_entropy", "binary")
    OF_NUMBERS: ClassVar = ("mse", "mae", "huber", "quantile")

    @classmethod
    def parse(cls, value: object) -> Loss:
        """From its word; ValueError for anything else."""
        if isinstance(value, cls):
            return value
        kind, colon, rest = str(value).partition(":")
        if kind not in (*cls.OF_CLASSES, *cls.OF_NUMBERS) or (kind == "quantile") != bool(colon):
            raise ValueError
        if kind != "quantile":
            return cls(kind)
        q = float(rest)
        if not 0 < q < 1:
            raise ValueError
        return cls(kind, q)

    @property
    def of_numbers(self) -> bool:
        """Whether it is one of numbers to be predicted, and not of classes."""
        return self.kind in self.OF_NUMBERS

    @property
    def one_output(self) -> bool:
        """Whether it is one of a single output."""
        return self.of_numbers or self.kind == "binary"

    def __str__(self) -> str:
        return self.kind if self.q is None else f"{self.kind}:{self.q!r}"


def told_as(loss: str) -> str:
    """The loss whose values those of `loss` are: those of binary are cross-entropies.

    >>> told_as("binary"), told_as("mse")
    ('cross_entropy', 'mse')
    """
    return "cross_entropy" if loss == "binary" else loss


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


def parse_count(value: object) -> int | Literal["all"]:
    """A whole number above 0, or `all`."""
    if value == "all":
        return "all"
    count = int(str(value))
    if count < 1:
        raise ValueError
    return count


def parse_auto_count(value: object) -> int | Literal["auto"]:
    """A whole number from 1 to 1,000,000, or `auto`."""
    if value == "auto":
        return "auto"
    count = parse_count(value)
    if count == "all" or count > MOST:
        raise ValueError
    return count


def parse_threads(value: object) -> int:
    """A number of threads; `all` is as many as this process has cores.

    >>> parse_threads("2"), parse_threads("all") == cores()
    (2, True)
    """
    count = parse_count(value)
    if count != "all" and count > MOST_THREADS:
        raise ValueError
    return cores() if count == "all" else count


def parse_clip(value: object) -> float | None:
    """A norm, or `none`."""
    if value in ("none", None):
        return None
    norm = float(str(value))
    if not (math.isfinite(norm) and norm > 0):
        raise ValueError
    return norm


Sizes = Annotated[tuple[int, ...], BeforeValidator(parse_sizes)]


def parse_patience(value: object) -> int | None:
    """A number of evaluations above 0, or `none`."""
    if value in ("none", None):
        return None
    count = parse_count(value)
    if count == "all":
        raise ValueError
    return count


Patience = Annotated[int | None, BeforeValidator(parse_patience)]
Init = Annotated[Initialisation, BeforeValidator(Initialisation.parse)]
Interval = Annotated[Every, BeforeValidator(Every.parse)]
Count = Annotated[int | Literal["all"], BeforeValidator(parse_count)]
AutoCount = Annotated[int | Literal["auto"], BeforeValidator(parse_auto_count)]
Threads = Annotated[int, BeforeValidator(parse_threads)]
Clip = Annotated[float | None, BeforeValidator(parse_clip)]
LrSchedule = Annotated[Schedule, BeforeValidator(Schedule.parse)]


def plain_value(value: object) -> Value:
    """The canonical spelling of a setting's value: what a record holds and a command takes.

    >>> plain_value((64, 32)), plain_value(()), plain_value(None), plain_value(0.01), plain_value(True)
    ('64x32', 'none', 'none', 0.01, True)
    """
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return "x".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def plain_number(value: Any) -> Any:
    """A number of NumPy's, or an array of them, as Python's own; anything else as it is."""
    return value.tolist() if hasattr(value, "tolist") else value


def listed_values(value: Any) -> list[Value]:
    """What Python or a file gives for a setting: one value or several, each of its own type. A comma in text lists.

    >>> listed_values([0.1, 1]), listed_values("1e-3,none"), listed_values([(5, 5), [3]])
    ([0.1, 1], ['1e-3', 'none'], ['5x5', '3'])
    """
    value = plain_number(value)
    found: list[Value] = []
    for one in value if isinstance(value, list | tuple) else [value]:
        plain = plain_value(tuple(one) if isinstance(one, list) else one)
        found += plain.split(",") if isinstance(plain, str) else [plain]
    return found


def format_value(value: Value) -> str:
    """A word as a command takes it.

    >>> format_value(True), format_value(0.01)
    ('true', '0.01')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def format_overrides(values: Mapping[str, Value]) -> str:
    """Several settings as a command takes them, by their short names.

    >>> format_overrides({"optimizer.lr": 0.1, "model.hidden": "5x5"})
    'lr=0.1 hidden=5x5'
    """
    return " ".join(f"{name.rpartition('.')[2]}={format_value(value)}" for name, value in values.items())


def apart_from_tasks(factors: Sequence[str], arms: Iterable[Mapping[str, Value]]) -> list[str]:
    """What the arms of a study on several tasks are called apart from their task; nothing where that is no factor, or
    the only one. `arms`: their settings.

    >>> apart_from_tasks(["task", "lr"], [{"task": "moons", "lr": 0.1}, {"task": "blobs", "lr": 0.1}])
    ['lr=0.1']
    """
    others = [name for name in factors if name != "task"]
    if len(others) == len(factors) or not others:
        return []
    labels = (format_overrides({name: flat[name] for name in others if name in flat}) for flat in arms)
    return list(dict.fromkeys(labels))
