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
from paribus.config.identity.library import is_library_class
from paribus.config.models import UserModel
from paribus.config.settings import Settings, steps_in_epoch
from paribus.config.user_code import code_fingerprint
from paribus.config.user_copies import filled_caches
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
        self._every = self._careful = every_generator
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
        before = changeable(self.model) if self._on_copy is None else {}
        writes = _writes(model)
        try:
            found = self._watched(self._plan.evaluation_state(self._steps_done), act)
            if self._on_copy is None:
                changes = first_difference(before, changeable(self.model)) is not None
                self._on_copy = changes or (self._careful and self.model is not model)
                if self._on_copy and self.model is model:
                    raise ValueError(
                        "evaluating the module changes it, and it cannot be copied: count only while self.training"
                    )
        finally:
            self.model = model
        if _writes(model) != writes:
            self._begin_again("evaluating its module changes a parameter or buffer")
        return found

    def _begin_again(self, reason: str) -> None:
        if self._careful:
            raise ValueError(f"{reason}, and it cannot be copied: do that only while self.training")
        raise BeginAgain(f"{reason}, as the first time had not shown")

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
        """What it drew from NumPy's or Python's generator after a first step without any was not paired; and what an
        evaluation changes in the module, if the first one changed nothing, was seen by later steps."""
        if self._on_copy is False and self._evaluation_changes():
            self._begin_again("evaluating its module changes it")
        if self._expected is not None and other_states() != self._expected:
            raise BeginAgain("its code draws from NumPy's or Python's generator, as its first step had not shown")

    def _evaluation_changes(self) -> bool:
        """Whether an evaluation changes the module as it is now; that of a copy, which nobody sees."""
        model = self.model
        try:
            self.model = copy.deepcopy(model)
        except Exception:  # whatever a user's module raises when it is copied: then each evaluation is looked at
            return False
        try:
            before = changeable(self.model)
            with borrowed_generators(0), self._without_gradients():
                self._logits(self._data.to_device(self._task.test.x[:_PROBED]))
            return first_difference(before, changeable(self.model)) is not None
        finally:
            self.model = model

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
            if names := filled_caches((self.model, self.outside_things())):
                return f"it keeps something in the cache of {names[0]}"
            mine, other = self._twin(), self._twin()
            mine.model, mine.optimizer = copy.deepcopy((self.model, self.optimizer))
            mine._adopt(self)
            other.restore(self.state())
            other._adopt(self)
            # what an attribute holds is compared before the step too: a counter may change nothing in one step
            # (of this one's optimizer, as a copy of an optimizer leaves its attributes behind)
            if (name := first_difference(self._kept_beside(), other._kept_beside())) is not None:
                return f"{name} is not kept in a checkpoint"
            if self.outside() != other.outside():
                return "it keeps something outside of the module, in a closure or a global"
            one, two = mine._probed(), other._probed()
            if self._expected is not None:  # it draws from PyTorch's generator alone: does it look at the others?
                quiet = self._twin()
                quiet.restore(self.state())
                quiet._adopt(self)
                quiet._every, quiet._expected = False, ()
                set_generators(1)
                if first_difference(one, quiet._probed()) is not None:
                    return "it reads the state of NumPy's or Python's generator"
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
            if key in ("param_groups", "state") or (key in _PYTORCHS_OWN and not (key.endswith("_hooks") and value)):
                continue
            found[f"the optimizer's {key}"] = _packed(value)
        return found

    def outside(self) -> list[str]:
        """What the user's functions and the classes of what they made are, with all that they reach: it changes where a
        closure or a global does."""
        return [code_fingerprint(thing) for thing in self.outside_things()]

    def outside_things(self) -> list[Any]:
        """The user's functions, and the classes of what they made."""
        classes = dict.fromkeys(map(type, (*self.model.modules(), self.optimizer)))
        things = [one.thing for kind, one in self._settings.user_defined_parts().items() if kind != "task"]
        return [*things, *(kind for kind in classes if not is_library_class(kind))]


def changeable(model: nn.Module) -> dict[str, bytes]:
    """What an evaluation might change: attributes, tensors among them, parameters and buffers."""
    found = attributes(model)
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if isinstance(value, Tensor):
                found[f"tensor {name}.{key}"] = f"{id(value)} {_version(value)}".encode()
    for name, one in model.named_parameters():
        found[f"parameter {name}"] = f"{id(one)} {_version(one)}".encode()
    return found


def _version(tensor: Tensor) -> int:
    """How often it was written into, as PyTorch counts; an inference tensor is not counted."""
    return 0 if tensor.is_inference() else tensor._version


def _writes(model: nn.Module) -> int:
    """How often a module's parameters and buffers were written into."""
    return sum(map(_version, (*model.parameters(), *model.buffers())))


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


_PYTORCHS_OWN = set(vars(torch.optim.SGD([torch.zeros(1)], lr=1.0)))
"""An optimizer's attributes that are not the user's."""

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
