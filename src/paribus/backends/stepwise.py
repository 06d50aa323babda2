"""What backends have in common that take one step at a time: runs one after another in the loop of `training`."""

from __future__ import annotations

import traceback
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from time import perf_counter
from typing import ClassVar

import numpy as np

from paribus.backends.base import Backend, Load
from paribus.backends.compatibility import recurrent
from paribus.config.models import UserModel
from paribus.config.settings import Settings, evaluations, steps_in_epoch
from paribus.config.user_errors import RAISED, told
from paribus.models.initialisation import initial_values
from paribus.plan import Plan
from paribus.records.checkpoint import Checkpoint
from paribus.records.record import Evaluation, Outcome, Status
from paribus.records.run import Callback, Run
from paribus.tasks import Task
from paribus.training import sampling
from paribus.training.isolation import isolated
from paribus.training.learner import BeginAgain, Caution, Learner
from paribus.training.loop import Watch, fit
from paribus.training.meters import Meters
from paribus.training.metrics import Metrics
from paribus.training.probes import Probes, boundary

_STEPS = 30
_SECONDS = 0.5


class _CallbackFailed(Exception):  # noqa: N818 (never seen outside)
    """A callback raised."""


class StepwiseBackend(Backend):
    """One run after another, a step at a time."""

    resumable: ClassVar[bool] = True

    @abstractmethod
    def learner(
        self, settings: Settings, task: Task, plan: Plan, *, cautions: frozenset[Caution] = frozenset()
    ) -> Learner:
        """A model with its optimizer and data, its parameters unset unless they are the user's.

        `cautions`: in what it does not trust the user's code, at a price in time; a run that begins again has some.
        """

    def make_learner(
        self, settings: Settings, task: Task, plan: Plan, *, cautions: frozenset[Caution] = frozenset()
    ) -> Learner:
        """The learner at the plan's initial values."""
        learner = self.learner(settings, task, plan, cautions=cautions)
        if not isinstance(settings.model, UserModel):  # a user's module has set them, under the plan's generator state
            learner.load(initial_values(learner.shapes(), settings.init, plan, recurrent(settings)))
        return learner

    def train(self, runs: Sequence[Run], load: Load, callback: Callback, *, workers: int) -> list[Outcome]:  # noqa: ARG002
        """One after another, however many workers there are: other processes are for more."""
        return [self._train_one(run, load(run), callback) for run in runs]

    def estimate(self, settings: Settings, task: Task) -> float:
        """The median of up to 30 steps, after one that is not counted, and one evaluation; nothing is kept of them."""
        plan = Plan(0)
        (state,) = plan.generator_states(0, 1)
        with self.threads(settings.threads), isolated(state):
            learner = self.make_learner(settings.with_copies(), task, plan)
            laps = _laps(learner, settings, plan, len(task.train))
            begun = perf_counter()
            for split in task.splits:
                learner.evaluate(split)
            evaluation = perf_counter() - begun
        steps = settings.epochs * steps_in_epoch(settings, len(task.train))
        counted = sorted(laps[1:] or laps)
        return steps * counted[len(counted) // 2] + evaluations(settings, len(task.train)) * evaluation

    def _train_one(self, run: Run, task: Task, callback: Callback) -> Outcome:
        """Once; or again, each time with one more caution."""
        cautions: frozenset[Caution] = frozenset()
        while True:
            callback.on_run_begin(run)
            try:
                outcome = self._guarded(run, task, callback, cautions=cautions)
            except BeginAgain as again:
                cautions |= {again.caution}
                outcome = Outcome(status=Status.INTERRUPTED, epochs=0, error=str(again), begins_again=True)
                callback.on_run_end(run, outcome)
                callback.on_message(f"seed {run.seed}: {again}: begun again")
            else:
                callback.on_run_end(run, outcome)
                return outcome

    def _guarded(self, run: Run, task: Task, callback: Callback, *, cautions: frozenset[Caution]) -> Outcome:
        """A run, whatever happens in it: it ends as failed where it raises."""
        plan = Plan(run.seed)
        (state,) = plan.generator_states(0, 1)
        try:
            # The loop looks for values that are not finite; NumPy need not warn of them too.
            with (
                self.threads(run.settings.threads),
                isolated(state) if run.settings.runs_user_code else nullcontext(),
                np.errstate(over="ignore", invalid="ignore", divide="ignore"),
            ):
                return self._fit(run, plan, task, callback, cautions=cautions)
        except KeyboardInterrupt:
            callback.on_run_end(run, Outcome(status=Status.INTERRUPTED, epochs=0, error="by Ctrl-C or a signal"))
            raise
        except _CallbackFailed as failed:  # no fault of the run's: whoever watches has to know
            raise failed.__cause__ or failed from None
        except BeginAgain:
            raise
        except RAISED as error:  # a run that fails must not take the others with it; its record says why
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"{told(error)} ({where.filename}:{where.lineno})"
            return Outcome(status=Status.FAILED, epochs=0, error=reason)

    def _fit(self, run: Run, plan: Plan, task: Task, callback: Callback, *, cautions: frozenset[Caution]) -> Outcome:
        settings = run.network.with_copies()
        learner = self.make_learner(settings, task, plan, cautions=cautions)
        probes = Probes(
            run.network,
            task,
            learner,
            plan,
            wanted=run.pictures,
            look=learner.look,
            by_weights=learner.known_by_weights(),
        )

        def evaluated(row: Evaluation) -> None:
            try:
                callback.on_evaluation(run, row)
            except Exception as error:
                raise _CallbackFailed from error

        def saved(checkpoint: Checkpoint) -> None:
            try:
                callback.on_checkpoint(run, checkpoint)
            except Exception as error:
                raise _CallbackFailed from error

        begin = None if cautions else run.resumes_from()  # a checkpoint that is there was made with less care
        if begin is not None:
            try:
                learner.restore(begin.learner)
                probes.restore(begin.probes)
            except (MemoryError, OSError):  # nothing is wrong with it
                raise
            except RAISED as error:  # whatever the user's code or another version of a library makes of it
                if "out of memory" in str(error):  # of a card
                    raise
                what = f"its checkpoint cannot be read back ({told(error)[:200]})"
                raise BeginAgain(what, "checkpoint") from None
        meters = Meters(run.settings.device)
        try:
            watch = Watch(
                evaluated=evaluated,
                splits=[split for split in task.splits if not (run.hidden_test and split == "test")],
                metrics=Metrics(run.metrics, task, plan),
                meters=meters.read,
                pause=meters.pause,
                go_on=meters.go_on,
                save=saved if run.checkpoint_seconds else None,
                doubted=lambda why: callback.on_message(
                    f"seed {run.seed}: no checkpoints, for {why}: if it is interrupted, it begins again"
                ),
                not_restored=lambda why: callback.on_message(
                    f"seed {run.seed}: what is kept of it is its last step, not its best evaluation, for {why}"
                ),
                save_seconds=run.checkpoint_seconds,
                keep_best="best" in run.keep,
                probes=probes,
            )
            outcome = fit(settings, plan, task, learner, watch, begin=begin)
        finally:
            meters.close()
        learner.confirm()
        if outcome.status is Status.DIVERGED:
            return replace(outcome, pictures=probes.of_diverged())
        if outcome.status is not Status.DONE or run.hidden_test:
            return outcome
        last = boundary(learner, task)
        return replace(
            outcome,
            weights=learner.weights() if "weights" in run.keep else None,
            predictions=task.predicted(learner.logits(task.test.x)) if "predictions" in run.keep else None,
            boundary=last,
            pictures=probes.pictures(outcome.epochs, last),
        )


def _laps(learner: Learner, settings: Settings, plan: Plan, n_train: int) -> list[float]:
    """Seconds of each of a few steps."""
    laps: list[float] = []
    begun = perf_counter()
    first = settings.model_copy(update={"epochs": max(1, min(settings.epochs, _STEPS))})
    for epoch, batches in enumerate(sampling.epochs(first, plan, n_train)):
        learner.begin_epoch(epoch, batches)
        for examples in islice(batches, _STEPS + 1 - len(laps)):
            lap = perf_counter()
            learner.step(examples, epoch)
            laps.append(perf_counter() - lap)
        if len(laps) > _STEPS or perf_counter() - begun > _SECONDS:
            break
    return laps
