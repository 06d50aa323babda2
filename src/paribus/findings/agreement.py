"""How close two implementations of one arm come: the same plan, so any visible gap is a bug."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from paribus.config.values import Value
from paribus.records.record import ArmRecord, RunRecord, Status, StudyRecord

_FACTOR = "implementation"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The largest |difference| of a curve between arms that differ in `implementation` alone, and where it stands.

    `seeds`: on how many both arms are done; `gap` is None where a curve is missing or of another length.
    """

    a: str
    b: str
    metric: str
    gap: float | None
    seeds: int
    at_seed: int | None
    at_epoch: float | None


def agreements(study: StudyRecord, metric: str = "train_loss") -> list[Agreement]:
    """One for each pair of arms that differ in their implementation and in nothing else."""
    return [
        _agreement(a, b, metric)
        for a, b in combinations(study.arms, 2)
        if a.settings[_FACTOR] != b.settings[_FACTOR] and _others(a.settings) == _others(b.settings)
    ]


def _others(settings: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in settings.items() if name != _FACTOR}


def _agreement(a: ArmRecord, b: ArmRecord, metric: str) -> Agreement:
    theirs = {run.seed: run for run in b.runs if run.status is Status.DONE}
    pairs = [(run, theirs[run.seed]) for run in a.runs if run.status is Status.DONE and run.seed in theirs]
    worst: tuple[float, int, float] | None = None
    for one, other in pairs:
        gap = _largest(one, other, metric)
        if gap is None:
            return Agreement(
                a=a.name, b=b.name, metric=metric, gap=None, seeds=len(pairs), at_seed=one.seed, at_epoch=None
            )
        if worst is None or gap[0] > worst[0]:
            worst = (gap[0], one.seed, gap[1])
    if worst is None:
        return Agreement(a=a.name, b=b.name, metric=metric, gap=None, seeds=0, at_seed=None, at_epoch=None)
    return Agreement(
        a=a.name, b=b.name, metric=metric, gap=worst[0], seeds=len(pairs), at_seed=worst[1], at_epoch=worst[2]
    )


def _largest(one: RunRecord, other: RunRecord, metric: str) -> tuple[float, float] | None:
    """The largest |difference| and its epoch."""
    x, y = one.curve.get(metric), other.curve.get(metric)
    if x is None or y is None or not len(x) or x.shape != y.shape:
        return None
    gaps = np.abs(x - y)
    at = int(gaps.argmax())
    return float(gaps[at]), float(one.curve["epoch"][at])
