"""Layers by hand. `forward` keeps what `backward` needs; `backward` takes dL/d(output) and returns dL/d(input).

A batch is a matrix with one example in each row: x has shape (examples, features).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


class Layer(Protocol):
    """What a layer does. `parameters` and `gradients` are aligned; both are empty where there is nothing to learn."""

    parameters: dict[str, Array]
    gradients: dict[str, Array]

    def forward(self, x: Array) -> Array:
        """The layer's output."""

    def backward(self, dy: Array) -> Array:
        """dL/dx from dL/dy, for the x of the last `forward`; fills `gradients`."""


class Linear:
    """y = x W^T + b, with W of shape (out, in) and b of shape (out,).

    Backward:  dW = dy^T x,  db = sum over examples of dy,  dx = dy W.

    >>> layer = Linear(np.array([[1.0, 2.0]]), np.array([0.5]))
    >>> layer.forward(np.array([[3.0, 4.0]])).tolist()
    [[11.5]]
    >>> layer.backward(np.array([[1.0]])).tolist(), layer.gradients["weight"].tolist()
    ([[1.0, 2.0]], [[3.0, 4.0]])
    """

    def __init__(self, weight: Array, bias: Array) -> None:
        self.parameters = {"weight": weight, "bias": bias}
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        """x (examples, in) -> y (examples, out)."""
        self._x = x
        return x @ self.parameters["weight"].T + self.parameters["bias"]

    def backward(self, dy: Array) -> Array:
        """dy (examples, out) -> dx (examples, in)."""
        self.backward_to_parameters(dy)
        return dy @ self.parameters["weight"]

    def backward_to_parameters(self, dy: Array) -> None:
        """dW and db alone: all that the first layer of a network needs, since nobody asks for dL/d(data)."""
        self.gradients = {"weight": dy.T @ self._x, "bias": dy.sum(axis=0)}


class ReLU:
    """y = max(x, 0).

    Backward:  dx = dy where x > 0, else 0.

    >>> layer = ReLU()
    >>> layer.forward(np.array([[-1.0, 2.0]])).tolist(), layer.backward(np.array([[5.0, 5.0]])).tolist()
    ([[0.0, 2.0]], [[0.0, 5.0]])
    """

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        """Any shape."""
        self._positive = x > 0
        return np.maximum(x, 0)

    def backward(self, dy: Array) -> Array:
        """Any shape."""
        return np.where(self._positive, dy, 0)


class Skip:
    """y = x + f(x), for layers f that give as many features as they take (a residual connection).

    Backward:  dx = dy + f backward of dy.

    `parameters` and `gradients` stay with the layers of f, the first of which is linear.

    Source: He et al., Deep residual learning for image recognition (2016).

    >>> layer = Skip([Linear(np.array([[2.0]]), np.array([0.0])), ReLU()])
    >>> layer.forward(np.array([[3.0]])).tolist(), layer.backward(np.array([[1.0]])).tolist()
    ([[9.0]], [[3.0]])
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        """x (examples, features)."""
        y = x
        for layer in self.layers:
            y = layer.forward(y)
        return x + y

    def backward(self, dy: Array) -> Array:
        """dy (examples, features)."""
        dx = dy
        for layer in reversed(self.layers):
            dx = layer.backward(dx)
        return dy + dx

    def backward_to_parameters(self, dy: Array) -> None:
        """The gradients of the layers alone."""
        self.backward(dy)


class Dropout:
    """y = x keep / (1 - p) while training, y = x otherwise (inverted dropout).

    `keep` is a mask of 0 and 1, drawn from the plan before each step; None means evaluation.

    Backward:  dx = dy keep / (1 - p).

    Source: N. Srivastava et al., Dropout (JMLR 2014).

    >>> layer = Dropout(0.5)
    >>> layer.keep = np.array([[True, False]])
    >>> layer.forward(np.array([[1.0, 1.0]])).tolist()
    [[2.0, 0.0]]
    """

    def __init__(self, p: float) -> None:
        self.p = p
        self.keep: NDArray[np.bool_] | None = None
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        """x (examples, units); `keep` has the same shape."""
        self._scale = None if self.keep is None else self.keep.astype(x.dtype) / x.dtype.type(1 - self.p)
        return x if self._scale is None else x * self._scale

    def backward(self, dy: Array) -> Array:
        """dy (examples, units)."""
        return dy if self._scale is None else dy * self._scale


class SoftmaxCrossEntropy:
    """L = mean over examples of -log softmax(z)[y], for logits z (examples, classes) and classes y (examples,).

    softmax(z)_k = exp(z_k - max z) / sum_j exp(z_j - max z): subtracting the maximum changes nothing and keeps exp
    from overflowing.

    With label smoothing s the target is t = (1 - s) onehot(y) + s / classes, and L = mean of -sum_k t_k log softmax_k.

    Backward:  dz = (softmax(z) - t) / examples.

    Source: for smoothing, Szegedy et al., Rethinking the inception architecture (2016).

    >>> loss = SoftmaxCrossEntropy()
    >>> round(float(loss.forward(np.zeros((4, 10)), np.array([0, 1, 2, 3]))), 4)  # log 10
    2.3026
    """

    def forward(self, z: Array, y: NDArray[np.int64], smoothing: float = 0.0) -> float:
        """The mean loss of a batch."""
        shifted = z - z.max(axis=1, keepdims=True)
        exponentials = np.exp(shifted)
        totals = exponentials.sum(axis=1, keepdims=True)
        self._softmax, self._y, self._smoothing = exponentials / totals, y, smoothing
        logarithm, hit = np.log(totals[:, 0]), shifted[np.arange(len(y)), y]
        if not smoothing:
            return float((logarithm - hit).mean())
        return float((logarithm - (1 - smoothing) * hit - smoothing * shifted.mean(axis=1)).mean())

    def backward(self) -> Array:
        """dL/dz, shape (examples, classes)."""
        dz: Array = self._softmax.copy()
        dz -= self._smoothing / dz.shape[1]
        dz[np.arange(len(self._y)), self._y] -= 1 - self._smoothing
        dz /= len(self._y)
        return dz
