"""The gradient over the root of its squares: RMSprop, with a mean that forgets, and Adagrad, with a sum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from paribus.byhand.layers import Array
from paribus.byhand.optimizers.base import Optimizer


class RmsProp(Optimizer):
    """Root mean square propagation, as `torch.optim.RMSprop`.

        v <- alpha v + (1 - alpha) g^2
        u <- g / (sqrt(v) + eps),  centered: g / (sqrt(v - a^2) + eps) with a <- alpha a + (1 - alpha) g
        b <- m b + u,  theta <- theta - lr b

    Source: Tieleman and Hinton, Lecture 6.5 (2012); Graves, Generating sequences with recurrent neural networks (2013),
    for the centered form; in the form of PyTorch's documentation.

    >>> theta = {"w": np.array([1.0])}
    >>> RmsProp(theta, lr=0.1, alpha=0.75).step({"w": np.array([8.0])})
    >>> round(float(theta["w"][0]), 6)
    0.8
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        lr: float,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        weight_decay: float = 0.0,
        decay: str = "all",
    ) -> None:
        super().__init__(parameters, lr, weight_decay, decay)
        self.alpha, self.eps, self.momentum, self.centered = alpha, eps, momentum, centered
        self.v, self.a, self.b = self.zeros(), self.zeros(), self.zeros()

    def direction(self, name: str, g: Array) -> Array:
        """b, or u without momentum."""
        v, a, b = self.v[name], self.a[name], self.b[name]
        v *= self.alpha
        v += (1 - self.alpha) * g * g
        if self.centered:
            a += (1 - self.alpha) * (g - a)
            u = g / (np.sqrt(v - a * a) + self.eps)
        else:
            u = g / (np.sqrt(v) + self.eps)
        if not self.momentum:
            return u
        b *= self.momentum
        b += u
        return b


class Adagrad(Optimizer):
    """Adaptive gradient, as `torch.optim.Adagrad`; weight decay is a penalty in the gradient.

        v <- v + g^2,  v begins at the initial value of the accumulator
        theta <- theta - lr / (1 + (t - 1) d) g / (sqrt(v) + eps),  d: the decay of lr

    Source: Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and stochastic optimization
    (2011), in the form of PyTorch's documentation.

    >>> theta = {"w": np.array([1.0])}
    >>> Adagrad(theta, lr=0.1).step({"w": np.array([123.0])})
    >>> round(float(theta["w"][0]), 6)
    0.9
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        lr: float,
        *,
        lr_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        decay: str = "all",
    ) -> None:
        super().__init__(parameters, lr, weight_decay, decay)
        self.lr_decay, self.eps = lr_decay, eps
        self.v = self.full(initial_accumulator_value)

    def direction(self, name: str, g: Array) -> Array:
        """The gradient over the root of the sum of squares."""
        v = self.v[name]
        v += g * g
        direction: Array = g / (np.sqrt(v) + self.eps) / (1 + (self.steps - 1) * self.lr_decay)
        return direction
