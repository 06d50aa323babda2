"""An operation at the ends of its inputs: large numbers, and the logarithm of a probability of 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from paribus.checking.differences import distance
from paribus.checking.inputs import LOSSES, extremes
from paribus.checking.isolation import UsersError
from paribus.checking.known import closest, variants

if TYPE_CHECKING:
    from paribus.checking.compare import Comparison

_BEYOND = "exp overflows: subtract the largest number of each row first"
_DIVIDED = "exp overflows: use a form that does not divide infinity by infinity"
_LOG_0 = "log of a probability that is rounded to 0: log softmax is z - max - log(sum of exp(z - max))"


def at_the_ends(comparison: Comparison, inputs: Mapping[str, Any]) -> None:
    """Output and gradients are finite, of all that is known; what else is seen there is a note."""
    first = next(iter(inputs))
    if not np.issubdtype(np.asarray(inputs[first]).dtype, np.floating):
        return
    for what, x in extremes(comparison.op, np.asarray(inputs[first])).items():
        given = {**inputs, first: x}
        try:
            y = np.asarray(comparison.operation.forward(given, comparison.operation.params), float)
        except UsersError as error:
            comparison.notes.append(f"for {what} it raises {error}")
            continue
        if comparison.op is None:  # what its value should be there is not known
            if not np.isfinite(y).all():
                comparison.notes.append(f"for {what} it gives {'NaN' if np.isnan(y).any() else 'infinity'}")
            continue
        if not _value(comparison, what, given, y) or not _gradient(comparison, what, given, y):
            return


def _value(comparison: Comparison, what: str, given: Mapping[str, Any], y: Any) -> bool:
    """Whether the output is finite."""
    op = comparison.op or ""
    name = "the loss" if op in LOSSES else "the output"
    if op in {"cross_entropy", "log_softmax"} and np.isinf(y).any() and not np.isnan(y).any():
        comparison.notes.append(f"for {what} {name} is {'inf' if (y > 0).any() else '-inf'}: log 0")
        return False
    if np.isfinite(y).all():
        if "cross_entropy" in op and "softmax" not in op:  # at log 0 there is no value to compare with
            return True
        known = variants(op, list(given.values()), comparison.operation.params, comparison.operation.settings)
        variant = closest(known, y) if known else None
        if (
            known
            and variant is not None
            and np.isfinite(known[variant]).all()
            and distance(y, np.asarray(known[variant])) > 1e-3
        ):
            how = f"{float(y):.4g}, PyTorch's is {float(known[variant]):.4g}" if y.ndim == 0 else "not PyTorch's"
            comparison.notes.append(f"for {what} {name} is {how}: a bound of its own")
        return True
    nan = bool(np.isnan(y).any())
    words = (_BEYOND if nan else _LOG_0) if "softmax" in op else _DIVIDED
    comparison.depart("output", f"for {what} it is {'NaN' if nan else 'infinite'}", ("overflow", words))
    return False


def _gradient(comparison: Comparison, what: str, given: Mapping[str, Any], y: Any) -> bool:
    """Whether the gradient of the input is finite."""
    first = next(iter(given))
    dy = comparison.upstream(y, comparison.batches[0])
    try:
        slope = comparison.operation.passed(given, comparison.operation.params, dy).inputs.get(first)
    except UsersError as error:
        comparison.notes.append(f"for {what} backward raises {error}")
        return True
    if slope is None or np.isfinite(np.asarray(slope, float)).all():
        return True
    nan = bool(np.isnan(np.asarray(slope, float)).any())
    if "cross_entropy" in (comparison.op or ""):  # the slope of the logarithm at 0 is infinite, unless it is bounded
        comparison.notes.append(f"for {what} the gradient of {first} is not finite")
        return True
    words = "exp overflows, or 0 is multiplied by infinity: use what forward has kept, as y (1 - y) for sigmoid"
    comparison.depart(
        f"gradient of the input {first}", f"for {what} it is {'NaN' if nan else 'infinite'}", ("overflow", words)
    )
    return False
