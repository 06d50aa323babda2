"""A network of the user's as a model of ours: its own arrays are the parameters, its methods compute."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paribus.backends.network.arrange import Arranged
from paribus.backends.network.calls import Calls, NotUnderstoodError, reset
from paribus.handwritten.places import Array, Place, float_arrays, put, reach, spelled


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a network is read, the same for every copy of it.

    `parameters`: of each of the house's parameters the user's array and its place; `gradients`: where the gradient
    stands, in the network or in what backward `returned`. `softmax`: whether the outputs are those of one, `inside`;
    where it is `short`, backward takes dL/d(logits) all the same.
    """

    calls: Calls
    outputs: int
    parameters: Mapping[str, tuple[Arranged, Place]]
    gradients: Mapping[str, Place]
    returned: Mapping[str, Place]
    resets: Mapping[str, Place]
    softmax: Literal["none", "inside", "short"] = "none"


class Adapted:
    """See `byhand.model.Model`. `thing`: the user's network, whose arrays it replaces by its own, of `dtype`."""

    buffers: dict[str, Array] = {}  # noqa: RUF012 (always empty)
    dropped: tuple[int, ...] = ()

    def __init__(self, thing: Any, reading: Reading, dtype: np.dtype[Any]) -> None:
        self.thing, self.reading, self._dtype = thing, reading, dtype
        own_arrays(thing, dtype)
        self._arrays = {name: reach(thing, place) for name, (_, place) in reading.parameters.items()}
        self.parameters: dict[str, Array] = {
            name: _as_ours(self._arrays[name], one, view=True) for name, (one, _) in reading.parameters.items()
        }
        self.found: set[str] = set()  # the types in which it computed
        self._cache: Any = None

    def around(self, thing: Any) -> Adapted:
        """The same about a copy of the network."""
        return Adapted(thing, self.reading, self._dtype)

    def load(self, values: Mapping[str, Array]) -> None:
        """Copy values into the user's arrays."""
        for name, parameter in self.parameters.items():
            parameter[...] = values[name]

    def train(self, *, training: bool = True) -> None:
        """Nothing is known of it that differs."""

    def forward(self, x: Array, keep: Sequence[NDArray[np.bool_]] = ()) -> Array:  # noqa: ARG002 (see `dropped`)
        """The outputs (examples, outputs) of its type of numbers."""
        raw, self._cache = self.reading.calls.outputs(self.thing, x)
        return self._outputs(raw, len(x))

    def evaluated(self, x: Array) -> Array:
        """The outputs by a copy, so that an evaluation leaves nothing in the network."""
        raw, _ = self.reading.calls.outputs(copy.deepcopy(self.thing), x.copy())
        return self._outputs(raw, len(x))

    def _outputs(self, raw: Any, examples: int) -> Array:
        found = outputs_of(raw, examples, self.reading.outputs, columns=self.reading.calls.columns)
        self._flat = np.ndim(raw) == 1
        self.found.add(str(found.dtype))
        found = found.astype(self._dtype, copy=False)
        return logits(found) if self.reading.softmax == "short" else found

    def backward(self, dlogits: Array) -> dict[str, Array]:
        """The gradients of all parameters, as the house's lie; from dL/d(outputs) of the last `forward`."""
        reset(self.thing, self.reading.resets)
        dout = dlogits[:, 0] if self._flat else dlogits
        return self._gradients(self.reading.calls.backward(self.thing, dout, self._cache))

    def loss(self, x: Array, y: Array) -> tuple[float | None, dict[str, Array]]:
        """Of a network that has a loss of its own: that and the gradients."""
        reset(self.thing, self.reading.resets)
        loss, returned = self.reading.calls.loss(self.thing, x, y, self.reading.outputs)
        return loss, self._gradients(returned)

    def _gradients(self, returned: Any) -> dict[str, Array]:
        reading, found = self.reading, dict[str, Array]()
        for name, (arranged, place) in reading.parameters.items():
            kept = name in reading.gradients
            given = reach(self.thing, reading.gradients[name]) if kept else reach(returned, reading.returned[name])
            array = np.asarray(given)
            if array.shape != self._arrays[name].shape:
                raise ValueError(
                    f"the gradient of {arranged.name} has shape {array.shape}, and {arranged.name} itself "
                    f"{self._arrays[name].shape}"
                )
            self.found.add(str(array.dtype))
            found[name] = np.array(_as_ours(array, arranged), dtype=self._dtype)
            self._put_back(place, name)
        return found

    def _put_back(self, place: Place, name: str) -> None:
        """The optimizer works on the arrays that were there: where the network put others of the same numbers there,
        it gets its own again."""
        there = reach(self.thing, place)
        if there is self._arrays[name]:
            return
        if not np.array_equal(there, self._arrays[name]):
            raise ValueError(
                f"it changes {spelled(place)} itself: the step is the optimizer's, leave it out of backward"
            )
        put(self.thing, place, self._arrays[name])

    def at_once(self, x: Array) -> int:
        """All of them."""
        return max(1, len(x))


def _as_ours(array: Array, arranged: Arranged, *, view: bool = False) -> Array:
    """A weight as (outputs, inputs), a bias as (outputs,); `view`: what is written into it stands in the array."""
    found: Array = array.T if arranged.transposed else array
    if arranged.flat:
        found = array.reshape(-1)
        assert not view or np.shares_memory(found, array)
    return found


def own_arrays(thing: Any, dtype: np.dtype[Any]) -> None:
    """Put a copy of each array in its place, of a type of numbers; one that stands in several places stays one."""
    copies: dict[int, Array] = {}
    for place, array in list(float_arrays(thing)):
        copies.setdefault(id(array), np.array(array, dtype=dtype, order="C"))
        try:
            put(thing, place, copies[id(array)])
        except (TypeError, AttributeError):
            raise NotUnderstoodError(
                f"{spelled(place)} cannot be set, as it stands in a tuple or a property: keep arrays in lists, dicts "
                "or attributes"
            ) from None


def logits(probabilities: Array) -> Array:
    """log p, p of 0 as the smallest number of its type: softmax gives the probabilities again."""
    found: Array = np.log(np.maximum(probabilities, np.finfo(probabilities.dtype).tiny))
    return found


def outputs_of(raw: Any, examples: int, outputs: int, *, columns: bool) -> Array:
    """The outputs as (examples, outputs). ValueError for what is none."""
    if not isinstance(raw, np.ndarray) or raw.dtype.kind != "f":
        what = f"an array of {raw.dtype}" if isinstance(raw, np.ndarray) else type(raw).__name__
        raise ValueError(f"it gives {what}, where an array of real numbers is needed")
    found = raw[:, None] if raw.ndim == 1 and outputs == 1 else raw.T if columns else raw
    if found.shape != (examples, outputs):
        raise ValueError(f"{examples} examples give outputs of shape {raw.shape}, it has to be {(examples, outputs)}")
    return found
