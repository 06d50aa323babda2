"""What a run will take, from a few timed steps."""

from __future__ import annotations

import sys
from itertools import islice
from time import perf_counter

from paribus.backends.dispatch import make_learner
from paribus.config.settings import Settings, evaluations, steps_in_epoch
from paribus.plan import Plan
from paribus.tasks import Task
from paribus.training import sampling
from paribus.training.threads import threads

_STEPS = 30
_SECONDS = 0.5


def estimate(settings: Settings, task: Task) -> float:
    """Seconds that a run of these settings will train and evaluate for, on this machine as it is now.

    The median of up to 30 steps, after one that is not counted, and one evaluation; nothing is kept of them.
    """
    if settings.implementation == "fused":
        return _estimate_fused(settings, task)
    plan = Plan(0)
    with threads(settings.implementation, settings.threads):
        learner = make_learner(settings, task, plan)
        laps: list[float] = []
        begun = perf_counter()
        first = settings.model_copy(update={"epochs": max(1, min(settings.epochs, _STEPS))})
        for epoch, batches in enumerate(sampling.epochs(first, plan, len(task.train))):
            learner.begin_epoch(epoch, batches)
            for examples in islice(batches, _STEPS + 1 - len(laps)):
                lap = perf_counter()
                learner.step(examples, epoch)
                laps.append(perf_counter() - lap)
            if len(laps) > _STEPS or perf_counter() - begun > _SECONDS:
                break
        begun = perf_counter()
        for split in task.splits:
            learner.evaluate(split)
        evaluation = perf_counter() - begun
    steps = settings.epochs * steps_in_epoch(settings, len(task.train))
    counted = sorted(laps[1:] or laps)
    return steps * counted[len(counted) // 2] + evaluations(settings, len(task.train)) * evaluation


def _estimate_fused(settings: Settings, task: Task) -> float:
    from paribus.fused.compile import engine_of, ready

    model = settings.model.name
    ready(settings.precision, lambda line: print(line, file=sys.stderr), model)
    with threads("fused", 1):
        engine = engine_of(model)(settings, task, 0, list(task.splits))
        engine.advance()
        state = engine.run[0]
    steps = settings.epochs * steps_in_epoch(settings, len(task.train))
    seconds = float(state["train_seconds"] + state["eval_seconds"])
    return seconds * steps / max(int(state["step"]), 1)
