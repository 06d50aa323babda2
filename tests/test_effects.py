"""Effect sizes against SciPy, and that their intervals cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from paribus.findings.effects import Effects
from paribus.findings.pairs import Pairs


def paired(n: int, seed: int, *, spread: float = 1.5, alike: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Normal, with this ratio of standard deviations and this correlation; the first is 0.8 higher."""
    z = np.random.default_rng(seed).standard_normal((2, n))
    return spread * z[0] + 0.8, alike * z[0] + math.sqrt(1 - alike**2) * z[1]


@pytest.mark.parametrize("n", [4, 9, 30])
def test_each_is_scipys(n: int) -> None:
    a, b = paired(n, n)
    found, d = Effects.of(Pairs.of(a, b)), a - b
    correction = 1 - 3 / (4 * (n - 1) - 1)
    assert found.d_z == pytest.approx(correction * d.mean() / d.std(ddof=1), rel=1e-12)
    t = stats.ttest_rel(a, b).statistic
    ends = [optimize.brentq(lambda delta, p=p: stats.nct.cdf(t, n - 1, delta) - p, -60, 60) for p in (0.975, 0.025)]
    assert found.d_z_ci95 == pytest.approx([correction * end / math.sqrt(n) for end in ends], abs=1e-6)
    theirs = stats.binomtest(int((d > 0).sum()), n).proportion_ci(0.95)
    assert found.share_a_higher == (d > 0).mean()
    assert found.share_a_higher_ci95 == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert found.sd_ratio == pytest.approx(a.std(ddof=1) / b.std(ddof=1), rel=1e-12)
    assert found.sd_ratio_p == pytest.approx(stats.pearsonr(a + b, a - b).pvalue, rel=1e-9)
    assert found.pairing_gain == pytest.approx((a.var(ddof=1) + b.var(ddof=1)) / d.var(ddof=1), rel=1e-12)


@pytest.mark.parametrize("n", [4, 9, 30])
def test_an_end_of_the_interval_is_where_the_test_turns(n: int) -> None:
    a, b = paired(n, n + 1)
    found = Effects.of(Pairs.of(a, b))
    assert found.sd_ratio_ci95 is not None
    for end in found.sd_ratio_ci95:
        assert Effects.of(Pairs.of(a, end * b)).sd_ratio_p == pytest.approx(0.05, rel=1e-6)


def test_their_intervals_cover() -> None:
    n, tries, spread, alike = 8, 1000, 1.5, 0.6
    variance = spread**2 + 1 - 2 * alike * spread
    true = {
        "d_z": 0.8 / math.sqrt(variance),
        "share_a_higher": stats.norm.cdf(0.8 / math.sqrt(variance)),
        "pairing_gain": (spread**2 + 1) / variance,
        "sd_ratio": spread,
    }
    covered = dict.fromkeys(true, 0)
    for seed in range(tries):
        found = Effects.of(Pairs.of(*paired(n, 10_000 + seed)))
        for name, value in true.items():
            low, high = getattr(found, f"{name}_ci95")
            covered[name] += low <= value <= high
    for name, count in covered.items():
        assert 0.93 <= count / tries <= (1 if name == "share_a_higher" else 0.97), name


def test_what_cannot_be_said_is_not() -> None:
    assert Effects.of(Pairs.of([], [])) == Effects()
    one = Effects.of(Pairs.of([1.0], [0.5]))
    assert (one.d_z, one.share_a_higher, one.pairing_gain, one.sd_ratio) == (None, 1.0, None, None)
    same = Effects.of(Pairs.of([0.1, 0.2, 0.3, 0.5], [0.2, 0.3, 0.4, 0.6]))
    assert (same.d_z, same.pairing_gain, same.share_a_higher) == (None, None, 0.0)
    assert Effects.of(Pairs.of([0.5] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])).sd_ratio is None
    ties = Effects.of(Pairs.of([1, 2, 3, 4], [1, 2, 3, 3]))
    assert ties.share_a_higher == 0.625


def test_a_tie_widens_the_interval() -> None:
    """It is no success for the lower end and one for the upper."""
    ties = Effects.of(Pairs.of([2.0] * 3 + [1.0] * 3 + [0.0] * 4, [1.0] * 10)).share_a_higher_ci95
    assert ties is not None
    least, most = stats.binomtest(3, 10).proportion_ci(0.95), stats.binomtest(6, 10).proportion_ci(0.95)
    assert ties == pytest.approx((least.low, most.high))


def test_two_seeds_have_no_d_z() -> None:
    assert Effects.of(Pairs.of([1.0, 2.1], [0.0, 0.0])).d_z is None
    assert Effects.of(Pairs.of([1.0, 2.1, 1.5], [0.0, 0.0, 0.0])).d_z is not None


@pytest.mark.parametrize("value", [0.1, 0.5, 1 / 3])
def test_an_arm_that_is_constant_has_no_ratio_of_spreads(value: float) -> None:
    """The mean of seven times 0.1 is not 0.1: rounding is no spread."""
    other = np.random.default_rng(0).standard_normal(7)
    for a, b in (([value] * 7, other), (other, [value] * 7)):
        found = Effects.of(Pairs.of(a, b))
        assert (found.sd_ratio, found.sd_ratio_p) == (None, None)
