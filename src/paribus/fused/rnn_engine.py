"""One run of the recurrent network: its arrays, and how far it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from paribus.config.models import Rnn as RnnConfig
from paribus.config.settings import Settings
from paribus.fused import rnn
from paribus.fused.engine import Engine, aligned, held, identity
from paribus.fused.loop_config import LoopConfig
from paribus.fused.rnn import Data, Room
from paribus.fused.rows import BATCH, ROW
from paribus.fused.softmax import WORK_ROWS
from paribus.tasks import Task
from paribus.tasks.task import Inputs

_UNPACKED = 10**6
"""Products m k n of so many multiplications OpenBLAS makes without packing the matrices first, a fifth faster."""

_FEWEST = 32
"""Rows of a product that must fit in there: BLAS elsewhere packs, and packing for fewer rows does not pay."""

_PACKED = 1024
"""Rows of one product for the gradient of W_hh, where they do not fit."""

_MOST = 4096
"""Rows of it that are kept, at most."""


class Rnn(Engine):
    """The recurrent network of `byhand.rnn`."""

    model: ClassVar = "rnn"
    loops: ClassVar = rnn

    def __init__(self, settings: Settings, task: Task, seed: int, splits: Sequence[str]) -> None:
        assert isinstance(settings.model, RnnConfig)
        loop = LoopConfig.of(settings, seed, len(task.train))
        data = _data(task, np.dtype(settings.precision), tuple(splits))
        self._set_up(loop, data, settings.model.hidden, task.info.classes)

    @classmethod
    def over(cls, loop: LoopConfig, data: Data, hidden: int, classes: int) -> Rnn:
        """A run over plain arrays."""
        one = cls.__new__(cls)
        one._set_up(loop, data, hidden, classes)
        return one

    def _set_up(self, loop: LoopConfig, data: Data, hidden: int, classes: int) -> None:
        real, batch = np.dtype(loop.precision), loop.facts["batch"]
        inputs = data.alphabet.shape[1] if len(data.alphabet) else data.numbers.shape[2]
        length = data.symbols.shape[1] if len(data.alphabet) else data.numbers.shape[1]
        self._sizes = _sizes(length, inputs, hidden, classes, len(data.alphabet), batch)
        flops = 6.0 * batch * (length * hidden * (hidden + inputs) + hidden * classes)
        self._begin(loop, _shapes(inputs, hidden, classes), len(data.bounds) - 1, flops)
        self.run[0]["work"] = 2 * classes * ROW
        self._s = aligned((2 * classes + WORK_ROWS) * ROW, real)
        self._data, self._room = data, _room(self._sizes[0], real)

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        """The logits of symbols (n, T) or numbers, as the run's are; shape (n, classes)."""
        size, data = self._sizes[0], self._data
        if len(data.alphabet):
            data = data._replace(symbols=_known(x, data.alphabet))
        else:
            data = data._replace(numbers=np.ascontiguousarray(x.reshape(len(x), int(size["length"]), -1), self.p.dtype))
        out = np.zeros((len(x), int(size["classes"])), self.p.dtype)
        self._loops["logits"](self._sizes, self.p, self._s, data, self._room, self._exponents, out)
        return out

    def _train(self, until: int) -> None:
        self._loops["train"](
            self.run, self._sizes, *self._moved, self._s, self._data, *self._drawn, self._room, self._exponents,
            self.rows, self._clock, until,
        )  # fmt: skip

    def _evaluate(self) -> bool:
        return bool(
            self._loops["evaluate"](
                self.run, self._sizes, self.p, self._s, self._data, self._room, self._exponents, self.rows
            )
        )

    def _turned(self, name: str, value: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG002
        return value.T


def _shapes(inputs: int, hidden: int, classes: int) -> dict[str, tuple[int, ...]]:
    return {
        "w_hx": (hidden, inputs), "w_hh": (hidden, hidden), "b_h": (hidden,), "w_ph": (classes, hidden),
        "b_o": (classes,),
    }  # fmt: skip


def _sizes(length: int, inputs: int, hidden: int, classes: int, symbols: int, batch: int) -> NDArray[Any]:
    """See `rnn.SIZES`: parts of a batch are as even as can be."""
    unpacked = _UNPACKED // hidden**2
    small = unpacked >= _FEWEST
    block = min(BATCH, unpacked) if small else BATCH
    part = -(-batch // -(-batch // block))
    times = max(1, min(length, (min(unpacked, _MOST) if small else _PACKED) // part))
    begins = np.cumsum([0, *map(math.prod, _shapes(inputs, hidden, classes).values())])[:-1]
    sizes = np.zeros(1, rnn.SIZES)
    sizes[0] = (length, inputs, hidden, classes, symbols, part, block, times, *begins)
    return sizes


def _room(size: Any, real: np.dtype[Any]) -> Room:
    length, inputs, hidden, classes, symbols, part, block, times = size.tolist()[:8]
    rows = symbols or max(part, block)
    counts = {
        "h": max(length * part, 2 * block) * hidden, "dz": times * part * hidden, "dh": part * hidden,
        "w_hh": hidden**2, "table": rows * hidden, "dtable": symbols * hidden, "inputs": rows * inputs,
        "product": max(hidden, classes, inputs) * hidden, "out": max(part, block) * classes,
    }  # fmt: skip
    return Room(**{name: aligned(count, real) for name, count in counts.items()}, which=np.zeros(block, np.int64))


def _data(task: Task, real: np.dtype[Any], splits: tuple[str, ...]) -> Data:
    """Some splits of a task. The last task's are kept for the runs that follow."""

    def made() -> Data:
        parts = [task.splits[name] for name in splits]
        bounds = np.cumsum([0, *map(len, parts)])
        y = np.concatenate([part.y for part in parts])
        if task.encoding is None:
            numbers = np.concatenate([_sequences(task, part.x, real) for part in parts])
            return Data(np.zeros((0, 0), np.uint8), np.zeros((0, 0), real), numbers, y, bounds)
        # what each digit stands for
        alphabet = np.ascontiguousarray(task.floats(np.arange(10, dtype=np.uint8)[:, None], real)[:, 0])
        digits = _known(np.concatenate([part.x for part in parts]), alphabet)
        return Data(digits, alphabet, np.zeros((0, 0, 0), real), y, bounds)

    return held(("rnn", *identity(task), real.name, splits), made)


def _known(x: Inputs, alphabet: NDArray[Any]) -> NDArray[np.uint8]:
    """Symbols, of which the loops take the row of a table without looking."""
    symbols = np.ascontiguousarray(x, dtype=np.uint8)
    if symbols.max(initial=0) >= len(alphabet):
        raise ValueError(f"symbol {symbols.max()} is not allowed: there are {len(alphabet)}, from 0 on")
    return symbols


def _sequences(task: Task, x: Inputs, real: np.dtype[Any]) -> NDArray[Any]:
    """Numbers (examples, T, inputs)."""
    assert task.sequence is not None
    return np.ascontiguousarray(task.floats(x, real).reshape(len(x), *task.sequence))
