"""One operation against central differences and, where it is known, against its formula and PyTorch's autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from paribus.checking.autograd import Exact, differentiated
from paribus.checking.build import NotBuiltError, adapter
from paribus.checking.differences import STEP, STEP_32, Array, alike, central, distance, extrapolated, sampled
from paribus.checking.inputs import LOSSES
from paribus.checking.isolation import Generators, UsersError, holds_a_generator
from paribus.checking.known import BY_BEHAVIOUR, Variants, closest, matching, variants
from paribus.checking.reasons import Case, reason, shape_reason
from paribus.checking.result import DEPARTS, RIGHT, Checked, Departure
from paribus.checking.shapes.operation import ClassOperation, Operation, PairOperation
from paribus.checking.witnesses import COARSE_32, Witnesses

Make = Callable[[int], dict[str, Any]]
BATCHES = (5, 1, 7)
LARGE, LARGEST, SAMPLE = 3000, 200_000, 5
"""Of more than LARGE numbers, differences are taken of SAMPLE numbers of each tensor; of more than LARGEST of none."""


class Comparison:
    """All that is tried on one operation; `departures` in the order in which they were met."""

    def __init__(self, name: str, op: str | None, operation: Operation, make: Make) -> None:
        self.name, self.op, self.operation, self.make = name, op, operation, make
        self.departures: list[Departure] = []
        self.notes: list[str] = []
        self.single = False  # float32
        self.sampling = False  # whether differences are taken of some numbers alone
        self.input_optional = False  # whether backward may leave out the gradient of the input
        self.witnesses = Witnesses()
        self.generators: Generators | None = getattr(operation, "_generators", None)
        self._exact: dict[int, Exact | None] = {}  # by batch size
        self.batches = tuple(one for one in BATCHES if one > 1 or op not in {"batch_norm", "batch_norm_2d"})

    def result(self) -> Checked:
        """The verdict."""
        try:
            self._all()
        except UsersError as error:
            self.depart("output", f"it raises {error}", None)
        taken = (self.op or "an operation of your own").replace("_", " ")
        verdict = DEPARTS if self.departures else RIGHT
        return Checked(
            name=self.name,
            verdict=verdict,
            taken=taken,
            decided_by=self.witnesses.decided_by,
            differences=self.witnesses.largest if verdict == RIGHT else {},
            departures=tuple(self.departures),
            notes=tuple(self.notes),
        )

    def depart(self, tensor: str, how: str, why: tuple[str, str] | None) -> None:
        """`why`: a code and words."""
        code, words = why or (None, None)
        self.departures.append(Departure(tensor=tensor, how=how, reason=words, code=code))

    def _all(self) -> None:
        first = self.make(self.batches[0])
        numbers = sum(
            one.size for one in [*self.operation.params.values(), *first.values()] if isinstance(one, np.ndarray)
        )
        if numbers > LARGEST:
            raise NotBuiltError(
                f"it has {numbers:,} numbers, of which differences would take hours; make a small one: {adapter(self.name)}"
            )
        if numbers > LARGE:
            self.sampling, self.batches = True, self.batches[:1]
            self.notes.append(f"of its {numbers:,} numbers, {SAMPLE} of each tensor were compared, at one batch size")
        y = self.operation.forward(first, self.operation.params)
        if isinstance(y, np.ndarray | np.floating) and y.dtype == np.float16:
            raise NotBuiltError("it computes in float16, whose rounding hides what a gradient is: check it in float64")
        self.single = isinstance(y, np.ndarray | np.floating) and y.dtype == np.float32
        if self.op is None:
            self.op = self._behaves_like(first, y)
        self._value(first, y)
        for batch in self.batches:
            if self._gradients(self.make(batch), batch):
                return
        if self.op != "dropout" and self._draws(first):
            self.notes.append("its forward draws random numbers: what it keeps from call to call was not looked at")
        else:
            self._twice(first)
            self._another()
        from paribus.checking.extremes import at_the_ends

        at_the_ends(self, first)

    def _draws(self, inputs: Mapping[str, Any]) -> bool:
        """Whether forward draws from a generator that is known: a global one, one of the file, or of the object."""
        if self.generators is None:
            return False
        self.generators.set_back()
        before = self.generators.standing()
        self.operation.forward(inputs, self.operation.params)
        return self.generators.standing() != before or holds_a_generator(getattr(self.operation, "_thing", None))

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
            self.depart("output", far(y, next(iter(found.values()))), self._forward_reason(found, inputs, y))
        elif name and self.op in LOSSES:
            if self.op == "cross_entropy" and "logits" in name:  # so it has to bear large ones
                self.op = "softmax_cross_entropy"
            name = name.rstrip("; ")
            self.notes.append(f"the loss is {'that ' if name.startswith('of') else ''}{name}")

    def _forward_reason(self, found: Variants, inputs: Mapping[str, Any], y: Any) -> tuple[str, str] | None:
        from paribus.checking.forward_reasons import forward_reason

        return forward_reason(self.op or "", found, list(inputs.values()), self.operation.params, y)

    def upstream(self, y: Any, batch: int) -> Any:
        """A random upstream gradient, away from 0; 1 for a loss."""
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
            dy = self.upstream(y, batch)
            passed = self.operation.passed(inputs, params, dy)
        except UsersError as error:
            why = (
                ("batch-size", "it works at one batch size alone: a shape is broadcast or reshaped by accident")
                if at
                else None
            )
            self.depart(f"output{at}", f"it raises {error}", why)
            return True
        self._written(passed.changed, dict(inputs), before)
        slopes = [name for name, one in inputs.items() if isinstance(one, np.ndarray) and one.dtype.kind == "f"]
        if np.ndim(y) == 0:
            slopes = slopes[:1]  # a loss: nobody asks for the gradient of the targets
        elif len(passed.inputs) < len(slopes):
            slopes = slopes[: max(1, len(passed.inputs))]
        if self.input_optional or passed.params_alone:
            slopes = [name for name in slopes if passed.inputs.get(name) is not None]
        kept = [name for name in params if passed.params.get(name) is not None or self._declared]
        for name, found in [(n, passed.inputs.get(n)) for n in slopes] + [(n, passed.params.get(n)) for n in kept]:
            self._tensor(name, found, inputs, y=y, dy=dy, batch=batch)
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
                self.depart(
                    f"{what} {name}",
                    "it has other numbers after the call",
                    ("in-place", f"forward changes its {what} in place: work on a copy, as in {name} = {name}.copy()"),
                )

    def _finer(self, name: str, inputs: Mapping[str, Any], dy: Any) -> Iterator[Array]:
        """Other differences: of higher order, for what bends strongly; of a shorter step, for what has kinks nearby."""
        yield self._true(name, inputs, dy, order=4)
        yield self._true(name, inputs, dy, step=STEP / 10)

    def _true(self, name: str, inputs: Mapping[str, Any], dy: Any, *, order: int = 2, step: float = STEP) -> Array:
        at = {**{n: v for n, v in inputs.items() if isinstance(v, np.ndarray)}, **self.operation.params}

        def value(values: Mapping[str, Array]) -> Any:
            moved = {n: values.get(n, v) for n, v in inputs.items()}
            return self.operation.forward(moved, {n: values[n] for n in self.operation.params})

        places = self._places(at[name])
        if order == 4:
            return extrapolated(value, at, name, dy, 16 * STEP, places=places)
        return central(value, at, name, dy, STEP_32 if self.single else step, places=places)

    def _places(self, tensor: Array) -> Array | None:
        """Where differences are taken of a tensor; None is everywhere."""
        return np.random.default_rng(tensor.size).permutation(tensor.size)[:SAMPLE] if self.sampling else None

    def _by_autograd(self, name: str, inputs: Mapping[str, Any], y: Any, dy: Any) -> Array | None:
        """The gradient of the known operation; None where none is known whose output is this one to 1e-10."""
        batch = _size(inputs)
        if batch not in self._exact:
            op, params, settings = self.op or "", self.operation.params, self.operation.settings
            known = variants(op, list(inputs.values()), params, settings)
            variant = closest(known, y) if known else None
            exact = None if variant is None else differentiated(op, variant, inputs, params, settings=settings, dy=dy)
            same = exact is not None and distance(np.asarray(y, float), exact.y) <= 1e-10
            self._exact[batch] = exact if same else None
        exact = self._exact[batch]
        return None if exact is None else exact.slopes.get(name)

    def _tensor(self, name: str, found: Any, inputs: Mapping[str, Any], *, y: Any, dy: Any, batch: int) -> None:
        at = f" at batch size {batch}" if batch != self.batches[0] else ""
        what = f"gradient of the {'input' if name in inputs else 'parameter'} {name}{at}"
        shape = np.shape(inputs[name] if name in inputs else self.operation.params[name])
        if found is None:
            self.depart(
                what,
                "there is none",
                ("missing", "backward does not return it, or does not store it under the parameter's name"),
            )
            return
        try:
            mine = np.asarray(found)
        except ValueError:  # rows of several lengths
            mine = np.asarray(None)
        if mine.dtype.kind not in "fiub":
            self.depart(what, f"it is no array of numbers: it is {type(found).__name__}", None)
            return
        true = self._true(name, inputs, dy)
        if self.sampling and mine.shape == shape:
            mine = sampled(self._places(mine), mine)
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
            self.depart(what, f"shape {mine.shape}, it should be {shape}", shape_reason(case, mine, true))
            return
        single = mine.dtype == np.float32
        if single or self.single:
            note = "it computes in float32, though it was given float64: compared at float32's tolerance"
            if note not in self.notes:
                self.notes.append(note)
        if single or self.single:
            judged = self.witnesses.judge_single(mine, true, COARSE_32 if self.single else 1e-4)
        else:
            judged = self.witnesses.judge(
                mine,
                true,
                lambda: self._finer(name, inputs, dy),
                lambda: None if self.sampling else self._by_autograd(name, inputs, y, dy),
            )
        if judged.right:
            if judged.small:
                self.notes.append(
                    f"{what}: off by {judged.small:.0e} of the largest, as by an epsilon that backward has and forward has not"
                )
            return
        true = judged.true
        why = reason(case, mine, true) if not self.sampling else None
        if at and why is None:
            why = ("batch-size", "it is right at another batch size: a shape is broadcast by accident")
        self.depart(what, far(mine, true), why)

    def _twice(self, inputs: Mapping[str, Any]) -> None:
        """The same twice: gradients must not add up, nor must anything else be kept."""
        y = self.operation.forward(inputs, self.operation.params)
        dy = self.upstream(y, self.batches[0])
        once = self.operation.passed(inputs, self.operation.params, dy)
        second = self.operation.passed(inputs, self.operation.params, dy, times=2)
        resets = isinstance(self.operation, ClassOperation) and self.operation.resets
        for name, one in once.params.items():
            if one is not None and _doubled(np.asarray(one), np.asarray(second.params[name])):
                if resets:
                    self.notes.append("gradients add up over calls, until they are set to 0 (there is a method for it)")
                    return
                self.depart(
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
                self.depart(
                    f"gradient of the input {name}",
                    "a second call gives another one",
                    ("state", "something is kept from the call before"),
                )
                return

    def _another(self) -> None:
        """A second forward elsewhere, and another batch size on the same object."""
        a, b = self.make(self.batches[0]), self.make(self.batches[-1])
        y = self.operation.forward(a, self.operation.params)
        dy = self.upstream(y, self.batches[0])
        once = self.operation.passed(a, self.operation.params, dy)
        other = {name: self._elsewhere(one) for name, one in a.items()}
        if self.op == "dropout":
            return
        try:
            after = self.operation.after_another(a, other, dy)
        except UsersError:
            after = None
        if after is not None:
            for name, one in [*once.inputs.items(), *once.params.items()]:
                mine = after.inputs.get(name, after.params.get(name))
                if one is not None and mine is not None and not alike(np.asarray(mine), np.asarray(one), 1e-4):
                    self.depart(
                        f"gradient of {name}",
                        "it is another one after a second forward",
                        (
                            "cache",
                            "a second forward overwrites the cache of the first: it is shared (a global, or an attribute of the class)",
                        ),
                    )
                    return
        if not self.departures:
            self._after(a, b, forward_alone=False)
        if not self.departures:
            self._after(a, other, forward_alone=False)
        if not self.departures:
            self._after(a, other, forward_alone=True)

    def _elsewhere(self, one: Any) -> Any:
        """Other numbers of the same kind: of a loss the examples in the opposite order, so that shares stay shares."""
        if not isinstance(one, np.ndarray) or one.dtype.kind != "f":
            return one
        return one[::-1].copy() if self.op in LOSSES else one * 1.37 + 0.01

    def _after(self, first: Mapping[str, Any], second: Mapping[str, Any], *, forward_alone: bool) -> None:
        """One object, two batches: the second's gradients are those of a new object."""
        dys = [self.upstream(self.operation.forward(one, self.operation.params), _size(one)) for one in (first, second)]
        what = "forward of another batch, without backward," if forward_alone else "a batch before"
        try:
            found = self.operation.again(first, second, (None if forward_alone else dys[0], dys[1]))
        except UsersError as error:
            why = ("batch-size", "something is kept from the first batch, as its size")
            self.depart("output", f"after {what} it raises {error}", why)
            return
        fresh = self.operation.passed(second, self.operation.params, dys[1])
        for name, one in [*fresh.inputs.items(), *fresh.params.items()]:
            mine = found.inputs.get(name, found.params.get(name))
            if one is None or mine is None or np.shape(one) != np.shape(mine):
                continue
            if not alike(np.asarray(mine, float), np.asarray(one, float), 1e-4):
                words = "something is kept from an earlier batch: what backward uses is to be that of the last forward"
                self.depart(
                    f"gradient of {name}", f"it is another one after {what} on the same object", ("state", words)
                )
                return


def _size(inputs: Mapping[str, Any]) -> int:
    return len(next(iter(inputs.values())))


def _doubled(once: Array, second: Array) -> bool:
    """Whether it is twice as large, and no rounding around 0, as that of a bias before a batch norm."""
    return bool(np.abs(once).max(initial=0) > 1e-9) and alike(second, 2 * once, 1e-6)


def alike_shape(mine: Array, true: Array, tolerance: float) -> bool:
    """Whether shape and numbers are the same."""
    return mine.shape == true.shape and alike(mine, true, max(tolerance, 1e-5))


def far(mine: Any, true: Any) -> str:
    """How wrong, in words: as a share of the largest number, and where it is worst."""
    if np.shape(mine) != np.shape(true):
        return f"shape {np.shape(mine)}, it should be {np.shape(true)}"
    a, b = np.asarray(mine, float), np.asarray(true, float)
    if not np.isfinite(a).all():
        return "it is not finite"
    i = np.unravel_index(int(np.abs(a - b).argmax()), a.shape) if a.ndim else ()
    share = distance(a, b)
    off = f"{share:.0%}" if share >= 0.01 else f"{share:.0e}"
    digits = 4 if share >= 0.01 else 12
    place = f"[{', '.join(map(str, i))}]" if a.ndim else ""
    return f"off by {off} of the largest; {place or 'it'} is {a[i]:.{digits}g}, it should be {b[i]:.{digits}g}"
