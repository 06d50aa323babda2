"""The training loop, the same for every implementation that takes one step at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter

from paribus.core.plan import Plan
from paribus.core.record import Evaluation, Outcome, Status
from paribus.core.settings import Settings, steps_in_epoch
from paribus.tasks import Task
from paribus.training import sampling
from paribus.training.learner import Learner


def fit(
    settings: Settings,
    plan: Plan,
    task: Task,
    learner: Learner,
    evaluated: Callable[[Evaluation], None],
    splits: Sequence[str],
) -> Outcome:
    """Train for `settings.epochs` epochs; evaluate the splits at every interval and at the end.

    A loss that is not finite ends the run as diverged in that epoch: the evaluations so far stand, and none that is
    not finite is reported.
    """
    steps_per_epoch = steps_in_epoch(settings, len(task.train))
    interval, total = settings.eval_every.in_steps(steps_per_epoch), settings.epochs * steps_per_epoch
    train_seconds = eval_seconds = 0.0
    lr, scheduled = settings.optimizer.lr, settings.schedule.kind != "constant"
    within_epochs = settings.schedule.changes_within_epochs()
    step = 0
    since = perf_counter()

    def evaluate() -> bool:
        """Whether every metric is finite; the clock stands still for training meanwhile."""
        nonlocal train_seconds, eval_seconds, since
        begun = perf_counter()
        train_seconds += begun - since
        metrics: dict[str, float] = {}
        for split in splits:
            metrics[f"{split}_loss"], metrics[f"{split}_accuracy"] = learner.evaluate(split)
        since = perf_counter()
        eval_seconds += since - begun
        finite = all(map(math.isfinite, metrics.values()))
        if finite:
            evaluated(Evaluation(step, step / steps_per_epoch, train_seconds, eval_seconds, metrics))
            since = perf_counter()  # what the observer does is nobody's time
        return finite

    if total == 0 and not evaluate():
        return Outcome(Status.DIVERGED, 0, "the loss of the initial values was not finite")
    for epoch, batches in enumerate(sampling.epochs(settings, plan, len(task.train))):
        loss = 0.0
        learner.begin_epoch(batches)
        for examples in batches:
            if step == 0 or (scheduled and (within_epochs or examples is batches[0])):
                learner.set_lr(lr * settings.schedule.factor(step, steps_per_epoch, settings.epochs))
            loss = loss + learner.step(examples, epoch)  # type: ignore[operator]  # a float, or a tensor read once an epoch
            step += 1
            if (step % interval == 0 or step == total) and not evaluate():
                return _diverged(epoch, f"an evaluation after step {step} was not finite")
        if not math.isfinite(float(loss)):
            return _diverged(epoch, f"a loss by step {step} was not finite")
    return Outcome(Status.DONE, settings.epochs)


def _diverged(epoch: int, what: str) -> Outcome:
    return Outcome(Status.DIVERGED, epoch, f"in epoch {epoch + 1}: {what}")
