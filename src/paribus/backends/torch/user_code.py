"""A module or an optimizer of the user's own in the loop.

It is paired by the state of the generators that it draws from: PyTorch's, NumPy's and Python's begin anew at each step
and at each evaluation from (seed, step). So modules that draw alike get the same initial values and the same noise,
whatever they drew before, and evaluating more often changes nothing. It sees copies: what it writes into its inputs is
seen by nobody else.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paribus.backends.torch.learner import TorchLearner
from paribus.config.models import UserModel
from paribus.config.settings import Settings, steps_in_epoch
from paribus.config.user_code import code_fingerprint
from paribus.plan import Indices, Plan
from paribus.tasks import Task
from paribus.tasks.task import Inputs
from paribus.training.learner import BeginAgain, Scores
from paribus.training.randomness import borrowed_generators, other_states, set_generators, set_torch_generator

_PROBED = 8
Found = TypeVar("Found")


class UserCodeLearner(TorchLearner):
    """A user's `nn.Module`, or PyTorch's model with a user's optimizer; see `learner.Learner`.

    `every_generator`: NumPy's and Python's generators are set at each step too, which takes longer than a small
    module's step should; by default only if the first step or evaluation draws from them.
    """

    _without_gradients = torch.no_grad  # what a module keeps of an evaluation may go into a step: no inference tensor

    def __init__(self, settings: Settings, task: Task, plan: Plan, *, every_generator: bool = False) -> None:
        self._every = every_generator
        self._on_copy: bool | None = None  # whether evaluating changes the module; not known before it is tried
        self._expected: tuple[Any, ...] | None = None
        super().__init__(settings, task, plan)
        self._per_epoch = steps_in_epoch(settings, len(task.train))
        self._states: Iterator[int] = iter(())
        self._steps_done = 0

    def _make_model(self, settings: Settings, task: Task) -> nn.Module:
        if not isinstance(settings.model, UserModel):
            return super()._make_model(settings, task)
        module = settings.model.factory.thing()
        if not isinstance(module, nn.Module):
            raise TypeError(f"its function gave {type(module).__name__}, not an nn.Module")
        return module.to(self._dtype).train()

    def _input_shape(self, settings: Settings, task: Task) -> tuple[int, ...]:
        return task.info.input_shape if isinstance(settings.model, UserModel) else super()._input_shape(settings, task)

    def begin_epoch(self, epoch: int, batches: list[Indices]) -> None:
        super().begin_epoch(epoch, batches)
        ahead = self._per_epoch - len(batches)  # taken before a checkpoint
        self._steps_done = epoch * self._per_epoch + ahead
        self._states = iter(self._plan.generator_states(self._steps_done + 1, len(batches)))

    def step(self, examples: Indices, epoch: int) -> Tensor:
        self._steps_done += 1
        return self._watched(next(self._states), lambda: super(UserCodeLearner, self).step(examples, epoch))

    def evaluate(self, split: str) -> Scores:
        return self._evaluated(lambda: super(UserCodeLearner, self).evaluate(split))

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        return self._evaluated(lambda: super(UserCodeLearner, self).logits(x))

    def _evaluated(self, act: Callable[[], Found]) -> Found:
        """An evaluation. What a module counts while it is evaluated is counted in a copy: else it would train otherwise
        when it is looked at more often. Whether it needs one is seen at the first evaluation."""
        model = self.model
        if self._on_copy is not False:
            try:
                self.model = copy.deepcopy(model)
            except Exception:  # whatever a user's module raises when it is copied: evaluated itself, and looked at
                self.model = model
        before = attributes(model) if self._on_copy is None else {}
        try:
            found = self._watched(self._plan.evaluation_state(self._steps_done), act)
            if self._on_copy is None:
                self._on_copy = first_difference(before, attributes(self.model)) is not None
                if self._on_copy and self.model is model:
                    raise ValueError(
                        "evaluating the module changes it, and it cannot be copied: count only while self.training"
                    )
        finally:
            self.model = model
        return found

    def _logits(self, x: Tensor) -> Tensor:
        """On a copy of the examples, which the module may keep or write into."""
        return super()._logits(x.clone())

    def _watched(self, state: int, act: Callable[[], Found]) -> Found:
        """Under generators at a state. NumPy's and Python's are looked at once: most modules never draw from them."""
        if self._every:
            set_generators(state)
            return act()
        if self._expected is not None:
            set_torch_generator(state)
            return act()
        set_generators(state)
        before = other_states()
        done = act()
        self._every = other_states() != before
        if not self._every and self._steps_done:
            self._expected = before
        return done

    def try_out(self, size: int) -> Any:
        """What the module gives for the first training examples, as in training."""
        return self.model(self._data.scaled(self._x[:size].clone()))

    def watches_generators(self) -> bool:
        return self._expected is not None

    def confirm(self) -> None:
        """What it drew from NumPy's or Python's generator after a first step without any was not paired."""
        if self._expected is not None and other_states() != self._expected:
            raise BeginAgain("its code draws from NumPy's or Python's generator, as its first step had not shown")

    # --- whether a checkpoint is enough ---

    def doubt(self) -> str | None:
        """Why going on from a checkpoint might end elsewhere, None where one step from it is proven to be the same.

        A new module is made and restored, takes one step and is evaluated; so is a copy of this one. They must agree in
        every number and in every attribute: counters, generators, buffers that are not kept.
        """
        with borrowed_generators(0):
            return self._doubt()

    def _doubt(self) -> str | None:
        try:
            mine, other = self._twin(), self._twin()
            mine.model, mine.optimizer = copy.deepcopy((self.model, self.optimizer))
            mine._adopt(self)
            other.restore(self.state())
            other._adopt(self)
            # what an attribute holds is compared before the step too: a counter may change nothing in one step
            if (name := first_difference(mine._kept_beside(), other._kept_beside())) is not None:
                return f"{name} is not kept in a checkpoint"
            if self.outside() != other.outside():
                return "it keeps something outside of the module, in a closure or a global"
            one, two = mine._probed(), other._probed()
        except Exception as error:  # whatever the user's code raises when it is copied or restored
            return f"it cannot be copied and restored ({type(error).__name__}: {str(error)[:120]})"
        name = first_difference(one, two)
        return None if name is None else f"one step from a checkpoint ends elsewhere (in {name})"

    def _twin(self) -> UserCodeLearner:
        settings = self._settings.with_copies()
        return type(self)(settings, self._task, self._plan, every_generator=True)

    def _adopt(self, other: UserCodeLearner) -> None:
        """Take over what the loop has set."""
        self._train_forward = self.model
        self._parameters = dict(self.model.named_parameters())
        self._rates = other._rates
        for mine, group in zip(self.optimizer.param_groups, other.optimizer.param_groups, strict=True):
            mine["lr"] = group["lr"]

    def _probed(self) -> dict[str, Any]:
        """Everything after one step on the first examples."""
        examples = np.arange(min(_PROBED, len(self._task.train)))
        self.begin_epoch(0, [examples])
        self._loader = None
        self.step(examples, 0)
        found: dict[str, Any] = {f"the weights {name}": value for name, value in self.weights().items()}
        found["its outputs"] = self.logits(self._task.test.x[:_PROBED])
        return found | self._kept_beside()

    def _kept_beside(self) -> dict[str, bytes]:
        """What the module and the optimizer keep that their state dictionaries do not hold."""
        found = attributes(self.model, of_checkpoint=True)
        for key, value in vars(self.optimizer).items():
            if key not in ("param_groups", "state") and not key.startswith("_"):
                found[f"the optimizer's {key}"] = _packed(value)
        return found

    def outside(self) -> list[str]:
        """What the user's functions are with all that they reach: it changes where a closure or a global does."""
        return [
            code_fingerprint(one.thing) for kind, one in self._settings.user_defined_parts().items() if kind != "task"
        ]


def attributes(model: nn.Module, *, of_checkpoint: bool = False) -> dict[str, bytes]:
    """What modules keep in attributes, packed; tensors, which a module keeps to be looked at, are left out. With
    `of_checkpoint` everything that a state dictionary does not hold: tensors too, and buffers that are not persistent;
    without, all buffers."""
    found = {}
    for name, module in model.named_modules():
        held = set(module.state_dict(keep_vars=True)) if of_checkpoint else set()
        for key, value in vars(module).items():
            if key in _REGISTRIES or isinstance(value, nn.Module) or (isinstance(value, Tensor) and not of_checkpoint):
                continue
            found[f"attribute {'.'.join(filter(None, (name, key)))}"] = _packed(value)
        for key, buffer in module.named_buffers(recurse=False):
            if key not in held:
                found[f"buffer {'.'.join(filter(None, (name, key)))}"] = _packed(buffer)
    return found


_REGISTRIES = {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "training"}


_PLAIN, _CONTAINERS = (bool, int, float, str), (dict, OrderedDict, list, tuple, set)


def _packed(value: Any) -> bytes:
    """A value as bytes; a tensor or a generator by its numbers."""
    import cloudpickle

    if value is None or type(value) in _PLAIN or (type(value) in _CONTAINERS and not value):
        return f"{type(value).__name__} {value!r}".encode()  # as most are, such as the hooks of a module that has none
    if isinstance(value, torch.Generator):
        value = value.get_state()
    if isinstance(value, Tensor):
        numbers = value.detach().cpu().contiguous().numpy()
        return f"{numbers.dtype}{numbers.shape}".encode() + numbers.tobytes()
    content: bytes = cloudpickle.dumps(value)
    return content


def first_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first name under which two differ, to the last bit."""
    for name in dict.fromkeys((*one, *other)):
        mine, theirs = one.get(name), other.get(name)
        if isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray):
            if mine.shape != theirs.shape or not np.array_equal(mine, theirs, equal_nan=True):
                return name
        elif mine != theirs or type(mine) is not type(theirs):
            return name
    return None
