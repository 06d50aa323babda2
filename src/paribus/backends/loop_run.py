"""What a training loop of the user's own has to do with its study: its seed, its plan, its log, its checkpoints."""

from __future__ import annotations

import hashlib
import io
import json
import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.user_errors import RAISED, told
from paribus.plan import Plan
from paribus.records.checkpoint import Checkpoint
from paribus.records.record import Evaluation
from paribus.tasks import Task

_TAKEN = ("step", "epoch", "train_seconds", "eval_seconds", "arm", "seed", "status", "attempt")
_SHAPE = "a loop returns a dict of numbers, as in {'test_mse': 0.1}, or a number, or nothing after run.log(...)"


class LoopError(ValueError):
    """What a user's loop did that no run can be made of, in a sentence."""


class ReturnedError(LoopError):
    """What a loop returned is nothing to judge it by: no other run of it will be."""


class NotLoadedError(Exception):
    """A loop that left a checkpoint begins without having loaded it, or cannot: then the error says why."""


@dataclass
class LoopRun:
    """What a loop has to do with its study: the parameter `run`.

    `seed`; `plan`: everything that it fixes; `data`: the task that was given beside the loop, None without; `output`: a
    folder of the run's own, made when it is asked for; `threads`: how many its arithmetic is to have.

    >>> run = LoopRun(seed=3)
    >>> [batch.tolist() for batch in run.batches(epoch=0, size=2, n=5)]
    [[4, 0], [2, 3], [1]]
    >>> run.initial((2, 3)).shape, run.generator().integers(10, size=2).tolist()
    ((2, 3), [4, 0])
    """

    seed: int
    data: Task | None = None
    _told: Any = field(default=None, repr=False)
    _saves: Any = field(default=None, repr=False)
    _begin: Checkpoint | None = field(default=None, repr=False)
    _output: Path | None = field(default=None, repr=False)
    threads: int = 1

    def __post_init__(self) -> None:
        self.plan = Plan(self.seed)
        self.takes_the_plan = False
        self._tensors, self._rows, self._step, self._epoch, self._recorded = 0, 0, 0, 0.0, 0
        self._held: Evaluation | None = None
        self._last: dict[str, float] = {}
        self._loaded = self._begin is None
        self._began = perf_counter()
        self._thread, self._over = threading.get_ident(), False

    # --- the plan ---

    def batches(self, epoch: int, *, size: int, n: int | None = None) -> Iterator[NDArray[np.int64]]:
        """The examples of each batch of an epoch, in the plan's order; the last batch may be short. `n`: how many
        examples there are, by default those of `data`."""
        order = self.order(epoch, n)
        for first in range(0, len(order), size):
            yield order[first : first + size]

    def order(self, epoch: int, n: int | None = None) -> NDArray[np.int64]:
        """The order of `n` examples in an epoch, by default of those of `data`: the same in every arm."""
        if n is None:
            if self.data is None:
                raise LoopError("run.batches and run.order need n=, the number of examples, where no data= is given")
            n = len(self.data.train)
        self.takes_the_plan = True
        order: NDArray[np.int64] = self.plan.permutations(epoch, 1, n)[0]
        return order

    def initial(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Standard normal draws for the next tensor: multiply them with the deviation that is wanted. Every arm that
        asks for its tensors in the same order gets the same, a wider layer those of a narrower one and more."""
        self.takes_the_plan = True
        self._tensors += 1
        return self.plan.normals(self._tensors - 1, shape)

    def generator(self, name: str = "") -> np.random.Generator:
        """A generator of NumPy's that the seed fixes, another one for each name."""
        self.takes_the_plan = True
        digest = hashlib.sha256(f"{self.seed} {name}".encode()).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))

    # --- what comes of it ---

    def log(self, *, epoch: float | None = None, step: int | None = None, **metrics: Any) -> None:
        """Numbers at a point of the run, as often as wanted: a curve. `step` is by default how often it was logged, and
        `epoch` the step; other numbers at the same step belong to the same point. The last value of each is what the
        run is judged by, unless the loop returns another."""
        self._must_go_on("log")
        if not self._loaded:
            raise NotLoadedError
        values = dict(_number(name, value) for name, value in metrics.items())
        if not values:
            raise LoopError("run.log was given no metric: run.log(epoch=1, val_loss=0.5)")
        at = self._step + 1 if step is None else int(step)
        if at < self._step:
            raise LoopError(f"run.log(step={at}) comes after step {self._step}: steps go up")
        if self._held is not None and at == self._step:  # libraries log training and validation by turns
            if again := sorted(values.keys() & self._held.metrics.keys()):
                raise LoopError(f"run.log(step={at}, {again[0]}=...) comes after step {at} of {again[0]}: steps go up")
            values = {**self._held.metrics, **values}
        else:
            self._flush()
            self._rows, self._step = self._rows + 1, at
        self._last |= values
        self._epoch = float(at if epoch is None else epoch)
        if not math.isfinite(self._epoch):
            raise LoopError(f"run.log(epoch={epoch}) is not allowed: an epoch is a finite number")
        self._held = Evaluation(
            step=at,
            epoch=self._epoch,
            train_seconds=self._seconds(),
            eval_seconds=0.0,
            metrics=values,
        )

    def save(self, state: Any) -> None:
        """Keep where the run stands, to go on from there after an interruption: tensors, arrays, numbers, text, and
        lists and dicts of these. It is written at once, in place of the one before."""
        self._must_go_on("save")
        if self._saves is None:
            return
        held = None if self._held is None else asdict(self._held)
        facts = {"rows": self._rows, "last": self._last, "step": self._step, "epoch": self._epoch, "held": held}
        self._saves(
            Checkpoint(
                step=self._recorded,
                train_seconds=self._seconds(),
                eval_seconds=0.0,
                learner=_packed(state),
                probes=json.dumps(facts).encode(),
            )
        )

    def load(self) -> Any:
        """What `save` kept of this run before it was interrupted; None where it begins."""
        self._loaded = True
        if self._begin is None:
            return None
        facts = json.loads(self._begin.probes)
        self._rows, self._last, self._step = int(facts["rows"]), dict(facts["last"]), int(facts["step"])
        self._recorded, self._epoch = self._begin.step, float(facts["epoch"])
        self._held = None if facts["held"] is None else Evaluation(**facts["held"])
        return _unpacked(self._begin.learner)

    @property
    def output(self) -> Path:
        """A folder of this run's own, in the study's folder."""
        if self._output is None:
            raise LoopError("run.output is there only in a study")
        self._output.mkdir(parents=True, exist_ok=True)
        return self._output

    # --- for the backend ---

    def end(self, returned: Any) -> dict[str, float]:
        """The last value of every metric, those that were returned among them."""
        if not self._loaded:
            raise NotLoadedError
        values = _returned(returned)
        self._last |= values
        if not self._last:
            raise ReturnedError(f"it returned nothing and logged nothing: {_SHAPE}")
        if self._held is None:
            self._rows, self._step = self._rows + 1, self._step + 1
            self._held = Evaluation(
                step=self._step, epoch=self._epoch or 1.0, train_seconds=self._seconds(), eval_seconds=0.0, metrics={}
            )
        held = self._held
        self._held = Evaluation(
            step=held.step,
            epoch=held.epoch,
            train_seconds=self._seconds(),
            eval_seconds=0.0,
            metrics=self._last,
        )
        self._flush()
        return self._last

    @property
    def epochs(self) -> int:
        """How often it was logged."""
        return self._rows

    def over(self) -> None:
        """The loop has returned: what a thread of it reports now belongs to no run."""
        self._over = True

    def _must_go_on(self, what: str) -> None:
        if self._over:
            raise LoopError(f"run.{what} was called when the loop had returned, by something that it left behind")
        if threading.get_ident() != self._thread:
            raise LoopError(f"run.{what} is called from another thread: call it from the one that the loop runs in")

    def _seconds(self) -> float:
        before = self._begin.train_seconds if self._begin is not None else 0.0
        return before + perf_counter() - self._began

    def _flush(self) -> None:
        """The row that was held back, as the last one gets what the loop returns."""
        if self._held is not None:
            self._recorded = self._held.step
            if self._told is not None:
                self._told(self._held)
        self._held = None


def _number(name: str, value: Any) -> tuple[str, float]:
    """A metric and its value. `val/loss`, as some write it, is recorded as val_loss."""
    called = name.replace("/", "_")
    if called in _TAKEN or not called.isidentifier():
        raise LoopError(f"{name!r} is no metric's name: it is one word, and none of {', '.join(_TAKEN)}")
    plain = value
    if hasattr(value, "shape"):
        if math.prod(value.shape) != 1:
            raise LoopError(f"{name} has the shape {tuple(value.shape)}, and a metric is one number")
        plain = value.item()
    if isinstance(plain, bool) or not isinstance(plain, Real):
        raise LoopError(f"{name} is {type(value).__name__}, and a metric is a number")
    return called, float(plain)


def _returned(value: Any) -> dict[str, float]:
    match value:
        case None:
            return {}
        case Mapping():
            return dict(_number(str(name), one) for name, one in value.items())
        case tuple() | list() | str():
            raise ReturnedError(f"it returned {type(value).__name__}: {_SHAPE}")
    return dict([_number("score", value)])


def _packed(state: Any) -> bytes:
    """As PyTorch writes state dicts: what it reads back without running anything that stands in the file."""
    import torch

    content = io.BytesIO()
    try:
        torch.save(state, content)
        _unpacked(content.getvalue())
    except RAISED as error:
        raise LoopError(
            "run.save was given what cannot be kept: give tensors, arrays, numbers, text, and lists and dicts of these "
            f"({told(error)[:120]})"
        ) from None
    return content.getvalue()


def _unpacked(content: bytes) -> Any:
    import torch

    numpy_names = [np._core.multiarray._reconstruct, np.ndarray, np.dtype]  # type: ignore[attr-defined]
    dtypes = [type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdU"]
    with torch.serialization.safe_globals([*numpy_names, *dtypes, np._core.multiarray.scalar]):  # type: ignore[attr-defined]
        return torch.load(io.BytesIO(content), weights_only=True)
