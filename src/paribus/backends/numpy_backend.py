"""The hand-written models in the loop: derivatives by hand, no PyTorch."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from paribus.backends.stepwise import StepwiseBackend
from paribus.byhand.cnn import Cnn
from paribus.byhand.layers import Array
from paribus.byhand.losses import Loss, both_logits, make_loss
from paribus.byhand.mlp import Mlp
from paribus.byhand.model import Model
from paribus.byhand.optimizers import OPTIMIZERS, add_l1, clip_by_global_norm
from paribus.byhand.rnn import Rnn
from paribus.config.models import Cnn as CnnConfig
from paribus.config.models import Mlp as MlpConfig
from paribus.config.models import ModelConfig
from paribus.config.models import Rnn as RnnConfig
from paribus.config.settings import Settings
from paribus.plan import Indices, Plan
from paribus.tasks import Task
from paribus.tasks.pool import Targets
from paribus.tasks.task import Inputs
from paribus.training.clipping import Clipping
from paribus.training.learner import Caution, Learner, Scores
from paribus.training.measures import measured
from paribus.training.vitals import Moves

Made = tuple[Callable[[type[np.floating]], Model], tuple[int, ...]]


def _mlp(settings: Settings, task: Task) -> Made:
    one = settings.mlp
    inputs = task.floats(task.test.x[:1], np.dtype(settings.precision)).size
    sizes = [inputs, *one.hidden, task.outputs_for(settings.told_loss)]

    def make(dtype: type[np.floating]) -> Model:
        return Mlp(sizes, one.dropout, dtype, activation=one.activation, norm=one.norm, skip=one.skip)

    return make, (inputs,)


def _cnn(settings: Settings, task: Task) -> Made:
    assert isinstance(settings.model, CnnConfig)
    assert task.image is not None
    return partial(Cnn, task.image, task.outputs_for(settings.told_loss), settings.model.width), task.image


def _rnn(settings: Settings, task: Task) -> Made:
    assert isinstance(settings.model, RnnConfig)
    assert task.sequence is not None
    outputs, every_step = task.outputs_for(settings.told_loss), task.steps is not None
    return partial(Rnn, task.sequence[1], settings.model.hidden, outputs, every_step=every_step), task.sequence


MODELS: dict[type[ModelConfig], Callable[[Settings, Task], Made]] = {MlpConfig: _mlp, CnnConfig: _cnn, RnnConfig: _rnn}
"""For each model's settings: what makes the model for a type of numbers, and the shape of an example."""


class NumpyLearner:
    """Forward, backward and update by hand; see `learner.Learner`."""

    def __init__(self, settings: Settings, task: Task, plan: Plan) -> None:
        self._settings, self._task, self._plan = settings, task, plan
        self._dtype = np.dtype(settings.precision)
        self.model, self._shape = self._made(settings, task)
        self._data = {
            name: (self._inputs(split.x), task.targets(split.y, self._dtype)) for name, split in task.splits.items()
        }
        self._x, self._y = self._data["train"]
        # losses are told without weights of classes, as they are without smoothing and the l1 penalty
        weights = task.class_weights() if settings.class_weight != "none" else None
        self._told = self._make_loss()
        self.loss = self._told if weights is None else self._make_loss(weights)
        self._binary, self._per_step = settings.told_loss.kind == "binary", task.steps is not None
        make = OPTIMIZERS[settings.optimizer.name]
        self.optimizer = make(self.model.parameters, **settings.optimizer.model_dump(exclude={"name"}))
        self._rate, self._clip = self.optimizer.lr, settings.clip
        self._clipping = Clipping(settings.clip)

    def _made(self, settings: Settings, task: Task) -> tuple[Model, tuple[int, ...]]:
        """The model, and the shape of an example."""
        make_model, shape = MODELS[type(settings.model)](settings, task)
        return make_model(self._dtype.type), shape

    def _make_loss(self, weights: NDArray[np.float64] | None = None) -> Loss:
        """The loss of the model's outputs; `weights`: of the classes."""
        return make_loss(self._settings.told_loss, weights)

    def _inputs(self, x: Inputs) -> NDArray[np.floating]:
        return self._task.floats(x, self._dtype).reshape(len(x), *self._shape)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: value.shape for name, value in self.model.parameters.items()}

    def load(self, values: Mapping[str, NDArray[np.floating]]) -> None:
        self.model.load(values)

    def scale_lr(self, factor: float) -> None:
        self.optimizer.lr = self._rate * factor

    def begin_epoch(self, epoch: int, batches: list[Indices]) -> None:
        pass

    def step(self, examples: Indices, epoch: int) -> float:
        loss, gradients = self._passed(examples, epoch)
        if self._settings.l1:
            add_l1(gradients, self.model.parameters, self._settings.l1)
        if self._clip is not None:
            self._clipping.add(clip_by_global_norm(gradients, self._clip))
        self.optimizer.step(gradients)
        return loss

    def _passed(self, examples: Indices, epoch: int) -> tuple[float, dict[str, Array]]:
        """Forward and backward: the loss, and the gradients of all parameters."""
        x, y = self._x[examples], self._y[examples]
        outputs = self.model.forward(x, self._keep(examples, epoch) if self.model.dropped else ())
        if self._per_step:  # of each example and each step a row
            loss = self.loss.forward(_rows(outputs), y.ravel(), self._settings.label_smoothing)
            return loss, self.model.backward(self.loss.backward().reshape(outputs.shape))
        loss = self.loss.forward(outputs, y, self._settings.label_smoothing)
        return loss, self.model.backward(self.loss.backward())

    def _keep(self, examples: Indices, epoch: int) -> list[NDArray[np.bool_]]:
        p = self._settings.mlp.dropout
        return [self._plan.keep(epoch, examples, i, units, p) for i, units in enumerate(self.model.dropped)]

    def evaluate(self, split: str) -> Scores:
        x, y = self._data[split]
        looked_at = len(x) if split != "train" or self._settings.eval_train == "all" else self._settings.eval_train
        logits, y = self._logits(x[:looked_at]), y[:looked_at]
        return Scores(
            self._told.forward(logits, y.ravel()),
            measured(self._task, self._both(logits), self._task.splits[split].y[:looked_at]),
            lambda: self._both(logits if looked_at >= len(x) else self._logits(x)),
        )

    def _both(self, outputs: Array) -> Array:
        """A logit for each class, where the network has that of the second alone."""
        return both_logits(outputs) if self._binary else outputs

    def _logits(self, x: Array) -> Array:
        self.model.train(training=False)
        at_once = self.model.at_once(x)
        parts = [self.model.forward(x[i : i + at_once]) for i in range(0, max(1, len(x)), at_once)]
        self.model.train()
        found = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return _rows(found) if self._per_step else found

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        return self._both(self._logits(self._inputs(x)))

    def weights(self) -> dict[str, NDArray[np.floating]]:
        return {name: value.copy() for name, value in {**self.model.parameters, **self.model.buffers}.items()}

    def look(self, x: Inputs, y: Targets, moved: Moves) -> None:  # noqa: ARG002 (known by its weights, or by autograd)
        return

    def known_by_weights(self) -> bool:
        return True

    def clipping(self) -> dict[str, float]:
        return self._clipping.read()

    def state(self) -> bytes:
        content = io.BytesIO()
        arrays: dict[str, Any] = {f"model:{name}": value for name, value in self.weights().items()}
        arrays |= {f"optimizer:{name}": value for name, value in self.optimizer.state().items()}
        np.savez(content, clipping=np.array(self._clipping.state()), **arrays)
        return content.getvalue()

    def doubt(self) -> str | None:
        return None

    def watches_generators(self) -> bool:
        return False

    def confirm(self) -> None:
        pass

    def restore(self, state: bytes) -> None:
        with np.load(io.BytesIO(state), allow_pickle=False) as found:
            parts: dict[str, dict[str, Array]] = {"model": {}, "optimizer": {}}
            for key in found.files:
                part, _, name = key.partition(":")
                if name:
                    parts[part][name] = found[key]
            self._clipping.restore(found["clipping"])
        for name, array in {**self.model.parameters, **self.model.buffers}.items():
            array[...] = parts["model"][name]
        self.optimizer.restore(parts["optimizer"])


def _rows(outputs: Array) -> Array:
    """(examples, steps, outputs) -> (examples steps, outputs)."""
    return outputs.reshape(-1, outputs.shape[-1])


class NumpyBackend(StepwiseBackend):
    """Taken only by its name: it is there to be read and compared, not to be fast."""

    name: ClassVar[str] = "numpy"
    models: ClassVar[tuple[str, ...] | None] = ("mlp", "cnn", "rnn")
    features: ClassVar[frozenset[str]] = frozenset({
        "label_smoothing", "loss", "class_weight", "patience", "optimizer.decay", "optimizer.decoupled", "eval_train",
        "threads",
    })  # fmt: skip

    def learner(
        self,
        settings: Settings,
        task: Task,
        plan: Plan,
        *,
        cautions: frozenset[Caution] = frozenset(),  # noqa: ARG002
    ) -> Learner:
        """The hand-written model of the settings."""
        return NumpyLearner(settings, task, plan)
