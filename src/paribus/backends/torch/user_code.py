"""A module or an optimizer of the user's own in the loop.

It is paired by the state of the generators that it draws from: PyTorch's, NumPy's and Python's begin anew at each step
and at each evaluation from (seed, step). So modules that draw alike get the same initial values and the same noise,
whatever they drew before, and evaluating more often changes nothing. It sees copies: what it writes into its inputs is
seen by nobody else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paribus.backends.torch.initial import at_initial_values
from paribus.backends.torch.kept import (
    attributes,
    changeable,
    copied,
    first_difference,
    held,
    is_pytorchs_own,
    of_parameters,
    packed,
    writes,
)
from paribus.backends.torch.learner import TorchLearner
from paribus.backends.torch.losses import both_logits
from paribus.config.identity.library import is_library_class
from paribus.config.models import UserModel
from paribus.config.settings import Settings, steps_in_epoch
from paribus.config.user_code import code_fingerprint
from paribus.config.user_copies import filled_caches
from paribus.config.user_errors import RAISED, told
from paribus.plan import Indices, Plan
from paribus.tasks import Task
from paribus.tasks.pool import Targets
from paribus.tasks.task import Inputs
from paribus.training.isolation import isolated, process_settings
from paribus.training.learner import EVERY_CAUTION, BeginAgain, Caution, Scores
from paribus.training.randomness import other_states, set_generators, set_torch_generator
from paribus.training.vitals import Look, Moves

_PROBED = 8
_PYTORCHS_OWN = set(vars(torch.optim.SGD([torch.zeros(1)], lr=1.0)))
"""An optimizer's attributes that are not the user's."""
Found = TypeVar("Found")


class UserCodeLearner(TorchLearner):
    """A user's `nn.Module`, or PyTorch's model with a user's optimizer or loss; see `learner.Learner`.

    `cautions`: "generators" sets NumPy's and Python's at each step too, which takes longer than a small module's step
    should; without it only if the first step or evaluation draws from them. "evaluation" evaluates copies; without it
    only if the first evaluation changes the module. Where a later one does, the run begins again with that caution.
    """

    _without_gradients = torch.no_grad  # what a module keeps of an evaluation may go into a step: no inference tensor

    def __init__(
        self, settings: Settings, task: Task, plan: Plan, *, cautions: frozenset[Caution] = frozenset()
    ) -> None:
        self._cautions = cautions
        self._every = "generators" in cautions
        # whether a copy is evaluated, as evaluating changes the module; not known before it is tried
        self._on_copy: bool | None = True if "evaluation" in cautions else None
        self._expected: tuple[Any, ...] | None = None
        self._modules: list[nn.Module] = []
        super().__init__(settings, task, plan)
        self._pytorchs_own = is_pytorchs_own(self.model)
        if self._on_copy is None and self._pytorchs_own:
            self._on_copy = False
        self._per_epoch = steps_in_epoch(settings, len(task.train))
        self._process = process_settings()
        self._states: Iterator[int] = iter(())
        self._steps_done = 0

    def _make_model(self, settings: Settings, task: Task) -> nn.Module:
        if not isinstance(settings.model, UserModel):
            return super()._make_model(settings, task)
        module = settings.model.factory.thing()
        if not isinstance(module, nn.Module):
            raise TypeError(f"its function gave {type(module).__name__}, not an nn.Module")
        return at_initial_values(module, settings, self._dtype, self._plan)

    def _input_shape(self, settings: Settings, task: Task) -> tuple[int, ...]:
        return task.info.input_shape if isinstance(settings.model, UserModel) else super()._input_shape(settings, task)

    def begin_epoch(self, epoch: int, batches: list[Indices]) -> None:
        super().begin_epoch(epoch, batches)
        self._modules = list(self.model.modules())
        ahead = self._per_epoch - len(batches)  # taken before a checkpoint
        self._steps_done = epoch * self._per_epoch + ahead
        self._states = iter(self._plan.generator_states(self._steps_done + 1, len(batches)))

    def step(self, examples: Indices, epoch: int) -> Tensor:
        self._steps_done += 1
        return self._watched(next(self._states), lambda: super(UserCodeLearner, self).step(examples, epoch))

    def evaluate(self, split: str) -> Scores:
        return self._evaluated(lambda: super(UserCodeLearner, self).evaluate(split))

    def look(self, x: Inputs, y: Targets, moved: Moves) -> Look | None:
        """In evaluation, which is known to change nothing outside of the module; None of one that cannot be copied, or
        looked at, as that is nothing that training needs."""
        if not isinstance(self._settings.model, UserModel):
            return super().look(x, y, moved)
        with isolated(self._plan.evaluation_state(self._steps_done)):
            try:
                return self._looked(copied(self.model).eval(), x, y, moved)
            except RAISED:  # whatever the user's code raises
                return None

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        return self._evaluated(lambda: super(UserCodeLearner, self).logits(x))

    def _evaluated(self, act: Callable[[], Found]) -> Found:
        """An evaluation. What a module counts or changes while it is evaluated, it counts and changes in a copy: else
        it would train otherwise when it is looked at more often. Whether it needs one the first evaluation shows, which
        is always one of a copy, or a later one."""
        model, first, before = self.model, self._on_copy is None, self._look()
        if self._on_copy is not False:
            try:
                self.model = copied(model)
            except RAISED:  # whatever a user's module raises when it is copied: evaluated itself, and looked at
                self.model = model
        modes = _modes(model) if self.model is not model else {}
        for module in modes:  # a function in an attribute still reaches them: it has to find them in evaluation
            module.training = False
        copy_before = changeable(self.model) if first else {}
        try:
            found = self._watched(self._plan.evaluation_state(self._steps_done), act)
            if first:
                self._on_copy = changeable(self.model) != copy_before
        finally:
            self.model = model
            for module, training in modes.items():
                module.training = training
        if self._look() != before:
            self._copy_evaluations()
        return found

    def _look(self) -> object:
        """At the module that is trained: PyTorch's own layers write into their parameters and buffers at most."""
        return writes(self._modules) if self._pytorchs_own else changeable(self.model)

    def _copy_evaluations(self) -> None:
        what = "evaluating the module changes it"
        if self._on_copy is not False:
            raise ValueError(
                f"{what}, and that of a copy does too, or it cannot be copied: count only while self.training"
            )
        raise BeginAgain(f"{what}, as the first time had not shown", "evaluation")

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
        found = self.model(self._data.scaled(self._x[:size].clone()))
        steps = self._task.steps
        wide = 1 if self.binary else self._task.outputs
        if steps is not None and isinstance(found, Tensor) and found.shape == (size, steps, wide):
            found, size = found.flatten(0, 1), size * steps
        one_output = self.binary and isinstance(found, Tensor) and found.shape in ((size,), (size, 1))
        return both_logits(found) if one_output else found

    def watches_generators(self) -> bool:
        return self._expected is not None

    def confirm(self) -> None:
        """What it drew from NumPy's or Python's generator after a first step without any was not paired."""
        if self._expected is not None and other_states() != self._expected:
            reason = "its code draws from NumPy's or Python's generator, as its first step had not shown"
            raise BeginAgain(reason, "generators")

    # --- whether a checkpoint is enough ---

    def doubt(self) -> str | None:
        """Why going on from a checkpoint might end elsewhere, None where one step from it is proven to be the same.

        A new module is made and restored, takes one step and is evaluated; so is a copy of this one. They must agree in
        every number and in every attribute: counters, generators, buffers that are not kept.
        """
        if process_settings() != self._process:
            return "it changes a setting of the whole process"
        with isolated(0):
            return self._doubt()

    def _doubt(self) -> str | None:
        try:
            if names := filled_caches([*held(self.model), *self.outside_things()]):
                return f"it keeps something in the cache of {names[0]}"
            mine, other = self._twin(), self._twin()
            memo: dict[int, Any] = {}
            mine.model = copied(self.model, memo)
            mine.optimizer = copy.deepcopy(self.optimizer, memo)
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
            if (name := first_difference(one, two)) is not None:
                return f"one step from a checkpoint ends elsewhere (in {name})"
            if self._expected is not None:  # it draws from PyTorch's generator alone: does it look at the others?
                quiet = self._twin()
                quiet.restore(self.state())
                quiet._adopt(self)
                quiet._every, quiet._expected = False, ()
                set_generators(1)
                if first_difference(one, quiet._probed()) is not None:
                    return "it reads the state of NumPy's or Python's generator"
        except RAISED as error:  # whatever the user's code raises when it is copied or restored
            return f"it cannot be copied and restored ({told(error)[:150]})"
        return None

    def _twin(self) -> UserCodeLearner:
        settings = self._settings.with_copies()
        return type(self)(settings, self._task, self._plan, cautions=EVERY_CAUTION)

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
        found = attributes(self.model, of_checkpoint=True) | of_parameters(self.model)
        for key, value in vars(self.optimizer).items():
            if key in ("param_groups", "state") or (key in _PYTORCHS_OWN and not (key.endswith("_hooks") and value)):
                continue
            found[f"the optimizer's {key}"] = packed(value)
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


def _modes(model: nn.Module) -> dict[nn.Module, bool]:
    """Which of its modules are training."""
    return {module: module.training for module in model.modules()}
