"""From settings to the compiled loop's arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.core.sections import Adam, AdamW, RmsProp, Sgd
from paribus.core.settings import Settings, steps_in_epoch
from paribus.fused import mlp, optimizers
from paribus.fused.clock import make_clock
from paribus.fused.compiled import entry
from paribus.fused.rows import BATCH, ROW
from paribus.fused.softmax import WORK_ROWS
from paribus.tasks import Task

_WIDE = 2**14
"""A layer of so many weights is multiplied by BLAS."""

_SLICE_FLOPS = 5e8
"""Between two looks at whether to stop: a few hundredths of a second."""

_entries: dict[str, Any] = {}


def use(precision: str, folder: Path | None) -> None:
    """Take the loops of a precision from a folder, where they are compiled to if they are not there."""
    _entries[precision] = {one: entry(getattr(mlp, one), folder) for one in ("train", "evaluate", "logits")}


class Mlp:
    """One run's arrays, and how far it is. `splits`: those that are evaluated, the training split first."""

    def __init__(self, settings: Settings, task: Task, seed: int, splits: Sequence[str]) -> None:
        self._loops = _entries[settings.precision]
        real = np.dtype(settings.precision)
        sizes = [math.prod(task.card.input_shape), *settings.mlp.hidden, task.card.classes]
        self.layout, self._work = _layout(tuple(sizes))
        x, y, bounds, blocks = _examples(task, real, tuple(splits), bool(self.layout[0, mlp.WIDE]))
        n, steps = len(task.train), steps_in_epoch(settings, len(task.train))
        self.run = np.zeros(1, mlp.RUN)
        run = self.run[0]
        batch = min(settings.batch_size, n) if settings.sampler == "shuffle" else settings.batch_size
        counted = settings.sampler == "replacement" and settings.steps_per_epoch != "all"
        facts: dict[str, Any] = {
            "seed": seed, "optimizer": _kind(settings), "repeats": settings.sampler == "replacement", "batch": batch,
            "examples": n, "epoch_examples": steps * batch if counted else n, "steps_per_epoch": steps,
            "total": settings.epochs * steps, "interval": settings.eval_every.in_steps(steps),
            "dropout": settings.mlp.dropout > 0, "drop_below": round(settings.mlp.dropout * 2**32),
            "keep_scale": 1 / (1 - settings.mlp.dropout), "clip": settings.clip or 0.0, "work": self._work,
        }  # fmt: skip
        facts["rates"], rates = _rates(settings, steps)
        for name, value in facts.items():
            run[name] = value
        count = int(self.layout[-1, mlp.BIAS] + self.layout[-1, mlp.N_OUT])
        self.p = _aligned(count, real)
        state = [_aligned(count if used else 0, real) for used in _used(settings)]
        self._s = _aligned(self._work + WORK_ROWS * ROW, real)
        self._wide = _room(self.layout, real)
        exponents = _exponents(real)
        self.rows = np.zeros((facts["total"] // facts["interval"] + 1, mlp.FIRST_METRIC + 2 * (len(bounds) - 1)))
        order = np.zeros(batch if facts["repeats"] else n, np.int64)
        words = np.zeros((4, max(len(order) // 4 + 2, BATCH)), np.uint64)
        self._arrays = (
            self.run, self.layout, _hyper(settings), rates, self.p, _aligned(count, real), *state, self._s, x, y,
            bounds, blocks, order, words, np.zeros((4, 1), np.uint64), self._wide, exponents, self.rows, make_clock(),
        )  # fmt: skip
        self._evaluation = (self._s, x, y, bounds, blocks, self._wide, exponents, self.rows)
        self._slice = max(1, int(_SLICE_FLOPS / (6 * count * batch)))

    def load(self, values: Mapping[str, NDArray[np.floating]]) -> None:
        """Set the parameters, in the order of the model."""
        self.p[:] = np.concatenate([self._kept(name, value).ravel() for name, value in values.items()])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes, in the order of the model."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, row in enumerate(self.layout):
            shapes[f"linears.{i}.weight"] = (int(row[mlp.N_OUT]), int(row[mlp.N_IN]))
            shapes[f"linears.{i}.bias"] = (int(row[mlp.N_OUT]),)
        return shapes

    def weights(self) -> dict[str, NDArray[np.floating]]:
        """Copies of the parameters."""
        found, at = {}, 0
        for name, shape in self.shapes().items():
            kept = self.p[at : at + math.prod(shape)].reshape(self._kept(name, np.empty(shape)).shape)
            found[name] = np.array(self._kept(name, kept), order="C")
            at += math.prod(shape)
        return found

    def _kept(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        """A parameter as it lies in `p`, and back again: the weights of a wide layer are turned."""
        wide = name.endswith("weight") and self.layout[int(name.split(".")[1]), mlp.WIDE]
        return value.T if wide else value

    def advance(self, to_evaluation: bool = False) -> bool:
        """Train for a moment, or until the next evaluation; whether there is more to train."""
        run = self.run[0]
        step, total, interval = int(run["step"]), int(run["total"]), int(run["interval"])
        if total == 0:
            finite = self._loops["evaluate"](self.run, self.layout, self.p, *self._evaluation)
            run["row"], run["ended"] = int(finite), mlp.DONE if finite else mlp.EVALUATION_NOT_FINITE
            return False
        until = step + interval - step % interval if to_evaluation else step + self._slice
        self._loops["train"](*self._arrays, min(until, total))
        return bool(run["ended"] == mlp.RUNNING)

    def logits(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """The logits of each input, shape (inputs, classes)."""
        inputs = np.ascontiguousarray(x.reshape(len(x), -1), dtype=self.p.dtype)
        out = np.zeros((len(x), int(self.layout[-1, mlp.N_OUT])), self.p.dtype)
        self._loops["logits"](self.layout, self.p, self._s, inputs, self._wide, out)
        return out


@lru_cache(maxsize=64)
def _layout(sizes: tuple[int, ...]) -> tuple[NDArray[np.int64], int]:
    """Of each layer what the constants of `mlp.py` name; and where the rows of work begin."""
    layers = list(pairwise(sizes))
    wide = [n_in * n_out >= _WIDE for n_in, n_out in layers]
    # a wide first layer takes its inputs from elsewhere
    begins = np.cumsum([0, 0 if wide[0] else sizes[0], *sizes[1:]]) * ROW
    gradients = begins + begins[-1]
    rows, at = [], 0
    for i, (n_in, n_out) in enumerate(layers):
        places = (begins[i], begins[i + 1], gradients[i], gradients[i + 1])
        rows.append((n_in, n_out, at, at + n_in * n_out, wide[i], *places))
        at += (n_in + 1) * n_out
    return np.array(rows, np.int64), int(2 * begins[-1])


def _aligned(size: int, real: np.dtype[Any]) -> NDArray[Any]:
    """Zeros that begin at a line of the cache: vectors that lie across two lines take a third longer."""
    raw = np.zeros(size * real.itemsize + 64, np.uint8)
    first = -raw.ctypes.data % 64
    return raw[first : first + size * real.itemsize].view(real)


def _room(layout: NDArray[np.int64], real: np.dtype[Any]) -> tuple[NDArray[Any], ...]:
    """For wide layers, BATCH examples: the data, outputs, gradients; weights; the inputs of those after the first."""
    wide = layout[layout[:, mlp.WIDE] == 1]
    n_in, n_out = (int(wide[:, column].max(initial=0)) for column in (mlp.N_IN, mlp.N_OUT))
    weights = int((wide[:, mlp.N_IN] * wide[:, mlp.N_OUT]).max(initial=0))
    return tuple(_aligned(size, real) for size in (n_in * BATCH, n_out * BATCH, n_in * BATCH, weights, n_in * BATCH))


_Examples = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
_held: dict[tuple[str, str, tuple[str, ...], bool], _Examples] = {}


def _examples(task: Task, real: np.dtype[Any], splits: tuple[str, ...], wide: bool) -> _Examples:
    """Some splits, one after another, and where each begins; and for a first layer that is not wide the same as rows,
    BATCH examples of a split at once. The last task's are kept for the runs that follow."""
    global _held
    key = (task.card.fingerprint, real.name, splits, wide)
    found = _held.get(key)
    if found is None:
        parts = [task.splits[name] for name in splits]
        x = np.concatenate([task.floats(part.x, real).reshape(len(part), -1) for part in parts])
        bounds = np.cumsum([0, *map(len, parts)])
        starts = [begin for first, last in pairwise(bounds.tolist()) for begin in range(first, last, BATCH) if not wide]
        ends = [min(begin + BATCH, next(end for end in bounds.tolist() if end > begin)) for begin in starts]
        blocks = _aligned(len(starts) * x.shape[1] * ROW, real)
        for block, (begin, end) in enumerate(zip(starts, ends, strict=True)):
            place = block * x.shape[1] * ROW
            rows = blocks[place : place + x.shape[1] * ROW].reshape(x.shape[1], ROW)
            rows[:, : end - begin] = x[begin:end].T
        found = np.ascontiguousarray(x), np.concatenate([part.y for part in parts]), bounds, blocks
        _held = {key: found}
    return found


def _kind(settings: Settings) -> int:
    names = {"sgd": optimizers.SGD, "adam": optimizers.ADAM, "adamw": optimizers.ADAMW, "rmsprop": optimizers.RMSPROP}
    return names[settings.optimizer.name]


def _hyper(settings: Settings) -> NDArray[np.float64]:
    """See `optimizers.update`."""
    one = settings.optimizer
    match one:
        case Sgd():
            own: tuple[float, ...] = (one.momentum, one.dampening, 0, 0, one.nesterov)
        case Adam() | AdamW():
            own = (one.beta1, one.beta2, one.eps, 0, 0)
        case RmsProp():
            own = (one.alpha, 0, one.eps, one.momentum, one.centered)
        case _:
            raise NotImplementedError(one.name)
    return np.array([one.weight_decay, *own], dtype=np.float64)


def _used(settings: Settings) -> tuple[bool, bool, bool]:
    """Which of the three states of a parameter the optimizer has."""
    one = settings.optimizer
    match one:
        case Sgd():
            return one.momentum != 0, False, False
        case RmsProp():
            return True, one.centered, one.momentum != 0
    return True, True, False


def _rates(settings: Settings, steps: int) -> tuple[int, NDArray[np.float64]]:
    lr = settings.optimizer.lr
    assert lr is not None
    if settings.schedule.kind == "constant":
        return mlp.ONE_RATE, np.array([lr])
    within = settings.schedule.changes_within_epochs()
    factors = _factors(settings.schedule, steps, settings.epochs, within)
    return mlp.RATE_A_STEP if within else mlp.RATE_AN_EPOCH, lr * factors


@lru_cache(maxsize=16)
def _factors(schedule: Any, steps: int, epochs: int, within: bool) -> NDArray[np.float64]:
    firsts = range(0, steps * epochs, 1 if within else steps)
    return np.array([schedule.factor(step, steps, epochs) for step in firsts] or [1.0])


@lru_cache(maxsize=2)
def _constants(real: np.dtype[Any]) -> NDArray[Any]:
    single = real == np.float32
    # ln 2 in few bits, so that k times it is exact, and the rest
    high, low = (
        (0.693359375, -2.12194440054690582e-4) if single else (6.93147180369123816490e-01, 1.90821492927058770002e-10)
    )
    series = [1 / math.factorial(power) for power in range(14)]
    return np.array([-87.0 if single else -708.0, 1 / math.log(2), high, low, 0.5, *series], real)


def _exponents(real: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """What `softmax.exp` needs: room for exponents, as bits and the same memory as numbers, and its constants."""
    single = real == np.float32
    bits = np.zeros(BATCH + 2, np.int32 if single else np.int64)
    bits[BATCH:] = (127, 23) if single else (1023, 52)
    return bits, bits.view(real), _constants(real)
