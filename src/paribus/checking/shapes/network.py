"""A whole network, made from sizes: read as `implementation` reads it, so that the same code is right in both."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from paribus.backends.network.adapted import outputs_of, own_arrays
from paribus.backends.network.calls import Calls, NotUnderstoodError, reset
from paribus.backends.network.recognise import Shape, called, in_returned, resets_of
from paribus.checking.differences import Array
from paribus.checking.inputs import FEATURES, OUT, off_kinks
from paribus.checking.isolation import FAILS, Generators
from paribus.checking.shapes.operation import Operation, Passed, copied, written
from paribus.handwritten import places as kept
from paribus.handwritten.construct import attempts

_HIDDEN = 6  # no number of examples in a check


class NetworkOperation(Operation):
    """Outputs of x, or, of one with a loss of its own, the loss of classes y, whose examples belong to their number.
    Nobody asks for the gradient of x; where backward gives it, it is compared."""

    asks_inputs = False

    def __init__(self, thing: Any, calls: Calls, generators: Generators) -> None:
        self._thing, self._calls, self._generators, self.settings = thing, calls, generators, {}
        self._places = kept.learned_places(thing)
        self.params = {name: np.array(kept.reach(thing, place)) for name, place in self._places.items()}
        self.known_as = "network" if calls.gives_loss is None else "network_with_a_loss"

    def make(self, batch: int) -> dict[str, Any]:
        """Inputs for a number of examples."""
        if self._calls.gives_loss is not None:
            return {"y": (np.arange(batch) * 2 + 1) % OUT}
        return {"x": off_kinks(np.random.default_rng(batch), batch, FEATURES)}

    def _fresh(self, params: Mapping[str, Array]) -> Any:
        self._generators.set_back()
        thing = copy.deepcopy(self._thing)
        for name, place in self._places.items():
            kept.reach(thing, place)[...] = params[name]
        return thing

    def _once(self, thing: Any, inputs: Mapping[str, Any], dy: Any) -> Passed:
        """One pass; without `dy` only forward."""
        mine, before = copied(inputs), {name: np.array(one) for name, one in self._now(thing).items()}
        if self._calls.gives_loss is not None:
            x = off_kinks(np.random.default_rng(len(mine["y"])), len(mine["y"]), FEATURES)
            y: Any
            y, returned = self._calls.loss(thing, x, mine["y"], OUT)
            if y is None:
                raise NotUnderstoodError(f"{self._calls.gives_loss}(x, y) gives no loss beside the gradients")
        else:
            raw, cache = self._calls.outputs(thing, mine["x"])
            y = np.array(outputs_of(raw, len(mine["x"]), OUT, columns=self._calls.columns))
            returned = None if dy is None else self._calls.backward(thing, np.array(dy), cache)
        now = self._now(thing)
        found = {name: kept.reach(returned, place) for name, place in in_returned(returned, now).items()}
        held = kept.gradient_places(thing, self._places)
        found |= {name: np.array(kept.reach(thing, place)) for name, place in held.items()}
        slopes = {}
        if self._calls.gives_loss is None:
            turned = np.shape(mine["x"])[:: -1 if self._calls.columns else 1]
            back = returned[0] if isinstance(returned, tuple | list) and returned else returned
            if isinstance(back, np.ndarray) and back.shape == turned:
                slopes = {"x": back.T if self._calls.columns else back}
        return Passed(y, slopes, found, written(before, now) + written(inputs, mine))

    def _now(self, thing: Any) -> dict[str, Array]:
        return {name: kept.reach(thing, place) for name, place in self._places.items()}

    def forward(self, inputs: Mapping[str, Any], params: Mapping[str, Array]) -> Any:
        """By a copy of the network."""
        return self._once(self._fresh(params), inputs, None).y

    def passed(self, inputs: Mapping[str, Any], params: Mapping[str, Array], dy: Any, *, times: int = 1) -> Passed:
        """See `Operation`. Gradients are set to 0 between two passes, where the network means it so."""
        thing = self._fresh(params)
        for _ in range(times):
            reset(thing, resets_of(kept.gradient_places(thing, self._places)))
            found = self._once(thing, inputs, dy)
        return found

    def after_another(self, inputs: Mapping[str, Any], other: Mapping[str, Any], dy: Any) -> Passed | None:
        """Two networks of one class share nothing."""
        if self._calls.gives_loss is not None:
            return None
        thing, second = self._fresh(self.params), self._fresh(self.params)
        _, cache = self._calls.outputs(thing, copied(inputs)["x"])
        self._calls.outputs(second, copied(other)["x"])
        returned = self._calls.backward(thing, np.array(dy), cache)
        found = {name: kept.reach(returned, one) for name, one in in_returned(returned, self._now(thing)).items()}
        held = kept.gradient_places(thing, self._places)
        return Passed(None, {}, found | {name: kept.reach(thing, place) for name, place in held.items()})

    def again(self, first: Mapping[str, Any], second: Mapping[str, Any], dys: tuple[Any, Any]) -> Passed:
        """One network, two batches."""
        thing = self._fresh(self.params)
        self._once(thing, first, dys[0])
        return self._once(thing, second, dys[1])


def network_of(function: Any, generators: Generators) -> NetworkOperation | None:
    """The network that a class or function makes for sizes; None where it makes none."""
    shape = Shape(sizes=(FEATURES, _HIDDEN, OUT), activation="relu", predicts="classes")
    for by_place, by_name in attempts(function, FEATURES, [_HIDDEN], OUT):
        generators.set_back()
        try:
            tried, network = (function(*copy.deepcopy(by_place), **copy.deepcopy(by_name)) for _ in range(2))
            own_arrays(tried, np.dtype(np.float64))
            own_arrays(network, np.dtype(np.float64))
            calls, _, _ = called(tried, shape)
        except (NotUnderstoodError, *FAILS):
            continue
        if len(kept.learned_places(network)) >= 2 * (len(shape.sizes) - 1):
            spread(network)
            return NetworkOperation(network, calls, generators)
    return None


def spread(network: Any) -> None:
    """Parameters other than 0 and small numbers, so that no gradient is hidden by them."""
    rng = np.random.default_rng(11)
    for place in kept.learned_places(network).values():
        array = kept.reach(network, place)
        array[...] = rng.uniform(0.4, 1.2, array.shape) * rng.choice([-1, 1], array.shape)
