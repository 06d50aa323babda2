"""How a run goes, whatever it trains: from settings to the numbers that the loops read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.settings import Settings, steps_in_epoch
from paribus.fused import steps
from paribus.fused.losses import NUMBERS as NUMBERS_OF_LOSSES
from paribus.fused.optimizers import NUMBERS, OPTIMIZERS


@dataclass(frozen=True)
class LoopConfig:
    """The order of the examples, steps, evaluations, rates and the optimizer.

    `facts`: fields of `steps.RUN`; `hyper`, `states`, `matrices`: see `optimizers.Rule`; `rates`: one for all steps,
    for each epoch or for each step.
    """

    precision: str
    facts: dict[str, Any]
    hyper: NDArray[np.float64]
    states: tuple[bool, ...]
    matrices: bool
    rates: NDArray[np.float64]

    @classmethod
    def of(cls, settings: Settings, seed: int, examples: int) -> LoopConfig:
        """The loop of a run over so many training examples."""
        per_epoch = steps_in_epoch(settings, examples)
        batch = min(settings.batch_size, examples) if settings.sampler == "shuffle" else settings.batch_size
        counted = settings.sampler == "replacement" and settings.steps_per_epoch != "all"
        facts: dict[str, Any] = {
            "seed": seed,
            "optimizer": NUMBERS[settings.optimizer.name],
            "repeats": settings.sampler == "replacement",
            "batch": batch,
            "examples": examples,
            "epoch_examples": per_epoch * batch if counted else examples,
            "steps_per_epoch": per_epoch,
            "total": settings.epochs * per_epoch,
            "interval": settings.eval_every.in_steps(per_epoch),
            "clip": settings.clip or 0.0,
            "l1": settings.l1,
            "loss_of": NUMBERS_OF_LOSSES[settings.told_loss.kind],
            "quantile": settings.told_loss.q or 0.0,
        }
        facts["rates"], rates = _rates(settings, per_epoch)
        rule, chosen = OPTIMIZERS[settings.optimizer.name], settings.optimizer
        return cls(
            precision=settings.precision,
            facts=facts,
            hyper=np.array(rule.numbers(chosen), dtype=np.float64),
            states=tuple(bool(getattr(chosen, one) if isinstance(one, str) else one) for one in rule.states),
            matrices=rule.matrices,
            rates=rates,
        )


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
