"""The sign-flip test against SciPy's and by enumeration: exact for any number of pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from paribus.findings import sign_flips
from paribus.findings.pairs import Pairs
from paribus.findings.sign_flips import _ways, sign_flip_interval, sign_flip_p


def drawn(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n) + 0.3


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=9), st.sampled_from([1.0, 0.1, 1 / 3, 1e-300]))
def test_every_way_is_counted(whole: list[int], unit: float) -> None:
    """Whole numbers have sums without rounding: by enumeration."""
    observed = abs(sum(whole))
    ways = [abs(sum(s * one for s, one in zip(signs, whole, strict=True)))
            for signs in itertools.product((-1, 1), repeat=len(whole))]  # fmt: skip
    d = unit * np.array(whole, dtype=float)
    assert sign_flip_p(d) == sum(way >= observed for way in ways) / len(ways)


@pytest.mark.parametrize("n", [2, 7, 12, 15])
def test_it_is_scipys(n: int) -> None:
    d = drawn(n, n)
    exact = stats.permutation_test(
        (d,), lambda d, axis: d.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert sign_flip_p(d) == pytest.approx(exact.pvalue, abs=1e-12)


@pytest.mark.parametrize("n", [33, 38, 40])
def test_the_grid_is_an_upper_bound_and_near(n: int) -> None:
    """What is used beyond 40 pairs, where every way can still be counted."""
    for seed in range(3):
        d = drawn(n, seed) * (1.0 if seed else np.random.default_rng(n).exponential(size=n) ** 3)
        size, least = np.sort(np.abs(d))[::-1], abs(float(d.sum()))
        counted, rough = sign_flip_p(d), sign_flip_p(d, counted=32, roughly=True)
        assert counted is not None
        assert rough is not None
        assert counted <= 2 * sign_flips._on_grid(size, least, 2**17) <= 1.01 * counted + 1e-4
        assert counted <= rough <= 1.05 * counted + 1e-3


@pytest.mark.parametrize("n", [41, 100, 999, 1500])
def test_beyond_40_pairs_it_is_near_the_t_test(n: int) -> None:
    """Which differs from it in the second digit where pairs are many and normal."""
    d = np.random.default_rng(n).standard_normal(n) + 2.2 / np.sqrt(n)
    assert sign_flip_p(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, rel=0.1)


def test_equal_differences_have_the_least_p() -> None:
    for n in (6, 41, 200, 900):
        assert sign_flip_p(np.full(n, 0.1)) == 2.0 ** (1 - n)


def test_ties_zeros_and_none() -> None:
    assert sign_flip_p(np.zeros(7)) == 1
    assert sign_flip_p(np.array([1.0] * 6)) == 2 / 64
    assert sign_flip_p(np.array([0.0] * 50 + [1.0] * 6)) == 2 / 64
    assert sign_flip_p(np.array([])) is None
    assert sign_flip_p(np.array([0.1 + 0.2, -0.3]), rounding=1e-15) == 1


@pytest.mark.parametrize("n", [10, 17, 39, 41, 300])
def test_p_depends_on_neither_the_order_nor_the_unit(n: int) -> None:
    rng = np.random.default_rng(n)
    d = np.round(rng.standard_normal(n) + 0.2, 2)
    rounding = 1e-12
    ps = {sign_flip_p(rng.permutation(d) * unit, rounding * unit) for unit in (1.0, 0.01, 100.0, 1 / 3)}
    assert len(ps) == 1


@pytest.mark.parametrize("n", [6, 9, 13, 16, 17, 24])
@pytest.mark.parametrize("level", [0.05, 0.05 / 3, 0.2])
def test_the_interval_is_every_mean_that_is_not_ruled_out(n: int, level: float) -> None:
    d = drawn(n, n)
    found = sign_flip_interval(d, level)
    if 2.0 ** (1 - n) > level:
        assert found is None
        return
    assert found is not None
    step = 1e-5 * (found[1] - found[0])
    for end, outwards in zip(found, (-step, step), strict=True):
        ruled_out, kept = sign_flip_p(d - end - outwards), sign_flip_p(d - end + outwards)
        assert ruled_out is not None
        assert kept is not None
        assert ruled_out <= level < kept


def test_the_interval_covers() -> None:
    """Two of 64 ways of six signs are the ends: 97 %."""
    rng = np.random.default_rng(0)
    ends = [sign_flip_interval(rng.standard_normal(6), 0.05) for _ in range(2000)]
    covered = np.mean([low <= 0 <= high for low, high in ends if (low, high)])
    assert covered == pytest.approx(62 / 64, abs=0.015)


def test_sums_that_rounding_parts_are_equal() -> None:
    d = np.array([1.000001, -1.0, 2.0, 0.5])
    assert sign_flip_p(d, rounding=1e-5) == sign_flip_p(np.array([1.0, -1.0, 2.0, 0.5])) == 0.5
    assert (sign_flip_p(d) or 1.0) < 0.5


@pytest.mark.parametrize("n", [1001, 1500, 9999])
def test_many_equal_differences_are_a_binomial(n: int) -> None:
    """A hundred on the grid, the others as one normal variable; with rounding that makes them unequal too."""
    above = round(n / 2 + 1.02 * np.sqrt(n))
    d = np.where(np.arange(n) < above, 1.0, -1.0)
    binomial = stats.binomtest(above, n).pvalue
    assert sign_flip_p(d) == pytest.approx(binomial, rel=0.01)
    assert sign_flip_p(d * (1 + 1e-15 * np.random.default_rng(0).standard_normal(n))) == pytest.approx(
        binomial, rel=0.01
    )


@pytest.mark.parametrize("least", [0, 3])
def test_many_differences_of_accuracies_are_counted(least: int) -> None:
    """Multiples of a two hundredth, whose sums can be counted one by one."""
    rng = np.random.default_rng(least)
    whole = rng.integers(least, 9, 1200) * np.where(rng.random(1200) < 0.529, 1, -1)
    ways = np.ones(1)
    for value in np.abs(whole[whole != 0]):
        ways = np.convolve(ways, np.array([0.5, *[0.0] * (value - 1), 0.5]))
    top = len(ways) - 1
    counted = 2 * ways[2 * np.arange(top + 1) - top >= abs(whole.sum())].sum()
    assert 0.0001 < counted < 0.2
    found = sign_flip_p(whole / 200)
    assert found is not None
    assert 0.995 < found / counted < 1.02


def test_beyond_a_thousand_p_is_as_exact_as_before() -> None:
    """Of no multiples: a thousand and one differences as a thousand of them, of which all are on the grid."""
    d = drawn(1000, 1)
    d += 0.062 - d.mean()
    more = np.append(d, 1e-7)
    one, other = sign_flip_p(d), sign_flip_p(more)
    assert one is not None
    assert other is not None
    assert 0.98 < other / one < 1.002


@pytest.mark.parametrize("n", [41, 200])
def test_no_way_is_left_out_that_counts(n: int) -> None:
    """Sums that cannot come to what is needed are left out on the way: of whole numbers all others can be counted."""
    whole = np.random.default_rng(n).integers(1, 50, n)
    ways = [1]
    for value in whole.tolist():
        ways = [x + y for x, y in zip([*ways, *[0] * value], [*[0] * value, *ways], strict=True)]
    for first in (0, 1, len(ways) // 2, len(ways) - 2, len(ways) - 1):
        assert _ways(whole.tolist(), first) == pytest.approx([float(one) for one in ways[first:]], rel=1e-12)


def test_an_end_that_rounding_parts_from_0_is_0() -> None:
    a = [0.4, 0.2, 0.6, 0.8, 0.3, 0.7, 0.1]
    b = [round(x, 1) - 0.2 for x in (0.4, 0.0, 0.3, 0.0, 0.7, 0.8, 0.0)]
    pairs = Pairs.of(a, b)
    found = sign_flip_interval(pairs.d, 0.05, pairs.rounding)
    assert found is not None
    assert found[0] == 0.0


@pytest.mark.parametrize("n", [20, 36])
def test_beyond_what_is_listed_the_interval_still_says_what_the_test_says(n: int) -> None:
    for seed in (*range(12), 618):  # of the last, 36 differences have p = 0.0499, and roughly 0.0503
        d = np.random.default_rng(seed).standard_normal(n) + 2.05 / np.sqrt(n)
        p, interval = sign_flip_p(d), sign_flip_interval(d, 0.05)
        assert p is not None
        assert interval is not None
        assert (interval[0] > 0) == (p <= 0.05)


@pytest.mark.parametrize("n", [16, 17, 30])
def test_an_end_where_the_least_difference_is_0(n: int) -> None:
    d = np.array([0.01] * 5 + [0.0] * (n - 5))
    for sign in (1, -1):
        p, interval = sign_flip_p(sign * d), sign_flip_interval(sign * d, 0.05)
        assert p == 0.0625
        assert interval is not None
        assert interval[0] <= 0 <= interval[1]
