"""Before anything is trained: whether the compiled engine comes to what PyTorch does with a user's module.

Both begin at the same values and take the same batch. Compared are the outputs in evaluation, the gradient of every
parameter in training, the running statistics after it, the outputs after a step of gradient descent, and a step of the
settings' own optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from paribus.backends.lowering.run import LoweredRun, lowered
from paribus.backends.lowering.trace import NotLowered
from paribus.backends.torch.user_code import UserCodeLearner
from paribus.config.optimizers import Sgd
from paribus.config.schedules import Constant
from paribus.config.settings import Settings
from paribus.fused.network import Network
from paribus.fused.rows import BATCH
from paribus.plan import Plan
from paribus.tasks import Task
from paribus.training.isolation import isolated
from paribus.training.learner import EVERY_CAUTION
from paribus.training.sampling import epochs

Arrays = Mapping[str, NDArray[np.floating]]

TOLERANCES = {"float32": 3e-5, "float64": 1e-11}
"""By what share of their size numbers may differ that are computed in another order."""

_RATE = 0.1
_SIGNIFICANT = 1e-2
"""An optimizer that divides by the gradient's size makes a whole step of what is rounding alone, as is the gradient of
a bias before batch normalisation: steps are compared where a gradient is so large a share of the root mean square."""
_OF_A_STEP = 30
"""So many times more may steps differ than gradients: where those are small, they are less exact."""


def prove(settings: Settings, task: Task) -> Network:
    """What a user's module is to the engine; NotLowered with the reason where it is nothing there, or not the same."""
    network = lowered(settings, task.info.input_shape).recognised.network
    whole = settings.sampler == "replacement"
    batch = settings.batch_size if whole else min(settings.batch_size, len(task.train))
    if "batch" in network.norms and batch > BATCH:
        raise NotLowered(
            f"batch normalisation over batch_size={settings.batch_size} is not in the engine, which takes a batch in "
            f"parts of {BATCH} examples"
        )
    if network.sizes[-1] != task.outputs:
        raise NotLowered(f"it has {network.sizes[-1]} outputs, and the engine needs {task.outputs}")
    splits = list(task.splits)
    LoweredRun(settings, task, Plan(1), splits)  # whether that of another seed is alike
    descent = {"optimizer": Sgd(name="sgd", lr=_RATE), "clip": None, "l1": 0.0, "schedule": Constant()}
    gradients = _compare_gradients(settings.model_copy(update={**descent, "epochs": 1}), task)
    _compare_step(settings.model_copy(update={"epochs": max(settings.epochs, 1)}), task, gradients)
    return network


def _beside(settings: Settings, task: Task) -> tuple[LoweredRun, UserCodeLearner]:
    """The same run in the engine and in PyTorch, at its initial values."""
    plan = Plan(0)
    mine = LoweredRun(settings, task, plan, list(task.splits))
    learner = UserCodeLearner(settings.with_copies(), task, plan, cautions=EVERY_CAUTION)
    _same("its initial values", mine.weights(), learner.weights(), 0.0)
    return mine, learner


def _step(settings: Settings, task: Task, mine: LoweredRun, learner: UserCodeLearner) -> None:
    """The first step of a run, in both."""
    mine.engine.step()
    batches = next(epochs(settings, Plan(0), len(task.train)))
    learner.scale_lr(settings.schedule.factor(0, len(batches), settings.epochs))
    learner.begin_epoch(0, batches)
    learner.step(batches[0], 0)


def _compare_gradients(settings: Settings, task: Task) -> Arrays:
    """Outputs, gradients, statistics and outputs after a step of gradient descent; returns the gradients."""
    tolerance = TOLERANCES[settings.precision]
    (state,) = Plan(0).generator_states(0, 1)
    with isolated(state):
        mine, learner = _beside(settings, task)
        seen = task.train.x[: 2 * BATCH]
        _same("its outputs in evaluation", {"": mine.logits(seen)}, {"": learner.logits(seen)}, tolerance)
        _step(settings, task, mine, learner)
        known = {name: one.grad for name, one in learner.model.named_parameters()}
        theirs = {name: gradient.numpy().copy() for name, gradient in known.items() if gradient is not None}
        _same_gradients(mine.gradients(), theirs, tolerance)
        _same("its parameters and statistics after a step", mine.weights(), learner.weights(), tolerance)
        _same("its outputs after a step", {"": mine.logits(seen)}, {"": learner.logits(seen)}, tolerance)
    return theirs


def _compare_step(settings: Settings, task: Task, gradients: Arrays) -> None:
    """A step of the settings' own optimizer, where gradients are more than rounding."""
    tolerance = TOLERANCES[settings.precision]
    (state,) = Plan(0).generator_states(0, 1)
    with isolated(state):
        mine, learner = _beside(settings, task)
        begun = learner.weights()
        _step(settings, task, mine, learner)
        after, expected = mine.weights(), learner.weights()
    size = _rms(gradients)
    moved, apart, places = [], [], 0.0
    for name, gradient in gradients.items():
        clear = np.abs(gradient) > _SIGNIFICANT * size
        moved.append((expected[name] - begun[name])[clear])
        apart.append((after[name] - expected[name])[clear])
        places += float(np.square(expected[name][clear], dtype=np.float64).sum())
    way, gap = (float(np.sqrt(sum(np.square(one, dtype=np.float64).sum() for one in each))) for each in (moved, apart))
    rounding = float(np.finfo(settings.precision).eps) * places**0.5
    if not gap <= _OF_A_STEP * tolerance * way + rounding:
        raise NotLowered(
            f"a step of {settings.optimizer.name} differs from PyTorch's by {_share(gap, way)} of its length"
        )


def _same(what: str, mine: Arrays, theirs: Arrays, tolerance: float) -> None:
    """NotLowered unless each differs by no more than a share of its size."""
    if mine.keys() != theirs.keys():
        raise NotLowered(f"{what}: PyTorch has others")
    for name, expected in theirs.items():
        gap, size = _norm(mine[name] - expected), _norm(expected)
        if mine[name].shape != expected.shape or not gap <= tolerance * size:
            where = f" ({name})" if name else ""
            raise NotLowered(f"{what}{where} differ from PyTorch's by {_share(gap, size)} of their size")


def _same_gradients(mine: Arrays, theirs: Arrays, tolerance: float) -> None:
    """Those of a parameter may be rounding alone, beside the others: then they have no digits to compare."""
    if missing := [name for name in mine if name not in theirs]:
        raise NotLowered(f"the loss does not depend on its {missing[0]} in PyTorch")
    whole = _norm(np.concatenate([value.ravel() for value in theirs.values()]))
    kind = next(iter(theirs.values())).dtype
    for name, expected in theirs.items():
        gap, size = _norm(mine[name] - expected), _norm(expected)
        if not gap <= tolerance * size + 100 * float(np.finfo(kind).eps) * whole:
            raise NotLowered(f"the gradient of {name} differs from PyTorch's by {_share(gap, size)} of its size")


def _share(gap: float, whole: float) -> str:
    return f"{gap / whole:.1e}" if whole else f"{gap:.1e} from none"


def _norm(values: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(values.astype(np.float64).ravel()))


def _rms(values: Arrays) -> float:
    flat = np.concatenate([one.ravel() for one in values.values()]).astype(np.float64)
    return float(np.sqrt(np.mean(np.square(flat))))
