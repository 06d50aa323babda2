"""A run of a user's module in the compiled engine: it begins at the module's own initial values, as PyTorch draws them
under the run's seed, and its weights have the module's own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from paribus.backends.lowering.recognise import Recognised, recognise
from paribus.backends.lowering.trace import NotLowered, check_parts
from paribus.backends.torch.initial import at_initial_values
from paribus.backends.torch.kept import likeness, unlike
from paribus.backends.torch.learner import DTYPES
from paribus.backends.torch.models import users_module
from paribus.backends.torch.user_code import UserCodeLearner
from paribus.config.identity.library import is_library_class
from paribus.config.settings import Settings
from paribus.config.user_code import code_fingerprint
from paribus.fused.compile import engine_of, loops_of
from paribus.fused.engine import Mlp
from paribus.fused.mlp_general_engine import GeneralMlp
from paribus.plan import Plan
from paribus.tasks import Task
from paribus.tasks.pool import Targets
from paribus.tasks.task import Inputs
from paribus.training.isolation import isolated
from paribus.training.vitals import Look, Moves


@dataclass(frozen=True)
class Lowered:
    """What all runs of a module have in common: what was `recognised`, and their `likeness`, see `kept.likeness`."""

    recognised: Recognised
    likeness: Mapping[str, bytes]


def made(settings: Settings, plan: Plan) -> nn.Module:
    """The module of a run at its initial values, in the type of its training."""
    (state,) = plan.generator_states(0, 1)
    with isolated(state):
        return at_initial_values(users_module(settings), settings, DTYPES[settings.precision], plan)


@lru_cache(maxsize=64)
def lowered(settings: Settings, inputs: tuple[int, ...]) -> Lowered:
    """What the module of settings is to the engine, read from that of one seed; NotLowered where it is nothing there.
    `inputs`: an example's shape."""
    plan = Plan(0)
    module = made(settings, plan)
    classes = [one for one in dict.fromkeys(map(type, module.modules())) if not is_library_class(one)]
    reached = [code_fingerprint(one) for one in classes]
    with isolated(plan.evaluation_state(0)):
        found = Lowered(recognise(module, inputs), likeness(module))
    if [code_fingerprint(one) for one in classes] != reached:
        raise NotLowered("its forward changes something outside of the module, in a closure or a global")
    return found


def loops(settings: Settings, task: Task) -> str:
    """Which of the engine's loops train it."""
    return loops_of(settings, lowered(settings, task.info.input_shape).recognised.network)


class LoweredRun:
    """A run's engine at its initial values, and what is seen of it: see `probes.Model`."""

    def __init__(self, settings: Settings, task: Task, plan: Plan, splits: Sequence[str]) -> None:
        self._settings, self._task, self._plan = settings, task, plan
        found = lowered(settings, task.info.input_shape)
        module = made(settings, plan)
        check_parts(module)
        if (name := unlike(module, found.likeness)) is not None:
            raise NotLowered(f"its module differs from seed to seed in {name}: take implementation=torch")
        self._names, network = found.recognised.names, found.recognised.network
        kind = engine_of(loops_of(settings, network))
        assert issubclass(kind, Mlp)
        self.engine = kind(settings, task, plan.seed, splits, network)
        state = {name: value.detach().numpy() for name, value in module.state_dict().items()}
        self._order = [name for name in state if not name.endswith("num_batches_tracked")]
        self.engine.load({name: state[self._names[name]] for name in self.engine.shapes()})
        if isinstance(self.engine, GeneralMlp):
            kept = self._names.keys() - self.engine.shapes().keys()
            self.engine.load_statistics({name: state[self._names[name]] for name in kept})
        self._learner: UserCodeLearner | None = None

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        """Shape (inputs, outputs)."""
        return self.engine.logits(x)

    def weights(self) -> dict[str, NDArray[np.floating]]:
        """Copies of the parameters and running statistics, under the module's own names and in its own order."""
        return self._as_named(self.engine.weights())

    def gradients(self) -> dict[str, NDArray[np.floating]]:
        """See `Engine.gradients`."""
        return self._as_named(self.engine.gradients())

    def _as_named(self, values: Mapping[str, NDArray[np.floating]]) -> dict[str, NDArray[np.floating]]:
        found = {self._names[name]: value for name, value in values.items()}
        return {name: found[name] for name in self._order if name in found}

    def look(self, x: Inputs, y: Targets, moved: Moves) -> Look | None:
        """At the module itself, at the engine's weights: what `UserCodeLearner.look` says of it."""
        if self._learner is None:
            (state,) = self._plan.generator_states(0, 1)
            with isolated(state):
                self._learner = UserCodeLearner(self._settings.with_copies(), self._task, self._plan)
        values = {name: torch.from_numpy(value) for name, value in self.weights().items()}
        self._learner.model.load_state_dict(values, strict=False)  # it has no count of batches
        return self._learner.look(x, y, moved)
