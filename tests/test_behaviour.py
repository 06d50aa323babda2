"""Two things are the same only if they behave the same: the same code may read a file or an environment variable."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import paribus
from paribus.backends.base import Behaviour, Trial
from paribus.study import trials
from paribus.study.store import Store, StoreError
from tests.helpers import edited

X = np.random.default_rng(0).normal(size=(61, 3))
TASK = paribus.data(X, (X[:, 0] > 0).astype(int), name="mine")
SMALL: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.1}
WIDTH, SCALE, RATE = "PARIBUS_TEST_WIDTH", "PARIBUS_TEST_SCALE", "PARIBUS_TEST_RATE"


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 2))


def wide() -> nn.Module:
    width = int(os.environ.get(WIDTH, "6"))
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, 2))


class Scaled(nn.Module):
    """It is born the same, and gives other outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = plain()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.inner(x) * float(os.environ.get(SCALE, "1"))
        return found


class Unlike(nn.Module):
    """No two are alike, whatever the seed."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = plain()
        with torch.no_grad():
            self.inner[0].bias += np.random.default_rng(time.perf_counter_ns()).normal()  # type: ignore[index, operator]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.inner(x)
        return found


def rated(parameters: Iterator[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr * float(os.environ.get(RATE, "1")))


def recorded(folder: Path) -> dict[str, Any]:
    store = Store.open(folder)
    try:
        return store.by_arm("behaviour")
    finally:
        store.close()


def test_a_module_that_reads_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(seeds: int, **more: Any) -> paribus.Study:
        return paribus.compare(TASK, model=[plain, wide], seeds=seeds, out=tmp_path / "s", **SMALL, **more)

    ask(1)
    before = recorded(tmp_path / "s")
    assert len(before) == 2
    ask(2)
    assert recorded(tmp_path / "s") == before  # of the first time
    monkeypatch.setenv(WIDTH, "7")
    for seeds in (2, 3):  # with runs to train and without
        with pytest.raises(StoreError) as refused:
            ask(seeds)
        today = time.strftime("%Y-%m-%d", time.localtime(next(iter(before.values()))["at"]))
        assert f"the model of arm model=wide behaves otherwise than on {today}" in str(refused.value)
        assert "though its code is the same: it reads something that changed" in str(refused.value)
        assert "fresh=True (--fresh)" in str(refused.value)
    assert recorded(tmp_path / "s") == before
    ask(1, fresh=True)
    assert recorded(tmp_path / "s") != before
    ask(2)


def test_what_differs_in_its_outputs_or_its_steps_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (name, words, what) in enumerate(
        ((SCALE, {"model": Scaled}, "the model behaves"), (RATE, {"optimizer": rated}, "the optimizer behaves"))
    ):
        paribus.train(TASK, **words, seeds=1, out=tmp_path / str(number), **SMALL)
        monkeypatch.setenv(name, "1.1")
        with pytest.raises(StoreError, match=what):
            paribus.train(TASK, **words, seeds=1, out=tmp_path / str(number), **SMALL)


def test_what_cannot_be_told_is_not_recorded(tmp_path: Path) -> None:
    for seeds in (1, 2):
        paribus.train(TASK, model=Unlike, seeds=seeds, out=tmp_path / "s", **SMALL)
    assert recorded(tmp_path / "s") == {}


def test_an_arm_without_runs_is_what_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paribus.train(TASK, model=wide, seeds=1, out=tmp_path / "s", **SMALL)
    with edited(tmp_path / "s") as database:
        for table in ("chunks", "artifacts", "runs"):
            database.execute(f"DELETE FROM {table}")
    monkeypatch.setenv(WIDTH, "7")
    paribus.train(TASK, model=wide, seeds=1, out=tmp_path / "s", **SMALL)


def test_other_data_or_another_pytorch_compare_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `split=by_seed` the trial's batch is of the first seed that is asked for."""
    for seeds in ([0, 1], [2, 3], [1, 0]):
        paribus.train(TASK, model=plain, seeds=seeds, split="by_seed", out=tmp_path / "s", **SMALL)
    paribus.train(TASK, model=wide, seeds=1, out=tmp_path / "t", **SMALL)
    monkeypatch.setenv(WIDTH, "7")
    monkeypatch.setattr(torch, "__version__", "0.1")
    paribus.train(TASK, model=wide, seeds=1, out=tmp_path / "t", **SMALL)


def test_a_tuned_study_records_what_its_one_trial_showed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words: dict[str, Any] = {"tune": {"lr": [0.01, 0.1]}, "tune_seeds": 1, "seeds": 1, "epochs": 1, "batch_size": 16}
    paribus.train(TASK, model=wide, out=tmp_path / "s", **words)
    assert [len(recorded(folder)) for folder in (tmp_path / "s" / "tuning", tmp_path / "s")] == [2, 1]
    paribus.train(TASK, model=wide, out=tmp_path / "s", **words)
    monkeypatch.setenv(WIDTH, "7")
    with pytest.raises(StoreError, match="behaves otherwise"):
        paribus.train(TASK, model=wide, out=tmp_path / "s", **words)


def test_rounding_is_no_difference() -> None:
    one = Behaviour([1.0, 0.0, 2.0], {"task": "t"})
    assert one.agrees(Behaviour([1.0005, 1e-7, 2.0], {"task": "t"}))
    assert not one.agrees(Behaviour([1.002, 0.0, 2.0], {"task": "t"}))
    assert not one.agrees(Behaviour([1.0, 0.0], {"task": "t"}))
    assert one.agrees(Behaviour([1.0, 0.0], {"task": "u"}))


def test_the_trials_of_few_studies_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_MOST", 3)
    monkeypatch.setattr(trials, "_shown", {})

    class Named:
        def __init__(self, lr: float) -> None:
            self.lr = lr

        def flat(self) -> dict[str, float]:
            return {"lr": self.lr}

    for lr in range(5):
        trials.remember(Named(lr), Trial())  # type: ignore[arg-type]
    assert list(trials._shown) == [f'{{"lr": {lr}}}' for lr in (2, 3, 4)]
