"""Statistics against SciPy and statsmodels, on random data with ties and gaps; verdicts that move with the evidence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from paribus.findings.differences import (
    differences,
    holm,
    power,
    seeds_for,
    sign_flip_p,
    t_interval,
    too_few,
)


def drawn(n: int, seed: int, *, ties: bool = False) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(n) + 0.3
    return np.round(values, 1) if ties else values


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [2, 3, 6, 11])
def test_the_interval_and_p_are_scipys(n: int, ties: bool) -> None:
    a, b = drawn(n, n, ties=ties), drawn(n, n + 100, ties=ties)
    with_gaps_a = [*a, None, 0.5, float("nan"), float("inf")]
    with_gaps_b = [*b, 0.5, None, 0.5, 0.5]
    (found,) = differences({"a": with_gaps_a, "b": with_gaps_b}, "m")
    theirs = stats.ttest_rel(a, b)
    low, high = theirs.confidence_interval(0.95)
    assert found.pairs == n
    assert found.mean == pytest.approx(float((a - b).mean()), abs=1e-12)
    assert found.ci95 == pytest.approx((low, high), rel=1e-12)
    exact = stats.permutation_test(
        (a - b,), lambda d, axis: d.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert found.p == pytest.approx(exact.pvalue, abs=1e-12)
    gain = (a.var(ddof=1) + b.var(ddof=1)) / (a - b).var(ddof=1)
    assert found.pairing_gain == pytest.approx(gain, rel=1e-12)


def test_beyond_16_pairs_p_is_drawn_and_near_the_exact_one() -> None:
    d = drawn(17, 3)
    sums = np.array([0.0])
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    exact = (np.abs(sums) >= abs(d.sum()) * (1 - 1e-12)).mean()
    p = sign_flip_p(d)
    assert p == sign_flip_p(d)
    assert p == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 2**16))
    assert sign_flip_p(np.full(200, 1.0)) == 1 / 2**16  # never 0: the observed way is one of them


def test_ties_and_zeros() -> None:
    assert sign_flip_p(np.zeros(7)) == 1
    assert sign_flip_p(np.array([1.0] * 6)) == 2 / 64
    assert sign_flip_p(np.array([])) is None
    a = [0.1 + 0.2, 0.3]  # differ in the last place: sums that are equal but for rounding count as equal
    assert sign_flip_p(np.array([a[0], -a[1]])) == 1


@pytest.mark.parametrize("m", [1, 2, 7, 36])
def test_holm_is_statsmodels(m: int) -> None:
    rng = np.random.default_rng(m)
    ps = np.round(rng.random(m) ** 3, 2)
    assert holm(list(ps)) == pytest.approx(list(multipletests(ps, method="holm")[1]), abs=1e-12)


def test_holm_counts_a_pair_without_a_p() -> None:
    assert holm([0.01, None]) == [0.02, None]


@pytest.mark.parametrize(
    ("delta", "sd", "n", "alpha"), [(1, 1, 8, 0.05), (0.3, 1, 40, 0.05), (-2, 1, 5, 0.01), (1e3, 1, 9, 0.05)]
)
def test_power_is_statsmodels(delta: float, sd: float, n: int, alpha: float) -> None:
    theirs = TTestPower().power(abs(delta) / sd, n, alpha) if abs(delta) < 100 else 1.0
    assert power(delta, sd, n, alpha) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("delta", [2.0, 0.7, -0.2, 0.03])
def test_seeds_for_is_the_least_that_suffices(delta: float) -> None:
    n = seeds_for(delta, 1.0, family=1)
    assert n is not None
    assert power(delta, 1.0, n, 0.05) >= 0.8
    assert n == 6 or power(delta, 1.0, n - 1, 0.05) < 0.8


def test_seeds_for_nothing() -> None:
    assert seeds_for(0.0, 1.0, 1) is None
    assert seeds_for(None, None, 1) is None
    assert seeds_for(1e-9, 1.0, 1) is None
    assert seeds_for(1.0, 0.0, 3) == 7


@pytest.mark.parametrize(("family", "seeds"), [(1, 6), (3, 7), (36, 11)])
def test_too_few_seeds_is_exactly_when_no_outcome_could_do(family: int, seeds: int) -> None:
    assert too_few(seeds - 1, family)
    assert not too_few(seeds, family)
    clear = {
        f"arm {i}": [float(i + 0.01 * (seed % 2)) for seed in range(seeds)]
        for i in range(9 if family == 36 else family)
    }
    if family == 1:
        clear["arm 1"] = [1.0 + 0.01 * (seed % 3) for seed in range(seeds)]
    found = differences(clear, "m")
    assert len(found) == family
    assert {one.verdict for one in found} == {"b higher"}
    fewer = differences({name: [*values[:-1], None] for name, values in clear.items()}, "m")
    assert {one.verdict for one in fewer} == {"too few seeds"}


def test_the_verdict_moves_with_the_evidence() -> None:
    rng = np.random.default_rng(0)
    base, noise = rng.standard_normal(10), 0.01 * rng.standard_normal(10)

    def verdict(shift: float, margin: float | None = None) -> str | None:
        return differences({"a": list(base + shift + noise), "b": list(base)}, "m", margin=margin)[0].verdict

    assert verdict(0.1) == "a higher"
    assert verdict(-0.1) == "b higher"
    assert verdict(0.0) == "no difference shown"
    assert verdict(0.0, margin=0.05) == "equivalent"
    assert verdict(0.0, margin=0.001) == "no difference shown"
    assert verdict(0.1, margin=0.05) == "a higher"


def test_equivalence_is_two_one_sided_tests() -> None:
    d, margin = drawn(12, 5) * 0.1, 0.1
    lower = stats.ttest_1samp(d, -margin, alternative="greater").pvalue
    upper = stats.ttest_1samp(d, margin, alternative="less").pvalue
    (found,) = differences({"a": list(d), "b": [0.0] * 12}, "m", margin=margin)
    assert (found.verdict == "equivalent") == (max(lower, upper) < 0.05)
    for edge in (1.0001, 0.9999):  # the margin at which the tests turn
        inner = t_interval(d, 0.10)
        assert inner is not None
        turning = max(abs(inner[0]), abs(inner[1])) * edge
        (found,) = differences({"a": list(d), "b": [0.0] * 12}, "m", margin=turning)
        assert (found.verdict == "equivalent") == (edge > 1)


def test_a_baseline_makes_a_smaller_family() -> None:
    arms = {name: list(drawn(8, i)) for i, name in enumerate("abcd")}
    found = differences(arms, "m", baseline="c")
    assert [(one.a, one.b) for one in found] == [("a", "c"), ("b", "c"), ("d", "c")]
    with pytest.raises(ValueError, match="there is no arm 'x' to compare with"):
        differences(arms, "m", baseline="x")


def test_other_metrics_have_no_verdict() -> None:
    (found,) = differences({"a": [1.0] * 8, "b": [0.0] * 8}, "m", primary=False)
    assert (found.verdict, found.p_adjusted, found.ci95_family, found.seeds_needed) == (None,) * 4
    assert found.p == 2 / 256


def test_the_family_interval_is_wider_by_the_family() -> None:
    arms = {name: list(drawn(8, i)) for i, name in enumerate("abc")}
    (found, *_) = differences(arms, "m")
    d = np.array(arms["a"]) - np.array(arms["b"])
    half = stats.t.ppf(1 - 0.05 / 3 / 2, 7) * d.std(ddof=1) / np.sqrt(8)
    assert found.ci95_family == pytest.approx((d.mean() - half, d.mean() + half), rel=1e-12)


def test_no_common_seed_is_no_number() -> None:
    (found,) = differences({"a": [1.0, None], "b": [None, 1.0]}, "m")
    assert (found.mean, found.ci95, found.p, found.pairs, found.verdict) == (None, None, None, 0, "too few seeds")


def test_p_does_not_depend_on_the_order_of_the_seeds() -> None:
    d = np.array([0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.05, -0.05, 0.15, -0.15])  # sums to 0, but for rounding
    rng = np.random.default_rng(0)
    assert {sign_flip_p(rng.permutation(d)) for _ in range(50)} == {1.0}


def test_drawn_flips_cannot_reach_what_fewer_could_not() -> None:
    assert not too_few(17, 3276)
    assert too_few(17, 3277)


@pytest.mark.parametrize("seeds", [3, 20])
def test_so_many_pairs_that_none_can_be_told_apart(seeds: int) -> None:
    """82 arms are 3,321 pairs: no number of seeds is enough, and that is what is said, not that seeds are missing."""
    rng = np.random.default_rng(0)
    scores = {str(arm): list(rng.normal(arm, 1e-9, seeds)) for arm in range(82)}
    found = differences(scores, "test_accuracy")
    assert {(one.verdict, one.seeds_needed) for one in found} == {("too many pairs", None)}
    against = differences(scores, "test_accuracy", baseline="0")
    assert "too many pairs" not in {one.verdict for one in against}
    assert too_few(1000, 3277)
