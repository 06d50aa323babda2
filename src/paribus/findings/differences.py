"""Which differences between arms are real: paired over seeds, with intervals, p-values and verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from paribus.plan import philox

ALPHA = 0.05
POWER = 0.80
EXACT_PAIRS = 16
"""Up to 2^16 sign flips are all counted; beyond, as many are drawn."""

_MOST_SEEDS = 100_000
_CERTAIN = 30.0  # so far out the power is 1 to all digits, and SciPy's series may not converge

Values = Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Arm a minus arm b on one metric.

    `mean`, `ci95`: of the per-seed differences, with Student's t. `p`: of the sign-flip test. On the primary metric
    also `p_adjusted` (Holm over the family of pairs), `ci95_family` (the interval at level 1 - 0.05 / pairs in the
    family), `verdict`, and `seeds_needed` (for 80 % power, at the margin where one is declared, else at the difference
    observed); None on others. `pairs`: seeds that both arms have. `pairing_gain`: (var a + var b) / var(a - b), what
    matching the seeds was worth.
    """

    a: str
    b: str
    metric: str
    mean: float | None
    ci95: tuple[float, float] | None
    p: float | None
    p_adjusted: float | None
    ci95_family: tuple[float, float] | None
    pairs: int
    pairing_gain: float | None
    verdict: str | None
    seeds_needed: int | None


@np.errstate(over="ignore", invalid="ignore")
def differences(
    arms: Mapping[str, Values],
    metric: str,
    *,
    primary: bool = True,
    baseline: str | None = None,
    margin: float | None = None,
) -> list[Difference]:
    """All pairs of arms, or all arms against the baseline, on one metric; values aligned by seed, None where missing.

    The verdict is `too few seeds` exactly when no outcome could have reached 0.05: family x 2^(1 - pairs) > 0.05
    (beyond 17 pairs 2^-16, the least p of the ways that are drawn); `too many pairs` where none could with any number
    of seeds.
    Otherwise, with a margin, `equivalent` where two one-sided t tests at 0.05 / family put the difference inside it;
    then `a higher` or `b higher` where the adjusted p is at most 0.05; else `no difference shown`.

    Raises ValueError for a baseline that is no arm.

    >>> a, b = [0.91, 0.92, 0.93, 0.91, 0.94, 0.92], [0.90, 0.90, 0.91, 0.90, 0.92, 0.91]
    >>> found, = differences({"adam": a, "sgd": b}, "test_accuracy")
    >>> found.verdict, found.p, round(found.mean, 4)
    ('a higher', 0.03125, 0.015)
    """
    if baseline is not None and baseline not in arms:
        raise ValueError(f"there is no arm {baseline!r} to compare with: there is {', '.join(map(repr, arms))}")
    names = [(a, b) for a, b in combinations(arms, 2) if baseline is None]
    names += [(name, baseline) for name in arms if baseline is not None and name != baseline]
    paired = [_pair(arms[a], arms[b]) for a, b in names]
    ps = [sign_flip_p(x - y) for x, y in paired]
    adjusted = holm(ps)
    return [
        _difference(a, b, metric, x, y, p=p, p_adjusted=p_holm, family=len(names), primary=primary, margin=margin)
        for (a, b), (x, y), p, p_holm in zip(names, paired, ps, adjusted, strict=True)
    ]


def _pair(a: Values, b: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    both = [
        (x, y)
        for x, y in zip(a, b, strict=True)
        if x is not None and y is not None and math.isfinite(x) and math.isfinite(y)
    ]
    pairs = np.array(both, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _difference(
    a: str,
    b: str,
    metric: str,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    p: float | None,
    p_adjusted: float | None,
    family: int,
    primary: bool,
    margin: float | None,
) -> Difference:
    d, n = x - y, len(x)
    mean = float(d.mean()) if n else None
    sd = float(d.std(ddof=1)) if n > 1 else None
    gain = None
    if sd is not None and sd > 0:
        gain = float((x.var(ddof=1) + y.var(ddof=1)) / sd**2)
    verdict = seeds_needed = None
    if primary:
        verdict = _verdict(d, p_adjusted, family, margin)
        seeds_needed = seeds_for(margin if margin is not None else mean, sd, family)
    return Difference(
        a=a,
        b=b,
        metric=metric,
        mean=mean,
        ci95=t_interval(d, ALPHA),
        p=p,
        p_adjusted=p_adjusted if primary else None,
        ci95_family=t_interval(d, ALPHA / family) if primary else None,
        pairs=n,
        pairing_gain=gain,
        verdict=verdict,
        seeds_needed=seeds_needed,
    )


def _verdict(d: NDArray[np.float64], p_adjusted: float | None, family: int, margin: float | None) -> str:
    if least_seeds(family) is None:
        return "too many pairs"
    if too_few(len(d), family) or p_adjusted is None:
        return "too few seeds"
    if margin is not None:
        inner = t_interval(d, 2 * ALPHA / family)
        if inner is not None and -margin < inner[0] and inner[1] < margin:
            return "equivalent"
    if p_adjusted <= ALPHA:
        return "a higher" if d.mean() > 0 else "b higher"
    return "no difference shown"


def too_few(pairs: int, family: int) -> bool:
    """Whether no outcome could have reached 0.05: the least p of `pairs` sign flips, times the family.

    >>> [next(n for n in range(1, 99) if not too_few(n, family)) for family in (1, 3, 36)]
    [6, 7, 11]
    """
    return family * max(2.0 ** (1 - pairs), 2.0**-EXACT_PAIRS) > ALPHA


def least_seeds(family: int) -> int | None:
    """The least number of seeds at which a difference could reach 0.05; None for so many pairs that none could: more
    than 3,276, as p is never under 2^-16.

    >>> least_seeds(1), least_seeds(3276), least_seeds(3277)
    (6, 17, None)
    """
    return next((n for n in range(2, EXACT_PAIRS + 2) if not too_few(n, family)), None)


def t_interval(d: NDArray[np.float64], alpha: float) -> tuple[float, float] | None:
    """mean +- t(1 - alpha / 2, n - 1) sd / sqrt(n); None with fewer than two values.

    Source: Student, The probable error of a mean (1908).
    """
    n = len(d)
    if n < 2:
        return None
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 1 - alpha / 2)) * float(d.std(ddof=1)) / math.sqrt(n)
    return float(d.mean()) - half, float(d.mean()) + half


def sign_flip_p(d: NDArray[np.float64]) -> float | None:
    """Two-sided p of the sign-flip permutation test on the mean difference; None without pairs.

    The share of the 2^n ways to flip signs whose |sum| is at least the one observed. Beyond 16 pairs, of 2^16 ways
    drawn by Philox under a key of no stream, the observed one among them.

    Source: R. A. Fisher, The design of experiments (1935), section 21.

    >>> sign_flip_p(np.array([1.0, 2.0, 3.0]))
    0.25
    """
    n = len(d)
    if n == 0:
        return None
    observed = abs(float(d.sum()))
    # sums that differ by rounding alone count as equal
    least = observed - 100 * np.finfo(float).eps * float(np.abs(d).sum())
    if n <= EXACT_PAIRS:
        sums = d[:1]  # the other half of the ways are these with every sign turned
        for value in d[1:]:
            sums = np.concatenate([sums + value, sums - value])
        return float((np.abs(sums) >= least).mean())
    sums = np.zeros(2**EXACT_PAIRS - 1)
    for first, chosen in zip(range(0, n, EXACT_PAIRS), _drawn_signs(n), strict=True):
        table = np.zeros(1)  # the signed sums of 16 pairs, all 2^16: of each way one is looked up
        for value in np.pad(d[first : first + EXACT_PAIRS], (0, max(0, first + EXACT_PAIRS - n)))[::-1]:
            table = np.concatenate([table - value, table + value])
        sums += table[chosen]
    return float((1 + (np.abs(sums) >= least).sum()) / 2**EXACT_PAIRS)


@lru_cache(maxsize=2)
def _drawn_signs(n: int) -> NDArray[np.uint16]:
    """2^16 - 1 ways to flip n signs: a row for each 16 pairs, of each way their signs as bits, the first pair first."""
    ways = 2**EXACT_PAIRS - 1
    words = philox((np.arange((n + 127) // 128)[None, :], np.arange(ways)[:, None], 0, 0), (0, 0))
    return np.ascontiguousarray(words.reshape(ways, -1).view(">u2")[:, : (n + 15) // 16].T.astype(np.uint16))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values: sorted ascending, max so far of (m - i) p, at most 1; None stays None.

    m counts every pair of the family, those without a p too.

    Source: S. Holm, A simple sequentially rejective multiple test procedure (1979).

    >>> holm([0.01, 0.04, None, 0.03])
    [0.04, 0.09, None, 0.09]
    """
    adjusted: list[float | None] = [None] * len(ps)
    worst = 0.0
    ranked = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    for rank, (p, i) in enumerate(ranked):
        worst = max(worst, min(1.0, (len(ps) - rank) * p))
        adjusted[i] = worst
    return adjusted


def power(delta: float, sd: float, n: int, alpha: float) -> float:
    """The chance that a paired t test of n seeds finds a mean difference delta: noncentral t, two-sided.

    >>> round(power(1.0, 1.0, 10, 0.05), 3)
    0.803
    """
    from scipy.special import nctdtr, stdtrit

    noncentrality = abs(delta) / sd * math.sqrt(n)
    if noncentrality > _CERTAIN:
        return 1.0
    critical = float(stdtrit(n - 1, 1 - alpha / 2))
    return 1 - float(nctdtr(n - 1, noncentrality, critical)) + float(nctdtr(n - 1, noncentrality, -critical))


def seeds_for(delta: float | None, sd: float | None, family: int) -> int | None:
    """The least number of seeds at which `delta` is found with 80 % power at 0.05 / family.

    None where it cannot be said: without a difference, without a spread to judge it by, or beyond 100,000.

    >>> seeds_for(1.0, 1.0, family=1)
    10
    """
    if not delta or sd is None:
        return None
    least = least_seeds(family)
    if least is None or sd == 0:
        return least
    low, high = least - 1, least
    while power(delta, sd, high, ALPHA / family) < POWER:
        low, high = high, 2 * high
        if high > _MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(delta, sd, middle, ALPHA / family) >= POWER else (middle, high)
    return high
