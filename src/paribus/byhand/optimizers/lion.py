"""Lion: every parameter moves by lr, in the direction of a sign."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from paribus.byhand.layers import Array
from paribus.byhand.optimizers.base import Optimizer


class Lion(Optimizer):
    """Evolved sign momentum; weight decay w is apart from the gradient.

        theta <- theta - lr w theta
        theta <- theta - lr sign(beta1 m + (1 - beta1) g)
        m <- beta2 m + (1 - beta2) g

    Source: Chen et al., Symbolic discovery of optimization algorithms (2023), algorithm 2.

    >>> theta = {"w": np.array([1.0, 1.0])}
    >>> Lion(theta, lr=0.25).step({"w": np.array([123.0, -0.001])})
    >>> theta["w"].tolist()
    [0.75, 1.25]
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        lr: float,
        *,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        decay: str = "all",
    ) -> None:
        super().__init__(parameters, lr, decay=decay)
        self.beta1, self.beta2, self.decoupled = beta1, beta2, weight_decay
        self.m = self.zeros()

    def step(self, gradients: Mapping[str, Array]) -> None:
        """Shrink every parameter, then move it."""
        self.decoupled_decay(self.decoupled)
        super().step(gradients)

    def direction(self, name: str, g: Array) -> Array:
        """1, -1 or 0, the sign of a mean gradient."""
        m = self.m[name]
        sign: Array = np.sign(self.beta1 * m + (1 - self.beta1) * g)
        m *= self.beta2
        m += (1 - self.beta2) * g
        return sign
