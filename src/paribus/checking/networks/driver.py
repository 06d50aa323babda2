"""Networks by hand: their linear layers in order, how they are driven, and what their layers leave on the way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from paribus.checking.differences import Array
from paribus.checking.isolation import Generators, UsersError, called
from paribus.checking.known import log_softmax, softmax
from paribus.checking.shapes.operation import required
from paribus.handwritten import places as kept

EXAMPLES, LR = 8, 0.1
_TARGETS = {"y", "t", "target", "targets", "label", "labels", "y_true", "true", "truth"}
_INPUTS = {"x", "input", "inputs", "data", "batch"}
_OUTPUTS = {
    "y_hat",
    "yhat",
    "y_pred",
    "pred",
    "preds",
    "prediction",
    "predictions",
    "output",
    "outputs",
    "out",
    "probs",
    "p",
    "a2",
}
_RATES = {"lr", "learning_rate", "eta", "alpha", "rate"}


@dataclass(frozen=True, kw_only=True)
class Affine:
    """A linear layer by the names of its parameters. `turned`: the weight lies as (out, in)."""

    weight: str
    bias: str | None
    turned: bool
    inputs: int
    outputs: int


def chains(params: Mapping[str, Array]) -> Iterator[tuple[Affine, ...]]:
    """The ways in which all matrices, in their order, are a chain of linear layers; none if there are fewer than two.

    >>> w1, w2 = np.zeros((4, 5)), np.zeros((3, 5))
    >>> [(one.inputs, one.outputs, one.turned) for one in next(chains({"w1": w1, "w2": w2}))]
    [(4, 5, False), (5, 3, True)]
    """
    matrices = {name: one for name, one in params.items() if one.ndim == 2 and min(one.shape) > 1}
    biases = [name for name in params if name not in matrices]
    if len(matrices) < 2 or len(biases) not in {0, len(matrices)}:
        return
    paired: list[str | None] = [*biases] or [None] * len(matrices)
    for first in (False, True):
        found, units = list[Affine](), 0
        for (name, one), bias in zip(matrices.items(), paired, strict=True):
            turned = first if not found or one.shape[0] == one.shape[1] else one.shape[0] != units
            n_in, n_out = one.shape[::-1] if turned else one.shape
            broken = bool(found) and n_in != units
            if broken or (bias is not None and params[bias].size != n_out):
                break
            found.append(Affine(weight=name, bias=bias, turned=turned, inputs=n_in, outputs=n_out))
            units = n_out
        else:
            yield tuple(found)


@dataclass
class Trace:
    """What the layers of a network gave: in the order of forward, the object, its output and the slope of its input."""

    layers: list[Any] = field(default_factory=list)
    inputs: list[Array] = field(default_factory=list)
    outputs: list[Array] = field(default_factory=list)
    slopes: dict[int, Array] = field(default_factory=dict)

    def clear(self) -> None:
        """Before the next step."""
        self.layers.clear()
        self.inputs.clear()
        self.outputs.clear()
        self.slopes.clear()


class Driver:
    """A copy of a network that is trained. `columns`: an example is a column, as in some courses."""

    def __init__(self, thing: Any, generators: Generators, affines: tuple[Affine, ...], *, columns: bool) -> None:
        self.original, self.generators, self.affines, self.columns = thing, generators, affines, columns
        self.set_back()

    def set_back(self) -> None:
        """To the values in which it was given."""
        self.generators.set_back()
        self.live = copy.deepcopy(self.original)
        self.names = [name for one in self.affines for name in (one.weight, one.bias) if name is not None]
        self.places = self._places()
        self.trace = Trace()
        self._leaves = list(leaves(self.live))
        for layer in self._leaves:
            _record(layer, self.trace)

    def _places(self) -> dict[str, Array]:
        known = kept.parameters(self.live)
        return {name: known[name] for name in self.names}

    def _turned(self, value: Any) -> Any:
        return value.T if self.columns and np.ndim(value) == 2 else value

    def forward(self, x: Array) -> Array:
        """Outputs (examples, classes) of x (examples, inputs). UsersError where forward raises."""
        self.trace.clear()
        y = called(getattr(self.live, "forward", self.live), np.array(self._turned(x)))
        return np.asarray(self._turned(y[0] if isinstance(y, tuple) else y))

    def slopes(self, way: Way, x: Array, y: Array, t: Array) -> dict[str, Any]:
        """The gradients that backward leaves or returns, by the names of the parameters; None where there is none."""
        for name in kept.RESETS:
            if callable(reset := getattr(self.live, name, None)):
                called(reset)
                break
        before = {name: np.array(one) for name, one in self.places.items()}
        given = [copy.deepcopy(self._turned(one(x, y, t))) for one in way.arguments]
        returned = called(self.live.backward, *given)
        now = self._places()
        if way.updates:  # backward takes a learning rate, and a step of its own
            found = {name: (one - now[name]) / LR for name, one in before.items()}
            for name, one in before.items():
                now[name][...] = one
            return found
        grads = kept.gradients(self.live, list(before))
        several = returned if isinstance(returned, tuple | list) else [returned]
        for one in several:
            if isinstance(one, Mapping):
                grads |= kept.named_gradients(one, list(before))
        if not grads and any(isinstance(one, tuple | list) for one in several):  # lists, as of weights and of biases
            grads = {name: kept.reach(returned, place) for name, place in kept.in_returned(returned, before).items()}
        if not grads and len(several) in {len(before), len(before) + 1}:
            grads = dict(zip(before, several[-len(before) :], strict=True))
        return {name: copy.copy(grads.get(name)) for name in before}

    def alone(self, layer: Any) -> Any:
        """A copy of a layer of `trace`, as it was before training, which leaves no trace."""
        place = next(i for i, one in enumerate(self._leaves) if one is layer)
        return copy.deepcopy(list(leaves(self.original))[place])

    def step(self, slopes: Mapping[str, Array]) -> None:
        """A step of gradient descent, in place."""
        places = self._places()  # backward may have put other arrays there
        for name, one in slopes.items():
            places[name][...] -= LR * np.asarray(one).reshape(places[name].shape)

    def put(self, values: Mapping[str, Array]) -> None:
        """Write values into the parameters."""
        for name, place in self._places().items():
            place[...] = values[name]

    def values(self) -> dict[str, Array]:
        """The parameters now, copied."""
        return {name: np.array(one) for name, one in self._places().items()}


def leaves(thing: Any) -> Iterator[Any]:
    """The layers that hold no others."""
    for layer in kept.layers(thing).values():
        inner = list(leaves(layer))
        yield from inner or [layer]


def _record(layer: Any, trace: Trace) -> None:
    """Have a layer leave what it is given and gives."""
    forward, backward = layer.forward, layer.backward

    def forward_recorded(x: Any, *more: Any, **named: Any) -> Any:
        y = forward(x, *more, **named)
        trace.layers.append(layer)
        trace.inputs.append(np.array(x))
        trace.outputs.append(np.array(y))
        return y

    def backward_recorded(*given: Any, **named: Any) -> Any:
        dx = backward(*given, **named)
        place = next((i for i, one in enumerate(trace.layers) if one is layer), None)
        if place is not None and isinstance(dx, np.ndarray):
            trace.slopes[place] = np.array(dx)
        return dx

    layer.forward, layer.backward = forward_recorded, backward_recorded


Argument = Callable[[Array, Array, Array], Any]


@dataclass(frozen=True, kw_only=True)
class Way:
    """How backward is called: what it is given, from the inputs, the outputs and the targets (one-hot).

    `scale`: 1 for a mean over the batch, the batch size for a sum. `plain`: it is given the slope of its output itself.
    """

    name: str
    arguments: tuple[Argument, ...]
    scale: float = 1.0
    plain: bool = False
    updates: bool = False


def ways(backward: Any, ending: str) -> list[Way]:
    """The conventions of courses, the likeliest first."""
    names = [one.lower() for one in required(backward) or []]
    slopes: list[tuple[str, Argument, float, bool]] = [
        ("the slope of the mean loss by the output", _slope(ending), 1.0, True),
        (
            "the slope of the summed loss by the output",
            lambda x, y, t: len(x) * _slope(ending)(x, y, t),
            EXAMPLES,
            True,
        ),
    ]
    if ending in {"softmax", "sigmoid"}:
        slopes += [
            ("(p - onehot) / examples", lambda x, y, t: (y - t) / len(x), 1.0, False),
            ("p - onehot", lambda x, y, t: y - t, EXAMPLES, False),
        ]
    targets: list[tuple[str, Argument, float, bool]] = [
        (what, one, scale, False)
        for what, one in (("one-hot targets", lambda x, y, t: t), ("the classes", lambda x, y, t: t.argmax(1)))
        for scale in (1.0, EXAMPLES)
    ]
    known = [_filler(name) for name in names]
    free = [i for i, one in enumerate(known) if one is None]
    updates = any(name in _RATES for name in names)
    if not free:
        fixed = tuple(one for one in known if one is not None)
        return [Way(name="nothing", arguments=fixed, scale=scale, updates=updates) for scale in (1.0, EXAMPLES)]
    found = []
    for what, one, scale, plain in targets if names[free[-1]] in _TARGETS else slopes:
        arguments = [one if i == free[-1] else known[i] or one for i in range(len(names))]
        found.append(Way(name=what, arguments=tuple(arguments), scale=scale, plain=plain, updates=updates))
    return found


def _filler(name: str) -> Argument | None:
    if name in _INPUTS:
        return lambda x, y, t: x
    if name in _OUTPUTS:
        return lambda x, y, t: y
    if name in _RATES:
        return lambda x, y, t: LR
    return None


def _slope(ending: str) -> Argument:
    """Of the mean loss (see `loss`) by the output."""
    return {
        "logits": lambda x, y, t: (softmax(y) - t) / len(x),
        "softmax": lambda x, y, t: -t / y / len(x),
        "log_softmax": lambda x, y, t: -t / len(x),
        "sigmoid": lambda x, y, t: (y - t) / (y * (1 - y)) / len(x),
    }[ending]


def loss(ending: str, y: Array, t: Array) -> float:
    """Cross-entropy, summed over the classes, its mean over the examples. Of sigmoids it is that of each class alone."""
    if ending == "sigmoid":
        return float(-(t * np.log(y) + (1 - t) * np.log(1 - y)).sum() / len(t))
    z = log_softmax(y) if ending == "logits" else np.log(y) if ending == "softmax" else y
    return float(-(t * z).sum() / len(t))


def driver_of(thing: Any, generators: Generators) -> Driver | None:
    """A network of linear layers that takes rows, or columns; None for what is none."""
    if len(required(getattr(thing, "forward", thing)) or []) > 1:
        return None
    held = kept.parameters(thing)
    params = {name: one for name, one in held.items() if not kept.is_gradient(name, held)}
    for affines in chains(params):
        for columns in (False, True):
            found = Driver(thing, generators, affines, columns=columns)
            x = np.random.default_rng(4).normal(size=(EXAMPLES, affines[0].inputs))
            try:
                y = found.forward(x)
            except UsersError:
                continue
            if y.shape == (EXAMPLES, affines[-1].outputs) and y.dtype.kind == "f":
                found.set_back()
                return found
    return None
