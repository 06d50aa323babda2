"""Normalisation of a layer's units by hand; x has shape (examples, units)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from paribus.byhand.convolution import BatchNorm2d
from paribus.byhand.layers import Array
from paribus.config.architecture import NORM_EPS, NORM_MOMENTUM


class BatchNorm1d(BatchNorm2d):
    """Each unit with mean 0 and variance 1 over the batch, then a scale and a shift: `BatchNorm2d` on single pixels.

    Source: S. Ioffe and C. Szegedy, Batch normalization (2015); `torch.nn.BatchNorm1d`.

    >>> layer = BatchNorm1d(np.ones(1), np.zeros(1), np.zeros(1), np.ones(1))
    >>> layer.forward(np.array([[1.0], [3.0]])).round(4).tolist()  # mean 2, variance 1
    [[-1.0], [1.0]]
    """

    def forward(self, x: Array) -> Array:
        """x (examples, units) -> y, of the same shape."""
        return super().forward(x[:, :, None, None])[:, :, 0, 0]

    def backward(self, dy: Array) -> Array:
        """dy -> dx, both (examples, units)."""
        return super().backward(dy[:, :, None, None])[:, :, 0, 0]


class LayerNorm:
    """Each example with mean 0 and variance 1 over its m units, then a scale w and a shift b of shape (units,).

        mu = (1/m) sum x_j,  r = 1 / sqrt((1/m) sum (x_j - mu)^2 + eps),  n_j = r (x_j - mu),  y_j = w_j n_j + b_j

    Backward:  dw and db are sums over examples of dy n and dy; with g_j = w_j dy_j, as in `BatchNorm2d`,

        dx_j = r (g_j - (1/m) sum g - n_j (1/m) sum g n)

    Source: J. L. Ba et al., Layer normalization (2016); `torch.nn.LayerNorm`.

    >>> LayerNorm(np.ones(2), np.zeros(2)).forward(np.array([[1.0, 3.0]])).round(4).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(self, weight: Array, bias: Array, eps: float = NORM_EPS) -> None:
        self.parameters = {"weight": weight, "bias": bias}
        self.gradients: dict[str, Array] = {}
        self.buffers: dict[str, Array] = {}
        self.eps = eps
        self.training = True

    def forward(self, x: Array) -> Array:
        """x (examples, units) -> y, of the same shape."""
        n = x - x.mean(axis=1, keepdims=True)
        self._r = 1 / np.sqrt(np.square(n).mean(axis=1, keepdims=True) + self.eps)
        self._n = n * self._r
        y: Array = self._n * self.parameters["weight"] + self.parameters["bias"]
        return y

    def backward(self, dy: Array) -> Array:
        """dy -> dx, both (examples, units)."""
        n = self._n
        self.gradients = {"weight": (dy * n).sum(axis=0), "bias": dy.sum(axis=0)}
        g = dy * self.parameters["weight"]
        dx: Array = self._r * (g - g.mean(axis=1, keepdims=True) - n * (g * n).mean(axis=1, keepdims=True))
        return dx


Norm = BatchNorm1d | LayerNorm


def _batch(units: int, dtype: type[np.floating]) -> Norm:
    scale, shift = np.ones(units, dtype), np.zeros(units, dtype)
    return BatchNorm1d(
        scale, shift, np.zeros(units, dtype), np.ones(units, dtype), momentum=NORM_MOMENTUM, eps=NORM_EPS
    )


def _layer(units: int, dtype: type[np.floating]) -> Norm:
    return LayerNorm(np.ones(units, dtype), np.zeros(units, dtype))


NORMS: dict[str, Callable[[int, type[np.floating]], Norm]] = {"batch": _batch, "layer": _layer}
