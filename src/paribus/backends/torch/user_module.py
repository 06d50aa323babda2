"""A module of the user's own in the loop, paired by the state of the generators that it draws from."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from paribus.backends.torch.learner import TorchLearner
from paribus.config.models import UserModel
from paribus.config.settings import Settings, steps_in_epoch
from paribus.plan import Indices, Plan
from paribus.tasks import Task
from paribus.training.randomness import global_randomness
from paribus.training.sampling import epochs


class UserModuleLearner(TorchLearner):
    """A user's `nn.Module`; see `learner.Learner`.

    It is made and trained under generator states that belong to (seed, step). So modules that draw alike get the same
    initial values and the same noise at each step, whatever they drew in the steps before.
    """

    def __init__(self, settings: Settings, task: Task, plan: Plan) -> None:
        super().__init__(settings, task, plan)
        self._per_epoch = steps_in_epoch(settings, len(task.train))
        self._states: Iterator[int] = iter(())

    def _make_model(self, settings: Settings, task: Task) -> nn.Module:  # noqa: ARG002
        assert isinstance(settings.model, UserModel)
        self._dropout = 0.0
        module = settings.model.factory.thing()
        if not isinstance(module, nn.Module):
            raise TypeError(f"its function gave {type(module).__name__}, not an nn.Module")
        return module.to(self._dtype).train()

    def _input_shape(self, settings: Settings, task: Task) -> tuple[int, ...]:  # noqa: ARG002
        return task.info.input_shape

    def begin_epoch(self, epoch: int, batches: list[Indices]) -> None:
        super().begin_epoch(epoch, batches)
        ahead = self._per_epoch - len(batches)  # taken before a checkpoint
        self._states = iter(self._plan.generator_states(epoch * self._per_epoch + ahead + 1, len(batches)))

    def step(self, examples: Indices, epoch: int) -> Tensor:
        state = next(self._states)
        torch.default_generator.manual_seed(state)  # torch.manual_seed formats a stack trace for each absent device
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed(state)
        return super().step(examples, epoch)

    def try_out(self, size: int) -> Tensor:
        """Logits of the first `size` training examples, as in training."""
        logits = self.model(self._data.scaled(self._x[:size]))
        if not isinstance(logits, Tensor):
            raise TypeError(f"it gives {type(logits).__name__}, not a tensor of logits")
        return logits

    def shares_with(self, other: UserModuleLearner) -> bool:
        """Whether two modules have a parameter in common, so that one run would begin where another ended."""
        mine = {id(parameter) for parameter in self.model.parameters()}
        return any(id(parameter) in mine for parameter in other.model.parameters())


def refusal(settings: Settings, task: Task) -> str | None:
    """Why a user's module or optimizer cannot be trained on the task, if it cannot: made, and tried on as many examples
    as each batch has. The last may be short: one example alone is too few for batch normalisation.
    """
    own = settings.user_defined_parts()
    what = " and ".join(f"{kind}={thing.name}" for kind, thing in own.items() if kind != "task")
    plan, first = Plan(0), settings.model_copy(update={"epochs": 1})
    tried = ""
    try:
        with global_randomness(plan, settings):
            learner = (UserModuleLearner if "model" in own else TorchLearner)(settings, task, plan)
            if isinstance(learner, UserModuleLearner):
                if learner.shares_with(UserModuleLearner(settings, task, plan)):
                    return f"{what} gives the same module twice: every run needs one of its own, as from lambda: Net()"
                for size in sorted({len(batch) for batch in next(epochs(first, plan, len(task.train)))}, reverse=True):
                    tried = f" on a batch of {size} (batch_size={settings.batch_size}, {len(task.train)} examples)"
                    shape = tuple(learner.try_out(size).shape)
                    if shape != (size, task.info.classes):
                        return (
                            f"{what}: {size} examples give an output of shape {shape}, it has to be "
                            f"{(size, task.info.classes)}: a row for each example, a logit for each class"
                        )
    except Exception as error:  # whatever the user's code raises is the answer
        return f"{what} cannot be trained{tried}: {type(error).__name__}: {error}"
    return None
