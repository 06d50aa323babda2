"""All else equal, whatever the user's code does: the same numbers every way, or a refusal."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import paribus
from paribus.config.overrides import SettingsError
from tests.user_modules import DATA, WORDS, Habits, difference, drawn, losses, make, tame

ONE_HABIT = [
    Habits(in_place=True),
    Habits(keeps_inputs=True),
    Habits(torch_noise="always"),
    Habits(numpy_noise="training"),
    Habits(numpy_noise="evaluation"),
    Habits(python_noise="always"),
    Habits(counts="training"),
    Habits(counts="always"),
    Habits(appends="training"),
    Habits(buffer=True),
    Habits(own_generator=True),
    Habits(builds=True),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("habits", ONE_HABIT, ids=lambda one: str(one).partition("(")[2][:60])
def test_a_habit_changes_no_number(habits: Habits) -> None:
    assert difference(habits) is None


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", range(12))
def test_random_modules_come_to_the_same_every_way(seed: int) -> None:
    """More are tried by `python -m tests.user_modules 1000`."""
    try:
        assert difference(drawn(random.Random(100 + seed))) is None
    except SettingsError as refused:
        assert "model=net" in str(refused)


@pytest.mark.parametrize("when", ["evaluation", "always"])
def test_what_counts_outside_while_it_is_evaluated_is_refused(tmp_path: Path, when: str) -> None:
    with pytest.raises(SettingsError, match="evaluating it changes something outside of the module"):
        paribus.train(DATA, model={"net": make(Habits(appends=when))}, out=tmp_path / "s", **WORDS)  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


def test_a_shared_submodule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="gives the same module twice"):
        paribus.train(DATA, model={"net": make(Habits(shares=True))}, out=tmp_path / "s", **WORDS)


def test_the_callers_generators_are_left_alone(tmp_path: Path) -> None:
    model = make(Habits(torch_noise="always", numpy_noise="always", python_noise="always"))
    torch.manual_seed(5)
    np.random.seed(6)  # noqa: NPY002
    random.seed(7)
    expected = (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random())  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(6)  # noqa: NPY002
    random.seed(7)
    paribus.train(DATA, model={"net": model}, out=tmp_path / "s", **WORDS)
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()) == expected  # noqa: NPY002


def test_a_metric_may_write_into_what_it_is_given(tmp_path: Path) -> None:
    def rude(y: np.ndarray, predicted: np.ndarray) -> float:
        y[:] = 0
        predicted[:] = 0
        return float(np.random.rand())  # noqa: NPY002

    def share(y: np.ndarray, predicted: np.ndarray) -> float:
        return float((y == predicted).mean())

    metrics = {"rude": rude, "share": share}
    both = paribus.train(DATA, model=tame, metrics=metrics, eval_every=2, out=tmp_path / "a", **WORDS)
    seldom = paribus.train(DATA, model=tame, metrics=metrics, eval_every=6, out=tmp_path / "b", **WORDS)
    table = both.table()
    assert table["test_share"].tolist() == table["test_accuracy"].tolist()
    assert losses(both, "tame") == losses(seldom, "tame")
    assert table["test_rude"].tolist() == seldom.table()["test_rude"].tolist()
    builtin = paribus.train("moons", metrics=metrics, epochs=4, eval_every=2, out=tmp_path / "c", seeds=2)
    assert builtin.table()["test_share"].tolist() == builtin.table()["test_accuracy"].tolist()


REFUSED = {
    "a closure": (lambda: nn.Linear(4, 2), torch.optim.LBFGS, "needs a closure"),
    "sparse gradients": (lambda: nn.Linear(4, 2), torch.optim.SparseAdam, "takes sparse gradients alone"),
    "frozen": (
        lambda: nn.Linear(4, 2).requires_grad_(requires_grad=False),
        None,
        "no parameter of the module requires a gradient",
    ),
    "no parameters": (lambda: nn.Identity(), None, "has no parameters|cannot be trained"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_take_a_step_is_refused_before_training(tmp_path: Path, name: str) -> None:
    model, optimizer, told = REFUSED[name]
    with pytest.raises(SettingsError, match=told):
        paribus.train(DATA, model={"net": model}, optimizer=optimizer, out=tmp_path / "s", **{**WORDS, "lr": 0.1})
    assert not (tmp_path / "s").exists()
