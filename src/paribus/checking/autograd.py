"""Known operations in PyTorch, in float64: their value and, by autograd, their gradients.

The names of the variants are those of `known`, which has the same values by plain formulas and needs no PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from paribus.checking.differences import Array
from paribus.checking.known import POOLS, bent_slopes, scale_and_shift

if TYPE_CHECKING:
    from torch import Tensor

Value = Callable[[], Any]
Variants = dict[str, Value]


@dataclass(frozen=True, kw_only=True)
class Exact:
    """The value of a known operation, and the gradients of its inputs and parameters by name."""

    y: Array
    slopes: Mapping[str, Array]


def installed() -> bool:
    """Whether there is PyTorch; it is not imported by that."""
    return find_spec("torch") is not None


def differentiated(
    op: str,
    variant: str,
    inputs: Mapping[str, Any],
    params: Mapping[str, Array],
    *,
    settings: Mapping[str, Any],
    dy: Any,
) -> Exact | None:
    """`op` at the inputs and parameters, and d(sum of y dy); None for an operation or variant that is not known here.

    >>> found = differentiated("relu", "", {"x": np.array([-1.0, 2.0])}, {}, settings={}, dy=np.array([3.0, 4.0]))
    >>> found.y.tolist(), found.slopes["x"].tolist()
    ([0.0, 2.0], [0.0, 4.0])
    """
    import torch

    if op not in _KNOWN:
        return None
    given = [_tensor(one) for one in inputs.values()]
    weights = {name: _tensor(one) for name, one in params.items()}
    known = _KNOWN[op](given, weights, settings)
    if variant not in known:
        return None
    y = known[variant]()
    leaves = {
        name: one
        for name, one in [*zip(inputs, given, strict=True), *weights.items()]
        if torch.is_tensor(one) and one.requires_grad
    }
    total = (
        y * torch.as_tensor(np.asarray(dy, float))
    ).sum()  # of a number: for an array PyTorch imports half of itself
    slopes = torch.autograd.grad(total, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return Exact(
        y=y.detach().numpy(),
        slopes={name: one.numpy() for name, one in zip(leaves, slopes, strict=True)},
    )


def applied(op: str, variant: str, x: Any) -> Any:
    """An activation of a tensor."""
    return _KNOWN[op]([x], {}, {})[variant]()


def _tensor(value: Any) -> Any:
    import torch

    if not isinstance(value, np.ndarray):
        return value
    return torch.tensor(
        value, dtype=torch.float64 if value.dtype.kind == "f" else None, requires_grad=value.dtype.kind == "f"
    )


def _functional() -> Any:
    import torch

    return torch.nn.functional


def _of_x(f: Callable[[Any, Any], Any]) -> Callable[..., Variants]:
    return lambda inputs, params, settings: {"": lambda: f(_functional(), inputs[0])}


def _linear(inputs: list[Any], params: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Variants:
    x, weight = inputs[0].flatten(1), next(one for one in params.values() if one.ndim == 2)
    turned = weight if weight.shape[0] == x.shape[1] else weight.T

    def at(matrix: Tensor) -> Any:
        return x @ matrix + sum(one.ravel() for one in params.values() if one is not weight)

    found: Variants = {"": lambda: at(turned)}
    return found | {"x W^T": lambda: at(weight.T)} if weight.shape[0] == weight.shape[1] else found


def _targets(y: Any, z: Tensor) -> Tensor:
    return _functional().one_hot(y, z.shape[1]).double() if y.ndim == 1 else y.double()  # type: ignore[no-any-return]


def _reductions(each: Value, examples: int, prefix: str = "") -> Variants:
    return {
        prefix: lambda: each().sum() / examples,
        f"{prefix}the sum over the batch, where PyTorch takes the mean": lambda: each().sum(),
        f"{prefix}the mean over all numbers": lambda: each().mean(),
        f"{prefix}half the mean": lambda: each().sum() / examples / 2,
        f"{prefix}half the sum": lambda: each().sum() / 2,
        f"{prefix}half the mean over all numbers": lambda: each().mean() / 2,
    }


def _weighted(each: Value, t: Tensor, params: Mapping[str, Tensor], prefix: str = "") -> Variants:
    weights = next((one for one in params.values() if one.shape == t.shape[1:]), None)
    if weights is None:
        return _reductions(each, len(t), prefix)
    w = t @ weights.detach()
    return {
        prefix: lambda: (w * each()).sum() / w.sum(),
        f"{prefix}weighted, over the examples": lambda: (w * each()).sum() / len(t),
    }


def _of_numbers(name: str) -> Callable[..., Variants]:
    def value(inputs: list[Any], params: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Variants:
        z, t = inputs[0], inputs[1].reshape(inputs[0].shape)
        return _reductions(lambda: getattr(_functional(), name)(z, t, reduction="none"), len(z))

    return value


def _entropy(inputs: list[Any], params: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Variants:
    p, t = inputs[0], _targets(inputs[1], inputs[0])
    of_p = _weighted(lambda: -(t * p.log()).sum(1), t, params)
    of_z = _weighted(lambda: -(t * p.log_softmax(1)).sum(1), t, params, "of logits; ")
    return of_p | of_z | _weighted(lambda: -(t * p).sum(1), t, params, "of log-probabilities; ")


def _softmax_entropy(inputs: list[Any], params: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Variants:
    z, t = inputs[0], _targets(inputs[1], inputs[0])
    return _weighted(lambda: _functional().cross_entropy(z, t, reduction="none"), t, params)


def _binary(inputs: list[Any], params: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Variants:
    p, t = inputs[0], inputs[1].reshape(inputs[0].shape).double()
    of_p = _reductions(lambda: -(t * p.log() + (1 - t) * (1 - p).log()), len(p))
    logits = lambda: _functional().binary_cross_entropy_with_logits(p, t, reduction="none")  # noqa: E731
    return of_p | _reductions(logits, len(p), "of logits; ")


def _norm(*, per_example: bool) -> Callable[..., Variants]:
    def value(inputs: list[Any], params: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Variants:
        x, pair = inputs[0], scale_and_shift(params)  # type: ignore[arg-type]
        axes = tuple(range(1, x.ndim)) if per_example else tuple(one for one in range(x.ndim) if one != 1)
        over = (1, -1) + (1,) * (x.ndim - 2)

        def at(eps: float) -> Value:
            def found() -> Any:
                n = (x - x.mean(axes, keepdim=True)) / (x.var(axes, correction=0, keepdim=True) + eps).sqrt()
                return n if pair is None else n * pair[0].reshape(over) + pair[1].reshape(over)

            return found

        return {"": at(1e-5), "eps 1e-08": at(1e-8), "eps 0.001": at(1e-3)}

    return value


def _convolution(inputs: list[Any], params: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Variants:
    weight = next(one for one in params.values() if one.ndim == 4)

    def at(padding: int, stride: int) -> Value:
        bias = sum(one.reshape(1, -1, 1, 1) for one in params.values() if one is not weight)
        return lambda: _functional().conv2d(inputs[0], weight, None, stride, padding) + bias

    return {f"padding {p}, stride {s}": at(p, s) for p in range(3) for s in (1, 2)}


def _pool(name: str) -> Callable[..., Variants]:
    def value(inputs: list[Any], params: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Variants:
        def at(k: int, s: int, p: int) -> Value:
            return lambda: getattr(_functional(), name)(inputs[0], k, s, p)

        return {f"{k} x {k}, stride {s}, padding {p}": at(k, s, p) for k, s, p in POOLS}

    return value


def _rnn(inputs: list[Any], params: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Variants:
    x, h = inputs[:2]

    def at(*, transposed: bool) -> Value:
        def found() -> Any:
            total: Any = sum(one.ravel() for one in params.values() if one.numel() == h.shape[1])
            for one in params.values():
                if one.ndim != 2 or one.numel() == h.shape[1]:
                    continue
                if set(one.shape) == {x.shape[1], h.shape[1]}:
                    total = total + x @ (one if one.shape[0] == x.shape[1] else one.T)
                else:
                    total = total + h @ (one.T if transposed else one)
            return total.tanh()

        return found

    return {"": at(transposed=False), "h W^T": at(transposed=True)}


def _slopes(name: str, default: float) -> Callable[..., Variants]:
    def value(inputs: list[Any], params: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Variants:
        def at(slope: float) -> Value:
            return lambda: getattr(_functional(), name)(inputs[0], slope)

        return {"" if one == default else f"{one:g}": at(one) for one in bent_slopes(settings, default)}

    return value


def _gelu(inputs: list[Any], params: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Variants:
    return {
        "": lambda: _functional().gelu(inputs[0]),
        "by tanh": lambda: _functional().gelu(inputs[0], approximate="tanh"),
    }


_KNOWN: dict[str, Callable[..., Variants]] = {
    "linear": _linear,
    "identity": _of_x(lambda f, x: x * 1.0),
    "relu": _of_x(lambda f, x: f.relu(x)),
    "sigmoid": _of_x(lambda f, x: x.sigmoid()),
    "tanh": _of_x(lambda f, x: x.tanh()),
    "silu": _of_x(lambda f, x: f.silu(x)),
    "softplus": _of_x(lambda f, x: f.softplus(x)),
    "leaky_relu": _slopes("leaky_relu", 0.01),
    "elu": _slopes("elu", 1.0),
    "gelu": _gelu,
    "softmax": _of_x(lambda f, x: f.softmax(x, -1)),
    "log_softmax": _of_x(lambda f, x: f.log_softmax(x, -1)),
    "flatten": _of_x(lambda f, x: x.flatten(1)),
    "cross_entropy": _entropy,
    "softmax_cross_entropy": _softmax_entropy,
    "binary_cross_entropy": _binary,
    "mean_squared": _of_numbers("mse_loss"),
    "mean_absolute": _of_numbers("l1_loss"),
    "huber": _of_numbers("huber_loss"),
    "batch_norm": _norm(per_example=False),
    "batch_norm_2d": _norm(per_example=False),
    "layer_norm": _norm(per_example=True),
    "convolution": _convolution,
    "max_pool": _pool("max_pool2d"),
    "average_pool": _pool("avg_pool2d"),
    "rnn_step": _rnn,
}
