"""Early stopping: where a run ends, which evaluation is reported, and what is told of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import paribus
from paribus.config.overrides import SettingsError
from paribus.config.settings import Settings
from paribus.config.stopping import MONITORS, Stopping, StoppingState
from paribus.findings.findings import Findings
from paribus.plan import Plan
from paribus.records.checkpoint import Checkpoint
from paribus.records.metrics import metric_named
from paribus.records.record import Evaluation, StudyRecord
from paribus.records.run import Callback, Run
from paribus.report.series import boundary_frames
from paribus.report.show import as_json
from paribus.study.reading import read
from paribus.study.runner import carry_out
from paribus.study.store import Store
from paribus.tasks import load
from tests.conftest import Called, Recorder, settings_of
from tests.helpers import ask, make_learner

Fit = Callable[..., Recorder]
WORDS = "task=diabetes epochs=60 lr=0.05 hidden=64 validation=0.25 patience=4 implementation="
BACKENDS = ("torch", "numpy")


def stopped(values: list[float], patience: int, min_delta: float) -> tuple[int, int]:
    """The place at which a run ends, and the best: written out plainly."""
    reference, since, seen = math.inf, 0, list[float]()
    for value in values:
        seen.append(value)
        if value < reference - min_delta:
            reference, since = value, 0
        else:
            since += 1
        if since >= patience:
            break
    return len(seen) - 1, int(np.argmin(seen))


@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=30),
    st.integers(1, 5),
    st.sampled_from([0.0, 1.0, 2.5]),
    st.booleans(),
)
def test_the_rule_is_the_plain_one(seen: list[int], patience: int, min_delta: float, lower: bool) -> None:
    monitor = "validation_loss" if lower else "validation_accuracy"
    rule, state = Stopping(patience, min_delta, monitor), StoppingState()
    for place, value in enumerate(seen):
        state = rule.after(state, place, value if lower else -value)
        if rule.ends(state):
            break
    assert (place, state.step) == stopped([float(one) for one in seen], patience, min_delta)


def test_every_monitor_has_the_direction_of_its_metric() -> None:
    own = {name: one for name, one in paribus.records.metrics.OF_NUMBERS.items() if name != "loss"}
    for name, lower in MONITORS.items():
        assert metric_named(name, own).direction == ("lower" if lower else "higher"), name


@pytest.mark.parametrize("implementation", BACKENDS)
@pytest.mark.parametrize("more", ["", " min_delta=0.02", " monitor=validation_r2 min_delta=0.01"])
def test_a_run_ends_and_goes_back_to_its_best_evaluation(fit: Fit, implementation: str, more: str) -> None:
    one, whole = (
        fit(f"{WORDS}{implementation}{more}", keep=("weights", "predictions")),
        fit(WORDS.replace(" patience=4", "") + implementation),
    )
    sign = -1 if "r2" in more else 1
    curve = [sign * value for value in one.curve("validation_r2" if "r2" in more else "validation_loss")]
    delta = 0.02 if more.startswith(" min") else 0.01 if more else 0.0
    assert stopped(curve, 4, delta)[0] == len(curve) - 1 < 59
    assert one.curve("test_loss") == whole.curve("test_loss")[: len(curve)]  # the same run, cut off
    assert one.outcomes[0].epochs == len(curve)
    best, settings = stopped(curve, 4, delta)[1], settings_of(WORDS + implementation + more)
    assert best < len(curve) - 1
    task = load(settings, 0)
    learner = make_learner(settings, task, Plan(0))
    assert one.outcomes[0].weights is not None
    learner.load(one.outcomes[0].weights)
    assert learner.evaluate("test").loss == pytest.approx(one.curve("test_loss")[best], rel=1e-6)
    predictions = one.outcomes[0].predictions
    assert predictions is not None
    assert np.sqrt(np.mean((predictions - task.test.y) ** 2)) == pytest.approx(one.curve("test_rmse")[best], rel=1e-6)


def test_running_statistics_go_back_too(fit: Fit) -> None:
    words = (
        "task=moons epochs=40 lr=1 init=default hidden=8 norm=batch validation=0.2 patience=3 eval_every=1 noise=0.4"
    )
    one, other = (fit(f"{words} implementation={name}") for name in BACKENDS)
    best = int(np.argmin(one.curve("validation_loss")))
    short = fit(f"{words.replace('epochs=40', f'epochs={best + 1}').replace(' patience=3', '')} implementation=torch")
    assert best + 1 < len(one.rows) == len(other.rows)
    for name, value in (short.outcomes[0].weights or {}).items():
        np.testing.assert_array_equal((one.outcomes[0].weights or {})[name], value, err_msg=name)


# --- a study ---------------------------------------------------------------------------------------------------------


def runs(study: StudyRecord) -> dict[tuple[str, int], object]:
    return {(arm.name, run.seed): run for arm in study.arms for run in arm.runs}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    words = "diabetes hidden=8,64 epochs=60 lr=0.05 validation=0.25 patience=4"
    folder = tmp_path_factory.mktemp("early") / "s"
    return carry_out(ask(folder, words, seeds="6", metric="test_rmse"))


def test_the_score_is_the_one_at_the_best_validation_evaluation(study: StudyRecord) -> None:
    findings = Findings.of(study)
    for arm in study.arms:
        for place, run in enumerate(arm.runs):
            best = int(np.argmin(run.curve["validation_loss"]))
            assert run.reported == best
            assert findings.values[arm.name]["test_rmse"][place] == run.curve["test_rmse"][best]
    assert any(run.reported < len(run.curve["epoch"]) - 1 for arm in study.arms for run in arm.runs)
    assert len({len(run.curve["epoch"]) for arm in study.arms for run in arm.runs}) > 2


def test_it_is_said_and_is_no_confounder(study: StudyRecord) -> None:
    findings = Findings.of(study)
    assert findings.confounders == []
    assert len(findings.stopped_early) == 2
    line = findings.stopped_early[0]
    assert line.startswith("hidden=8: early stopping ended 6 of 6 runs before epoch 60, at epochs ")
    assert "the scores are those of the evaluation with the best validation loss, at epochs " in line
    told = as_json(findings)
    assert told["study"]["early_stopping"] == findings.stopped_early
    run = study.arms[0].runs[0]
    assert told["arms"][0]["runs"][0]["reported_epoch"] == run.curve["epoch"][run.reported]
    assert set(findings.stopped_early) <= set(findings.notes)
    for arm in study.arms:
        band, lengths = findings.band(arm.name, "test_rmse"), [len(run.curve["epoch"]) for run in arm.runs]
        assert band is not None
        assert (band.runs, len(band.epochs)) == (6, min(lengths))
    assert any(len(arm.runs[0].curve["epoch"]) > len(run.curve["epoch"]) for arm in study.arms for run in arm.runs)


def test_the_terminal_and_the_page_say_it(called: Called, tmp_path: Path) -> None:
    done = called("train", "sine", "epochs=40", "lr=0.1", "validation=0.25", "patience=2", "--seeds", "2", "--out", "s")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "the scores are those of the evaluation with the best validation loss" in said
    assert called("report", "s").returncode == 0
    assert "the evaluation with the best validation loss" in (tmp_path / "s" / "report.html").read_text()
    assert json.loads(called("show", "s", "--json").stdout)["study"]["early_stopping"]


def test_a_study_without_it_says_nothing(tmp_path: Path) -> None:
    found = Findings.of(carry_out(ask(tmp_path / "s", "moons epochs=3 eval_every=1", seeds="2")))
    assert found.stopped_early == []
    assert "reported_epoch" not in as_json(found)["arms"][0]["runs"][0]


# --- killed ----------------------------------------------------------------------------------------------------------


class Killed(Callback):
    """Writes every checkpoint; ends the run as if it were killed after some of them."""

    def __init__(self, survive: int) -> None:
        self.left = survive

    def on_checkpoint(self, run: Run, checkpoint: Checkpoint) -> None:
        assert run.checkpoint is not None
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        checkpoint.write(run.checkpoint, run.identity())


@pytest.mark.parametrize("implementation", BACKENDS)
def test_a_killed_run_ends_where_it_would_have(tmp_path: Path, implementation: str) -> None:
    """After the best evaluation too: its state has to be in the checkpoint."""
    from paribus.backends.dispatch import train

    settings, keep = settings_of(WORDS + implementation), frozenset({"weights"})

    def trained(callback: Callback, path: Path | None) -> Recorder:
        recorder = Recorder()

        class Both(Callback):
            def on_evaluation(self, run: Run, row: Evaluation) -> None:
                recorder.on_evaluation(run, row)

            def on_run_end(self, run: Run, outcome: object) -> None:
                recorder.on_run_end(run, outcome)  # type: ignore[arg-type]

            def on_checkpoint(self, run: Run, checkpoint: Checkpoint) -> None:
                callback.on_checkpoint(run, checkpoint)

        run = Run(settings, 0, keep, checkpoint=path, checkpoint_seconds=1e-9 if path else 0.0)
        train([run], lambda one: load(one.settings, one.seed), Both())
        return recorder

    whole = trained(Callback(), None)
    best = int(np.argmin(whole.curve("validation_loss")))
    per_epoch = whole.rows[0].step
    for survive in (best * per_epoch + 2, (best + 2) * per_epoch + 1):
        path = tmp_path / f"checkpoint{survive}"
        with pytest.raises(KeyboardInterrupt):
            trained(Killed(survive), path)
        resumed = trained(Killed(10**9), path)
        assert 0 < len(resumed.rows) < len(whole.rows)
        assert resumed.rows[-1].step == whole.rows[-1].step
        for name, value in (whole.outcomes[0].weights or {}).items():
            np.testing.assert_array_equal((resumed.outcomes[0].weights or {})[name], value, err_msg=name)


# --- the user's own modules ------------------------------------------------------------------------------------------


def test_a_module_of_ones_own_goes_back_or_says_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).standard_normal((120, 3))
    data = paribus.data(x, x[:, 0] + np.random.default_rng(1).standard_normal(120), name="own")

    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.seen = nn.Linear(3, 1), 0.0

        def forward(self, x: object) -> object:
            if self.training:
                self.seen += 1
            return self.layer(x) * (1 + 1e-3 * self.seen)

    options = {"lr": 0.2, "epochs": 40, "validation": 0.25, "patience": 2, "seeds": 1, "keep": "predictions"}
    for name, make, restored in (("plain", lambda: nn.Linear(3, 1), True), ("counts", Counts, False)):
        study = paribus.train(data, model=make, out=tmp_path / name, **options)
        (run,) = study.record.arms[0].runs
        assert run.reported < len(run.curve["epoch"]) - 1
        assert ("what is kept of it is its last step" in capsys.readouterr().err) != restored
        kept = study_predictions(tmp_path / name)
        y = load(study_settings(study, data, make, options), 0).test.y
        place = run.reported if restored else -1
        assert np.sqrt(np.mean((kept - y) ** 2)) == pytest.approx(run.curve["test_rmse"][place], rel=1e-5)


def study_predictions(folder: Path) -> np.ndarray:
    from paribus.study.packing import unpack

    study = read(folder)
    return unpack(Store.open(folder).artifact(study.arms[0].name, 0, "predictions") or b"")["predictions"]


def study_settings(study: object, data: object, make: object, options: dict[str, object]) -> Settings:
    from paribus.config.overrides import build

    return build({"task": data, "validation": options["validation"]})


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("task=moons patience=3", "patience=3 watches validation_loss, and validation=0 leaves no validation split"),
        ("task=moons min_delta=0.1", "min_delta=0.1 has no effect without early stopping"),
        ("task=moons monitor=validation_accuracy", "monitor=validation_accuracy has no effect without early stopping"),
        (
            "task=moons validation=0.2 patience=3 monitor=validation_rmse",
            "monitor=validation_rmse is not measured: moons",
        ),
        (
            "task=sine validation=0.2 patience=3 monitor=validation_accuracy",
            "is not measured: sine has numbers to predict",
        ),
        ("task=moons validation=0.2 patience=0", "patience=0 is not allowed"),
        ("task=moons validation=0.2 patience=all", "patience=all is not allowed"),
        ("task=moons validation=0.2 patience=3 monitor=test_loss", "monitor=test_loss is not allowed"),
        (
            "task=moons validation=0.2 patience=3 implementation=fused",
            "patience=3 has no effect with implementation=fused",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(words: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        settings_of(words)


def test_auto_takes_torch() -> None:
    assert settings_of("task=moons validation=0.2 patience=3").implementation == "torch"


# --- its pictures ----------------------------------------------------------------------------------------------------


def test_the_last_boundary_is_told_at_the_evaluation_that_it_is_of(tmp_path: Path) -> None:
    words = "moons hidden=8 epochs=48 eval_every=1 lr=0.5 validation=0.3 patience=4 implementation=numpy"
    run = carry_out(ask(tmp_path / "s", words, seeds="1")).arms[0].runs[0]
    best, frames, shown = run.curve["epoch"][run.reported], run.pictures.frames, boundary_frames(run)
    assert best < run.epochs < 48  # and frames were taken after it
    assert frames is not None
    assert run.boundary is not None
    assert shown is not None
    assert frames.epochs[-1] == best
    assert (np.diff(frames.epochs) > 0).all()
    np.testing.assert_array_equal(frames.classes[-1], run.boundary.classes)
    assert shown[1][-1][0] == best
