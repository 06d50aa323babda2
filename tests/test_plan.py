"""The plan: published answers, independence, uniformity, and draws that need nothing before them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chisquare, kstest, spearmanr

from paribus.plan import MAX_SEED, Plan, Stream, philox

# Random123 1.14, tests/kat_vectors, philox4x32 with 10 rounds: counter, key, answer.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(counter: str, key: str, answer: str) -> None:
    k0, k1 = words(key)
    c0, c1, c2, c3 = words(counter)
    assert philox((c0, c1, c2, c3), (k0, k1)).tolist() == words(answer)


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)
)
def test_philox_of_one_is_that_of_one_among_others(counter: list[int], seed: int, stream: int) -> None:
    """Arrays and single numbers are computed by different code; so are keys that are arrays."""
    c0, c1, c2, c3 = counter
    alone = philox((c0, c1, c2, c3), (seed, stream))
    assert (philox((np.array([0, c0]), c1, c2, c3), (seed, stream))[1] == alone).all()
    assert (philox((c0, c1, c2, c3), (seed, np.array([0, stream, 5])))[1] == alone).all()
    assert philox((np.array([[c0]]), c1, c2, c3), (seed, stream)).shape == (1, 1, 4)


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 60))
def test_the_order_of_an_epoch_alone_is_that_among_others(seed: int, epoch: int, n: int) -> None:
    assert (Plan(seed).permutations(epoch, 3, n)[0] == Plan(seed).permutations(epoch, 1, n)[0]).all()


def test_philox_of_arrays_is_philox_of_each() -> None:
    together = philox((np.arange(3)[:, None], np.arange(4)[None, :], 5, 6), (7, 8))
    assert together.shape == (3, 4, 4)
    for i in range(3):
        for j in range(4):
            assert together[i, j].tolist() == philox((i, j, 5, 6), (7, 8)).tolist()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 128, 801])
def test_every_order_is_a_permutation(n: int) -> None:
    orders = Plan(1).permutations(0, 50, n)
    assert orders.shape == (50, n)
    assert (np.sort(orders, axis=1) == np.arange(n)).all()


def test_permutations_are_uniform() -> None:
    drawn = Plan(5).permutations(0, 24_000, 4)
    counts = dict.fromkeys(permutations(range(4)), 0)
    for order in map(tuple, drawn.tolist()):
        counts[order] += 1
    assert chisquare(list(counts.values())).pvalue > 1e-4


def test_each_example_stands_anywhere_equally_often() -> None:
    n, epochs = 50, 5_000
    orders = Plan(11).permutations(0, epochs, n)
    table = np.zeros((n, n))
    for position in range(n):
        table[position] = np.bincount(orders[:, position], minlength=n)
    statistic = ((table - epochs / n) ** 2 / (epochs / n)).sum()
    assert chi2.sf(statistic, (n - 1) ** 2) > 1e-4


def test_draws_with_repeats_are_uniform() -> None:
    drawn = Plan(2).draws(0, 100, 1000, 37)
    assert chisquare(np.bincount(drawn.ravel(), minlength=37)).pvalue > 1e-4


def test_a_rejected_draw_is_made_again_without_bias() -> None:
    """Under a bound just above 2^31 almost half of the words are rejected, so that a missing redraw would show."""
    bound = 2**31 + 1
    drawn = Plan(3)._bounded(Stream.ORDER, 0, 4, np.full(500, bound), purpose=1).ravel()
    raw = philox((np.arange(125)[None, :], np.arange(4)[:, None], 1, 0), (3, Stream.ORDER)).ravel().astype(object)
    rejected = np.array([(word * bound) % 2**32 < 2**32 % bound for word in raw])
    assert 0.4 < rejected.mean() < 0.6
    assert (drawn[~rejected] == np.array([(word * bound) >> 32 for word in raw])[~rejected].astype(int)).all()
    assert (drawn[rejected] != np.array([(word * bound) >> 32 for word in raw])[rejected].astype(int)).all()
    assert kstest(drawn / bound, "uniform").pvalue > 1e-4


def test_an_epoch_needs_none_before_it() -> None:
    plan = Plan(9)
    together = plan.permutations(0, 20, 33)
    assert (together[13] == plan.permutations(13, 1, 33)[0]).all()
    assert (plan.draws(0, 20, 40, 33)[13] == plan.draws(13, 1, 40, 33)[0]).all()


def test_initial_values_have_their_distributions() -> None:
    plan = Plan(4)
    assert kstest(plan.uniforms(0, (40, 501)).ravel(), "uniform").pvalue > 1e-4
    assert kstest(plan.normals(0, (40, 501)).ravel(), "norm").pvalue > 1e-4


def test_a_mask_keeps_each_unit_with_its_probability() -> None:
    keep = Plan(0).keep(3, np.arange(1000), 1, 21, 0.3)
    assert keep.shape == (1000, 21)
    assert abs(keep.mean() - 0.7) < 4 * np.sqrt(0.21 / keep.size)


def test_a_mask_belongs_to_the_example_not_to_its_place() -> None:
    examples = np.array([5, 900, 3, 77])
    keep = Plan(0).keep(3, examples, 1, 21, 0.5)
    assert (Plan(0).keep(3, examples[::-1].copy(), 1, 21, 0.5) == keep[::-1]).all()
    assert (Plan(0).keep(3, examples[1:2], 1, 7, 0.5)[0] == keep[1, :7]).all()


def bits(plan: Plan, stream: Stream, epoch: int = 0) -> np.ndarray:
    return philox((np.arange(4096), epoch, 0, 0), (plan.seed, stream)).ravel()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (bits(Plan(0), Stream.ORDER), bits(Plan(1), Stream.ORDER)),
        (bits(Plan(0), Stream.ORDER), bits(Plan(MAX_SEED), Stream.ORDER)),
        *((bits(Plan(0), Stream.ORDER), bits(Plan(0), stream)) for stream in Stream if stream is not Stream.ORDER),
        (bits(Plan(0), Stream.ORDER, 0), bits(Plan(0), Stream.ORDER, 1)),
    ],
)
def test_seeds_streams_and_epochs_are_independent(one: np.ndarray, other: np.ndarray) -> None:
    """Ranks uncorrelated, joint 8 x 8 table uniform, half of the bits equal."""
    assert spearmanr(one, other).pvalue > 1e-4
    table = np.histogram2d(one, other, bins=8, range=[[0, 2**32]] * 2)[0]
    assert chisquare(table.ravel()).pvalue > 1e-4
    differing = np.unpackbits((one ^ other).view(np.uint8)).mean()
    assert abs(differing - 0.5) < 4 * np.sqrt(0.25 / (32 * len(one)))


def test_orders_of_two_seeds_and_of_two_epochs_are_uncorrelated() -> None:
    n = 5000
    here = Plan(0).permutations(0, 2, n)
    there = Plan(1).permutations(0, 1, n)[0]
    for other in (here[1], there, Plan(0).split_permutation(n)):
        assert spearmanr(here[0], other).pvalue > 1e-4


def test_the_hash_tells_plans_apart() -> None:
    assert Plan(0).hash() == Plan(0).hash() != Plan(1).hash()
    # Version 1's. A change here without a change of PLAN_VERSION breaks every recorded study.
    assert Plan(0).hash()[:16] == "99d8846387c4bdac"
    assert Plan(12345).permutations(3, 1, 10)[0].tolist() == [3, 8, 0, 2, 9, 7, 6, 4, 1, 5]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=f"seed={seed}: a seed is a whole number from 0 to 4294967295"):
        Plan(seed)
