"""The likely mistake in words, from how a gradient is wrong. Nothing is guessed: each candidate is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from paribus.checking.differences import Array, alike
from paribus.checking.known import scale_and_shift, softmax

Reason = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison: the operation's name, what went in, what came out, and the tensor that departs."""

    op: str | None
    tensor: str
    inputs: Mapping[str, Any]
    params: Mapping[str, Array]
    y: Any
    dy: Any
    settings: Mapping[str, Any]
    tolerance: float
    ones: Array | None = None  # the true gradient for an upstream gradient of ones

    @property
    def x(self) -> Array:
        """The first input."""
        return next(iter(self.inputs.values()))


def shape_reason(case: Case, mine: Array, true: Array) -> Reason | None:
    """Why a shape is another."""
    if mine.shape == true.T.shape and true.ndim > 1:
        return "transpose", "it is the transpose of what it should be: the product has its factors in the other order"
    if mine.size == true.size:
        return "shape", "the numbers may be right, the shape is another: reshape it to the shape of the tensor itself"
    batch = len(case.x)
    if case.tensor in case.params and mine.ndim > true.ndim and mine.shape[0] == batch:
        return "not-summed", "the batch axis is still there: sum the gradient over the examples, as in dout.sum(axis=0)"
    if case.tensor in case.params and mine.ndim < true.ndim:
        return "axis", "an axis too many is summed away"
    if case.tensor in case.params and mine.shape == (batch,):
        return "axis", "it is summed over the wrong axis: sum over the examples (axis 0), not over the features"
    return None


def reason(case: Case, mine: Array, true: Array) -> Reason | None:
    """Why numbers are others; None where nothing that is known fits."""
    if not np.isfinite(mine).all():
        return (
            "not-finite",
            "there are NaN or infinite numbers in it: a division by 0, or exp or log out of their range",
        )
    if not mine.any():
        return "zero", "it is 0 everywhere: it is never filled, or each number is rounded down to an integer"
    if mine.dtype.kind in "iu":
        return "integers", "it is made of integers: the array was made of an integer type, or // divides"
    for candidate, code, words in _candidates(case, mine, true):
        if np.shape(candidate) == mine.shape and alike(mine, np.asarray(candidate, float), case.tolerance):
            return code, words
    factor = _factor(case, mine, true)
    if factor is not None:
        return factor
    if np.array_equal(mine, np.trunc(mine)) and alike(mine, np.trunc(true), case.tolerance):
        return "integers", "its numbers are the right ones cut to integers: integer division, or an array of integers"
    if true.ndim > 1 and alike(mine.ravel(), true.T.ravel(), case.tolerance):
        return "transpose", "it holds the right numbers in transposed order: a reshape where a transpose is meant"
    return None


def _factor(case: Case, mine: Array, true: Array) -> Reason | None:
    k = float((mine * true).sum() / max(1e-300, float((true * true).sum())))
    if k == 0 or not alike(mine / k, true, case.tolerance):
        return None
    n = len(case.x)
    p = next((v for key, v in case.settings.items() if key in {"p", "rate", "drop", "p_drop", "prob", "ratio"}), None)
    parts = case.x.size / n
    known = [
        (-1.0, "sign", "the sign is wrong: it is -1 times the right one"),
        (
            float(n),
            "batch-size",
            f"it is {n} times too large, the batch size: a sum over the batch where a mean is meant (divide by the batch size once)",
        ),
        (
            1 / n,
            "batch-size",
            f"it is {n} times too small, the batch size: it is divided by the batch size, which the upstream gradient already has in it",
        ),
        (-float(n), "batch-size", "it is -1 times the batch size too large: sign and mean are forgotten"),
        (2.0, "factor-2", "it is 2 times the right one: a factor 2 too many"),
        (0.5, "factor-2", "it is half the right one: a factor 2 is forgotten, as of the derivative of a square"),
        (
            float(parts),
            "count",
            f"it is {parts:g} times too large, the numbers of an example: a sum where a mean is meant",
        ),
        (
            1 / parts,
            "count",
            f"it is {parts:g} times too small, the numbers of an example: a mean where a sum is meant",
        ),
        (n * parts, "count", "it is as many times too large as there are numbers: a sum where a mean is meant"),
        (1 / (n * parts), "count", "it is as many times too small as there are numbers: a mean where a sum is meant"),
    ]
    if isinstance(p, float) and 0 < p < 1:
        known += [
            (one, "keep-scale", "the scale of dropout, 1 / (1 - p), is forgotten or there twice")
            for one in (1 - p, 1 / (1 - p), p, 1 / p, p / (1 - p), (1 - p) / p)
        ]
    out = np.size(case.y) / n if np.ndim(case.y) else 0
    if case.op in {"convolution", "max_pool", "average_pool"} and out:
        pixels = float(np.prod(np.shape(case.y)[2:]))
        known += [(1 / pixels, "mean-sum", "it is divided by the number of pixels: a mean where a sum is meant")]
        known += [(1 / pixels / n, "mean-sum", "it is a mean over examples and pixels where a sum is meant")]
        known += [
            (4.0, "window", "it is 4 times too large, the size of the window"),
            (0.25, "window", "it is 4 times too small, the size of the window"),
        ]
    for value, code, words in known:
        if np.isclose(k, value, rtol=1e-4):
            return code, words
    return "factor", f"it is {k:.4g} times the right one, everywhere: a constant factor too many or forgotten"


def _candidates(case: Case, mine: Array, true: Array) -> Iterator[tuple[Any, str, str]]:
    """What common mistakes would have given."""
    dy, x = case.dy, case.x
    yield from _of_parameters(case, true)
    if case.tensor in case.params or np.ndim(dy) == 0:
        yield from _of_losses(case)
        return
    yield from _of_operation(case)
    if np.shape(dy) == np.shape(x):
        yield from _pointwise(case, true)
    if case.ones is not None and np.shape(case.ones) == mine.shape:
        words = "the upstream gradient is not multiplied in: a forgotten chain factor (dout)"
        yield case.ones, "chain", words
    if case.ones is not None and case.ones.any() and alike(mine, true * 0 + mine.mean(axis=0), 1e-9) and len(x) > 1:
        yield mine, "axis", "it is the same for every example: it is summed or averaged over the batch"


def _of_parameters(case: Case, true: Array) -> Iterator[tuple[Any, str, str]]:
    dy, x = case.dy, case.x
    if case.tensor not in case.params or np.ndim(dy) == 0:
        return
    first = dy[0] if np.shape(dy[0]) == true.shape else dy[-1]
    if np.shape(first) == true.shape:
        yield dy[0], "not-summed", "only the first example is in it: sum the gradient over the batch"
        yield dy[-1], "not-summed", "only the last example is in it: = where += is meant"
    yield np.full(true.shape, np.sum(dy)), "axis", "it is summed over all axes: sum over the examples alone"
    if true.ndim == 1 and np.ndim(dy) > 1:
        axes = tuple(i for i in range(np.ndim(dy)) if i != 1)
        plain = np.sum(dy, axis=axes)
        if plain.shape == true.shape:
            yield (
                plain,
                "chain",
                "it is the plain sum of the upstream gradient: a factor of the chain rule is forgotten",
            )
            if np.shape(x) == np.shape(dy):
                words = "the input is used where the normalised input is meant"
                yield np.sum(dy * x, axis=axes), "cache", words
    if case.ones is not None:
        yield case.ones, "chain", "the upstream gradient is not multiplied in: a forgotten chain factor (dout)"
    if case.op == "rnn_step":
        inputs = [one for one in case.inputs.values() if isinstance(one, np.ndarray)]
        bare = "the derivative of tanh, 1 - h^2, is forgotten"
        dz = dy * (1 - case.y**2)
        for one in [*inputs, case.y]:
            for product, code, words in (
                (one.T @ dy, "chain", bare),
                (
                    one.T @ dz,
                    "cache",
                    "it is made with another tensor: the new state or the input where the previous state is meant",
                ),
                (one.T @ (dy * (1 - case.y)), "chain", "the derivative of tanh is 1 - h^2, not 1 - h"),
            ):
                yield product, code, words
                yield product.T, code, words
        yield dy.sum(0), "chain", bare
    if case.op == "linear" and true.ndim == 2:
        rows = x.reshape(len(x), -1)
        last = np.outer(rows[-1], dy[-1]) if np.ndim(dy) == 2 else None
        if last is not None:
            words = "only the last example is in it: = where += is meant"
            yield last, "not-summed", words
            yield last.T, "not-summed", words


def _pointwise(case: Case, true: Array) -> Iterator[tuple[Any, str, str]]:
    dy, x, y = case.dy, case.x, case.y
    local = "the upstream gradient passes unchanged: the local derivative is forgotten (a chain factor)"
    if case.op == "dropout":
        yield dy, "mask", "the mask is not applied in backward"
        kept = y != 0
        yield dy * kept, "keep-scale", "the scale of dropout, 1 / (1 - p), is forgotten in backward"
        yield dy * ~kept, "mask", "the mask is the wrong way round: the dropped numbers get the gradient"
    yield dy, "chain", local
    yield (
        np.where(dy > 0, dy, 0),
        "mask",
        "the mask is taken from the upstream gradient (dout > 0) instead of the input (x > 0)",
    )
    yield np.where(x < 0, dy, 0), "mask", "the mask is the wrong way round: it passes where the input is negative"
    yield np.where(x > 0, x, 0), "mask", "the masked input is returned, and not the masked upstream gradient"
    yield np.where(dy > 0, true, 0), "mask", "the mask is taken from the upstream gradient and the input"
    if np.shape(y) == np.shape(x):
        yield dy * y, "chain", "the upstream gradient is multiplied by the output, and not by the derivative"
        for t, of in ((x, "input"), (y, "output")):
            words = f"the derivative is computed from the {of}, where the other one (input or output) is meant"
            yield dy * (1 - t * t), "cache", words
            yield dy * t * (1 - t), "cache", words
            yield dy * (1 - t), "chain", "a factor of the derivative is missing: sigmoid' = y (1 - y), tanh' = 1 - y^2"
        s = 1 / (1 + np.exp(-np.clip(y, -500, 500)))
        yield dy * s * (1 - s), "cache", "the function is applied twice: the derivative wants the input, not the output"
        th = np.tanh(y)
        yield (
            dy * (1 - th * th),
            "cache",
            "the function is applied twice: the derivative wants the input, not the output",
        )


def _of_operation(case: Case) -> Iterator[tuple[Any, str, str]]:
    dy, x, y = case.dy, case.x, case.y
    if case.op == "softmax":
        yield (
            dy * y * (1 - y),
            "chain",
            "only the diagonal of softmax's Jacobian is there: the terms between classes are missing",
        )
        yield (
            y * (dy - (dy * y).sum()),
            "axis",
            "the sum runs over the batch too: sum over the classes alone (axis 1, keepdims)",
        )
        yield y * (dy - (dy * y).sum(0)), "axis", "the sum runs over the batch: sum over the classes (axis 1)"
        yield y * (dy - (dy * y).mean(1, keepdims=True)), "mean-sum", "a mean over the classes where a sum is meant"
        yield y * (dy - dy.sum(1, keepdims=True)), "chain", "the factor y in the sum over the classes is missing"
        yield dy - (dy * y).sum(1, keepdims=True), "chain", "the factor y (the output) is missing"
        yield y * (dy + (dy * y).sum(1, keepdims=True)), "sign", "the sign of the second term is wrong"
        yield y * dy, "chain", "the second term of softmax's Jacobian is missing"
    if case.op in {"batch_norm", "batch_norm_2d", "layer_norm"}:
        yield from _of_norms(case)
    if case.op == "convolution":
        yield from _of_convolution(case)
    if case.op == "rnn_step":
        weights = [one for one in case.params.values() if one.ndim == 2]
        for weight in weights:
            for turned in (weight, weight.T):
                if turned.shape[0] == np.shape(dy)[1]:
                    yield dy @ turned, "chain", "the derivative of tanh, 1 - h^2, is forgotten"
                    yield (
                        (dy * (1 - y**2)) @ turned,
                        "transpose",
                        "the matrix is the wrong one, or wants to be transposed",
                    )
                    yield (dy * (1 - y)) @ turned, "chain", "the derivative of tanh is 1 - h^2, not 1 - h"
    if case.op in {"max_pool", "average_pool"} and np.ndim(dy) == 4:
        k = np.shape(x)[2] // np.shape(dy)[2]
        if k * np.shape(dy)[2] == np.shape(x)[2]:
            spread = dy.repeat(k, 2).repeat(k, 3)[:, :, : x.shape[2], : x.shape[3]]
            if spread.shape == x.shape:
                yield (
                    spread,
                    "mask",
                    "every pixel of a window gets the whole gradient: the mask of the winners is missing",
                )
                yield (
                    spread / k**2,
                    "mask",
                    "the gradient is spread over the window, as of a mean: it belongs to the winner alone",
                )
    if case.op == "linear":
        matrix = next((one for one in case.params.values() if one.ndim == 2), None)
        if matrix is not None and np.ndim(dy) == 2:
            turned = matrix if matrix.shape[0] == np.shape(dy)[1] else matrix.T
            ones = np.ones_like(dy) @ turned
            if ones.shape == np.shape(x):
                yield ones, "chain", "the upstream gradient is forgotten"


def _of_norms(case: Case) -> Iterator[tuple[Any, str, str]]:
    x, dy = case.x, case.dy
    axes = tuple(range(1, x.ndim)) if case.op == "layer_norm" else tuple(i for i in range(x.ndim) if i != 1)
    pair = scale_and_shift(case.params)
    scale = pair[0].reshape((1, -1) + (1,) * (x.ndim - 2)) if pair else np.ones(1)
    r = 1 / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    n = (x - x.mean(axes, keepdims=True)) * r

    def backward(g: Array, *, mean: bool = True, var: bool = True) -> Array:
        found: Array = r * (g - mean * g.mean(axes, keepdims=True) - var * n * (g * n).mean(axes, keepdims=True))
        return found

    yield backward(dy), "chain", "the scale (gamma) is forgotten"
    g = dy * scale
    both = "the mean and the variance are taken for constants: they depend on the input, and their terms are missing"
    yield backward(g, mean=False, var=False), "chain", both
    yield backward(g, var=False), "chain", "the term through the variance is missing"
    yield backward(g, mean=False), "chain", "the term through the mean is missing"
    yield backward(g) / r, "chain", "the division by the standard deviation is forgotten"
    yield backward(g) * r, "chain", "it is divided by the variance where the standard deviation is meant"


def _of_convolution(case: Case) -> Iterator[tuple[Any, str, str]]:
    from paribus.checking.known import convolved

    weight = next((one for one in case.params.values() if one.ndim == 4), None)
    if weight is None or np.ndim(case.dy) != 4:
        return
    crop = weight.shape[2] - 1 - (np.shape(case.dy)[2] - case.x.shape[2] + weight.shape[2] - 1) // 2
    if crop >= 0:
        yield (
            convolved(case.dy, weight.transpose(1, 0, 2, 3), crop, 1),
            "flip",
            "the kernels are not turned by 180 degrees for the gradient of the input",
        )


def _of_losses(case: Case) -> Iterator[tuple[Any, str, str]]:
    x, values = case.x, [one for one in case.inputs.values() if isinstance(one, np.ndarray)]
    if case.tensor in case.params or len(values) < 2 or x.ndim != 2:
        return
    t = values[1]
    if t.ndim == 1 and t.dtype.kind in "iu":
        t = np.eye(x.shape[1])[t]
    if t.shape != x.shape:
        return
    n, p = len(x), softmax(x)
    for k, more in ((1.0, ""), (1 / n, ""), (1 / x.size, "")):
        yield k * p, "target", f"the targets are not subtracted: it should be softmax(z) - onehot(y){more}"
        yield k * (t - p), "sign", "the sign is wrong: it should be softmax(z) - onehot(y), not the opposite"
        yield k * (x - t), "chain", "softmax is forgotten: the logits themselves stand where probabilities are meant"
        yield -k * t, "chain", "the division by the probability is forgotten (a chain factor of the logarithm)"
        yield k * t, "sign", "the sign, and a chain factor of the logarithm, are forgotten"
        if (x > 0).all():
            yield k * t / x, "sign", "the sign is wrong: it should be -t / p"
        yield k * np.sign(x - t), "chain", "it is the derivative of an absolute difference, not of a square"
