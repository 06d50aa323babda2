"""A network of the user's for the sizes of a run: made, called and read, by trying it on a few numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from paribus.backends.network.adapted import Adapted, Reading, outputs_of, own_arrays
from paribus.backends.network.arrange import Arrangement, arrangements, wanted
from paribus.backends.network.calls import Calls, NotUnderstoodError, takes_cache
from paribus.backends.network.gradients import loss_of, wrong_gradients
from paribus.byhand.activations import ACTIVATIONS
from paribus.byhand.mlp import Mlp
from paribus.config.user_errors import RAISED, told
from paribus.config.values import Loss
from paribus.handwritten.construct import Arguments, attempts
from paribus.handwritten.places import Array, Place, gradient_places, in_returned, places, reach

_ROUNDING, _ROUNDING_32 = 1e-9, 1e-4
_BIG = 1000.0
DOUBLE = np.dtype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a network has to be: its sizes from inputs to outputs, the activation that the house's has, and what is
    predicted: `classes`, two of them by one output (`binary`), or `numbers`."""

    sizes: tuple[int, ...]
    activation: str
    predicts: Literal["classes", "binary", "numbers"]

    @property
    def of_classes(self) -> bool:
        """Whether there is an output for each class."""
        return self.predicts == "classes"

    @property
    def examples(self) -> int:
        """For a trial: another number than every size, so that shapes tell what is what."""
        return next(count for count in range(5, 6 + len(self.sizes)) if count not in self.sizes)


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """How a network is made and read. `computes`: the activation of the house's network whose outputs it gives, None
    where they are those of none; `far`: how far they are from those of the settings', as a share of the largest."""

    arguments: Arguments
    reading: Reading
    computes: str | None
    far: float

    def make(self, function: Callable[..., Any], dtype: np.dtype[Any]) -> Adapted:
        """A new one."""
        return Adapted(_made(function, self.arguments), self.reading, dtype)


def recognise(function: Callable[..., Any], shape: Shape) -> Recognised:
    """How the class or function makes a network of these sizes. NotUnderstoodError, in one sentence, where it does not.

    Outputs are compared with those of the house's network at the same parameters: this tells which way a square weight
    lies, and whether a softmax stands inside.
    """
    inputs, *hidden, outputs = shape.sizes
    reasons: list[str] = []
    for arguments in attempts(function, inputs, hidden, outputs):
        try:
            network = _made(function, arguments)
            return _recognised(network, arguments, shape)
        except NotUnderstoodError as error:
            reasons.append(str(error))
        except RAISED as error:  # whatever the user's code raises is an answer
            reasons.append(f"it raises {told(error)[:200]}")
    raise NotUnderstoodError(
        max(reasons, key=_tells) if reasons else "the parameters of its constructor do not say what the sizes are"
    )


def _tells(reason: str) -> bool:
    """A reason of a network that could be made says more than one of arguments that did not fit."""
    return not reason.startswith("it raises ")


def _made(function: Callable[..., Any], arguments: Arguments) -> Any:
    by_place, by_name = copy.deepcopy(arguments)
    return function(*by_place, **by_name)


def _recognised(network: Any, arguments: Arguments, shape: Shape) -> Recognised:
    known = places(network)
    own_arrays(network, DOUBLE)
    calls, x, returned = called(network, shape)
    kept = gradient_places(network, known)
    kept = {name: place for name, place in kept.items() if isinstance(reach(network, place), np.ndarray)}
    known = {name: place for name, place in known.items() if place not in set(kept.values())}
    mine = {name: place for name, place in known.items() if name in kept}
    given_back = {} if mine else in_returned(returned, {name: reach(network, one) for name, one in known.items()})
    mine = mine or {name: known[name] for name in given_back}
    shapes = {name: np.shape(reach(network, place)) for name, place in mine.items()}
    values = probe_values(shape.sizes)
    best: Recognised | None = None
    for one in arrangements(shapes, shape.sizes):
        reading = _reading(one, calls, shape, known=mine, kept=kept, returned=given_back)
        adapted = Adapted(copy.deepcopy(network), reading, DOUBLE)
        adapted.load(values)
        z, big = adapted.evaluated(x), adapted.evaluated(_BIG * x)
        inside = shape.of_classes and _sum_to_one(z) and _sum_to_one(big[np.isfinite(big).all(axis=1)])
        if shape.predicts == "binary" and all(((one >= 0) & (one <= 1)).all() for one in (z, big)):
            raise NotUnderstoodError("its output is a probability, as after a sigmoid: return the logit, without it")
        if inside:
            reading = _where_backward_begins(network, reading, values, x)
        computes, far = _computes(z, x, values, shape, inside=inside)
        found = Recognised(arguments=arguments, reading=reading, computes=computes, far=far)
        if best is None or (computes is not None and best.computes is None) or computes == shape.activation:
            best = found
        if computes == shape.activation:
            break
    assert best is not None
    return best


def _where_backward_begins(network: Any, reading: Reading, values: Mapping[str, Array], x: Array) -> Reading:
    """Of a softmax that stands inside: backward takes dL/d(probabilities), or, where those gradients are wrong and
    these are right, dL/d(logits)."""
    y = np.arange(len(x)) % reading.outputs
    ways = [replace(reading, softmax=way) for way in ("inside", "short")]
    for way in ways:
        adapted = Adapted(copy.deepcopy(network), way, DOUBLE)
        adapted.load(values)
        if not wrong_gradients(adapted, loss_of(Loss("cross_entropy"), adapted), x, y):
            return way
    return ways[0]


def called(network: Any, shape: Shape) -> tuple[Calls, Array, Any]:
    """How it is called, the inputs of the trial, and what backward, or the loss, returned."""
    rng = np.random.default_rng(7)
    n, outputs = shape.examples, shape.sizes[-1]
    x, dy = rng.normal(size=(n, shape.sizes[0])), rng.normal(size=(n, outputs))
    calls, reasons = Calls.of(network), list[str]()
    for columns in (False, True):
        one = replace(calls, columns=columns)
        try:
            raw, cache = one.outputs(network, x.copy())
            outputs_of(raw, n, outputs, columns=columns)
        except RAISED as error:
            reasons.append(str(error) if type(error) is ValueError and "examples give" in str(error) else told(error))
            continue
        if calls.gives_loss is not None:
            return _with_a_loss(network, one, x, shape)
        one = replace(one, cache=takes_cache(network))
        dout = dy[:, 0] if np.ndim(raw) == 1 else dy
        return one, x, one.backward(network, dout, cache)
    raise NotUnderstoodError(f"forward of {type(network).__name__}: {reasons[0]}")


def _with_a_loss(network: Any, calls: Calls, x: Array, shape: Shape) -> tuple[Calls, Array, Any]:
    """Of a network with a loss of its own: its labels are classes, or one-hot."""
    if not shape.of_classes:
        raise NotUnderstoodError(
            f"{calls.gives_loss}(x, y) is taken of classes alone: give it forward(x) and backward(dout)"
        )
    y, reasons = np.arange(len(x)) % shape.sizes[-1], list[str]()
    for onehot in (False, True):
        one = replace(calls, onehot=onehot)
        try:
            _, returned = one.loss(network, x.copy(), y, shape.sizes[-1])
        except RAISED as error:
            reasons.append(told(error))
            continue
        return one, x, returned
    raise NotUnderstoodError(f"{calls.gives_loss}(x, y) of {type(network).__name__}: {reasons[0]}")


def _reading(
    arranged: Arrangement,
    calls: Calls,
    shape: Shape,
    *,
    known: Mapping[str, Place],
    kept: Mapping[str, Place],
    returned: Mapping[str, Place],
) -> Reading:
    def of(given: Mapping[str, Place]) -> dict[str, Place]:
        return {name: given[one.name] for name, one in arranged.items() if one.name in given}

    gradients = of(kept)
    return Reading(
        calls=calls,
        outputs=shape.sizes[-1],
        parameters={name: (one, known[one.name]) for name, one in arranged.items()},
        gradients=gradients,
        returned=of(returned),
        resets=resets_of(gradients),
    )


def resets_of(gradients: Mapping[str, Place]) -> dict[str, Place]:
    """The gradients that add up until they are set to 0: those of objects with `.grad`, as an optimizer does it."""
    return {name: place for name, place in gradients.items() if len(place) > 1 and place[-1] == ("attribute", "grad")}


def probe_values(sizes: Sequence[int]) -> dict[str, Array]:
    """Values of all parameters, of a size at which no unit is saturated."""
    rng = np.random.default_rng(11)
    return {
        name: rng.normal(size=shape) / (np.sqrt(shape[-1]) if len(shape) == 2 else 4)
        for name, shape in wanted(sizes).items()
    }


def _computes(
    z: Array, x: Array, values: Mapping[str, Array], shape: Shape, *, inside: bool
) -> tuple[str | None, float]:
    """The activation with which the house's network gives the same, and how far those of the settings' are."""
    nearest = float("inf")
    for activation in dict.fromkeys((shape.activation, *ACTIVATIONS)):
        model = Mlp(shape.sizes, activation=activation)
        model.load(values)
        ours = model.forward(x)
        ours = softmax(ours) if inside else ours
        # logits stand for the same probabilities, whatever is added to a row: a log-softmax is one of them
        one, two = (log_softmax(z), log_softmax(ours)) if shape.of_classes and not inside else (z, ours)
        far = float(np.abs(one - two).max() / np.abs(two).max())
        nearest = far if activation == shape.activation else nearest
        if far < (_ROUNDING_32 if _single(z, ours) else _ROUNDING):
            return activation, nearest
    return None, nearest


def _single(z: Array, ours: Array) -> bool:
    """Whether z is made of numbers of float32."""
    return bool((z.astype(np.float32) == z).all()) and not bool((ours.astype(np.float32) == ours).all())


def softmax(z: Array) -> Array:
    """Of each row."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    found: Array = e / e.sum(axis=1, keepdims=True)
    return found


def log_softmax(z: Array) -> Array:
    """Of each row."""
    shifted = z - z.max(axis=1, keepdims=True)
    found: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found


def _sum_to_one(rows: Array) -> bool:
    return rows.shape[1] > 1 and bool((rows >= 0).all() and (abs(rows.sum(axis=1) - 1) < _ROUNDING_32).all())
