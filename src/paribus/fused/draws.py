"""The plan's draws inside compiled loops: Philox 4x32-10, permutations, draws with repeats, dropout.

The same numbers as `plan` draws, coordinate for coordinate; the table of coordinates stands there.
"""

from __future__ import annotations

import numpy as np

from paribus.fused.compiled import compiled, inlined
from paribus.plan import Stream

M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
ORDER, DROPOUT = np.uint64(Stream.ORDER), np.uint64(Stream.DROPOUT)
ONE, FOUR = np.uint64(1), np.uint64(4)


@inlined
def philox(a, b, c, d, x, y):
    """Philox 4x32-10: four words for the counter (a, b, c, d) under the key (x, y)."""
    for _ in range(10):
        p, q = a * M0, c * M1
        a, b, c, d = (q >> HALF) ^ b ^ x, q & LOW, (p >> HALF) ^ d ^ y, p & LOW
        x, y = (x + W0) & LOW, (y + W1) & LOW
    return a, b, c, d


@compiled
def blocks(words, first, count, c1, c2, c3, k0, k1):
    """Four words for each counter (first + i, c1, c2, c3), i < count, into `words`: (4, count or more), uint64."""
    for i in range(count):
        words[0, i], words[1, i], words[2, i], words[3, i] = philox(first + np.uint64(i), c1, c2, c3, k0, k1)


@compiled
def masks(words, unit_block, examples, n, epoch, layer, seed):
    """As `blocks`, for the counters (unit_block, examples[i], epoch, layer) of dropout."""
    for i in range(n):
        example = np.uint64(examples[i])
        words[0, i], words[1, i], words[2, i], words[3, i] = philox(unit_block, example, epoch, layer, seed, DROPOUT)


@compiled
def redraw(words, position, bound, epoch, purpose, seed):
    """A draw that was rejected, made again at the next attempts."""
    attempt = np.uint64(0)
    while True:
        attempt += ONE
        blocks(words, position // FOUR, 1, epoch, purpose, attempt, seed, ORDER)
        product = words[position % FOUR, 0] * bound
        if (product & LOW) >= (ONE << HALF) % bound:
            return product >> HALF


@compiled
def permutation(order, n, words, spare, epoch, seed):
    """The order of n examples in an epoch: Fisher-Yates, as `Plan.permutations`. `words`: (4, n / 4 or more)."""
    zero = np.uint64(0)
    blocks(words, zero, (n + 3) // 4, epoch, zero, zero, seed, ORDER)
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        bound = np.uint64(i + 1)
        product = words[i % 4, i // 4] * bound
        target = product >> HALF
        if (product & LOW) < bound and (product & LOW) < (ONE << HALF) % bound:
            target = redraw(spare, np.uint64(i), bound, epoch, zero, seed)
        chosen = order[target]
        order[target] = order[i]
        order[i] = chosen


@compiled
def repeats(order, first, count, n, words, spare, epoch, seed):
    """`count` examples of n from position `first` of an epoch on, with repeats, as `Plan.draws`."""
    bound, purpose, zero = np.uint64(n), ONE, np.uint64(0)
    begin = first // 4
    blocks(words, np.uint64(begin), (first + count + 3) // 4 - begin, epoch, purpose, zero, seed, ORDER)
    floor = (ONE << HALF) % bound
    for i in range(count):
        position = first + i
        product = words[position % 4, position // 4 - begin] * bound
        order[i] = np.int64(product >> HALF)
        if (product & LOW) < floor:
            order[i] = np.int64(redraw(spare, np.uint64(position), bound, epoch, purpose, seed))
