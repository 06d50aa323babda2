"""How a run goes, whatever it trains: from settings to the numbers that the loops read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.optimizers import Adam, AdamW, RmsProp, Sgd
from paribus.config.settings import Settings, steps_in_epoch
from paribus.fused import optimizers, steps


@dataclass(frozen=True)
class LoopConfig:
    """The order of the examples, steps, evaluations, rates and the optimizer.

    `facts`: fields of `steps.RUN`; `hyper`: see `optimizers.update`; `states`: which of its three states of a parameter
    the optimizer has; `rates`: one for all steps, for each epoch or for each step.
    """

    precision: str
    facts: dict[str, Any]
    hyper: NDArray[np.float64]
    states: tuple[bool, bool, bool]
    rates: NDArray[np.float64]

    @classmethod
    def of(cls, settings: Settings, seed: int, examples: int) -> LoopConfig:
        """The loop of a run over so many training examples."""
        per_epoch = steps_in_epoch(settings, examples)
        batch = min(settings.batch_size, examples) if settings.sampler == "shuffle" else settings.batch_size
        counted = settings.sampler == "replacement" and settings.steps_per_epoch != "all"
        facts: dict[str, Any] = {
            "seed": seed, "optimizer": _kind(settings), "repeats": settings.sampler == "replacement", "batch": batch,
            "examples": examples, "epoch_examples": per_epoch * batch if counted else examples,
            "steps_per_epoch": per_epoch, "total": settings.epochs * per_epoch,
            "interval": settings.eval_every.in_steps(per_epoch), "clip": settings.clip or 0.0,
        }  # fmt: skip
        facts["rates"], rates = _rates(settings, per_epoch)
        return cls(settings.precision, facts, _hyper(settings), _states(settings), rates)


def _kind(settings: Settings) -> int:
    names = {"sgd": optimizers.SGD, "adam": optimizers.ADAM, "adamw": optimizers.ADAMW, "rmsprop": optimizers.RMSPROP}
    return names[settings.optimizer.name]


def _hyper(settings: Settings) -> NDArray[np.float64]:
    one = settings.optimizer
    match one:
        case Sgd():
            own: tuple[float, ...] = (one.momentum, one.dampening, 0, 0, one.nesterov)
        case Adam() | AdamW():
            own = (one.beta1, one.beta2, one.eps, 0, 0)
        case RmsProp():
            own = (one.alpha, 0, one.eps, one.momentum, one.centered)
        case _:
            raise NotImplementedError(one.name)
    return np.array([one.weight_decay, *own], dtype=np.float64)


def _states(settings: Settings) -> tuple[bool, bool, bool]:
    one = settings.optimizer
    match one:
        case Sgd():
            return one.momentum != 0, False, False
        case RmsProp():
            return True, one.centered, one.momentum != 0
    return True, True, False


def _rates(settings: Settings, per_epoch: int) -> tuple[int, NDArray[np.float64]]:
    lr = settings.optimizer.lr
    assert lr is not None
    if settings.schedule.kind == "constant":
        return steps.ONE_RATE, np.array([lr])
    within = settings.schedule.changes_within_epochs()
    factors = _factors(settings.schedule, per_epoch, settings.epochs, within)
    return steps.RATE_A_STEP if within else steps.RATE_AN_EPOCH, lr * factors


@lru_cache(maxsize=16)
def _factors(schedule: Any, per_epoch: int, epochs: int, within: bool) -> NDArray[np.float64]:
    firsts = range(0, per_epoch * epochs, 1 if within else per_epoch)
    return np.array([schedule.factor(step, per_epoch, epochs) for step in firsts] or [1.0])
