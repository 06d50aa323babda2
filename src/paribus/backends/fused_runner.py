"""Runs of the fused engine: many at once, a thread each, observed while they go on."""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from paribus.backends.compatibility import recurrent
from paribus.config.models import UserModel
from paribus.config.schedules import PlateauState
from paribus.config.settings import Settings
from paribus.config.user_errors import RAISED, told
from paribus.fused import steps
from paribus.fused.compile import engine_of, loops_of, ready
from paribus.fused.engine import Engine
from paribus.models.initialisation import initial_values
from paribus.plan import Plan
from paribus.records.checkpoint import Best
from paribus.records.record import Evaluation, Outcome, Pictures, Status
from paribus.records.run import Callback, Run
from paribus.tasks import Task
from paribus.training.measures import of_sums
from paribus.training.metrics import Metrics
from paribus.training.probes import Model, Probes, boundary
from paribus.training.threads import blas_threads, torch_threads
from paribus.training.vitals import LookAt

_LOOK_SECONDS = 0.05
_AHEAD = 2
"""Runs that are begun for each thread, so that none waits for the driver."""


@dataclass(frozen=True)
class Begun:
    """A run's engine at its initial values, and what is seen of it. `look`: at a model that is not known by its
    weights."""

    engine: Engine
    model: Model
    look: LookAt | None = None


def begun(settings: Settings, task: Task, seed: int, splits: Sequence[str]) -> Begun:
    """The beginning of a run; `splits`: those that are evaluated, the training split first."""
    plan = Plan(seed)
    if isinstance(settings.model, UserModel):
        from paribus.backends.lowering.run import LoweredRun

        lowered = LoweredRun(settings, task, plan, splits)
        return Begun(lowered.engine, lowered, lowered.look)
    engine = engine_of(loops_of(settings))(settings, task, seed, splits)
    engine.load(initial_values(engine.shapes(), settings.init, plan, recurrent(settings)))
    return Begun(engine, engine)


def loops(settings: Settings, load: Callable[[], Task]) -> str:
    """Which loops train these settings on a task, which is loaded where it is needed for that."""

    if isinstance(settings.model, UserModel):
        from paribus.backends.lowering.run import loops as lowered_loops

        return lowered_loops(settings, load())
    return loops_of(settings)


class _Training:
    """A run on its way: its thread writes, the driver reads."""

    def __init__(self, run: Run, task: Task) -> None:
        self.run, self.task = run, task
        self.engine: Engine | None = None
        self.metrics: Metrics | None = None
        self.own: list[dict[str, float]] = []  # the user's metrics, an entry for each evaluation
        self.told = self.evaluated = 0
        self.outcome: Outcome | None = None
        self.best: Best | None = None
        self.probes: Probes | None = None
        self.plateau = PlateauState()
        self.splits = [split for split in task.splits if not (run.hidden_test and split == "test")]

    def go_on(self, stop: threading.Event) -> None:
        """Train to the end, or until told to stop. An exception ends this run as failed."""
        try:
            with np.errstate(all="ignore"):
                settings = self.run.network
                self.metrics = Metrics(self.run.metrics, self.task, Plan(self.run.seed))
                found = begun(settings, self.task, self.run.seed, self.splits)
                self.engine = engine = found.engine
                self.probes = Probes(
                    settings, self.task, found.model, Plan(self.run.seed), wanted=self.run.pictures, look=found.look
                )
                more, looks = True, self._wants_looks()
                while more and not stop.is_set():
                    more = engine.advance(to_evaluation=looks)
                    if looks and self.evaluated < engine.run[0]["row"]:
                        self._look(engine, found.model)
                    self.evaluated = int(engine.run[0]["row"])  # now, as within a slice a row may stand half written
                if not more:
                    self.outcome = self._ended(engine, found.model)
        except RAISED as error:  # a run that fails must not take the others with it; its record says why
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"{told(error)} ({where.filename}:{where.lineno})"
            self.outcome = Outcome(status=Status.FAILED, epochs=0, error=reason)

    def _wants_looks(self) -> bool:
        """Whether something is done at each evaluation, between two calls of the engine."""
        run = self.run
        return bool(run.metrics or run.pictures or "best" in run.keep or run.network.schedule.plateau)

    def _look(self, engine: Engine, model: Model) -> None:
        """At what is wanted of an evaluation beside its metrics: what is told of it, and the rate of what follows."""
        row = engine.rows[self.evaluated].tolist()
        if self.metrics:
            step = int(row[steps.STEP])
            logits = {split: engine.logits(self.task.splits[split].x) for split in self.splits}
            self.own.append(self.metrics.measured(logits, step=step))
        if "best" in self.run.keep:
            self.best = Best.of(self.best, int(row[steps.STEP]), self._metrics(row), model.weights)
        plateau = self.run.network.schedule.plateau
        if plateau is not None:
            self.plateau = plateau.after(self.plateau, self._metrics(row)["validation_loss"])
            engine.scale_lr(self.plateau.factor)
        if self.probes is not None:
            self.probes.look(row[steps.STEP] / int(engine.run[0]["steps_per_epoch"]))

    def evaluations(self) -> Iterator[Evaluation]:
        """Those that nobody was told of yet, one by one: who is interrupted at one has the others still to tell."""
        while self.engine is not None and self.told < self.evaluated:
            number, engine = self.told, self.engine
            self.told += 1
            row = engine.rows[number].tolist()
            metrics = self._metrics(row)
            if self.run.metrics:
                metrics |= self.own[number]
            step = int(row[steps.STEP])
            yield Evaluation(
                step=step,
                epoch=step / int(engine.run[0]["steps_per_epoch"]),
                train_seconds=row[steps.TRAIN_SECONDS],
                eval_seconds=row[steps.EVAL_SECONDS],
                metrics=metrics,
                meters=engine.meters(number),
            )

    def _metrics(self, row: Sequence[float]) -> dict[str, float]:
        found = {}
        for i, split in enumerate(self.splits):
            place = steps.FIRST_METRIC + steps.MEASURED * i
            loss, other, sizes = row[place : place + steps.MEASURED]
            found[f"{split}_loss"] = loss
            scale, y = self.task.target, self.task.splits[split].y
            told = {"accuracy": other}
            if scale is not None:
                told = of_sums(other * len(y) * scale.sd**2, sizes * len(y) * scale.sd, y)
            found |= {f"{split}_{name}": value for name, value in told.items()}
        return found

    def _ended(self, engine: Engine, model: Model) -> Outcome:
        """How it ended, with what is to be kept of it."""
        state = engine.run[0]
        if state["ended"] != steps.DONE:
            diverged = _diverged(int(state["step"]), int(state["steps_per_epoch"]), int(state["ended"]))
            return diverged if self.probes is None else replace(diverged, pictures=self.probes.of_diverged())
        outcome = Outcome(status=Status.DONE, epochs=self.run.settings.epochs, best=self.best)
        if self.run.hidden_test:
            return outcome
        predicted = self.task.predicted(engine.logits(self.task.test.x)) if "predictions" in self.run.keep else None
        last = boundary(engine, self.task)
        shown = Pictures() if self.probes is None else self.probes.pictures(outcome.epochs, last)
        return replace(
            outcome,
            weights=dict(model.weights()) if "weights" in self.run.keep else None,
            predictions=predicted,
            boundary=last,
            pictures=shown,
        )


def train_fused(runs: Sequence[Run], load: Callable[[Run], Task], callback: Callback, threads: int) -> list[Outcome]:
    """Train runs of `implementation=fused`, as many at once as there are threads; each as if it were alone.

    The callback is told from this thread. KeyboardInterrupt ends the runs on their way as interrupted, with what they
    had evaluated, and is raised again.
    """
    arms = {run.network: run for run in runs}
    needed = [(loops(settings, partial(load, run)), settings.precision) for settings, run in arms.items()]
    for model, precision in dict.fromkeys(needed):
        ready(precision, callback.on_message, model)
    users = any(isinstance(settings.model, UserModel) for settings in arms)
    with torch_threads(1) if users else blas_threads(1):  # for each run
        return _train(runs, load, callback, threads)


def _train(runs: Sequence[Run], load: Callable[[Run], Task], callback: Callback, threads: int) -> list[Outcome]:
    waiting, going = deque(runs), deque[_Training]()
    outcomes: dict[int, Outcome] = {}
    handed: deque[_Training] = deque()
    work, stop = threading.Condition(), threading.Event()
    looked = threading.Event()

    def serve() -> None:
        while True:
            with work:
                work.wait_for(lambda: handed or stop.is_set())
                if stop.is_set():
                    return
                training = handed.popleft()
            training.go_on(stop)
            looked.set()

    workers = [threading.Thread(target=serve, daemon=True) for _ in range(max(1, min(threads, len(runs))))]
    for worker in workers:
        worker.start()
    try:
        while waiting or going:
            while waiting and len(going) < _AHEAD * len(workers):
                run = waiting.popleft()
                training = _Training(run, load(run))
                callback.on_run_begin(run)
                going.append(training)
                with work:
                    handed.append(training)
                    work.notify()
            looked.wait(_LOOK_SECONDS)
            looked.clear()
            for training in list(going):
                outcome = training.outcome  # before its evaluations: none may follow what is told last
                for row in training.evaluations():
                    callback.on_evaluation(training.run, row)
                if outcome is not None:
                    going.remove(training)
                    outcomes[id(training.run)] = outcome
                    callback.on_run_end(training.run, outcome)
    except BaseException as error:
        stop.set()
        for training in going:
            if training.engine is not None:
                training.engine.halt()
        _stopped(stop, work, workers)
        if isinstance(error, KeyboardInterrupt):
            for training in going:
                for row in training.evaluations():
                    callback.on_evaluation(training.run, row)
                callback.on_run_end(
                    training.run, Outcome(status=Status.INTERRUPTED, epochs=0, error="by Ctrl-C or a signal")
                )
        raise
    _stopped(stop, work, workers)
    return [outcomes[id(run)] for run in runs]


def _stopped(stop: threading.Event, work: threading.Condition, workers: Sequence[threading.Thread]) -> None:
    stop.set()
    with work:
        work.notify_all()
    for worker in workers:
        worker.join()


def _diverged(step: int, per_epoch: int, ended: int) -> Outcome:
    if step == 0:
        return Outcome(status=Status.DIVERGED, epochs=0, error="the loss of the initial values was not finite")
    epoch = (step - 1) // per_epoch
    what = f"an evaluation after step {step}" if ended == steps.EVALUATION_NOT_FINITE else f"a loss by step {step}"
    return Outcome(status=Status.DIVERGED, epochs=epoch, error=f"in epoch {epoch + 1}: {what} was not finite")
