"""Losses, and numbers to predict: from the data to what is recorded of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

import paribus
from paribus.backends.dispatch import resolve, train
from paribus.byhand.losses import make_loss
from paribus.byhand.mlp import Mlp
from paribus.config.overrides import SettingsError, build
from paribus.config.values import Loss
from paribus.findings.findings import Findings
from paribus.models.mlp import Mlp as TorchMlp
from paribus.plan import Plan
from paribus.records.run import Run
from paribus.study.packing import unpack
from paribus.study.reading import read
from paribus.study.store import Store
from paribus.tasks import load
from paribus.training.measures import of_predictions
from tests.conftest import Called, Recorder, final_weights, norm_gap, settings_of
from tests.helpers import make_learner

LOSSES = ("mse", "mae", "huber", "quantile:0.9", "quantile:0.1")
THEIRS = {
    "mse": nn.MSELoss(),
    "mae": nn.L1Loss(),
    "huber": nn.HuberLoss(),
    "quantile:0.9": lambda z, y: torch.maximum(0.9 * (y - z), -0.1 * (y - z)).mean(),
    "quantile:0.1": lambda z, y: torch.maximum(0.1 * (y - z), -0.9 * (y - z)).mean(),
}
Fit = Callable[..., Recorder]


# --- the losses themselves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch", [1, 7, 130])
@pytest.mark.parametrize("scale", [0.1, 1.0, 1000.0])
def test_a_loss_and_its_gradient_are_pytorchs(loss: str, batch: int, scale: float) -> None:
    rng = np.random.default_rng(batch)
    z, y, upstream = scale * rng.standard_normal((batch, 1)), scale * rng.standard_normal(batch), rng.standard_normal()
    mine, t = make_loss(Loss.parse(loss)), torch.from_numpy(z).requires_grad_()
    theirs = THEIRS[loss](t[:, 0], torch.from_numpy(y))
    (upstream * theirs).backward()
    assert mine.forward(z, y) == pytest.approx(theirs.item(), rel=1e-12)
    assert norm_gap(upstream * mine.backward(), t.grad.numpy()) <= 1e-11


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_weighted_cross_entropy_is_pytorchs(batch: int) -> None:
    rng = np.random.default_rng(2)
    z, y, weights = rng.standard_normal((batch, 4)), rng.integers(0, 4, batch), rng.uniform(0.2, 5, 4)
    mine, t = make_loss(Loss.parse("cross_entropy"), weights), torch.from_numpy(z).requires_grad_()
    theirs = nn.CrossEntropyLoss(weight=torch.from_numpy(weights))(t, torch.from_numpy(y))
    theirs.backward()
    assert mine.forward(z, y) == pytest.approx(theirs.item(), rel=1e-12)
    assert norm_gap(mine.backward(), t.grad.numpy()) <= 1e-11


@pytest.mark.parametrize(("loss", "hidden"), list(product(LOSSES, [(), (5,), (7, 7, 6, 3)])))
@pytest.mark.parametrize("batch", [1, 13])
def test_gradients_through_the_network_are_autograds(loss: str, hidden: tuple[int, ...], batch: int) -> None:
    rng = np.random.default_rng(3)
    x, y, sizes = rng.standard_normal((batch, 4)), rng.standard_normal(batch), [4, *hidden, 1]
    hand, auto = Mlp(sizes), TorchMlp(sizes, 0.0, torch.float64)
    values = {name: rng.standard_normal(value.shape) for name, value in hand.parameters.items()}
    hand.load(values)
    with torch.no_grad():
        for name, parameter in auto.named_parameters():
            parameter.copy_(torch.from_numpy(values[name]))
    mine = make_loss(Loss.parse(loss))
    mine.forward(hand.forward(x), y)
    gradients = hand.backward(mine.backward())
    THEIRS[loss](auto(torch.from_numpy(x))[:, 0], torch.from_numpy(y)).backward()
    for name, parameter in auto.named_parameters():
        assert norm_gap(gradients[name], parameter.grad.numpy()) <= 1e-11, name


@given(st.floats(0.01, 0.99), st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
def test_the_quantile_minimises_its_loss(q: float, values: list[float]) -> None:
    y, loss = np.array(values), make_loss(Loss("quantile", q))
    best = loss.forward(np.full((len(y), 1), np.quantile(y, q, method="inverted_cdf")), y)
    for other in (*values, 0.0):
        assert loss.forward(np.full((len(y), 1), other), y) >= best - 1e-9 * max(1.0, abs(best))


# --- one trajectory --------------------------------------------------------------------------------------------------

SHAPES = ("hidden=none batch_size=1 steps_per_epoch=40", "hidden=5 batch_size=29", "hidden=7x7x6x6 batch_size=300")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", SHAPES)
def test_all_implementations_are_one_trajectory(fit: Fit, loss: str, shape: str) -> None:
    """400 examples: batches of 29 leave a last one of 1, and of 300 are taken in parts by the compiled loops."""
    words = f"task=friedman n=400 epochs=3 lr=0.01 precision=float64 validation=0.2 loss={loss} {shape}"
    words += " momentum=0.9 activation=tanh" if "none" not in shape else ""
    one, *others = (fit(f"{words} implementation={name}", seed=3) for name in ("torch", "numpy", "fused"))
    settings = settings_of(f"{words} implementation=numpy")
    learner = make_learner(settings, load(settings, 3), Plan(3))
    start = np.concatenate([value.ravel() for _, value in sorted(learner.weights().items())])
    update = final_weights(one) - start
    assert np.linalg.norm(update) > 1e-4
    assert set(one.rows[0].metrics) == {
        f"{split}_{name}" for split in ("train", "validation", "test") for name in ("loss", "rmse", "mae", "r2")
    }
    for other in others:
        assert np.linalg.norm(update - (final_weights(other) - start)) <= 1e-11 * np.linalg.norm(update)
        assert [row.step for row in one.rows] == [row.step for row in other.rows]
        for metric in one.rows[0].metrics:
            np.testing.assert_allclose(one.curve(metric), other.curve(metric), rtol=1e-10, err_msg=metric)


def test_a_wide_layer_without_hidden_ones() -> None:
    """16,384 weights and more are multiplied by BLAS, of inputs that lie elsewhere."""
    x = np.random.default_rng(0).standard_normal((40, 2**14))
    task = load(build({"task": paribus.data(x, x[:, 0])}), 0)
    words = {
        "task": paribus.data(x, x[:, 0]),
        "model.hidden": "none",
        "precision": "float64",
        "epochs": 3,
        "batch_size": 13,
    }
    found = []
    for name in ("torch", "fused"):
        settings, recorder = resolve({**words, "optimizer.lr": 1e-4, "implementation": name}), Recorder()
        train([Run(settings, 0)], lambda _: task, recorder)
        found.append(recorder)
    for metric in found[0].rows[0].metrics:
        np.testing.assert_allclose(found[0].curve(metric), found[1].curve(metric), rtol=1e-9, err_msg=metric)


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_agrees_to_its_own_rounding(fit: Fit, loss: str) -> None:
    words = f"task=friedman n=400 epochs=5 lr=0.01 loss={loss} batch_size=29"
    one, *others = (fit(f"{words} implementation={name}", seed=3) for name in ("torch", "numpy", "fused"))
    settings = settings_of(f"{words} implementation=numpy")
    weights = make_learner(settings, load(settings, 3), Plan(3)).weights()
    update = final_weights(one) - np.concatenate([value.ravel() for _, value in sorted(weights.items())])
    for other in others:
        assert np.linalg.norm(final_weights(one) - final_weights(other)) <= 3e-5 * np.linalg.norm(update)
        for metric in one.rows[0].metrics:
            mine, theirs = np.array(one.curve(metric)), np.array(other.curve(metric))
            assert np.abs(mine - theirs).max() <= 3e-5 * np.abs(mine).max(), metric


def test_weights_of_classes_are_the_same_in_numpy_and_torch(fit: Fit) -> None:
    words = "task=blobs n=300 centers=3 epochs=3 init=default precision=float64 batch_size=32 class_weight=balanced"
    one, other = (fit(f"{words} implementation={name}") for name in ("torch", "numpy"))
    np.testing.assert_allclose(one.curve("train_loss"), other.curve("train_loss"), rtol=1e-11)
    plain = fit(words.replace("balanced", "none") + " implementation=numpy")
    assert one.curve("train_loss") != plain.curve("train_loss")
    task = load(settings_of(words), 0)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=task.train.y)
    np.testing.assert_allclose(task.class_weights(), expected)


# --- metrics ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", ["numpy", "torch", "auto"])
def test_metrics_are_scikit_learns_in_the_datas_units(fit: Fit, implementation: str) -> None:
    words = f"task=diabetes epochs=2 implementation={implementation}"
    recorder, task = fit(words, keep=("predictions",)), load(settings_of(words), 0)
    predicted, y, last = recorder.outcomes[0].predictions, task.test.y, recorder.rows[-1].metrics
    assert predicted is not None
    assert 25 <= y.min() <= y.max() <= 346  # as the data have them
    assert last["test_rmse"] == pytest.approx(sk.root_mean_squared_error(y, predicted), rel=1e-6)
    assert last["test_mae"] == pytest.approx(sk.mean_absolute_error(y, predicted), rel=1e-6)
    assert last["test_r2"] == pytest.approx(sk.r2_score(y, predicted), rel=1e-6, abs=1e-6)
    assert last["test_loss"] == pytest.approx((last["test_rmse"] / task.train.y.std()) ** 2, rel=1e-6)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=2, max_size=40))
def test_measures_are_scikit_learns(pairs: list[tuple[float, float]]) -> None:
    y, predicted = np.array(pairs).T
    mine = of_predictions(predicted, y)
    assert mine["rmse"] == pytest.approx(sk.root_mean_squared_error(y, predicted), rel=1e-9, abs=1e-300)
    assert mine["mae"] == pytest.approx(sk.mean_absolute_error(y, predicted), rel=1e-9, abs=1e-300)
    if np.ptp(y) > 1e-3 or np.ptp(y) == 0:
        assert mine["r2"] == pytest.approx(sk.r2_score(y, predicted), rel=1e-6, abs=1e-6)


def test_a_single_example_has_metrics() -> None:
    assert of_predictions(np.array([2.0]), np.array([1.0])) == {"rmse": 1.0, "mae": 1.0, "r2": 0.0}
    assert of_predictions(np.array([1.0]), np.array([1.0])) == {"rmse": 0.0, "mae": 0.0, "r2": 1.0}


def test_the_users_own_metrics_see_the_datas_units() -> None:
    x, y = load_diabetes(return_X_y=True)
    seen = []

    def widest(y: np.ndarray, predicted: np.ndarray) -> float:
        seen.append((y.copy(), predicted.copy()))
        return float(np.abs(y - predicted).max())

    scorers = {"own_mae": sk.get_scorer("neg_mean_absolute_error"), "medae": sk.median_absolute_error, "widest": widest}
    study = paribus.train(paribus.data(x, y, name="own"), epochs=2, metrics=scorers, seeds=1, out=_folder())
    row = study.curves().iloc[-1]
    assert row["test_own_mae"] == pytest.approx(-row["test_mae"], rel=1e-6)
    assert row["test_widest"] > row["test_medae"] > 1
    assert all(y.max() > 100 for y, _ in seen)


_FOLDERS: list[Path] = []


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path) -> None:
    _FOLDERS[:] = [tmp_path]


def _folder() -> Path:
    return _FOLDERS[0] / f"study{len(list(_FOLDERS[0].iterdir()))}"


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ({"auc": sk.roc_auc_score}, "asks for classes' scores, and these are numbers to predict"),
        ({"auc": sk.get_scorer("roc_auc")}, "it is a scorer of classes"),
        ({"rmse": sk.root_mean_squared_error}, "rmse of numbers to predict is measured already"),
    ],
)
def test_a_metric_of_classes_is_refused(metric: dict[str, object], told: str) -> None:
    x, y = load_diabetes(return_X_y=True)
    with pytest.raises(SettingsError, match=told):
        paribus.train(paribus.data(x, y), epochs=1, metrics=metric, out=_folder())  # type: ignore[arg-type]


# --- data ------------------------------------------------------------------------------------------------------------


def test_what_floats_are_taken_for() -> None:
    x = np.zeros((60, 2))
    x[:, 0] = np.arange(60) / 7
    numbers = paribus.data(x, np.arange(60) / 2).thing
    assert (numbers.classes, numbers.y.dtype, numbers.y[1]) == (0, np.float64, 0.5)
    assert paribus.data(x, np.arange(60.0)).thing.classes == 0  # refused as classes: 60 of one row each
    assert paribus.data(x, [0.0, 1.0] * 30).thing.classes == 2
    assert paribus.data(x, np.arange(60) % 3).thing.classes == 3
    assert paribus.data(x, np.arange(60), kind="regression").thing.classes == 0
    assert paribus.data(x, [True, False] * 30, kind="regression").thing.y.tolist() == [1.0, 0.0] * 30
    assert paribus.data(x, torch.arange(60) / 2).thing.y.tolist() == numbers.y.tolist()
    assert paribus.data(x, np.arange(60) / 2, test=(x, np.arange(60))).thing.y[-1] == 59.0


def test_what_was_taken_is_said() -> None:
    x, y = load_diabetes(return_X_y=True)
    study = paribus.train(paribus.data(x, y, name="own"), epochs=1, out=_folder())
    assert "y taken as numbers to predict" in study.record.arms[0].runs[0].task.source
    assert 'kind="classification"' in paribus.data(x, y).thing.remark
    assert not paribus.data(x, y, kind="regression").thing.remark


def test_targets_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"the targets of same are 0.5 in each of 8 training rows"):
        paribus.train(paribus.data(np.arange(20.0).reshape(10, 2), [0.5] * 10, name="same"), epochs=1, out=_folder())


def test_targets_are_scaled_by_the_training_rows_alone() -> None:
    task = load(settings_of("task=diabetes validation=0.2"), 0)
    scaled = task.targets(task.train.y, np.dtype(np.float64))
    assert (scaled.mean(), scaled.std()) == (pytest.approx(0, abs=1e-12), pytest.approx(1))
    others = task.targets(task.test.y, np.dtype(np.float64))
    np.testing.assert_allclose(others * task.train.y.std() + task.train.y.mean(), task.test.y)


def test_the_tasks_are_scikit_learns() -> None:
    _, y = make_friedman1(n_samples=1000, n_features=10, noise=1.0, random_state=1)
    task = load(settings_of("task=friedman standardise=false"), 0)
    assert sorted(np.concatenate([task.train.y, task.test.y])) == sorted(y)
    assert load(settings_of("task=diabetes"), 0).info.train == 353
    assert load(settings_of("task=sine"), 0).info.input_shape == (1,)


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"task": "moons", "loss": "mse"}, "loss=mse is one of numbers to predict, and moons has classes"),
        ({"task": "sine", "loss": "cross_entropy"}, "loss=cross_entropy is one of classes, and sine has numbers"),
        ({"task": "sine", "loss": "quantile"}, "loss=quantile is not allowed"),
        ({"task": "sine", "loss": "quantile:1"}, "loss=quantile:1 is not allowed"),
        ({"task": "sine", "loss": "mse:2"}, "loss=mse:2 is not allowed"),
        ({"task": "sine", "label_smoothing": 0.1}, "label_smoothing=0.1 has no effect with loss=mse"),
        ({"task": "sine", "class_weight": "balanced"}, "class_weight=balanced has no effect with loss=mse"),
        ({"task": "moons", "class_weight": "balanced", "label_smoothing": 0.1}, "exclude each other"),
        ({"task": "moons", "objective": "mse"}, "did you mean 'loss'"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(words: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        settings_of(" ".join(f"{key}={value}" for key, value in words.items()))


def test_the_loss_is_by_the_task() -> None:
    assert str(build({"task": "moons"}).loss) == "cross_entropy"
    assert str(build({"task": "sine"}).loss) == "mse"
    x, y = load_diabetes(return_X_y=True)
    assert str(build({"task": paribus.data(x, y)}).loss) == "mse"
    assert str(build({"task": paribus.data(x, y > 100)}).loss) == "cross_entropy"


# --- the study -------------------------------------------------------------------------------------------------------


def test_a_study_of_numbers_to_predict(called: Called) -> None:
    done = called(
        "compare", "diabetes", "loss=mse,mae", "epochs=12", "--seeds", "6", "--out", "s", "--keep", "predictions"
    )
    assert done.returncode == 0, done.stderr
    assert "test rmse" in done.stdout
    study = read(_FOLDERS[0] / "s")
    findings = Findings.of(study)
    assert study.primary_metric == "test_rmse"
    assert findings.metric("test_rmse").direction == findings.metric("test_mae").direction == "lower"
    assert findings.metric("test_r2").direction == "higher"
    assert findings.metric("test_loss").unit == ""  # no nats
    assert not findings.warnings
    told = {one.metric for one in findings.differences}
    assert "test_r2" in told
    assert "test_loss" not in told  # two losses are two things
    assert any("different things (mse, mae)" in one for one in findings.confounders)
    store = Store.open(_FOLDERS[0] / "s")
    kept = unpack(store.artifact(study.arms[0].name, 0, "predictions") or b"")["predictions"]
    assert kept.dtype == np.float64
    assert 25 < kept.mean() < 346
    page = called("report", "s")
    assert page.returncode == 0, page.stderr
    assert "numbers to predict" in (_FOLDERS[0] / "s" / "report.html").read_text()


def test_losses_that_are_two_things_are_no_primary_metric(called: Called) -> None:
    done = called("compare", "sine", "loss=mse,mae", "--metric", "test_loss", "--out", "s")
    assert done.returncode == 2
    assert "compares losses that are different things (mse, mae)" in done.stderr


def test_classes_and_numbers_have_no_metric_in_common(called: Called) -> None:
    done = called("compare", "moons,sine", "lr=0.1", "--out", "s")
    assert done.returncode == 2
    assert "have neither accuracy nor rmse in common" in done.stderr
    done = called("compare", "moons,sine", "lr=0.1", "--metric", "test_loss", "--out", "s")
    assert "different things (cross_entropy, mse): give one that all arms share\n" in done.stderr


def test_no_better_than_a_guess_is_said(called: Called) -> None:
    called("train", "diabetes", "epochs=3", "lr=1e-9", "init=normal:0.001", "--out", "s")
    (line,) = [one for one in Findings.of(read(_FOLDERS[0] / "s")).warnings if "guess" in one]
    assert "its test predictions are no better than a guess: r2 is -" in line


def test_it_is_tuned_by_the_validation_error(called: Called) -> None:
    done = called(
        "compare", "sine", "loss=mse,huber", "epochs=3", "--tune", "lr=0.01,0.1", "--seeds", "2", "--tune-seeds", "1",
        "--out", "s",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tuning = read(_FOLDERS[0] / "s").tuning
    assert tuning is not None
    assert tuning.metric == "validation_rmse"


def test_the_best_weights_are_by_the_validation_loss(fit: Fit) -> None:
    recorder = fit("task=sine epochs=20 lr=0.1 validation=0.3 implementation=torch", keep=("best",))
    losses = recorder.curve("validation_loss")
    best = recorder.outcomes[0].best
    assert best is not None
    assert best.step == recorder.rows[int(np.argmin(losses))].step


# --- the user's own modules ------------------------------------------------------------------------------------------


def test_a_module_gives_one_number() -> None:
    x, y = load_diabetes(return_X_y=True)
    data = paribus.data(x, y, name="own")

    def wide() -> nn.Module:
        return nn.Linear(10, 2)

    def squeezed() -> nn.Module:
        return nn.Sequential(nn.Linear(10, 1), nn.Flatten(0))

    for make in (wide, squeezed):
        with pytest.raises(SettingsError, match=r"it has to be \(128, 1\): .*the one number that is predicted"):
            paribus.train(data, model=make, epochs=1, out=_folder())
    study = paribus.train(data, model=lambda: nn.Linear(10, 1), epochs=2, out=_folder())
    assert study.record.primary_metric == "test_rmse"
