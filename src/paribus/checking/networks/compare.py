"""A network by hand beside its PyTorch twin, and its gradients beside central differences of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from paribus.checking.autograd import installed
from paribus.checking.compare import Comparison, far
from paribus.checking.differences import STEP, STEP_32, Array, central, distance, sampled
from paribus.checking.inputs import values
from paribus.checking.isolation import Generators, UsersError, copy_of
from paribus.checking.networks.driver import Driver, Way, driver_of, loss, ways
from paribus.checking.networks.steps import SAME_32, Steps, batch_of
from paribus.checking.networks.twin import Form, ending_of, likeliest
from paribus.checking.result import DEPARTS, RIGHT, UNCHECKED, Checked, Departure
from paribus.checking.shapes.operation import ClassOperation
from paribus.checking.witnesses import COARSE, DIFFERENCES
from paribus.handwritten import places as kept

_FITS = 1e-6
_DIFFERENCES_32 = 0.1
"""Of float32 numbers, whose large steps cross the kinks of hidden units."""
_LARGE, _SAMPLE = 2000, 40
"""Of a network of more numbers than _LARGE, differences are taken of _SAMPLE numbers of each parameter."""


def check_network(thing: Any, name: str, generators: Generators) -> Checked | None:
    """None for what is no network of linear layers, or is one like any operation, whose activation is not known."""
    driver = driver_of(_filled(thing), generators)
    if driver is None:
        return None
    x, _ = batch_of(driver, 0)
    try:
        y = driver.forward(x)
    except UsersError as error:
        return Checked(name=name, verdict=DEPARTS, departures=(Departure(tensor="output", how=f"it raises {error}"),))
    form = likeliest(x, y, driver.affines, driver.values())
    # gradients that are written into arrays of float32 are rounded, too
    single = y.dtype == np.float32 or any(one.dtype == np.float32 for one in kept.parameters(thing).values())
    fits = form.gap <= (SAME_32 if single else _FITS)
    if not fits:
        form = Form(activations=(), ending=ending_of(y))
    sizes = [driver.affines[0].inputs, *(one.outputs for one in driver.affines)]
    taken = f"a network, {'-'.join(map(str, sizes))}, {form}"
    if form.without is not None:
        why = Departure(tensor="output", how="it is that of the network without a bias", code="bias",
                        reason=f"the bias {form.without} is not added")  # fmt: skip
        return Checked(name=name, verdict=DEPARTS, taken=taken, departures=(why,))
    way, errors = _likeliest_way(driver, form, single=single)
    if way is None:
        note = f"backward could not be called in a way that is known ({errors[0]})"
        return Checked(name=name, verdict=UNCHECKED, taken=taken, notes=(note,))
    if not fits and way.plain:
        return None  # as any operation: differences of every tensor, with reasons
    found = Checked(name=name, verdict=RIGHT, taken=taken)
    if any(op == "identity" for op, _ in form.activations):
        note = "between linear layers is no activation: together they are one linear layer"
        found = replace(found, notes=(note,))
    if single:
        note = "it computes in float32, though it was given float64: compared at float32's tolerance"
        found = replace(found, notes=(*found.notes, note))
    if not fits:
        found = replace(found, notes=(*found.notes, "its activation is not known: central differences alone decide"))
    elif installed():
        found = Steps(driver, form, way, single=single).beside_the_twin(found)
    else:
        found = replace(found, notes=(*found.notes, "PyTorch is not installed: central differences alone decide"))
    return _second_witness(found, driver, form, way, generators, single=single)


def _filled(thing: Any) -> Any:
    """A copy with parameters of middling size, so that every tensor shows what is done to it."""
    mine, rng = copy_of(thing), np.random.default_rng(17)
    held = kept.parameters(mine)
    for name, one in held.items():
        if not kept.is_gradient(name, held):
            one[...] = rng.normal(size=one.shape) * (
                1.2 / np.sqrt(min(one.shape)) if one.ndim == 2 and min(one.shape) > 1 else 0.3
            )
    return mine


def _true_slopes(driver: Driver, form: Form, x: Array, t: Array, names: list[str]) -> dict[str, Array]:
    """Of the mean loss, by central differences of the network's own output; of a large parameter some numbers."""

    def value(at: Mapping[str, Array]) -> Any:
        driver.put(at)
        return loss(form.ending, driver.forward(x), t)

    start = driver.values()
    step = STEP_32 if any(one.dtype == np.float32 for one in start.values()) else STEP
    found = {name: central(value, start, name, 1.0, step, places=_places(start, name)) for name in names}
    driver.put(start)
    return found


def _places(params: Mapping[str, Array], name: str) -> Array | None:
    """Of a large network, the numbers of a parameter of which differences are taken; None is all."""
    size = params[name].size
    if sum(one.size for one in params.values()) <= _LARGE:
        return None
    return np.random.default_rng(size).permutation(size)[:_SAMPLE]


def _shown(driver: Driver, name: str, slope: Any) -> Array:
    return sampled(_places(driver.values(), name), np.asarray(slope, float))


def _likeliest_way(driver: Driver, form: Form, *, single: bool) -> tuple[Way | None, list[str]]:
    """The way of calling backward that gives most gradients right at the first step; the likeliest of equal ones."""
    x, t = batch_of(driver, 1)
    true = _true_slopes(driver, form, x, t, driver.names)
    best, most, errors = None, -1, []
    for way in ways(driver.live.backward, form.ending):
        driver.set_back()
        try:
            slopes = driver.slopes(way, x, driver.forward(x), t)
        except UsersError as error:
            errors.append(str(error))
            continue
        right = sum(
            one is not None and np.shape(one) == true[n].shape
            and distance(_shown(driver, n, one), way.scale * true[n]) < (_DIFFERENCES_32 if single else COARSE)
            for n, one in slopes.items()
        )  # fmt: skip
        if right > most:
            best, most = way, right
    driver.set_back()
    return best, errors


def _second_witness(
    found: Checked, driver: Driver, form: Form, way: Way, generators: Generators, *, single: bool
) -> Checked:
    """Central differences of the loss by each parameter; and other batch sizes, where backward takes a plain slope."""
    if found.verdict != RIGHT:
        return found
    x, t = batch_of(driver, 1)
    driver.set_back()
    slopes = driver.slopes(way, x, driver.forward(x), t)
    true = _true_slopes(driver, form, x, t, driver.names)
    gaps = {
        name: _gap(slopes[name] is not None and _shown(driver, name, slopes[name]), way.scale * true[name])
        for name in driver.names
    }
    worst = max(gaps, key=lambda name: gaps[name])
    if gaps[worst] > (_DIFFERENCES_32 if single else COARSE):
        how = far(slopes[worst], way.scale * true[worst]) if slopes[worst] is not None else "there is none"
        departure = Departure(tensor=f"gradient of the parameter {worst}", how=how)
        return replace(found, verdict=DEPARTS, departures=(departure,), decided_by=DIFFERENCES, differences={})
    found = replace(
        found, decided_by=found.decided_by or DIFFERENCES, differences={DIFFERENCES: gaps[worst], **found.differences}
    )
    if single or way.updates or not way.plain or driver.columns or sum(one.size for one in true.values()) > _LARGE:
        return found
    operation = ClassOperation(driver.original, generators, {})
    compared = Comparison(found.name, None, operation, lambda batch: values(None, ["x"], x.shape[1:], batch))
    compared.input_optional = True  # nobody needs the gradient of the data
    alone = compared.result()
    notes = (*found.notes, *(one for one in alone.notes if one not in found.notes))
    return replace(found, verdict=alone.verdict, departures=alone.departures, notes=notes)


def _gap(mine: Any, true: Array) -> float:
    return float("inf") if np.shape(mine) != true.shape else distance(np.asarray(mine, float), true)
