"""Epochs to a target: how many runs reached it, when, and which arm is earlier."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np
from numpy.typing import NDArray

from paribus.findings.differences import holm, sign_flip_p
from paribus.records.record import ArmRecord, RunRecord, Status, StudyRecord, Target

ENDED = (Status.DONE, Status.DIVERGED)
"""Runs that ended by themselves: only they can be said to have reached a target, or not."""


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


def evaluation_reached(run: RunRecord, target: Target) -> int | None:
    """The index of the first evaluation at or beyond the target, None where there is none."""
    values = run.curve.get(target.metric)
    if values is None or target.direction is None:
        return None
    beyond = values <= target.value if target.direction == "lower" else values >= target.value
    return int(beyond.argmax()) if beyond.any() else None


def epochs_to(run: RunRecord, target: Target) -> float | None:
    """The epoch of that evaluation; None for a run that did not reach the target."""
    at = evaluation_reached(run, target) if run.status in ENDED else None
    return None if at is None else float(run.curve["epoch"][at])


def seconds_to(run: RunRecord, target: Target) -> float | None:
    """Training time up to it; None unless the run had the machine to itself."""
    at = evaluation_reached(run, target) if run.status in ENDED else None
    return None if at is None or not run.timed else float(run.curve["train_seconds"][at])


def by_seed(
    arm: ArmRecord, target: Target, when: Callable[[RunRecord, Target], float | None] = epochs_to
) -> dict[int, float]:
    """When the runs that ended by themselves reached it, by seed: infinity for never. `when`: `epochs_to`, or
    `seconds_to`, which leaves out the runs that it says nothing of."""
    found = {}
    for run in arm.runs:
        at = when(run, target)
        if run.status in ENDED and epochs_to(run, target) is None:
            found[run.seed] = math.inf
        elif at is not None:
            found[run.seed] = at
    return found


def reached(study: StudyRecord, target: Target) -> list[Reached]:
    """Each arm's count and median, over the runs that ended by themselves."""
    found = []
    for arm in study.arms:
        epochs = list(by_seed(arm, target).values())
        middle = median(epochs) if epochs else math.inf
        count = sum(map(math.isfinite, epochs))
        found.append(Reached(arm.name, count, len(epochs), middle if math.isfinite(middle) else None))
    return found


def earlier(study: StudyRecord, target: Target) -> list[Earlier]:
    """Every pair of arms, or all against the baseline."""
    by_arm = {arm.name: by_seed(arm, target) for arm in study.arms}
    pairs = [(a, b) for a, b in combinations(by_arm, 2) if study.baseline is None]
    pairs += [(name, study.baseline) for name in by_arm if study.baseline is not None and name != study.baseline]
    tested = [rank_test(by_arm[a], by_arm[b]) for a, b in pairs]
    adjusted = holm([p for _, p, _ in tested])
    return [
        Earlier(a=a, b=b, pairs=n, p=p, p_adjusted=q, a_first=first)
        for (a, b), (n, p, first), q in zip(pairs, tested, adjusted, strict=True)
    ]


def rank_test(a: dict[int, float], b: dict[int, float]) -> tuple[int, float | None, bool]:
    """Of values by seed, infinity for never: pairs, the sign-flip p of their ranks, and whether a's are the lower.

    >>> rank_test({0: 20.0, 1: 30.0}, {0: float("inf"), 1: 90.0})
    (2, 0.5, True)
    """
    seeds = sorted(a.keys() & b.keys())
    ranks = mid_ranks([a[seed] for seed in seeds] + [b[seed] for seed in seeds])
    d = ranks[: len(seeds)] - ranks[len(seeds) :]
    return len(seeds), sign_flip_p(d), bool(d.sum() < 0)


def mid_ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Ranks from 1, ties at their mean rank; infinity is the last rank.

    >>> mid_ranks([3.0, 1.0, 3.0, float("inf")]).tolist()
    [2.5, 1.0, 2.5, 4.0]
    """
    from scipy.stats import rankdata  # half a second to import

    ranks: NDArray[np.float64] = rankdata(values, method="average")
    return ranks
