"""Runs of `implementation=stacked`: those that can go together in stacks, step by step, each told of as if alone."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import torch

from paribus.backends.base import Load
from paribus.backends.stacked.stack import Member, Part, Stack
from paribus.config.settings import Settings, steps_in_epoch
from paribus.config.user_errors import RAISED, told
from paribus.plan import Plan
from paribus.records.record import Evaluation, Outcome, Status
from paribus.records.run import Callback, Run
from paribus.tasks import Task
from paribus.training import sampling
from paribus.training.isolation import isolated
from paribus.training.loop import Clock, Watch, diverged
from paribus.training.meters import Meters
from paribus.training.metrics import Metrics
from paribus.training.probes import Probes, boundary

AT_ONCE = 32
"""Runs of a stack at most. A fixed number: with another one, a run's numbers are others by rounding."""

OWN = frozenset(
    (
        "schedule", "clip", "l1", "init", "model.recurrent",
        *(f"optimizer.{name}" for name in (
            "lr", "weight_decay", "momentum", "dampening", "beta1", "beta2", "eps", "alpha", "lr_decay",
            "initial_accumulator_value", "momentum_decay",
        )),
    )
)  # fmt: skip
"""Settings in which the runs of a stack may differ."""


class _CallbackFailed(Exception):  # noqa: N818 (never seen outside)
    """A callback raised."""


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _CallbackFailed from error


def together(settings: Settings) -> tuple[tuple[str, object], ...]:
    """What runs have in common that go into one stack.

    >>> from paribus.config.overrides import build
    >>> each = {}, {"optimizer.lr": 1.0}, {"model.hidden": "9"}
    >>> one, other, wider = (build({"task": "moons", **more}) for more in each)
    >>> together(one) == together(other), together(one) == together(wider)
    (True, False)
    """
    return tuple(sorted((name, value) for name, value in settings.flat().items() if name not in OWN))


def stacks(runs: Sequence[Run]) -> Iterator[tuple[Run, ...]]:
    """The runs in their order, in groups that go together."""
    groups: dict[object, list[Run]] = {}
    for run in runs:
        key = together(run.network), run.hidden_test
        groups.setdefault(key, []).append(run)
    for group in groups.values():
        yield from (tuple(group[at : at + AT_ONCE]) for at in range(0, len(group), AT_ONCE))


def train_stacked(
    runs: Sequence[Run], load: Load, callback: Callback, threads: Callable[[int], AbstractContextManager[None]]
) -> list[Outcome]:
    """Train runs of `implementation=stacked`, a stack after another; an outcome for each, in their order.

    KeyboardInterrupt ends the runs on their way as interrupted, with what they had evaluated, and is raised again.
    """
    outcomes: dict[int, Outcome] = {}
    for group in stacks(runs):
        settings = group[0].network
        with threads(settings.threads), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = _Together(group, [load(run) for run in group], callback).train()
        outcomes |= {id(run): outcome for run, outcome in zip(group, found, strict=True)}
    return [outcomes[id(run)] for run in runs]


class _Going:
    """One run of a stack on its way; `outcome` is there when it has ended."""

    def __init__(self, run: Run, task: Task, member: Member, callback: Callback, meters: Meters) -> None:
        plan = Plan(run.seed)
        self.run, self.task, self.settings, self._callback = run, task, run.network, callback
        self.splits = [split for split in task.splits if not (run.hidden_test and split == "test")]
        self.member = member
        self.probes = Probes(self.settings, task, self.member, plan, wanted=run.pictures, look=self.member.look)
        watch = Watch(
            evaluated=self._evaluated,
            splits=self.splits,
            metrics=Metrics(run.metrics, task, plan),
            meters=meters.read,
            keep_best="best" in run.keep,
            probes=self.probes,
        )
        self.clock = Clock(watch, task, self.member, self.settings, now=self.member.seconds)
        self.outcome: Outcome | None = None

    def _evaluated(self, row: Evaluation) -> None:
        with _telling():
            self._callback.on_evaluation(self.run, row)

    def end(self, outcome: Outcome) -> None:
        """Tell of it."""
        self.outcome = outcome
        with _telling():
            self._callback.on_run_end(self.run, outcome)

    def guarded(self, act: Callable[[], None]) -> None:
        """What belongs to this run alone: where it raises, this one has failed."""
        try:
            act()
        except _CallbackFailed:
            raise
        except RAISED as error:
            self.end(_failed(error))

    def done(self) -> None:
        """The end of a run that was finite throughout, with what is to be kept of it."""
        outcome = self.clock.done(self.settings.epochs)
        if not self.run.hidden_test:
            last = boundary(self.member, self.task)
            keep, task = self.run.keep, self.task
            outcome = replace(
                outcome,
                weights=self.member.weights() if "weights" in keep else None,
                predictions=task.predicted(self.member.logits(task.test.x)) if "predictions" in keep else None,
                boundary=last,
                pictures=self.probes.pictures(outcome.epochs, last),
            )
        self.end(outcome)

    def diverged(self, epoch: int, what: str) -> None:
        """It stops alone."""
        self.end(replace(diverged(epoch, what, self.clock), pictures=self.probes.of_diverged()))


class _Together:
    """The runs of one stack in the loop: that of `training.loop.fit`, for many at once."""

    def __init__(self, runs: Sequence[Run], tasks: Sequence[Task], callback: Callback) -> None:
        self._runs, self._tasks, self._callback = runs, tasks, callback
        self._settings = runs[0].network
        self._per_epoch = steps_in_epoch(self._settings, len(tasks[0].train))
        self._going: list[_Going] = []

    def train(self) -> list[Outcome]:
        """An outcome for each run, in their order."""
        for run in self._runs:
            self._callback.on_run_begin(run)
        (state,) = Plan(self._runs[0].seed).generator_states(0, 1)
        ended: Outcome | None = None
        meters = self._meters = Meters(self._settings.device)
        try:
            with isolated(state) if self._settings.runs_user_code else nullcontext():
                self._fit()
        except KeyboardInterrupt:
            self._end_all(Outcome(status=Status.INTERRUPTED, epochs=0, error="by Ctrl-C or a signal"))
            raise
        except _CallbackFailed as failed:  # no fault of a run's: whoever watches has to know
            raise failed.__cause__ or failed from None
        except RAISED as error:  # what is computed for all of them
            ended = _failed(error)
        finally:
            meters.close()
        if ended is not None:
            self._end_all(ended)
        found = [one.outcome for one in self._going]
        return [one for one in found or [ended] * len(self._runs) if one is not None]

    def _end_all(self, outcome: Outcome) -> None:
        """Those that are not over."""
        over = {id(one.run): one for one in self._going}
        for run in self._runs:
            if id(run) not in over:
                self._callback.on_run_end(run, outcome)
            elif over[id(run)].outcome is None:
                over[id(run)].end(outcome)

    def _live(self) -> list[_Going]:
        return [one for one in self._going if one.outcome is None]

    def _fit(self) -> None:
        parts = [Part(run.network, task, Plan(run.seed)) for run, task in zip(self._runs, self._tasks, strict=True)]
        stack = Stack(parts)
        self._going = [
            _Going(run, task, Member(stack, place), self._callback, self._meters)
            for place, (run, task) in enumerate(zip(self._runs, self._tasks, strict=True))
        ]
        settings, n_train = self._settings, len(self._tasks[0].train)
        total = settings.epochs * self._per_epoch
        if total == 0:
            self._evaluate(stack, 0, total)
        orders = zip(*(sampling.epochs(settings, part.plan, n_train) for part in parts), strict=True)
        for epoch, batches in enumerate(orders):
            if not self._live():
                return
            self._epoch(stack, epoch, list(zip(*batches, strict=True)), total)
        for one in self._live():
            one.guarded(one.done)

    def _epoch(self, stack: Stack, epoch: int, steps: Sequence[Sequence[np.ndarray]], total: int) -> None:
        stack.begin_epoch(epoch)
        interval = self._settings.eval_every.in_steps(self._per_epoch)
        losses = torch.zeros(len(self._runs), device=self._settings.device)
        for place, batches in enumerate(steps):
            step = epoch * self._per_epoch + place
            losses = losses + stack.step(batches, epoch, place, self._factors(step))
            step += 1
            if step % interval == 0 or step == total:
                self._evaluate(stack, step, total)
                if not self._live():
                    return
        finite = torch.isfinite(losses).tolist()
        for one, fine in zip(self._going, finite, strict=True):
            if one.outcome is None and not fine:
                one.diverged(epoch, f"a loss by step {(epoch + 1) * self._per_epoch} was not finite")

    def _factors(self, step: int) -> list[float]:
        """Of each run: its schedule's, times its plateau's."""
        epochs = self._settings.epochs
        return [
            one.settings.schedule.factor(step, self._per_epoch, epochs) * one.clock.plateau.factor
            for one in self._going
        ]

    def _evaluate(self, stack: Stack, step: int, total: int) -> None:
        stack.rest()
        self._meters.pause()
        found = {split: stack.scores(split) for split in self._going[0].splits}
        clipped = stack.clipping()
        for place, one in enumerate(self._going):
            if one.outcome is None:
                one.member.scores = {split: scores[place] for split, scores in found.items()}
                one.member.clipped = clipped[place]
                one.guarded(lambda one=one: _evaluated(one, step, self._per_epoch, total))  # type: ignore[misc]
        self._meters.go_on()


def _evaluated(one: _Going, step: int, per_epoch: int, total: int) -> None:
    if one.clock.evaluate(step):
        return
    if total == 0:
        why = "the loss of the initial values was not finite"
        one.end(Outcome(status=Status.DIVERGED, epochs=0, error=why))
    else:
        one.diverged((step - 1) // per_epoch, f"an evaluation after step {step} was not finite")


def _failed(error: BaseException) -> Outcome:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return Outcome(status=Status.FAILED, epochs=0, error=f"{told(error)} ({where.filename}:{where.lineno})")
