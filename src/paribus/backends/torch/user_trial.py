"""Before anything is trained: one whole step of the user's code on a throw-away, so that what cannot be trained is told
in a sentence, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from paribus.backends.torch.user_code import UserCodeLearner
from paribus.config.models import UserModel
from paribus.config.settings import Settings
from paribus.plan import Plan
from paribus.tasks import Task
from paribus.training.randomness import borrowed_generators
from paribus.training.sampling import epochs


class TrialError(ValueError):
    """What is wrong, in words of ours."""


def refusal(settings: Settings, task: Task, make: Callable[[Settings], UserCodeLearner]) -> str | None:
    """Why a user's module or optimizer cannot be trained on the task, None where it can. `make`: a learner of settings.

    A copy is made, and takes a step on as many examples as each batch has (the last may be short: one example alone is
    too few for batch normalisation); then it is evaluated, and its state is taken and given back.
    """
    theirs = settings.user_defined_parts()
    what = " and ".join(f"{kind}={thing.name}" for kind, thing in theirs.items() if kind != "task")
    plan, first = Plan(0), settings.model_copy(update={"epochs": 1})
    (state,) = plan.generator_states(0, 1)
    tried = ""
    try:
        copies = settings.with_copies()
        with borrowed_generators(state):
            learner = make(copies)
            if isinstance(settings.model, UserModel) and shares(learner, make(copies)):
                return f"{what} gives the same module twice: every run needs one of its own, as from lambda: Net()"
            _check_trainable(learner)
            for size in sorted({len(batch) for batch in next(epochs(first, plan, len(task.train)))}, reverse=True):
                tried = f" on a batch of {size} (batch_size={settings.batch_size}, {len(task.train)} examples)"
                _check_outputs(learner, task, size)
                _check_step(learner, size)
            tried = " in evaluation"
            before = learner.outside()
            learner.logits(task.test.x[:size])
            if learner.outside() != before:
                raise TrialError(
                    "evaluating it changes something outside of the module, in a closure or a global: looked at more "
                    "often, it would train otherwise; keep what it counts in the module, and count while self.training"
                )
            tried = " from a checkpoint"
            learner.restore(learner.state())
    except TrialError as error:
        return f"{what}{tried}: {error}"
    except Exception as error:  # whatever the user's code raises is the answer
        return f"{what} cannot be trained{tried}: {type(error).__name__}: {error}"
    return None


def shares(one: UserCodeLearner, other: UserCodeLearner) -> bool:
    """Whether two modules have a parameter or buffer in common, so that one run would begin where another ended."""
    mine = {id(tensor) for tensor in (*one.model.parameters(), *one.model.buffers())}
    return any(id(tensor) in mine for tensor in (*other.model.parameters(), *other.model.buffers()))


def _check_trainable(learner: UserCodeLearner) -> None:
    parameters = list(learner.model.parameters())
    if not parameters:
        raise TrialError("the module has no parameters: there is nothing to train")
    if not any(parameter.requires_grad for parameter in parameters):
        raise TrialError("no parameter of the module requires a gradient: there is nothing to train")
    moved = {id(one) for group in learner.optimizer.param_groups for one in group["params"]}
    if not any(id(parameter) in moved for parameter in parameters):
        raise TrialError("the optimizer has none of the module's parameters: give it those that its function is given")


def _check_outputs(learner: UserCodeLearner, task: Task, size: int) -> None:
    logits = learner.try_out(size)
    if not isinstance(logits, Tensor):
        raise TypeError(f"it gives {type(logits).__name__}, not a tensor of logits")
    if (shape := tuple(logits.shape)) != (wanted := (size, task.info.classes)):
        raise TrialError(
            f"{size} examples give an output of shape {shape}, it has to be {wanted}: a row for each example, a "
            "logit for each class"
        )
    if not logits.requires_grad:
        raise TrialError(
            "its output has no gradient: it may be computed under torch.no_grad(), through NumPy, or with .detach()"
        )


def _check_step(learner: UserCodeLearner, size: int) -> None:
    examples = np.arange(size)
    learner.begin_epoch(0, [examples])
    try:
        learner.step(examples, 0)
    except TypeError as error:
        if "closure" in str(error):
            raise TrialError(
                "the optimizer's step needs a closure, which evaluates the loss anew (as LBFGS does); a step here has "
                "its gradient already: take an optimizer whose step() needs none"
            ) from None
        raise
    except RuntimeError as error:
        if "sparse" in str(error).lower():
            raise TrialError(
                "the optimizer takes sparse gradients alone, as embeddings with sparse=True have, and these are dense: "
                "take another, as torch.optim.Adam"
            ) from None
        raise
    finite = all(bool(torch.isfinite(one).all()) for one in learner.model.parameters())
    if not finite:
        raise TrialError("one step on the first examples makes its parameters infinite or NaN")
