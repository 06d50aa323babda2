"""One contract for everything that is checked: a value forward, gradients backward, from the same state each time."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from paribus.checking.differences import Array
from paribus.checking.isolation import Generators, called, copy_of
from paribus.handwritten import places as kept


@dataclass
class Passed:
    """What one forward and backward pass left: `changed` are arguments that were written into."""

    y: Any
    inputs: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    params_alone: bool = False  # backward returned a dict of the parameters' gradients


class Operation:
    """What is compared. `params` are the values at which it is compared; the first of `inputs` is x."""

    params: dict[str, Array]
    settings: dict[str, Any]

    def forward(self, inputs: Mapping[str, Any], params: Mapping[str, Array]) -> Any:
        """Its value, from the state in which it was made."""
        raise NotImplementedError

    def passed(self, inputs: Mapping[str, Any], params: Mapping[str, Array], dy: Any, *, times: int = 1) -> Passed:
        """Forward and backward, the same `times` times in a row on one and the same thing."""
        raise NotImplementedError

    def after_another(self, inputs: Mapping[str, Any], other: Mapping[str, Any], dy: Any) -> Passed | None:
        """Forward, then forward of `other` elsewhere, then backward of the first; None where that means nothing."""
        raise NotImplementedError

    def again(self, first: Mapping[str, Any], second: Mapping[str, Any], dys: tuple[Any, Any]) -> Passed:
        """A pass on `first` (forward alone where its dy is None), then one on `second`; what the second left."""
        raise NotImplementedError


def copied(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays of their own."""
    return {name: np.array(one) if isinstance(one, np.ndarray) else copy.deepcopy(one) for name, one in inputs.items()}


def written(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The arrays that are others now."""
    return [
        name
        for name, one in before.items()
        if isinstance(one, np.ndarray) and not np.array_equal(one, after[name], equal_nan=True)
    ]


def required(function: Callable[..., Any]) -> list[str] | None:
    """The names of the parameters without a default; None where that cannot be read."""
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one.name for one in known if one.kind in places and one.default is inspect.Parameter.empty]


class ClassOperation(Operation):
    """An object with forward (or a call) and backward."""

    def __init__(self, thing: Any, generators: Generators, settings: dict[str, Any]) -> None:
        self._thing, self._generators, self.settings = thing, generators, settings
        self.params = {name: np.array(one, float) for name, one in kept.parameters(thing).items()}

    def _fresh(self, params: Mapping[str, Array]) -> Any:
        self._generators.set_back()
        thing = copy_of(self._thing)
        places = kept.parameters(thing)
        for name, value in params.items():
            if name in places:
                places[name][...] = value
        return thing

    @staticmethod
    def _call(thing: Any, values: list[Any]) -> Any:
        forward = getattr(thing, "forward", None)
        y = called(forward if forward is not None else thing, *values)
        return y[0] if isinstance(y, tuple) else y

    def forward(self, inputs: Mapping[str, Any], params: Mapping[str, Array]) -> Any:
        """By a copy of the object."""
        return self._call(self._fresh(params), list(copied(inputs).values()))

    def _backward(self, thing: Any, inputs: Mapping[str, Any], dy: Any) -> tuple[Any, Any]:
        """What backward returned, and what it was given."""
        wanted = required(thing.backward)
        mine = copied(inputs)
        if np.ndim(dy) == 0:  # a loss: backward(), backward(p, t) or backward(1.0)
            given = list(mine.values()) if wanted and len(wanted) >= 2 else [1.0] if wanted else []
            return called(thing.backward, *given), mine
        dy = np.array(dy)
        before = dy.copy()
        more = list(mine.values())[: max(0, len(wanted or [1]) - 1)]
        returned = called(thing.backward, *([dy, *more] if wanted or wanted is None else []))
        return returned, {"dy": (before, dy)}

    def passed(self, inputs: Mapping[str, Any], params: Mapping[str, Array], dy: Any, *, times: int = 1) -> Passed:
        """See `Operation`."""
        thing = self._fresh(params)
        for _ in range(times):
            found = self._one(thing, inputs, dy)
        return found

    def _one(self, thing: Any, inputs: Mapping[str, Any], dy: Any) -> Passed:
        mine = copied(inputs)
        parameters_before = copied(kept.parameters(thing))
        y = self._call(thing, list(mine.values()))
        y = np.array(y) if isinstance(y, np.ndarray) else y
        changed = written(inputs, mine)
        if parameters_before.keys() == (now := kept.parameters(thing)).keys() and kept.looks_learned(thing):
            changed += written(parameters_before, now)
        returned, given = self._backward(thing, inputs, dy)
        if "dy" in given and not np.array_equal(*given["dy"]):
            changed.append("dy")
        return self._sorted(thing, y, inputs, returned, changed)

    def _sorted(self, thing: Any, y: Any, inputs: Mapping[str, Any], returned: Any, changed: list[str]) -> Passed:
        names = list(self.params)
        grads = {name: copy.copy(one) for name, one in kept.gradients(thing, names).items()}
        slopes = [returned] if not isinstance(returned, tuple | list) else list(returned)
        if isinstance(returned, dict) and returned.keys() & set(names):  # of the parameters alone
            return Passed(y, {}, grads | {name: returned.get(name) for name in names}, changed, params_alone=True)
        wanted = [name for name, one in inputs.items() if isinstance(one, np.ndarray) and one.dtype.kind == "f"]
        found = dict(zip(wanted, slopes, strict=False))
        rest = slopes[len(found) :]
        if rest and isinstance(rest[0], dict):
            grads |= {name: one for name, one in rest[0].items() if name in names}
        elif rest and not grads:
            grads = dict(zip(names, rest, strict=False))
        return Passed(y, found, grads, changed)

    def after_another(self, inputs: Mapping[str, Any], other: Mapping[str, Any], dy: Any) -> Passed | None:
        """Two objects of one class share nothing."""
        thing, second = self._fresh(self.params), self._fresh(self.params)
        y = self._call(thing, list(copied(inputs).values()))
        self._call(second, list(copied(other).values()))
        returned, _ = self._backward(thing, inputs, dy)
        return self._sorted(thing, y, inputs, returned, [])

    def again(self, first: Mapping[str, Any], second: Mapping[str, Any], dys: tuple[Any, Any]) -> Passed:
        """One object, two batches."""
        thing = self._fresh(self.params)
        if dys[0] is None:
            self._call(thing, list(copied(first).values()))
        else:
            self._one(thing, first, dys[0])
        if callable(reset := getattr(thing, "zero_grad", None)):
            called(reset)
        return self._one(thing, second, dys[1])

    @property
    def resets(self) -> bool:
        """Whether gradients are meant to add up until they are set to 0."""
        return any(hasattr(self._thing, name) for name in kept.RESETS)


class PairOperation(Operation):
    """name_forward(x, w, b, ...) -> out, cache and name_backward(dout, cache) -> gradients in the same order."""

    def __init__(
        self,
        pair: tuple[Callable[..., Any], Callable[..., Any]],
        generators: Generators,
        params: dict[str, Array],
        settings: dict[str, Any],
    ) -> None:
        self._pair, self._generators, self.params, self.settings = pair, generators, params, settings

    def _given(self, inputs: Mapping[str, Any], params: Mapping[str, Array]) -> dict[str, Any]:
        """In the order of the signature; what is neither input nor parameter stands in `settings`."""
        self._generators.set_back()
        names = required(self._pair[0]) or []
        values = {**copied(inputs), **copied(params)}
        return {
            name: values[name] if name in values else copy.deepcopy(self.settings.get("given", {}).get(name))
            for name in names
        }

    @staticmethod
    def _split(returned: Any) -> tuple[Any, Any]:
        return (returned[0], returned[1]) if isinstance(returned, tuple) and len(returned) > 1 else (returned, None)

    def forward(self, inputs: Mapping[str, Any], params: Mapping[str, Array]) -> Any:
        """The value without the cache."""
        return self._split(called(self._pair[0], *self._given(inputs, params).values()))[0]

    def passed(self, inputs: Mapping[str, Any], params: Mapping[str, Array], dy: Any, *, times: int = 1) -> Passed:
        """See `Operation`."""
        for _ in range(times):
            given = self._given(inputs, params)
            before = copied({name: one for name, one in given.items() if isinstance(one, np.ndarray)})
            y, cache = self._split(called(self._pair[0], *given.values()))
            y = np.array(y) if isinstance(y, np.ndarray) else y
            changed = written(before, given)
            upstream = np.array(dy)
            found = self._sorted(called(self._pair[1], upstream, cache), y, given, inputs)
            found.changed = changed + (["dy"] if not np.array_equal(upstream, dy) else [])
        return found

    def _sorted(self, returned: Any, y: Any, given: Mapping[str, Any], inputs: Mapping[str, Any]) -> Passed:
        arrays = [name for name, one in given.items() if isinstance(one, np.ndarray) and one.dtype.kind == "f"]
        if isinstance(returned, dict):
            slopes = {name: returned.get(name, returned.get(f"d{name}")) for name in arrays}
        else:
            slopes = dict(zip(arrays, returned if isinstance(returned, tuple | list) else [returned], strict=False))
        mine = {name: one for name, one in slopes.items() if name in inputs}
        return Passed(y, mine, {name: one for name, one in slopes.items() if name in self.params})

    def after_another(self, inputs: Mapping[str, Any], other: Mapping[str, Any], dy: Any) -> Passed | None:
        """The first call's cache is used after the second call."""
        given = self._given(inputs, self.params)
        y, cache = self._split(called(self._pair[0], *given.values()))
        called(self._pair[0], *self._given(other, self.params).values())
        return self._sorted(called(self._pair[1], np.array(dy), cache), y, given, inputs)

    def again(self, first: Mapping[str, Any], second: Mapping[str, Any], dys: tuple[Any, Any]) -> Passed:
        """One after the other."""
        if dys[0] is None:
            self.forward(first, self.params)
        else:
            self.passed(first, self.params, dys[0])
        return self.passed(second, self.params, dys[1])


class LossFunction(PairOperation):
    """loss(z, y) -> value, dz."""

    def __init__(self, function: Callable[..., Any], generators: Generators, settings: dict[str, Any]) -> None:
        super().__init__((function, lambda dy, cache: cache), generators, {}, settings)
