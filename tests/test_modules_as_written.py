"""Modules, optimizers and metrics as people write them: the same numbers evaluated often or seldom, and killed and begun
again; and what is healthy is not refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import paribus
from tests.user_modules import DATA, WORDS, killed, losses

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.tanh(self.first(x)))
        return out


class KeepsActivations(Plain):
    """Computed tensors, which `deepcopy` refuses."""

    def forward(self, x: Tensor) -> Tensor:
        self.hidden = torch.tanh(self.first(x))
        self.all = [self.hidden, {"last": self.hidden}]
        out: Tensor = self.last(self.hidden)
        return out


class ShrinksData(Plain):
    """PyTorch does not count what is written through `data`."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            self.last.weight.data.mul_(0.99)
        return super().forward(x)


class ShrinksByNumpy(Plain):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            numbers = self.last.weight.detach().numpy()
            numbers *= 0.99
        return super().forward(x)


class Freezes(Plain):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            self.first.requires_grad_(requires_grad=False)
        return super().forward(x)


class Calibrates(Plain):
    """Training collects; the next evaluation makes a scale of it, once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.scale = 0, 1.0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += self.training
        if not self.training and self.seen > 6 and self.scale == 1.0:
            self.scale = 1 + self.seen / 10
        return super().forward(x) * self.scale


class Masked(Plain):
    """An attribute of a parameter; `counts`: an evaluation is one of a copy."""

    def __init__(self, *, counts: bool = True) -> None:
        super().__init__()
        self.looks, self.counts = 0, counts
        self.first.weight.mask = (torch.rand(8, 4) > 0.5).float()  # type: ignore[attr-defined]

    def forward(self, x: Tensor) -> Tensor:
        self.looks += self.counts and not self.training
        weight = self.first.weight
        mask = getattr(weight, "mask", torch.ones(()))
        out: Tensor = self.last(torch.tanh(functional.linear(x, weight * mask, self.first.bias)))
        return out


class Clips(Plain):
    def __init__(self) -> None:
        super().__init__()
        for one in self.parameters():
            one.register_hook(lambda gradient: gradient.clamp(-0.01, 0.01))  # type: ignore[no-untyped-call]


class LateHook(Plain):
    """A hook from the seventh step on, of which a checkpoint knows nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
            if self.steps == 7:
                self.first.weight.register_hook(lambda gradient: gradient * 5)  # type: ignore[no-untyped-call]
        return super().forward(x)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.last = nn.LSTM(1, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.cell(x[..., None])[0][:, -1])
        return out


class Momentum(torch.optim.Optimizer):
    """Keeps it in an attribute of each parameter."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for one in group["params"]:
                one.momentum = 0.9 * getattr(one, "momentum", 0) + one.grad
                one -= group["lr"] * one.momentum


def weight_norm() -> nn.Module:
    return nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 8)), nn.Tanh(), nn.Linear(8, 2))


def parametrized() -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 8)), nn.Tanh(), nn.Linear(8, 2))


GOES_ON = {"clips": Clips, "recurrent": Recurrent, "shrinks": ShrinksData, "by numpy": ShrinksByNumpy, "plain": Plain}
BEGINS_AGAIN = {
    "activations": KeepsActivations,
    "calibrates": Calibrates,
    "masked": Masked,
    "weight norm": weight_norm,
    "parametrized": parametrized,
}
MODULES: dict[str, Callable[[], nn.Module]] = {**GOES_ON, **BEGINS_AGAIN, "freezes": Freezes, "a late hook": LateHook}


@pytest.mark.thinned(3)
@pytest.mark.parametrize("name", MODULES)
def test_they_come_to_the_same_every_way(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = {"net": MODULES[name]}
    found = [losses(paribus.train(DATA, model=model, eval_every=e, out=tmp_path / str(e), **WORDS)) for e in (1, 5)]
    found.append(killed(lambda: MODULES[name], tmp_path))
    assert found[0] == found[1] == found[2]
    assert np.isfinite(found[0]).all()
    told = capsys.readouterr().err
    assert name not in GOES_ON or "goes on from its last checkpoint" in told
    assert name not in BEGINS_AGAIN or "no checkpoints, for" in told


def test_what_an_optimizer_keeps_in_parameters_is_no_checkpoints(tmp_path: Path) -> None:
    words = {"model": {"net": Plain}, "optimizer": lambda parameters, lr: Momentum(parameters, lr)}
    whole = losses(paribus.train(DATA, out=tmp_path / "whole", **words, **WORDS))
    assert killed(lambda: Plain, tmp_path, optimizer=words["optimizer"]) == whole


class Drops(Plain):
    """A function in an attribute, which a copy takes as it is; `counts`: an evaluation is one of a copy."""

    def __init__(self, *, counts: bool) -> None:
        super().__init__()
        self.drop, self.counts, self.looks = nn.Dropout(0.9), counts, 0
        self.head = lambda h: self.last(self.drop(h))

    def forward(self, x: Tensor) -> Tensor:
        self.looks += self.counts and not self.training
        out: Tensor = self.head(torch.tanh(self.first(x)))
        return out


@pytest.mark.parametrize("kind", [Drops, Masked])
def test_a_copy_is_evaluated_as_the_module_itself(tmp_path: Path, kind: Any) -> None:
    found = []
    for counts in (False, True):
        model = {"net": lambda counts=counts: kind(counts=counts)}
        found.append(losses(paribus.train(DATA, model=model, eval_every=1, out=tmp_path / str(counts), **WORDS)))
    assert found[0] == found[1]


def hits(y: np.ndarray, predicted: np.ndarray) -> float:
    return float((y == predicted).mean())


def sets_a_variable(y: np.ndarray, predicted: np.ndarray) -> float:
    os.environ["PARIBUS_TEST_SCALE"] = "3"
    return hits(y, predicted)


def keeps_no_gradients(y: np.ndarray, predicted: np.ndarray) -> float:
    torch.set_grad_enabled(mode=False)
    return hits(y, predicted)


class Scaled(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float(os.environ.get("PARIBUS_TEST_SCALE", "1"))


@pytest.mark.parametrize("metric", [sets_a_variable, keeps_no_gradients])
def test_what_a_metric_sets_does_not_reach_training(tmp_path: Path, metric: Any) -> None:
    words: dict[str, Any] = {"model": {"net": Scaled}, **WORDS}
    plain = losses(paribus.train(DATA, out=tmp_path / "plain", **words))
    for every in (1, 5):
        study = paribus.train(DATA, metrics={"m": metric}, eval_every=every, out=tmp_path / str(every), **words)
        assert losses(study) == plain
