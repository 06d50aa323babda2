"""Looks at a network: quantities of one look, and when looks are taken. A look computes on copies and draws nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.byhand.losses import both_logits, make_loss
from paribus.byhand.mlp import Mlp
from paribus.byhand.rnn import Rnn
from paribus.config.models import Mlp as MlpConfig
from paribus.config.models import Rnn as RnnConfig
from paribus.config.settings import Settings, evaluations, steps_in_epoch
from paribus.records.vitals import NEIGHBOURS, Numbers, Vitals
from paribus.tasks import Task
from paribus.tasks.pool import Targets
from paribus.tasks.task import Inputs

Array = NDArray[np.floating]

_MOST_LOOKS = 4
_EXAMPLES = 128
_UNITS = 64
"""Of so many units of a layer the weights are compared."""
_MOST_KEPT = 2_000_000
"""Weights of the look before are kept up to so many, to tell what moved; beyond them a checkpoint would double."""
_ENDS = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
_AT_AN_END = 0.01
_PROBE = 1e-3
"""How far along the gradient the curvature is taken, in sizes of the weights: far enough for float32."""


@dataclass(frozen=True)
class Layer:
    """One layer of a look: its weights, one unit a row; the loss's gradient with respect to them; what it is given,
    shape (examples, units), None where that cannot be seen; and by which bounded activation, if any."""

    name: str
    weight: Array
    gradient: Array
    inputs: Array | None
    bounded: str | None = None


@dataclass(frozen=True)
class Look:
    """A network over some examples. `outputs`: logits (rows, classes), or scaled numbers (rows, 1)."""

    layers: Sequence[Layer]
    outputs: Array
    loss: float


Moves = Mapping[str, Array]
"""What is added to layers' weights before a look, by the names of the layers."""

LookAt = Callable[[Inputs, Targets, Moves], Look | None]
"""Forward and backward of a model over examples, on a copy; None of one that has no layers to look at."""


class Looks:
    """Looks on the way of a run: at the initial values, and at evaluations, at most so many, evenly spread. `weights`:
    gives the model's parameters, which are enough of some (`by_hand`); `look`: of others. `by_weights`: whether those
    some are taken so; not a network of the user's that computes something else."""

    def __init__(
        self,
        settings: Settings,
        task: Task,
        weights: Callable[[], Mapping[str, Array]],
        look: LookAt | None,
        *,
        by_weights: bool = True,
    ) -> None:
        self._settings, self._task, self._weights, self._look = settings, task, weights, look
        self._by_weights = by_weights
        self._every = max(1, -(-evaluations(settings, len(task.train)) // _MOST_LOOKS))
        self._per_epoch = steps_in_epoch(settings, len(task.train))
        self._seen = 0
        self._rows: list[dict[str, Any]] = []
        self._names: list[str] = []
        self._before: tuple[float, dict[str, Array]] | None = None

    def at_evaluation(self, epoch: float) -> None:
        """Looks, where it is time to."""
        self._seen += 1
        if self._seen % self._every == 0:
            self.take(epoch)

    def take(self, epoch: float) -> None:
        """Look now, where no look was taken then or later: early stopping goes back to what was looked at."""
        if self._rows and epoch <= self._rows[-1]["epochs"]:
            return
        with np.errstate(all="ignore"):
            halves = [one for one in self._halves() if one is not None]
            if halves:
                row = {"epochs": epoch, **self._measured(epoch, halves)}
                self._rows.append(row | {"curvature": np.nan if self._rows else self._curvature(halves[0])})
                self._names = [layer.name for layer in halves[0].layers]

    def vitals(self) -> Vitals | None:
        """All looks; None where none could be taken."""
        if not self._rows:
            return None
        names = np.frombuffer("\n".join(self._names).encode(), np.uint8)
        columns = {name: np.array([row[name] for row in self._rows], np.float64) for name in self._rows[0]}
        return Vitals(names=names, inputs=of_inputs(self._task), neighbours=neighbours(self._task), **columns)

    def state(self) -> dict[str, NDArray[Any]]:
        """For a checkpoint."""
        found: dict[str, NDArray[Any]] = {"vitals.seen": np.array(self._seen)}
        if self._rows:
            found["vitals.names"] = np.frombuffer("\n".join(self._names).encode(), np.uint8)
            found |= {f"vitals.{name}": np.array([row[name] for row in self._rows]) for name in self._rows[0]}
        if self._before is not None:
            found["vitals.at"] = np.array(self._before[0])
            found |= {f"vitals.weights.{name}": value for name, value in self._before[1].items()}
        return found

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """As `state` left it; a checkpoint of an older version holds nothing of it."""
        found = {name.removeprefix("vitals."): value for name, value in state.items() if name.startswith("vitals.")}
        if not found:
            return
        self._seen, names = int(found.pop("seen")), found.pop("names", None)
        at = found.pop("at", None)
        weights = {name: found.pop(name) for name in list(found) if name.startswith("weights.")}
        if at is not None:
            self._before = float(at), {name.removeprefix("weights."): one for name, one in weights.items()}
        if names is not None:
            self._names = names.tobytes().decode().split("\n")
            self._rows = [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]

    def _halves(self) -> list[Look | None]:
        """Two halves of the examples, from which the gradient's noise is told, too."""
        middle = min(_EXAMPLES, len(self._task.train)) // 2
        if not middle:
            return [self._at(slice(None), {})]
        return [self._at(slice(0, middle), {}), self._at(slice(middle, 2 * middle), {})]

    def _at(self, rows: slice, moved: Moves) -> Look | None:
        """A look over some training examples, with weights that are moved."""
        x, y = self._task.train.x[rows], self._task.train.y[rows]
        if self._by_weights and isinstance(self._settings.model, MlpConfig | RnnConfig):
            weights = dict(self._weights())
            for layer, by in moved.items():
                name = layer if layer in weights else f"{layer}.weight"
                weights[name] = weights[name] + by
            return by_hand(self._settings, self._task, weights, x, y)
        return None if self._look is None else self._look(x, y, moved)

    def _curvature(self, here: Look) -> float:
        """u^T H u with u the unit vector along the gradient of the layers' weights: the difference of the gradients at
        two points on it, over their distance."""
        size = math.sqrt(sum(_squares(layer.gradient) for layer in here.layers))
        apart = _PROBE * math.sqrt(sum(_squares(layer.weight) for layer in here.layers))
        if not (0 < size < math.inf and 0 < apart < math.inf):
            return math.nan
        moved = {layer.name: layer.gradient * (-apart / size) for layer in here.layers}
        there = self._at(slice(0, len(here.outputs) // (self._task.steps or 1)), moved)
        if there is None or [one.name for one in there.layers] != [one.name for one in here.layers]:
            return math.nan
        pairs = zip(here.layers, there.layers, strict=True)
        return (
            float(sum(np.sum((a.gradient - b.gradient) * (a.gradient / size), dtype=np.float64) for a, b in pairs))
            / apart
        )

    def _measured(self, epoch: float, halves: Sequence[Look]) -> dict[str, Any]:
        """The quantities of `records.vitals.Vitals`, each of all layers or of the outputs."""
        layers = list(zip(*(one.layers for one in halves), strict=True))
        whole = [np.asarray(sum(one.gradient.astype(np.float64) for one in parts)) / len(parts) for parts in layers]
        found: dict[str, Any] = {"weight": [_rms(parts[0].weight) for parts in layers]}
        found["gradient"] = [_rms(gradient) for gradient in whole]
        found["update"] = self._updates(epoch, {parts[0].name: parts[0].weight for parts in layers})
        given = [_joined([one.inputs for one in parts]) for parts in layers]
        found["spread"] = [np.nan if one is None else _rms(one.std(axis=0)) for one in given]
        found["dead"] = [np.nan if one is None else float((np.ptp(one, axis=0) == 0).mean()) for one in given]
        found["saturated"] = [_saturated(one, parts[0].bounded) for one, parts in zip(given, layers, strict=True)]
        found["aligned"] = [aligned(parts[0].weight) for parts in layers]
        outputs = np.concatenate([one.outputs for one in halves]).astype(np.float64)
        found["loss"] = float(np.mean([one.loss for one in halves]))
        found["outputs"] = _rms(outputs.std(axis=0))
        classes = outputs.shape[1] if self._task.target is None else 1
        found["certain"] = _certain(outputs) if classes > 1 else np.nan
        found["one_class"] = float(np.bincount(outputs.argmax(axis=1)).max() / len(outputs)) if classes > 1 else np.nan
        found["noise"] = noise_scale(layers, whole, len(halves[0].outputs)) if len(halves) == 2 else np.nan
        return found

    def _updates(self, epoch: float, weights: Mapping[str, Array]) -> list[float]:
        before, steps = self._before, 0.0
        if sum(one.size for one in weights.values()) <= _MOST_KEPT:
            self._before = epoch, {name: value.copy() for name, value in weights.items()}
        if before is not None:
            steps = (epoch - before[0]) * self._per_epoch
        if before is None or steps <= 0 or before[1].keys() != weights.keys():
            return [np.nan] * len(weights)
        return [_rms(value.astype(np.float64) - before[1][name]) / steps for name, value in weights.items()]


def by_hand(settings: Settings, task: Task, weights: Mapping[str, Array], x: Inputs, y: Targets) -> Look | None:
    """Of the multilayer perceptron and the recurrent network, from their weights alone, whoever trains them; None of
    other models."""
    told, kind = settings.told_loss, np.dtype(np.float64)
    outputs, targets = task.outputs_for(told), task.targets(y, kind)
    numbers = task.floats(x.copy(), kind)
    loss, network = make_loss(told), settings.model
    if isinstance(network, MlpConfig):
        flat = numbers.reshape(len(x), -1)
        hand = Mlp(
            [flat.shape[1], *network.hidden, outputs],
            activation=network.activation,
            norm=network.norm,
            skip=network.skip,
        )
        hand.load(weights)
        found = hand.forward(flat)
        value = loss.forward(found, targets)
        hand.backward(loss.backward())
        bounded = network.activation if network.activation in _ENDS else None
        layers = [
            Layer(
                f"linears.{i}",
                linear.parameters["weight"],
                linear.gradients["weight"],
                linear._x,  # what the layer keeps for its own backward
                bounded if i else None,
            )
            for i, linear in enumerate(hand.linears)
        ]
        return Look(layers, both_logits(found) if told.kind == "binary" else found, value)
    if isinstance(network, RnnConfig) and task.sequence is not None:
        sequences, every = numbers.reshape(len(x), *task.sequence), task.steps is not None
        cell = Rnn(task.sequence[1], network.hidden, outputs, every_step=every)
        cell.load(weights)
        logits = cell.forward(sequences)
        rows = logits.reshape(-1, outputs)
        value = loss.forward(rows, targets.ravel())
        gradients = cell.backward(loss.backward().reshape(logits.shape))
        states = cell._h
        given = {"w_hx": sequences.reshape(-1, task.sequence[1]), "w_hh": states[1:-1].reshape(-1, network.hidden)}
        given["w_ph"] = states[1:].reshape(-1, network.hidden) if every else states[-1]
        recurrent = [
            Layer(name, cell.parameters[name], gradients[name], given[name] if len(given[name]) else None, bounded)
            for name, bounded in (("w_hx", None), ("w_hh", "tanh"), ("w_ph", "tanh"))
        ]
        return Look(recurrent, both_logits(rows) if told.kind == "binary" else rows, value)
    return None


def noise_scale(layers: Sequence[Sequence[Layer]], whole: Sequence[Array], half: int) -> float:
    """trace of the gradients' covariance over |G|^2, unbiased in both: from |g|^2 of batches of b and of B = 2b.

    |G|^2 = (B |g_B|^2 - b |g_b|^2) / (B - b),  trace = (|g_b|^2 - |g_B|^2) / (1/b - 1/B).
    """
    halves = [sum(np.square(parts[i].gradient, dtype=np.float64).sum() for parts in layers) for i in (0, 1)]
    of_half = float(np.mean(halves))
    of_whole = float(sum(np.square(one).sum() for one in whole))
    squared = 2 * of_whole - of_half
    return (of_half - of_whole) * 2 * half / squared if squared > 0 else np.nan


def aligned(weight: Array) -> float:
    """Mean |cosine| between the weights of two units, rows of (units, ...); of units without any weight it is 1, as
    they are alike; NaN of one unit, or of one input, where every cosine is 1.

    >>> aligned(np.ones((3, 4))), aligned(np.eye(3)), aligned(np.ones((1, 4)))
    (1.0, 0.0, nan)
    """
    rows = weight.reshape(len(weight), -1)[:_UNITS].astype(np.float64)
    if len(rows) < 2 or rows.shape[1] < 2:
        return np.nan
    sizes = np.linalg.norm(rows, axis=1)
    if not sizes.any():
        return 1.0
    rows = rows[sizes > 0] / sizes[sizes > 0, None]
    if len(rows) < 2:
        return np.nan
    cosines = np.abs(rows @ rows.T)
    return float(np.round((cosines.sum() - np.trace(cosines)) / (len(rows) * (len(rows) - 1)), 12))


def of_inputs(task: Task) -> Numbers:
    """Of the features of the training data as a network gets them: the largest |mean|, the largest and the smallest sd
    that is not 0."""
    x = _numbers(task, _EXAMPLES)
    spread = x.std(axis=0)
    spread = spread[spread > 0]
    ends = (spread.max(), spread.min()) if len(spread) else (0.0, 0.0)
    return np.array([np.abs(x.mean(axis=0)).max(initial=0.0), *ends])


def neighbours(task: Task) -> Numbers:
    """How often one of the first training examples has the class of its nearest neighbour among them, each feature
    scaled to sd 1, and how often it would by chance; NaN of numbers to predict and of a class for each step."""
    y = task.train.y[:NEIGHBOURS]
    if task.target is not None or y.ndim > 1 or len(y) < 2:
        return np.array([np.nan, np.nan])
    x = _numbers(task, NEIGHBOURS)
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    squares = np.square(x).sum(axis=1)
    apart = squares[:, None] + squares[None, :] - 2 * x @ x.T
    np.fill_diagonal(apart, np.inf)
    shares = np.bincount(y) / len(y)
    return np.array([(y[apart.argmin(axis=1)] == y).mean(), np.square(shares).sum()])


def _numbers(task: Task, most: int) -> NDArray[np.float64]:
    """The first training examples as a network gets them, a row each."""
    x = task.floats(task.train.x[:most].copy(), np.dtype(np.float64))
    return x.reshape(len(x), -1).astype(np.float64, copy=False)


def _squares(values: Array) -> float:
    return float(np.sum(np.square(values, dtype=np.float64)))


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else np.nan


def _joined(parts: Sequence[Array | None]) -> NDArray[np.float64] | None:
    there = [one.reshape(-1, one.shape[-1]) for one in parts if one is not None]
    return np.concatenate(there).astype(np.float64) if there else None


def _saturated(given: Array | None, bounded: str | None) -> float:
    if given is None or bounded is None:
        return np.nan
    low, high = _ENDS[bounded]
    near = _AT_AN_END * (high - low)
    return float(((given < low + near) | (given > high - near)).mean())


def _certain(logits: Array) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    entropy = -np.where(np.exp(logs) > 0, np.exp(logs) * logs, 0).sum(axis=1).mean()
    return float(1 - entropy / np.log(logits.shape[1]))
