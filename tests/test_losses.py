"""A loss of the user's own, and one output for two classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import paribus
from paribus.api import Study
from paribus.byhand.losses import make_loss
from paribus.config.overrides import SettingsError
from paribus.config.values import Loss
from paribus.study.store import StoreError
from tests.conftest import final_weights
from tests.test_objectives import Fit


def focal(z: Tensor, y: Tensor) -> Tensor:
    """Of hard examples more (Lin and others 2017)."""
    log_p = functional.log_softmax(z, dim=1)[torch.arange(len(y)), y]
    return -((1 - log_p.exp()) ** 2 * log_p).mean()


def crossed(z: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(z, y)


def squared(z: Tensor, t: Tensor) -> Tensor:
    return ((z - t) ** 2).mean()


class Counted(nn.Module):
    """Counts its calls, and weights the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.register_buffer("weights", torch.tensor([1.0, 3.0]))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        weights = self.get_buffer("weights")
        return functional.cross_entropy(z, y, weight=weights) * (1 + 0.01 * self.calls)


class Stopped(Counted):
    """Is interrupted at its 20th call, where a file says so."""

    def __init__(self, stop: Path) -> None:
        super().__init__()
        self.stop = str(stop)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        if self.calls == 20 and Path(self.stop).exists():
            raise KeyboardInterrupt
        return super().forward(z, y)


class Row(nn.Module):
    """One output for each example, in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.linear(x).T)


def _curves(study: Study) -> Any:
    return study.curves().filter(regex="^(seed|step|epoch|train_loss|(train|test)_(accuracy|rmse)|test_loss)$")


# --- one output for two classes --------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(0, 1)), min_size=1, max_size=20))
def test_binary_is_pytorchs_on_one_logit(batch: list[tuple[float, int]]) -> None:
    z, y = np.array([[one] for one, _ in batch]), np.array([one for _, one in batch])
    theirs = torch.from_numpy(z[:, 0].copy()).requires_grad_()
    loss = nn.BCEWithLogitsLoss()(theirs, torch.from_numpy(y).double())
    loss.backward()
    ours = make_loss(Loss("binary"))
    assert ours.forward(z, y) == pytest.approx(loss.item(), rel=1e-12, abs=1e-12)
    assert theirs.grad is not None
    np.testing.assert_allclose(ours.backward()[:, 0], theirs.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shape", ["hidden=none batch_size=1 steps_per_epoch=30", "hidden=5 batch_size=29"])
@pytest.mark.parametrize("more", ["", " label_smoothing=0.1", " class_weight=balanced"])
def test_binary_is_one_trajectory_by_hand_and_by_autograd(fit: Fit, shape: str, more: str) -> None:
    words = f"task=moons n=400 epochs=3 lr=0.1 precision=float64 validation=0.2 loss=binary {shape}{more}"
    one, other = (fit(f"{words} implementation={name}", seed=3) for name in ("torch", "numpy"))
    assert len(final_weights(one)) in (3, 21)  # of one output
    np.testing.assert_allclose(final_weights(one), final_weights(other), rtol=1e-10)
    for metric in one.rows[0].metrics:
        np.testing.assert_allclose(one.curve(metric), other.curve(metric), rtol=1e-10, err_msg=metric)


def test_binary_takes_a_module_of_one_output(tmp_path: Path) -> None:
    for number, one in enumerate((lambda: nn.Linear(2, 1), lambda: nn.Sequential(nn.Linear(2, 1), nn.Flatten(0)))):
        study = paribus.train("moons", model=one, loss="binary", lr=1.0, epochs=20, out=tmp_path / f"{number}")
        assert study.table()["test_accuracy"][0] > 0.8
    for wrong, shape in ((lambda: nn.Linear(2, 3), r"\(128, 3\)"), (Row, r"\(1, 128\)")):
        with pytest.raises(SettingsError, match=shape + r", it has to be \(128, 1\): .*, the logit of the second"):
            paribus.train("moons", model=wrong, loss="binary", out=tmp_path / "wrong")


@pytest.mark.parametrize(
    ("task", "more", "told"),
    [
        ("digits", {}, "loss=binary is of two classes, and digits has 10"),
        ("sine", {}, "loss=binary is one of classes"),
        ("moons", {"implementation": "fused"}, "loss=binary has no effect with implementation=fused"),
    ],
)
def test_binary_is_refused(tmp_path: Path, task: str, more: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        paribus.train(task, loss="binary", epochs=1, out=tmp_path / "s", **more)
    assert not (tmp_path / "s").exists()


# --- the user's own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "name", "mine"), [("moons", "cross_entropy", crossed), ("sine", "mse", squared)])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_function_that_is_the_built_in_loss_trains_the_same(
    tmp_path: Path, task: str, name: str, mine: Any, precision: str
) -> None:
    options: dict[str, Any] = {"precision": precision, "epochs": 3, "implementation": "torch", "hidden": 5, "seeds": 2}
    built_in = paribus.train(task, loss=name, out=tmp_path / "a", **options)
    own = paribus.train(task, loss=mine, out=tmp_path / "b", **options)
    error = _curves(built_in).to_numpy() - _curves(own).to_numpy()
    assert np.abs(error).max() <= (1e-15 if precision == "float64" else 1e-6)


def test_arms_of_other_losses_are_told_by_one(tmp_path: Path) -> None:
    """What is minimised is the factor; what is told is the same in every arm."""
    study = paribus.compare(
        "moons", loss=["cross_entropy", focal], lr=1.0, epochs=30, seeds=6, metric="test_loss", out=tmp_path / "s"
    )
    assert study.findings.confounders == []
    assert study.differences()["verdict"][0] == "b higher"  # focal loss makes probabilities less sure
    again = paribus.compare(
        "moons", loss=["cross_entropy", focal], lr=1.0, epochs=30, seeds=6, metric="test_loss", out=tmp_path / "s"
    )
    assert again.table().equals(study.table())


def test_numbers_to_predict_are_told_by_the_mean_squared_error(tmp_path: Path) -> None:
    losses = {"mse": "mse", "smooth": functional.smooth_l1_loss}
    study = paribus.compare("sine", loss=losses, epochs=3, seeds=2, metric="test_loss", out=tmp_path / "s")
    assert study.findings.confounders == []


def test_binary_is_told_as_cross_entropy(tmp_path: Path) -> None:
    losses = ["binary", "cross_entropy"]
    study = paribus.compare("moons", loss=losses, epochs=3, seeds=2, metric="test_loss", out=tmp_path / "s")
    assert study.findings.confounders == []


def test_probabilities_are_told_to_be_none_of_the_told_loss(tmp_path: Path) -> None:
    def likelihood(p: Tensor, y: Tensor) -> Tensor:
        return functional.nll_loss(p.log(), y)

    model: Any = lambda: nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=1))  # noqa: E731
    mine = paribus.train("moons", model=model, loss=likelihood, epochs=1, out=tmp_path / "a")
    twice = paribus.train("moons", model=model, epochs=1, out=tmp_path / "b")
    assert any("not the cross-entropy of these probabilities" in one for one in mine.warnings())
    assert not any("taken twice" in one for one in mine.warnings())
    assert any("taken twice" in one for one in twice.warnings())


def test_a_loss_that_counts_is_trained_the_same_after_an_interruption(tmp_path: Path) -> None:
    """What it counts is in no checkpoint: it begins again."""
    options: dict[str, Any] = {"precision": "float64", "epochs": 6, "hidden": 5, "checkpoint_every": 1e-9}
    stop = tmp_path / "stop"
    whole = paribus.train("moons", loss={"counted": Stopped(stop)}, out=tmp_path / "a", **options)
    stop.touch()
    with pytest.raises(KeyboardInterrupt):
        paribus.train("moons", loss={"counted": Stopped(stop)}, out=tmp_path / "b", **options)
    stop.unlink()
    resumed = paribus.train("moons", loss={"counted": Stopped(stop)}, out=tmp_path / "b", **options)
    assert _curves(resumed).equals(_curves(whole))


def test_a_changed_loss_is_another(tmp_path: Path) -> None:
    def margin(by: float) -> Any:
        return lambda z, y: functional.multi_margin_loss(z, y, margin=by)

    paribus.train("moons", loss={"margin": margin(1.0)}, epochs=1, out=tmp_path / "s")
    with pytest.raises(StoreError, match="the loss changed since it was recorded"):
        paribus.train("moons", loss={"margin": margin(2.0)}, epochs=1, out=tmp_path / "s")


def test_a_module_is_copied_for_each_run(tmp_path: Path) -> None:
    """It counts: a second run that went on from the first's count would train otherwise."""
    options: dict[str, Any] = {"loss": Counted(), "precision": "float64", "epochs": 2, "hidden": 5}
    alone = paribus.train("moons", seeds=[1], out=tmp_path / "a", **options)
    beside = paribus.train("moons", seeds=2, out=tmp_path / "b", **options)
    both = paribus.train("moons", seeds=2, jobs=2, out=tmp_path / "c", **options)
    assert _curves(beside).equals(_curves(both))
    assert _curves(alone).equals(_curves(beside).query("seed == 1").reset_index(drop=True))


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (lambda z, y: 3.0, "gives float, not a tensor"),
        (lambda z, y: functional.cross_entropy(z, y, reduction="none"), r"shape \(128,\), it has to be one number"),
        (lambda z, y: crossed(z.detach(), y), "no gradient"),
        (lambda z, y: crossed(z, y) / 0, "infinite or NaN"),
        (lambda z: z.mean(), "takes 1 positional argument"),
        (nn.Linear(2, 1), "parameters of its own, which nothing trains"),
        ({"mse": crossed}, "loss 'mse' is built in"),
        (3, "loss=int is not allowed"),
        ("crossentropy", "loss=crossentropy is not allowed"),
    ],
)
def test_a_loss_that_is_none_is_refused(tmp_path: Path, loss: Any, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        paribus.train("moons", loss=loss, epochs=1, out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"implementation": "numpy"}, "implementation=numpy cannot take loss=focal, which is your own"),
        ({"implementation": "fused"}, "implementation=fused cannot take loss=focal, which is your own"),
        ({"label_smoothing": 0.1}, "label_smoothing=0.1 has no effect with loss=focal"),
        ({"class_weight": "balanced"}, "class_weight=balanced has no effect with loss=focal"),
    ],
)
def test_what_has_no_effect_with_it_is_refused(tmp_path: Path, more: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        paribus.train("moons", loss=focal, epochs=1, out=tmp_path / "s", **more)


def test_the_example_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    text = (Path(__file__).parents[1] / "docs" / "user-code.md").read_text(encoding="utf-8")
    example = text.split("## A loss of your own")[1].split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "example", "exec"), {"__name__": "example"})
    assert "cross_entropy - focal" in capsys.readouterr().out
