"""Activation functions by hand: y = f(x), number by number, and dx = f'(x) dy.

Source: the formulas of `torch.nn`; D. Hendrycks and K. Gimpel, Gaussian error linear units (2016) for GELU; S. Elfwing
et al., Sigmoid-weighted linear units (2018) for SiLU; D.-A. Clevert et al., Exponential linear units (2016) for ELU.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from scipy.special import erf, expit

from paribus.byhand.layers import Array, Layer, ReLU

LEAKY_SLOPE = 0.01


class _Pointwise(ABC):
    """A function of each number by itself."""

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}

    @abstractmethod
    def value_and_slope(self, x: Array) -> tuple[Array, Array]:
        """f(x) and f'(x), both of x's shape."""

    def forward(self, x: Array) -> Array:
        """Any shape."""
        value, self._slope = self.value_and_slope(x)
        return value

    def backward(self, dy: Array) -> Array:
        """Any shape."""
        return dy * self._slope


class Identity(_Pointwise):
    """y = x, so the network is linear.

    >>> Identity().forward(np.array([-1.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def value_and_slope(self, x: Array) -> tuple[Array, Array]:
        """x and 1."""
        return x, np.ones_like(x)


class Tanh(_Pointwise):
    """y = tanh(x), y' = 1 - y^2.

    >>> Tanh().forward(np.array([0.0, 50.0])).tolist()
    [0.0, 1.0]
    """

    def value_and_slope(self, x: Array) -> tuple[Array, Array]:
        """tanh(x) and 1 - tanh(x)^2."""
        y = np.tanh(x)
        return y, 1 - y * y


class Sigmoid(_Pointwise):
    """y = 1 / (1 + exp(-x)), y' = y (1 - y).

    >>> Sigmoid().forward(np.array([0.0])).tolist()
    [0.5]
    """

    def value_and_slope(self, x: Array) -> tuple[Array, Array]:
        """sigmoid(x) and its derivative."""
        y: Array = expit(x)
        return y, y * (1 - y)


class Gelu(_Pointwise):
    """y = x P(x), y' = P(x) + x p(x), with P(x) = (1 + erf(x / sqrt 2)) / 2 and p(x) = exp(-x^2 / 2) / sqrt(2 pi).

    >>> Gelu().forward(np.array([0.0, 10.0])).tolist()
    [0.0, 10.0]
    """

    def value_and_slope(self, x: Array) -> tuple[Array, Array]:
        """GELU(x) and its derivative."""
        below: Array = 0.5 * (1 + erf(x * math.sqrt(0.5)))
        return x * below, below + x * np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


class Silu(_Pointwise):
    """y = x s, y' = s (1 + x (1 - s)), with s = 1 / (1 + exp(-x)).

    >>> Silu().forward(np.array([0.0])).tolist()
    [0.0]
    """

    def value_and_slope(self, x: Array) -> tuple[Array, Array]:
        """SiLU(x) and its derivative."""
        s: Array = expit(x)
        return x * s, s * (1 + x * (1 - s))


class LeakyRelu(_Pointwise):
    """y = x where x > 0, else 0.01 x.

    >>> LeakyRelu().forward(np.array([-1.0, 2.0])).tolist()
    [-0.01, 2.0]
    """

    def value_and_slope(self, x: Array) -> tuple[Array, Array]:
        """The value and its derivative, 1 or 0.01."""
        slope = np.where(x > 0, x.dtype.type(1), x.dtype.type(LEAKY_SLOPE))
        return x * slope, slope


class Elu(_Pointwise):
    """y = x where x > 0, else exp(x) - 1.

    >>> Elu().forward(np.array([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def value_and_slope(self, x: Array) -> tuple[Array, Array]:
        """The value and its derivative, 1 or exp(x)."""
        low = np.minimum(x, 0)
        return np.where(x > 0, x, np.expm1(low)), np.exp(low)


ACTIVATIONS: dict[str, Callable[[], Layer]] = {
    "relu": ReLU,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "gelu": Gelu,
    "silu": Silu,
    "leaky_relu": LeakyRelu,
    "elu": Elu,
    "identity": Identity,
}
