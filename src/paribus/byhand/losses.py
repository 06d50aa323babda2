"""Losses by hand: `forward` gives the mean over a batch, `backward` its gradient with respect to the outputs.

Of numbers to predict, an output z has shape (examples, 1), a target t (examples,); d = z - t. Cross-entropy stands in
`layers.py`; here are its weights, and the losses of numbers.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from paribus.byhand.layers import Array, SoftmaxCrossEntropy
from paribus.config.values import Loss as LossConfig


class Loss(Protocol):
    """What a loss does."""

    def forward(self, z: Array, y: NDArray[Any], smoothing: float = 0.0) -> float:
        """The mean loss of a batch."""

    def backward(self) -> Array:
        """dL/dz, of the last `forward`."""


class _OfNumbers:
    """L = mean over examples of f(z - t); backward: dz = f'(z - t) / examples."""

    def forward(self, z: Array, y: NDArray[Any], smoothing: float = 0.0) -> float:  # noqa: ARG002 (of classes)
        """z (examples, 1), y (examples,)."""
        self._d = z[:, 0] - y
        return float(self._f(self._d).mean())

    def backward(self) -> Array:
        """dL/dz, shape (examples, 1)."""
        slopes: Array = self._slope(self._d) / len(self._d)
        return slopes.astype(self._d.dtype, copy=False)[:, None]

    def _f(self, d: Array) -> Array:
        raise NotImplementedError

    def _slope(self, d: Array) -> Array:
        raise NotImplementedError


class MeanSquared(_OfNumbers):
    """L = mean of d^2.

    Backward:  dz = 2 d / examples.

    >>> loss = MeanSquared()
    >>> loss.forward(np.array([[1.0], [2.0]]), np.array([1.0, 4.0])), loss.backward().ravel().tolist()
    (2.0, [0.0, -2.0])
    """

    def _f(self, d: Array) -> Array:
        return d * d

    def _slope(self, d: Array) -> Array:
        return 2 * d


class MeanAbsolute(_OfNumbers):
    """L = mean of |d|.

    Backward:  dz = sign(d) / examples, 0 at d = 0.
    """

    def _f(self, d: Array) -> Array:
        return np.abs(d)

    def _slope(self, d: Array) -> Array:
        return np.sign(d)


class Huber(_OfNumbers):
    """L = mean of d^2 / 2 where |d| < 1, else |d| - 1/2.

    Backward:  dz = d cut off at -1 and 1, / examples.

    Source: P. J. Huber, Robust estimation of a location parameter (1964).
    """

    def _f(self, d: Array) -> Array:
        size = np.abs(d)
        return np.where(size < 1, d * d / 2, size - d.dtype.type(0.5))

    def _slope(self, d: Array) -> Array:
        return np.clip(d, -1, 1)


class Quantile(_OfNumbers):
    """L = mean of (1 - q) d where d > 0, else -q d: least where a share q of the targets lies below z.

    Backward:  dz = (1 - q) / examples where d > 0, -q / examples elsewhere.

    Source: Koenker and Bassett, Regression quantiles (1978).

    >>> loss = Quantile(0.75)
    >>> loss.forward(np.array([[1.0], [2.0]]), np.array([0.0, 4.0])), loss.backward().ravel().tolist()
    (0.875, [0.125, -0.375])
    """

    def __init__(self, q: float) -> None:
        self.q = q

    def _f(self, d: Array) -> Array:
        return d * self._slope(d)

    def _slope(self, d: Array) -> Array:
        slopes: Array = np.where(d > 0, d.dtype.type(1 - self.q), d.dtype.type(-self.q))
        return slopes


class WeightedCrossEntropy:
    """L = sum of w_y l / sum of w_y over the examples, l their cross-entropies; `weights`: w of each class.

    Backward:  dz = w_y (softmax(z) - onehot(y)) / sum of w_y.

    It is the mean that `torch.nn.CrossEntropyLoss(weight=w)` takes.

    >>> loss = WeightedCrossEntropy(np.array([1.0, 3.0]))
    >>> loss.forward(np.zeros((2, 2)), np.array([0, 1])), loss.backward().tolist()
    (0.6931471805599453, [[-0.125, 0.125], [0.375, -0.375]])
    """

    def __init__(self, weights: Array) -> None:
        self.weights, self._plain = weights, SoftmaxCrossEntropy()

    def forward(self, z: Array, y: NDArray[np.int64], smoothing: float = 0.0) -> float:  # noqa: ARG002 (refused)
        """z (examples, classes), y (examples,)."""
        shifted = z - z.max(axis=1, keepdims=True)
        losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]
        weights = self.weights[y].astype(z.dtype)
        self._plain.forward(z, y)
        self._share = weights * (len(y) / weights.sum())
        return float((weights * losses).sum() / weights.sum())

    def backward(self) -> Array:
        """dL/dz, shape (examples, classes)."""
        dz: Array = self._plain.backward() * self._share[:, None]
        return dz


class CrossEntropyOfProbabilities:
    """L = sum of w_y l / sum of w_y over the examples, l = -sum_k t_k log p_k, for probabilities p (examples, classes).

    t is onehot(y), with smoothing s (1 - s) onehot(y) + s / classes; w are the weights of the classes, 1 without any.
    p of 0 counts as the smallest number of its type.

    Backward:  dp_k = -w_y t_k / (p_k sum of w_y).

    It is the cross-entropy of a network whose softmax stands inside. Of logits z it is `SoftmaxCrossEntropy` at
    p = softmax(z).

    >>> loss = CrossEntropyOfProbabilities()
    >>> round(loss.forward(np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([0, 1])), 4), loss.backward().tolist()
    (0.4581, [[-1.0, -0.0], [-0.0, -0.625]])
    """

    def __init__(self, weights: Array | None = None) -> None:
        self.weights = weights

    def forward(self, z: Array, y: NDArray[np.int64], smoothing: float = 0.0) -> float:
        """z: probabilities (examples, classes), y (examples,)."""
        self._p = np.maximum(z, np.finfo(z.dtype).tiny)
        weights = np.ones(len(y)) if self.weights is None else self.weights[y]
        self._t = np.full_like(z, smoothing / z.shape[1])
        self._t[np.arange(len(y)), y] += 1 - smoothing
        self._t *= (weights / weights.sum()).astype(z.dtype)[:, None]
        return float(-(self._t * np.log(self._p)).sum())

    def backward(self) -> Array:
        """dL/dp, shape (examples, classes)."""
        dp: Array = -self._t / self._p
        return dp


class Binary:
    """The loss of two classes of which the output is the second's logit z: `of` both logits, 0 and z.

    Of cross-entropy, L = mean of log(1 + exp(-z)) where y is 1, log(1 + exp(z)) where it is 0. Backward:
    dz = (sigmoid(z) - y) / examples.

    >>> loss = Binary(SoftmaxCrossEntropy())
    >>> round(loss.forward(np.array([[0.0], [2.0]]), np.array([0, 1])), 4), loss.backward().round(4).ravel().tolist()
    (0.41, [0.25, -0.0596])
    """

    def __init__(self, of: Loss) -> None:
        self._of = of

    def forward(self, z: Array, y: NDArray[Any], smoothing: float = 0.0) -> float:
        """z (examples, 1), y (examples,)."""
        return self._of.forward(both_logits(z), y, smoothing)

    def backward(self) -> Array:
        """dL/dz, shape (examples, 1)."""
        return self._of.backward()[:, 1:]


def both_logits(z: Array) -> Array:
    """Of the second class's logit, shape (examples, 1), those of both."""
    return np.concatenate([np.zeros_like(z), z], axis=1)


_OF_NUMBERS = {"mse": MeanSquared, "mae": MeanAbsolute, "huber": Huber}


def make_loss(loss: LossConfig, weights: NDArray[np.float64] | None = None) -> Loss:
    """The loss of a setting; `weights`: of the classes."""
    if loss.kind == "binary":
        return Binary(make_loss(LossConfig("cross_entropy"), weights))
    if weights is not None:
        return WeightedCrossEntropy(weights)
    if loss.q is not None:
        return Quantile(loss.q)
    return _OF_NUMBERS[loss.kind]() if loss.of_numbers else SoftmaxCrossEntropy()
