"""Learning-rate schedules: what the rate of a step is multiplied with. `SCHEDULES` holds one class for each.

All but `plateau` are pure functions of the step, without what came before.

Source: PyTorch's documentation of `torch.optim.lr_scheduler`; Loshchilov and Hutter, SGDR (2017); Smith and Topin,
Super-convergence (2018).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Schedule(ABC):
    """A schedule by its word. A new one is a class and an entry of `SCHEDULES`.

    `kind`: its word's first part; `allowed`: how the word is written; `examples`: words that are; `meaning`: its factor
    on the learning rate, for people; `within_epochs`: whether two steps of one epoch may have different rates.

    >>> schedule = Schedule.parse("multistep:80+120:0.1")
    >>> [round(schedule.factor(7 * epoch, 7, 200), 4) for epoch in (0, 79, 80, 120)]
    [1.0, 1.0, 0.1, 0.01]
    """

    kind: ClassVar[str]
    allowed: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]
    meaning: ClassVar[str]
    within_epochs: ClassVar[bool] = False

    @staticmethod
    def parse(value: object) -> Schedule:
        """From its word; ValueError for anything else."""
        if isinstance(value, Schedule):
            return value
        kind, *parts = str(value).split(":")
        if kind not in SCHEDULES:
            raise ValueError
        return SCHEDULES[kind].read(parts)

    @classmethod
    @abstractmethod
    def read(cls, parts: list[str]) -> Schedule:
        """From what follows its kind in the word; ValueError where that is not allowed."""

    @abstractmethod
    def parts(self) -> tuple[object, ...]:
        """What follows its kind in the word."""

    @abstractmethod
    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """What the learning rate of this step (counted from 0) is multiplied with."""

    def changes_within_epochs(self) -> bool:
        """Whether two steps of one epoch may have different rates."""
        return self.within_epochs

    def conflicts(self, epochs: int) -> Iterator[str]:  # noqa: ARG002
        """What contradicts so many epochs, as the end of a sentence that begins with the schedule."""
        yield from ()

    @property
    def plateau(self) -> Plateau | None:
        """What follows the validation loss in it, if something does."""
        return None

    def __str__(self) -> str:
        return ":".join([self.kind, *map(str, self.parts())])


@dataclass(frozen=True)
class Constant(Schedule):
    """The factor 1."""

    kind = "constant"
    allowed = "constant"
    examples = ("constant",)
    meaning = "1"

    @classmethod
    def read(cls, parts: list[str]) -> Schedule:
        """Nothing follows."""
        _demand(that=not parts)
        return cls()

    def parts(self) -> tuple[object, ...]:
        """None."""
        return ()

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:  # noqa: ARG002
        """1."""
        return 1.0


@dataclass(frozen=True)
class Multistep(Schedule):
    """gamma to the number of milestones reached, as `MultiStepLR`."""

    milestones: tuple[int, ...]
    gamma: float

    kind = "multistep"
    allowed = "multistep:EPOCHS:FACTOR (as in multistep:80+120:0.1)"
    examples = ("multistep:80+120:0.1",)
    meaning = "0.1 to the number of milestones (epochs) reached"

    @classmethod
    def read(cls, parts: list[str]) -> Schedule:
        """Epochs that grow, joined by +, and a factor."""
        epochs, gamma = parts
        milestones = tuple(int(part) for part in epochs.split("+"))
        _demand(that=milestones[0] >= 1 and list(milestones) == sorted(set(milestones)))
        return cls(milestones, _between(gamma, above=True))

    def parts(self) -> tuple[object, ...]:
        """Milestones and factor."""
        return "+".join(map(str, self.milestones)), repr(self.gamma)

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:  # noqa: ARG002
        """gamma^(milestones reached)."""
        epoch = step // steps_per_epoch
        return float(self.gamma ** sum(epoch >= milestone for milestone in self.milestones))

    def conflicts(self, epochs: int) -> Iterator[str]:
        """A first milestone after the end."""
        if self.milestones[0] >= epochs:
            yield (f"has no effect with epochs={epochs}: its first milestone, {self.milestones[0]}, is never reached")


@dataclass(frozen=True)
class Step(Schedule):
    """gamma^(e // period), as `StepLR`."""

    period: int
    gamma: float

    kind = "step"
    allowed = "step:EPOCHS:FACTOR (as in step:30:0.1)"
    examples = ("step:30:0.1",)
    meaning = "times 0.1 after every 30 epochs"

    @classmethod
    def read(cls, parts: list[str]) -> Schedule:
        """A number of epochs and a factor."""
        period, gamma = parts
        return cls(_count(period), _between(gamma, above=True))

    def parts(self) -> tuple[object, ...]:
        """Period and factor."""
        return self.period, repr(self.gamma)

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:  # noqa: ARG002
        """gamma^(e // period)."""
        return float(self.gamma ** (step // steps_per_epoch // self.period))

    def conflicts(self, epochs: int) -> Iterator[str]:
        """A first step after the end."""
        if self.period >= epochs:
            yield f"has no effect with epochs={epochs}: its first step, after epoch {self.period}, is never reached"


@dataclass(frozen=True)
class Exponential(Schedule):
    """gamma^e, as `ExponentialLR`."""

    gamma: float

    kind = "exponential"
    allowed = "exponential:FACTOR (as in exponential:0.95)"
    examples = ("exponential:0.95",)
    meaning = "times 0.95 after every epoch"

    @classmethod
    def read(cls, parts: list[str]) -> Schedule:
        """A factor."""
        (gamma,) = parts
        return cls(_between(gamma, above=True))

    def parts(self) -> tuple[object, ...]:
        """The factor."""
        return (repr(self.gamma),)

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:  # noqa: ARG002
        """gamma^e."""
        return float(self.gamma ** (step // steps_per_epoch))


@dataclass(frozen=True)
class _ToFloor(Schedule):
    """From 1 down to 0, or to a floor."""

    floor: float = 0.0

    @classmethod
    def read(cls, parts: list[str]) -> Schedule:
        """A floor, or nothing."""
        _demand(that=len(parts) <= 1)
        return cls(*map(_between, parts))

    def parts(self) -> tuple[object, ...]:
        """The floor, where it is not 0."""
        return (repr(self.floor),) if self.floor else ()


@dataclass(frozen=True)
class Linear(_ToFloor):
    """1 - (1 - floor) e / epochs, as `LinearLR` from 1 to the floor."""

    kind = "linear"
    allowed = "linear or linear:FLOOR (0 to 1)"
    examples = ("linear", "linear:0.01")
    meaning = "from 1 down to 0, or to a floor, over the epochs, in a straight line"

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """1 - (1 - floor) e / epochs."""
        return 1 - (1 - self.floor) * (step // steps_per_epoch) / epochs


@dataclass(frozen=True)
class Polynomial(Schedule):
    """(1 - e / epochs)^power, as `PolynomialLR`."""

    power: float

    kind = "polynomial"
    allowed = "polynomial:POWER (above 0)"
    examples = ("polynomial:2",)
    meaning = "the share of the epochs that are left, to that power"

    @classmethod
    def read(cls, parts: list[str]) -> Schedule:
        """A power."""
        (power,) = map(float, parts)
        _demand(that=math.isfinite(power) and power > 0)
        return cls(power)

    def parts(self) -> tuple[object, ...]:
        """The power."""
        return (repr(self.power),)

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """(1 - e / epochs)^power."""
        return float((1 - step // steps_per_epoch / epochs) ** self.power)


@dataclass(frozen=True)
class Cosine(_ToFloor):
    """floor + (1 - floor) (1 + cos(pi e / epochs)) / 2, as `CosineAnnealingLR`."""

    kind = "cosine"
    allowed = "cosine or cosine:FLOOR (0 to 1)"
    examples = ("cosine", "cosine:0.01")
    meaning = "from 1 down to 0, or to a floor, over the epochs, in half a cosine"

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """floor + (1 - floor) (1 + cos(pi e / epochs)) / 2."""
        epoch = step // steps_per_epoch
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * epoch / epochs)) / 2


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from 1/25 to 1 over a share of the steps, then down to 1/250000, in half cosines: `OneCycleLR`, with the
    momentum kept."""

    share: float = 0.3

    kind = "onecycle"
    allowed = "onecycle or onecycle:SHARE (0 to 1)"
    examples = ("onecycle", "onecycle:0.3")
    meaning = "up from 1/25 to 1 over that share of the steps, then down to 1/250000"
    within_epochs = True

    _START: ClassVar = 1 / 25
    _END: ClassVar = 1 / 25 / 1e4

    @classmethod
    def read(cls, parts: list[str]) -> Schedule:
        """A share, or nothing."""
        _demand(that=len(parts) <= 1)
        return cls(*(_between(part, above=True) for part in parts))

    def parts(self) -> tuple[object, ...]:
        """The share."""
        return (repr(self.share),)

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Up to the peak, then down."""
        total = epochs * steps_per_epoch
        peak = self.share * total - 1
        if step <= peak:
            return _cosine_between(self._START, 1.0, step / peak if peak > 0 else 1.0)
        return _cosine_between(1.0, self._END, (step - peak) / (total - 1 - peak))


@dataclass(frozen=True)
class PlateauState:
    """Where `plateau` stands: its factor now, the lowest validation loss, and evaluations since without a lower one."""

    factor: float = 1.0
    best: float = math.inf
    without: int = 0


@dataclass(frozen=True)
class Plateau(Schedule):
    """Times a factor after more than `patience` evaluations whose validation loss is no lower, as `ReduceLROnPlateau`.

    Lower is: below (1 - 0.0001) of the lowest so far. Every evaluation counts, so `eval_every` belongs to it. PyTorch
    leaves a reduction of the rate by less than 1e-8 out (its `eps`); this does not.

    >>> state = PlateauState()
    >>> for loss in (1.0, 0.5, 0.5, 0.49999, 0.4):
    ...     state = Plateau(0.1, 1).after(state, loss)
    >>> state
    PlateauState(factor=0.1, best=0.4, without=0)
    """

    reduction: float
    patience: int

    kind = "plateau"
    allowed = "plateau:FACTOR:PATIENCE (as in plateau:0.1:10)"
    examples = ("plateau:0.1:10",)
    meaning = "times 0.1 after more than 10 evaluations without a lower validation loss"

    THRESHOLD: ClassVar = 1e-4

    @classmethod
    def read(cls, parts: list[str]) -> Schedule:
        """A factor below 1 and a number of evaluations."""
        reduction, patience = parts
        _demand(that=float(reduction) < 1 and int(patience) >= 0)
        return cls(_between(reduction, above=True), int(patience))

    def parts(self) -> tuple[object, ...]:
        """Factor and patience."""
        return repr(self.reduction), self.patience

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:  # noqa: ARG002
        """1: what it does depends on the validation loss; see `after`."""
        return 1.0

    def after(self, state: PlateauState, loss: float) -> PlateauState:
        """Where it stands after an evaluation with this validation loss."""
        if loss < state.best * (1 - self.THRESHOLD):
            return PlateauState(state.factor, loss, 0)
        if state.without + 1 > self.patience:
            return PlateauState(state.factor * self.reduction, state.best, 0)
        return PlateauState(state.factor, state.best, state.without + 1)

    @property
    def plateau(self) -> Plateau:
        """Itself."""
        return self


@dataclass(frozen=True)
class Warmup(Schedule):
    """(s + 1) / n over the first n steps, as `LinearLR`, times the factor of the schedule that it leads into."""

    length: int
    in_steps: bool = False
    then: Schedule | None = None

    kind = "warmup"
    allowed = "warmup:EPOCHS or warmup:Nsteps, or warmup:N:SCHEDULE"
    examples = ("warmup:5", "warmup:100steps", "warmup:5:cosine")
    meaning = "up to 1 over so many epochs or steps; times the factor of another schedule, where one is named"
    within_epochs = True

    @classmethod
    def read(cls, parts: list[str]) -> Schedule:
        """A number of epochs or steps, and the schedule that it leads into, if any."""
        length, *rest = parts
        then = Schedule.parse(":".join(rest)) if rest else None
        _demand(that=not isinstance(then, Warmup | Constant))
        return cls(_count(length.removesuffix("steps")), length.endswith("steps"), then)

    def parts(self) -> tuple[object, ...]:
        """The length, and the other schedule."""
        return f"{self.length}{'steps' * self.in_steps}", *([self.then] if self.then else [])

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """min(1, (s + 1) / n) times the other's."""
        length = self.length * (1 if self.in_steps else steps_per_epoch)
        later = self.then.factor(step, steps_per_epoch, epochs) if self.then else 1.0
        return min(1.0, (step + 1) / length) * later

    def conflicts(self, epochs: int) -> Iterator[str]:
        """An end after that of the run; and what the other says."""
        if not self.in_steps and self.length > epochs:
            yield f"does not end within epochs={epochs}: warm up for fewer epochs"
        if self.then:
            yield from self.then.conflicts(epochs)

    @property
    def plateau(self) -> Plateau | None:
        """The other's."""
        return self.then.plateau if self.then else None


SCHEDULES: dict[str, type[Schedule]] = {
    one.kind: one
    for one in (Constant, Multistep, Step, Exponential, Linear, Polynomial, Cosine, OneCycle, Plateau, Warmup)
}

ALLOWED = ", ".join(one.allowed for one in SCHEDULES.values())
"""For people: how each word is written."""


def _cosine_between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def _demand(*, that: bool) -> None:
    if not that:
        raise ValueError


def _count(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    _demand(that=number >= 1)
    return number


def _between(text: str, *, above: bool = False) -> float:
    """A number from 0 to 1, or above 0."""
    number = float(text)
    _demand(that=0 <= number <= 1 and (number > 0 or not above))
    return number
