"""The optimizers over flat parameters, as `byhand.optimizers` writes them out.

A new one is a function, its update of all parameters, and an entry of `OPTIMIZERS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paribus.fused.compiled import compiled, compiled_in_order, inlined


class States(NamedTuple):
    """What an optimizer keeps between steps, and room to work in; few arrays, as each costs time at every call.

    `kept`: the states one after another, each as long as the parameters, then the room; `places`: where each of the
    three states begins, -1 where `Rule.states` does not ask for it, and where the room begins; `numbers`: some single
    numbers; `matrices`: of each hidden matrix where it begins, its rows and columns as they lie there, and whether it
    lies turned.
    """

    kept: NDArray[Any]
    places: tuple[int, int, int, int]
    numbers: NDArray[np.float64]
    matrices: NDArray[np.int64]


@compiled
def clip(g, limit):
    """Scale the gradients by min(1, limit / (norm + 1e-6)), in place; returns the norm before."""
    total = 0.0
    for i in range(len(g)):
        total += np.float64(g[i]) * np.float64(g[i])
    norm = math.sqrt(total)
    scale = limit / (norm + 1e-6)
    if scale < 1:
        factor = g.dtype.type(scale)
        for i in range(len(g)):
            g[i] *= factor
    return norm


@compiled
def add_l1(p, g, begin, count, strength):
    """The gradient of strength sum |w| over some parameters: g <- g + strength sign(w)."""
    push = g.dtype.type(strength)
    for k in range(begin, begin + count):
        g[k] += push * np.sign(p[k])


@compiled
def _state(states, number, p):
    """The state with this number; ValueError where it was not made, as nothing may be written there."""
    begin = states.places[number]
    if begin < 0:
        raise ValueError("the optimizer needs a state that was not made")
    return states.kept[begin : begin + len(p)]


@compiled
def _penalty(p, g, weight_decay):
    """Weight decay in the gradient."""
    decay = p.dtype.type(weight_decay)
    if weight_decay != 0:
        for i in range(len(p)):
            g[i] += decay * p[i]


@compiled
def _shrink(p, begin, end, share):
    """Weight decay apart from the gradient, of the parameters from begin to end."""
    keep = p.dtype.type(1 - share)
    for i in range(begin, end):
        p[i] *= keep


@compiled
def _sgd(p, g, states, h, lr, t):
    """`h`: weight decay, momentum, dampening, nesterov."""
    real, n = p.dtype.type, len(p)
    rate, momentum = real(lr), real(h[1])
    _penalty(p, g, h[0])
    if h[1] == 0:
        for i in range(n):
            p[i] -= rate * g[i]
        return
    s1 = _state(states, 0, p)
    if t == 1:
        for i in range(n):
            s1[i] = g[i]
    else:
        rest = real(1 - h[2])
        for i in range(n):
            s1[i] = momentum * s1[i] + rest * g[i]
    if h[3] != 0:
        for i in range(n):
            p[i] -= rate * (g[i] + momentum * s1[i])
    else:
        for i in range(n):
            p[i] -= rate * s1[i]


@compiled
def _adam_between(p, g, s1, s2, begin, end, betas, eps, lr, t):
    """Adam's step of the parameters from begin to end. `betas`: beta1, beta2, 1 - beta2."""
    real = p.dtype.type
    rate, rest1, beta2, rest2, small = real(lr), real(1 - betas[0]), real(betas[1]), real(betas[2]), real(eps)
    root, first = real(math.sqrt(1 - betas[1] ** t)), real(1 - betas[0] ** t)
    for i in range(begin, end):
        m = s1[i] + rest1 * (g[i] - s1[i])
        v = beta2 * s2[i] + rest2 * g[i] * g[i]
        s1[i], s2[i] = m, v
        p[i] -= rate * (m / (np.sqrt(v) / root + small) / first)


@compiled
def _adam(p, g, states, h, lr, t):
    """`h`: weight decay, beta1, beta2, eps, 1 - beta2."""
    s1, s2 = _state(states, 0, p), _state(states, 1, p)
    _penalty(p, g, h[0])
    _adam_between(p, g, s1, s2, 0, len(p), (h[1], h[2], h[4]), h[3], lr, t)


@compiled
def _adamw(p, g, states, h, lr, t):
    """`h`: weight decay, beta1, beta2, eps, 1 - beta2."""
    s1, s2 = _state(states, 0, p), _state(states, 1, p)
    _shrink(p, 0, len(p), lr * h[0])
    _adam_between(p, g, s1, s2, 0, len(p), (h[1], h[2], h[4]), h[3], lr, t)


@compiled
def _rmsprop(p, g, states, h, lr, t):  # noqa: ARG001
    """`h`: weight decay, alpha, eps, momentum, centered, 1 - alpha."""
    real = p.dtype.type
    rate, alpha, rest, eps, momentum = real(lr), real(h[1]), real(h[5]), real(h[2]), real(h[3])
    s1 = _state(states, 0, p)
    _penalty(p, g, h[0])
    for i in range(len(p)):
        s1[i] = alpha * s1[i] + rest * g[i] * g[i]
    if h[4] != 0:
        s2 = _state(states, 1, p)
        for i in range(len(p)):
            s2[i] += rest * (g[i] - s2[i])
            g[i] /= np.sqrt(s1[i] - s2[i] * s2[i]) + eps
    else:
        for i in range(len(p)):
            g[i] /= np.sqrt(s1[i]) + eps
    if h[3] != 0:
        s3 = _state(states, 2, p)
        for i in range(len(p)):
            s3[i] = momentum * s3[i] + g[i]
            p[i] -= rate * s3[i]
    else:
        for i in range(len(p)):
            p[i] -= rate * g[i]


@compiled
def _adagrad(p, g, states, h, lr, t):
    """`h`: weight decay, decay of lr, the accumulator's first value, eps."""
    real, s1 = p.dtype.type, _state(states, 0, p)
    rate, eps = real(lr / (1 + (t - 1) * h[1])), real(h[3])
    _penalty(p, g, h[0])
    if t == 1:
        s1[:] = real(h[2])
    for i in range(len(p)):
        s1[i] += g[i] * g[i]
        p[i] -= rate * (g[i] / (np.sqrt(s1[i]) + eps))


@compiled
def _nadam(p, g, states, h, lr, t):
    """`h`: weight decay, beta1, beta2, eps, 1 - beta2, decay of the momentum.

    numbers[0]: the product of all momenta so far.
    """
    real, s1, s2, numbers = p.dtype.type, _state(states, 0, p), _state(states, 1, p), states.numbers
    _penalty(p, g, h[0])
    mu, ahead = h[1] * (1 - 0.5 * 0.96 ** (t * h[5])), h[1] * (1 - 0.5 * 0.96 ** ((t + 1) * h[5]))
    numbers[0] = mu if t == 1 else numbers[0] * mu
    bare, mean = real(lr * (1 - mu) / (1 - numbers[0])), real(lr * ahead / (1 - numbers[0] * ahead))
    rest1, beta2, rest2, eps, correction = real(1 - h[1]), real(h[2]), real(h[4]), real(h[3]), real(1 - h[2] ** t)
    for i in range(len(p)):
        m = s1[i] + rest1 * (g[i] - s1[i])
        v = beta2 * s2[i] + rest2 * g[i] * g[i]
        s1[i], s2[i] = m, v
        p[i] -= (bare * g[i] + mean * m) / (np.sqrt(v / correction) + eps)


@compiled_in_order
def _lion(p, g, states, h, lr, t):  # noqa: ARG001
    """`h`: weight decay, beta1, beta2."""
    real, s1 = p.dtype.type, _state(states, 0, p)
    zero, rate, beta1, rest1, beta2, rest2 = real(0), real(lr), real(h[1]), real(1 - h[1]), real(h[2]), real(1 - h[2])
    _shrink(p, 0, len(p), lr * h[0])
    for i in range(len(p)):
        mean = beta1 * s1[i] + rest1 * g[i]
        if mean > zero:
            p[i] -= rate
        elif mean < zero:
            p[i] += rate
        else:  # 0, or NaN
            p[i] -= mean
        s1[i] = beta2 * s1[i] + rest2 * g[i]


@compiled
def _muon(p, g, states, h, lr, t):
    """`h`: weight decay, momentum, nesterov; of all other parameters, by AdamW: their rate over `lr` at a schedule's
    factor of 1, weight decay, beta1, beta2, eps, 1 - beta2."""
    s1, s2 = _state(states, 0, p), _state(states, 1, p)
    adamw_lr, betas = lr * h[4] / h[3], (h[6], h[7], h[9])
    done = 0
    for one in range(len(states.matrices) + 1):
        begin = states.matrices[one, 0] if one < len(states.matrices) else len(p)
        _shrink(p, done, begin, adamw_lr * h[5])
        _adam_between(p, g, s1, s2, done, begin, betas, h[8], adamw_lr, t)
        if one < len(states.matrices):
            rows, columns, turned = states.matrices[one, 1], states.matrices[one, 2], states.matrices[one, 3]
            done = begin + rows * columns
            _shrink(p, begin, done, lr * h[0])
            _orthogonal_step(p, g, states, h, lr, begin, rows, columns, turned)


@compiled
def _orthogonal_step(p, g, states, h, lr, begin, rows, columns, turned):
    """Muon's step of a hidden matrix, rows x columns as it lies; Newton-Schulz gives the same for the turned matrix,
    turned, but the factor of the rate is that of the matrix as it is."""
    real, s1, count = p.dtype.type, _state(states, 0, p), rows * columns
    room = states.kept[states.places[3] :]
    x = room[:count]
    rest, momentum = real(1 - h[1]), real(h[1])
    for i in range(count):
        at = begin + i
        s1[at] += rest * (g[at] - s1[at])
        x[i] = g[at] + momentum * (s1[at] - g[at]) if h[2] != 0 else s1[at]
    _orthogonalise(x.reshape(rows, columns), room[count:])
    wide = rows / columns if turned == 0 else columns / rows
    rate = real(lr * math.sqrt(max(1.0, wide)))
    for i in range(count):
        p[begin + i] -= rate * x[i]


@compiled
def _orthogonalise(x, room):
    """Five Newton-Schulz steps, in place: see `byhand.optimizers.orthogonalised`."""
    real, (rows, columns) = x.dtype.type, x.shape
    a, b, c = real(3.4445), real(-4.7750), real(2.0315)
    small = min(rows, columns)
    least, size = small * small, rows * columns
    gram, square = room[:least].reshape(small, small), room[least : 2 * least].reshape(small, small)
    product = room[2 * least : 2 * least + size].reshape(rows, columns)
    total = 0.0
    for i in range(rows):
        for j in range(columns):
            total += np.float64(x[i, j]) * np.float64(x[i, j])
    norm = math.sqrt(total)
    scale = real(1 / (1e-7 if norm < 1e-7 else norm))  # NaN stays NaN
    for i in range(rows):
        for j in range(columns):
            x[i, j] *= scale
    for _ in range(5):
        if rows <= columns:
            np.dot(x, x.T, gram)
        else:
            np.dot(x.T, x, gram)
        np.dot(gram, gram, square)
        for i in range(small):
            for j in range(small):
                square[i, j] = b * gram[i, j] + c * square[i, j]
        if rows <= columns:
            np.dot(square, x, product)
        else:
            np.dot(x, square, product)
        for i in range(rows):
            for j in range(columns):
                x[i, j] = a * x[i, j] + product[i, j]


@dataclass(frozen=True)
class Rule:
    """One optimizer: its update of the parameters `p` along their gradients `g`, in place, at step `t`, from 1.

    `hyper`: the settings that the update finds in `h`, in their order. What an average of squares gives the new one is
    among them, `1 - beta2`: were it computed beside beta2, the compiler could make b v + (1 - b) g^2 into
    b (v - g^2) + g^2, which loses v where b is next to 1. `states`: of each of its three states of a
    parameter whether it needs it, or the setting that must not be 0 for it; `matrices`: whether it needs
    `States.matrices` and the room.
    """

    update: Callable[..., None]
    hyper: tuple[str, ...]
    states: tuple[bool | str, bool | str, bool | str]
    matrices: bool = False

    def numbers(self, chosen: object) -> list[float]:
        """What `hyper` names, of the chosen optimizer's settings."""
        rests = [(name.removeprefix("1 - "), name.startswith("1 - ")) for name in self.hyper]
        return [1 - getattr(chosen, name) if rest else getattr(chosen, name) for name, rest in rests]


_ADAM = ("weight_decay", "beta1", "beta2", "eps", "1 - beta2")

OPTIMIZERS: dict[str, Rule] = {
    "sgd": Rule(_sgd, ("weight_decay", "momentum", "dampening", "nesterov"), ("momentum", False, False)),
    "adam": Rule(_adam, _ADAM, (True, True, False)),
    "adamw": Rule(_adamw, _ADAM, (True, True, False)),
    "rmsprop": Rule(
        _rmsprop, ("weight_decay", "alpha", "eps", "momentum", "centered", "1 - alpha"), (True, "centered", "momentum")
    ),
    "adagrad": Rule(
        _adagrad, ("weight_decay", "lr_decay", "initial_accumulator_value", "eps"), (True, False, False)
    ),
    "nadam": Rule(_nadam, (*_ADAM, "momentum_decay"), (True, True, False)),
    "lion": Rule(_lion, ("weight_decay", "beta1", "beta2"), (True, False, False)),
    "muon": Rule(
        _muon,
        (
            "weight_decay", "momentum", "nesterov", "lr", "adamw_lr", "adamw_weight_decay", "beta1", "beta2", "eps",
            "1 - beta2",
        ),
        (True, True, False),
        matrices=True,
    ),
}  # fmt: skip
"""Each optimizer by its name in `config.optimizers.OPTIMIZERS`. Its place here is its number in the loops."""

NUMBERS = {name: number for number, name in enumerate(OPTIMIZERS)}


@compiled
def _unknown(kind, p, g, states, h, lr, t):  # noqa: ARG001
    raise ValueError("the optimizer has no update in the compiled engine")


def _or_else(number: int, rule: Callable[..., None], rest: Callable[..., None]) -> Callable[..., None]:
    """The update with this number, else one of the rest."""

    @inlined
    def chosen(kind, p, g, states, h, lr, t):
        if kind == number:
            rule(p, g, states, h, lr, t)
        else:
            rest(kind, p, g, states, h, lr, t)

    return chosen


def _by_number() -> Callable[..., None]:
    """update(kind, p, g, states, h, lr, t): that of the rule with this number; ValueError where there is none."""
    update: Callable[..., None] = _unknown
    for number, rule in reversed(list(enumerate(OPTIMIZERS.values()))):
        update = _or_else(number, rule.update, update)
    return compiled(update.py_func)  # type: ignore[attr-defined, no-any-return]


update = _by_number()
