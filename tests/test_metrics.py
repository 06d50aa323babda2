"""Metrics: which values are better is said, never read off a name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error

import paribus
from paribus.commands import print_study
from paribus.config.overrides import SettingsError
from paribus.config.user_code import user_defined
from paribus.findings.findings import Findings
from paribus.findings.targets import evaluation_reached
from paribus.records.metrics import BUILT_IN, DERIVED_METRICS, MEASURED, SPLITS, Format, Metric, metric_named
from paribus.records.record import Status, Target
from paribus.report.page.page import page
from paribus.report.show import as_json
from paribus.study.reading import read
from paribus.study.spec import request
from paribus.study.stages import stages
from paribus.study.store import StoreError
from tests.helpers import edited
from tests.test_report import record

SOURCE = Path(paribus.__file__).parent
SMALL: dict[str, Any] = {"hidden": "5", "init": "default", "eval_every": 1, "epochs": 6, "seeds": 2}


def ones(_: Any, predicted: Any) -> float:
    """The share of predictions that are class 1: it does not go with accuracy."""
    return float(predicted.mean())


# --- what a metric is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_the_built_in_ones_know_their_direction(split: str) -> None:
    assert metric_named(f"{split}_accuracy").direction == "higher"
    assert metric_named(f"{split}_loss").direction == "lower"
    assert metric_named(f"{split}_loss_jitter").direction == "lower"


def test_every_metric_that_findings_derive_is_in_the_registry() -> None:
    assert set(DERIVED_METRICS) <= set(BUILT_IN)
    lower = {name for name in DERIVED_METRICS if BUILT_IN[name].direction == "lower"}
    assert lower == {
        "seconds_per_epoch", "seconds_per_evaluation", "peak_memory_mb", "gpu_allocated_mb", "gpu_reserved_mb",
        "gpu_energy_j", "train_loss_jitter", "epochs_to_target", "seconds_to_target",
    }  # fmt: skip
    higher = {name for name in DERIVED_METRICS if BUILT_IN[name].direction == "higher"}
    assert higher == {"examples_per_second", "best_test_accuracy"}


ENDINGS = ["loss", "accuracy", "jitter", "loss_jitter", "to_target", "mb", ""]


@given(
    st.sampled_from(SPLITS),
    st.from_regex(r"[a-z]{1,4}_", fullmatch=True),
    st.sampled_from(ENDINGS),
    st.sampled_from(["higher", "lower", None]),
)
def test_a_name_says_nothing(split: str, start: str, end: str, direction: Any) -> None:
    name = start + end
    plain = metric_named(f"{split}_{name}")
    assert (plain.direction, plain.unit, plain.format) == (None, "", Format())
    mine = Metric(name, direction, "m", Format(places=2))
    found = metric_named(f"{split}_{name}", {name: mine})
    assert (found.direction, found.unit, found.format) == (direction, "m", Format(places=2))


def test_nothing_in_the_source_reads_a_direction_or_a_unit_off_a_name() -> None:
    words = "loss|accuracy|jitter|to_target|seconds|gpu_|_mb"
    inferring = re.compile(rf"(endswith|startswith|removesuffix)\([^)]*[\"'(]_?({words})")
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if inferring.search(line) and path.name != "metrics.py"
    ]
    assert found == []


@given(st.integers(0, 9), st.floats(-1e3, 1e3))
def test_a_format_is_pythons_own(places: int, value: float) -> None:
    plain, percent = (Metric("m", format=Format.parse(f".{places}{kind}")) for kind in "f%")
    assert plain.told(value) == format(value, f".{places}f")
    assert percent.told(value) == f"{100 * value:.{places}f}"


@pytest.mark.parametrize("text", ["", "2f", ".f", ".12f", ".2e", "%", ".2f "])
def test_formats_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="format is decimal places"):
        Format.parse(text)


def test_a_metric_has_one_direction() -> None:
    with pytest.raises(ValueError, match="not both"):
        paribus.metric(ones, lower=True, higher=True)
    with pytest.raises(ValueError, match="a metric is a function"):
        paribus.metric(0.5, lower=True)  # type: ignore[arg-type]


@given(
    st.builds(
        Metric,
        st.just("m"),
        st.sampled_from(["higher", "lower", None]),
        st.text(max_size=3),
        st.builds(Format, places=st.integers(0, 9), suffix=st.sampled_from(["", " %"])),
    )
)
def test_a_record_gives_back_what_it_was_given(one: Metric) -> None:
    assert Metric.of("m", json.loads(json.dumps(one.as_data()))) == one


# --- a target --------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0, 1), st.sampled_from(["higher", "lower"]))
def test_a_target_is_reached_from_its_own_side(curve: list[float], value: float, direction: Any) -> None:
    run = record(0, curve, Status.DONE)
    run.curve["test_mine"] = np.array(curve)
    holds = [one <= value if direction == "lower" else one >= value for one in curve]
    first = next((i for i in range(len(curve)) if all(holds[i:])), None)
    assert evaluation_reached(run, Target("test_mine", value, direction)) == first
    assert evaluation_reached(run, Target("test_mine", value, None)) is None


def test_a_lower_metric_reaches_its_target_from_above(tmp_path: Path) -> None:
    metrics = {"mae": paribus.metric(mean_absolute_error, lower=True)}
    study = paribus.train(
        "moons", metrics=metrics, target="test_mae=0.25", out=tmp_path / "s", **{**SMALL, "epochs": 40, "lr": 0.02}
    )
    curves = study.curves()
    assert (curves.groupby("seed")["test_mae"].first() > 0.25).all()  # at first it has not been reached
    for seed, epochs in zip(study.record.seeds, study.findings.values[""]["epochs_to_target"], strict=True):
        mine = curves[curves["seed"] == seed]
        assert epochs == mine[mine["test_mae"] <= 0.25]["epoch"].min()
    assert as_json(study.findings)["targets"]["direction"] == "lower"


@pytest.mark.parametrize("asked", [{"target": "test_ones=0.1"}, {"tune": {"lr": [0.1, 0.2]}, "metric": "test_ones"}])
def test_where_the_direction_matters_it_is_asked_for(asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        paribus.train("moons", metrics={"ones": ones}, out=tmp_path / "s", **SMALL, **asked)
    (mistake,) = refused.value.mistakes
    assert "needs to know which values of ones are better" in mistake
    assert 'metrics={"ones": paribus.metric(f, lower=True)} or higher=True' in mistake
    assert not (tmp_path / "s").exists()


def test_a_name_that_the_built_in_ones_need_is_refused(tmp_path: Path) -> None:
    for name in ("loss", "accuracy", "loss_jitter", "seconds"):
        with pytest.raises(SettingsError, match=f"metric '{name}' is not allowed"):
            paribus.train("moons", metrics={name: ones}, out=tmp_path / "s", **SMALL)


# --- tuning ----------------------------------------------------------------------------------------------------------


def hits(truth: Any, predicted: Any) -> float:
    return float((truth == predicted).mean())


def misses(truth: Any, predicted: Any) -> float:
    return float((truth != predicted).mean())


@pytest.mark.parametrize(
    ("measured", "best"), [(paribus.metric(hits, lower=True), min), (paribus.metric(misses, higher=True), max)]
)
def test_tuning_selects_by_the_primary_metric_in_its_direction(measured: Any, best: Any, tmp_path: Path) -> None:
    """By directions that are the wrong way round: accuracy would choose the opposite."""
    study = paribus.compare(
        "moons",
        optimizer=["sgd", "adam"],
        metrics={"mine": measured},
        metric="test_mine",
        tune={"lr": [0.0001, 0.03, 0.3]},
        tune_seeds=2,
        out=tmp_path / "s",
        **{**SMALL, "epochs": 4},
    )
    tuning = study.record.tuning
    assert tuning is not None
    assert tuning.metric == "validation_mine"
    tried = paribus.open(tmp_path / "s" / "tuning").table()
    for arm in tuning.arms:
        mine = tried[tried["optimizer"] == arm.arm.partition("=")[2]]
        means = mine.groupby("optimizer.lr")["validation_mine"].mean()
        accuracies = mine.groupby("optimizer.lr")["validation_accuracy"].mean()
        assert means[arm.chosen["optimizer.lr"]] == best(means)
        assert accuracies[arm.chosen["optimizer.lr"]] < max(accuracies)


def test_a_study_that_is_being_tuned_knows_its_metrics(tmp_path: Path) -> None:
    asked = request(
        "moons",
        ["hidden=5", "epochs=1"],
        compare=False,
        seeds=range(3),
        metric="test_mine",
        out=tmp_path / "s",
        tune=[("lr", [0.1, 0.2])],
        tune_seeds=1,
        metrics=(user_defined(hits, "mine"),),
        measured=(Metric("mine", "lower", "hits"),),
    )
    next(stages(asked))
    study = read(tmp_path / "s")
    assert study.tuning is not None
    assert study.metric(study.tuning.metric) == Metric("validation_mine", "lower", "hits")


# --- what the record holds -------------------------------------------------------------------------------------------


def trained(folder: Path, mae: object, **more: Any) -> paribus.Study:
    return paribus.compare("moons", lr=[0.1, 0.5], metrics={"mae": mae}, out=folder, **{**SMALL, **more})  # type: ignore[dict-item]


def shown(folder: Path, capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> str:
    """What `paribus show` prints."""
    capsys.readouterr()
    print_study(Findings.of(read(folder)), as_json=as_json)
    return capsys.readouterr().out


def test_direction_unit_and_format_come_back_from_the_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = paribus.metric(mean_absolute_error, lower=True, unit="classes", format=".1%")
    trained(tmp_path / "s", said, metric="test_mae", target="test_mae=0.4")
    study = read(tmp_path / "s")
    assert study.metric("test_mae") == Metric("test_mae", "lower", "classes", Format.parse(".1%"))
    assert study.target == Target("test_mae", 0.4, "lower")
    found = json.loads(shown(tmp_path / "s", capsys, as_json=True))
    assert found["metrics"]["test_mae"] == {"direction": "lower", "unit": "classes"}
    assert found["metrics"]["test_loss"] == {"direction": "lower", "unit": "nats"}
    assert set(found["metrics"]) >= set(found["arms"][0]["metrics"])
    mean = found["arms"][0]["metrics"]["test_mae"]["mean"]
    assert f"{100 * mean:.1f} ±" in shown(tmp_path / "s", capsys)
    assert "test mae %" in page([Findings.of(study)])


def test_what_is_better_is_the_same_in_every_part_of_a_study(tmp_path: Path) -> None:
    trained(tmp_path / "s", mean_absolute_error)  # nothing said yet
    trained(tmp_path / "s", paribus.metric(mean_absolute_error, lower=True))
    assert read(tmp_path / "s").metric("test_mae").direction == "lower"
    for other, here in (
        (paribus.metric(mean_absolute_error, higher=True), "higher"),
        (mean_absolute_error, "not said"),
    ):
        with pytest.raises(StoreError, match=rf"which values of mae are better \(lower there, {here} here\)"):
            trained(tmp_path / "s", other)


def test_a_folder_of_an_older_version_tells_no_direction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = trained(tmp_path / "s", paribus.metric(mean_absolute_error, lower=True), target="test_mae=0.4")
    with edited(tmp_path / "s") as connection:
        connection.execute("DELETE FROM study WHERE key = 'measured'")
    old = Findings.of(read(tmp_path / "s"))
    assert old.metric("test_mae").direction is None
    assert (
        old.metric("test_loss")
        == study.findings.metric("test_loss")
        == MEASURED["loss"].__class__("test_loss", "lower", "nats", MEASURED["loss"].format)
    )
    assert old.target is None
    assert (old.reached, old.earlier) == ([], [])
    assert "Nothing is said of the target test_mae=0.4" in old.warnings[0]
    assert "epochs_to_target" not in old.names
    assert "Nothing is said of the target" in shown(tmp_path / "s", capsys)
    again = trained(tmp_path / "s", paribus.metric(mean_absolute_error, lower=True), target="test_mae=0.4")
    assert again.findings.reached == study.findings.reached
