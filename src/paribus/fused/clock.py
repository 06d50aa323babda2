"""The machine's steady clock inside compiled loops."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from paribus.fused.compiled import compiled


@lru_cache(maxsize=1)
def _address() -> tuple[int, int, int]:
    """The address of the system's clock, what to ask it for, and its units in a second. An address is passed to the
    loops as a number, as it differs from process to process and compiled code is kept."""
    if sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        frequency = ctypes.c_int64()
        kernel.QueryPerformanceFrequency(ctypes.byref(frequency))
        return ctypes.cast(kernel.QueryPerformanceCounter, ctypes.c_void_p).value or 0, -1, frequency.value
    clock = ctypes.CDLL(None).clock_gettime
    return ctypes.cast(clock, ctypes.c_void_p).value or 0, 6 if sys.platform == "darwin" else 1, 10**9


@intrinsic
def _ask(typingctx, address, which, place):  # noqa: ARG001
    """clock_gettime(which, place), or QueryPerformanceCounter(place) where `which` is negative."""

    def codegen(context, builder, signature, arguments):  # noqa: ARG001
        i32, i64 = ir.IntType(32), ir.IntType(64)
        target, clock, where = arguments
        windows = _address()[1] < 0
        kind = ir.FunctionType(i32, [i64] if windows else [i32, i64])
        function = builder.inttoptr(target, kind.as_pointer())
        passed = [where] if windows else [builder.trunc(clock, i32), where]
        return builder.sext(builder.call(function, passed), i64)

    return types.int64(types.int64, types.int64, types.int64), codegen


@compiled
def seconds(clock):
    """Seconds since some beginning. `clock`: what `make_clock` makes."""
    address, which, units = clock[0], clock[1], clock[2]
    place = clock[3:]
    _ask(address, which, place.ctypes.data)
    if which < 0:
        return place[0] / units
    return place[0] + place[1] / units


def make_clock() -> NDArray[np.int64]:
    """The clock's address, which one, its units in a second, and room for two answers; one for each thread."""
    return np.array([*_address(), 0, 0], np.int64)
