"""Each arm's final metrics over its seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paribus.core.record import SPLITS, ArmRecord, StudyRecord


@dataclass(frozen=True)
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
    """Mean, standard deviation (n - 1) and 95 % interval, mean +- t(0.975, n - 1) sd / sqrt(n), of what is there.

    Source: Student, The probable error of a mean (1908).

    >>> low, high = summarise([0.8, 0.9, None, 1.0]).ci95
    >>> round(low, 4), round(high, 4)
    (0.6516, 1.1484)
    """
    present = np.array([value for value in values if value is not None and math.isfinite(value)])
    kept = [value if value is not None and math.isfinite(value) else None for value in values]
    n = len(present)
    mean = float(present.mean()) if n else None
    if mean is None or n < 2:
        return Summary(kept, n, mean, None, None)
    from scipy.special import stdtrit

    sd = float(present.std(ddof=1))
    half = float(stdtrit(n - 1, 0.975)) * sd / math.sqrt(n)
    return Summary(kept, n, mean, sd, (mean - half, mean + half))


def metrics(study: StudyRecord) -> list[str]:
    """The metrics that any run of a study recorded, in the order of the splits."""
    recorded = {name for arm in study.arms for run in arm.runs for name in run.curve}
    return [f"{split}_{m}" for split in SPLITS for m in ("accuracy", "loss") if f"{split}_{m}" in recorded]


def summaries(study: StudyRecord, arm: ArmRecord) -> dict[str, Summary]:
    """Every metric of an arm, final values, aligned with the study's seeds.

    `seconds_per_epoch` is training time, and missing unless the run had the machine to itself.
    """
    runs = {run.seed: run for run in arm.runs}
    found = {
        name: summarise([runs[seed].final(name) if seed in runs else None for seed in study.seeds])
        for name in metrics(study)
    }
    found["seconds_per_epoch"] = summarise([None] * len(study.seeds))
    return found
