"""Statistics against SciPy and statsmodels, on random data with ties and gaps; verdicts that move with the evidence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from paribus.findings.compared import Difference, Lost, unseen_share
from paribus.findings.differences import differences, holm, holm_levels
from paribus.findings.intervals import t_interval
from paribus.findings.power import too_few


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
    assert found.effects.pairing_gain == pytest.approx(gain, rel=1e-12)


@pytest.mark.parametrize("m", [1, 2, 7, 36])
def test_holm_is_statsmodels(m: int) -> None:
    rng = np.random.default_rng(m)
    ps = np.round(rng.random(m) ** 3, 2)
    assert holm(list(ps)) == pytest.approx(list(multipletests(ps, method="holm")[1]), abs=1e-12)


def test_holm_counts_a_pair_without_a_p() -> None:
    assert holm([0.01, None]) == [0.02, None]


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


# --- one rule for verdict and picture ---

scores = st.lists(st.tuples(*2 * [st.integers(0, 60)]), min_size=6, max_size=14)


def judged(rows: list[tuple[int, int]], by: float, margin: float | None = None) -> Difference:
    (found,) = differences({"a": [by * x for x, _ in rows], "b": [by * y for _, y in rows]}, "m", margin=margin)
    return found


@given(scores, st.sampled_from([None, 0.02, 0.2]))
def test_the_interval_that_is_drawn_says_what_the_verdict_says(
    rows: list[tuple[int, int]], margin: float | None
) -> None:
    found = judged(rows, 0.01, margin)
    assert found.verdict in ("a higher", "b higher", "equivalent", "no difference shown")
    if found.interval is None:
        assert "all" in found.note
        return
    low, high = found.interval
    assert low <= high
    if found.verdict == "equivalent":
        assert margin is not None
        assert -margin < low <= high < margin
    else:
        assert {1: "a higher", -1: "b higher", 0: "no difference shown"}[int(low > 0) - int(high < 0)] == found.verdict


@pytest.mark.parametrize("n", [17, 24])
def test_the_interval_is_the_verdicts_beyond_16_pairs(n: int) -> None:
    """Near the border, where Student's interval says another thing: ends that are found by halving."""
    rng, of = np.random.default_rng(n), set()
    for _ in range(60):
        d = np.round(rng.exponential(size=n) - 1, 1)
        shift = d.mean() - (t_interval(d, 0.05) or (0, 0))[0]  # the interval ends at 0
        (found,) = differences({"a": list(d - d.mean() + shift + 1e-3), "b": [0.0] * n}, "m")
        assert found.interval is not None
        low, high = found.interval
        assert (low > 0 or high < 0) == (found.verdict in ("a higher", "b higher"))
        of.add(found.interval_of)
    assert of == {"t", "sign flips"}


@given(scores, st.sampled_from([100.0, 1 / 3, 1e300, 2.0**-1040, 1e-300]), st.randoms())
def test_a_verdict_depends_on_neither_the_unit_nor_the_order_of_the_seeds(
    rows: list[tuple[int, int]], unit: float, source: random.Random
) -> None:
    found = judged(rows, 0.01)
    other = judged(source.sample(rows, len(rows)), 0.01 * unit)
    assert (found.verdict, found.p, found.interval_of) == (other.verdict, other.p, other.interval_of)


@example([0.0] * 6, 2)  # where eps of the scores is too small to be a number
@example([0.0] * 5 + [1.0], 4)  # ... which scaling makes still smaller
@given(st.lists(st.floats(-1e308, 1e308), min_size=6, max_size=9), st.integers(1, 4))
def test_rounding_alone_gives_no_verdict(values: list[float], ulps: int) -> None:
    """The same scores, each but for its last digits, all in one direction."""
    up = list(values)
    for _ in range(ulps // 2):
        up = [float(np.nextafter(one, np.inf)) for one in up]
    (found,) = differences({"a": up, "b": values}, "m")
    assert (found.verdict, found.p) == ("no difference shown", 1.0)


def test_what_is_beyond_all_numbers_is_not_judged() -> None:
    (found,) = differences({"a": [1.7e308] * 6, "b": [-1.7e308] * 6}, "m")
    assert (found.verdict, found.mean, found.interval) == ("not judged", None, None)


def test_float32_scores_have_the_rounding_of_float32() -> None:
    exact = np.linspace(0.3, 0.7, 8)
    rounded = exact.astype(np.float32).astype(float)
    above = np.nextafter(rounded.astype(np.float32), np.float32(1)).astype(float)
    (found,) = differences({"a": list(above), "b": list(rounded)}, "m")
    assert (found.verdict, found.p) == ("no difference shown", 1.0)


# --- no spread, and runs that were lost ---


@pytest.mark.parametrize("shift", [0.0, 0.004])
def test_no_spread_is_no_certainty(shift: float) -> None:
    """Never equivalent, no interval of no width, and in words how often another outcome may still come."""
    base = np.linspace(0.5, 0.9, 6)
    (found,) = differences({"a": list(base + shift), "b": list(base)}, "m", margin=0.01)
    assert found.verdict == ("a higher" if shift else "no difference shown")
    assert found.interval is None
    assert "all 6 differences are the same" in found.note
    assert "39 % of runs" in found.note
    assert unseen_share(6) == pytest.approx(1 - 0.05 ** (1 / 6))


def test_an_equivalence_names_what_its_seeds_cannot_show() -> None:
    base, noise = drawn(12, 1), 1e-4 * drawn(12, 2)
    (found,) = differences({"a": list(base + noise), "b": list(base)}, "m", margin=0.01)
    assert (found.verdict, found.interval_of) == ("equivalent", "equivalence")
    assert found.note == "12 seeds may not show what happens in less than 22 % of runs"


def lost_where(
    a: Sequence[int], b: Sequence[int], direction: Literal["higher", "lower"] | None, n: int = 10
) -> Difference:
    """Arm a is a little higher at every seed; runs are lost at these."""
    base = drawn(n, 7)
    columns = {"a": list(base + 0.1 + 0.01 * drawn(n, 8)), "b": list(base)}
    for arm, seeds in (("a", a), ("b", b)):
        for seed in seeds:
            columns[arm][seed] = None
    gone = {arm: [seed in seeds for seed in range(n)] for arm, seeds in (("a", a), ("b", b))}
    (found,) = differences(columns, "m", lost=Lost(gone, direction))
    return found


def test_runs_that_were_lost_are_the_worst() -> None:
    assert lost_where([], [], "higher").verdict == "a higher"
    for direction, verdict in (("higher", "no difference shown"), ("lower", "a higher")):
        found = lost_where([0, 3, 4, 8], [], direction)  # a's best seeds, or so many lost ones
        assert found.by_ranks
        assert (found.verdict, found.pairs, found.interval, found.mean) == (verdict, 6, None, None)
        assert "4 of 10 seeds have a run that diverged or failed" in found.note
    assert lost_where(range(10), [], "higher").verdict == "b higher"
    neither = lost_where(range(10), range(10), "higher")
    assert (neither.verdict, neither.pairs) == ("too few seeds", 0)
    assert neither.note == "at 10 of 10 seeds both runs diverged or failed, and they are left out"
    assert lost_where([0], [], None).verdict == "not judged"
    assert "whether lower or higher is better is not known" in lost_where([0], [], None).note


def test_a_run_that_has_not_come_is_not_lost() -> None:
    base = drawn(10, 7)
    columns = {"a": [None, *(base + 0.1 + 0.01 * drawn(10, 8))[1:]], "b": list(base)}
    (found,) = differences(columns, "m", lost=Lost({"a": 10 * [False], "b": 10 * [False]}, "higher"))
    assert (found.verdict, found.pairs, found.by_ranks) == ("a higher", 9, False)


def test_what_is_missing_of_both_takes_no_note_away() -> None:
    """Of the seeds that are left the note on their spread is still there."""
    base = drawn(12, 7)
    columns = {"a": [None] * 4 + [1.0] * 8, "b": [None] * 4 + [0.5] * 8}
    gone = {arm: [seed < 4 for seed in range(12)] for arm in "ab"}
    (found,) = differences(columns, "m", lost=Lost(gone, "higher"))
    assert found.note.startswith(
        "at 4 of 12 seeds both runs diverged or failed, and they are left out; all 8 differences"
    )
    columns, gone["a"][5] = {"a": [None] * 4 + list(base[4:]), "b": [None] * 4 + list(base[4:] - 1)}, True
    columns["a"][5] = None
    (found,) = differences(columns, "m", lost=Lost(gone, "higher"))
    assert "1 of 8 seeds has a run that diverged or failed" in found.note
    assert found.note.endswith("at 4 of 12 seeds both runs diverged or failed, and they are left out")


def test_effects_count_what_was_lost() -> None:
    found = lost_where(range(8), [], "higher")
    assert (found.effects.share_a_higher, found.effects.d_z, found.pairs) == (0.2, None, 2)


# --- digits ---


@pytest.mark.parametrize("unit", [1.0, 100.0])
@pytest.mark.parametrize("mixed", [False, True])
def test_scores_of_32_bits_differ_by_no_more_than_their_digits(unit: float, mixed: bool) -> None:
    """The same accuracies once in 32 bits and once in 64, or each a last digit off; as shares and in percent."""
    whole = np.random.default_rng(0).uniform(0.5, 0.99, 10)
    single = whole.astype(np.float32)
    other = whole if mixed else np.nextafter(single, np.float32(1)).astype(float)
    (found,) = differences({"a": list(unit * single.astype(float)), "b": list(unit * other)}, "m")
    assert (found.p, found.verdict) == (1.0, "no difference shown")


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_one_huge_score_makes_no_ties_of_the_others(kind: type) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(low, low + 0.1, 12).astype(kind).astype(float) for low in (0.5, 0.9))
    a[0], b[0] = 1e16, 2e16
    columns = {"a": [*a[:11], None], "b": list(b)}
    gone = {"a": 11 * [False] + [True], "b": 12 * [False]}
    (found,) = differences(columns, "m", lost=Lost(gone, "lower"))
    assert found.verdict == "b higher"


def test_small_differences_are_no_rounding() -> None:
    (found,) = differences({"a": [0.5 + 1e-8 * k for k in range(1, 9)], "b": [0.5] * 8}, "m")
    assert found.p == 2 / 256


def test_of_three_seeds_no_number_of_seeds_is_asked_for() -> None:
    columns = {"a": list(drawn(3, 1)), "b": [0.0] * 3}
    assert differences(columns, "m", margin=0.1)[0].seeds_needed is None
    assert differences({"a": list(drawn(6, 1)), "b": [0.0] * 6}, "m", margin=0.1)[0].seeds_needed is not None


def test_a_margin_of_another_size_altogether() -> None:
    columns = {"a": list(1e-300 * drawn(8, 1)), "b": [0.0] * 8}
    assert differences(columns, "m", margin=1e10)[0].verdict == "equivalent"


# --- families ---


def test_an_arm_with_fewer_seeds_is_judged_at_its_own_level() -> None:
    """The first pair is found, so that Holm's method tests the other one at 0.05: six seeds are enough."""
    base, noise = drawn(12, 1), 0.01 * drawn(12, 2)
    arms = {"base": list(base), "a": list(base + 1 + noise), "b": [*(base + 1 + noise)[:6], *6 * [None]]}
    a, b = differences(arms, "m", baseline="base")
    assert (a.verdict, b.verdict, b.p_adjusted) == ("a higher", "a higher", 2 / 64)
    arms["a"] = list(base + noise - noise.mean())
    assert [one.verdict for one in differences(arms, "m", baseline="base")] == ["no difference shown", "too few seeds"]


def test_an_interval_of_one_pair_alone_is_called_so() -> None:
    """0.021 and 0.021 at once are found by Holm's method, of which the second is tested at 0.05."""
    d = drawn(8, 40) * 0.8 + 0.5
    rng = np.random.default_rng(3)
    told = set()
    for _ in range(200):
        arms = {"base": [0.0] * 8, "a": list(d + 1), "b": list(rng.standard_normal(8) + 1.1)}
        for one in differences(arms, "m", baseline="base"):
            told.add(one.interval_of)
            if one.interval_of in ("t", "t of the pair"):
                d_one = np.array(arms[one.a])
                at = 0.05 / 2 if one.interval_of == "t" else 0.05
                assert one.interval == pytest.approx(t_interval(d_one, at), rel=1e-9)
    assert {"t", "t of the pair"} <= told


def test_levels_are_those_that_holm_tests_at() -> None:
    """A pair is found where its p is at most its level, and only there."""
    rng = np.random.default_rng(0)
    for m in (1, 2, 5, 15):
        for _ in range(50):
            ps = list(rng.random(m) ** 4)
            found = [p is not None and p <= 0.05 for p in holm(ps)]
            assert found == [p <= level for p, level in zip(ps, holm_levels(ps), strict=True)]


def test_thousands_of_pairs_can_be_told_apart_with_enough_seeds() -> None:
    arms = 82
    family = arms * (arms - 1) // 2
    seeds = next(n for n in range(2, 99) if not too_few(n, family))
    rng = np.random.default_rng(0)
    columns = {str(arm): list(arm + rng.normal(0, 1e-3, seeds)) for arm in range(arms)}
    assert {one.verdict for one in differences(columns, "m")} == {"b higher"}
    fewer = {arm: column[:-1] for arm, column in columns.items()}
    assert {one.verdict for one in differences(fewer, "m")} == {"too few seeds"}


def test_seeds_are_asked_for_where_an_effect_was_declared() -> None:
    arms = {name: list(drawn(8, i)) for i, name in enumerate("ab")}
    assert differences(arms, "m")[0].seeds_needed is None
    needed = [differences(arms, "m", margin=margin)[0].seeds_needed for margin in (0.2, 0.5, 2.0)]
    assert needed == sorted(needed, reverse=True)
    assert needed[0] != needed[2]


def test_equal_p_values_are_tested_at_one_level() -> None:
    """Else which of two alike pairs is shown with which interval would be for the order of the arms to say."""
    assert holm_levels([0.01, 0.01, 0.04]) == [0.05 / 3, 0.05 / 3, 0.05]
    assert holm_levels([0.04, 0.01, 0.01]) == [0.05, 0.05 / 3, 0.05 / 3]
    assert holm_levels([0.04, 0.04, 0.9]) == [0.05 / 3] * 3


def test_a_run_without_a_value_spoils_the_pairs_of_its_own_arm_alone() -> None:
    rng, seeds = np.random.default_rng(2), 10
    arms = {name: list(level + 0.01 * rng.standard_normal(seeds)) for name, level in zip("abc", (1, 2, 3), strict=True)}
    gone = {name: [(name, seed) in {("a", 0), ("b", 1)} for seed in range(seeds)] for name in arms}
    columns = {name: [None if out else x for x, out in zip(arms[name], gone[name], strict=True)] for name in arms}
    found = differences(columns, "m", lost=Lost(gone, "higher", unexplained=frozenset("a")))
    assert [(one.verdict, one.by_ranks) for one in found] == [("not judged", False)] * 2 + [("b higher", True)]
    assert found[0].note == "2 of 10 seeds have no value of one arm, and why is not known"
    assert found[2].note.startswith("1 of 10 seeds has a run that diverged or failed, which counts as the worst")
