"""Optimizers by hand: how a gradient g becomes a step of the parameters theta, in place.

Every optimizer is made from its settings' names (`paribus list optimizers`), may be given another `lr` before any step,
and starts with a state of zeros.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from paribus.byhand.layers import Array


def add_l1(gradients: Mapping[str, Array], parameters: Mapping[str, Array], strength: float) -> None:
    """Add the gradient of strength * sum |w| over all weights w: g <- g + strength sign(w), in place.

    Weights are the parameters with two axes or more: no biases, and no scales or shifts of a norm. sign(0) is 0.

    Source: R. Tibshirani, Regression shrinkage and selection via the lasso (1996).

    >>> g = {"w": np.zeros((1, 2)), "b": np.zeros(1)}
    >>> add_l1(g, {"w": np.array([[-3.0, 2.0]]), "b": np.ones(1)}, 0.5)
    >>> g["w"].tolist(), g["b"].tolist()
    ([[-0.5, 0.5]], [0.0])
    """
    for name, parameter in parameters.items():
        if parameter.ndim > 1:
            gradients[name][...] += strength * np.sign(parameter)


def clip_by_global_norm(gradients: dict[str, Array], limit: float) -> float:
    """Scale all gradients by min(1, limit / (norm + 1e-6)), in place; returns the norm before.

    norm = sqrt(sum over all parameters of |g|^2).

    Source: Pascanu et al., On the difficulty of training recurrent neural networks (2013), with the constant of
    `torch.nn.utils.clip_grad_norm_`.

    >>> g = {"w": np.array([3.0, 4.0])}
    >>> clip_by_global_norm(g, 1.0), [round(float(value), 4) for value in g["w"]]
    (5.0, [0.6, 0.8])
    """
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
    scale = limit / (norm + 1e-6)
    if scale < 1:
        for g in gradients.values():
            g *= scale
    return norm


class Optimizer(ABC):
    """Moves parameters, one after another; `weight_decay` w adds w theta to the gradient, with `decay="weights"` of
    those with two axes or more alone."""

    def __init__(
        self, parameters: Mapping[str, Array], lr: float, weight_decay: float = 0.0, decay: str = "all"
    ) -> None:
        self.parameters = parameters
        self.lr = lr
        self.weight_decay = weight_decay
        self.decayed = {name for name, theta in parameters.items() if decay == "all" or theta.ndim > 1}
        self.steps = 0

    def step(self, gradients: Mapping[str, Array]) -> None:
        """Move every parameter, in place."""
        self.steps += 1
        for name, theta in self.parameters.items():
            g = gradients[name]
            penalised = self.weight_decay and name in self.decayed
            theta -= self.lr * self.direction(name, g + self.weight_decay * theta if penalised else g)

    def decoupled_decay(self, weight_decay: float) -> None:
        """Decoupled weight decay w: theta <- theta - lr w theta."""
        for name in self.decayed:
            self.parameters[name][...] *= 1 - self.lr * weight_decay

    @abstractmethod
    def direction(self, name: str, g: Array) -> Array:
        """What lr is multiplied with, from the gradient with its penalty."""

    def state(self) -> dict[str, Array]:
        """Every array that it keeps, by kind and parameter, and how many steps it has made."""
        kept = {
            kind: arrays for kind, arrays in vars(self).items() if isinstance(arrays, dict) and kind != "parameters"
        }
        arrays = {f"{kind}/{name}": array for kind, by_name in kept.items() for name, array in by_name.items()}
        return {**arrays, "steps": np.array(float(self.steps))}

    def restore(self, state: Mapping[str, Array]) -> None:
        """As `state` left it."""
        self.steps = int(state["steps"])
        for key, array in state.items():
            kind, _, name = key.partition("/")
            if name:
                getattr(self, kind)[name] = array.copy()

    def zeros(self) -> dict[str, Array]:
        """A state of zeros, one array for each parameter."""
        return {name: np.zeros_like(theta) for name, theta in self.parameters.items()}


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum m, dampening d and Nesterov, as `torch.optim.SGD`.

        b <- g at the first step, then  m b + (1 - d) g
        theta <- theta - lr b,  with Nesterov  theta - lr (g + m b),  without momentum  theta - lr g

    `decoupled`: weight decay is apart from the gradient, theta <- theta - lr w theta before the step.

    Source: Sutskever et al., On the importance of initialization and momentum in deep learning (2013), in the form of
    PyTorch's documentation; Loshchilov and Hutter, Decoupled weight decay regularization (2019).

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
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        decay: str = "all",
    ) -> None:
        super().__init__(parameters, lr, beta1, beta2, eps, decay=decay)
        self.decoupled = weight_decay

    def step(self, gradients: Mapping[str, Array]) -> None:
        """Shrink every parameter, then move it."""
        self.decoupled_decay(self.decoupled)
        super().step(gradients)


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


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": Sgd, "adam": Adam, "adamw": AdamW, "rmsprop": RmsProp}
