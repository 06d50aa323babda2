"""Why the output of a known operation is another: common mistakes, computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from paribus.checking.differences import Array
from paribus.checking.known import Variants, matching, normalised, scale_and_shift, softmax


def forward_reason(
    op: str, found: Variants, inputs: list[Any], params: Mapping[str, Array], y: Any
) -> tuple[str, str] | None:
    """The first mistake that gives y; None where none does."""
    right, x = next(iter(found.values())), inputs[0]
    for value, code, words in _candidates(op, right, x, params):
        if matching({"": value}, y) is not None:
            return code, words
    if np.shape(right) == np.shape(y) and np.any(right):
        a, b = np.asarray(y, float), np.asarray(right, float)
        k = float((a * b).sum() / (b * b).sum())
        if np.allclose(a, k * b, rtol=1e-5, atol=1e-8):
            return (
                ("sign", "the sign is wrong") if np.isclose(k, -1) else ("factor", f"it is {k:.4g} times the right one")
            )
    if np.asarray(y).dtype.kind in "iu":
        return "integers", "it is made of integers: an array of an integer type, or //"
    return None


def _candidates(op: str, right: Any, x: Array, params: Mapping[str, Array]) -> Iterator[tuple[Any, str, str]]:
    if op == "softmax" and x.ndim == 2:
        yield softmax(x, 0), "axis", "it is normalised over the batch (axis 0): the classes are axis 1"
        e = np.exp(x)
        yield e / e.sum(), "axis", "it is normalised over all numbers: sum over the classes alone (axis 1, keepdims)"
        yield e, "chain", "the division by the sum is missing"
    if "norm" in op:
        pair = scale_and_shift(params)
        scale, shift = (one.reshape((1, -1) + (1,) * (x.ndim - 2)) for one in pair) if pair else (1.0, 0.0)
        other = op != "layer_norm"
        yield normalised(x, per_example=other) * scale + shift, "axis", "the statistics run over the wrong axis"
        same = normalised(x, per_example=not other, ddof=1) * scale + shift
        yield same, "variance", "the variance is divided by n - 1: PyTorch normalises by the one divided by n"
        axes = tuple(range(1, x.ndim)) if not other else tuple(i for i in range(x.ndim) if i != 1)
        centred = x - x.mean(axes, keepdims=True)
        yield (
            centred / (x.var(axes, keepdims=True) + 1e-5) * scale + shift,
            "root",
            "it is divided by the variance: the square root is missing",
        )
    if op == "linear":
        biases = [one for one in params.values() if one.ndim != 2]
        if biases:
            yield right - biases[0].ravel(), "bias", "the bias is not added"
    if op in {"convolution"}:
        biases = [one for one in params.values() if one.ndim == 1]
        if biases:
            yield right - biases[0][:, None, None], "bias", "the bias is not added"
