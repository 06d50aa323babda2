"""A network and its PyTorch twin, step by step: the first step, layer and tensor at which they part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from paribus.checking.compare import Comparison, far
from paribus.checking.differences import Array, distance
from paribus.checking.inputs import operation_of, values
from paribus.checking.isolation import UsersError
from paribus.checking.networks.driver import EXAMPLES, Driver, Way, loss
from paribus.checking.networks.reasons import Place, parameter_reason
from paribus.checking.networks.twin import Form, Pass, Twin
from paribus.checking.result import DEPARTS, Checked, Departure
from paribus.checking.shapes.operation import ClassOperation

STEPS = 20
TWIN = "its PyTorch twin"
SAME, SAME_32 = 1e-8, 1e-3


def batch_of(driver: Driver, step: int) -> tuple[Array, Array]:
    """Random inputs, and classes that can be learned of them: where the largest of random linear functions is."""
    n_in, classes = driver.affines[0].inputs, driver.affines[-1].outputs
    x = np.random.default_rng([step, 9]).normal(size=(EXAMPLES, n_in))
    return x, np.eye(classes)[(x @ np.random.default_rng(2).normal(size=(n_in, classes))).argmax(1)]


class Steps:
    """Both, step by step, on the same batches from the same values."""

    def __init__(self, driver: Driver, form: Form, way: Way, *, single: bool) -> None:
        self.driver, self.form, self.way, self.single = driver, form, way, single
        self.largest = 0.0

    def beside_the_twin(self, found: Checked) -> Checked:
        """The first departure; or the agreement, with both curves."""
        self.driver.set_back()
        twin = Twin(self.driver.affines, self.form, self.driver.values())
        mine, theirs, before = list[float](), list[float](), None
        for step in range(1, STEPS + 1):
            x, t = batch_of(self.driver, step)
            known = twin.step(x, t, self.way.scale)
            try:
                y = self.driver.forward(x)
                slopes = self.driver.slopes(self.way, x, y, t)
            except UsersError as error:
                departure: Departure | None = Departure(tensor=f"step {step}", how=f"it raises {error}")
            else:
                departure = self._first(step, y, slopes, known, before)
            if departure is not None:
                return replace(found, verdict=DEPARTS, departures=(departure,), decided_by=TWIN)
            mine.append(loss(self.form.ending, y, t))
            theirs.append(known.loss)
            self.driver.step(slopes)
            departure = self._moved(step, twin)
            if departure is not None:
                return replace(found, verdict=DEPARTS, departures=(departure,), decided_by=TWIN)
            before = known
        agreement = f"{STEPS} steps of gradient descent beside {TWIN}: largest difference {self.largest:.0e}"
        shown = (0, STEPS // 2 - 1, STEPS - 1)
        curves = "; ".join(
            f"{who} {', '.join(f'{losses[i]:.4f}' for i in shown)}"
            for who, losses in (("mine", mine), ("PyTorch", theirs))
        )
        line = f"loss at steps {', '.join(str(i + 1) for i in shown)}: {curves}"
        return replace(found, decided_by=TWIN, differences={TWIN: self.largest}, notes=(*found.notes, agreement, line),
                       curves={"mine": tuple(mine), "PyTorch": tuple(theirs)})  # fmt: skip

    def _same(self, mine: Any, true: Array) -> bool:
        gap = distance(np.asarray(mine, float), true)
        if gap <= (SAME_32 if self.single else SAME):
            self.largest = max(self.largest, gap)
            return True
        return False

    def _first(
        self, step: int, y: Array, slopes: Mapping[str, Any], known: Pass, before: Pass | None
    ) -> Departure | None:
        """The first wrong tensor: forward from the input on, backward from the output on."""
        trace, stages = self.driver.trace, known.stages
        visible = self._visible(known)
        named = (
            [f"layer {i} ({type(one).__name__})" for i, one in enumerate(trace.layers, 1)] if visible else stages[1:]
        )
        for i, (name, output) in enumerate(zip(named, trace.outputs, strict=False) if visible else ()):
            if not self._same_shaped(output, known.outputs[i + 1]):
                return self._of_layer(i, f"step {step}, {name}: its output", far(output, known.outputs[i + 1]))
        if not self._same_shaped(y, known.outputs[-1]):
            return Departure(tensor=f"step {step}, output", how=far(y, known.outputs[-1]))
        linear, params = len(self.driver.affines), self.driver.values()
        for i in range(len(stages) - 1, 0, -1):
            where = f"step {step}, {named[i - 1]}: gradient of"
            if stages[i].startswith("linear"):
                linear -= 1
                one = self.driver.affines[linear]
                at = Place(
                    stage=i, linear=linear, known=known, before=before, affines=self.driver.affines, params=params
                )
                for name in [one.weight] if one.bias is None else [one.weight, one.bias]:
                    departure = self._of_parameter(f"{where} the parameter {name}", name, slopes.get(name), at)
                    if departure is not None:
                        return departure
            slope = trace.slopes.get(i - 1) if visible else None
            if slope is not None and not self._same_shaped(slope, known.slopes[i - 1]):
                return self._of_layer(i - 1, f"{where} its input", far(slope, known.slopes[i - 1]))
        return None

    def _visible(self, known: Pass) -> bool:
        """Whether the layers are objects, as many as the twin has stages."""
        return len(self.driver.trace.layers) == len(known.stages) - 1 and not self.driver.columns

    def _same_shaped(self, mine: Any, true: Array) -> bool:
        return np.shape(mine) == true.shape and self._same(mine, true)

    def _of_layer(self, place: int, tensor: str, how: str) -> Departure:
        code, words = self._alone(place) or (None, None)
        return Departure(tensor=tensor, how=how, code=code, reason=words)

    def _alone(self, place: int) -> tuple[str | None, str] | None:
        """What is said of a layer by itself, with inputs of the shape that it had."""
        layer = self.driver.trace.layers[place]
        name, shape = type(layer).__name__, self.driver.trace.inputs[place].shape[1:]
        op = operation_of(name)
        operation = ClassOperation(self.driver.alone(layer), self.driver.generators, {})
        alone = Comparison(name, op, operation, lambda batch: values(op, ["x"], shape, batch)).result()
        if not alone.departures:
            return None
        first = alone.departures[0]
        return first.code, f"{name} by itself departs: {first.tensor}: {first.reason or first.how}"

    def _of_parameter(self, tensor: str, name: str, found: Any, at: Place) -> Departure | None:
        """`found`: the gradient that the network has for a parameter of the linear layer at this place."""
        if found is None:
            why = "backward does not return it, or does not store it under the parameter's name"
            return Departure(tensor=tensor, how="there is none", reason=why, code="missing")
        mine, true = np.asarray(found), at.known.params[name].reshape(at.params[name].shape)
        if self._same_shaped(mine, true):
            return None
        code, words = parameter_reason(name, mine, true, at) or (None, None)
        if code is None and self._visible(at.known):
            code, words = self._alone(at.stage - 1) or (None, None)
        return Departure(tensor=tensor, how=far(mine, true), reason=words, code=code)

    def _moved(self, step: int, twin: Twin) -> Departure | None:
        """A parameter that is another after the step: backward has written into it."""
        theirs = twin.values()
        for name, one in self.driver.values().items():
            if not self._same(one, theirs[name]):
                why = "forward or backward changes it: the step is the optimizer's"
                return Departure(tensor=f"step {step}, parameter {name} after the step", how=far(one, theirs[name]),
                                 reason=why, code="in-place")  # fmt: skip
        return None
