"""The one way to the backends: runs in, outcomes out."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from paribus.backends.compatibility import recurrent
from paribus.config.models import UserModel
from paribus.config.settings import Settings, evaluations
from paribus.models.initialisation import initial_values
from paribus.plan import Plan
from paribus.records.checkpoint import Checkpoint
from paribus.records.record import Evaluation, Outcome, Pictures, Status
from paribus.records.run import Callback, Run
from paribus.tasks import Task
from paribus.training.learner import Learner
from paribus.training.loop import Watch, fit
from paribus.training.meters import Meters
from paribus.training.probes import Snapshots, boundary, pictures, state_gradients
from paribus.training.randomness import global_randomness
from paribus.training.threads import threads


class _CallbackFailed(Exception):  # noqa: N818 (never seen outside)
    """A callback raised."""


def train(runs: Sequence[Run], task: Task, callback: Callback) -> list[Outcome]:
    """Train each run on the task; all of them use this very task.

    An exception in a run ends that run as failed; KeyboardInterrupt ends it as interrupted and is raised again.
    """
    if runs and all(run.settings.implementation == "fused" for run in runs):
        from paribus.backends.fused_runner import train_fused

        return train_fused(runs, lambda _: task, callback, threads=1)
    outcomes = []
    for run in runs:
        callback.on_run_begin(run)
        try:
            # The loop looks for values that are not finite; NumPy need not warn of them too.
            with (
                threads(run.settings.implementation, run.settings.threads),
                np.errstate(over="ignore", invalid="ignore", divide="ignore"),
            ):
                outcome = _train_one(run, task, callback)
        except KeyboardInterrupt:
            callback.on_run_end(run, Outcome(Status.INTERRUPTED, 0, "interrupted from the keyboard"))
            raise
        except _CallbackFailed as failed:  # no fault of the run's: whoever watches has to know
            raise failed.__cause__ or failed from None
        except Exception as error:  # a run that fails must not take the others with it; its record says why
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
            outcome = Outcome(Status.FAILED, 0, reason)
        callback.on_run_end(run, outcome)
        outcomes.append(outcome)
    return outcomes


def make_learner(settings: Settings, task: Task, plan: Plan) -> Learner:
    """The learner of an implementation, at the plan's initial values."""
    learner = IMPLEMENTATIONS[settings.implementation](settings, task, plan)
    if not isinstance(settings.model, UserModel):  # a user's module has set them, under the plan's generator state
        learner.load(initial_values(learner.shapes(), settings.init, plan, recurrent(settings)))
    return learner


def _train_one(run: Run, task: Task, callback: Callback) -> Outcome:
    plan = Plan(run.seed)
    with global_randomness(plan, run.settings):
        return _train_paired(run, plan, task, callback)


def _train_paired(run: Run, plan: Plan, task: Task, callback: Callback) -> Outcome:
    learner = make_learner(run.settings, task, plan)

    snapshots = Snapshots(evaluations(run.settings, len(task.train))) if run.pictures else None
    begun = state_gradients(run.settings, learner, task) if run.pictures else None

    def evaluated(row: Evaluation) -> None:
        if snapshots is not None:
            snapshots.look(row.epoch, learner, task)
        try:
            callback.on_evaluation(run, row)
        except Exception as error:
            raise _CallbackFailed from error

    def saved(checkpoint: Checkpoint) -> None:
        try:
            callback.on_checkpoint(run, checkpoint)
        except Exception as error:
            raise _CallbackFailed from error

    splits = [split for split in task.splits if not (run.hidden_test and split == "test")]
    begin = Checkpoint.read(run.checkpoint, run.identity()) if run.checkpoint else None
    if begin is not None:
        learner.restore(begin.learner)
    meters = Meters(run.settings.device)
    try:
        watch = Watch(
            evaluated, splits, run.metrics, meters.read, saved if run.checkpoint_seconds else None,
            run.checkpoint_seconds, "best" in run.keep,
        )  # fmt: skip
        outcome = fit(run.settings, plan, task, learner, watch, begin)
    finally:
        meters.close()
    if outcome.status is not Status.DONE or run.hidden_test:
        return outcome
    return replace(
        outcome,
        weights=learner.weights() if "weights" in run.keep else None,
        predictions=learner.logits(task.test.x).argmax(axis=1) if "predictions" in run.keep else None,
        boundary=(last := boundary(learner, task)),
        pictures=pictures(run.settings, learner, task, begun, snapshots.frames(outcome.epochs, last))
        if snapshots is not None
        else Pictures(),
    )


def user_code_refusal(settings: Settings, task: Task) -> str | None:
    """Why a module or optimizer of the user's own cannot be trained on the task, if there is one and it cannot."""
    if not settings.user_defined_parts().keys() & {"model", "optimizer"}:
        return None
    from paribus.backends.torch.user_module import refusal

    return refusal(settings, task)


def _numpy(settings: Settings, task: Task, plan: Plan) -> Learner:
    from paribus.backends.numpy_backend import NumpyLearner

    return NumpyLearner(settings, task, plan)


def _torch(settings: Settings, task: Task, plan: Plan) -> Learner:
    if isinstance(settings.model, UserModel):
        from paribus.backends.torch.user_module import UserModuleLearner

        return UserModuleLearner(settings, task, plan)
    from paribus.backends.torch.learner import TorchLearner

    return TorchLearner(settings, task, plan)


IMPLEMENTATIONS: dict[str, Callable[[Settings, Task, Plan], Learner]] = {"numpy": _numpy, "torch": _torch}
