"""Before anything is trained: a network of the user's is made and read, its gradients are compared with differences,
and whole steps are tried on a throw-away."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from paribus.backends.base import Behaviour, Trial
from paribus.backends.network.adapted import Adapted
from paribus.backends.network.calls import NotUnderstoodError
from paribus.backends.network.gradients import loss_of, wrong_gradients
from paribus.backends.network.learner import NetworkLearner, shape_of
from paribus.backends.network.recognise import DOUBLE, Recognised, Shape, probe_values, recognise
from paribus.byhand.layers import Array
from paribus.byhand.losses import Loss
from paribus.config.implementations import UserImplementation
from paribus.config.settings import Settings
from paribus.config.user_code import code_fingerprint
from paribus.config.user_errors import RAISED, told
from paribus.plan import Plan
from paribus.records.record import WRONG_GRADIENT
from paribus.tasks import Task
from paribus.training.isolation import isolated, process_settings
from paribus.training.sampling import epochs

_TOLERANCE = 1e-4
"""By which share a loss may differ from that of the settings."""


class TrialError(ValueError):
    """What is wrong, in words of ours."""


def trial(settings: Settings, task: Task, make: Callable[[Settings], NetworkLearner]) -> Trial:
    """Why a network of the user's cannot be trained on the task; where it can, what there is to remark, and how it
    behaves. `make`: a learner of settings, at the plan's initial values."""
    own = settings.implementation
    assert isinstance(own, UserImplementation)
    called, thing = f"implementation={own.name}", own.network.thing
    (state,) = Plan(0).generator_states(0, 1)
    try:
        with isolated(state):
            copies = settings.with_copies()
            found = recognise(_function(copies), shape_of(settings, task))
    except NotUnderstoodError as error:
        return Trial(refusals=[f"{called} cannot be taken: {error}. {_cure(thing)}"])
    except RAISED as error:
        return Trial(refusals=[f"{called} cannot be taken: it raises {told(error)}"])
    try:
        with isolated(state):
            remarks = [*_function_remarks(found, settings, thing), *_gradient_remarks(found, copies, task, thing)]
        with isolated(state):
            learner = make(settings.with_copies())
            _check_steps(learner, settings, task)
            remarks += _type_remarks(learner.model, settings)
    except (TrialError, NotUnderstoodError) as error:
        return Trial(refusals=[f"{called}: {error}"])
    except RAISED as error:  # whatever the user's code raises is the answer
        return Trial(refusals=[f"{called} cannot be trained: {told(error)}"])
    return Trial(remarks=[f"{called}: {one}" for one in remarks], behaviour=_behaviour(settings, task, make))


def check_command(thing: Any) -> str:
    """What looks for the mistake in a class or function.

    >>> check_command(Trial)
    '`paribus check base.py:Trial`'
    """
    name = getattr(thing, "__name__", type(thing).__name__)
    try:
        file = Path(inspect.getfile(thing))
    except (TypeError, OSError):
        return f"`paribus.check({name})`"
    top_level = getattr(thing, "__qualname__", "<") == name and name.isidentifier() and file.suffix == ".py"
    return f"`paribus check {file.name}:{name}`" if top_level else f"`paribus.check({name})`"


def _function(settings: Settings) -> Any:
    assert isinstance(settings.implementation, UserImplementation)
    return settings.implementation.network.thing


def _cure(thing: Any) -> str:
    name = getattr(thing, "__name__", type(thing).__name__)
    made = f"{name}(inputs, hidden, outputs)" if isinstance(thing, type) else "Network(...)"
    return (
        "If it is such a network, give a function that makes it: "
        f"def network(inputs, hidden, outputs): return {made}, where hidden is a list of sizes"
    )


def _function_remarks(found: Recognised, settings: Settings, thing: Any) -> Iterator[str]:
    """Where it computes something else than the settings say."""
    activation = settings.mlp.activation
    if found.computes is None:
        yield (
            "at the same parameters its outputs are not those of the mlp of these settings: they are off by "
            f"{found.far:.2g} of the largest, so its curves are those of another function. {check_command(thing)} "
            "compares it with central differences"
        )
    elif found.computes != activation and settings.mlp.hidden:
        yield (
            f"it computes what activation={found.computes} does, and activation={activation} is asked for: give "
            f"activation={found.computes}, so that the other arms do too"
        )


def _gradient_remarks(found: Recognised, settings: Settings, task: Task, thing: Any) -> Iterator[str]:
    """Where a gradient is not that of its outputs; the loss of its own has to be the settings'. `settings`: with
    copies of the user's own, `thing` as it was given."""
    shape = shape_of(settings, task)
    adapted = found.make(_function(settings), DOUBLE)
    adapted.load(probe_values(shape.sizes))
    x, y = _probe(shape)
    loss = loss_of(settings.told_loss, adapted)
    if adapted.reading.calls.gives_loss is not None:
        _check_own_loss(adapted, settings, loss, x, y)
    wrong = wrong_gradients(adapted, loss, x, y)
    if wrong:
        several, backward = len(wrong) > 1, adapted.reading.calls.gives_loss is None
        says = f": {check_command(thing)} says where it departs" if backward else ""  # which checks no loss(x, y)
        yield (
            f"the gradient{'s' * several} of {', '.join(wrong)} {'are' if several else 'is'} {WRONG_GRADIENT} (off by "
            f"{max(wrong.values()):.0%}){says}"
        )


def _probe(shape: Shape) -> tuple[Array, Any]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(shape.examples, shape.sizes[0]))
    if shape.predicts == "numbers":
        return x, rng.normal(size=shape.examples)
    return x, np.arange(shape.examples) % (2 if shape.predicts == "binary" else shape.sizes[-1])


def _check_own_loss(adapted: Adapted, settings: Settings, loss: Loss, x: Array, y: Any) -> None:
    """A loss that the network computes itself is what it minimises."""
    mine, _ = adapted.loss(x.copy(), y)
    ours = loss.forward(adapted.evaluated(x), y)
    if mine is not None and abs(mine - ours) > _TOLERANCE * max(1.0, abs(ours)):
        raise TrialError(
            f"its loss is {mine:.6g} where the cross-entropy of its outputs, a mean over the batch, is {ours:.6g}: set "
            "its regularisation to 0 (weight_decay is a setting), or let it divide by the number of examples"
        )
    for name, neutral in (("label_smoothing", 0), ("class_weight", "none")):
        if getattr(settings, name) != neutral:
            raise TrialError(f"{name}={getattr(settings, name)} has no effect: its loss is its own, loss(x, y)")


def _check_steps(learner: NetworkLearner, settings: Settings, task: Task) -> None:
    """A step on as many examples as each batch has, then an evaluation, which must leave what it reaches as it is."""
    first = settings.model_copy(update={"epochs": 1})
    sizes = sorted({len(batch) for batch in next(epochs(first, Plan(0), len(task.train)))}, reverse=True)
    for size in sizes:
        examples, before = np.arange(size), learner.weights()
        learner.begin_epoch(0, [examples])
        try:
            learner.gradients(examples)
        except RAISED as error:
            raise TrialError(f"on a batch of {size} (batch_size={settings.batch_size}): {told(error)}") from None
        moved = [
            name for name, one in learner.weights().items() if not np.array_equal(one, before[name], equal_nan=True)
        ]
        if moved:
            mine = learner.model.reading.parameters[moved[0]][0].name
            raise TrialError(f"its forward or backward changes {mine}: the step is the optimizer's, leave it out")
        learner.step(examples, 0)
        if not all(np.isfinite(one).all() for one in learner.weights().values()):
            raise TrialError("one step on the first examples makes its parameters infinite or NaN")
    outside = code_fingerprint(learner.function), process_settings()
    learner.logits(task.test.x[:size])
    if (code_fingerprint(learner.function), process_settings()) != outside:
        raise TrialError(
            "evaluating it changes something outside of the network, in a closure or a global: looked at more often, "
            "it would train otherwise"
        )


def _type_remarks(model: Adapted, settings: Settings) -> Iterator[str]:
    others = sorted(model.found - {settings.precision})
    if others:
        yield (
            f"it computes in {' and '.join(others)}, and precision={settings.precision} is asked for: its parameters "
            "have that type, what it computes is rounded to it"
        )


def _behaviour(settings: Settings, task: Task, make: Callable[[Settings], NetworkLearner]) -> Behaviour | None:
    """How the network behaves under a fixed seed, None where twice the same is not the same: then it cannot be told."""
    under = {"task": task.info.fingerprint, "numpy": np.__version__, "processor": platform.machine()}
    try:
        one, other = (Behaviour(_probed(settings, task, make), under) for _ in range(2))
    except RAISED:  # whatever the user's code raises when it is made once more
        return None
    return one if one.agrees(other) else None


def _probed(settings: Settings, task: Task, make: Callable[[Settings], NetworkLearner]) -> list[float]:
    """Of one step: the gradients' norm; after it, the norm of the outputs."""
    (state,) = Plan(0).generator_states(0, 1)
    with isolated(state):
        learner = make(settings.with_copies())
        examples = np.arange(min(settings.batch_size, len(task.train)))
        learner.begin_epoch(0, [examples])
        norms = [float(np.vdot(one, one)) for one in learner.gradients(examples).values()]
        learner.step(examples, 0)
        return [sum(norms) ** 0.5, float(np.linalg.norm(learner.logits(task.train.x[: len(examples)])))]
