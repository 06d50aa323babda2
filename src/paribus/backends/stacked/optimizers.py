"""Optimizers that move many runs at once: a row of parameters for each run, and numbers of its own.

Each rule is that of `torch.optim`, with columns where that has numbers; what is computed from them alone is computed in
float64 first, as Python does there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from paribus.config.optimizers import OptimizerConfig


class StackedOptimizer(ABC):
    """The rule of one optimizer on parameters (runs, numbers).

    `settings`: one for each run, of one kind, that differ in `OWN` alone; `weights`: which of the numbers, shape
    (numbers,), belong to weights and not to biases or norms.
    """

    def __init__(self, settings: Sequence[OptimizerConfig], theta: Tensor, weights: Tensor) -> None:
        self._settings, self._theta = settings, theta
        self._first, self._t = settings[0], 0
        decay = self.number("weight_decay")
        self._decays = bool((decay != 0).any())
        self._decay = decay if self._first.decay == "all" else decay * weights
        self._lr = self.number("lr")

    def number(self, name: str) -> Tensor:
        """A setting of each run, shape (runs, 1), float64."""
        values = [float(getattr(one, name)) for one in self._settings]
        return torch.tensor(values, dtype=torch.float64, device=self._theta.device)[:, None]

    def typed(self, column: Tensor) -> Tensor:
        """A column in the type of the parameters."""
        return column.to(self._theta.dtype)

    def step(self, g: Tensor, factors: Tensor) -> None:
        """Move theta by its gradient g, both (runs, numbers), which it may write into, at lr times `factors`, (runs, 1)
        in float64."""
        self._t += 1
        self.move(g, self._lr * factors)

    @abstractmethod
    def move(self, g: Tensor, lr: Tensor) -> None:
        """The rule at step `self._t`, counted from 1."""

    def penalise(self, g: Tensor) -> Tensor:
        """g + weight_decay theta."""
        return g.addcmul_(self._theta, self.typed(self._decay)) if self._decays else g

    def decouple(self, lr: Tensor) -> None:
        """theta <- theta - lr weight_decay theta."""
        if self._decays:
            self._theta.mul_(self.typed(1 - lr * self._decay))

    def zeros(self) -> Tensor:
        """Something to keep from step to step."""
        return torch.zeros_like(self._theta)


class Sgd(StackedOptimizer):
    """As `torch.optim.SGD`, and its decoupled weight decay as `backends.torch.optimizers.decoupled_decay`."""

    def __init__(self, settings: Sequence[OptimizerConfig], theta: Tensor, weights: Tensor) -> None:
        super().__init__(settings, theta, weights)
        momentum = self.number("momentum")
        self._momentum = self.typed(momentum)
        # a run without momentum has no dampening either
        self._share = self.typed(torch.where(momentum > 0, 1 - self.number("dampening"), 1.0))
        self._nesterov: bool = self._first.nesterov  # type: ignore[attr-defined]
        self._decoupled: bool = self._first.decoupled  # type: ignore[attr-defined]
        self._mean = self.zeros() if bool((momentum > 0).any()) else None

    def move(self, g: Tensor, lr: Tensor) -> None:
        """v <- momentum v + (1 - dampening) g, at first g;  theta <- theta - lr v, or lr (g + momentum v)."""
        if self._decoupled:
            self.decouple(lr)
        else:
            g = self.penalise(g)
        if self._mean is not None:
            share = self._share if self._t > 1 else 1.0
            self._mean.mul_(self._momentum).add_(share * g)
            g = g + self._momentum * self._mean if self._nesterov else self._mean
        self._theta.sub_(self.typed(lr) * g)


class Adam(StackedOptimizer):
    """As `torch.optim.Adam`."""

    def __init__(self, settings: Sequence[OptimizerConfig], theta: Tensor, weights: Tensor) -> None:
        super().__init__(settings, theta, weights)
        self._beta1, self._beta2 = self.number("beta1"), self.number("beta2")
        self._rest1, self._keep2, self._eps = self.typed(1 - self._beta1), self.typed(self._beta2), self.number("eps")
        self._rest2 = self.typed(1 - self._beta2)
        self._m, self._v = self.zeros(), self.zeros()

    def moments(self, g: Tensor) -> Tensor:
        """Take g into both moments; sqrt(v / (1 - beta2^t)) + eps."""
        self._m.lerp_(g, self._rest1)
        self._v.mul_(self._keep2).add_(g * g * self._rest2)
        unbiased = self.typed((1 - self._beta2**self._t).sqrt())
        return (self._v.sqrt() / unbiased).add_(self.typed(self._eps))

    def move(self, g: Tensor, lr: Tensor) -> None:
        """theta <- theta - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)."""
        below = self.moments(self.penalise(g))
        self._theta.sub_(self.typed(lr / (1 - self._beta1**self._t)) * (self._m / below))


class AdamW(Adam):
    """As `torch.optim.AdamW`."""

    def penalise(self, g: Tensor) -> Tensor:
        """Nothing: the decay is apart from the gradient."""
        return g

    def move(self, g: Tensor, lr: Tensor) -> None:
        """Adam's step after the decay."""
        self.decouple(lr)
        super().move(g, lr)


class NAdam(Adam):
    """As `torch.optim.NAdam`, with the product of its momenta in float64."""

    def __init__(self, settings: Sequence[OptimizerConfig], theta: Tensor, weights: Tensor) -> None:
        super().__init__(settings, theta, weights)
        self._growth = self.number("momentum_decay")
        self._product = torch.ones_like(self._lr)

    def _mu(self, t: int) -> Tensor:
        return self._beta1 * (1 - 0.5 * 0.96 ** (t * self._growth))

    def move(self, g: Tensor, lr: Tensor) -> None:
        """theta <- theta - lr ((1 - mu_t) g / (1 - prod mu) + mu_t+1 m / (1 - prod mu mu_t+1)) / sqrt(...)."""
        g = self.penalise(g)
        below = self.moments(g)
        now, after = self._mu(self._t), self._mu(self._t + 1)
        self._product = self._product * now
        self._theta.sub_(self.typed(lr * (1 - now) / (1 - self._product)) * (g / below))
        self._theta.sub_(self.typed(lr * after / (1 - self._product * after)) * (self._m / below))


class RmsProp(StackedOptimizer):
    """As `torch.optim.RMSprop`."""

    def __init__(self, settings: Sequence[OptimizerConfig], theta: Tensor, weights: Tensor) -> None:
        super().__init__(settings, theta, weights)
        alpha, momentum = self.number("alpha"), self.number("momentum")
        self._keep, self._rest = self.typed(alpha), self.typed(1 - alpha)
        self._eps, self._momentum = self.typed(self.number("eps")), self.typed(momentum)
        self._squares = self.zeros()
        self._mean = self.zeros() if self._first.centered else None  # type: ignore[attr-defined]
        self._last = self.zeros() if bool((momentum > 0).any()) else None

    def move(self, g: Tensor, lr: Tensor) -> None:
        """s <- alpha s + (1 - alpha) g^2;  theta <- theta - lr g / (sqrt(s) + eps), or by its momentum."""
        g = self.penalise(g)
        self._squares.mul_(self._keep).add_(g * g * self._rest)
        spread = self._squares
        if self._mean is not None:
            self._mean.lerp_(g, self._rest)
            spread = self._squares - self._mean * self._mean
        g = g / (spread.sqrt() + self._eps)
        if self._last is not None:
            g = self._last.mul_(self._momentum).add_(g)
        self._theta.sub_(self.typed(lr) * g)


class Adagrad(StackedOptimizer):
    """As `torch.optim.Adagrad`."""

    def __init__(self, settings: Sequence[OptimizerConfig], theta: Tensor, weights: Tensor) -> None:
        super().__init__(settings, theta, weights)
        self._slower, self._eps = self.number("lr_decay"), self.typed(self.number("eps"))
        self._sum = self.zeros() + self.typed(self.number("initial_accumulator_value"))

    def move(self, g: Tensor, lr: Tensor) -> None:
        """s <- s + g^2;  theta <- theta - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)."""
        g = self.penalise(g)
        self._sum.addcmul_(g, g)
        rate = self.typed(lr / (1 + (self._t - 1) * self._slower))
        self._theta.sub_(rate * (g / (self._sum.sqrt() + self._eps)))


class Lion(StackedOptimizer):
    """As `backends.torch.optimizers.Lion`."""

    def __init__(self, settings: Sequence[OptimizerConfig], theta: Tensor, weights: Tensor) -> None:
        super().__init__(settings, theta, weights)
        self._rest1, self._rest2 = (self.typed(1 - self.number(name)) for name in ("beta1", "beta2"))
        self._m = self.zeros()

    def move(self, g: Tensor, lr: Tensor) -> None:
        """theta <- theta - lr sign(beta1 m + (1 - beta1) g), after the decay;  m <- beta2 m + (1 - beta2) g."""
        self.decouple(lr)
        mean = self._m.lerp(g, self._rest1)
        # the sign of NaN is 0 in PyTorch: a run that diverged would stand still
        self._theta.sub_(self.typed(lr) * torch.where(mean.isnan(), mean, mean.sign()))
        self._m.lerp_(g, self._rest2)


OPTIMIZERS: dict[str, type[StackedOptimizer]] = {
    "sgd": Sgd,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RmsProp,
    "adagrad": Adagrad,
    "nadam": NAdam,
    "lion": Lion,
}
"""Each by its name in `config.optimizers.OPTIMIZERS`."""
