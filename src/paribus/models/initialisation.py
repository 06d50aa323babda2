"""Initial values from the plan, the same for every implementation.

All families transform the same draws (`Plan.uniforms`, `Plan.normals`), so arms that differ in initialisation differ
in scale and shape only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from paribus.config.values import Initialisation
from paribus.plan import Plan

Values = NDArray[np.float64]


def initial_values(
    shapes: Mapping[str, tuple[int, ...]], init: Initialisation, plan: Plan, recurrent: str = "same"
) -> dict[str, Values]:
    """Initial values for named parameters, float64, in the order given.

    A weight has two axes or more, (out, in, ...), with fan_in = in * ..., fan_out = out * ...; a bias has one axis and
    follows its weight. Biases start at 0, but for `default`. A norm's scale is 1 and its shift 0, whatever `init`. In a
    recurrent layer `default` has b = 1 / sqrt(hidden) for everything. `recurrent`: of the matrix from state to state,
    gate by gate; `same` (as the others), `orthogonal` or `identity`.

    | init              | weights                                           |
    |-------------------|---------------------------------------------------|
    | `normal:STD`      | N(0, STD^2)                                       |
    | `default`         | U(-b, b), b = 1 / sqrt(fan_in); biases too        |
    | `xavier_normal`   | N(0, 2 / (fan_in + fan_out))                      |
    | `xavier_uniform`  | U(-b, b), b = sqrt(6 / (fan_in + fan_out))        |
    | `kaiming_normal`  | N(0, 2 / fan_in)                                  |
    | `kaiming_uniform` | U(-b, b), b = sqrt(6 / fan_in)                    |
    | `orthogonal`      | orthonormal rows or columns                       |
    | `he_fan_out`      | convolutions N(0, 2 / fan_out); as xavier_normal  |

    Source: `torch.nn.init`, `torch.nn.Linear` and `torch.nn.RNN`; Glorot and Bengio (2010); He et al. (2015); Saxe et
    al. (2014); for the identity Le et al., A simple way to initialize recurrent networks of rectified linear units
    (2015).

    >>> values = initial_values({"0.weight": (3, 2), "0.bias": (3,)}, Initialisation("normal", 0.001), Plan(0))
    >>> values["0.bias"].tolist()
    [0.0, 0.0, 0.0]
    """
    values: dict[str, Values] = {}
    fan_in = 1
    hidden = next((shape[1] for name, shape in shapes.items() if name in _STATE_TO_STATE), 0)
    for tensor, (name, shape) in enumerate(shapes.items()):
        if ".norm." in name or name.startswith("norms."):
            values[name] = np.full(shape, float(name.endswith("weight")))
        elif name in _STATE_TO_STATE and recurrent != "same":
            values[name] = _gate_by_gate(plan, tensor, shape, recurrent)
        elif hidden and init.kind == "default":
            values[name] = _uniform(plan, tensor, shape, 1 / math.sqrt(hidden))
        elif len(shape) > 1:
            fan_in = math.prod(shape[1:])
            values[name] = WEIGHTS[init.kind](plan, tensor, shape, init)
        elif init.kind == "default":
            values[name] = _uniform(plan, tensor, shape, 1 / math.sqrt(fan_in))
        else:
            values[name] = np.zeros(shape)
    return values


_STATE_TO_STATE = ("w_hh", "recurrent.weight_hh_l0")


def _gate_by_gate(plan: Plan, tensor: int, shape: tuple[int, ...], kind: str) -> Values:
    """(gates hidden, hidden): a square matrix for each gate."""
    hidden = shape[1]
    if kind == "identity":
        return np.tile(np.eye(hidden), (shape[0] // hidden, 1))
    normals = plan.normals(tensor, shape).reshape(-1, hidden, hidden)
    return np.concatenate([_orthonormal(one) for one in normals])


def _uniform(plan: Plan, tensor: int, shape: tuple[int, ...], bound: float) -> Values:
    return (2 * plan.uniforms(tensor, shape) - 1) * bound


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _normal(plan: Plan, tensor: int, shape: tuple[int, ...], init: Initialisation) -> Values:
    assert init.std is not None
    return init.std * plan.normals(tensor, shape)


def _default(plan: Plan, tensor: int, shape: tuple[int, ...], _: Initialisation) -> Values:
    return _uniform(plan, tensor, shape, 1 / math.sqrt(_fans(shape)[0]))


def _xavier_normal(plan: Plan, tensor: int, shape: tuple[int, ...], _: Initialisation) -> Values:
    return math.sqrt(2 / sum(_fans(shape))) * plan.normals(tensor, shape)


def _xavier_uniform(plan: Plan, tensor: int, shape: tuple[int, ...], _: Initialisation) -> Values:
    return _uniform(plan, tensor, shape, math.sqrt(6 / sum(_fans(shape))))


def _kaiming_normal(plan: Plan, tensor: int, shape: tuple[int, ...], _: Initialisation) -> Values:
    return math.sqrt(2 / _fans(shape)[0]) * plan.normals(tensor, shape)


def _kaiming_uniform(plan: Plan, tensor: int, shape: tuple[int, ...], _: Initialisation) -> Values:
    return _uniform(plan, tensor, shape, math.sqrt(6 / _fans(shape)[0]))


def _he_fan_out(plan: Plan, tensor: int, shape: tuple[int, ...], init: Initialisation) -> Values:
    """`kaiming_normal_(mode="fan_out", nonlinearity="relu")` for convolutions, `xavier_normal_` for linear layers."""
    if len(shape) == 2:
        return _xavier_normal(plan, tensor, shape, init)
    return math.sqrt(2 / _fans(shape)[1]) * plan.normals(tensor, shape)


def _orthogonal(plan: Plan, tensor: int, shape: tuple[int, ...], _: Initialisation) -> Values:
    """Q of the QR factors of a normal matrix, signs fixed by R's diagonal, so that Q is uniform (Mezzadri 2007)."""
    return _orthonormal(plan.normals(tensor, shape).reshape(shape[0], -1)).reshape(shape)


def _orthonormal(flat: Values) -> Values:
    tall = flat if flat.shape[0] >= flat.shape[1] else flat.T
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diag(r))
    return np.ascontiguousarray(q if tall is flat else q.T)


WEIGHTS: dict[str, Callable[[Plan, int, tuple[int, ...], Initialisation], Values]] = {
    "normal": _normal,
    "default": _default,
    "xavier_normal": _xavier_normal,
    "xavier_uniform": _xavier_uniform,
    "kaiming_normal": _kaiming_normal,
    "kaiming_uniform": _kaiming_uniform,
    "orthogonal": _orthogonal,
    "he_fan_out": _he_fan_out,
}
