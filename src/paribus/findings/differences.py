"""Which differences between arms are real: paired over seeds, with intervals, p-values and verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from paribus.findings.compared import Compared, Difference, Judge, Lost, Values
from paribus.findings.power import ALPHA
from paribus.findings.sign_flips import COUNTED, COUNTED_SOON
from paribus.findings.stopping import Fixed, Stopping, UntilDecided, ends_of


@np.errstate(over="ignore", invalid="ignore")
def differences(
    arms: Mapping[str, Values],
    metric: str,
    *,
    primary: bool = True,
    baseline: str | None = None,
    margin: float | None = None,
    lost: Lost | None = None,
    stopping: Stopping | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    family: int | None = None,
    unit: str = "seed",
) -> list[Difference]:
    """All pairs of arms, or all arms against the baseline, or some `pairs`, on one metric; values aligned by seed, None
    where missing.

    The verdict is `too few seeds` exactly when no outcome could have been found at the level that Holm's method tested
    the pair at, 0.05 / family for the first that is not found: 2^(1 - pairs) is above it. Otherwise `not judged` where
    runs were lost that cannot be ranked, or differences are beyond all numbers; with a margin, `equivalent` where two
    one-sided t tests at 0.05 / family put the difference inside it; then `a higher` or `b higher` where the adjusted p
    is at most 0.05; else `no difference shown`. With seeds until decided it is `not decided yet` while a pair goes on.
    `stopping`: when the study ends; by default at a declared number of seeds; `unit`: what values are aligned by, if
    not by seed; `family`: how many pairs there are in all, where `pairs` are some of them: the others count with a p
    of 1.

    Raises ValueError for a baseline that is no arm.

    >>> a, b = [0.91, 0.92, 0.93, 0.91, 0.94, 0.92], [0.90, 0.90, 0.91, 0.90, 0.92, 0.91]
    >>> found, = differences({"adam": a, "sgd": b}, "test_accuracy")
    >>> found.verdict, found.p, round(found.mean, 4)
    ('a higher', 0.03125, 0.015)
    """
    compared = _compared(arms, baseline, lost, pairs, unit=unit)
    ending: Stopping = stopping if stopping is not None and (primary or stopping.shared) else Fixed()
    if isinstance(ending, UntilDecided):
        compared = _ended(compared, ending, margin)
    found = [one.difference(metric, ending, counted=COUNTED if primary else COUNTED_SOON) for one in compared]
    if not primary:
        return found
    ps = [one.p for one in found]
    family = family or len(compared)
    judged = zip(compared, found, holm(ps, family), holm_levels(ps, family), strict=True)
    return [one.judged(of, Judge(family, margin, p, level, ending)) for one, of, p, level in judged]


def going_on(
    arms: Mapping[str, Values],
    until: UntilDecided,
    *,
    margin: float | None = None,
    lost: Lost | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> list[tuple[str, str]]:
    """The pairs that are `not decided yet`, as in `differences`, without all else that is said of them.

    >>> low, high = [1.0, 2.0, 1.5, 2.5, 1.2, 2.2, 1.1, 1.9], [9.0, 8.0, 7.5, 8.5, 9.5, 8.2, 9.1, 7.9]
    >>> arms = {"a": low, "b": low[::-1], "c": high}
    >>> going_on({name: [*scores, None] for name, scores in arms.items()}, UntilDecided(6, 9))
    [('a', 'b')]
    """
    compared = _ended(_compared(arms, None, lost, pairs), until, margin)
    return [(one.a, one.b) for one in compared if one.end is not None and not one.end.why]


def _compared(
    arms: Mapping[str, Values],
    baseline: str | None,
    lost: Lost | None,
    pairs: Sequence[tuple[str, str]] | None,
    *,
    unit: str = "seed",
) -> list[Compared]:
    if baseline is not None and baseline not in arms:
        raise ValueError(f"there is no arm {baseline!r} to compare with: there is {', '.join(map(repr, arms))}")
    names = [(a, b) for a, b in combinations(arms, 2) if baseline is None] if pairs is None else list(pairs)
    names += [(name, baseline) for name in arms if baseline is not None and name != baseline]
    return [Compared(a, b, arms[a], arms[b], lost.between(a, b) if lost else None, unit=unit) for a, b in names]


def _ended(compared: Sequence[Compared], until: UntilDecided, margin: float | None) -> list[Compared]:
    """Each pair up to where it ended, from its first seed on, as far as every one is known."""
    sofar = [one.first(one.unbroken) for one in compared]
    ends = ends_of([one.signal() for one in sofar], until, ALPHA, margin)
    return [
        replace(one.first(one.rows_of(end.n)) if end.n else one, end=end) for one, end in zip(sofar, ends, strict=True)
    ]


def holm(ps: Sequence[float | None], family: int | None = None) -> list[float | None]:
    """Holm's adjusted p-values: sorted ascending, max so far of (m - i) p, at most 1; None stays None.

    m counts every pair of the family, those without a p too; `family`: how many these are, where not all are here.

    Source: S. Holm, A simple sequentially rejective multiple test procedure (1979).

    >>> holm([0.01, 0.04, None, 0.03])
    [0.04, 0.09, None, 0.09]
    """
    m = family or len(ps)
    adjusted: list[float | None] = [None] * len(ps)
    worst = 0.0
    for rank, (p, i) in enumerate(_ascending(ps)):
        worst = max(worst, min(1.0, (m - rank) * p))
        adjusted[i] = worst
    return adjusted


def holm_levels(ps: Sequence[float | None], family: int | None = None) -> list[float]:
    """The level that each pair was tested at: 0.05 / (m - i), up to the first that is not found, whose level is that of
    all after it. Equal p-values are tested at the level of their first, so that the order of the arms decides nothing.

    >>> holm_levels([0.01, 0.04, 0.03]) == [0.05 / 3, 0.05 / 2, 0.05 / 2]
    True
    """
    m = family or len(ps)
    levels = [ALPHA / max(m, 1)] * len(ps)
    before, level, stopped = math.nan, math.nan, False
    for rank, (p, i) in enumerate(_ascending(ps)):
        if p != before and not stopped:
            level = ALPHA / (m - rank)
        levels[i] = level
        before, stopped = p, stopped or p > level
    return levels


def _ascending(ps: Sequence[float | None]) -> list[tuple[float, int]]:
    return sorted((p, i) for i, p in enumerate(ps) if p is not None)
