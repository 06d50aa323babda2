"""A training loop of the user's own as a backend: it trains as it likes, and says what came of it.

A run is one call of the user's function. Its global generators (PyTorch, NumPy, Python) stand at a state of the plan's;
a loop that takes its batches and initial values from the plan is paired with every other that does.
"""

from __future__ import annotations

import inspect
import math
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

from paribus.backends.base import Backend, Load
from paribus.backends.loop_run import LoopError, LoopRun, NotLoadedError, ReturnedError
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

_MOST_SAID = 300
_PROBED_SECONDS = 5.0
"""A run that took no longer is carried out once more, to see whether a seed fixes its numbers."""


class LoopBackend(Backend):
    """The user's function, once for each run."""

    name: ClassVar[str] = LOOP
    resumable: ClassVar[bool] = True
    own_loop: ClassVar[bool] = True
    by_name: ClassVar[bool] = False

    _without: ClassVar[dict[tuple[str, str, str], str]] = {}
    """Loops that did not report the metric that is judged: their other runs need not be carried out."""

    _with: ClassVar[set[tuple[str, str, str]]] = set()
    """Those that did, once."""

    def train(self, runs: Sequence[Run], load: Load, callback: Callback, *, workers: int) -> list[Outcome]:  # noqa: ARG002
        if multiprocessing.parent_process() is None:  # a worker is of one study alone
            self._without.clear()
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
            except NotLoadedError as error:
                begin, why = None, str(error) or "its loop does not load what it saved: run.load() goes on from there"
                again = Outcome(status=Status.INTERRUPTED, epochs=0, error=why, begins_again=True)
                callback.on_run_end(run, again)
                callback.on_message(f"seed {run.seed}: {why}: begun again")
            else:
                callback.on_run_end(run, outcome)
                return outcome

    def _guarded(self, run: Run, task: Task, callback: Callback, begin: Checkpoint | None) -> Outcome:
        settings = run.user_loop
        # a worker of a cluster is of many studies: each has a folder of its own
        study = "" if run.output is None else str(run.output.parents[1])
        missing = (str(settings.loop), run.expected, study)
        if missing in self._without:
            return Outcome(status=Status.FAILED, epochs=0, error=f"not carried out: {self._without[missing]}")
        own = task if settings.data is not None else None
        watched = _Watched(callback, run)
        loop_run = LoopRun(
            run.seed,
            own,
            watched.evaluated,
            watched.saved if run.checkpoint_seconds else None,
            begin,
            run.output,
            threads=settings.threads,
        )
        began = perf_counter()
        try:
            last = self._call(run, loop_run)
        except (KeyboardInterrupt, SystemExit) as error:
            if isinstance(error, SystemExit) and not isinstance(error.__context__, KeyboardInterrupt):
                return self._raised(error, loop_run)
            # Lightning answers Ctrl-C by sys.exit(1): it would be a run that failed, and the next would begin
            callback.on_run_end(run, Outcome(status=Status.INTERRUPTED, epochs=0, error="by Ctrl-C or a signal"))
            raise KeyboardInterrupt from None
        except NotLoadedError:
            raise
        except LoopError as error:
            if isinstance(error, ReturnedError) and missing not in self._with:
                self._without[missing] = str(error)
            return Outcome(status=Status.FAILED, epochs=loop_run.epochs, error=str(error))
        except BaseException as error:  # a class of the user's own may be no Exception
            if watched.failed is error:  # no fault of the run's: whoever watches has to know
                raise
            return self._raised(error, loop_run)
        seconds = perf_counter() - began
        if run.expected in last:
            self._with.add(missing)
        elif run.expected:
            reason = f"it reported {', '.join(last)} and no {run.expected}, which is judged: metric names one of them"
            if missing not in self._with:
                self._without[missing] = reason
            return Outcome(status=Status.FAILED, epochs=loop_run.epochs, error=reason)
        if not math.isfinite(value := last.get(run.expected, 0.0)):  # of another metric that is a missing value
            return Outcome(status=Status.DIVERGED, epochs=loop_run.epochs, error=f"{run.expected} is {value}")
        remarks = self._paired(run, own, loop_run, last, seconds) if run.pictures and begin is None else ()
        return Outcome(status=Status.DONE, epochs=loop_run.epochs, remarks=remarks)

    def _raised(self, error: BaseException, loop_run: LoopRun) -> Outcome:
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{_shortened(told(error))} ({where.filename}:{where.lineno})"
        return Outcome(status=Status.FAILED, epochs=loop_run.epochs, error=reason)

    def _call(self, run: Run, loop_run: LoopRun) -> dict[str, float]:
        """Once, with everything that belongs to the process as a new process has it."""
        settings = run.user_loop
        process = os.getpid()
        with self.threads(settings.threads):
            mine = settings.with_copies()
            (state,) = Plan(run.seed).generator_states(0, 1)
            with isolated(state), _signals(), _torch_threads(settings.threads):
                before = _states()
                try:
                    returned = mine.loop.thing(**_arguments(mine, loop_run))
                finally:
                    _only_in(process)
                    loop_run.over()
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
        folder = None if run.output is None else run.output.with_name(f"{run.output.name}-again")
        try:
            again = self._call(run, LoopRun(run.seed, task, None, None, None, folder, threads=run.user_loop.threads))
        except (*RAISED, NotLoadedError) as error:
            return (f"carried out once more with the same seed, it fails: {_shortened(told(error))}",)
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
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
    wanted = inspect.signature(settings.loop.thing).parameters
    own = {"run": loop_run, "seed": loop_run.seed}
    return given | {name: own[name] for name in GIVEN if name in wanted}


def _states() -> tuple[Any, ...]:
    torch = sys.modules.get("torch")
    return (*other_states(), None if torch is None else torch.random.get_rng_state().numpy().tobytes())


@contextmanager
def _signals() -> Iterator[None]:
    """How the signals that end a study are answered, as it was: Lightning ignores Ctrl-C from the first one on."""
    if threading.current_thread() is not threading.main_thread():  # only it may set that
        yield
        return
    ending = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {one: how for one in ending if (how := signal.getsignal(one)) is not None}  # None: set outside of Python
    try:
        yield
    finally:
        for one, how in before.items():
            if signal.getsignal(one) is not how:
                signal.signal(one, how)


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """PyTorch's threads inside, where the loop has imported it."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _shortened(text: str) -> str:
    """What a user's error says may be very long."""
    return text if len(text) <= _MOST_SAID else f"{text[:_MOST_SAID]}..."


def _only_in(process: int) -> None:
    """A child that the loop made by a fork has come back from it: it ends here, and records nothing."""
    if os.getpid() != process:
        os._exit(0)
