"""The training loop, the same for every implementation that takes one step at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter

from paribus.core.own import Own
from paribus.core.plan import Plan
from paribus.core.record import Evaluation, Outcome, Status
from paribus.core.settings import Settings, steps_in_epoch
from paribus.tasks import Task
from paribus.training import sampling
from paribus.training.learner import Learner
from paribus.training.metrics import measure


def fit(
    settings: Settings,
    plan: Plan,
    task: Task,
    learner: Learner,
    evaluated: Callable[[Evaluation], None],
    splits: Sequence[str],
    metrics: Sequence[Own] = (),
) -> Outcome:
    """Train for `settings.epochs` epochs; evaluate the splits, by `metrics` too, at every interval and at the end.

    A loss that is not finite ends the run as diverged in that epoch: the evaluations so far stand, and none that is
    not finite is reported.
    """
    steps_per_epoch = steps_in_epoch(settings, len(task.train))
    interval, total = settings.eval_every.in_steps(steps_per_epoch), settings.epochs * steps_per_epoch
    train_seconds = eval_seconds = 0.0
    scheduled = settings.schedule.kind != "constant"
    within_epochs = settings.schedule.changes_within_epochs()
    step = 0
    since = perf_counter()

    def evaluate() -> bool:
        """Whether every metric is finite; the clock stands still for training meanwhile."""
        nonlocal train_seconds, eval_seconds, since
        begun = perf_counter()
        train_seconds += begun - since
        found: dict[str, float] = {}
        for split in splits:
            found[f"{split}_loss"], found[f"{split}_accuracy"] = learner.evaluate(split)
        finite = all(map(math.isfinite, found.values()))  # a metric of the user's own may well be undefined
        if metrics and finite:
            for split in splits:
                x, y = task.splits[split].x, task.splits[split].y
                found |= {f"{split}_{name}": value for name, value in measure(metrics, learner.logits(x), y).items()}
        since = perf_counter()
        eval_seconds += since - begun
        if finite:
            evaluated(Evaluation(step, step / steps_per_epoch, train_seconds, eval_seconds, found))
            since = perf_counter()  # what the observer does is nobody's time
        return finite

    if total == 0 and not evaluate():
        return Outcome(Status.DIVERGED, 0, "the loss of the initial values was not finite")
    for epoch, batches in enumerate(sampling.epochs(settings, plan, len(task.train))):
        loss = 0.0
        learner.begin_epoch(batches)
        for examples in batches:
            if step == 0 or (scheduled and (within_epochs or examples is batches[0])):
                learner.scale_lr(settings.schedule.factor(step, steps_per_epoch, settings.epochs))
            loss = loss + learner.step(examples, epoch)  # type: ignore[operator]  # a float, or a tensor read once an epoch
            step += 1
            if (step % interval == 0 or step == total) and not evaluate():
                return _diverged(epoch, f"an evaluation after step {step} was not finite")
        if not math.isfinite(float(loss)):
            return _diverged(epoch, f"a loss by step {step} was not finite")
    return Outcome(Status.DONE, settings.epochs)


def _diverged(epoch: int, what: str) -> Outcome:
    return Outcome(Status.DIVERGED, epoch, f"in epoch {epoch + 1}: {what}")
