"""Each arm's final metrics over its seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paribus.findings.compared import LOST
from paribus.findings.intervals import t_interval
from paribus.findings.power import ALPHA
from paribus.findings.targets import epochs_to, seconds_to
from paribus.records.metrics import (
    BUILT_IN,
    DERIVED_METRICS,
    JITTERS,
    METERS,
    SELECTION,
    SPLITS,
    TO_TARGET,
    split_of,
)
from paribus.records.record import ArmRecord, RunRecord, Status, StudyRecord, Target

_SAME_GAP = 0.01
OF_EPOCHS = ("seconds_per_epoch", "seconds_per_evaluation", "best_test_accuracy", *JITTERS, *TO_TARGET)
"""What an estimator has none of, as it is fitted as a whole."""

_OF_CURVES = ("step", "epoch", "train_seconds", "eval_seconds")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A metric over seeds. `values`: one for each seed of the study, None where missing.

    `ci95`: Student's t interval for the mean, None with fewer than two values.
    """

    values: list[float | None]
    n: int
    mean: float | None
    sd: float | None
    ci95: tuple[float, float] | None


def summarise(values: Sequence[float | None]) -> Summary:
    """Mean, standard deviation (n - 1) and Student's 95 % interval of what is there.

    >>> low, high = summarise([0.8, 0.9, None, 1.0]).ci95
    >>> round(low, 4), round(high, 4)
    (0.6516, 1.1484)
    """
    kept = [value if value is not None and math.isfinite(value) else None for value in values]
    present = np.array([value for value in kept if value is not None], dtype=np.float64)
    n = len(present)
    with np.errstate(over="ignore", invalid="ignore"):  # of values near the largest there are
        mean, sd = (float(present.mean()) if n else None), (float(present.std(ddof=1)) if n > 1 else None)
        return Summary(values=kept, n=n, mean=mean, sd=sd, ci95=t_interval(present, ALPHA))


def jitter(run: RunRecord, metric: str = "train_loss") -> float | None:
    """How unquiet a curve is: J = sd(x[t + 1] - 2 x[t] + x[t - 1]) / sqrt(3) over the second half of the evaluations.

    A straight trend has none. Of white noise it is the sd of its change from one evaluation to the next. None where a
    run did not reach its end or was evaluated fewer than ten times. With `eval_every=1` steps are epochs. A last
    evaluation that comes sooner than the others is left out: the trend to it is another one.
    """
    column = run.curve.get(metric)
    if run.final(metric) is None or column is None:
        return None
    if len(column) < 10:
        return None
    before, last, end = run.curve["epoch"][-3:]
    column = column[:-1] if end - last < (1 - _SAME_GAP) * (last - before) else column
    if len(column) < 10:
        return None
    second = column[len(column) // 2 :]
    return float(np.diff(second, 2).std(ddof=1) / math.sqrt(3))


def value(run: RunRecord, metric: str, target: Target | None) -> float | None:
    """A metric of a run, None where it is missing or not finite."""
    found = _value(run, metric, target)
    return found if found is not None and math.isfinite(found) else None


@np.errstate(over="ignore", invalid="ignore")
def _value(run: RunRecord, metric: str, target: Target | None) -> float | None:
    match metric:
        case "seconds_per_epoch":
            return run.seconds_per_epoch()
        case "seconds_per_evaluation":
            return run.seconds_per_evaluation()
        case "best_test_accuracy":
            return run.best_on_validation("test_accuracy", BUILT_IN[SELECTION])
        case _ if metric in JITTERS:
            return jitter(run, JITTERS[metric])
        case "epochs_to_target":
            return epochs_to(run, target) if target else None
        case "seconds_to_target":
            return seconds_to(run, target) if target else None
    return None if metric in METERS and not run.timed else run.final(metric)


def value_at(run: RunRecord, metric: str, epoch: float, since: float | None = None) -> float | None:
    """A curve's value at its last evaluation up to an epoch, or its change since that of another one; None where it was
    not evaluated then. Of a run that diverged later it is what it was."""
    column, epochs = run.curve.get(metric), run.curve.get("epoch")
    if column is None or epochs is None or run.status not in (Status.DONE, *LOST) or not len(epochs):
        return None
    found = []
    for at in (epoch, since):
        upto = int(np.searchsorted(epochs, at, side="right")) if at is not None else 0
        if at is not None and (not upto or at > epochs[-1]):
            return None
        found.append(float(column[upto - 1]) if at is not None else 0.0)
    change = found[0] - found[1]
    return change if math.isfinite(change) else None


def derived_metrics(study: StudyRecord) -> list[str]:
    """Those metrics made from records that the study can have."""
    recorded = {column for arm in study.arms for run in arm.runs for column in run.curve}
    absent = {name for name in METERS if not (study.timing and name in recorded)}
    absent |= {"train_loss_jitter", "best_test_accuracy"} if study.own_loop else set()
    absent |= set() if study.timing else {"seconds_per_evaluation"}
    absent |= set() if {"validation_accuracy", "test_accuracy"} <= recorded else {"best_test_accuracy"}
    absent |= set() if study.target is not None and study.target.direction is not None else set(TO_TARGET)
    return [name for name in DERIVED_METRICS if name not in absent]


def metrics(study: StudyRecord) -> list[str]:
    """The metrics that any run of a study recorded, in the order of the splits; of a user's loop all of them."""
    recorded: dict[str, None] = {}
    for columns in dict.fromkeys(tuple(run.curve) for arm in study.arms for run in arm.runs):
        recorded |= dict.fromkeys(columns)
    if study.own_loop:
        return [name for name in recorded if name not in _OF_CURVES]
    measured = [what for name in recorded for split, what in [split_of(name)] if split == "train" and what != "seconds"]
    names = dict.fromkeys(["accuracy", "loss", *measured])
    return [f"{split}_{name}" for split in SPLITS for name in names if f"{split}_{name}" in recorded]


def values(study: StudyRecord, arm: ArmRecord, metric: str) -> list[float | None]:
    """A metric of an arm, one value for each seed of the study."""
    if arm.whole_fit and metric in OF_EPOCHS:
        return [None] * len(study.seeds)
    runs = {run.seed: run for run in arm.runs}
    return [value(runs[seed], metric, study.target) if seed in runs else None for seed in study.seeds]
