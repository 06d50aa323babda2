"""Before anything is trained: whether a user's module can be computed for many runs at once, and comes to the same; and
how long a step of a stack takes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from paribus.backends.stacked.modules import NotStackable
from paribus.backends.stacked.runner import AT_ONCE
from paribus.backends.stacked.stack import Part, Stack
from paribus.backends.torch.kept import first_difference
from paribus.backends.torch.models import users_module
from paribus.backends.torch.user_code import UserCodeLearner
from paribus.config.optimizers import Sgd
from paribus.config.settings import Settings
from paribus.config.user_errors import RAISED, told
from paribus.plan import Plan
from paribus.tasks import Task
from paribus.training.isolation import isolated
from paribus.training.learner import EVERY_CAUTION
from paribus.training.randomness import other_states
from paribus.training.sampling import epochs

_STEPS = 3
_RATE = 0.01
_RTOL = 1e-2
"""By what share of the way that the parameters went two ways of one formula may differ: other masks, or other
statistics, differ by far more."""
_ROUNDING = 1e-6
"""Of the parameters' own size: where the way is short, float32 rounds it."""
_TAKE = "take implementation=torch"


def refusals(settings: Settings, task: Task) -> list[str]:
    """Why runs with a user's module cannot be computed together, if they cannot."""
    what = f"implementation=stacked cannot compute runs of model={settings.model.name} together"
    (state,) = Plan(0).generator_states(0, 1)
    try:
        with isolated(state):
            _compare(settings, task)
    except NotStackable as error:
        return [f"{what}: {error}; {_TAKE}"]
    except RAISED as error:  # whatever the user's code raises under vmap is the answer
        return [f"{what}: {_reason(error)}; {_TAKE}"]
    return []


def _reason(error: BaseException) -> str:
    """What `vmap` says, in words that need no knowledge of it."""
    text = told(error)
    for words, reason in _REASONS:
        if words in text:
            return reason
    return f"torch.func.vmap says: {text[:300]}"


_READS = "its forward reads a number out of a tensor (.item(), float(), if), which differs from run to run"
_REASONS = (
    ("called random operation", "its forward draws random numbers, and only nn.Dropout can be given those of each run"),
    ("data-dependent control flow", _READS),
    (".item() on a Tensor", _READS),
    ("vmap: inplace arithmetic", "its forward writes each run's numbers into one tensor that all runs share"),
    ("Batching rule not implemented for aten::lstm", "PyTorch cannot compute this nn.LSTM for many runs at once"),
    ("Batching rule not implemented for aten::gru", "PyTorch cannot compute this nn.GRU for many runs at once"),
    ("Batching rule not implemented for aten::rnn", "PyTorch cannot compute nn.RNN for many runs at once"),
)


def _compare(settings: Settings, task: Task) -> None:
    """Two runs together for a few steps, beside the same two alone."""
    if settings.device == "cuda" and _drops(settings):
        raise NotStackable("on a GPU the masks of nn.Dropout that a run draws alone cannot be had")
    # gradient descent: an optimizer that divides by the gradient's size makes a whole step of what is rounding alone
    settings = settings.model_copy(update={"optimizer": Sgd(name="sgd", lr=_RATE)})
    parts = [Part(settings, task, Plan(seed)) for seed in (0, 1)]
    stack = Stack(parts)
    before, generators = stack.modules.shared(), other_states()
    begun = [stack.weights(run) for run in range(len(parts))]
    for epoch, place, batches in islice(_steps(settings, parts, len(task.train)), _STEPS):
        if place == 0:
            stack.begin_epoch(epoch)
        stack.step(batches, epoch, place, [1.0] * len(parts))
    if other_states() != generators:
        raise NotStackable("its forward draws from NumPy's or Python's generator")
    trained = [stack.weights(run) for run in range(len(parts))]
    logits = [stack.logits(run, task.test.x[: 2 * settings.batch_size]) for run in range(len(parts))]
    again = [stack.weights(run) for run in range(len(parts))]
    if (name := first_difference(before, stack.modules.shared())) is not None:
        raise NotStackable(f"its forward changes the {name}, which all runs share: keep it in a buffer")
    for run, part in enumerate(parts):
        if (name := first_difference(trained[run], again[run])) is not None:
            raise NotStackable(f"evaluating it changes {name}")
        _check_same(part, begun[run], trained[run], logits[run])


def _drops(settings: Settings) -> bool:
    return any(type(one) is torch.nn.Dropout and one.p > 0 for one in users_module(settings).modules())


def _steps(
    settings: Settings, parts: list[Part], n_train: int
) -> Iterator[tuple[int, int, tuple[NDArray[np.int64], ...]]]:
    several = settings.model_copy(update={"epochs": _STEPS})
    for epoch, orders in enumerate(zip(*(epochs(several, part.plan, n_train) for part in parts), strict=True)):
        for place, batches in enumerate(zip(*orders, strict=True)):
            yield epoch, place, batches


def _check_same(
    part: Part,
    begun: dict[str, NDArray[np.floating]],
    trained: dict[str, NDArray[np.floating]],
    logits: NDArray[np.floating],
) -> None:
    """A run of a stack beside the same run alone."""
    (state,) = part.plan.generator_states(0, 1)
    with isolated(state):
        learner = UserCodeLearner(part.settings.with_copies(), part.task, part.plan, cautions=EVERY_CAUTION)
        if (name := first_difference(begun, learner.weights())) is not None:
            raise NotStackable(f"{name} does not begin as it does alone")
        learner.scale_lr(1.0)
        for epoch, place, (batch,) in islice(_steps(part.settings, [part], len(part.task.train)), _STEPS):
            if place == 0:
                learner.begin_epoch(epoch, _epoch(part, epoch))
            learner.step(batch, epoch)
        alone = learner.weights()
        alone_logits = learner.logits(part.task.test.x[: len(logits)])
    pairs = [(trained[name], alone[name], begun[name]) for name in alone]
    size, moved, apart = (
        sum(float(np.square(one).sum()) for one in each) ** 0.5
        for each in zip(*((alone, alone - first, mine - alone) for mine, alone, first in pairs), strict=True)
    )
    near = np.allclose(logits, alone_logits, rtol=_RTOL, atol=_RTOL * float(np.abs(alone_logits).max()))
    if not (apart <= _RTOL * moved + _ROUNDING * size and near):
        raise NotStackable(
            f"after {_STEPS} steps two runs together are not what they are alone: it may keep what it computes outside "
            "of buffers, or its parameters may have hooks"
        )


def _epoch(part: Part, epoch: int) -> list[NDArray[np.int64]]:
    """The batches of one epoch."""
    several = part.settings.model_copy(update={"epochs": _STEPS})
    return next(epochs(several, part.plan, len(part.task.train), epoch))


def timed(settings: Settings, task: Task) -> tuple[float, float]:
    """Seconds of one run's share of a step and of an evaluation, in a full stack."""
    parts = [Part(settings, task, Plan(seed)) for seed in range(AT_ONCE)]
    (state,) = parts[0].plan.generator_states(0, 1)
    laps = []
    with isolated(state):
        stack = Stack(parts)
        for epoch, place, batches in islice(_steps(settings, parts, len(task.train)), _STEPS + 1):
            if place == 0:
                stack.begin_epoch(epoch)
            before = stack.train_seconds
            stack.step(batches, epoch, place, [1.0] * len(parts))
            stack.rest()
            laps.append(stack.train_seconds - before)
        for split in task.splits:
            stack.scores(split)
    return sorted(laps[1:])[len(laps[1:]) // 2], stack.eval_seconds
