"""What optimizers have in common: the step over all parameters, weight decay, the state; and clipping."""

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

    def full(self, value: float) -> dict[str, Array]:
        """A state of one number, one array for each parameter."""
        return {name: np.full_like(theta, value) for name, theta in self.parameters.items()}

    def zeros(self) -> dict[str, Array]:
        """A state of zeros, one array for each parameter."""
        return {name: np.zeros_like(theta) for name, theta in self.parameters.items()}
