"""One operation against central differences and, where it is known, against its formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from paribus.checking.differences import STEP, STEP_32, Array, alike, central, distance
from paribus.checking.inputs import LOSSES, extremes
from paribus.checking.isolation import FAILS
from paribus.checking.known import BY_BEHAVIOUR, Variants, matching, variants
from paribus.checking.reasons import Case, reason, shape_reason
from paribus.checking.result import DEPARTS, RIGHT, Checked, Departure
from paribus.checking.shapes.operation import ClassOperation, Operation, PairOperation
from paribus.config.user_errors import told

Make = Callable[[int], dict[str, Any]]
BATCHES = (5, 1, 7)


class Comparison:
    """All that is tried on one operation; `departures` in the order in which they were met."""

    def __init__(self, name: str, op: str | None, operation: Operation, make: Make) -> None:
        self.name, self.op, self.operation, self.make = name, op, operation, make
        self.departures: list[Departure] = []
        self.notes: list[str] = []
        self.single = False  # float32
        self.batches = tuple(one for one in BATCHES if one > 1 or op not in {"batch_norm", "batch_norm_2d"})

    def result(self) -> Checked:
        """The verdict."""
        try:
            self._all()
        except FAILS as error:
            self._depart("output", f"it raises {told(error)}", None)
        taken = (self.op or "an operation of your own").replace("_", " ")
        verdict = DEPARTS if self.departures else RIGHT
        return Checked(
            name=self.name, verdict=verdict, taken=taken, departures=tuple(self.departures), notes=tuple(self.notes)
        )

    def _depart(self, tensor: str, how: str, why: tuple[str, str] | None) -> None:
        code, words = why or (None, None)
        self.departures.append(Departure(tensor=tensor, how=how, reason=words, code=code))

    def _all(self) -> None:
        first = self.make(self.batches[0])
        y = self.operation.forward(first, self.operation.params)
        self.single = isinstance(y, np.ndarray | np.floating) and y.dtype == np.float32
        if self.op is None:
            self.op = self._behaves_like(first, y)
        self._value(first, y)
        for batch in self.batches:
            if self._gradients(self.make(batch), batch):
                return
        self._twice(first)
        self._another()
        self._extremes(first)

    @property
    def tolerance(self) -> float:
        """What counts as the same: rounding, and the error of the differences."""
        return 5e-3 if self.single else 2e-6

    def _behaves_like(self, inputs: Mapping[str, Any], y: Any) -> str | None:
        for op in BY_BEHAVIOUR:
            found = variants(op, list(inputs.values()), self.operation.params, {})
            if found and matching(found, y) is not None:
                return op
        return None

    def _value(self, inputs: Mapping[str, Any], y: Any) -> None:
        """The output of a known operation."""
        found = self.op and variants(self.op, list(inputs.values()), self.operation.params, self.operation.settings)
        if not found:
            return
        name = matching(found, y, 1e-3 if self.single else 1e-5)
        if name is None:
            self._depart("output", _far(y, next(iter(found.values()))), self._forward_reason(found, inputs, y))
        elif name and self.op in LOSSES:
            self.notes.append(f"the loss is {name}" if "PyTorch" in name else f"the loss is that {name}")

    def _forward_reason(self, found: Variants, inputs: Mapping[str, Any], y: Any) -> tuple[str, str] | None:
        from paribus.checking.forward_reasons import forward_reason

        return forward_reason(self.op or "", found, list(inputs.values()), self.operation.params, y)

    def _upstream(self, y: Any, batch: int) -> Any:
        if np.ndim(y) == 0:
            return np.array(1.0)
        rng = np.random.default_rng([batch, 3])
        return rng.uniform(0.3, 1.5, np.shape(y)) * rng.choice([-1.0, 1.0], np.shape(y))

    def _gradients(self, inputs: Mapping[str, Any], batch: int) -> bool:
        """Each gradient of one batch; whether something departs."""
        params, before = self.operation.params, len(self.departures)
        at = f" at batch size {batch}" if batch != self.batches[0] else ""
        try:
            y = self.operation.forward(inputs, params)
            dy = self._upstream(y, batch)
            passed = self.operation.passed(inputs, params, dy)
        except FAILS as error:
            why = (
                ("batch-size", "it works at one batch size alone: a shape is broadcast or reshaped by accident")
                if at
                else None
            )
            self._depart(f"output{at}", f"it raises {told(error)}", why)
            return True
        self._written(passed.changed, dict(inputs), before)
        slopes = [name for name, one in inputs.items() if isinstance(one, np.ndarray) and one.dtype.kind == "f"]
        if np.ndim(y) == 0:
            slopes = slopes[:1]  # a loss: nobody asks for the gradient of the targets
        elif not passed.inputs and not self.operation.asks_inputs:
            slopes = []
        elif len(passed.inputs) < len(slopes):
            slopes = slopes[: max(1, len(passed.inputs))]
        kept = [name for name in params if passed.params.get(name) is not None or self._declared]
        for name, found in [(n, passed.inputs.get(n)) for n in slopes] + [(n, passed.params.get(n)) for n in kept]:
            self._tensor(name, found, inputs, y=y, dy=dy, at=at)
        return len(self.departures) > before

    @property
    def _declared(self) -> bool:
        from paribus.handwritten.places import looks_learned

        thing = getattr(self.operation, "_thing", None)
        return isinstance(self.operation, PairOperation) or (thing is not None and looks_learned(thing))

    def _written(self, changed: list[str], inputs: Mapping[str, Any], before: int) -> None:
        for name in changed:
            if name == "dy":
                note = "backward writes into the upstream gradient that it is given: another layer that uses it gets other numbers"
                if note not in self.notes:
                    self.notes.append(note)
            elif len(self.departures) == before:
                what = "input" if name in inputs else "parameter"
                self._depart(
                    f"{what} {name}",
                    "it has other numbers after the call",
                    ("in-place", f"forward changes its {what} in place: work on a copy, as in {name} = {name}.copy()"),
                )

    def _true(self, name: str, inputs: Mapping[str, Any], dy: Any) -> Array:
        at = {**{n: v for n, v in inputs.items() if isinstance(v, np.ndarray)}, **self.operation.params}

        def total(values: Mapping[str, Array]) -> float:
            moved = {n: values.get(n, v) for n, v in inputs.items()}
            y = self.operation.forward(moved, {n: values[n] for n in self.operation.params})
            return float(np.sum(np.asarray(y, float) * dy))

        return central(total, at, name, STEP_32 if self.single else STEP)

    def _tensor(self, name: str, found: Any, inputs: Mapping[str, Any], *, y: Any, dy: Any, at: str) -> None:
        what = f"gradient of the {'input' if name in inputs else 'parameter'} {name}{at}"
        shape = np.shape(inputs[name] if name in inputs else self.operation.params[name])
        if found is None:
            self._depart(
                what,
                "there is none",
                ("missing", "backward does not return it, or does not store it under the parameter's name"),
            )
            return
        mine = np.asarray(found)
        true = self._true(name, inputs, dy)
        ones = self._true(name, inputs, np.ones(np.shape(y))) if not alike_shape(mine, true, self.tolerance) else None
        case = Case(
            op=self.op,
            tensor=name,
            inputs=inputs,
            params=self.operation.params,
            y=y,
            dy=dy,
            settings=self.operation.settings,
            tolerance=max(1e-4, self.tolerance),
            ones=ones,
        )
        if mine.shape != shape:
            self._depart(what, f"shape {mine.shape}, it should be {shape}", shape_reason(case, mine, true))
            return
        single = mine.dtype == np.float32
        if single or self.single:
            note = "it computes in float32, though it was given float64: compared at float32's tolerance"
            if note not in self.notes:
                self.notes.append(note)
        if alike(mine, true, 5e-3 if self.single else 1e-5 if not single else 1e-4):
            return
        why = reason(case, mine, true)
        if at and why is None:
            why = ("batch-size", "it is right at another batch size: a shape is broadcast by accident")
        self._depart(what, _far(mine, true), why)

    def _twice(self, inputs: Mapping[str, Any]) -> None:
        """The same twice: gradients must not add up, nor must anything else be kept."""
        y = self.operation.forward(inputs, self.operation.params)
        dy = self._upstream(y, self.batches[0])
        once = self.operation.passed(inputs, self.operation.params, dy)
        second = self.operation.passed(inputs, self.operation.params, dy, times=2)
        resets = isinstance(self.operation, ClassOperation) and self.operation.resets
        for name, one in once.params.items():
            if one is not None and alike(np.asarray(second.params[name]), 2 * np.asarray(one), 1e-6) and np.any(one):
                if resets:
                    self.notes.append("gradients add up over calls, until they are set to 0 (there is a method for it)")
                    return
                self._depart(
                    f"gradient of the parameter {name}",
                    "a second call gives twice the gradient",
                    (
                        "accumulated",
                        "the gradient is added to that of the call before: += where = is meant, or it is never set to 0",
                    ),
                )
                return
        if self.op == "dropout":
            return
        for name, one in once.inputs.items():
            if one is not None and not alike(np.asarray(second.inputs[name]), np.asarray(one), 1e-4):
                self._depart(
                    f"gradient of the input {name}",
                    "a second call gives another one",
                    ("state", "something is kept from the call before"),
                )
                return

    def _another(self) -> None:
        """A second forward elsewhere, and another batch size on the same object."""
        a, b = self.make(self.batches[0]), self.make(self.batches[-1])
        y = self.operation.forward(a, self.operation.params)
        dy = self._upstream(y, self.batches[0])
        once = self.operation.passed(a, self.operation.params, dy)
        other = {
            name: one * 1.37 + 0.01 if isinstance(one, np.ndarray) and one.dtype.kind == "f" else one
            for name, one in a.items()
        }
        if self.op == "dropout":
            return
        try:
            after = self.operation.after_another(a, other, dy)
        except FAILS:
            after = None
        if after is not None:
            for name, one in [*once.inputs.items(), *once.params.items()]:
                mine = after.inputs.get(name, after.params.get(name))
                if one is not None and mine is not None and not alike(np.asarray(mine), np.asarray(one), 1e-4):
                    self._depart(
                        f"gradient of {name}",
                        "it is another one after a second forward",
                        (
                            "cache",
                            "a second forward overwrites the cache of the first: it is shared (a global, or an attribute of the class)",
                        ),
                    )
                    return
        dz = self._upstream(self.operation.forward(b, self.operation.params), self.batches[-1])
        try:
            self.operation.again(a, b, (dy, dz))
        except FAILS as error:
            self._depart(
                "output",
                f"a batch of another size after the first raises {told(error)}",
                ("batch-size", "something is kept from the first batch, as its size"),
            )

    def _extremes(self, inputs: Mapping[str, Any]) -> None:
        if not np.issubdtype(np.asarray(next(iter(inputs.values()))).dtype, np.floating):
            return
        first = next(iter(inputs))
        for what, x in extremes(self.op, np.asarray(inputs[first])).items():
            given = {**inputs, first: x}
            try:
                y = np.asarray(self.operation.forward(given, self.operation.params), float)
            except FAILS as error:
                self.notes.append(f"for {what} it raises {told(error)}")
                continue
            if self.op == "cross_entropy":
                if not np.isfinite(y).all():
                    self.notes.append(f"for {what} the loss is {float(y):g}: log 0")
                continue
            finite = np.isfinite(y).all() if self.op != "log_softmax" else not np.isnan(y).any()
            if not finite and self.op is not None:
                words = (
                    "exp overflows: subtract the largest number of each row first"
                    if self.op and "softmax" in self.op
                    else "exp overflows: use a form that does not divide infinity by infinity"
                )
                self._depart(
                    "output", f"for {what} it is {'NaN' if np.isnan(y).any() else 'infinite'}", ("overflow", words)
                )
                return


def alike_shape(mine: Array, true: Array, tolerance: float) -> bool:
    """Whether shape and numbers are the same."""
    return mine.shape == true.shape and alike(mine, true, max(tolerance, 1e-5))


def _far(mine: Any, true: Any) -> str:
    if np.shape(mine) != np.shape(true):
        return f"shape {np.shape(mine)}, it should be {np.shape(true)}"
    a, b = np.asarray(mine, float), np.asarray(true, float)
    if not np.isfinite(a).all():
        return "it is not finite"
    i = np.unravel_index(int(np.abs(a - b).argmax()), a.shape) if a.ndim else ()
    share = distance(a, b)
    place = f"[{', '.join(map(str, i))}]" if a.ndim else ""
    return f"off by {share:.0%} of the largest; {place or 'it'} is {a[i]:.4g}, it should be {b[i]:.4g}"
