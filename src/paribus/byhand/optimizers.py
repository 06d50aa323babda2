"""Optimizers by hand: how a gradient becomes a step."""

from __future__ import annotations

from collections.abc import Mapping

from paribus.byhand.layers import Array


class Sgd:
    """Stochastic gradient descent with momentum m, dampening d, Nesterov and weight decay w, as `torch.optim.SGD`.

        g <- gradient + w theta
        b <- g at the first step, then  m b + (1 - d) g
        g <- g + m b (Nesterov)  or  b (momentum above 0)
        theta <- theta - lr g

    Source: PyTorch's documentation of `torch.optim.SGD`; Sutskever et al., On the importance of initialization and
    momentum in deep learning (2013).

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
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = parameters
        self.lr = lr
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self._buffers: dict[str, Array] = {}

    def step(self, gradients: Mapping[str, Array]) -> None:
        """Move every parameter, in place."""
        for name, theta in self.parameters.items():
            g = gradients[name]
            if self.weight_decay:
                g = g + self.weight_decay * theta
            if self.momentum:
                b = self._buffers.get(name)
                b = g.copy() if b is None else self.momentum * b + (1 - self.dampening) * g
                self._buffers[name] = b
                g = g + self.momentum * b if self.nesterov else b
            theta -= self.lr * g
