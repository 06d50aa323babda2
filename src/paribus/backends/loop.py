"""A training loop of the user's own as a backend: it trains as it likes, and says what came of it.

A run is one call of the user's function. Its global generators (PyTorch, NumPy, Python) stand at a state of the plan's;
a loop that takes its batches and initial values from the plan is paired with every other that does.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from paribus.backends.base import Backend, Load
from paribus.config.loops import GIVEN, LOOP, LoopSettings, parameters
from paribus.config.settings import Settings
from paribus.config.user_errors import RAISED, told
from paribus.plan import Plan
from paribus.records.checkpoint import Checkpoint
from paribus.records.record import Evaluation, Outcome, Status
from paribus.records.run import Callback, Run
from paribus.tasks import Task
from paribus.training.isolation import isolated
from paribus.training.randomness import other_states

_PROBED_SECONDS = 5.0
"""A run that took no longer is carried out once more, to see whether a seed fixes its numbers."""

_TAKEN = ("step", "epoch", "train_seconds", "eval_seconds")
_SHAPE = "a loop returns a dict of numbers, as in {'test_mse': 0.1}, or a number, or nothing after run.log(...)"


class LoopError(ValueError):
    """What a user's loop did that no run can be made of, in a sentence."""


class _NotLoadedError(Exception):
    """A loop that left a checkpoint begins without having loaded it."""


@dataclass
class LoopRun:
    """What a loop has to do with its study: the parameter `run`.

    `seed`; `plan`: everything that it fixes; `data`: the task that was given beside the loop, None without; `output`: a
    folder of the run's own, made when it is asked for.

    >>> run = LoopRun(seed=3)
    >>> [batch.tolist() for batch in run.batches(epoch=0, size=2, n=5)]
    [[1, 3], [2, 0], [4]]
    >>> run.initial((2, 3)).shape, run.generator().integers(10, size=2).tolist()
    ((2, 3), [6, 1])
    """

    seed: int
    data: Task | None = None
    _told: Any = field(default=None, repr=False)
    _saves: Any = field(default=None, repr=False)
    _begin: Checkpoint | None = field(default=None, repr=False)
    _output: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.plan = Plan(self.seed)
        self.takes_the_plan = False
        self._tensors, self._rows, self._step, self._epoch, self._recorded = 0, 0, 0, 0.0, 0
        self._held: Evaluation | None = None
        self._last: dict[str, float] = {}
        self._loaded = self._begin is None
        self._began = perf_counter()

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
        `epoch` the step. The last value of each is what the run is judged by, unless the loop returns another."""
        if not self._loaded:
            raise _NotLoadedError
        values = {name: _number(name, value) for name, value in metrics.items()}
        if not values:
            raise LoopError("run.log was given no metric: run.log(epoch=1, val_loss=0.5)")
        at = self._step + 1 if step is None else int(step)
        if at <= self._step:
            raise LoopError(f"run.log(step={at}) comes after step {self._step}: steps go up")
        self._flush()
        self._rows, self._step = self._rows + 1, at
        self._last |= values
        self._epoch = float(at if epoch is None else epoch)
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
            raise _NotLoadedError
        values = _returned(returned)
        self._last |= values
        if not self._last:
            raise LoopError(f"it returned nothing and logged nothing: {_SHAPE}")
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


def _number(name: str, value: Any) -> float:
    if name in _TAKEN or not name.isidentifier():
        raise LoopError(f"{name!r} is no metric's name: it is one word, and none of {', '.join(_TAKEN)}")
    plain = value.item() if hasattr(value, "item") and getattr(value, "size", 1) in (1, value.size) else value
    if isinstance(plain, bool) or not isinstance(plain, Real):
        raise LoopError(f"{name} is {type(value).__name__}, and a metric is a number")
    return float(plain)


def _returned(value: Any) -> dict[str, float]:
    match value:
        case None:
            return {}
        case Mapping():
            return {str(name): _number(str(name), one) for name, one in value.items()}
        case tuple() | list() | str():
            raise LoopError(f"it returned {type(value).__name__}: {_SHAPE}")
    return {"score": _number("score", value)}


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


class LoopBackend(Backend):
    """The user's function, once for each run."""

    name: ClassVar[str] = LOOP
    user_code: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    own_loop: ClassVar[bool] = True

    _without: ClassVar[dict[tuple[str, str], str]] = {}
    """Loops that did not report the metric that is judged: their other runs need not be carried out."""

    _with: ClassVar[set[tuple[str, str]]] = set()
    """Those that did, once."""

    def train(self, runs: Sequence[Run], load: Load, callback: Callback, *, workers: int) -> list[Outcome]:  # noqa: ARG002
        return [self._train_one(run, load(run), callback) for run in runs]

    def estimate(self, settings: Settings, task: Task) -> float:  # noqa: ARG002
        """Nothing is known before it was carried out: nobody asks."""
        return math.nan

    def _train_one(self, run: Run, task: Task, callback: Callback) -> Outcome:
        begin = run.resumes_from()
        while True:
            callback.on_run_begin(run)
            try:
                outcome = self._guarded(run, task, callback, begin)
            except _NotLoadedError:
                begin, why = None, "its loop does not load what it saved: run.load() goes on from there"
                again = Outcome(status=Status.INTERRUPTED, epochs=0, error=why, begins_again=True)
                callback.on_run_end(run, again)
                callback.on_message(f"seed {run.seed}: {why}: begun again")
            else:
                callback.on_run_end(run, outcome)
                return outcome

    def _guarded(self, run: Run, task: Task, callback: Callback, begin: Checkpoint | None) -> Outcome:
        settings = run.user_loop
        missing = (str(settings.loop), run.expected)
        if missing in self._without:
            return Outcome(status=Status.FAILED, epochs=0, error=f"not carried out: {self._without[missing]}")
        process, own = os.getpid(), task if settings.data is not None else None
        watched = _Watched(callback, run)
        loop_run = LoopRun(
            run.seed, own, watched.evaluated, watched.saved if run.checkpoint_seconds else None, begin, run.output
        )
        began = perf_counter()
        try:
            last = self._call(run, loop_run)
        except KeyboardInterrupt:
            _only_in(process)
            callback.on_run_end(run, Outcome(status=Status.INTERRUPTED, epochs=0, error="by Ctrl-C or a signal"))
            raise
        except _NotLoadedError:
            raise
        except LoopError as error:
            return Outcome(status=Status.FAILED, epochs=loop_run.epochs, error=str(error))
        except RAISED as error:
            _only_in(process)
            if watched.failed is error:  # no fault of the run's: whoever watches has to know
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"{told(error)} ({where.filename}:{where.lineno})"
            return Outcome(status=Status.FAILED, epochs=loop_run.epochs, error=reason)
        _only_in(process)
        seconds = perf_counter() - began
        if run.expected in last:
            self._with.add(missing)
        elif run.expected:
            reason = f"it reported {', '.join(last)} and no {run.expected}, which is judged: metric names one of them"
            if missing not in self._with:
                self._without[missing] = reason
            return Outcome(status=Status.FAILED, epochs=loop_run.epochs, error=reason)
        if wrong := {name: value for name, value in last.items() if not math.isfinite(value)}:
            name, value = next(iter(wrong.items()))
            return Outcome(status=Status.DIVERGED, epochs=loop_run.epochs, error=f"{name} is {value}")
        remarks = self._paired(run, own, loop_run, last, seconds) if run.pictures and begin is None else ()
        return Outcome(status=Status.DONE, epochs=loop_run.epochs, remarks=remarks)

    def _call(self, run: Run, loop_run: LoopRun) -> dict[str, float]:
        """Once, with everything that belongs to the process as a new process has it."""
        settings = run.user_loop
        with self.threads(settings.threads):
            mine = settings.with_copies()
            (state,) = Plan(run.seed).generator_states(0, 1)
            with isolated(state):
                before = _states()
                returned = mine.loop.thing(**_arguments(mine, loop_run))
                self._drew = _states() != before
        return loop_run.end(returned)

    def _paired(
        self, run: Run, task: Task | None, loop_run: LoopRun, last: Mapping[str, float], seconds: float
    ) -> tuple[str, ...]:
        """How far runs of one seed belong together, as far as the loop shows it."""
        by = "the plan, from which it takes batches or initial values" if loop_run.takes_the_plan else ""
        if not by and self._drew:
            by = "the global generators, which are set from the seed"
        if not by and getattr(run.user_loop.loop.thing, "elsewhere", False):
            by = "the seed, which the program is given"
        by = by or "the seed alone, which it is given: it draws from neither the plan nor a global generator"
        if seconds > _PROBED_SECONDS:
            return (f"paired by {by}; whether the same seed gives the same numbers was not tried, as a run takes long",)
        try:
            again = self._call(run, LoopRun(run.seed, task, None, None, None, run.output))
        except (*RAISED, _NotLoadedError) as error:
            return (f"carried out once more with the same seed, it fails: {told(error)[:200]}",)
        for name, value in last.items():
            if again.get(name) != value and not (math.isnan(value) and math.isnan(again.get(name, 0.0))):
                return (
                    f"the same seed twice gave {name} {value:.6g} and {again.get(name, math.nan):.6g}: its runs are "
                    "not paired, as something in it is random that the seed does not fix, or depends on the time",
                )
        return (f"paired by {by}; the same seed twice gave the same numbers",)


@dataclass
class _Watched:
    """Tells a callback, and remembers what that raised."""

    callback: Callback
    run: Run
    failed: BaseException | None = None

    def evaluated(self, row: Evaluation) -> None:
        try:
            self.callback.on_evaluation(self.run, row)
        except Exception as error:
            self.failed = error
            raise

    def saved(self, checkpoint: Checkpoint) -> None:
        try:
            self.callback.on_checkpoint(self.run, checkpoint)
        except Exception as error:
            self.failed = error
            raise


def _arguments(settings: LoopSettings, loop_run: LoopRun) -> dict[str, Any]:
    """What the loop is called with. The word none is None where that is the parameter's default."""
    known = parameters(settings.loop)
    given: dict[str, Any] = {
        name: None if value == "none" and known.get(name, "") is None else value for name, value in settings.arguments
    }
    import inspect

    wanted = inspect.signature(settings.loop.thing).parameters
    own = {"run": loop_run, "seed": loop_run.seed}
    return given | {name: own[name] for name in GIVEN if name in wanted}


def _states() -> tuple[Any, ...]:
    torch = sys.modules.get("torch")
    return (*other_states(), None if torch is None else torch.random.get_rng_state().numpy().tobytes())


def _only_in(process: int) -> None:
    """A child that the loop made by a fork has come back from it: it ends here, and records nothing."""
    if os.getpid() != process:
        os._exit(0)
