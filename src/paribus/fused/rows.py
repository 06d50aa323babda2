"""Rows of numbers, one for each unit, an example a place: what the loops read and write.

All rows of a run lie in one flat array, `ROW` apart: with a distance that the compiler knows, it finds out that they do
not overlap by a check or two, and the loops over examples become vector instructions.
"""

from __future__ import annotations

from numba import types
from numba.extending import intrinsic

BATCH = 128
"""Examples in a row. A batch that is larger is taken in parts; what a part needs stays in a core's first caches."""

ROW = 144
"""From a row to the next: not a power of two, or a column's places would all compete for the same cache lines."""

LINE = 16
"""Examples that are moved at once."""


@intrinsic
def get(typingctx, array, place):  # noqa: ARG001
    """array[place], without Python's meaning of a negative place."""

    def codegen(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load(builder.gep(data, [arguments[1]], inbounds=True))

    return array.dtype(array, types.int64), codegen


@intrinsic
def put(typingctx, array, place, value):  # noqa: ARG001
    """array[place] = value."""

    def codegen(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        builder.store(arguments[2], builder.gep(data, [arguments[1]], inbounds=True))
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), codegen
