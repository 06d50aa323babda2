"""Findings: computed once, and shown by renderers that compute nothing."""

from __future__ import annotations

import ast
import importlib
import inspect
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

import paribus
from paribus.findings import findings as room
from paribus.findings.agreement import agreements
from paribus.findings.claims import verdicts
from paribus.findings.confounders import confounders
from paribus.findings.differences import differences
from paribus.findings.findings import Findings
from paribus.findings.targets import earlier, reached
from paribus.records.claims import Claim, Condition
from paribus.records.metrics import TO_TARGET
from paribus.records.record import Status, StudyRecord, Target
from paribus.report.files.curves import draw
from paribus.report.files.files import write_files
from paribus.report.page.page import page
from paribus.report.page.tables import differences_csv
from paribus.report.show import as_json
from paribus.report.terminal.tuned import study_results
from tests.test_page import made, with_tuning

REPORT = Path(paribus.__file__).parent / "report"
CLAIM = Claim("C1", "adam is better", (Condition("test_accuracy", higher="optimizer=adam", lower="optimizer=sgd"),))
COMPUTING = (
    "agreements", "arm_band", "confounders", "derived_metrics", "differences", "earlier", "metrics", "reached",
    "summarise", "troubles", "values", "verdicts", "warnings",
)  # fmt: skip
"""The functions that findings are made by."""


def compared() -> StudyRecord:
    study = made(["adam", "sgd", "rmsprop"], seeds=7)
    claim = replace(
        CLAIM, conditions=(Condition("test_accuracy", higher=study.arms[0].name, lower=study.arms[1].name),)
    )
    return replace(study, target=Target("test_accuracy", 0.5, "higher"), claims=(claim,))


def render(found: Findings, folder: Path) -> None:
    """Everything that there is to see of a study."""
    Console(file=io.StringIO(), width=200).print(study_results(found, 200))
    page([found])
    as_json(found)
    write_files([found], folder / "files")
    draw(found, folder)


def named(function: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """A call, so that two with the same things have one name: findings keep their columns, in new mappings."""
    said: list[Any] = []
    for one in arguments:
        said += map(id, one.values()) if isinstance(one, dict) else [one if isinstance(one, str) else id(one)]
    return (function, *said)


@pytest.mark.parametrize("study", [compared(), with_tuning()], ids=["compared", "tuned"])
def test_each_finding_is_computed_once_however_it_is_shown(
    study: StudyRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[tuple[Any, ...]] = Counter()
    kept = []  # what was given lives until the end: no two things have one id

    def counted(name: str, function: Any) -> Any:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            kept.append(arguments)
            calls[named(name, arguments)] += 1
            return function(*arguments, **more)

        return wrapped

    for name in COMPUTING:
        monkeypatch.setattr(room, name, counted(name, getattr(room, name)))
    render(Findings.of(study), tmp_path)
    assert {call[0] for call in calls} >= {
        "agreements",
        "arm_band",
        "confounders",
        "differences",
        "summarise",
        "values",
    }
    assert [call for call, times in calls.items() if times > 1] == []


def test_renderers_take_values_from_findings_and_no_function() -> None:
    taken = []
    for path in sorted(REPORT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not [one.name for one in node.names if one.name.startswith("paribus.findings")], path
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("paribus.findings"):
                module = importlib.import_module(str(node.module))
                taken += [(path, one.name, getattr(module, one.name)) for one in node.names]
    assert {name for _, name, _ in taken} >= {"Findings", "Difference", "Summary", "Verdict"}
    functions = [
        (path.name, name) for path, name, thing in taken if inspect.isroutine(thing) or inspect.ismodule(thing)
    ]
    assert functions == []


def test_they_are_what_the_functions_find() -> None:
    study = compared()
    found = Findings.of(study)
    assert found.agreements == agreements(study)
    assert found.confounders == confounders(study)
    assert found.target is not None
    assert found.reached == reached(study, found.target)
    assert found.earlier == earlier(study, found.target)
    assert found.verdicts == verdicts(study)
    assert [one.metric for one in found.differences[:3]] == ["test_accuracy"] * 3
    assert found.differences[:3] == found.primary == found.on("test_accuracy")
    assert not {one.metric for one in found.differences} & set(TO_TARGET)
    losses = {arm.name: [run.final("test_loss") for run in arm.runs] for arm in study.arms}
    assert found.on("test_loss") == differences(losses, "test_loss", primary=False)


def test_summaries_are_scipys() -> None:
    found = Findings.of(compared())
    for arm in found.study.arms:
        column = np.array([run.curve["test_loss"][-1] for run in arm.runs])
        summary = found.summaries[arm.name]["test_loss"]
        assert summary.mean == pytest.approx(column.mean(), rel=1e-12)
        expected = stats.t.interval(0.95, len(column) - 1, loc=column.mean(), scale=stats.sem(column))
        assert summary.ci95 == pytest.approx(expected, rel=1e-12)


def test_a_study_in_python_has_them(tmp_path: Path) -> None:
    study = paribus.compare(
        "moons",
        lr=[0.1, 0.5],
        tune={"momentum": [0, 0.9]},
        tune_seeds=1,
        epochs=2,
        seeds=2,
        hidden="5",
        out=tmp_path / "s",
    )
    assert study.findings is study.findings
    assert study.shared is not None
    assert study.shared.findings is study.findings.shared
    assert study.differences("test_loss")["mean"].tolist() == [one.mean for one in study.findings.on("test_loss")]
    assert study.warnings() == [*study.findings.confounders, *study.findings.warnings]


def test_a_band_is_made_once() -> None:
    """It is drawn in several pictures."""
    found = Findings.of(compared())
    arm, metric = found.study.arms[0].name, found.study.primary_metric
    assert found.band(arm, metric) is not None
    assert found.band(arm, metric) is found.band(arm, metric)


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.FAILED])
def test_runs_without_a_score_are_the_worst(status: Status) -> None:
    """Of an accuracy the lowest, of a loss the highest; a run that was interrupted says nothing."""
    study = made(["adam", "sgd"], seeds=10)

    def with_status(what: Status, count: int) -> Findings:
        first = study.arms[0]
        runs = [replace(run, status=what) if k < count else run for k, run in enumerate(first.runs)]
        return Findings.of(replace(study, arms=[replace(first, runs=runs), *study.arms[1:]]))

    lost = with_status(status, 10)
    assert [one.verdict for one in lost.on("test_accuracy")] == ["b higher"]
    (loss,) = lost.on("test_loss")
    assert (loss.by_ranks, loss.p, loss.verdict) == (True, 2 / 2**10, None)
    assert Findings.of(replace(lost.study, primary_metric="test_loss")).primary[0].verdict == "a higher"
    (some,) = with_status(status, 2).primary
    assert (some.by_ranks, some.pairs) == (True, 8)
    (stopped,) = with_status(Status.INTERRUPTED, 2).primary
    assert (stopped.by_ranks, stopped.pairs) == (False, 8)


def test_a_run_that_ended_without_a_value_is_not_left_out_in_silence() -> None:
    study = made(["adam", "sgd"], seeds=10)
    first = study.arms[0]
    runs = [
        replace(run, curve={**run.curve, "test_accuracy": run.curve["test_accuracy"] * (np.nan if k < 3 else 1)})
        for k, run in enumerate(first.runs)
    ]
    (found,) = Findings.of(replace(study, arms=[replace(first, runs=runs), *study.arms[1:]])).primary
    assert (found.verdict, found.p) == ("not judged", None)
    assert found.note == "3 of 10 seeds have no value of one arm, and why is not known"


@pytest.mark.parametrize("metric", ["seconds_per_epoch", "train_loss_jitter"])
def test_a_run_that_diverged_is_no_slow_one(metric: str) -> None:
    study = made(["adam", "sgd"], seeds=10)
    first = study.arms[0]
    runs = [
        replace(run, timed=True, status=Status.DIVERGED if k < 8 else run.status) for k, run in enumerate(first.runs)
    ]
    other = replace(study.arms[1], runs=[replace(run, timed=True) for run in study.arms[1].runs])
    lost = replace(study, arms=[replace(first, runs=runs), other], primary_metric=metric)
    (found,) = Findings.of(lost).primary
    assert (found.verdict, found.by_ranks) == ("not judged", False)


def test_a_table_of_differences_has_numbers_alone() -> None:
    """Each interval in two columns, each effect in its own."""
    found = Findings.of(made(["adam", "sgd"], seeds=8)).primary
    head, row = (line.split(",") for line in differences_csv(found).splitlines())
    cells = dict(zip(head, row, strict=True))
    for name in ("d_z", "share_a_higher_ci95_low", "interval_low", "interval_high", "ci95_high"):
        float(cells[name])
    assert not any(sign in cell for cell in row for sign in "({[")
