"""Scores of runs that have nothing in common: Welch's interval and the permutation test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from paribus.findings.compared import Difference, IntervalOf
from paribus.findings.differences import holm, holm_levels
from paribus.findings.intervals import halved
from paribus.findings.power import ALPHA

Values = NDArray[np.float64]
Interval = tuple[float, float]

_COUNTED = 200_000
"""Up to so many ways to share the scores out every one is counted; of more so many are drawn, the same each time."""


def unpaired_differences(
    arms: Mapping[str, Sequence[float | None]],
    metric: str,
    *,
    baseline: str | None = None,
    margin: float | None = None,
    unknown: str | None = None,
) -> list[Difference]:
    """All pairs of arms, or all against the baseline, as `differences` has them; scores that are missing are left out,
    unless it is `unknown` what they count as: then their pairs are not judged, and that text says what to do.

    >>> one, = unpaired_differences({"a": [5.0, 6.0, 7.0, 8.0], "b": [1.0, 2.0, 3.0, 4.0]}, "m")
    >>> one.verdict, round(one.p, 4), one.mean
    ('a higher', 0.0286, 4.0)
    """
    names = [(a, b) for a, b in combinations(arms, 2) if baseline is None]
    names += [(name, baseline) for name in arms if baseline is not None and name != baseline]
    there = {arm: np.array([one for one in of if one is not None], dtype=np.float64) for arm, of in arms.items()}
    ps = [permutation_p(there[a], there[b]) for a, b in names]
    judged = zip(names, ps, holm(ps), holm_levels(ps), strict=True)
    found = []
    for (a, b), p, adjusted, level in judged:
        x, y = there[a], there[b]
        lost = sum(one is None for one in (*arms[a], *arms[b]))
        verdict = _verdict(x, y, adjusted, level, margin and (margin, 2 * ALPHA / len(names)))
        interval, of = _interval(x, y, verdict, (ALPHA / len(names), level))
        one = Difference(
            a=a,
            b=b,
            metric=metric,
            mean=float(x.mean() - y.mean()) if len(x) and len(y) else None,
            ci95=welch_interval(x, y, ALPHA),
            p=p,
            pairs=min(len(x), len(y)),
            p_adjusted=adjusted,
            ci95_family=welch_interval(x, y, ALPHA / len(names)),
            verdict=verdict,
            interval=welch_interval(x, y, 2 * ALPHA / len(names)) if verdict == "equivalent" else interval,
            interval_of="equivalence" if verdict == "equivalent" else of,
            note=f"{len(x)} and {len(y)} runs, unpaired",
            unpaired=True,
        )
        if lost and unknown is not None:
            gone = "1 score is missing" if lost == 1 else f"{lost} scores are missing"
            note = f"{gone}, and nobody said why: {unknown}"
            one = replace(
                one, verdict="not judged", p=None, p_adjusted=None, note=note, interval=None, interval_of=None
            )
        found.append(one)
    return found


def permutation_p(x: Values, y: Values) -> float | None:
    """Two-sided p of the difference of the means: of all ways to share the scores out, the share whose difference is as
    large. None without scores of both.

    Source: R. A. Fisher, The design of experiments (1935); SciPy's `permutation_test`.
    """
    if not len(x) or not len(y):
        return None
    from scipy.stats import permutation_test

    def difference(a: Values, b: Values, axis: int) -> Values:
        return np.asarray(np.abs(a.mean(axis=axis) - b.mean(axis=axis)))

    found = permutation_test(
        (x, y),
        difference,
        n_resamples=_COUNTED,
        vectorized=True,
        batch=10_000,
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def welch_interval(x: Values, y: Values, alpha: float) -> Interval | None:
    """Of the difference of the means, where spreads differ; None with fewer than two scores of an arm, or no spread.

    Source: B. L. Welch, The generalization of Student's problem (Biometrika 1947); SciPy's `ttest_ind`.
    """
    if min(len(x), len(y)) < 2 or not (np.ptp(x) or np.ptp(y)):
        return None
    from scipy.stats import ttest_ind

    found = ttest_ind(x, y, equal_var=False).confidence_interval(1 - alpha)
    return (float(found.low), float(found.high)) if math.isfinite(found.low) and math.isfinite(found.high) else None


def least_p(x: Values, y: Values) -> float:
    """The least that p can be: one way of all, two of arms of one size."""
    n, m = len(x), len(y)
    return min(1.0, (2 if n == m else 1) / math.comb(n + m, n)) if n and m else 1.0


def _verdict(x: Values, y: Values, p: float | None, level: float, margin: tuple[float, float] | float | None) -> str:
    if p is None or least_p(x, y) > level:
        return "too few seeds"
    if isinstance(margin, tuple):
        inner = welch_interval(x, y, margin[1])
        if inner is not None and -margin[0] < inner[0] and inner[1] < margin[0]:
            return "equivalent"
    if p <= ALPHA:
        return "a higher" if x.mean() > y.mean() else "b higher"
    return "no difference shown"


def _interval(
    x: Values, y: Values, verdict: str, levels: tuple[float, float]
) -> tuple[Interval | None, IntervalOf | None]:
    """Welch's where it says what the verdict does, else that of the permutation test."""
    told = {"a higher": 1, "b higher": -1}.get(verdict, 0)
    for level in levels:
        inner = welch_interval(x, y, level)
        if inner is not None and (verdict == "too few seeds" or told == int(inner[0] > 0) - int(inner[1] < 0)):
            return inner, "t" if level == levels[0] else "t of the pair"
    if not len(x) or not len(y) or verdict == "too few seeds":
        return None, None
    centre, level = float(x.mean() - y.mean()), levels[1]
    reach = float(max(x.max(), y.max()) - min(x.min(), y.min())) or 1.0

    def ruled_out(mean: float) -> bool:
        return (permutation_p(x - mean, y) or 1.0) <= level

    if not (ruled_out(centre - 2 * reach) and ruled_out(centre + 2 * reach)):
        return None, None
    return (halved(centre, centre - 2 * reach, ruled_out), halved(centre, centre + 2 * reach, ruled_out)), "permutation"
