"""PyTorch's optimizers from settings."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from paribus.config.optimizers import OptimizerConfig, Sgd, UserOptimizer, hidden_matrices


def lean(optimizer: type[Optimizer]) -> type[Optimizer]:
    """The same optimizer, without `torch._dynamo`, whose import at the first call takes as long as PyTorch's own.

    PyTorch wraps these methods so that `torch.compile` leaves them alone; `functools.wraps` keeps what is inside. Where
    a release wraps them no longer, this is the optimizer itself.
    """

    def step(self: Optimizer, closure: None = None) -> None:
        with torch.no_grad():
            inspect.unwrap(optimizer.step)(self, closure)

    step.hooked = True  # type: ignore[attr-defined]  # no profiler around each step
    add_param_group = inspect.unwrap(optimizer.add_param_group)
    return type(optimizer.__name__, (optimizer,), {"add_param_group": add_param_group, "step": step})


class NAdam(torch.optim.NAdam):
    """PyTorch's own, with the product of its momenta in the parameter's type.

    PyTorch keeps it in the default type, float32: in a float64 run it is off by 1e-7, and a checkpoint, which casts it,
    would not go on as the run did.
    """

    def _init_group(self, group: dict[str, Any], *lists: Any) -> bool:
        for parameter in group["params"]:
            state = self.state[parameter]
            if parameter.grad is not None and not state:
                state["step"] = torch.zeros((), dtype=torch.float32)
                state["mu_product"] = torch.ones((), dtype=parameter.dtype)
                state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        has_complex: bool = super()._init_group(group, *lists)  # type: ignore[no-untyped-call]
        return has_complex


class Lion(Optimizer):
    """Evolved sign momentum, which `torch.optim` has not; see `byhand.optimizers.Lion`.

    Source: Chen et al., Symbolic discovery of optimization algorithms (2023), algorithm 2.

    >>> w = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> optimizer = Lion([w], lr=0.25)
    >>> (123 * w[0] - w[1]).backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.75, 1.25]
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        if not (lr >= 0 and weight_decay >= 0 and all(0 <= beta < 1 for beta in betas)):
            raise ValueError(f"lr={lr}, betas={betas}, weight_decay={weight_decay}: one of them is out of bounds")
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Move every parameter that has a gradient, in place."""
        for group in self.param_groups:
            (beta1, beta2), rate = group["betas"], group["lr"]
            for theta in group["params"]:
                if theta.grad is None:
                    continue
                state = self.state[theta]
                if not state:
                    state["m"] = torch.zeros_like(theta, memory_format=torch.preserve_format)
                m, g = state["m"], theta.grad
                mean = beta1 * m + (1 - beta1) * g
                # the sign of NaN is 0 in PyTorch: a run that diverged would stand still
                sign = torch.where(mean.isnan(), mean, mean.sign())
                theta.mul_(1 - rate * group["weight_decay"]).sub_(rate * sign)
                m.mul_(beta2).add_((1 - beta2) * g)


def orthogonalised(m: Tensor) -> Tensor:
    """Nearly U V^T of a matrix m = U S V^T, in the type of m; see `byhand.optimizers.orthogonalised`.

    >>> m = torch.tensor([[3.0, 1.0], [0.0, 2.0]], dtype=torch.float64)
    >>> torch.linalg.svdvals(orthogonalised(m)).numpy().round(2).tolist()
    [0.84, 0.81]
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = len(m) > m.shape[1]
    x: Tensor = (m.mT if tall else m) / m.norm().clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(Optimizer):
    """Orthogonalised momentum for hidden matrices, AdamW for all others; see `byhand.optimizers.Muon`.

    `torch.optim.Muon` takes hidden matrices alone and orthogonalises them in bfloat16; this one does it in the type of
    the parameters. Parameters come in the order of the model.

    Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks (2024), and
    https://github.com/KellerJordan/Muon

    >>> w = [torch.eye(2, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    >>> optimizer = Muon(w, lr=0.1, adamw_lr=0.01)
    >>> sum((torch.diag(torch.tensor([4.0, 2.0])) * one).sum() for one in w).backward()
    >>> optimizer.step()
    >>> [one.diagonal().detach().numpy().round(4).tolist() for one in w[:2]]
    [[0.99, 0.99], [0.9311, 0.8886]]
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.02,
        *,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        adamw_lr: float = 0.0003,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-10,
        adamw_weight_decay: float = 0.0,
        decay: str = "all",
    ) -> None:
        positive = all(one >= 0 for one in (lr, momentum, weight_decay, adamw_lr, *betas, eps, adamw_weight_decay))
        if not (positive and all(one < 1 for one in (momentum, *betas))):
            raise ValueError("a rate, momentum or weight decay is out of bounds")
        parameters = list(params)
        hidden = hidden_matrices([tuple(one.shape) for one in parameters])
        matrices = [one for one, matrix in zip(parameters, hidden, strict=True) if matrix]
        others = [one for one, matrix in zip(parameters, hidden, strict=True) if not matrix]
        adamw: dict[str, Any] = {"matrices": False, "lr": adamw_lr, "betas": betas, "eps": eps}
        groups: list[dict[str, Any]] = [
            {"params": matrices, "matrices": True, "lr": lr, "momentum": momentum, "nesterov": nesterov,
             "weight_decay": weight_decay},
            {"params": [one for one in others if decay == "all" or one.dim() > 1], **adamw,
             "weight_decay": adamw_weight_decay},
            {"params": [one for one in others if decay != "all" and one.dim() <= 1], **adamw, "weight_decay": 0.0},
        ]  # fmt: skip
        super().__init__([group for group in groups if group["params"]], {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Move every parameter that has a gradient, in place."""
        for group in self.param_groups:
            for theta in group["params"]:
                if theta.grad is not None:
                    theta.mul_(1 - group["lr"] * group["weight_decay"])
                    direction = self._matrix if group["matrices"] else self._adamw
                    theta.sub_(group["lr"] * direction(theta, group))

    def _matrix(self, theta: Tensor, group: dict[str, Any]) -> Tensor:
        state, g, momentum = self.state[theta], theta.grad, group["momentum"]
        assert g is not None
        if not state:
            state["m"] = torch.zeros_like(g)
        m = state["m"].lerp_(g, 1 - momentum)
        u = g.lerp(m, momentum) if group["nesterov"] else m
        scale = math.sqrt(max(1.0, g.shape[-2] / g.shape[-1]))
        return scale * orthogonalised(u.reshape(len(u), -1)).reshape(u.shape)

    def _adamw(self, theta: Tensor, group: dict[str, Any]) -> Tensor:
        state, g, (beta1, beta2) = self.state[theta], theta.grad, group["betas"]
        assert g is not None
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["m"], state["v"] = torch.zeros_like(g), torch.zeros_like(g)
        state["step"] += 1
        t = int(state["step"])
        m, v = state["m"].lerp_(g, 1 - beta1), state["v"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
        direction: Tensor = m / (v.sqrt() / math.sqrt(1 - beta2**t) + group["eps"]) / (1 - beta1**t)
        return direction


@dataclass(frozen=True)
class Version:
    """PyTorch's version of an optimizer.

    `arguments`: its arguments from our settings, without `decay`; `splits`: whether it takes `decay` itself, as it
    sorts the parameters into groups of its own.
    """

    kind: type[Optimizer]
    arguments: Callable[[dict[str, Any]], dict[str, Any]]
    splits: bool = False


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return settings


def _with_betas(settings: dict[str, Any]) -> dict[str, Any]:
    return {"betas": (settings.pop("beta1"), settings.pop("beta2")), **settings}


def _sgd(settings: dict[str, Any]) -> dict[str, Any]:
    """With decoupled weight decay PyTorch's own is 0: `decoupled_decay` does it."""
    inside = 0.0 if settings.pop("decoupled") else settings["weight_decay"]
    return {**settings, "weight_decay": inside}


OPTIMIZERS: dict[str, Version] = {
    "sgd": Version(SGD, _sgd),
    "adam": Version(Adam, _with_betas),
    "adamw": Version(AdamW, _with_betas),
    "rmsprop": Version(RMSprop, _plain),
    "adagrad": Version(Adagrad, _plain),
    "nadam": Version(NAdam, _with_betas),
    "lion": Version(Lion, _with_betas),
    "muon": Version(Muon, _with_betas, splits=True),
}
"""Each optimizer by its name in `config.optimizers.OPTIMIZERS`."""


def make_optimizer(settings: OptimizerConfig | UserOptimizer, parameters: Iterable[Tensor]) -> Optimizer:
    """PyTorch's optimizer with these settings, or the user's own. Parameters come in the order of the model."""
    if isinstance(settings, UserOptimizer):
        made = settings.factory.thing(parameters, **({} if settings.lr is None else {"lr": settings.lr}))
        if not isinstance(made, Optimizer):
            raise TypeError(f"its function gave {type(made).__name__}, not a torch.optim.Optimizer")
        return made
    version = OPTIMIZERS[settings.name]
    chosen = version.arguments(settings.model_dump(exclude={"name", "decay"}))
    if version.splits:
        chosen["decay"] = settings.decay
        return lean(version.kind)(parameters, **chosen)
    if settings.decay == "all":
        return lean(version.kind)(parameters, **chosen)
    parameters = list(parameters)
    weights = [one for one in parameters if one.dim() > 1]
    others = [one for one in parameters if one.dim() <= 1]
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    return lean(version.kind)([group for group in groups if group["params"]], **chosen)


def decoupled_decay(optimizer: Optimizer, settings: Sgd) -> None:
    """Decoupled weight decay for SGD, before its step: theta <- theta - lr w theta.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization (2019), algorithm 1.
    """
    for group in optimizer.param_groups:
        decayed = [one for one in group["params"] if settings.decay == "all" or one.dim() > 1]
        if decayed:
            with torch.no_grad():
                torch._foreach_mul_(decayed, 1 - group["lr"] * settings.weight_decay)


def add_l1(parameters: Iterable[Tensor], strength: float) -> None:
    """As `byhand.optimizers.add_l1`: the gradient of strength * sum |w| is added to that of every weight w."""
    with torch.no_grad():
        for one in parameters:
            if one.dim() > 1 and one.requires_grad:
                push = strength * torch.sign(one)
                one.grad = push if one.grad is None else one.grad.add_(push)
