"""Palindromes of decimal digits: read all digits but the last, tell the last, which equals the first.

A palindrome of `length` + 1 digits is determined by its first half, of ceil((length + 1) / 2) digits. So the halves
are drawn and dealt to the splits before there are any palindromes: no half, and so no sequence, stands in both.

What is drawn, beside the table of `plan`, in its notation:

| stream | what                           | counter (c0, c1, c2, c3)      | word             |
|--------|--------------------------------|-------------------------------|------------------|
| split  | a half's rank, few halves      | half // 2, 0, 1, 0            | 2 for each half  |
| split  | a candidate's digits, many     | digit // 16, candidate, 1, 1  | 4 digits a word  |
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from paribus.config.tasks import Palindrome
from paribus.plan import Indices, Plan, Stream, philox
from paribus.tasks.pool import Pool

Digits = NDArray[np.uint8]

MAX_LENGTH = 1000
MAX_SIZE = 1_000_000
DEFAULT_SIZES = 12_800, 2_000
"""Training and test sequences, where there are so many."""
ENCODINGS = {"scalar": 1, "onehot": 10}
"""How a digit is given to the network, and how many inputs that takes."""

_FEW = 10**6
"""Up to so many halves all of them are ranked; of more, candidates are drawn until enough differ."""
_RANKED, _DRAWN = 0, 1
_IN_WORD = 4  # digits: a word is below 2^32
_HEAD = 18  # digits that fit an int64
_COUNTERS = 2**18  # for each call of Philox, which takes about 70 bytes for one


def palindrome(settings: Palindrome) -> Pool:
    """Training and test palindromes; the source says what a table of the training sequences would score."""
    length, sizes = settings.length, (settings.n_train, settings.n_test)
    asked = [default if size == "auto" else size for size, default in zip(sizes, DEFAULT_SIZES, strict=True)]
    n_train, n_test = shares(length, asked[0], asked[1], overlap=settings.overlap, asked="auto" not in sizes)
    halves = draw_halves(length, n_train, n_test, settings.random_state, overlap=settings.overlap)
    (train_x, train_y), (test_x, test_y) = (palindromes(half, length) for half in halves)
    table = lookup_accuracy(train_x, train_y, test_x, test_y)
    source = (
        f"palindromes of {length} digits and one more, {distinct(length):,} in all; a table of the training sequences "
        f"tells {100 * table:.1f} % of the test sequences' last digits"
    )
    return Pool(
        x=np.concatenate([train_x, test_x]),
        y=np.concatenate([train_y, test_y]),
        classes=10,
        source=source,
        test=n_test,
        encoding=settings.encoding,
    )


def distinct(length: int) -> int:
    """How many palindromes there are: 10^ceil((length + 1) / 2), a digit more for every second one.

    Raises ValueError for a length under 1 or over 1,000.

    >>> [distinct(length) for length in (1, 2, 3, 4)]
    [10, 100, 100, 1000]
    """
    space: int = 10 ** _half(length)
    return space


def shares(length: int, n_train: int, n_test: int, *, overlap: bool = False, asked: bool = True) -> tuple[int, int]:
    """How many training and test palindromes there will be.

    n_train and n_test, where there are so many palindromes or `overlap` is meant. Where there are fewer, and the sizes
    are not the user's own (`asked` is false): all palindromes, split in the proportion n_train : n_test, each split
    with one at least.

    Raises ValueError where sizes that the user asked for cannot be disjoint.

    >>> shares(10, 900, 300, asked=False), shares(2, 900, 300, asked=False), shares(2, 900, 300, overlap=True)
    ((900, 300), (75, 25), (900, 300))
    """
    space = distinct(length)
    for split, size in (("training", n_train), ("test", n_test)):
        if not 1 <= size <= MAX_SIZE:
            raise ValueError(f"{size} {split} palindromes are not allowed: 1 to {MAX_SIZE:,}")
    if overlap or n_train + n_test <= space:
        return n_train, n_test
    if asked:
        raise ValueError(
            f"{n_train} training and {n_test} test palindromes of length={length} cannot be disjoint, for there are "
            f"{space} in all: ask for {space} or fewer together, or say overlap=true"
        )
    test = min(max(round(space * n_test / (n_train + n_test)), 1), space - 1)
    return space - test, test


def draw_halves(
    length: int, n_train: int, n_test: int, random_state: int, *, overlap: bool = False
) -> tuple[Digits, Digits]:
    """The halves of the training and of the test palindromes: shapes (n_train, half) and (n_test, half), no two equal.

    A pure function of its arguments, uniform over all halves. A larger split begins with the smaller one, whatever
    the other's size.

    Up to 10^6 halves are put in an order (of 64 random bits each): the test split takes from its beginning, the
    training split from its end. With `overlap` they may meet: then they share as few halves as their sizes let them,
    and a split larger than the order goes through it again, so that each half comes as often as any other, or once
    more. Of more halves, candidates are drawn digit by digit; one whose first 18 digits an earlier one has is passed
    over; the others go in turn to test and training. There, `overlap` changes nothing.

    Raises ValueError as `shares` does, and for a `random_state` that is not from 0 to 2^32 - 1.

    >>> train, test = draw_halves(5, n_train=4, n_test=2, random_state=0)
    >>> train.tolist(), test.tolist()
    ([[9, 0, 3], [9, 8, 7], [3, 5, 5], [1, 1, 5]], [[6, 0, 5], [0, 9, 0]])
    """
    shares(length, n_train, n_test, overlap=overlap)
    key = (Plan(random_state).seed, int(Stream.SPLIT))
    if distinct(length) <= _FEW:
        order = _order(distinct(length), key)
        train, test = np.resize(order[::-1], n_train), np.resize(order, n_test)
        return _digits(train, _half(length)), _digits(test, _half(length))
    halves = _candidates(_half(length), 2 * max(n_train, n_test), key)
    return halves[1::2][:n_train].copy(), halves[::2][:n_test].copy()


def palindromes(halves: Digits, length: int) -> tuple[Digits, NDArray[np.int64]]:
    """The digits read, shape (n, length), and the one to be told, shape (n,), of the palindromes with these halves.

    Digit t of a palindrome, counted from 0, is digit min(t, length - t) of its half.

    >>> digits, targets = palindromes(np.array([[1, 2, 3]], np.uint8), length=5)
    >>> digits.tolist(), targets.tolist()
    ([[1, 2, 3, 3, 2]], [1])
    """
    if halves.shape[1] != _half(length):
        raise ValueError(f"halves of {halves.shape[1]} digits do not make length={length}: it takes {_half(length)}")
    position = np.arange(length)
    return halves.take(np.minimum(position, length - position), axis=1), halves[:, 0].astype(np.int64)


def encode(digits: Digits, encoding: str, dtype: DTypeLike = np.float64) -> NDArray[np.floating[Any]]:
    """Digits (n, length) as a network's inputs (n, length, inputs).

    `scalar`: the digit as one number from 0 to 9. `onehot`: ten numbers, 1 at the digit and 0 elsewhere; ten times the
    memory (4 GB for 100,000 sequences of length 1,000 in float32), so long sequences are encoded batch by batch.

    Raises ValueError for another encoding.

    >>> encode(np.array([[3, 0]], np.uint8), "scalar").tolist()
    [[[3.0], [0.0]]]
    >>> encode(np.array([[3, 0]], np.uint8), "onehot", np.float32)[0, 0].tolist()
    [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding={encoding!r} is not allowed: {' or '.join(ENCODINGS)}")
    if encoding == "scalar":
        return digits[..., None].astype(dtype)
    encoded: NDArray[np.floating[Any]] = np.eye(10, dtype=dtype).take(digits, axis=0)
    return encoded


def lookup_accuracy(
    train_digits: Digits, train_targets: NDArray[np.int64], test_digits: Digits, test_targets: NDArray[np.int64]
) -> float:
    """The test accuracy of a table of the training sequences, from 0 to 1: what is reached without any rule.

    A sequence in the table gets its target there (the first one's, should it stand there twice); any other the most
    frequent training target, the smallest of them if several are.

    >>> train, test = np.array([[1, 2], [1, 3]], np.uint8), np.array([[1, 3], [4, 4], [1, 9]], np.uint8)
    >>> round(lookup_accuracy(train, np.array([1, 1]), test, np.array([1, 4, 1])), 3)
    0.667
    """
    # last to first: of equal sequences the first one's target stands
    table = {row.tobytes(): target for row, target in zip(train_digits[::-1], train_targets[::-1], strict=True)}
    otherwise = np.bincount(train_targets).argmax()
    told = [table.get(row.tobytes(), otherwise) for row in test_digits]
    return float((np.array(told) == test_targets).mean())


def _half(length: int) -> int:
    if not 1 <= length <= MAX_LENGTH:
        raise ValueError(f"length={length} is not allowed: 1 to {MAX_LENGTH:,} digits are read")
    return (length + 2) // 2


def _digits(numbers: Indices, width: int) -> Digits:
    """Whole numbers as rows of decimal digits, zeros in front."""
    digits: Digits = np.stack(np.unravel_index(numbers, (10,) * width), axis=1).astype(np.uint8)
    return digits


def _order(space: int, key: tuple[int, int]) -> Indices:
    """All halves, as numbers, in the order of 64 bits drawn for each; equal bits leave the order as it is."""
    words = philox((np.arange(space // 2), 0, 1, _RANKED), key).reshape(space, 2).astype(np.uint64)
    return np.argsort((words[:, 0] << np.uint64(32)) | words[:, 1], kind="stable")


def _candidates(half: int, n: int, key: tuple[int, int]) -> Digits:
    """The first n candidates that no earlier one equals in its first 18 digits, shape (n, half)."""
    count = n + n // 8 + 16
    while True:
        digits, sound = _draw(half, count, key)
        heads = digits[:, :_HEAD] @ 10 ** np.arange(min(half, _HEAD))[::-1]
        rows = np.flatnonzero(sound)
        first = rows[np.sort(np.unique(heads[rows], return_index=True)[1])]
        if len(first) >= n:
            chosen: Digits = digits[first[:n]]
            return chosen
        count *= 2


def _draw(half: int, count: int, key: tuple[int, int]) -> tuple[Digits, NDArray[np.bool_]]:
    """Candidates 0, 1, ..., count - 1: digits (count, half), and which of them are without bias (count,).

    Four digits are a word's remainder modulo 10^4; a word from the last, incomplete 10^4 of the 2^32 would prefer the
    small ones, and its candidate is left out.
    """
    table = _digits(np.arange(10**_IN_WORD), _IN_WORD)
    limit = 2**32 - 2**32 % 10**_IN_WORD
    blocks = np.arange(-(-half // (4 * _IN_WORD)))
    digits, sound = np.empty((count, half), np.uint8), np.empty(count, np.bool_)
    rows = max(_COUNTERS // len(blocks), 1)
    for start in range(0, count, rows):
        candidates = np.arange(start, min(start + rows, count))
        words = philox((blocks, candidates[:, None], 1, _DRAWN), key).reshape(len(candidates), -1)
        digits[candidates] = table[words % 10**_IN_WORD].reshape(len(candidates), -1)[:, :half]
        sound[candidates] = (words < limit).all(axis=1)
    return digits, sound
