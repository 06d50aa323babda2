"""Epochs to a target: how many runs reached it, when, and which arm is earlier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from paribus.findings.differences import holm
from paribus.findings.pairs import ranked
from paribus.findings.resplit import of_study
from paribus.findings.sign_flips import COUNTED
from paribus.findings.stopping import Fixed, Stopping
from paribus.findings.tasks import pairs_of
from paribus.records.record import ArmRecord, RunRecord, Status, StudyRecord, Target

Epochs = NDArray[np.float64]
ENDED = (Status.DONE, Status.DIVERGED, Status.FAILED)
"""How a run ended of which it can be said whether it reached a target: one that failed did not."""


@dataclass(frozen=True)
class Reached:
    """One arm. `median_epochs` counts a run that never reached it as later than any epoch: None where that is the
    median."""

    arm: str
    reached: int
    runs: int
    median_epochs: float | None


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """Two arms: sign-flip test on the ranks of all their epochs, paired by seed; Holm over the pairs of the study.

    `a_first`: whether a's ranks are the lower.
    """

    a: str
    b: str
    pairs: int
    p: float | None
    p_adjusted: float | None
    a_first: bool


def evaluation_reached(run: RunRecord, target: Target, grid: Epochs | None = None) -> int | None:
    """The index of the evaluation from which on the target holds to the end; None where it does not hold there. A curve
    that crosses it once and falls back has not reached it, nor has a run that diverged.

    `grid`: the epochs to look at, each by the last evaluation up to it.
    """
    values = run.curve.get(target.metric)
    if values is None or target.direction is None or run.status is not Status.DONE:
        return None
    looked = np.arange(len(values))
    if grid is not None:
        looked = np.searchsorted(run.curve["epoch"], grid, side="right") - 1
        looked = looked[looked >= 0]
    values = values[looked]
    beyond = values <= target.value if target.direction == "lower" else values >= target.value
    if not len(beyond) or not beyond[-1]:
        return None
    return int(looked[0 if beyond.all() else len(beyond) - beyond[::-1].argmin()])


def epochs_to(run: RunRecord, target: Target, grid: Epochs | None = None) -> float | None:
    """The epoch of that evaluation, with a grid that of the grid; None for a run that did not reach the target."""
    at = evaluation_reached(run, target, grid)
    if at is None:
        return None
    epoch = float(run.curve["epoch"][at])
    return epoch if grid is None else float(grid[np.searchsorted(grid, epoch, side="left")])


def seconds_to(run: RunRecord, target: Target, grid: Epochs | None = None) -> float | None:
    """Training time up to it; None unless the run had the machine to itself."""
    at = evaluation_reached(run, target, grid)
    return None if at is None or not run.timed else float(run.curve["train_seconds"][at])


def common_grid(*arms: ArmRecord) -> Epochs | None:
    """The evaluations by which arms are compared: those of the arm that has the fewest, up to the epoch that all were
    trained to. Whoever is looked at more often would be seen to arrive earlier."""
    until = horizon(*arms)
    longest = [
        max((run.curve["epoch"] for run in arm.runs if run.status is Status.DONE), key=len, default=None)
        for arm in arms
    ]
    seen = [epochs[epochs <= until] for epochs in longest if epochs is not None]
    return min(seen, key=len, default=None)


def horizon(*arms: ArmRecord) -> float:
    """The epoch up to which all arms were trained: beyond it nothing is known of one of them."""
    return min((max(_ends(arm), default=math.inf) for arm in arms), default=math.inf)


def _ends(arm: ArmRecord) -> list[float]:
    return [float(run.curve["epoch"][-1]) for run in arm.runs if run.status is Status.DONE and len(run.curve["epoch"])]


def by_seed(arm: ArmRecord, target: Target, grid: Epochs | None = None, *, seconds: bool = False) -> dict[int, float]:
    """The epochs after which runs reached it, by seed: infinity for never. `seconds`: of training instead, without the
    runs of which they say nothing."""
    found = {}
    for run in arm.runs:
        if run.status not in ENDED:
            continue
        at = epochs_to(run, target, grid)
        if at is None:
            found[run.seed] = math.inf
        elif not seconds:
            found[run.seed] = at
        elif (time := seconds_to(run, target, grid)) is not None:
            found[run.seed] = time
    return found


def reached(study: StudyRecord, target: Target) -> list[Reached]:
    """Each arm's count and median, over the runs that ended."""
    found = []
    for arm in study.arms:
        epochs = list(by_seed(arm, target).values())
        middle = median(epochs) if epochs else math.inf
        count = sum(map(math.isfinite, epochs))
        found.append(Reached(arm.name, count, len(epochs), middle if math.isfinite(middle) else None))
    return found


def earlier(
    study: StudyRecord, target: Target, pairs: Sequence[tuple[str, str]] | None = None, family: int | None = None
) -> list[Earlier]:
    """Every pair of arms that is compared, each up to the epoch that both were trained to. `pairs`, `family`: some of
    so many pairs."""
    arms = {arm.name: arm for arm in study.arms}
    pairs = pairs_of(study) if pairs is None else pairs
    stopping = of_study(study)
    tested = [_rank_test_of(arms[a], arms[b], target, stopping) for a, b in pairs]
    adjusted = holm([p for _, p, _ in tested], family)
    return [
        Earlier(a=a, b=b, pairs=n, p=p, p_adjusted=q, a_first=first)
        for (a, b), (n, p, first), q in zip(pairs, tested, adjusted, strict=True)
    ]


def _rank_test_of(a: ArmRecord, b: ArmRecord, target: Target, stopping: Stopping) -> tuple[int, float | None, bool]:
    grid = common_grid(a, b)
    return rank_test(by_seed(a, target, grid), by_seed(b, target, grid), stopping)


def rank_test(
    a: dict[int, float], b: dict[int, float], stopping: Stopping | None = None
) -> tuple[int, float | None, bool]:
    """Of values by seed, infinity for never: pairs, the p of their ranks, and whether a's are the lower. `stopping`:
    ranks know nothing of looks, and then p is as if there had been none.

    >>> rank_test({0: 20.0, 1: 30.0}, {0: float("inf"), 1: 90.0})
    (2, 0.5, True)
    """
    seeds = sorted(a.keys() & b.keys())
    d = ranked(np.array([a[seed] for seed in seeds], dtype=float), np.array([b[seed] for seed in seeds], dtype=float))
    test = stopping if isinstance(stopping, Fixed) else Fixed()
    return len(seeds), test.p(d, np.zeros(len(d)), COUNTED), bool(d.sum() < 0)
