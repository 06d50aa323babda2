"""The mean of an arm's curves with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paribus.findings.power import ALPHA
from paribus.records.record import ArmRecord, RunRecord, Status

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Band:
    """At each of `epochs`, over `runs` runs: the mean and the ends of its interval."""

    runs: int
    epochs: Values
    mean: Values
    low: Values
    high: Values


def arm_band(arm: ArmRecord, metric: str) -> Band | None:
    """Over the runs of an arm that are done and were evaluated where the first of them was, with early stopping as far
    as all of them went; None of fewer than two."""
    same = _alike([run for run in arm.runs if len(run.curve.get(metric, ()))])
    if len(same) < 2:
        return None
    n = min(len(run.curve["epoch"]) for run in same)
    mean, low, high = band(np.stack([run.curve[metric][:n] for run in same]))
    return Band(runs=len(same), epochs=same[0].curve["epoch"][:n], mean=mean, low=low, high=high)


def band(rows: Values) -> tuple[Values, Values, Values]:
    """Mean, and the ends of Student's 95 % interval for it, of each column; NaN where a value is not finite.

    `rows`: a run each, at the same evaluations.
    """
    from scipy.special import stdtrit

    n = len(rows)
    with np.errstate(all="ignore"):
        mean = rows.mean(axis=0)
        half = float(stdtrit(n - 1, 1 - ALPHA / 2)) * rows.std(axis=0, ddof=1) / np.sqrt(n)
        whole = np.isfinite(rows).all(axis=0) & np.isfinite(mean) & np.isfinite(half)
        return tuple(np.where(whole, one, np.nan) for one in (mean, mean - half, mean + half))  # type: ignore[return-value]


def _alike(runs: Sequence[RunRecord]) -> list[RunRecord]:
    done = [run for run in runs if run.status is Status.DONE]
    if done and done[0].reported_by is not None:
        n = min(len(run.curve["epoch"]) for run in done)
        return [run for run in done if np.array_equal(run.curve["epoch"][:n], done[0].curve["epoch"][:n])]
    return [run for run in done if np.array_equal(run.curve["epoch"], done[0].curve["epoch"])]
