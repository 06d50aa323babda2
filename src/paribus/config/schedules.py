"""Learning-rate schedules as pure functions: the rate of any step, without what came before.

| word                          | factor on `lr`                                          | `torch.optim`       |
|-------------------------------|---------------------------------------------------------|---------------------|
| `constant`                    | 1                                                       |                     |
| `multistep:80+120:0.1`        | 0.1 to the number of milestones (epochs) reached        | `MultiStepLR`       |
| `cosine`, `cosine:0.01`       | floor + (1 - floor) (1 + cos(pi e / epochs)) / 2        | `CosineAnnealingLR` |
| `onecycle`, `onecycle:0.3`    | up from 1/25 to 1 over that share of the steps, down to | `OneCycleLR`, with  |
|                               | 1/250000 over the others, in half cosines               | the momentum kept   |
| `warmup:5`, `warmup:100steps` | (s + 1) / n over the first n steps, then 1              | `LinearLR`          |
| `warmup:5:cosine`             | both factors, multiplied                                |                     |

Source: PyTorch's documentation of `torch.optim.lr_scheduler`; Loshchilov and Hutter, SGDR (2017); Smith and Topin,
Super-convergence (2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

SCHEDULES = {
    "constant": "1",
    "multistep:80+120:0.1": "0.1 to the number of milestones (epochs) reached",
    "cosine, cosine:0.01": "from 1 down to 0, or to a floor, over the epochs, in half a cosine",
    "onecycle, onecycle:0.3": "up from 1/25 to 1 over that share of the steps, then down to 1/250000",
    "warmup:5, warmup:100steps": "up to 1 over so many epochs or steps",
    "warmup:5:cosine": "a warm-up that leads into another schedule: both factors, multiplied",
}
"""Each schedule's word, as an example, and its factor on the learning rate, for people."""

_ONECYCLE_START, _ONECYCLE_END = 1 / 25, 1 / 25 / 1e4


@dataclass(frozen=True)
class Schedule:
    """A schedule by its word; `then` is what a warm-up leads into.

    >>> schedule = Schedule.parse("multistep:80+120:0.1")
    >>> [round(schedule.factor(7 * epoch, 7, 200), 4) for epoch in (0, 79, 80, 120)]
    [1.0, 1.0, 0.1, 0.01]
    """

    kind: str
    milestones: tuple[int, ...] = ()
    number: float = 0.0
    in_steps: bool = False
    then: Schedule | None = None

    ALLOWED: ClassVar = (
        "constant, multistep:EPOCHS:FACTOR (as in multistep:80+120:0.1), cosine or cosine:FLOOR (0 to 1), onecycle or "
        "onecycle:SHARE (0 to 1), warmup:EPOCHS or warmup:Nsteps, or warmup:N:SCHEDULE"
    )
    KINDS: ClassVar = ("constant", "multistep", "cosine", "onecycle", "warmup")

    @classmethod
    def parse(cls, value: object) -> Schedule:
        """From its word; ValueError for anything else."""
        if isinstance(value, cls):
            return value
        kind, *rest = str(value).split(":")
        if kind == "constant" and not rest:
            return cls(kind)
        if kind == "multistep" and len(rest) == 2:
            milestones = tuple(int(part) for part in rest[0].split("+"))
            if milestones[0] < 1 or list(milestones) != sorted(set(milestones)):
                raise ValueError
            return cls(kind, milestones, _between(rest[1], above=True))
        if kind == "cosine" and len(rest) <= 1:
            return cls(kind, number=_between(rest[0]) if rest else 0.0)
        if kind == "onecycle" and len(rest) <= 1:
            return cls(kind, number=_between(rest[0], above=True) if rest else 0.3)
        if kind == "warmup" and rest:
            then = cls.parse(":".join(rest[1:])) if len(rest) > 1 else None
            if then and then.kind in ("warmup", "constant"):
                raise ValueError
            length = int(rest[0].removesuffix("steps"))
            if length < 1:
                raise ValueError
            return cls(kind, number=length, in_steps=rest[0].endswith("steps"), then=then)
        raise ValueError

    def __str__(self) -> str:
        if self.kind == "multistep":
            return f"multistep:{'+'.join(map(str, self.milestones))}:{self.number!r}"
        if self.kind == "cosine":
            return f"cosine:{self.number!r}" if self.number else "cosine"
        if self.kind == "onecycle":
            return f"onecycle:{self.number!r}"
        if self.kind == "warmup":
            return f"warmup:{int(self.number)}{'steps' * self.in_steps}{f':{self.then}' if self.then else ''}"
        return self.kind

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """What the learning rate of this step (counted from 0) is multiplied with."""
        epoch, total = step // steps_per_epoch, epochs * steps_per_epoch
        if self.kind == "multistep":
            return float(self.number ** sum(epoch >= milestone for milestone in self.milestones))
        if self.kind == "cosine":
            return self.number + (1 - self.number) * (1 + math.cos(math.pi * epoch / epochs)) / 2
        if self.kind == "onecycle":
            return _onecycle(step, total, self.number)
        if self.kind == "warmup":
            length = int(self.number) * (1 if self.in_steps else steps_per_epoch)
            later = self.then.factor(step, steps_per_epoch, epochs) if self.then else 1.0
            return min(1.0, (step + 1) / length) * later
        return 1.0

    def changes_within_epochs(self) -> bool:
        """Whether two steps of one epoch may have different rates."""
        return self.kind in ("onecycle", "warmup")


def _onecycle(step: int, total: int, share: float) -> float:
    peak = share * total - 1
    if step <= peak:
        return _cosine_between(_ONECYCLE_START, 1.0, step / peak if peak > 0 else 1.0)
    return _cosine_between(1.0, _ONECYCLE_END, (step - peak) / (total - 1 - peak))


def _cosine_between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def _between(text: str, above: bool = False) -> float:
    """A number from 0 to 1, or above 0."""
    number = float(text)
    if not 0 <= number <= 1 or (above and number == 0):
        raise ValueError
    return number
