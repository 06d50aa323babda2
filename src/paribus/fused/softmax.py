"""Softmax and cross-entropy over one batch."""

from __future__ import annotations

import numpy as np

from paribus.fused.compiled import compiled, compiled_in_order
from paribus.fused.rows import BATCH, ROW, get, put

LABEL, LARGEST, TOTAL, RIGHT, SHARE = 0, 1, 2, 3, 4
"""Rows of work: the class as a number; the largest logit; sum of exp(logit - largest); the right class's logit less the
largest; 1 / (n TOTAL)."""
WORK_ROWS = 5


@compiled
def softmax(s, z, dz, work, classes, n, share, bits, powers, constants):
    """dL/dz = share (softmax(z) - one-hot) into dz, with share = 1 / batch size; LABEL is given, the rows after it are
    left for the loss, log TOTAL - RIGHT. Returns a number that is finite if and only if every loss is.
    """
    real = s.dtype.type
    zero, one = real(0), real(1)
    label, largest, total = work + LABEL * ROW, work + LARGEST * ROW, work + TOTAL * ROW
    right, inverse = work + RIGHT * ROW, work + SHARE * ROW
    for i in range(n):
        put(s, largest + i, get(s, z + i))
        put(s, total + i, zero)
        put(s, right + i, zero)
    for c in range(1, classes):
        for i in range(n):
            value, before = get(s, z + c * ROW + i), get(s, largest + i)
            put(s, largest + i, value if value > before else before)
    for c in range(classes):
        number = real(c)
        for i in range(n):
            shifted = get(s, z + c * ROW + i) - get(s, largest + i)
            put(s, dz + c * ROW + i, shifted)
            before = get(s, right + i)
            put(s, right + i, shifted if get(s, label + i) == number else before)
        exp(s, dz + c * ROW, n, bits, powers, constants)
        for i in range(n):
            put(s, total + i, get(s, total + i) + get(s, dz + c * ROW + i))
    told = zero
    for i in range(n):
        told += get(s, right + i) + get(s, total + i)
    for i in range(n):
        put(s, inverse + i, share * (one / get(s, total + i)))
    for c in range(classes):
        number = real(c)
        for i in range(n):
            hot = share if get(s, label + i) == number else zero
            put(s, dz + c * ROW + i, get(s, dz + c * ROW + i) * get(s, inverse + i) - hot)
    return np.float64(told)


@compiled_in_order
def exp(s, x, n, bits, powers, constants):
    """exp of a row whose numbers are at most 0, in place, in operations that vectorise; NaN stays NaN.

    exp(t) = 2^k exp(r), k = round(t / ln 2), r = t - k ln 2 in two parts, |r| <= ln 2 / 2, by Taylor's series to the
    13th power. 2^k is written into the bits of a number: `powers` is the same memory as `bits`; bits[BATCH] and
    bits[BATCH + 1] hold the exponent's bias and place. Source: W. J. Cody, W. Waite, Software Manual for the Elementary
    Functions (1980).
    """
    real, whole = s.dtype.type, bits.dtype.type
    lowest, inverse, high, low, half, zero = (
        constants[0],
        constants[1],
        constants[2],
        constants[3],
        constants[4],
        real(0),
    )
    c = constants[5:]
    c0, c1, c2, c3, c4, c5, c6 = c[0], c[1], c[2], c[3], c[4], c[5], c[6]
    c7, c8, c9, c10, c11, c12, c13 = c[7], c[8], c[9], c[10], c[11], c[12], c[13]
    bias, place = bits[BATCH], bits[BATCH + 1]
    for i in range(n):
        t = get(s, x + i)
        t = lowest if t < lowest else t
        k = whole((t if t == t else zero) * inverse - half)
        put(bits, np.int64(i), (k + bias) << place)
        r = t - real(k) * high - real(k) * low
        q = c12 + r * c13
        q = c10 + r * (c11 + r * q)
        q = c8 + r * (c9 + r * q)
        q = c6 + r * (c7 + r * q)
        q = c4 + r * (c5 + r * q)
        q = c2 + r * (c3 + r * q)
        put(s, x + i, c0 + r * (c1 + r * q))
    for i in range(n):
        put(s, x + i, get(s, x + i) * get(powers, i))


@compiled
def rightly(s, z, work, classes, n):
    """How many examples have their largest logit, the first of equals, at their class."""
    count = 0
    for i in range(n):
        best, found = get(s, z + i), 0
        for c in range(1, classes):
            value = get(s, z + c * ROW + i)
            if value > best:
                best, found = value, c
        count += found == np.int64(get(s, work + LABEL * ROW + i))
    return count
