"""What is read off a model beside its metrics. A probe reads and changes nothing."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from paribus.byhand.losses import make_loss
from paribus.byhand.rnn import Rnn
from paribus.config.models import Rnn as RnnConfig
from paribus.config.settings import Settings, evaluations
from paribus.plan import Plan
from paribus.records.record import Boundary, Frames, Mistakes, Pictures
from paribus.tasks import Task
from paribus.tasks.task import Inputs
from paribus.training.fits import FitCurves, residuals
from paribus.training.metrics import softmax
from paribus.training.vitals import LookAt, Looks

_POINTS = 120
_MARGIN = 0.1
_MOST_FRAMES = 16
_MOST_MISTAKES = 12
_PROBED = 256
_AT_ONCE = 1000


class Model(Protocol):
    """What probes ask of a model."""

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        """Shape (inputs, classes)."""

    def weights(self) -> Mapping[str, NDArray[np.floating]]:
        """Its parameters, by name."""


def boundary(model: Model, task: Task) -> Boundary | None:
    """The class predicted on a grid over the data, where the task has two inputs."""
    if not task.in_plane:
        return None
    everything = np.concatenate([split.x for split in task.splits.values()])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = _MARGIN * (high - low)
    extent = np.stack([low - margin, high + margin], axis=1).ravel()
    empty = Boundary(extent, np.zeros((_POINTS, _POINTS), np.uint8))
    grid = np.stack(np.meshgrid(empty.x, empty.y), axis=-1).reshape(-1, 2)
    return Boundary(extent, model.logits(grid).argmax(axis=1).reshape(_POINTS, _POINTS).astype(np.uint8))


class Snapshots:
    """Decision boundaries on the way: at most so many frames, evenly spread as far as they are taken."""

    def __init__(self, evaluations: int) -> None:
        self._every = max(1, -(-evaluations // _MOST_FRAMES))
        self._seen = 0
        self._taken: list[tuple[float, Boundary]] = []

    def look(self, epoch: float, model: Model, task: Task) -> None:
        """At an evaluation."""
        self._seen += 1
        if (self._seen - 1) % self._every == 0 and (found := boundary(model, task)) is not None:
            self._taken.append((epoch, found))

    def frames(self, epoch: float, last: Boundary | None) -> Frames | None:
        """Those before `epoch`, and the last."""
        taken = [*(one for one in self._taken if one[0] < epoch), *([(epoch, last)] if last is not None else [])]
        return _frames(taken) if taken else None

    def state(self) -> dict[str, NDArray[Any]]:
        """For a checkpoint."""
        found: dict[str, NDArray[Any]] = {"seen": np.array(self._seen)}
        return found | (vars(_frames(self._taken)) if self._taken else {})

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """As `state` left it."""
        self._seen = int(state["seen"])
        if "epochs" in state:
            frames = zip(state["epochs"].tolist(), state["classes"], strict=True)
            self._taken = [(epoch, Boundary(state["extent"], classes)) for epoch, classes in frames]


def _frames(taken: Sequence[tuple[float, Boundary]]) -> Frames:
    return Frames(taken[0][1].extent, np.array([at for at, _ in taken]), np.stack([one.classes for _, one in taken]))


class Probes:
    """What is read off a run on its way, for the pictures of its page. Made at the initial values; `wanted`: whether
    anything is to be read at all."""

    def __init__(
        self,
        settings: Settings,
        task: Task,
        model: Model,
        plan: Plan,
        *,
        wanted: bool,
        look: LookAt | None = None,
        by_weights: bool = True,
    ) -> None:
        self.wanted, self._settings, self._task, self._model, self._plan = wanted, settings, task, model, plan
        count = evaluations(settings, len(task.train))
        self._snapshots, self._curves = Snapshots(count), FitCurves(count, task)
        self._looks = Looks(settings, task, model.weights, look, by_weights=by_weights)
        self._at: float | None = None  # the epoch of the model as it stands, as far as evaluations tell
        self._begun = state_gradients(settings, model, task) if wanted else None
        if wanted:
            self._looks.take(0.0)

    def look(self, epoch: float) -> None:
        """At an evaluation."""
        self._at = epoch
        if self.wanted:
            self._snapshots.look(epoch, self._model, self._task)
            self._looks.at_evaluation(epoch)
            self._curves.look(epoch, self._predicted)

    def went_back(self, epoch: float) -> None:
        """The model is again what it was at this earlier evaluation, as early stopping leaves it."""
        self._at = epoch

    def pictures(self, epoch: float, last: Boundary | None) -> Pictures:
        """Of a run that is done. `last`: its boundary now; `epoch`: how many it completed, where no evaluation told."""
        if not self.wanted:
            return Pictures()
        at = epoch if self._at is None else self._at
        self._looks.take(at)
        found = pictures(self._settings, self._model, self._task, self._begun, self._snapshots.frames(at, last))
        found = replace(found, vitals=self._looks.vitals())
        if self._task.target is None:
            return found
        fits = self._curves.fits(at, self._predicted, self._plan)
        return replace(found, residuals=residuals(self._predicted, self._task, self._plan), fits=fits)

    def of_diverged(self) -> Pictures:
        """Of a run that diverged: how it was until then."""
        return Pictures(vitals=self._looks.vitals()) if self.wanted else Pictures()

    def _predicted(self, x: Inputs) -> NDArray[np.generic]:
        return self._task.predicted(self._model.logits(x))

    def state(self) -> bytes:
        """For a checkpoint: what was read until then."""
        content = io.BytesIO()
        at = {} if self._at is None else {"at": np.array(self._at)}
        arrays = {**self._snapshots.state(), **self._curves.state(), **self._looks.state(), **at}
        np.savez(content, **arrays)  # type: ignore[arg-type]  # arrays by any name
        return content.getvalue()

    def restore(self, state: bytes) -> None:
        """As `state` left it; nothing is said of a checkpoint that held none."""
        if not state:
            return
        with np.load(io.BytesIO(state), allow_pickle=False) as found:
            held = dict(found)
        self._snapshots.restore(held)
        self._curves.restore(held)
        self._at = float(held["at"]) if "at" in held else None
        self._looks.restore(held)


def pictures(
    settings: Settings, model: Model, task: Task, begun: NDArray[np.float64] | None, frames: Frames | None
) -> Pictures:
    """What a page shows of a run that is done. `begun`: `state_gradients` of its initial values."""
    confused, mistakes = None, None
    if task.image is not None and task.target is None and task.steps is None:
        logits = np.concatenate(
            [model.logits(task.test.x[i : i + _AT_ONCE]) for i in range(0, len(task.test), _AT_ONCE)]
        )
        confused = confusion(task.test.y, logits.argmax(axis=1), task.info.classes)
        mistakes = surest_mistakes(logits, task)
    now = state_gradients(settings, model, task)
    gradients = None if now is None or begun is None else np.stack([begun, now])
    return Pictures(frames, confused, mistakes, gradients)


def confusion(y: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How many examples of class t were taken for class p, at [t, p].

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(y * classes + predicted, minlength=classes**2).reshape(classes, classes)


def surest_mistakes(logits: NDArray[np.floating], task: Task) -> Mistakes:
    """The test images whose wrong class had the highest probability, the surest first."""
    chances, y = softmax(logits), task.test.y
    predicted = chances.argmax(axis=1)
    wrong = np.flatnonzero(predicted != y)
    chosen = wrong[np.argsort(-chances[wrong, predicted[wrong]], kind="stable")][:_MOST_MISTAKES]
    assert task.image is not None
    images = task.test.x[chosen].reshape(len(chosen), *task.image)
    if images.dtype != np.uint8:  # numbers of any range: black at the least of all test images, white at the most
        low, high = float(task.test.x.min()), float(task.test.x.max())
        images = np.round(255 * (images - low) / ((high - low) or 1.0))
    return Mistakes(images.astype(np.uint8), y[chosen], predicted[chosen], chances[chosen, predicted[chosen]])


def state_gradients(settings: Settings, model: Model, task: Task) -> NDArray[np.float64] | None:
    """|dL/dh(t)| for each t, over the first test sequences, of the recurrent network with a loss after its last step;
    None of other models.

    How far back the loss is felt: see `byhand.rnn.Rnn.state_gradient_norms`.
    """
    if not isinstance(settings.model, RnnConfig) or task.sequence is None or task.steps is not None:
        return None
    x, y = task.test.x[:_PROBED], task.targets(task.test.y[:_PROBED], np.dtype(np.float64))
    told = settings.told_loss
    hand, loss = Rnn(task.sequence[1], settings.model.hidden, task.outputs_for(told)), make_loss(told)
    hand.load(model.weights())
    loss.forward(hand.forward(task.floats(x, np.dtype(np.float64)).reshape(len(x), *task.sequence)), y)
    hand.backward(loss.backward())
    return hand.state_gradient_norms()
