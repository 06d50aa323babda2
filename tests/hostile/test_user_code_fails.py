"""Modules, optimizers and metrics that fail in ways of their own: refused before training in one sentence, or the run
ends as failed and the others go on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import paribus
from paribus.config.overrides import SettingsError
from paribus.records.record import Status

WORDS: dict[str, Any] = {"epochs": 2, "seeds": 1}


class Net(nn.Module):
    """Two layers; `fails` is called in each forward."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.steps = nn.Linear(2, 2), 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        self.fails()
        out: Tensor = self.last(x)
        return out

    def fails(self) -> None: ...


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("it says nothing")


def raising(error: BaseException, when: str = "always") -> type[Net]:
    class Raising(Net):
        def fails(self) -> None:
            if when == "always" or (when == "evaluation" and not self.training) or (when == "late" and self.steps > 9):
                raise error

    return Raising


class NoGrad(Net):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x)


class Endless(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.forward(x)


def leaves() -> nn.Module:
    sys.exit(4)


REFUSED: dict[str, tuple[Any, str]] = {
    "no_grad": (NoGrad, "its output has no gradient"),
    "evaluation": (raising(KeyError("x"), "evaluation"), r"cannot be trained in evaluation: KeyError: 'x'"),
    "exit": (raising(SystemExit(3)), r"SystemExit: 3"),
    "exit in evaluation": (raising(SystemExit(3), "evaluation"), r"in evaluation: SystemExit: 3"),
    "exit when made": (leaves, r"cannot be trained: SystemExit: 4"),
    "stop": (raising(StopIteration()), r"StopIteration"),
    "generator exit": (raising(GeneratorExit()), r"GeneratorExit"),
    "endless": (Endless, r"RecursionError"),
    "no text": (raising(MuteError()), r"MuteError, whose text cannot be had"),
}


@pytest.mark.parametrize(("module", "why"), REFUSED.values(), ids=REFUSED)
def test_a_module_that_fails_is_refused_before_training(tmp_path: Path, module: Any, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        paribus.train("moons", model={"net": module}, out=tmp_path / "s", **WORDS)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "error", [SystemExit(3), GeneratorExit(), MuteError(), RecursionError()], ids=lambda one: type(one).__name__
)
def test_a_module_that_fails_late_takes_no_other_with_it(tmp_path: Path, error: BaseException) -> None:
    arms = {"late": raising(error, "late"), "well": Net}
    with pytest.warns(UserWarning, match=f"1 of 2 runs .* failed; the first: {type(error).__name__}"):
        study = paribus.compare("moons", model=arms, out=tmp_path / "s", **WORDS)
    found = {arm.name: arm.runs[0] for arm in study.record.arms}
    assert [found[name].status for name in ("model=late", "model=well")] == [Status.FAILED, Status.DONE]
    assert str(found["model=late"].error).startswith(type(error).__name__)


def test_ctrl_c_in_a_module_is_ctrl_c(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        paribus.train("moons", model={"net": raising(KeyboardInterrupt(), "late")}, out=tmp_path / "s", **WORDS)


def test_a_metric_that_leaves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"metric mine cannot be computed: SystemExit: 2"):
        paribus.train("moons", metrics={"mine": lambda y, p: sys.exit(2)}, out=tmp_path / "s", **WORDS)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_a_scripted_module_trains(tmp_path: Path) -> None:
    def scripted() -> nn.Module:
        return torch.jit.script(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)))  # type: ignore[no-any-return]

    study = paribus.train("moons", model={"net": scripted}, out=tmp_path / "s", **WORDS)
    assert study.record.arms[0].runs[0].status is Status.DONE
