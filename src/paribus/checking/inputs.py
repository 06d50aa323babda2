"""What an operation is given: shapes by its name, values off the kinks, and values at the ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from paribus.checking.differences import Array

_NAMES = (
    ("batch_norm_2d", r"spatial.*(batch_?norm|bn)|(batch_?norm|bn)_?2d"),
    ("batch_norm", r"batch_?norm|\bbn|^bn|_bn"),
    ("layer_norm", r"layer_?norm|^ln\b"),
    ("binary_cross_entropy", r"bce|binary|logistic_?loss"),
    ("softmax_cross_entropy", r"soft_?max.*(loss|cross|entropy|ce\b|nll)|(cross|entropy|ce|loss).*(logits|softmax)"),
    ("cross_entropy", r"cross_?entropy|^ce|_ce$|celoss|nll|xent"),
    ("log_softmax", r"log_?soft_?max"),
    ("softmax", r"soft_?max"),
    ("mean_squared", r"mse|mean_?sq|l2_?loss|squared|euclid"),
    ("huber", r"huber|smooth_?l1"),
    ("mean_absolute", r"mae\b|mean_?abs|l1_?loss"),
    ("quantile", r"quantile|pinball"),
    ("identity", r"identity"),
    ("leaky_relu", r"leaky"),
    ("elu", r"\belu|^elu"),
    ("gelu", r"gelu"),
    ("silu", r"silu|swish"),
    ("softplus", r"soft_?plus"),
    ("relu", r"relu|rectif"),
    ("sigmoid", r"sigmoid|logistic"),
    ("tanh", r"tanh"),
    ("convolution", r"conv"),
    ("max_pool", r"max_?pool|pool.*max"),
    ("average_pool", r"(avg|average|mean)_?pool"),
    ("pool", r"pool"),
    ("dropout", r"drop_?out"),
    ("rnn_step", r"rnn|recurrent|vanilla|elman"),
    ("flatten", r"flatten"),
    ("linear", r"linear|affine|dense|fully|^fc|_fc|\bfc"),
)

OF_NUMBERS = {"mean_squared", "mean_absolute", "huber", "quantile"}
"""Losses of numbers to predict."""
LOSSES = {"softmax_cross_entropy", "cross_entropy", "binary_cross_entropy", *OF_NUMBERS}
IMAGES = {"batch_norm_2d", "convolution", "max_pool", "average_pool", "pool", "flatten"}
FEATURES, HIDDEN, OUT, CHANNELS, HEIGHT, WIDTH, CLASSES = 4, 5, 3, 2, 4, 6, 3


def operation_of(name: str) -> str | None:
    """What a name says: `MyReLULayer` is relu.

    >>> operation_of("LinearModule"), operation_of("softmax_loss"), operation_of("Thing")
    ('linear', 'softmax_cross_entropy', None)
    """
    spelled = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    for op, pattern in _NAMES:
        if re.search(pattern, spelled) or re.search(pattern, name.lower()):
            return op
    return None


def off_kinks(rng: np.random.Generator, *shape: int) -> Array:
    """Numbers at least 0.1 from 0 and 0.01 from each other: no step of a difference crosses a kink."""
    size = int(np.prod(shape))
    amounts = 0.1 + 1.6 * (rng.permutation(size) + 0.5 + 0.3 * rng.uniform(size=size)) / size
    found: Array = (amounts * rng.choice([-1.0, 1.0], size)).reshape(shape)
    return found


def shapes(op: str | None) -> list[tuple[int, ...]]:
    """The shapes of an example that are tried, the likeliest first."""
    image, rows = (CHANNELS, HEIGHT, WIDTH), (FEATURES,)
    if op in IMAGES:
        return [image, rows, (HEIGHT, WIDTH, CHANNELS)]
    if op == "rnn_step":
        return [(OUT,)]
    return [rows, image, (3, FEATURES), (1,), (OUT,), (CHANNELS, 8, 8), (1, 8, 8)]


def values(
    op: str | None, names: list[str], shape: tuple[int, ...], batch: int, kind: str = "classes"
) -> dict[str, Any]:
    """x, and what else the operation wants, by its place. `kind`: what a second input is, classes, onehot or numbers."""
    rng = np.random.default_rng([batch, len(shape)])
    first = off_kinks(rng, batch, *shape)
    if op in LOSSES - OF_NUMBERS and shape == (FEATURES,):
        first = first[:, :CLASSES]
    if op in {"cross_entropy", "binary_cross_entropy"}:
        first = rng.uniform(0.2, 1, first.shape)
        first = first / first.sum(axis=1, keepdims=True) if op == "cross_entropy" else 0.9 * first
    found: dict[str, Any] = {names[0]: first}
    for name in names[1:]:
        found[name] = _second(op, first, kind, rng)
    return found


def _second(op: str | None, first: Array, kind: str, rng: np.random.Generator) -> Any:
    batch = len(first)
    if op == "rnn_step":
        return off_kinks(rng, batch, FEATURES)
    classes = (np.arange(batch) * 2 + 1) % first.shape[1]
    if op == "binary_cross_entropy":
        of_classes: Array = rng.integers(0, 2, batch if kind == "column" else first.shape)
        return of_classes if kind == "column" else of_classes.astype(float)
    if kind == "column":
        return off_kinks(rng, batch)
    if kind == "classes":
        return classes
    if kind == "onehot":
        return np.eye(first.shape[1])[classes]
    return off_kinks(rng, *first.shape)


def extremes(op: str | None, x: Array) -> dict[str, Array]:
    """Inputs at the ends: large ones, and for logarithms of probabilities an exact 0."""
    if op == "cross_entropy":
        return {"a probability of exactly 0": np.eye(x.shape[1])[np.zeros(len(x), int)]}
    if op in {
        "relu",
        "leaky_relu",
        "softmax",
        "log_softmax",
        "softmax_cross_entropy",
        "sigmoid",
        "tanh",
        "elu",
        "gelu",
        "silu",
        "softplus",
        None,
    }:
        large = np.where(np.arange(x.size).reshape(x.shape) % 2 == 0, 1000.0, -1000.0)
        return {"inputs of 1000 and -1000": large, "inputs of 1000 and 999": np.where(large > 0, 1000.0, 999.0)}
    return {}


_SIZES: tuple[tuple[str, Callable[[str | None], Any]], ...] = (
    (r"^(rng|generator|random_state)$", lambda op: np.random.default_rng(0)),
    (r"seed", lambda op: 0),
    (r"^(q|tau|quantile)$", lambda op: 0.3),
    (r"^(image|img)(_?(shape|size))?$", lambda op: (CHANNELS, 8, 8)),
    (r"^(layers|blocks|modules|inner)$", lambda op: [Bent()]),
    (r"(running|moving)_?mean", lambda op: np.zeros(_units(op))),
    (r"(running|moving)_?(var|std)", lambda op: np.ones(_units(op))),
    (r"^(w|weights?|kernels?_?w|gamma|scale)$", lambda op: _weight(op)),
    (r"^(b|bias|beta|shift)$", lambda op: _bias(op)),
    (r"hidden|^h(_?dim)?$|state_?(size|dim)", lambda op: FEATURES),
    (
        r"^(in|c_?in|in_?c)$|in_?ch|in_?planes|input_?channels|channels_?in|^c$|^channels$|depth|in_?depth",
        lambda op: CHANNELS,
    ),
    (r"^f$|filters|out_?ch|channels_?out|c_?out|out_?c|out_?planes", lambda op: OUT),
    (r"out|n_?out|fan_?out|^m$|^o$|classes|^k_out$|units_?out", lambda op: OUT),
    (
        r"^in|n_?in|_in$|fan_?in|nin|input|size_in",
        lambda op: OUT if op == "rnn_step" else CHANNELS if op in IMAGES else FEATURES,
    ),
    (
        r"kernel|filter|^k$|^ksize$|pool|window|^hh$|^ww$|^size$",
        lambda op: 2 if op and "pool" in op else 3 if op in IMAGES else FEATURES,
    ),
    (r"strid|^s$", lambda op: 2 if op and "pool" in op else 1),
    (r"pad", lambda op: 1 if op == "convolution" else 0),
    (r"^(p|rate|prob|drop.*|p_drop|ratio)$|drop", lambda op: 0.4),
    (r"keep", lambda op: 0.6),
    (r"feature|units|^n$|^d$|dim|^c$|num|channels", lambda op: _units(op)),
    (r"^(slope|alpha|negative_slope)$", lambda op: 0.1),
    (r"momentum", lambda op: 0.9),
    (r"^eps|epsilon", lambda op: 1e-5),
    (r"shape", lambda op: (CHANNELS, HEIGHT, WIDTH) if op in IMAGES else (FEATURES,)),
)


class Bent:
    """y = x + x^2 / 10: what a layer that holds layers is given."""

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        """Any shape."""
        self._x = x
        return x + x * x / 10

    def backward(self, dy: Array) -> Array:
        """Any shape."""
        return dy * (1 + self._x / 5)


def _units(op: str | None) -> int:
    return CHANNELS if op in IMAGES else FEATURES


def _weight(op: str | None) -> Array:
    rng = np.random.default_rng(5)
    if op in {"batch_norm", "batch_norm_2d", "layer_norm"}:
        return rng.uniform(0.5, 1.5, _units(op))
    if op in LOSSES:  # of the classes
        return rng.uniform(0.5, 1.5, CLASSES)
    return rng.normal(size=(OUT, CHANNELS, 3, 3) if op == "convolution" else (OUT, FEATURES))


def _bias(op: str | None) -> Array:
    return np.random.default_rng(6).normal(size=_units(op) if op and "norm" in op else OUT)


def size_for(name: str, op: str | None) -> Any:
    """What a constructor's parameter is given, by its name; None where the name says nothing."""
    for pattern, value in _SIZES:
        if re.search(pattern, name.lower()):
            return value(op)
    return None
