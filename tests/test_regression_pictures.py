"""Pictures of numbers to predict, from the run that is looked at to the page: residuals and the fitted curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.linear_model import LinearRegression
from torch import nn

import paribus
from paribus.backends.dispatch import resolve, train
from paribus.byhand.mlp import Mlp
from paribus.config.estimators import estimator_defined
from paribus.config.settings import Settings
from paribus.config.user_code import user_defined
from paribus.findings.findings import Findings
from paribus.plan import MAX_SEED, Plan
from paribus.records.checkpoint import Checkpoint
from paribus.records.record import Outcome, Pictures, StudyRecord
from paribus.records.run import Callback, Run
from paribus.report.files.files import write_files
from paribus.report.page.figures_regression import fit_figures, residual_figures
from paribus.report.page.json import Columns, shorten
from paribus.report.page.page import page
from paribus.report.tensorboard import Events
from paribus.study import kinds
from paribus.study.packing import pack, pack_pictures, unpack, unpack_pictures
from paribus.study.runner import carry_out
from paribus.tasks import Task, load
from paribus.training.fits import MOST_ROWS, FitCurves, residuals
from paribus.training.probes import Probes
from tests.conftest import Recorder, settings_of
from tests.helpers import ask
from tests.test_page import made, of_numbers, view_of

WORDS = "task=sine hidden=6 epochs=12 lr=0.1 batch_size=64 implementation="
BACKENDS = ("numpy", "torch", "fused")


def ended(settings: Settings, seed: int = 3, *, pictures: bool = True, callback: Callback | None = None, **more: Any) -> tuple[Outcome, Recorder]:  # fmt: skip
    """One run, and what was told of it."""
    recorder = Recorder()

    class Both(Callback):
        def on_evaluation(self, run: Run, row: Any) -> None:
            recorder.on_evaluation(run, row)
            if callback is not None:
                callback.on_evaluation(run, row)

        def on_checkpoint(self, run: Run, checkpoint: Checkpoint) -> None:
            assert callback is not None
            callback.on_checkpoint(run, checkpoint)

    run = Run(settings=settings, seed=seed, keep=frozenset({"weights", "predictions"}), pictures=pictures, **more)
    (outcome,) = train([run], lambda _: load(settings, seed), Both())
    return outcome, recorder


def network(outcome: Outcome, task: Task, x: np.ndarray) -> np.ndarray:
    """What PyTorch makes of the weights that were kept, in the data's units."""
    assert outcome.weights is not None
    assert task.target is not None
    tensors = [torch.from_numpy(value.astype(np.float64)) for value in outcome.weights.values()]
    hidden = torch.relu(nn.functional.linear(torch.from_numpy(x.astype(np.float64)), tensors[0], tensors[1]))
    scaled = nn.functional.linear(hidden, tensors[2], tensors[3])[:, 0].numpy()
    return np.asarray(scaled * task.train.y.std() + task.train.y.mean())


# --- what is read off a run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", BACKENDS)
def test_residuals_are_those_of_the_predictions_that_are_kept(implementation: str) -> None:
    settings = settings_of(WORDS + implementation)
    outcome, _ = ended(settings)
    task, found = load(settings, 3), outcome.pictures.residuals
    assert found is not None
    assert outcome.predictions is not None
    assert found.rows.tolist() == list(range(80))  # all there are
    np.testing.assert_array_equal(found.predicted, outcome.predictions)
    np.testing.assert_array_equal(found.measured, task.test.y)
    left = sorted(y - p for y, p in zip(task.test.y.tolist(), outcome.predictions.tolist(), strict=True))
    # quantile q lies at place q (n - 1), between two residuals in proportion
    by_hand = [left[3] + 0.95 * (left[4] - left[3]), left[75] + 0.05 * (left[76] - left[75])]
    np.testing.assert_allclose(found.middle, by_hand, rtol=1e-12)
    np.testing.assert_allclose(found.predicted, network(outcome, task, task.test.x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("implementation", BACKENDS)
def test_a_fit_is_that_of_a_run_which_ends_at_its_epoch(implementation: str) -> None:
    settings = settings_of(WORDS + implementation)
    outcome, _ = ended(settings)
    task, fits = load(settings, 3), outcome.pictures.fits
    assert fits is not None
    assert fits.epochs.tolist() == [1, 2, 3, 4, 7, 12]
    everything = np.concatenate([split.x[:, 0] for split in task.splits.values()])
    assert (fits.x[0], fits.x[-1], len(fits.x)) == (everything.min(), everything.max(), 200)
    np.testing.assert_allclose(np.diff(fits.x), (fits.x[-1] - fits.x[0]) / 199, rtol=1e-9)
    np.testing.assert_array_equal(fits.rows_x, task.test.x[:, 0])
    np.testing.assert_array_equal(fits.rows_y, task.test.y)
    np.testing.assert_allclose(fits.truth, np.sin(fits.x), rtol=1e-12)
    for epoch, curve in zip(fits.epochs.tolist(), fits.predicted, strict=True):
        short, _ = ended(settings.model_copy(update={"epochs": int(epoch)}))
        np.testing.assert_allclose(curve, network(short, task, fits.x[:, None]), rtol=1e-4, atol=1e-5)


class Noisy(nn.Module):
    """Draws from PyTorch's generator in training and in evaluation, and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(1, 5), nn.BatchNorm1d(5), nn.Linear(5, 1)
        self.register_buffer("asked", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        found: torch.Tensor = self.last(self.norm(torch.tanh(self.first(x))))
        return found + 0.01 * torch.rand_like(found) * self.asked


LOOKED_AT: dict[str, Callable[[], Settings]] = {
    **{how: lambda how=how: settings_of(WORDS + how) for how in BACKENDS},  # type: ignore[misc]
    "dropout and early stopping": lambda: settings_of(
        "task=diabetes epochs=9 dropout=0.2 validation=0.2 patience=2 implementation=torch"
    ),
    "own module": lambda: resolve({"task": "sine", "model": user_defined(Noisy), "epochs": 6}),
    "estimator": lambda: resolve({"task": "sine", "model": estimator_defined(LinearRegression())}),
}


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_run_that_is_looked_at_is_the_same_to_the_last_bit(name: str) -> None:
    settings = LOOKED_AT[name]()
    (looked, told), (alone, untold) = ended(settings), ended(settings, pictures=False)
    assert looked.pictures.residuals is not None
    assert alone.pictures == Pictures()
    assert [row.metrics for row in told.rows] == [row.metrics for row in untold.rows]
    np.testing.assert_array_equal(looked.predictions, alone.predictions)
    if looked.weights is None:
        assert alone.weights is None
        return
    assert alone.weights is not None
    for parameter, value in looked.weights.items():
        assert value.tobytes() == alone.weights[parameter].tobytes(), parameter


def test_an_estimator_is_looked_at_at_its_end_alone() -> None:
    settings = resolve({"task": "sine", "model": estimator_defined(LinearRegression())})
    outcome, _ = ended(settings)
    task, fits, left = load(settings, 3), outcome.pictures.fits, outcome.pictures.residuals
    assert fits is not None
    assert left is not None
    slope, level = np.polyfit(task.train.x[:, 0], task.train.y, 1)
    assert fits.predicted.shape == (1, 200)
    np.testing.assert_allclose(fits.predicted[0], slope * fits.x + level, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(left.values, task.test.y - slope * task.test.x[:, 0] - level, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("implementation", ["numpy", "torch"])
def test_with_early_stopping_the_last_fit_is_that_of_the_evaluation_that_is_reported(implementation: str) -> None:
    settings = settings_of(
        f"task=sine hidden=6 epochs=400 lr=0.2 validation=0.3 patience=3 implementation={implementation}"
    )
    outcome, told = ended(settings)
    task, fits = load(settings, 3), outcome.pictures.fits
    best = told.rows[int(np.argmin(told.curve("validation_loss")))].epoch
    assert fits is not None
    assert best < told.rows[-1].epoch < 400
    assert fits.epochs[-1] == best
    assert (np.diff(fits.epochs) > 0).all()
    np.testing.assert_allclose(fits.predicted[-1], network(outcome, task, fits.x[:, None]), rtol=1e-4, atol=1e-5)


def test_a_run_that_stops_within_an_epoch_has_its_last_fit_there() -> None:
    """As early stopping leaves it where a module of the user's cannot go back to an earlier evaluation."""
    settings = settings_of(WORDS + "numpy")
    task = load(settings, 0)

    class Model:
        def logits(self, x: np.ndarray) -> np.ndarray:
            return x

        def weights(self) -> dict[str, np.ndarray]:
            return Mlp([1, 6, 1]).parameters

    probes = Probes(settings, task, Model(), Plan(0), wanted=True)
    for epoch in (0.5, 1.0, 1.5):
        probes.look(epoch)
    again = Probes(settings, task, Model(), Plan(0), wanted=True)
    again.restore(probes.state())
    for one in (probes, again):
        fits = one.pictures(1, None).fits
        assert fits is not None
        assert fits.epochs.tolist() == [0.5, 1.0, 1.5]


@pytest.mark.parametrize("implementation", ["numpy", "torch"])
@pytest.mark.parametrize("survives", [1, 4, 9])
def test_a_killed_run_has_the_pictures_of_one_in_one_piece(tmp_path: Path, implementation: str, survives: int) -> None:
    class Killed(Callback):
        left = survives

        def on_checkpoint(self, run: Run, checkpoint: Checkpoint) -> None:
            assert run.checkpoint is not None
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            checkpoint.write(run.checkpoint, run.identity())

    settings, path = settings_of(WORDS + implementation), tmp_path / "checkpoint"
    saving = {"checkpoint": path, "checkpoint_seconds": 1e-9}
    with pytest.raises(KeyboardInterrupt):
        ended(settings, callback=Killed(), **saving)
    assert path.is_file()
    resumed, whole = ended(settings, checkpoint=path)[0].pictures, ended(settings)[0].pictures
    mine, theirs = pack_pictures(resumed), pack_pictures(whole)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():  # what cannot be told is NaN in both
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def test_a_checkpoint_from_before_there_were_fits_tells_how_many_evaluations_there_were() -> None:
    curves = FitCurves(12, load(settings_of(WORDS + "numpy"), 0))
    curves.restore({"seen": np.array(6)})
    for epoch in range(7, 13):
        curves.look(epoch, lambda x: x[:, 0])
    found = curves.fits(12, lambda x: x[:, 0], Plan(0))
    assert found is not None
    assert found.epochs.tolist() == [7, 12]


@given(st.integers(1, 300), st.integers(0, 40))
def test_at_most_six_fits_the_first_and_the_last_among_them(evaluations: int, ends_early: int) -> None:
    task, made_ = load(settings_of(WORDS + "numpy"), 0), max(evaluations - ends_early, 1)
    curves = FitCurves(evaluations, task)
    for k in range(1, made_ + 1):
        curves.look(k / 2, lambda x, k=k: k + x[:, 0])  # type: ignore[misc]
    found = curves.fits(made_ / 2, lambda x: made_ + x[:, 0], Plan(0))
    assert found is not None
    assert len(found.epochs) <= 6
    assert (found.epochs[0], found.epochs[-1]) == (0.5, made_ / 2)
    assert (np.diff(found.epochs) > 0).all()
    # each is what was predicted then
    np.testing.assert_allclose(found.predicted, 2 * found.epochs[:, None] + found.x, rtol=1e-12)


def test_only_a_task_of_one_numeric_input_has_a_curve() -> None:
    rng = np.random.default_rng(0)
    y = rng.standard_normal(60)

    def own(x: np.ndarray, **more: Any) -> Task:
        return load(resolve({"task": paribus.data(x, y, name="mine", **more)}), 0)

    inputs = {
        "numbers": rng.random((60, 1)),
        "yes and no": rng.integers(0, 2, (60, 1)) * 1.0,
        "two": rng.random((60, 2)),
    }
    tasks = {name: own(x) for name, x in inputs.items()} | {
        "classes": load(resolve({"task": paribus.data(inputs["numbers"], rng.integers(0, 2, 60), name="c")}), 0)
    }
    found = {name: FitCurves(3, task).fits(1.0, lambda x: x[:, 0], Plan(0)) for name, task in tasks.items()}
    assert [name for name, one in found.items() if one is not None] == ["numbers"]
    assert found["numbers"] is not None
    assert len(found["numbers"].truth) == 0  # nobody knows it


def test_inputs_that_are_standardised_have_no_function_that_is_known() -> None:
    settings = settings_of("task=sine standardise=true")
    task = load(settings, 0)
    found = FitCurves(1, task).fits(1.0, lambda x: x[:, 0], Plan(0))
    assert found is not None
    assert len(found.truth) == 0


# --- which rows ------------------------------------------------------------------------------------------------------


@given(st.integers(0, MAX_SEED), st.integers(0, 3000), st.integers(1, 600), st.integers(1, 600))
def test_the_plan_draws_rows_once_each_and_fewer_are_some_of_more(seed: int, n: int, few: int, many: int) -> None:
    few, many = sorted((few, many))
    rows, more = Plan(seed).pictured_rows(n, few), Plan(seed).pictured_rows(n, many)
    assert len(rows) == min(n, few)
    assert (np.diff(rows) > 0).all()
    assert set(rows.tolist()) <= set(more.tolist()) <= set(range(n))
    np.testing.assert_array_equal(rows, Plan(seed).pictured_rows(n, few))


def test_every_pair_of_rows_is_as_likely_as_another() -> None:
    drawn = Counter(tuple(Plan(seed).pictured_rows(5, 2).tolist()) for seed in range(2000))
    assert len(drawn) == 10
    assert chisquare(list(drawn.values())).pvalue > 1e-3


@given(st.integers(0, 5), st.sampled_from([7, 500, 501, 1000, 1001, 2300]), st.booleans())
def test_residuals_are_of_the_rows_drawn_and_their_middle_of_all(seed: int, n: int, infinite: bool) -> None:
    rng = np.random.default_rng(n + seed)
    task, x, y = load(settings_of("task=sine"), 0), rng.random((n, 1)), rng.standard_normal(n)
    task = replace(task, test=replace(task.test, x=x, y=y))
    sizes: list[int] = []

    def predict(one: np.ndarray) -> np.ndarray:
        sizes.append(len(one))
        return np.asarray(3 * one[:, 0] + (np.inf if infinite else 0))

    found = residuals(predict, task, Plan(seed))  # type: ignore[arg-type]
    assert max(sizes) <= 1000
    assert sum(sizes) == n
    assert len(found.rows) == min(n, MOST_ROWS)
    np.testing.assert_array_equal(found.rows, Plan(seed).pictured_rows(n, MOST_ROWS))
    np.testing.assert_array_equal(found.measured, y[found.rows])
    if not infinite:
        np.testing.assert_allclose(found.values, (y - 3 * x[:, 0])[found.rows], rtol=1e-12)
        np.testing.assert_allclose(found.middle, np.percentile(y - 3 * x[:, 0], [5, 95]), rtol=1e-12)


# --- as it is stored -------------------------------------------------------------------------------------------------


def a_study(arms: int = 2, **more: Any) -> StudyRecord:
    return made([f"arm {i}" for i in range(arms)], pictured=lambda k, rng: of_numbers(k, rng, **more))


def test_pictures_are_read_as_they_were_written() -> None:
    whole = of_numbers(0, np.random.default_rng(0))["pictures"]
    for given_ in (whole, replace(whole, fits=None), replace(whole, residuals=None)):
        before = pack_pictures(given_)
        found = kinds.pictures(unpack_pictures(unpack(pack(before))))
        after = pack_pictures(found)
        assert before.keys() == after.keys()
        for name, value in before.items():
            np.testing.assert_array_equal(value, after[name], err_msg=name)
        for one in fields(Pictures):
            assert (getattr(found, one.name) is None) == (getattr(given_, one.name) is None)


WRONG: dict[str, tuple[str, Any]] = {
    "rows below 0": ("residuals.rows", lambda a: a - 1),
    "rows that are no whole numbers": ("residuals.rows", lambda a: a + 0.5),
    "fewer predictions": ("residuals.predicted", lambda a: a[1:]),
    "a measured number that is none": ("residuals.measured", lambda a: a * np.nan),
    "a middle of three": ("residuals.middle", lambda _: np.zeros(3)),
    "a middle of text": ("residuals.middle", lambda _: np.array([True, False])),
    "a table of residuals": ("residuals.predicted", lambda a: a[:, None]),
    "inputs nowhere": ("fits.x", lambda a: a * np.inf),
    "an epoch too many": ("fits.epochs", lambda a: np.append(a, 1.0)),
    "no epoch": ("fits.epochs", lambda a: a[:0]),
    "shorter curves": ("fits.predicted", lambda a: a[:, 1:]),
    "rows without numbers": ("fits.rows_y", lambda a: a[1:]),
    "rows nowhere": ("fits.rows_x", lambda a: a * np.nan),
    "a shorter truth": ("fits.truth", lambda a: a[1:]),
    "a table of truth": ("fits.truth", lambda a: a[:, None]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_picture_is_refused(name: str) -> None:
    key, change = WRONG[name]
    arrays = pack_pictures(of_numbers(0, np.random.default_rng(0))["pictures"])
    assert kinds.pictures(unpack_pictures(arrays)) is not None
    with pytest.raises(kinds.WrongError):
        kinds.pictures(unpack_pictures({**arrays, key: change(arrays[key])}))


# --- as it is drawn --------------------------------------------------------------------------------------------------


def test_the_page_draws_the_residuals_as_computed_by_hand() -> None:
    study = a_study()
    figures, note = residual_figures(study, view_of(study).labels)
    assert len(figures) == 2
    for figure, arm in zip(figures, study.arms, strict=True):
        found = arm.runs[0].pictures.residuals
        assert found is not None
        (trace,) = figure.data
        assert trace["x"] == shorten(found.predicted)
        assert trace["y"] == pytest.approx((found.measured - found.predicted).tolist(), rel=1e-5)
        line, band = figure.layout["shapes"]
        assert (line["y0"], line["y1"], line["x0"], line["x1"]) == (0, 0, 0, 1)
        assert (band["y0"], band["y1"]) == tuple(shorten(found.middle))
        low, high = (f"{float(f'{one:.3g}'):,g}" for one in found.middle.tolist())
        assert figure.caption.endswith(f"The middle 90 % of the residuals: {low} to {high}.")
    # arms are compared: their axes are the same
    for axis in ("xaxis", "yaxis"):
        assert figures[0].layout[axis]["range"] == figures[1].layout[axis]["range"]
    assert "A funnel: errors grow" in note
    assert "axes of its own" not in note


def test_arms_whose_residuals_are_of_other_sizes_have_axes_of_their_own() -> None:
    study = made(["a", "b"], pictured=lambda k, rng: of_numbers(k, rng, spread=0.01 + k))
    figures, note = residual_figures(study, view_of(study).labels)
    assert all("range" not in one.layout["yaxis"] for one in figures)
    assert "Each arm has axes of its own" in note


def test_that_rows_were_chosen_is_said_where_they_were() -> None:
    labels = view_of(a_study()).labels
    assert "Drawn are" not in residual_figures(a_study(rows=20), labels)[1]  # of a test split of 20
    for figures in (residual_figures, lambda study, labels: fit_figures(study, labels, Columns())):
        note = figures(a_study(rows=10), labels)[1]
        assert "Drawn are 10 of 20 test rows, which the plan chose: the same for every arm." in note


def test_the_page_draws_every_fit_the_last_the_strongest() -> None:
    study, columns = a_study(), Columns()
    figures, note, legend = fit_figures(study, view_of(study).labels, columns)
    assert [key.label for key in legend] == ["epoch 6", "epoch 20", "epoch 60", "epoch 120", "without noise"]
    for figure, arm in zip(figures, study.arms, strict=True):
        fits = arm.runs[0].pictures.fits
        assert fits is not None
        rows, *curves, truth = figure.data
        assert columns.columns[rows["x"]] == shorten(fits.rows_x)
        assert columns.columns[rows["y"]] == shorten(fits.rows_y)
        assert [one["y"] for one in curves] == [shorten(one) for one in fits.predicted]
        assert all(columns.columns[one["x"]] == shorten(fits.x) for one in (*curves, truth))
        assert columns.columns[truth["y"]] == shorten(fits.truth)
        opacity = [one["opacity"] for one in curves]
        assert opacity == sorted(opacity)
        assert opacity[-1] == 1
        assert figure.caption.endswith("seed 0: epochs 6, 20, 60, 120")
    assert "Dotted: the function" in note


def test_epochs_that_differ_between_arms_stand_in_the_captions() -> None:
    study = made(["a", "b"], pictured=lambda k, rng: of_numbers(k, rng, curves=1 + 3 * k))
    figures, note, legend = fit_figures(study, view_of(study).labels, Columns())
    assert [key.label for key in legend] == ["early", "last", "without noise"]
    assert [one.caption.rpartition(": ")[2] for one in figures] == ["at its end", "epochs 6, 20, 60, 120"]
    assert "An arm with a single line was looked at once, at its end." in note


def test_an_early_curve_that_is_far_off_leaves_the_axis_to_the_others() -> None:
    study = a_study(1)
    run = study.arms[0].runs[0]
    fits = run.pictures.fits
    assert fits is not None
    wild = replace(fits, predicted=np.concatenate([[1e6 * fits.predicted[0]], fits.predicted[1:]]))
    runs = [replace(run, pictures=replace(run.pictures, fits=wild))]
    study = replace(study, arms=[replace(study.arms[0], runs=runs)])
    ((figure,), _, _) = fit_figures(study, view_of(study).labels, Columns())
    low, high = figure.layout["yaxis"]["range"]
    assert -3 < low < -1
    assert 1 < high < 3


def test_numbers_that_are_not_finite_are_drawn_as_nothing() -> None:
    study = a_study(1)
    run = study.arms[0].runs[0]
    left, fits = run.pictures.residuals, run.pictures.fits
    assert left is not None
    assert fits is not None
    lost = Pictures(
        residuals=replace(left, predicted=np.full(40, np.inf), middle=np.array([-np.inf, np.nan])),
        fits=replace(fits, predicted=np.full((4, 200), np.nan)),
    )
    study = replace(study, arms=[replace(study.arms[0], runs=[replace(run, pictures=lost)])])
    ((figure,), _) = residual_figures(study, view_of(study).labels)
    assert figure.data[0]["y"] == [None] * 40
    assert len(figure.layout["shapes"]) == 1
    text = page([Findings.of(study)])
    assert "Fitted curve" in text
    assert "Residuals" in text


def test_a_page_of_classes_has_neither() -> None:
    text = page([Findings.of(made(["a", "b"]))])
    assert "<h3>Residuals</h3>" not in text
    assert "<h3>Fitted curve</h3>" not in text
    text = page([Findings.of(a_study())])
    assert "<h3>Residuals</h3>" in text
    assert "<h3>Fitted curve</h3>" in text


def test_a_study_is_drawn_as_page_files_and_events(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    study = carry_out(ask(tmp_path / "s", "sine hidden=5,none epochs=4", "2", metric="test_rmse"))
    findings = Findings.of(study)
    written = {path.name for path in write_files([findings], tmp_path / "files")}
    assert {"residuals.png", "residuals.svg", "fitted-curve.png", "fitted-curve.svg"} <= written
    events = Events(tmp_path / "s")
    events.sync(findings)
    events.close()
    for arm in ("hidden=5", "hidden=none"):
        for seed, tags in ((0, {"residuals", "fitted curve"}), (1, set())):
            accumulator = EventAccumulator(str(tmp_path / "s" / "events" / arm / f"seed-{seed}"))
            accumulator.Reload()
            assert set(accumulator.Tags()["images"]) == tags
            # at the last step alone
            steps = [[one.step for one in accumulator.Images(tag)] for tag in tags]
            last = int(next(one for one in study.arms if one.name == arm).runs[0].curve["step"][-1])
            assert steps == [[last]] * len(tags)
