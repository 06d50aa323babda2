"""Why the gradient of a network's parameter is wrong: common mistakes, computed with what the twin has at that layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from paribus.checking.differences import Array, distance
from paribus.checking.networks.driver import LR, Affine
from paribus.checking.networks.twin import Pass, affine
from paribus.checking.reasons import Case, Reason, reason, shape_reason


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where in a network: the twin's stage, the number of its linear layer, the step before if there is one."""

    stage: int
    linear: int
    known: Pass
    before: Pass | None
    affines: tuple[Affine, ...]
    params: Mapping[str, Array]


def parameter_reason(name: str, mine: Array, true: Array, at: Place) -> Reason | None:
    """Code and words; None where nothing that is known gives these numbers."""
    case = _alone(at, name)
    if mine.shape != true.shape:
        return shape_reason(case, mine, true)
    if at.before is not None and distance(mine, true + at.before.params[name].reshape(true.shape)) < 1e-6:
        return (
            "accumulated",
            "the gradient is added to that of the step before: = where += stands, or set it to 0 first",
        )
    found = _passed_on(case, mine, true, at) or reason(case, mine, true)
    if found is None and at.before is not None:
        return "state", "the steps before are right, this one is not: something is kept of an earlier batch"
    return found


def _alone(at: Place, name: str) -> Case:
    """The linear layer alone, with what the twin gives it."""
    one, params, known = at.affines[at.linear], at.params, at.known
    own = {n: params[n] for n in (one.weight, one.bias) if n is not None}
    x, dy = known.outputs[at.stage - 1], known.slopes[at.stage]
    product = x.T @ np.ones_like(dy)
    ones = (product.T if one.turned else product) if name == one.weight else np.full(params[name].shape, float(len(x)))
    return Case(op="linear", tensor=name, inputs={"x": x}, params=own, y=affine(x, one, own), dy=dy, settings={},
                tolerance=1e-4, ones=ones)  # fmt: skip


def _passed_on(case: Case, mine: Array, true: Array, at: Place) -> Reason | None:
    """A mistake in what came from above: in the derivative of the activation, or in the weights of the next layer."""
    place, known = at.stage, at.known
    if place + 2 >= len(known.stages) or known.stages[place + 1].startswith("linear"):
        return None
    z, a, da = known.outputs[place], known.outputs[place + 1], known.slopes[place + 1]
    act = known.stages[place + 1].rpartition(" ")[0]
    above = at.affines[at.linear + 1]
    weight, slope = at.params[above.weight], known.params[above.weight]
    updated = known.slopes[place + 2] @ ((weight - LR * slope).T if not above.turned else weight - LR * slope)
    local = np.divide(known.slopes[place], da, out=np.zeros_like(da), where=da != 0)
    forgotten = f"the derivative of {act} is forgotten on the way back"
    for dz, code, words in (
        (da, "chain", forgotten),
        (updated * local, "order", f"{above.weight} is updated before the gradient has passed through it"),
        (np.where(da > 0, da, 0), "mask", "the mask is taken from the gradient, instead of from the input"),
        (np.where(z < 0, da, 0), "mask", "the mask is the wrong way round"),
        (da * a, "chain", f"the output of {act} stands where its derivative is meant"),
        (da * (1 - z * z), "cache", "the derivative is computed from the input, where the output is meant"),
        (da * z * (1 - z), "cache", "the derivative is computed from the input, where the output is meant"),
        (da * (1 - a), "chain", "a factor of the derivative is missing: sigmoid' = y (1 - y), tanh' = 1 - y^2"),
    ):
        product = case.x.T @ dz
        wrong = dz.sum(0).reshape(true.shape) if case.params[case.tensor].size == dz.shape[1] else product
        wrong = wrong.T if wrong.shape != true.shape else wrong
        if wrong.shape == true.shape and distance(mine, wrong) < 1e-6:
            return code, words
    return None
