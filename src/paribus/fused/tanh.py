"""tanh in operations that vectorise."""

# Compiled functions take their types from what they are called with.
# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs

from __future__ import annotations

import math

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from paribus.fused.compiled import compiled_in_order
from paribus.fused.rows import get, put

_TERMS = {types.float32: 10, types.float64: 17}
"""Of the series, that a type tells apart."""

_LAYOUT = {types.float32: (32, 23, 127), types.float64: (64, 52, 1023)}
"""Bits of a number; its exponent's place among them and bias."""


@compiled_in_order
def tanh(h, first, n, constants):
    """tanh of the n numbers from place `first` on, in place: odd, 1 where it rounds to 1, NaN of NaN.

    tanh x = -m / (2 + m) with m = exp(t) - 1, t = -2 |x|: for small x the difference is never taken. With k = round(t /
    ln 2), r = t - k ln 2 in two parts and |r| <= ln 2 / 2, m = 2^k (exp(r) - 1) + (2^k - 1), exp(r) - 1 by its series.
    Correct to 2 units in the last place. `constants`: those of `softmax.exp`.

    Source: W. J. Cody, W. Waite, Software Manual for the Elementary Functions (1980).
    """
    lowest, inverse, high, low = constants[0], constants[1], constants[2], constants[3]
    one = h.dtype.type(1)
    two = one + one
    half = one / two
    third = one / (one + two)
    for i in range(first, first + n):
        x = get(h, i)
        t = -abs(two * x)
        t = lowest if t < lowest else t
        k = _nearest(t * inverse + half)
        r = t - k * high - k * low
        scale = _power(k)
        q = r + r * (r * _series(r))
        m = scale * q + (scale - one)
        e = scale * q + scale
        far = e < third
        value = (two * e if far else m) / (scale * q + (scale + one))
        put(h, i, _signed(one - value if far else value, x))


@intrinsic
def _nearest(typingctx, x):  # noqa: ARG001
    """The whole number next to x: adding 1.5 * 2^place leaves no bits behind the point."""

    def codegen(context, builder, signature, arguments):  # noqa: ARG001
        shift = context.get_constant(x, _shift(x))
        return builder.fsub(builder.fadd(arguments[0], shift), shift)  # no flags: as they stand

    return x(x), codegen


@intrinsic
def _power(typingctx, k):  # noqa: ARG001
    """2^k of a whole number: k + 1.5 * 2^place has it in its last bits, from where it is moved to the exponent's."""
    bits, place, bias = _LAYOUT[k]

    def codegen(context, builder, signature, arguments):  # noqa: ARG001
        whole = ir.IntType(bits)
        last = builder.bitcast(builder.fadd(arguments[0], context.get_constant(k, _shift(k))), whole)
        return builder.bitcast(builder.add(builder.shl(last, whole(place)), whole(bias << place)), arguments[0].type)

    return k(k), codegen


def _shift(kind):
    return 1.5 * 2 ** _LAYOUT[kind][1]


@intrinsic
def _series(typingctx, r):  # noqa: ARG001
    """(exp(r) - 1) / r = 1 + r / 2! + r^2 / 3! + ..."""

    def codegen(context, builder, signature, arguments):  # noqa: ARG001
        total = context.get_constant(r, 1 / math.factorial(_TERMS[r]))
        for power in range(_TERMS[r] - 1, 1, -1):
            product = builder.fmul(total, arguments[0], flags=("contract",))
            total = builder.fadd(product, context.get_constant(r, 1 / math.factorial(power)), flags=("contract",))
        return total

    return r(r), codegen


@intrinsic
def _signed(typingctx, value, x):  # noqa: ARG001
    """`value` with the sign of x."""

    def codegen(context, builder, signature, arguments):  # noqa: ARG001
        kind = arguments[0].type
        function = builder.module.declare_intrinsic("llvm.copysign", [kind], ir.FunctionType(kind, [kind, kind]))
        return builder.call(function, arguments)

    return value(value, x), codegen
