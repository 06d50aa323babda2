"""Muon: steps of hidden matrices with all singular values near 1."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from paribus.byhand.layers import Array
from paribus.byhand.optimizers.adam import AdamW
from paribus.config.optimizers import hidden_matrices

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_SMALLEST_NORM = 1e-7


def orthogonalised(m: Array) -> Array:
    """Nearly U V^T of a matrix m = U S V^T: five Newton-Schulz steps bring its singular values near to 1.

        x <- m / max(|m|, 1e-7),  |m|: the root of the sum of squares
        x <- a x + (b x x^T + c (x x^T)^2) x,  five times, (a, b, c) = (3.4445, -4.7750, 2.0315)

    All in the type of m; the published code computes in bfloat16. With more rows than columns m is transposed before
    and after, which gives the same in less time.

    Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks (2024),
    https://kellerjordan.github.io/posts/muon/, in the form of `torch.optim.Muon`.

    >>> np.linalg.svd(orthogonalised(np.array([[3.0, 1.0], [0.0, 2.0]])))[1].round(2).tolist()
    [0.84, 0.81]
    """
    a, b, c = _COEFFICIENTS
    x = m / max(np.linalg.norm(m), m.dtype.type(_SMALLEST_NORM))
    tall = len(x) > x.shape[1]
    x = x.T if tall else x
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(AdamW):
    """Orthogonalised momentum for hidden matrices (`config.optimizers.hidden_matrices`), AdamW for all others.

        m <- beta m + (1 - beta) g,  beta: the momentum
        u = beta m + (1 - beta) g with Nesterov, else m
        theta <- theta - lr w theta - lr sqrt(max(1, rows / columns)) orthogonalised(u)

    A convolution's kernels (out, in, height, width) are a matrix of `out` rows; rows and columns of the factor are then
    height and width, as in the published code. AdamW has a rate and a weight decay of its own; a schedule multiplies
    both rates.

    Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks (2024), and
    https://github.com/KellerJordan/Muon; `torch.optim.Muon`.

    >>> theta = {"first": np.eye(2), "hidden": np.eye(2), "last": np.eye(2)}
    >>> Muon(theta, lr=0.1, adamw_lr=0.01).step({name: np.diag([4.0, 2.0]) for name in theta})
    >>> theta["first"].diagonal().round(4).tolist(), theta["hidden"].diagonal().round(4).tolist()
    ([0.99, 0.99], [0.9311, 0.8886])
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        lr: float,
        *,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        adamw_lr: float = 0.0003,
        beta1: float = 0.9,
        beta2: float = 0.95,
        eps: float = 1e-10,
        adamw_weight_decay: float = 0.0,
        decay: str = "all",
    ) -> None:
        super().__init__(
            parameters, lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=adamw_weight_decay, decay=decay
        )
        self.momentum, self.nesterov, self.matrix_decay = momentum, nesterov, weight_decay
        self.adamw_share = adamw_lr / lr  # `lr` follows the schedule, and with it AdamW's rate
        hidden = hidden_matrices([theta.shape for theta in parameters.values()])
        self.hidden = {name for name, matrix in zip(parameters, hidden, strict=True) if matrix}

    def decoupled_decay(self, weight_decay: float) -> None:
        """theta <- theta - lr w theta, each kind with its own lr and w."""
        for name in self.decayed:
            rate = self.lr * self.matrix_decay if name in self.hidden else self.lr * self.adamw_share * weight_decay
            self.parameters[name][...] *= 1 - rate

    def direction(self, name: str, g: Array) -> Array:
        """The orthogonalised momentum, or AdamW's direction in units of its own rate."""
        if name not in self.hidden:
            return self.adamw_share * super().direction(name, g)
        m = self.m[name]
        m += (1 - self.momentum) * (g - m)
        u = g + self.momentum * (m - g) if self.nesterov else m
        scale = math.sqrt(max(1.0, g.shape[-2] / g.shape[-1]))
        return scale * orthogonalised(u.reshape(len(u), -1)).reshape(u.shape)
