"""What belongs to the whole process: no caller's setting reaches a run, and no run's reaches anybody."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import paribus
from paribus.config.overrides import SettingsError
from paribus.training.isolation import isolated, process_settings
from tests.user_modules import DATA, WORDS, losses


def settings_of_the_process() -> tuple[object, ...]:
    return *process_settings(), torch.is_inference_mode_enabled()


@contextmanager
def another_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


CALLERS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "a default type": another_default,
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "an error for NumPy": lambda: np.errstate(all="raise"),
}


class Net(nn.Module):
    """NumPy, and types that are not named, are at work in it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        self.scale = float(np.exp(np.float32(200.0)) > 1) * torch.ones(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x) * self.scale
        return out


@pytest.mark.parametrize("name", CALLERS)
def test_the_callers_settings_change_no_number(tmp_path: Path, name: str) -> None:
    """A worker, which is a new process, does not know them."""
    plain = losses(paribus.train(DATA, model={"net": Net}, out=tmp_path / "plain", **WORDS))
    with CALLERS[name]():
        before = settings_of_the_process()
        study = paribus.train(DATA, model={"net": Net}, out=tmp_path / "set", **WORDS)
        assert settings_of_the_process() == before
    assert losses(study) == plain


@pytest.mark.parametrize("task", ["own", "numpy", "fused"])
def test_what_a_metric_sets_reaches_nobody(tmp_path: Path, task: str) -> None:
    def setting(y: np.ndarray, predicted: np.ndarray) -> float:
        seen = float(torch.get_default_dtype() == torch.float64) + float("PARIBUS_TEST_SET" in os.environ)
        os.environ["PARIBUS_TEST_SET"] = "1"
        os.chdir("/")
        return seen + float(np.float32(1e38) * np.float32(1e38) > 0)  # an overflow, which is nobody's error

    def plain(y: np.ndarray, predicted: np.ndarray) -> float:
        return float("PARIBUS_TEST_SET" in os.environ)

    before = settings_of_the_process()
    words = {**WORDS, "metrics": {"setting": setting, "plain": plain}, "out": tmp_path / "s"}
    with another_default():
        if task == "own":
            study = paribus.train(DATA, model={"net": Net}, **words)
        else:
            study = paribus.train("moons", **{**words, "implementation": task}, init="default")
    assert settings_of_the_process() == before
    assert "PARIBUS_TEST_SET" not in os.environ
    assert study.table()["test_setting"].tolist()[0] in (1.0, 2.0)


def test_an_evaluation_that_sets_something_of_the_process_is_refused(tmp_path: Path) -> None:
    class Setting(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.training:
                os.environ["PARIBUS_TEST_SET"] = os.environ.get("PARIBUS_TEST_SET", "") + "1"
            return super().forward(x) * (1 + len(os.environ.get("PARIBUS_TEST_SET", "")))

    with pytest.raises(SettingsError, match="evaluating it changes something outside of the module"):
        paribus.train(DATA, model={"net": lambda: Setting(4, 2)}, out=tmp_path / "s", **WORDS)


def test_a_folder_that_was_removed_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with isolated(0):
        os.environ["PARIBUS_TEST_SET"] = "1"
    assert "PARIBUS_TEST_SET" not in os.environ
