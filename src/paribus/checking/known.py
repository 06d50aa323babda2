"""Operations that are known: their value in float64, by plain formulas. Tests hold each to PyTorch's.

Each gives the values that are right, by convention: a loss may be a mean or a sum, a weight may lie either way.
`autograd` has the same in PyTorch, with the gradients.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from paribus.checking.differences import Array, distance

Variants = dict[str, Any]


def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x - max) over its sum."""
    e = np.exp(x - x.max(axis, keepdims=True))
    found: Array = e / e.sum(axis, keepdims=True)
    return found


def log_softmax(x: Array) -> Array:
    """x - max - log of the sum of exp(x - max): finite where softmax is rounded to 0."""
    z = x - x.max(-1, keepdims=True)
    found: Array = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return found


def _of_x(f: Callable[[Array], Any]) -> Callable[[list[Any], Mapping[str, Array], Mapping[str, Any]], Variants]:
    return lambda inputs, params, settings: {"": f(inputs[0])}


def _linear(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
    x = inputs[0].reshape(len(inputs[0]), -1)
    weight = next(one for one in params.values() if one.ndim == 2)
    bias = sum(one.ravel() for one in params.values() if one is not weight)
    turned = weight if weight.shape[0] == x.shape[1] else weight.T
    found = {"": x @ turned + bias}
    return found | {"x W^T": x @ weight.T + bias} if weight.shape[0] == weight.shape[1] else found


def _targets(y: Any, z: Array) -> Array:
    return np.eye(z.shape[1])[y] if np.ndim(y) == 1 else np.asarray(y, float)


def reductions(each: Array, examples: int) -> Variants:
    """A mean, a sum, a half of them: of a loss all are right."""
    total = float(each.sum())
    return {
        "": total / examples,
        "the sum over the batch, where PyTorch takes the mean": total,
        "the mean over all numbers": float(each.mean()),
        "half the mean": total / examples / 2,
        "half the sum": total / 2,
        "half the mean over all numbers": float(each.mean()) / 2,
    }


def _weighted(each: Array, t: Array, params: Mapping[str, Array], examples: int) -> Variants:
    """With weights of the classes, the two means of PyTorch's; without, see `reductions`."""
    weights = next((one for one in params.values() if one.shape == t.shape[1:]), None)
    if weights is None:
        return reductions(each, examples)
    w = t @ weights
    return {"": float((w * each).sum() / w.sum()), "weighted, over the examples": float((w * each).sum() / examples)}


def _absolute(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
    z, t = inputs[:2]
    return reductions(np.abs(z - t.reshape(z.shape)), len(z))


def _huber(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
    z, t = inputs[:2]
    d = np.abs(z - t.reshape(z.shape))
    return reductions(np.where(d < 1, d * d / 2, d - 0.5), len(z))


def _entropy(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
    p, t = inputs[0], _targets(inputs[1], inputs[0])
    from_p = {} if (p <= 0).any() else _weighted(-(t * np.log(p)).sum(1), t, params, len(p))
    from_z = _weighted(-(t * log_softmax(p)).sum(1), t, params, len(p))
    of_log = _weighted(-(t * p).sum(1), t, params, len(p))
    named = (("of logits; ", from_z), ("of log-probabilities; ", of_log))
    return from_p | {f"{what}{name}": one for what, found in named for name, one in found.items()}


def _softmax_entropy(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
    z, t = inputs[0], _targets(inputs[1], inputs[0])
    return _weighted(-(t * log_softmax(z)).sum(1), t, params, len(z))


def _squared(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
    z, t = inputs[:2]
    return reductions((z - t.reshape(z.shape)) ** 2, len(z))


def _binary(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
    p, t = inputs[0], inputs[1].reshape(inputs[0].shape)
    found = reductions(-(t * np.log(p) + (1 - t) * np.log(1 - p)), len(p))
    of_logits = reductions(np.logaddexp(0, p) - t * p, len(p))
    return {**found, **{f"of logits; {name}": one for name, one in of_logits.items()}}


def normalised(x: Array, eps: float = 1e-5, *, per_example: bool = False, ddof: int = 0) -> Array:
    """Mean 0, variance 1 over the batch (and over the pixels), or over each example."""
    axes = tuple(range(1, x.ndim)) if per_example else tuple(one for one in range(x.ndim) if one != 1)
    found: Array = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True, ddof=ddof) + eps)
    return found


def _norm(*, per_example: bool) -> Callable[[list[Any], Mapping[str, Array], Mapping[str, Any]], Variants]:
    def value(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
        x = inputs[0]
        pair = scale_and_shift(params)
        over = (1, -1) + (1,) * (x.ndim - 2)
        scale, shift = (one.reshape(over) for one in pair) if pair else (1.0, 0.0)
        found = {
            f"eps {eps:g}": normalised(x, eps, per_example=per_example) * scale + shift for eps in (1e-5, 1e-8, 1e-3)
        }
        return {"": found.pop("eps 1e-05"), **found}

    return value


def scale_and_shift(params: Mapping[str, Array]) -> tuple[Array, Array] | None:
    """By name: gamma or weight, and beta or bias."""
    scale = next((one for name, one in params.items() if name.lower() in {"gamma", "weight", "w", "scale", "g"}), None)
    shift = next((one for name, one in params.items() if name.lower() in {"beta", "bias", "b", "shift"}), None)
    return None if scale is None or shift is None else (scale, shift)


def convolved(x: Array, weight: Array, padding: int, stride: int) -> Array:
    """Cross-correlation, as `torch.nn.functional.conv2d`."""
    framed = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(framed, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    found: Array = np.einsum("nchwij,ocij->nohw", windows, weight)
    return found


def _convolution(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
    weight = next(one for one in params.values() if one.ndim == 4)
    bias = sum(one.reshape(1, -1, 1, 1) for one in params.values() if one is not weight)
    found = {}
    for padding in range(3):
        for stride in (1, 2):
            try:
                found[f"padding {padding}, stride {stride}"] = convolved(inputs[0], weight, padding, stride) + bias
            except ValueError:  # a kernel larger than the image
                continue
    return found


POOLS = ((2, 2, 0), (2, 1, 0), (3, 1, 0), (3, 2, 0), (3, 3, 0), (3, 2, 1), (3, 1, 1))
"""Window, stride and padding of the pools that are tried."""


def _pool(reduce: Callable[..., Array]) -> Callable[[list[Any], Mapping[str, Array], Mapping[str, Any]], Variants]:
    def value(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
        view = np.lib.stride_tricks.sliding_window_view
        found = {}
        for k, s, p in POOLS:
            edge = -np.inf if reduce is np.max else 0.0
            framed = np.pad(inputs[0], ((0, 0), (0, 0), (p, p), (p, p)), constant_values=edge)
            windows = view(framed, (k, k), axis=(2, 3))[:, :, ::s, ::s]
            found[f"{k} x {k}, stride {s}, padding {p}"] = reduce(windows, axis=(-2, -1))
        return found

    return value


def _rnn(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
    x, h = inputs[:2]
    total = sum(one.ravel() for one in params.values() if one.size == h.shape[1])
    for one in params.values():
        if one.ndim == 2 and one.size != h.shape[1]:
            if set(one.shape) == {x.shape[1], h.shape[1]}:
                total = total + x @ (one if one.shape[0] == x.shape[1] else one.T)
            else:
                turned = one
    return {"": np.tanh(total + h @ turned), "h W^T": np.tanh(total + h @ turned.T)}


def bent_slopes(settings: Mapping[str, Any], default: float) -> list[float]:
    """The slopes, or scales, below 0 that are tried: those of the object itself, and usual ones."""
    own = [v for k, v in settings.items() if isinstance(v, float) and re.fullmatch(r".*(slope|alpha|leak).*|a", k)]
    return list(dict.fromkeys([default, *own, 0.01, 0.1, 0.2, 0.3, 1.0]))


def _bent(
    f: Callable[[Array, float], Array], default: float
) -> Callable[[list[Any], Mapping[str, Array], Mapping[str, Any]], Variants]:
    return lambda inputs, params, settings: {
        "" if one == default else f"{one:g}": f(inputs[0], one) for one in bent_slopes(settings, default)
    }


def _gelu(inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants:
    x = inputs[0]
    return {
        "": 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
        "by tanh": 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    }


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    found: Array = np.exp(-np.logaddexp(0, -x))
    return found


KNOWN: dict[str, Callable[[list[Any], Mapping[str, Array], Mapping[str, Any]], Variants]] = {
    "linear": _linear,
    "identity": _of_x(lambda x: x),
    "relu": _of_x(lambda x: np.maximum(x, 0)),
    "sigmoid": _of_x(sigmoid),
    "tanh": _of_x(np.tanh),
    "silu": _of_x(lambda x: x * sigmoid(x)),
    "softplus": _of_x(lambda x: np.logaddexp(0, x)),
    "leaky_relu": _bent(lambda x, slope: np.where(x > 0, x, slope * x), 0.01),
    "elu": _bent(lambda x, slope: np.where(x > 0, x, slope * np.expm1(np.minimum(x, 0))), 1.0),
    "gelu": _gelu,
    "softmax": _of_x(softmax),
    "log_softmax": _of_x(log_softmax),
    "flatten": _of_x(lambda x: x.reshape(len(x), -1)),
    "cross_entropy": _entropy,
    "softmax_cross_entropy": _softmax_entropy,
    "binary_cross_entropy": _binary,
    "mean_squared": _squared,
    "mean_absolute": _absolute,
    "huber": _huber,
    "batch_norm": _norm(per_example=False),
    "batch_norm_2d": _norm(per_example=False),
    "layer_norm": _norm(per_example=True),
    "convolution": _convolution,
    "max_pool": _pool(np.max),
    "average_pool": _pool(np.mean),
    "rnn_step": _rnn,
}
BY_BEHAVIOUR = (
    "identity",
    "relu",
    "sigmoid",
    "tanh",
    "softmax",
    "log_softmax",
    "linear",
    "max_pool",
    "average_pool",
    "convolution",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "softplus",
)


def variants(op: str, inputs: list[Any], params: Mapping[str, Array], settings: Mapping[str, Any]) -> Variants | None:
    """The values that are right for a known operation; None where its formula does not fit what it was given."""
    if op not in KNOWN:
        return None
    try:
        return KNOWN[op](inputs, params, settings)
    except (StopIteration, ValueError, IndexError, TypeError, UnboundLocalError, np.exceptions.AxisError):
        return None


def matching(found: Variants, y: Any, tolerance: float = 1e-4) -> str | None:
    """The name of the variant that it is, None if it is none of them."""
    for name, one in found.items():
        if np.shape(one) == np.shape(y) and np.allclose(one, y, rtol=tolerance, atol=tolerance):
            return name
    return None


def closest(found: Variants, y: Any) -> str | None:
    """The name of the variant that is nearest to y, of those of its shape."""
    gaps = {
        name: distance(np.asarray(y), np.asarray(one)) for name, one in found.items() if np.shape(one) == np.shape(y)
    }
    return min(gaps, key=lambda name: gaps[name]) if gaps else None
