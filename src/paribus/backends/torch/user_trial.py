"""Before anything is trained: one whole step of the user's code on a throw-away, so that what cannot be trained is told
in a sentence, and leaves nothing behind."""

from __future__ import annotations

import platform
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paribus.backends.base import Behaviour, Trial
from paribus.backends.torch import ends, loss_trial
from paribus.backends.torch.learner import DTYPES
from paribus.backends.torch.losses import training_loss
from paribus.backends.torch.user_code import UserCodeLearner
from paribus.config.losses import UserLoss
from paribus.config.models import UserModel
from paribus.config.settings import Settings
from paribus.config.user_errors import RAISED, told
from paribus.plan import Plan
from paribus.records.structure import SOFTMAX_BEFORE_LOSS, tagged
from paribus.tasks import Task
from paribus.training.isolation import isolated, process_settings
from paribus.training.sampling import epochs

_ROUNDING = 1e-4
"""By how much a sum of probabilities may miss 1: float32, and many classes."""


class TrialError(ValueError):
    """What is wrong, in words of ours."""


def trial(settings: Settings, task: Task, make: Callable[[Settings], UserCodeLearner]) -> Trial:
    """Why a user's module or optimizer cannot be trained on the task; where it can, what there is to remark, and how it
    behaves. `make`: a learner of settings.

    A copy is made, and takes a step on as many examples as each batch has (the last may be short: one example alone is
    too few for batch normalisation); then it is evaluated.
    """
    theirs = settings.user_defined_parts()
    what = " and ".join(f"{kind}={thing.name}" for kind, thing in theirs.items() if kind != "task")
    plan, first = Plan(0), settings.model_copy(update={"epochs": 1})
    (state,) = plan.generator_states(0, 1)
    tried, outputs, stands = "", [], []
    try:
        copies = settings.with_copies()
        with isolated(state):
            learner = make(copies)
            if isinstance(settings.model, UserModel) and shares(learner, make(copies)):
                again = f"{what} gives the same module twice: every run needs one of its own, as from lambda: Net()"
                return Trial(refusals=[again])
            _check_trainable(learner)
            sizes = sorted({len(batch) for batch in next(epochs(first, plan, len(task.train)))}, reverse=True)
            for size in sizes:
                tried = f" on a batch of {size} (batch_size={settings.batch_size}, {len(task.train)} examples)"
                found = _check_outputs(learner, task, size)
                outputs.append(_numbers(found))
                stands.append(ends.end_of(found))
                _check_step(learner, size)
            tried = " in evaluation"
            before = learner.outside(), process_settings()
            evaluated = learner.logits(task.test.x[:size])
            if (learner.outside(), process_settings()) != before:
                raise TrialError(
                    "evaluating it changes something outside of the module, in a closure or a global: looked at more "
                    "often, it would train otherwise; keep what it counts in the module, and count while self.training"
                )
    except TrialError as error:
        return Trial(refusals=[f"{what}{tried}: {error}"])
    except RAISED as error:  # whatever the user's code raises is the answer
        return Trial(refusals=[f"{what} cannot be trained{tried}: {told(error)}"])
    minimised = not isinstance(settings.loss, UserLoss)
    soft = None if learner.binary else _probabilities(outputs, evaluated, minimised=minimised)
    on_top = _on_outputs(stands[0], task, binary=learner.binary) if minimised and soft is None else None
    remarks = [soft, on_top, _left_out(learner), *_of_loss(settings, task)]
    return Trial(
        remarks=[f"{what}: {remark}" for remark in remarks if remark is not None],
        behaviour=_behaviour(settings, task, make, sizes[0]),
    )


def _probabilities(
    outputs: list[NDArray[np.floating]], evaluated: NDArray[np.floating], *, minimised: bool
) -> str | None:
    """What there is to say of outputs that are those of a softmax, in training or in evaluation. Those of a
    log-softmax are left as they are by another. `minimised`: whether the loss that evaluations tell is minimised, and
    none of the user's own."""
    training = all(map(_sum_to_one, outputs))
    if not training and not _sum_to_one(evaluated):
        return None
    classes = evaluated.shape[1]
    when = "" if training else " in evaluation"
    if not minimised:
        return (
            f"the outputs are probabilities{when}, as after a softmax: none is negative, rows sum to 1. The loss that "
            "evaluations tell takes a softmax itself, so it is not the cross-entropy of these probabilities. Return "
            "the logits, and take the softmax in your loss"
        )
    return tagged(
        SOFTMAX_BEFORE_LOSS,
        f"the outputs are probabilities{when}, as after a softmax: none is negative, rows sum to 1. The loss takes "
        f"a softmax itself, so here it is taken twice: of {classes} classes, such a loss never falls below "
        f"{np.log(np.e + classes - 1) - 1:.3g}, and its gradients are small. Return the logits, without the softmax",
    )


def _on_outputs(end: ends.End | None, task: Task, *, binary: bool) -> str | None:
    """What there is to say of what stands on the outputs, where the loss that is minimised is built in."""
    targets = task.targets(task.train.y, np.dtype(np.float64))
    return ends.remark(
        end, classes=task.info.classes if task.target is None else 0, binary=binary, targets=np.asarray(targets)
    )


def _of_loss(settings: Settings, task: Task) -> list[str]:
    """What there is to say of a loss of the user's own: of a copy, under generators of its own."""
    if not isinstance(settings.loss, UserLoss):
        return []
    (state,) = Plan(0).generator_states(0, 1)
    dtype, device = DTYPES[settings.precision], torch.device(settings.device)
    with isolated(state):
        try:
            loss = training_loss(settings.with_copies(), task, dtype, device)
        except RAISED:  # whatever the user's code raises when it is copied
            return []
        return loss_trial.remarks(loss, task.outputs if task.target is None else 0, dtype, device)


def _sum_to_one(rows: NDArray[np.floating]) -> bool:
    return rows.shape[1] > 1 and bool((rows >= 0).all() and (abs(rows.sum(axis=1) - 1) < _ROUNDING).all())


def _left_out(learner: UserCodeLearner) -> str | None:
    """What there is to say of parameters that require a gradient and that the optimizer does not have."""
    moved = {id(one) for group in learner.optimizer.param_groups for one in group["params"]}
    wanted = {name: one for name, one in learner.model.named_parameters() if one.requires_grad}
    names = [name for name, one in wanted.items() if id(one) not in moved]
    if not names:
        return None
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return (
        f"the optimizer leaves out {len(names)} of {len(wanted)} parameters that require a gradient ({listed}): they "
        "keep their initial values. Give it all that its function is given, or set requires_grad=False where that is "
        "meant"
    )


def _behaviour(
    settings: Settings, task: Task, make: Callable[[Settings], UserCodeLearner], size: int
) -> Behaviour | None:
    """How the code behaves under a fixed seed, None where twice the same is not the same: then it cannot be told."""
    # another processor rounds otherwise, and Adam makes a step of what is rounding alone
    processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    under = {"task": task.info.fingerprint, "torch": torch.__version__, "processor": processor}
    try:
        one, other = (Behaviour(_probed(settings, task, make, size), under) for _ in range(2))
    except RAISED:  # whatever the user's code raises when it is made once more
        return None
    return one if one.agrees(other) else None


def _probed(settings: Settings, task: Task, make: Callable[[Settings], UserCodeLearner], size: int) -> list[float]:
    """Of each parameter at birth: its shape, mean and mean size; of one step: the loss and the gradient's norm; after
    it, the norm of the outputs."""
    found: list[float] = []
    (state,) = Plan(0).generator_states(0, 1)
    with isolated(state):
        learner = make(settings.with_copies())
        for parameter in learner.model.parameters():
            values = parameter.detach().double()
            found += [*map(float, parameter.shape), values.mean().item(), values.abs().mean().item()]
        examples = np.arange(size)
        learner.begin_epoch(0, [examples])
        found.append(float(learner.step(examples, 0)))
        gradients = [one.grad for one in learner.model.parameters() if one.grad is not None]
        found.append(sum(one.double().square().sum().item() for one in gradients) ** 0.5)
        found.append(float(np.linalg.norm(learner.logits(task.train.x[:size]).astype(np.float64))))
    return found


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


def _check_outputs(learner: UserCodeLearner, task: Task, size: int) -> Tensor:
    logits = learner.try_out(size)
    if not isinstance(logits, Tensor):
        raise TypeError(f"it gives {type(logits).__name__}, not a tensor of logits")
    if (shape := tuple(logits.shape)) != (size * (task.steps or 1), task.outputs):
        rows = (size,) if task.steps is None else (size, task.steps)
        wanted = (*rows, 1 if learner.binary else task.outputs)
        what = "a logit for each class" if task.target is None else "the one number that is predicted (no squeeze)"
        if learner.binary:
            what = "the logit of the second class"
        each = "a row for each example" if task.steps is None else "a row for each example and each step"
        raise TrialError(f"{size} examples give an output of shape {shape}, it has to be {wanted}: {each}, {what}")
    if not logits.requires_grad:
        raise TrialError(
            "its output has no gradient: it may be computed under torch.no_grad(), through NumPy, or with .detach()"
        )
    return logits


def _numbers(outputs: Tensor) -> NDArray[np.floating]:
    found: NDArray[np.floating] = outputs.detach().double().cpu().numpy()
    return found


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
