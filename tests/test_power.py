"""How many seeds it takes, against statsmodels and by trying the test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from paribus.findings.power import found_often, least_seeds, seeds_for, seeds_note, t_power, too_few
from paribus.findings.sign_flips import sign_flip_p


@pytest.mark.parametrize(("effect", "n", "alpha"), [(1, 8, 0.05), (0.3, 40, 0.05), (2, 5, 0.01), (1e3, 9, 0.05)])
def test_power_is_statsmodels(effect: float, n: int, alpha: float) -> None:
    """But for the chance to find it with the wrong sign."""
    theirs = TTestPower().power(effect, n, alpha) if effect < 100 else 1.0
    assert t_power(effect, n, alpha) == pytest.approx(theirs, abs=1e-3)


@pytest.mark.parametrize(("family", "effect"), [(1, 2.0), (1, 1.3), (1, 0.7), (3, 1.5), (15, 2.0)])
def test_so_many_seeds_find_it_and_fewer_do_not(family: int, effect: float) -> None:
    """By the sign-flip test itself, on other draws than it was made with: within 3 points."""
    n = seeds_for(effect, family)
    assert n is not None
    rng = np.random.default_rng(1)

    def power(seeds: int) -> float:
        found = [sign_flip_p(rng.standard_normal(seeds) + effect) for _ in range(2000)]
        return float(np.mean([p is not None and p <= 0.05 / family for p in found]))

    assert power(n) > 0.77
    assert power(n - 1) < 0.83


@pytest.mark.parametrize("family", [1, 3, 105, 4950])
@pytest.mark.parametrize("effect", [0.03, 0.2, 0.7, 1.5, 3.0, 1e6])
def test_it_is_the_least_that_suffices(effect: float, family: int) -> None:
    n = seeds_for(effect, family)
    assert n is not None
    assert found_often(effect, n, family)
    assert n == least_seeds(family) or not found_often(effect, n - 1, family)


def test_nothing_to_find() -> None:
    assert seeds_for(0.0, 1) is None
    assert seeds_for(None, 1) is None
    assert seeds_for(1e-9, 1) is None
    assert seeds_for(math.inf, 3) == 7


@pytest.mark.parametrize(("family", "seeds"), [(1, 6), (3, 7), (15, 10), (36, 11), (4950, 18)])
def test_the_least_seeds(family: int, seeds: int) -> None:
    assert least_seeds(family) == seeds
    assert too_few(seeds - 1, family)
    assert not too_few(seeds, family)
    assert not too_few(5000, family)


def test_too_few_seeds_are_told_before_training() -> None:
    for arms in range(1, 40):
        for seeds in range(1, 30):
            for baseline in (False, True):
                pairs = arms - 1 if baseline else arms * (arms - 1) // 2
                note = seeds_note(arms, seeds, baseline=baseline)
                assert (note is not None) == (pairs > 0 and too_few(seeds, pairs)), (arms, seeds, baseline)
                assert note is None or f"--seeds {least_seeds(pairs)}" in note
                named = seeds_note(arms, seeds, baseline=baseline, options=False)
                assert named is None or (f"seeds = {least_seeds(pairs)}" in named and "--" not in named)


def test_few_seeds_find_less_than_a_t_test_of_as_many() -> None:
    """At 1.3 standard deviations seven sign flips come to 78 %, where a t test would to more than 80 %."""
    drawn = np.random.default_rng(0).standard_normal((4000, 7)) + 1.3
    found = np.mean([(sign_flip_p(row) or 1.0) <= 0.05 and row.mean() > 0 for row in drawn])
    assert found < 0.80
    assert [found_often(1.3, n, family=1) for n in (7, 8)] == [False, True]
