"""Adaptive moments: Adam and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from paribus.byhand.layers import Array
from paribus.byhand.optimizers.base import Optimizer


class Adam(Optimizer):
    """Adaptive moments, as `torch.optim.Adam`; weight decay is a penalty in the gradient.

        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        theta <- theta - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    Source: Kingma and Ba, Adam: a method for stochastic optimization (2015), in the form of PyTorch's documentation.

    >>> theta = {"w": np.array([1.0])}
    >>> Adam(theta, lr=0.1).step({"w": np.array([123.0])})
    >>> round(float(theta["w"][0]), 6)  # the first step is lr, whatever the gradient
    0.9
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        lr: float,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decay: str = "all",
    ) -> None:
        super().__init__(parameters, lr, weight_decay, decay)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.m, self.v = self.zeros(), self.zeros()

    def direction(self, name: str, g: Array) -> Array:
        """The corrected mean gradient over the corrected root mean square."""
        m, v = self.m[name], self.v[name]
        m += (1 - self.beta1) * (g - m)
        v *= self.beta2
        v += (1 - self.beta2) * g * g
        root = np.sqrt(v) / math.sqrt(1 - self.beta2**self.steps) + self.eps
        corrected: Array = m / root / (1 - self.beta1**self.steps)
        return corrected


class AdamW(Adam):
    """Adam with decoupled weight decay w, as `torch.optim.AdamW`.

        theta <- theta - lr w theta,  then Adam's step with the bare gradient

    Source: Loshchilov and Hutter, Decoupled weight decay regularization (2019).

    >>> theta = {"w": np.array([1.0])}
    >>> AdamW(theta, lr=0.1, weight_decay=0.5).step({"w": np.array([0.0])})
    >>> theta["w"].tolist()
    [0.95]
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        lr: float,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        decay: str = "all",
    ) -> None:
        super().__init__(parameters, lr, beta1=beta1, beta2=beta2, eps=eps, decay=decay)
        self.decoupled = weight_decay

    def step(self, gradients: Mapping[str, Array]) -> None:
        """Shrink every parameter, then move it."""
        self.decoupled_decay(self.decoupled)
        super().step(gradients)


class NAdam(Adam):
    """Adam with Nesterov's momentum, as `torch.optim.NAdam`; weight decay is a penalty in the gradient.

        mu_t = beta1 (1 - 0.96^(t d) / 2),  P_t = mu_1 ... mu_t,  d: the momentum's decay
        m and v as in Adam
        theta <- theta - lr (mu_{t+1} / (1 - P_{t+1}) m + (1 - mu_t) / (1 - P_t) g) / (sqrt(v / (1 - beta2^t)) + eps)

    Source: Dozat, Incorporating Nesterov momentum into Adam (2016), in the form of PyTorch's documentation.

    >>> theta = {"w": np.array([1.0])}
    >>> NAdam(theta, lr=0.1).step({"w": np.array([123.0])})
    >>> round(float(theta["w"][0]), 4)
    0.8944
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        lr: float,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        momentum_decay: float = 0.004,
        weight_decay: float = 0.0,
        decay: str = "all",
    ) -> None:
        super().__init__(parameters, lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, decay=decay)
        self.momentum_decay = momentum_decay
        self.product = {name: np.array(1.0) for name in parameters}  # of mu_1, ..., mu_t

    def direction(self, name: str, g: Array) -> Array:
        """The mean gradient one step ahead over the corrected root mean square."""
        mu, ahead = (self._momentum(step) for step in (self.steps, self.steps + 1))
        product = float(self.product[name]) * mu
        self.product[name] = np.array(product)
        m, v = self.m[name], self.v[name]
        m += (1 - self.beta1) * (g - m)
        v *= self.beta2
        v += (1 - self.beta2) * g * g
        root = np.sqrt(v / (1 - self.beta2**self.steps)) + self.eps
        moved: Array = ((1 - mu) / (1 - product) * g + ahead / (1 - product * ahead) * m) / root
        return moved

    def _momentum(self, step: int) -> float:
        mu: float = self.beta1 * (1 - 0.5 * 0.96 ** (step * self.momentum_decay))
        return mu
