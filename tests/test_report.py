"""What people and scripts are shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import t

from paribus.findings.agreement import agreements
from paribus.findings.confounders import confounders
from paribus.findings.findings import Findings
from paribus.findings.summary import summarise
from paribus.records.record import ArmRecord, DatasetInfo, RunRecord, Status, StudyRecord
from paribus.report.files.curves import curves, data, draw
from paribus.report.show import as_json
from paribus.report.terminal.listing import listing
from paribus.report.terminal.listings import LISTINGS
from paribus.report.terminal.tables import results
from paribus.study.runner import carry_out
from tests.helpers import ask

CARD = DatasetInfo(
    name="moons",
    fingerprint="f" * 64,
    pool="p" * 64,
    source="made",
    classes=2,
    input_shape=(2,),
    train=80,
    validation=0,
    test=20,
    overlap=0,
)


def record(
    seed: int,
    losses: list[float],
    status: Status = Status.DONE,
    error: str | None = None,
    implementation: str = "numpy",
) -> RunRecord:
    n = len(losses)
    curve = {"step": np.arange(n) * 1.0, "epoch": np.arange(n) * 10.0, "train_loss": np.array(losses)}
    curve |= {
        "test_accuracy": 1 - np.array(losses),
        "train_accuracy": 1 - np.array(losses),
        "test_loss": np.array(losses),
    }
    return RunRecord(
        seed=seed,
        status=status,
        error=error,
        epochs=n,
        curve=curve if n else {},
        task=CARD,
        plan_hash="hash",
        attempt=1,
    )


def arm(name: str, runs: list[RunRecord], **settings: str) -> ArmRecord:
    return ArmRecord(name, {"implementation": "numpy", "split": "fixed", "optimizer.lr": 0.1, **settings}, runs)


def study(*arms: ArmRecord, name: str = "s", seeds: int = 3) -> StudyRecord:
    return StudyRecord(
        name=name, factors=["implementation"], seeds=list(range(seeds)), primary_metric="test_accuracy", arms=list(arms)
    )


def text(found: StudyRecord, width: int = 80) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(results(Findings.of(found), width))
    console.file.close()
    return console.export_text()


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_interval_is_students(n: int) -> None:
    values = np.random.default_rng(n).standard_normal(n)
    found = summarise([*values, None, float("nan"), float("inf")])
    low, high = t.interval(0.95, n - 1, loc=values.mean(), scale=values.std(ddof=1) / np.sqrt(n))
    assert found.n == n
    assert found.ci95 == pytest.approx((low, high), rel=1e-12)
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert found.sd == pytest.approx(values.std(ddof=1), rel=1e-12)
    assert found.values[n:] == [None] * 3


def test_what_is_not_there_is_none_and_never_0() -> None:
    assert summarise([]) == summarise([])
    assert (summarise([None, None]).mean, summarise([None]).n) == (None, 0)
    assert (summarise([0.5]).mean, summarise([0.5]).sd, summarise([0.5]).ci95) == (0.5, None, None)
    assert summarise([0.0, 0.0]).mean == 0.0


def test_the_contract_of_show_json() -> None:
    diverged = record(1, [0.9], Status.DIVERGED, "in epoch 2: ...")
    found = as_json(Findings.of(study(arm("a", [record(0, [0.5, 0.25]), diverged]), arm("b", []))))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found) >= {"schema_version", "study", "arms", "differences", "tuning", "diagnoses"}
    assert set(found["study"]) >= {"name", "factors", "seeds", "primary_metric", "warnings"}
    one, other = found["arms"]
    assert set(one) == {"name", "settings", "backend", "task", "runs", "metrics"}
    assert one["task"] == {
        "name": "moons", "fingerprint": "f" * 64, "source": "made", "train": 80, "validation": 0, "test": 20, "overlap": 0,
    }  # fmt: skip
    assert one["runs"][1] == {"seed": 1, "status": "diverged", "error": "in epoch 2: ...", "epochs": 1, "attempt": 1}
    assert one["metrics"]["test_accuracy"] == {
        "values": [0.75, None, None],
        "n": 1,
        "mean": 0.75,
        "sd": None,
        "ci95": None,
    }
    assert one["metrics"]["seconds_per_epoch"]["values"] == [None] * 3
    assert other["task"] is None
    assert other["metrics"]["test_accuracy"]["mean"] is None


def test_agreement_is_the_largest_gap_and_where() -> None:
    a = arm("a", [record(0, [0.5, 0.4]), record(1, [0.5, 0.4])])
    b = arm("b", [record(0, [0.5, 0.4]), record(1, [0.5, 0.425])], implementation="torch")
    (found,) = agreements(study(a, b))
    assert (found.gap, found.seeds, found.at_seed, found.at_epoch) == (pytest.approx(0.025), 2, 1, 10.0)
    assert "largest |difference| in train loss is 0.025, at seed 1, epoch 10." in " ".join(text(study(a, b)).split())


def test_agreement_is_only_of_arms_that_differ_in_implementation_alone() -> None:
    a, b = arm("a", [record(0, [0.5])]), arm("b", [record(0, [0.5])])
    other = ArmRecord("c", {**b.settings, "implementation": "torch", "optimizer.lr": 0.2}, b.runs)
    assert agreements(study(a, b)) == []
    assert agreements(study(a, other)) == []
    short = ArmRecord("d", {**b.settings, "implementation": "torch"}, [record(0, [0.5, 0.4])])
    (found,) = agreements(study(a, short))
    assert found.gap is None
    assert "No two curves" in text(study(a, short))


def test_the_table_fits_a_terminal_and_says_what_went_wrong() -> None:
    runs = [record(0, [0.5]), record(1, [], Status.FAILED, "MemoryError: no [bold]room"), record(2, [0.25])]
    shown = text(study(arm("a", runs), name="[red]moons[/red]"))
    assert max(map(len, shown.splitlines())) <= 80
    assert "[red]moons[/red] (3 seeds)" in shown
    assert "2/3" in shown
    assert "62.50 ±158.83" in shown
    assert "a: 1 run failed (seed 1): MemoryError: no [bold]room" in shown


def test_what_does_not_fit_is_named() -> None:
    wide = arm("a", [record(0, [0.5]), record(1, [0.4])], steps_per_epoch="all", init="normal:0.001")
    found = replace(study(wide), factors=["implementation", "steps_per_epoch", "init"])
    shown = text(found)
    assert max(map(len, shown.splitlines())) <= 80
    assert "normal:0.001" in shown
    assert "55.00 ±" in shown
    assert "no room for train accuracy, train loss" in " ".join(shown.split())
    assert "no room for" not in text(found, width=120)


def test_pictures_are_drawn(tmp_path: Path) -> None:
    made = carry_out(ask(tmp_path / "s", "moons hidden=5,none epochs=6 eval_every=2 init=default validation=0.1"))
    files = draw(Findings.of(made), tmp_path)
    assert [file.name for file in files] == ["curves.png", "data.png"]
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in files)
    figure = curves(Findings.of(made))
    assert figure is not None
    assert [axis.get_title() for axis in figure.axes[:3]] == ["train loss", "validation loss", "test loss"]
    assert all(len(axis.lines) == 4 for axis in figure.axes)  # arms x seeds
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), made.arms[0].runs[0].curve["train_loss"])
    boundaries = data(Findings.of(made))
    assert boundaries is not None
    assert [axis.get_title() for axis in boundaries.axes if axis.get_visible()] == [
        "hidden=5, seed 0",
        "hidden=none, seed 0",
    ]


def test_a_study_without_a_curve_has_no_picture_of_one(tmp_path: Path) -> None:
    made = carry_out(ask(tmp_path / "s", "moons lr=1e30,1e31 epochs=2 init=default"))
    assert [file.name for file in draw(Findings.of(made), tmp_path)] == ["data.png"]


@pytest.mark.parametrize("what", [one for one in LISTINGS if one != "plugins"])
def test_lists_name_everything(what: str) -> None:
    assert listing(what).row_count >= 1


def test_json_has_no_number_that_is_not_finite() -> None:
    huge = [record(0, [1e308]), record(1, [-1e308])]
    found = as_json(Findings.of(study(arm("a", huge), seeds=2)))
    text_ = json.dumps(found, allow_nan=False)
    assert json.loads(text_)["arms"][0]["metrics"]["test_loss"]["sd"] is None


def test_arms_look_different() -> None:
    many = study(*(arm(f"arm {i}", [record(0, [0.5, 0.4])]) for i in range(40)), seeds=1)
    figure = curves(Findings.of(many))
    assert figure is not None
    looks = {(line.get_color(), str(line._unscaled_dash_pattern)) for line in figure.axes[0].lines}
    assert len(looks) == 40


def test_no_agreement_is_claimed_of_a_run_that_is_not_done() -> None:
    a = arm("a", [record(0, [0.5, 0.4]), record(1, [0.5], Status.RUNNING)])
    b = arm("b", [record(0, [0.5, 0.4]), record(1, [0.5, 0.4])], implementation="torch")
    (found,) = agreements(study(a, b))
    assert (found.gap, found.seeds) == (0, 1)


def environment(torch: str, host: str = "here") -> dict[str, object]:
    return {"versions": {"torch": torch}, "machine": {"host": host}}


def test_unequal_arms_are_told_first() -> None:
    a = arm("a", [replace(record(0, [0.5, 0.4]), environment=environment("2.6"))])
    b = arm("b", [replace(record(0, [0.5, 0.4, 0.3]), environment=environment("2.13"))], implementation="torch")
    found = study(a, b, seeds=1)
    assert confounders(found) == [
        "Arms are unequal in the number of steps. 1 step: a; 2 steps: b",
        "Arms are unequal in package versions. torch 2.6: a; torch 2.13: b",
    ]
    assert "unequal in the number of steps" in " ".join(text(found).split("numpy")[0].split())
    assert as_json(Findings.of(found))["study"]["warnings"] == confounders(found)


def test_other_data_is_told_unless_a_factor_makes_it() -> None:
    other = replace(CARD, fingerprint="e" * 64)
    a, b = arm("a", [record(0, [0.5])]), arm("b", [replace(record(0, [0.5]), task=other)])
    assert "moons ffffffffffff: a; moons eeeeeeeeeeee: b" in confounders(study(a, b))[0]
    assert confounders(replace(study(a, b), factors=["task.noise"])) == []
    assert confounders(study(a, arm("b", [record(0, [0.5])]))) == []
