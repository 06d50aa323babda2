"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping

from paribus.byhand.layers import Array
from paribus.byhand.optimizers.base import Optimizer


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum m, dampening d and Nesterov, as `torch.optim.SGD`.

        b <- g at the first step, then  m b + (1 - d) g
        theta <- theta - lr b,  with Nesterov  theta - lr (g + m b),  without momentum  theta - lr g

    `decoupled`: weight decay is apart from the gradient, theta <- theta - lr w theta before the step.

    Source: Sutskever et al., On the importance of initialization and momentum in deep learning (2013), in the form of
    PyTorch's documentation; Loshchilov and Hutter, Decoupled weight decay regularization (2019).

    >>> import numpy as np
    >>> theta = {"w": np.array([1.0])}
    >>> Sgd(theta, lr=0.5).step({"w": np.array([0.2])})
    >>> theta["w"].tolist()
    [0.9]
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        lr: float,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decay: str = "all",
        decoupled: bool = False,
    ) -> None:
        super().__init__(parameters, lr, 0.0 if decoupled else weight_decay, decay)
        self.decoupled = weight_decay if decoupled else 0.0
        self.momentum, self.dampening, self.nesterov = momentum, dampening, nesterov
        self.b: dict[str, Array] = {}

    def step(self, gradients: Mapping[str, Array]) -> None:
        """Shrink what decays apart from the gradient, then move every parameter."""
        if self.decoupled:
            self.decoupled_decay(self.decoupled)
        super().step(gradients)

    def direction(self, name: str, g: Array) -> Array:
        """b, g + m b or g."""
        if not self.momentum:
            return g
        b = self.momentum * self.b[name] + (1 - self.dampening) * g if name in self.b else g.copy()
        self.b[name] = b
        return g + self.momentum * b if self.nesterov else b
