"""The palindrome task: what is drawn, how it is split, and what a lookup table would score."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from paribus.plan import philox
from paribus.tasks.palindrome import (
    Digits,
    distinct,
    draw_halves,
    encode,
    lookup_accuracy,
    palindromes,
    shares,
)

FEW, MANY = (
    (4, 9, 10),
    (12, 33, 34, 35, 100, 1000),
)  # at 33 and 34 a half is 17 or 18 digits, at 35 as well as at 36, 18


def strings(halves: Digits) -> list[str]:
    return ["".join(map(str, half)) for half in halves]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_there_are_as_many_palindromes_as_are_counted(length: int) -> None:
    """Every number of length + 1 digits, written both ways."""
    numbers = (f"{number:0{length + 1}d}" for number in range(10 ** (length + 1)))
    expected = {number for number in numbers if number == number[::-1]}
    assert distinct(length) == len(expected)
    n = len(expected)
    train, test = draw_halves(length, n - 1, 1, random_state=0)
    digits, targets = palindromes(np.concatenate([train, test]), length)
    assert {sequence + str(target) for sequence, target in zip(strings(digits), targets, strict=True)} == expected


@pytest.mark.parametrize("length", [1, 2, 3, 10, 11, 12, 29, 30, 36, 999, 1000])
def test_a_palindrome_is_one_and_its_last_digit_is_the_target(length: int) -> None:
    train, test = draw_halves(length, 6, 4, random_state=3)
    for halves in (train, test):
        digits, targets = palindromes(halves, length)
        assert (digits.shape, digits.dtype) == ((len(halves), length), np.uint8)
        assert (targets.shape, targets.dtype) == ((len(halves),), np.int64)
        for half, sequence, target in zip(strings(halves), strings(digits), targets, strict=True):
            whole = sequence + str(target)
            assert len(whole) == length + 1
            assert whole == whole[::-1]
            assert whole.startswith(half)
            assert 2 * len(half) in (length + 1, length + 2)


@pytest.mark.parametrize(
    ("length", "sizes"),
    [
        (2, (60, 40)),
        (3, (1, 99)),
        (4, (700, 300)),
        (10, (3000, 700)),
        (12, (20000, 5000)),
        (40, (3000, 3000)),
        (1000, (700, 900)),
    ],
)
@pytest.mark.parametrize("overlap", [False, True])
def test_splits_share_no_half_and_no_sequence(length: int, sizes: tuple[int, int], overlap: bool) -> None:
    train, test = draw_halves(length, *sizes, random_state=5, overlap=overlap)
    assert (len(train), len(test)) == sizes
    halves = [*strings(train), *strings(test)]
    assert len(set(halves)) == sum(sizes)
    sequences = [*strings(palindromes(train, length)[0]), *strings(palindromes(test, length)[0])]
    assert len(set(sequences)) == sum(sizes)


def test_halves_are_distinct_where_chance_would_repeat_them() -> None:
    """Of 10^7 halves 25,000 are drawn: 31 pairs would be equal. Splits meet nowhere, though they are drawn in turn."""
    train, test = draw_halves(12, 20000, 5000, random_state=1)
    assert len(np.unique(np.concatenate([train, test]) @ 10 ** np.arange(7))) == 25000


@pytest.mark.parametrize("length", FEW + MANY)
def test_drawing_is_a_pure_function_of_its_arguments(length: int) -> None:
    once = draw_halves(length, 50, 20, random_state=2)
    np.random.seed(0)  # noqa: NPY002 (no generator of NumPy's is read)
    draw_halves(length, 8, 8, random_state=9)
    again, other = draw_halves(length, 50, 20, random_state=2), draw_halves(length, 50, 20, random_state=3)
    for one, same, different in zip(once, again, other, strict=True):
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, same)
        assert (one != different).any()


@pytest.mark.parametrize("length", FEW + MANY)
def test_a_larger_split_begins_with_the_smaller_one(length: int) -> None:
    """Whatever the other split's size."""
    train, test = draw_halves(length, 50, 20, random_state=7)
    for sizes in ((400, 20), (50, 300), (500, 400), (50, 1)):
        larger_train, larger_test = draw_halves(length, *sizes, random_state=7)
        np.testing.assert_array_equal(larger_train[:50], train)
        np.testing.assert_array_equal(larger_test[:20], test[: sizes[1]])


@pytest.mark.parametrize("length", [9, 10, 12, 34, 50, 1000])
@pytest.mark.parametrize("split", [0, 1])
def test_every_digit_of_a_half_is_equally_frequent(length: int, split: int) -> None:
    """Chi-squared at every position (Bonferroni), the first, which is the class, among them; and over pairs."""
    halves = draw_halves(length, 4000, 4000, random_state=0)[split].astype(int)
    p = [chisquare(np.bincount(column, minlength=10)).pvalue for column in halves.T]
    assert min(p) * len(p) > 1e-3
    p = [chisquare(np.bincount(10 * a + b, minlength=100)).pvalue for a, b in itertools.pairwise(halves.T)]
    assert min(p) * len(p) > 1e-3


def test_a_candidate_with_a_biased_word_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words of the last, incomplete 10^4 would be the digits 0000 to 7295 once more."""
    limit = 2**32 - 2**32 % 10**4
    kinds = {0: limit, 1: limit - 1, 2: 2**32 - 1, 3: 10**4 + 1234}

    def words(counter: tuple[np.ndarray, ...], key: tuple[int, int]) -> np.ndarray:
        drawn, candidate = philox(counter, key), np.asarray(counter[1])[:, 0]  # type: ignore[arg-type]
        for number, word in kinds.items():
            drawn[candidate == number, 0, 0] = word
        return drawn

    monkeypatch.setattr("paribus.tasks.palindrome.philox", words)
    train, test = draw_halves(12, 1, 1, random_state=0)
    assert strings(test[:, :4]) == ["9999"]  # candidate 1
    assert strings(train[:, :4]) == ["1234"]  # candidate 3


def test_a_repeated_candidate_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates 0 to 39 are one and the same: 39, 40, 41, ... go in turn to test and training."""

    def words(counter: tuple[np.ndarray, ...], key: tuple[int, int]) -> np.ndarray:
        return philox((counter[0], np.maximum(counter[1], 39), *counter[2:]), key)  # type: ignore[arg-type]

    plain_train, plain_test = draw_halves(100, 60, 60, random_state=0)
    monkeypatch.setattr("paribus.tasks.palindrome.philox", words)
    train, test = draw_halves(100, 30, 30, random_state=0)
    np.testing.assert_array_equal(test, plain_train[19:49])
    np.testing.assert_array_equal(train, plain_test[20:50])


def test_halves_that_differ_in_the_last_digit_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 18 digits, the most that are compared, candidates differ in the last two."""

    def words(counter: tuple[np.ndarray, ...], key: tuple[int, int]) -> np.ndarray:
        drawn = np.zeros_like(philox(counter, key))  # type: ignore[arg-type]
        drawn[:, 1, 0] = counter[1][:, 0] * 100
        return drawn

    monkeypatch.setattr("paribus.tasks.palindrome.philox", words)
    train, test = draw_halves(34, 50, 50, random_state=0)
    assert strings(test) == [f"{number:018d}" for number in range(0, 100, 2)]
    assert strings(train) == [f"{number:018d}" for number in range(1, 100, 2)]


@pytest.mark.parametrize("length", [12, 1000])
def test_in_how_many_parts_candidates_are_drawn_changes_nothing(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw_halves(length, 60, 40, random_state=0)
    monkeypatch.setattr("paribus.tasks.palindrome._COUNTERS", 7)
    for one, other in zip(whole, draw_halves(length, 60, 40, random_state=0), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_drawn_is_what_the_table_says() -> None:
    """In plain Python, from Philox: a change of what stands where is a change of every plan."""
    split, state = 5, 11
    by_rank = sorted(
        range(100), key=lambda half: tuple(philox((half // 2, 0, 1, 0), (state, split))[half % 2 * 2 :][:2])
    )
    train, test = draw_halves(2, 60, 40, state)
    assert strings(test) == [f"{half:02d}" for half in by_rank[:40]]
    assert strings(train) == [f"{half:02d}" for half in by_rank[:39:-1]]
    drawn = [
        "".join(
            f"{word % 10**4:04d}" for block in range(4) for word in philox((block, candidate, 1, 1), (state, split))
        )
        for candidate in range(10)
    ]
    train, test = draw_halves(100, 5, 5, state)
    assert strings(test) == [digits[:51] for digits in drawn[::2]]
    assert strings(train) == [digits[:51] for digits in drawn[1::2]]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_overlap_repeats_as_little_as_it_can(length: int) -> None:
    space = distinct(length)
    train, test = draw_halves(length, space - 2, 7, random_state=4, overlap=True)
    assert len(set(strings(train))) == space - 2  # without repetition
    assert len(set(strings(test))) == 7
    assert len(set(strings(train)) & set(strings(test))) == 5
    train, _ = draw_halves(length, 3 * space + 4, 7, random_state=4, overlap=True)
    counts = [strings(train).count(half) for half in set(strings(train))]
    assert sorted(counts) == [3] * (space - 4) + [4] * 4


@pytest.mark.parametrize(
    ("sizes", "words", "expected"),
    [
        ((10, 8000, 2000), {"overlap": False, "asked": False}, (8000, 2000)),
        ((2, 75, 25), {"overlap": False, "asked": True}, (75, 25)),
        ((2, 8000, 2000), {"overlap": False, "asked": False}, (80, 20)),
        ((1, 8000, 2000), {"overlap": False, "asked": False}, (8, 2)),
        ((1, 99, 1), {"overlap": False, "asked": False}, (9, 1)),  # one at least
        ((1, 1, 999), {"overlap": False, "asked": False}, (1, 9)),
        ((4, 100000, 200000), {"overlap": False, "asked": False}, (333, 667)),
        ((2, 8000, 2000), {"overlap": True, "asked": False}, (8000, 2000)),
        ((2, 8000, 2000), {"overlap": True, "asked": True}, (8000, 2000)),
    ],
)
def test_short_lengths_use_all_there_are(
    sizes: tuple[int, int, int], words: dict[str, bool], expected: tuple[int, int]
) -> None:
    assert shares(*sizes, **words) == expected
    train, test = draw_halves(sizes[0], *expected, random_state=0, overlap=words["overlap"])
    assert (len(train), len(test)) == expected


@pytest.mark.parametrize("call", [shares, lambda *sizes: draw_halves(*sizes, 0)])
def test_sizes_that_cannot_be_disjoint_are_refused(call: object) -> None:
    with pytest.raises(
        ValueError,
        match=r"80 training and 21 test palindromes of length=3 cannot be disjoint.*100 in all.*overlap=true",
    ):
        call(3, 80, 21)  # type: ignore[operator]


@pytest.mark.parametrize("length", [0, -1, 1001])
def test_a_length_out_of_bounds_is_refused(length: int) -> None:
    for call in (
        lambda: distinct(length),
        lambda: shares(length, 1, 1),
        lambda: draw_halves(length, 1, 1, 0),
        lambda: palindromes(np.zeros((1, 1), np.uint8), length),
    ):
        with pytest.raises(ValueError, match=rf"length={length} is not allowed: 1 to 1,000 digits are read"):
            call()


def test_other_mistakes_are_refused() -> None:
    for sizes in ((0, 5), (5, 0), (-1, 5), (1_000_001, 5)):
        with pytest.raises(ValueError, match=r"palindromes are not allowed: 1 to 1,000,000"):
            draw_halves(20, *sizes, 0)
    with pytest.raises(ValueError, match="seed=-1"):
        draw_halves(20, 5, 5, -1)
    with pytest.raises(ValueError, match="halves of 3 digits do not make length=7: it takes 4"):
        palindromes(np.zeros((2, 3), np.uint8), 7)
    with pytest.raises(ValueError, match=r"encoding='one-hot' is not allowed: scalar or onehot"):
        encode(np.zeros((2, 3), np.uint8), "one-hot")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_encoding_says_every_digit(dtype: type) -> None:
    digits = np.random.default_rng(0).integers(0, 10, (7, 13)).astype(np.uint8)
    scalar, onehot = encode(digits, "scalar", dtype), encode(digits, "onehot", dtype)
    assert scalar.dtype == onehot.dtype == dtype
    assert scalar.shape == (7, 13, 1)
    assert onehot.shape == (7, 13, 10)
    np.testing.assert_array_equal(scalar[..., 0], digits)
    np.testing.assert_array_equal(onehot.argmax(axis=-1), digits)
    np.testing.assert_array_equal(np.sort(onehot, axis=-1), np.broadcast_to([0] * 9 + [1], onehot.shape))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), length=st.integers(1, 3), values=st.integers(1, 4))
def test_a_lookup_table_scores_what_counting_by_hand_gives(seed: int, n: int, length: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    train, test = (rng.integers(0, values, (size, length)).astype(np.uint8) for size in (n, 17))
    train_y, test_y = rng.integers(0, 3, n), rng.integers(0, 3, 17)
    counts = [sum(int(y == k) for y in train_y) for k in range(3)]
    hits = 0
    for sequence, target in zip(test, test_y, strict=True):
        same = [int(y) for row, y in zip(train, train_y, strict=True) if list(row) == list(sequence)]
        hits += (same[0] if same else counts.index(max(counts))) == target
    assert lookup_accuracy(train, train_y, test, test_y) == pytest.approx(hits / 17)


@pytest.mark.parametrize("length", [1, 2, 5, 10])
def test_disjoint_palindromes_are_not_to_be_looked_up(length: int) -> None:
    """At most the share of the commonest class; all of it, where the splits overlap wholly."""
    n_train, n_test = shares(length, 4000, 1000, asked=False)
    train, test = (palindromes(halves, length) for halves in draw_halves(length, n_train, n_test, 0))
    expected = (test[1] == np.bincount(train[1]).argmax()).mean()
    assert lookup_accuracy(*train, *test) == pytest.approx(expected)
    assert lookup_accuracy(*train, *train) == 1
