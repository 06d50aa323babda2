"""How large a difference is, beside whether it is real: in standard deviations, in how many seeds, and in spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from paribus.findings.pairs import Pairs
from paribus.findings.power import ALPHA

Interval = tuple[float, float]

_CERTAIN = 100.0


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Of arm a against arm b, each with its 95 % interval; None where it cannot be said.

    `d_z`: the mean difference in standard deviations of the differences. `share_a_higher`: P(a > b), the share of seeds
    whose score is higher under a, ties counted half. `pairing_gain`: (var a + var b) / var(a - b), what matching seeds
    is worth. `sd_ratio`: sd a / sd b, with the p of Pitman's and Morgan's test that it is 1.
    """

    d_z: float | None = None
    d_z_ci95: Interval | None = None
    share_a_higher: float | None = None
    share_a_higher_ci95: Interval | None = None
    pairing_gain: float | None = None
    pairing_gain_ci95: Interval | None = None
    sd_ratio: float | None = None
    sd_ratio_ci95: Interval | None = None
    sd_ratio_p: float | None = None

    @classmethod
    @np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
    def of(cls, pairs: Pairs) -> Effects:
        """Of the scores of two arms at the same seeds.

        >>> found = Effects.of(Pairs.of([0.9, 0.8, 0.95, 0.85], [0.8, 0.75, 0.9, 0.9]))
        >>> round(found.d_z, 3), found.share_a_higher, round(found.pairing_gain, 2)
        (0.433, 0.75, 2.47)
        """
        d_z, d_z_ci95 = _d_z(pairs)
        higher, higher_ci95 = _share_a_higher(pairs.d)
        gain, gain_ci95 = _pairing_gain(pairs)
        ratio, ratio_ci95, ratio_p = _sd_ratio(pairs)
        return cls(
            d_z=d_z,
            d_z_ci95=d_z_ci95,
            share_a_higher=higher,
            share_a_higher_ci95=higher_ci95,
            pairing_gain=gain,
            pairing_gain_ci95=gain_ci95,
            sd_ratio=ratio,
            sd_ratio_ci95=ratio_ci95,
            sd_ratio_p=ratio_p,
        )

    @classmethod
    def of_ranks(cls, d: np.ndarray) -> Effects:
        """Where runs were lost, which have ranks and no scores: how often a's is the higher."""
        higher, higher_ci95 = _share_a_higher(d)
        return cls(share_a_higher=higher, share_a_higher_ci95=higher_ci95)


def _d_z(pairs: Pairs) -> tuple[float | None, Interval | None]:
    """g = (1 - 3 / (4 (n - 1) - 1)) mean / sd, with the noncentral t interval.

    Sources: L. V. Hedges, Distribution theory for Glass's estimator of effect size (1981); G. Cumming and S. Finch, A
    primer on the understanding, use, and calculation of confidence intervals (2001).
    """
    n, d = len(pairs.d), pairs.d
    if n < 3 or pairs.same:  # of two Hedges' correction makes 0
        return None, None
    from scipy.special import chdtri, nctdtrinc

    raw = float(d.mean() / d.std(ddof=1))
    if not math.isfinite(raw):  # the spread's square is below all numbers
        return None, None
    t, correction = raw * math.sqrt(n), 1 - 3 / (4 * (n - 1) - 1)
    if abs(t) < _CERTAIN:
        ends = [float(nctdtrinc(n - 1, p, t)) for p in (1 - ALPHA / 2, ALPHA / 2)]
    else:  # only the sd is uncertain, to a thousandth; SciPy's series would take long
        ends = sorted(t * math.sqrt(float(chdtri(n - 1, p)) / (n - 1)) for p in (1 - ALPHA / 2, ALPHA / 2))
    low, high = (correction * end / math.sqrt(n) for end in ends)
    return correction * raw, (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _share_a_higher(d: np.ndarray) -> tuple[float | None, Interval | None]:
    """With the interval of Clopper and Pearson: a tie is no success for its lower end, and one for its upper.

    Source: C. J. Clopper and E. S. Pearson, The use of confidence or fiducial limits (Biometrika 1934).
    """
    n = len(d)
    if not n:
        return None, None
    from scipy.special import betaincinv

    more, ties = int((d > 0).sum()), int((d == 0).sum())
    most = more + ties
    low = 0.0 if more == 0 else float(betaincinv(more, n - more + 1, ALPHA / 2))
    high = 1.0 if most == n else float(betaincinv(most + 1, n - most, 1 - ALPHA / 2))
    return (more + ties / 2) / n, (low, high)


def _pairing_gain(pairs: Pairs) -> tuple[float | None, Interval | None]:
    """1/2 (1 + var(a + b) / var(a - b)), as var(a + b) + var(a - b) is 2 (var a + var b)."""
    if pairs.same or len(pairs.d) < 2:
        return None, None
    ratio, interval, _ = _variances(pairs.a + pairs.b, pairs.a - pairs.b)
    if ratio is None:
        return None, None
    return (1 + ratio) / 2, None if interval is None else ((1 + interval[0]) / 2, (1 + interval[1]) / 2)


def _constant(x: np.ndarray) -> bool:
    return Pairs.of(x, np.zeros(len(x))).same


def _sd_ratio(pairs: Pairs) -> tuple[float | None, Interval | None, float | None]:
    ratio, interval, p = _variances(pairs.a, pairs.b)
    if ratio is None:
        return None, None, None
    return math.sqrt(ratio), None if interval is None else (math.sqrt(interval[0]), math.sqrt(interval[1])), p


def _variances(x: np.ndarray, y: np.ndarray) -> tuple[float | None, Interval | None, float | None]:
    """var x / var y of paired values, its 95 % interval, and the p of the hypothesis that it is 1.

    With r the correlation of x and y, F the ratio and K = 1 + 2 (1 - r^2) t^2 / (n - 2), t Student's with n - 2 degrees
    of freedom, the ends are F (K -+ sqrt(K^2 - 1)). Exact where pairs are normally distributed.

    Sources: E. J. G. Pitman, A note on normal correlation; W. A. Morgan, A test for the significance of the difference
    between the two variances in a sample from a normal bivariate population (both Biometrika 1939).
    """
    n = len(x)
    if n < 2 or _constant(x) or _constant(y):
        return None, None, None
    ratio = float(x.var(ddof=1) / y.var(ddof=1))
    if not 0 < ratio < math.inf:
        return None, None, None
    if n < 4:
        return ratio, None, None
    from scipy.special import stdtr, stdtrit

    r = float(np.corrcoef(x, y)[0, 1])
    unlike = max(1 - r * r, 0.0)
    k = 1 + 2 * unlike * float(stdtrit(n - 2, 1 - ALPHA / 2)) ** 2 / (n - 2)
    root = math.sqrt(k * k - 1)
    if unlike * ratio <= 0:
        return ratio, None, None
    t = (ratio - 1) * math.sqrt((n - 2) / (4 * unlike * ratio))
    return ratio, (ratio * (k - root), ratio * (k + root)), 2 * float(stdtr(n - 2, -abs(t)))
