"""One run's arrays, and how far it is: what every engine is, and that of the multilayer perceptron."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from paribus.config.optimizers import hidden_matrices
from paribus.config.settings import Settings
from paribus.fused import layout, mlp, steps
from paribus.fused.clock import make_clock
from paribus.fused.compiled import entry
from paribus.fused.loop_config import LoopConfig
from paribus.fused.network import Network
from paribus.fused.optimizers import States
from paribus.fused.rows import BATCH, LINE, ROW
from paribus.fused.softmax import WORK_ROWS
from paribus.tasks import Task
from paribus.tasks.task import Inputs

_WIDE = 2**14
"""A layer of so many weights is multiplied by BLAS."""

_SLICE_FLOPS = 5e8
"""Between two looks at whether to stop: a few hundredths of a second."""

_entries: dict[tuple[str, str], dict[str, Any]] = {}


class Engine(ABC):
    """One run's arrays, and how far it is.

    `run`: see `steps.RUN`; `rows`: its evaluations, see the columns there; `p`: its parameters, one after another.
    """

    model: ClassVar[str]
    loops: ClassVar[ModuleType]

    @classmethod
    def use(cls, precision: str, folder: Path | None) -> None:
        """Take the loops for a precision from a folder, where they are compiled to if they are not there."""
        names = ("train", "evaluate", "logits")
        _entries[cls.model, precision] = {one: entry(getattr(cls.loops, one), folder) for one in names}

    @classmethod
    def compiled_here(cls, precision: str) -> list[str]:
        """Which of the loops were compiled in this process, and not taken from a folder."""
        return [name for name, one in _entries[cls.model, precision].items() if one.stats.cache_misses]

    def _begin(self, loop: LoopConfig, shapes: Mapping[str, tuple[int, ...]], splits: int, step_flops: float) -> None:
        """Arrays for a loop, and for as many splits as are evaluated."""
        self._loops = _entries[self.model, loop.precision]
        self._shapes = dict(shapes)
        real, facts = np.dtype(loop.precision), loop.facts
        self.run = np.zeros(1, steps.RUN)
        for name, value in facts.items():
            self.run[0][name] = value
        count = sum(map(math.prod, self._shapes.values()))
        self.p, g = aligned(count, real), aligned(count, real)
        self.rows = np.zeros((facts["total"] // facts["interval"] + 1, steps.FIRST_METRIC + steps.MEASURED * splits))
        order = np.zeros(facts["batch"] if facts["repeats"] else facts["examples"], np.int64)
        words = np.zeros((4, max(len(order) // 4 + 2, BATCH)), np.uint64)
        lies = {name: self._turned(name, np.empty(shape)).shape for name, shape in self._shapes.items()}
        states = states_of(loop, self._shapes, lies)
        self._rates, lrs = loop.rates, loop.rates.copy()
        self._moved = (loop.hyper, lrs, self.p, g, states)
        self._drawn = (order, words, np.zeros((4, 1), np.uint64))
        self._exponents = _exponents(real)
        self._clock = make_clock()
        self._slice = max(1, int(_SLICE_FLOPS / step_flops))

    def scale_lr(self, factor: float) -> None:
        """The learning rates of the steps that follow: those of the schedule times this."""
        self._moved[1][:] = self._rates * factor

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes, in the order of the model."""
        return dict(self._shapes)

    def load(self, values: Mapping[str, NDArray[np.floating]]) -> None:
        """Set the parameters, in the order of the model."""
        self.p[:] = np.concatenate([self._turned(name, value).ravel() for name, value in values.items()])

    def weights(self) -> dict[str, NDArray[np.floating]]:
        """Copies of the parameters."""
        return self._named(self.p)

    def gradients(self) -> dict[str, NDArray[np.floating]]:
        """Copies of the parameters' gradients in the last step, as clipping, penalties and the optimizer left them."""
        return self._named(self._moved[3])

    def _named(self, flat: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
        found, at = {}, 0
        for name, shape in self._shapes.items():
            kept = flat[at : at + math.prod(shape)].reshape(self._turned(name, np.empty(shape)).shape)
            found[name] = np.array(self._turned(name, kept), order="C")
            at += math.prod(shape)
        return found

    def step(self) -> None:
        """Train for one step."""
        self._train(int(self.run[0]["step"]) + 1)

    def advance(self, to_evaluation: bool = False) -> bool:
        """Train for a moment, or until the next evaluation if that is nearer; whether there is more to train."""
        run = self.run[0]
        step, total, interval = int(run["step"]), int(run["total"]), int(run["interval"])
        if total == 0:
            finite = self._evaluate()
            if run["halt"]:
                return True
            run["row"], run["ended"] = int(finite), steps.DONE if finite else steps.EVALUATION_NOT_FINITE
            return False
        nearest = step + interval - step % interval if to_evaluation else total
        self._train(min(step + self._slice, nearest, total))
        return bool(run["ended"] == steps.RUNNING)

    def halt(self) -> None:
        """Have it stop as soon as it can, from another thread; `advance` then returns, and there is no going on."""
        self.run[0]["halt"] = 1

    def meters(self, row: int) -> dict[str, float]:
        """What clipping did since the evaluation before: the mean norm of the gradient before it, and the share of the
        steps whose gradient it changed; nothing without clipping."""
        if not self.run[0]["clip"]:
            return {}
        norm, share = self.rows[row, [steps.GRADIENT_NORM, steps.CLIPPED_SHARE]].tolist()
        return {"gradient_norm": norm, "clipped_share": share}

    @abstractmethod
    def __init__(self, settings: Settings, task: Task, seed: int, splits: Sequence[str]) -> None:
        """`splits`: those that are evaluated, the training split first."""

    @abstractmethod
    def logits(self, x: Inputs) -> NDArray[np.floating]:
        """The logits of inputs of the task, as its splits have them; shape (inputs, classes)."""

    @abstractmethod
    def _train(self, until: int) -> None: ...

    @abstractmethod
    def _evaluate(self) -> bool: ...

    @abstractmethod
    def _turned(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        """A parameter as it lies in `p`, and back again: some weights are turned."""


class Mlp(Engine):
    """The multilayer perceptron."""

    model: ClassVar = "mlp"
    loops: ClassVar = mlp
    targets: ClassVar[np.dtype[Any]] = np.dtype(np.int64)
    """Their type: classes, or in another engine numbers too."""

    def __init__(
        self, settings: Settings, task: Task, seed: int, splits: Sequence[str], network: Network | None = None
    ) -> None:
        """`network`: what it consists of; None for what the settings say."""
        real, loop = np.dtype(settings.precision), LoopConfig.of(settings, seed, len(task.train))
        if network is None:
            network = Network.of(settings.mlp, task.floats(task.train.x[:1], real).size, task.outputs)
        self.layout, work = self._laid_out(network)
        x, y, bounds, blocks = _examples(task, (real, self.targets), tuple(splits), bool(self.layout[0, layout.WIDE]))
        count = int(self.layout[-1, layout.BIAS] + self.layout[-1, layout.N_OUT])
        self._begin(loop, self._shapes_of(network), len(bounds) - 1, 6 * count * loop.facts["batch"])
        run, dropout = self.run[0], network.dropout
        run["dropout"], run["drop_below"], run["keep_scale"] = dropout > 0, round(dropout * 2**32), 1 / (1 - dropout)
        run["work"] = work
        self._s = aligned(work + WORK_ROWS * ROW, real)
        self._wide = _room(self.layout, real)
        self._data = (self._s, x, y, bounds, blocks)
        self._task = task

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        """The logits of inputs of the task, as its splits have them; shape (inputs, classes)."""
        numbers = np.ascontiguousarray(self._task.floats(x, self.p.dtype).reshape(len(x), -1))
        out = np.zeros((len(x), int(self.layout[-1, layout.N_OUT])), self.p.dtype)
        self._into(numbers, out)
        return out

    def _laid_out(self, network: Network) -> tuple[NDArray[np.int64], int]:
        """Of each layer what `layout.py` names; and where the rows of work begin."""
        return laid_out(network.sizes)

    def _shapes_of(self, network: Network) -> dict[str, tuple[int, ...]]:
        return linear_shapes(network.sizes)

    def _into(self, x: NDArray[Any], out: NDArray[Any]) -> None:
        """The logits of inputs (n, features)."""
        self._loops["logits"](self.layout, self.p, self._s, x, self._wide, out)

    def _train(self, until: int) -> None:
        self._loops["train"](
            self.run, self.layout, *self._moved, *self._data, *self._drawn, self._wide, self._exponents, self.rows,
            self._clock, until,
        )  # fmt: skip

    def _evaluate(self) -> bool:
        return bool(
            self._loops["evaluate"](self.run, self.layout, self.p, *self._data, self._wide, self._exponents, self.rows)
        )

    def _turned(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        wide = name.endswith("weight") and self.layout[int(name.split(".")[1]), layout.WIDE]
        return value.T if wide else value


def linear_shapes(sizes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The linear layers' parameters, by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        shapes[f"linears.{i}.weight"] = (n_out, n_in)
        shapes[f"linears.{i}.bias"] = (n_out,)
    return shapes


@lru_cache(maxsize=64)
def laid_out(sizes: tuple[int, ...]) -> tuple[NDArray[np.int64], int]:
    """Of each linear layer what `layout.py` names; and where the rows of work begin."""
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


def _room(rows: NDArray[np.int64], real: np.dtype[Any]) -> tuple[NDArray[Any], ...]:
    """For wide layers, BATCH examples: the data, outputs, gradients; weights; the inputs of those after the first."""
    wide = rows[rows[:, layout.WIDE] == 1]
    n_in, n_out = (int(wide[:, column].max(initial=0)) for column in (layout.N_IN, layout.N_OUT))
    weights = int((wide[:, layout.N_IN] * wide[:, layout.N_OUT]).max(initial=0))
    return tuple(aligned(size, real) for size in (n_in * BATCH, n_out * BATCH, n_in * BATCH, weights, n_in * BATCH))


_Examples = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def _examples(task: Task, types: tuple[np.dtype[Any], np.dtype[Any]], splits: tuple[str, ...], wide: bool) -> _Examples:
    """Some splits, one after another, and where each begins; and for a first layer that is not wide the same as rows,
    BATCH examples of a split at once. `types`: of the inputs and of the targets."""
    real, targets = types

    def made() -> _Examples:
        parts = [task.splits[name] for name in splits]
        x = np.concatenate([task.floats(part.x, real).reshape(len(part), -1) for part in parts])
        bounds = np.cumsum([0, *map(len, parts)])
        starts = [begin for first, last in pairwise(bounds.tolist()) for begin in range(first, last, BATCH) if not wide]
        ends = [min(begin + BATCH, next(end for end in bounds.tolist() if end > begin)) for begin in starts]
        blocks = aligned(len(starts) * x.shape[1] * ROW, real)
        for block, (begin, end) in enumerate(zip(starts, ends, strict=True)):
            place = block * x.shape[1] * ROW
            rows = blocks[place : place + x.shape[1] * ROW].reshape(x.shape[1], ROW)
            rows[:, : end - begin] = x[begin:end].T
        y = np.concatenate([task.targets(part.y, targets) for part in parts]).astype(targets, copy=False)
        return np.ascontiguousarray(x), y, bounds, blocks

    return held(("mlp", *identity(task), real.name, targets.name, splits, wide), made)


def states_of(loop: LoopConfig, shapes: Mapping[str, tuple[int, ...]], lies: Mapping[str, tuple[int, ...]]) -> States:
    """What the optimizer of a loop keeps, and its room. `lies`: the shapes as the parameters lie, some turned."""
    real, at, matrices = np.dtype(loop.precision), 0, []
    for (name, shape), matrix in zip(shapes.items(), hidden_matrices(list(shapes.values())), strict=True):
        if matrix and loop.matrices:
            matrices.append((at, *lies[name], int(lies[name] != shape)))
        at += math.prod(shape)
    stride = -(-at // LINE) * LINE  # each begins at a line of the cache
    places = [stride * sum(loop.states[:i]) if used else -1 for i, used in enumerate(loop.states)]
    room = stride * sum(loop.states)
    needed = max((2 * rows * columns + 2 * min(rows, columns) ** 2 for _, rows, columns, _ in matrices), default=0)
    kept = aligned(room + needed, real)
    s1, s2, s3 = places
    return States(kept, (s1, s2, s3, room), np.zeros(1), np.array(matrices, np.int64).reshape(-1, 4))


_Made = TypeVar("_Made")
_held: dict[tuple[Any, ...], Any] = {}


def held(key: tuple[Any, ...], make: Callable[[], _Made]) -> _Made:
    """What is made for a key. The last one's is kept, for the runs that follow on the same data."""
    global _held
    found = _held.get(key)
    if found is None:
        found = make()
        _held = {key: found}
    made: _Made = found
    return made


def identity(task: Task) -> tuple[Any, ...]:
    """What makes its numbers others than all other tasks': the data, and how they are scaled or encoded."""
    scale = task.scale
    return task.info.fingerprint, task.encoding, scale and (scale.mean.tobytes(), scale.std.tobytes())


def aligned(size: int, real: np.dtype[Any]) -> NDArray[Any]:
    """Zeros that begin at a line of the cache: vectors that lie across two lines take a third longer."""
    raw = np.zeros(size * real.itemsize + 64, np.uint8)
    first = -raw.ctypes.data % 64
    return raw[first : first + size * real.itemsize].view(real)


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
