"""A network of the user's in the loop: its forward and backward, all else of the house."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from paribus.backends.network.adapted import Adapted, logits
from paribus.backends.network.kept import first_difference
from paribus.backends.network.recognise import Shape, recognise
from paribus.backends.numpy_backend import NumpyLearner
from paribus.byhand.layers import Array
from paribus.byhand.losses import CrossEntropyOfProbabilities, Loss
from paribus.config.implementations import UserImplementation
from paribus.config.settings import Settings, steps_in_epoch
from paribus.config.user_code import code_fingerprint
from paribus.config.user_errors import RAISED, told
from paribus.plan import Indices, Plan
from paribus.tasks import Task
from paribus.tasks.task import Inputs
from paribus.training.isolation import isolated, process_settings
from paribus.training.learner import Scores
from paribus.training.randomness import set_generators

_PROBED = 8


def shape_of(settings: Settings, task: Task) -> Shape:
    """What the network of these settings has to be on the task's data."""
    inputs = task.floats(task.test.x[:1], np.dtype(np.float64)).size
    loss = settings.told_loss
    return Shape(
        sizes=(inputs, *settings.mlp.hidden, task.outputs_for(loss)),
        activation=settings.mlp.activation,
        predicts="numbers" if loss.of_numbers else "binary" if loss.one_output else "classes",
    )


class NetworkLearner(NumpyLearner):
    """See `learner.Learner`. NumPy's and Python's generators begin anew at each step and each evaluation, from the
    seed, for a network that draws; what an evaluation changes in the network, it changes in a copy."""

    model: Adapted

    def __init__(self, settings: Settings, task: Task, plan: Plan) -> None:
        super().__init__(settings, task, plan)
        self._per_epoch = steps_in_epoch(settings, len(task.train))
        self._process = process_settings()
        self._states: Iterator[int] = iter(())
        self._steps_done = 0

    def _made(self, settings: Settings, task: Task) -> tuple[Adapted, tuple[int, ...]]:
        assert isinstance(settings.implementation, UserImplementation)
        self.function, shape = settings.implementation.network.thing, shape_of(settings, task)
        found = recognise(self.function, shape)
        self._as_named = found.computes == shape.activation
        return found.make(self.function, self._dtype), shape.sizes[:1]

    def known_by_weights(self) -> bool:
        """Where its outputs were found to be those of the mlp. Nothing looks at another function: a backward more might
        change what its code reaches."""
        return self._as_named

    def _make_loss(self, weights: NDArray[np.float64] | None = None) -> Loss:
        if self.model.reading.softmax == "inside":
            return CrossEntropyOfProbabilities(weights)
        return super()._make_loss(weights)

    def begin_epoch(self, epoch: int, batches: list[Indices]) -> None:
        super().begin_epoch(epoch, batches)
        ahead = self._per_epoch - len(batches)  # taken before a checkpoint
        self._steps_done = epoch * self._per_epoch + ahead
        self._states = iter(self._plan.generator_states(self._steps_done + 1, len(batches)))

    def step(self, examples: Indices, epoch: int) -> float:
        self._steps_done += 1
        set_generators(next(self._states))
        return super().step(examples, epoch)

    def _passed(self, examples: Indices, epoch: int) -> tuple[float, dict[str, Array]]:
        if self.model.reading.calls.gives_loss is None:
            return super()._passed(examples, epoch)
        x, y = self._x[examples], self._y[examples]
        loss, gradients = self.model.loss(x.copy(), y)
        return (self.loss.forward(self.model.evaluated(x), y) if loss is None else loss), gradients

    def gradients(self, examples: Indices) -> dict[str, Array]:
        """Of these training examples; nothing is moved."""
        return self._passed(examples, 0)[1]

    def evaluate(self, split: str) -> Scores:
        set_generators(self._plan.evaluation_state(self._steps_done))
        return super().evaluate(split)

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        set_generators(self._plan.evaluation_state(self._steps_done))
        return super().logits(x)

    def _logits(self, x: Array) -> Array:
        return self.model.evaluated(x)

    def _both(self, outputs: Array) -> Array:
        """Logits, where the network gives probabilities."""
        if self.model.reading.softmax == "inside":
            return logits(outputs)
        return super()._both(outputs)

    # --- whether a checkpoint is enough ---

    def doubt(self) -> str | None:
        """Why going on from a checkpoint might end elsewhere, None where one step from it is proven to be the same.

        A new network is made and restored, and takes one step; so does a copy of this one. Every attribute must agree.
        """
        if process_settings() != self._process:
            return "it changes a setting of the whole process"
        with isolated(0):
            try:
                return self._doubt()
            except RAISED as error:  # whatever the user's code raises when it is copied or restored
                return f"it cannot be copied and restored ({told(error)[:150]})"

    def _doubt(self) -> str | None:
        settings = self._settings.with_copies()
        mine, other = (type(self)(settings, self._task, self._plan) for _ in range(2))
        mine.model = self.model.around(copy.deepcopy(self.model.thing))
        mine.optimizer.parameters = mine.model.parameters
        for one in (mine, other):
            one.restore(self.state())
            one.optimizer.lr = self.optimizer.lr
        if code_fingerprint(self.function) != code_fingerprint(other.function):
            return "it keeps something outside of the network, in a closure or a global"
        examples = np.arange(min(_PROBED, len(self._task.train)))
        for one in (mine, other):
            one.begin_epoch(0, [examples])
            one.step(examples, 0)
        if (name := first_difference(mine.model.thing, other.model.thing)) is not None:
            return f"its {name} is not kept in a checkpoint"
        return None
