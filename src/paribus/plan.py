"""The plan: everything that a seed fixes, made before training and the same for every arm.

Every draw is a pure function of (seed, stream, coordinates): Philox 4x32-10 encrypts the coordinates under the key
(seed, stream). So any epoch and any example can be drawn without what came before, nothing depends on the order in
which draws are made, and nothing touches a global generator.

What stands at which coordinates is part of the plan's version. Change it, and `PLAN_VERSION` changes.

| stream  | what            | counter (c0, c1, c2, c3)              | word             |
|---------|-----------------|---------------------------------------|------------------|
| init    | initial values  | column // 2, row, tensor, 0           | 2 for each value |
| order   | permutation     | position // 4, epoch, 0, attempt      | position % 4     |
| order   | with repeats    | position // 4, epoch, 1, attempt      | position % 4     |
| augment | flip            | example, epoch, 0, 0                  | 0                |
| augment | crop            | example, epoch, 0, 0                  | 1, 2             |
| augment | cutout          | example, epoch, 0, 0                  | halves of 3      |
| dropout | mask            | unit // 4, example, epoch, layer      | unit % 4         |
| split   | permutation     | position // 4, 0, 0, attempt          | position % 4     |
| tune    | a trial's place | setting // 2, trial, 0, 0             | 2 for each value |
| module  | at a step       | step % 2^32, step // 2^32, 0, 0       | 2 for the state  |
| module  | at evaluation   | step % 2^32, step // 2^32, 1, 0       | 2 for the state  |
| picture | rank of a row   | row, 0, 0, 0                          | 2 for the rank   |

Reference: J. K. Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011), and its library Random123.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

PLAN_VERSION = 1
MAX_SEED = 2**32 - 1

Words = NDArray[np.uint32]
Indices = NDArray[np.int64]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ROUNDS = 10


class Stream(IntEnum):
    """One named stream for each purpose: what one of them draws says nothing about the others."""

    INIT = 1
    ORDER = 2
    AUGMENT = 3
    DROPOUT = 4
    SPLIT = 5
    TUNE = 6
    MODULE = 7
    PICTURE = 8


def philox(counter: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike], key: tuple[int, ArrayLike]) -> Words:
    """Philox 4x32-10: four random 32-bit words for each counter, shape `(*broadcast(counter, key), 4)`.

    Ten rounds of (c0, c1, c2, c3) -> (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0)), with the key
    raised by the Weyl constants between rounds. Counters and keys are whole numbers from 0 to 2^32 - 1.

    Source: Salmon et al. (2011), figure 2; checked against Random123's published known answers.

    >>> [f"{word:08x}" for word in philox((0, 0, 0, 0), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    counters = [np.asarray(c, dtype=np.uint64) for c in counter]
    k0, k1 = key[0], np.asarray(key[1], dtype=np.uint64)
    # of one counter: a hundred calls of NumPy take ten times as long as Python's own numbers
    if all(c.size == 1 for c in (*counters, k1)):
        words = np.array(_one([int(c.reshape(())) for c in counters], (k0, int(k1.reshape(())))), dtype=np.uint32)
        return words.reshape(*np.broadcast_shapes(*(c.shape for c in (*counters, k1))), 4)
    # In place and contiguous: new arrays each round, or the strides of a broadcast, take three times as long.
    c0, c1, c2, c3 = (c.copy(order="C") for c in np.broadcast_arrays(*counters, k1)[:4])
    first, second = np.empty_like(c0), np.empty_like(c0)
    for _ in range(_ROUNDS):
        np.multiply(c0, _MULTIPLIERS[0], out=first)
        np.multiply(c2, _MULTIPLIERS[1], out=second)
        np.bitwise_xor(np.right_shift(second, _HALF, out=c0), c1, out=c0)
        np.bitwise_xor(c0, np.uint64(k0), out=c0)
        np.bitwise_xor(np.right_shift(first, _HALF, out=c2), c3, out=c2)
        np.bitwise_xor(c2, k1, out=c2)
        np.bitwise_and(second, _LOW, out=c1)
        np.bitwise_and(first, _LOW, out=c3)
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + np.uint64(_WEYL[1])) & _LOW
    found = np.empty((*c0.shape, 4), dtype=np.uint32)
    found[..., 0], found[..., 1], found[..., 2], found[..., 3] = c0, c1, c2, c3
    return found


def _one(counter: list[int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """`philox` of one counter."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(_ROUNDS):
        first, second = c0 * int(_MULTIPLIERS[0]), c2 * int(_MULTIPLIERS[1])
        c0, c2 = (second >> 32) ^ c1 ^ k0, (first >> 32) ^ c3 ^ k1
        c1, c3 = second & 0xFFFFFFFF, first & 0xFFFFFFFF
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


@dataclass(frozen=True)
class Plan:
    """The plan of one seed; equal for every arm.

    >>> plan = Plan(seed=0)
    >>> plan.permutations(first_epoch=7, epochs=1, n=5)[0].tolist()
    [2, 4, 0, 3, 1]
    >>> bool((plan.permutations(0, 9, 5)[7] == plan.permutations(7, 1, 5)[0]).all())
    True
    """

    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed={self.seed}: a seed is a whole number from 0 to {MAX_SEED}")

    def uniforms(self, tensor: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Uniform draws in the open interval (0, 1) for the parameter tensor number `tensor`, 52 bits each.

        The first axis of `shape` is the row and the others, flattened, the column: a wider layer begins with the
        draws of a narrower one.

        >>> wide, narrow = Plan(3).uniforms(0, (5, 4)), Plan(3).uniforms(0, (2, 3))
        >>> bool((wide[:2, :3] == narrow).all())
        True
        """
        rows, columns = shape[0], int(np.prod(shape[1:], dtype=np.int64))
        pairs = np.arange((columns + 1) // 2)[None, :]
        words = philox((pairs, np.arange(rows)[:, None], tensor, 0), (self.seed, Stream.INIT))
        return _uniform(words).reshape(rows, -1)[:, :columns].reshape(shape)

    def normals(self, tensor: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Standard normal draws: the normal quantiles of `uniforms`, value by value.

        So arms that differ in the scale or in the family of their initial values differ in nothing else.
        """
        from scipy.special import ndtri

        quantiles: NDArray[np.float64] = ndtri(self.uniforms(tensor, shape))
        return quantiles

    def permutations(self, first_epoch: int, epochs: int, n: int) -> Indices:
        """The order of `n` examples in each of `epochs` epochs, shape (epochs, n): uniform over all n! orders.

        Fisher-Yates, for position i = n - 1, ..., 1 a swap with a position drawn from 0, ..., i.

        Source: R. Durstenfeld, Algorithm 235 (CACM 1964).
        """
        return self._permutations(Stream.ORDER, first_epoch, epochs, n)

    def split_permutation(self, n: int) -> Indices:
        """The order in which `n` examples are dealt to the splits, shape (n,)."""
        return self._permutations(Stream.SPLIT, 0, 1, n).reshape(n)

    def draws(self, first_epoch: int, epochs: int, size: int, n: int) -> Indices:
        """`size` examples of `n` in each of `epochs` epochs, drawn with repeats, shape (epochs, size).

        >>> Plan(0).draws(first_epoch=0, epochs=1, size=6, n=3).tolist()
        [[2, 0, 0, 1, 1, 2]]
        """
        return self._bounded(Stream.ORDER, first_epoch, epochs, np.full(size, n), purpose=1)

    def keep(self, epoch: int, examples: Indices, layer: int, units: int, dropout: float) -> NDArray[np.bool_]:
        """Which units dropout leaves standing, shape (examples, units): each with probability 1 - dropout.

        A unit's fate belongs to (seed, epoch, example, layer, unit), not to a position in a batch.
        """
        blocks = np.arange((units + 3) // 4)[None, :]
        words = philox((blocks, examples[:, None], epoch, layer), (self.seed, Stream.DROPOUT))
        return words.reshape(len(examples), -1)[:, :units].astype(np.uint64) >= np.uint64(round(dropout * 2**32))

    def augment(self, epoch: int, examples: Indices) -> Words:
        """Four words for each example, shape (examples, 4), for its augmentation in this epoch.

        They belong to (seed, epoch, example), not to a position in a batch.

        >>> all_of_them = Plan(0).augment(3, np.arange(5))
        >>> bool((all_of_them[[4, 1]] == Plan(0).augment(3, np.array([4, 1]))).all())
        True
        """
        return philox((examples, epoch, 0, 0), (self.seed, Stream.AUGMENT))

    def trial(self, number: int, settings: int) -> NDArray[np.float64]:
        """Where a trial of a random search lies: for each of its settings a uniform draw in (0, 1).

        Source: J. Bergstra, Y. Bengio, Random search for hyper-parameter optimization (JMLR 2012).

        >>> Plan(0).trial(0, 3)[:2].tolist() == Plan(0).trial(0, 2).tolist()
        True
        """
        words = philox((np.arange((settings + 1) // 2), number, 0, 0), (self.seed, Stream.TUNE))
        return _uniform(words).reshape(-1)[:settings]

    def generator_states(self, first_step: int, steps: int) -> list[int]:
        """What a generator that is not the plan's own is seeded with, at each step of a user's module: 64 bits each.

        >>> Plan(0).generator_states(0, 3)[1:] == Plan(0).generator_states(1, 2)
        True
        """
        return self._states(np.arange(first_step, first_step + steps, dtype=np.uint64), 0)

    @lru_cache(maxsize=16)  # noqa: B019 (a plan is a number): each split and each metric asks
    def evaluation_state(self, step: int) -> int:
        """What such a generator is seeded with when the module is evaluated after `step` steps.

        >>> Plan(0).evaluation_state(7) not in Plan(0).generator_states(0, 9)
        True
        """
        (state,) = self._states(np.array([step], dtype=np.uint64), 1)
        return state

    def _states(self, step: NDArray[np.uint64], evaluation: int) -> list[int]:
        words = philox((step & _LOW, step >> _HALF, evaluation, 0), (self.seed, Stream.MODULE)).astype(np.uint64)
        return ((words[:, 0] << _HALF) | words[:, 1]).tolist()  # type: ignore[no-any-return]

    def pictured_rows(self, n: int, most: int) -> Indices:
        """Which of `n` rows a picture shows, ascending: all, or `most` of them, every subset as likely as another.

        Each row has a rank of 64 random bits; those with the least ranks are taken.

        >>> Plan(0).pictured_rows(3, 5).tolist(), len(Plan(0).pictured_rows(10_000, 500))
        ([0, 1, 2], 500)
        """
        words = philox((np.arange(n), 0, 0, 0), (self.seed, Stream.PICTURE)).astype(np.uint64)
        ranks = (words[:, 0] << _HALF) | words[:, 1]
        return np.sort(np.argsort(ranks, kind="stable")[:most])

    @lru_cache(maxsize=256)  # noqa: B019 (a plan is a number): every arm asks
    def hash(self) -> str:
        """SHA-256 of the plan's version, its seed and the first words of every stream that a run draws from.

        Two records with the same hash were trained on the same plan; code that draws otherwise has another hash.
        """
        digest = hashlib.sha256(f"paribus plan {PLAN_VERSION} seed {self.seed}".encode())
        # what came later has left every plan as it was
        streams = [stream for stream in Stream if stream <= Stream.SPLIT]
        words = philox((np.arange(16), 0, 0, 0), (self.seed, np.array(streams, dtype=np.uint64)[:, None]))
        digest.update(words.astype("<u4").tobytes())  # stream after stream
        digest.update(self.permutations(0, 1, 101).astype("<i8").tobytes())
        return digest.hexdigest()

    def _permutations(self, stream: Stream, first_epoch: int, epochs: int, n: int) -> Indices:
        jumps = self._bounded(stream, first_epoch, epochs, np.arange(1, n + 1), purpose=0).T
        if epochs == 1:  # numbers of Python's swap faster than arrays of one
            alone, to = list(range(n)), jumps[:, 0].tolist()
            for i in range(n - 1, 0, -1):
                alone[i], alone[to[i]] = alone[to[i]], alone[i]
            return np.array([alone], dtype=np.int64)
        # One column an epoch: the epochs swap at once, so that no Python loop runs over epochs times examples.
        orders = np.repeat(np.arange(n)[:, None], epochs, axis=1)
        flat, targets = orders.reshape(-1), jumps * epochs + np.arange(epochs)
        for i in range(n - 1, 0, -1):
            chosen = flat.take(targets[i])
            flat[targets[i]] = orders[i]
            orders[i] = chosen
        return np.ascontiguousarray(orders.T)

    def _bounded(
        self, stream: Stream, first_epoch: int, epochs: int, bounds: NDArray[np.int64], purpose: int
    ) -> Indices:
        """For each epoch and each position a draw from 0, ..., bounds[position] - 1, without bias.

        The high word of word * bound, rejected while the low word is under 2^32 mod bound: D. Lemire, Fast random
        integer generation in an interval (ACM TOMACS 2019). A rejected draw is made again at the next `attempt`.
        """
        key, size = (self.seed, stream), len(bounds)
        epoch = np.arange(first_epoch, first_epoch + epochs)[:, None]
        blocks = np.arange((size + 3) // 4)[None, :]
        words = philox((blocks, epoch, purpose, 0), key).reshape(epochs, -1)[:, :size]
        bound = bounds.astype(np.uint64)
        product = words.astype(np.uint64) * bound
        floor = np.uint64(2**32) % bound
        rejected = np.argwhere((product & _LOW) < floor)
        drawn = (product >> _HALF).astype(np.int64)
        for row, position in rejected:
            drawn[row, position] = self._redraw(
                key, first_epoch + int(row), int(position), int(bounds[position]), purpose
            )
        return drawn

    @staticmethod
    def _redraw(key: tuple[int, int], epoch: int, position: int, bound: int, purpose: int) -> int:
        attempt = 0
        while True:
            attempt += 1
            word = int(philox((position // 4, epoch, purpose, attempt), key)[position % 4])
            if (word * bound) & 0xFFFFFFFF >= 2**32 % bound:
                return (word * bound) >> 32


def _uniform(words: Words) -> NDArray[np.float64]:
    """Uniform in the open interval (0, 1), 52 bits of each two words."""
    high, low = words[..., 0::2].astype(np.uint64), words[..., 1::2].astype(np.uint64)
    bits = ((high << _HALF) | low) >> np.uint64(12)
    return (bits.astype(np.float64) + 0.5) * 2.0**-52
