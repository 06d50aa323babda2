"""Scores and data at the ends of what a number can be, and studies with next to nothing in them: shown and drawn
without a word from NumPy or Matplotlib."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from paribus.findings.claims import verdict
from paribus.findings.findings import Findings
from paribus.records.claims import Claim, Condition
from paribus.records.record import StudyRecord
from paribus.report.files.curves import draw
from paribus.report.files.files import write_files
from paribus.report.page.page import page
from paribus.report.show import as_json
from paribus.report.terminal.tables import results
from paribus.study.reading import read
from paribus.study.runner import carry_out
from tests.helpers import ask

ENDS = [1.7e308, 1e308, 1e200, 1e155, 1e-200, 5e-324]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    folder = tmp_path_factory.mktemp("made") / "s"
    carry_out(ask(folder, "moons hidden=5,none epochs=6 eval_every=2 init=default implementation=numpy", "3"))
    return read(folder)


def everywhere(study: StudyRecord, value: float) -> StudyRecord:
    """The same with this value, and its negative, in place of every score and every coordinate."""
    arms = []
    for a, arm in enumerate(study.arms):
        runs = []
        for run in arm.runs:
            sign = (-1.0) ** (np.arange(len(run.curve["epoch"])) + a + run.seed)
            kept = ("epoch", "step", "train_seconds", "eval_seconds")
            curve = {name: column if name in kept else value * sign for name, column in run.curve.items()}
            assert run.points is not None
            points = {name: value * np.sign(of) if name.endswith("_x") else of for name, of in run.points.items()}
            runs.append(replace(run, curve=curve, points=points))
        arms.append(replace(arm, runs=runs))
    a, b = (arm.name for arm in arms)
    conditions = (
        Condition("test_loss", higher=a, lower=b),
        Condition("test_loss", alike=(a, b), margin=0.1),
        Condition("test_loss", arm=a, at_least=0.1),
    )
    claims = (Claim("C", "c", conditions),)
    return replace(study, arms=arms, primary_metric="test_loss", margin=0.1, claims=claims)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("value", ENDS)
def test_they_are_shown_and_drawn(whole: StudyRecord, tmp_path: Path, value: float) -> None:
    found = Findings.of(everywhere(whole, value))
    json.loads(json.dumps(as_json(found), allow_nan=False))
    assert len(draw(found, tmp_path)) == 2
    assert len(write_files([found], tmp_path / "files")) > 5
    assert "<h1>" in page([found])


def test_a_ratio_beyond_all_numbers(whole: StudyRecord) -> None:
    """The upper end of its interval is infinite."""
    arms = []
    for arm, power in zip(whole.arms, (300, -300), strict=True):
        first, runs = arm.runs[0], []
        for seed in range(7):
            loss = 10.0 ** (power - (5 * seed if power > 0 else 0))
            curve = {**first.curve, "test_loss": np.full(len(first.curve["epoch"]), loss)}
            runs.append(replace(first, seed=seed, curve=curve))
        arms.append(replace(arm, runs=runs))
    condition = Condition("test_loss", ratio=(arms[0].name, arms[1].name), between=(0.5, 2.0))
    study = replace(whole, seeds=list(range(7)), arms=arms, claims=(Claim("C", "c", (condition,)),))
    found = verdict(study.claims[0], study)
    assert found.answer == "does not hold"
    assert found.conditions[0].interval == (np.inf, np.inf)
    json.dumps(as_json(Findings.of(study)), allow_nan=False)


NOTHING: dict[str, Callable[[StudyRecord], StudyRecord]] = {
    "no arms": lambda study: replace(study, arms=[]),
    "no runs": lambda study: replace(study, arms=[replace(arm, runs=[]) for arm in study.arms]),
    "one run": lambda study: replace(
        study, arms=[replace(arm, runs=arm.runs[: i == 0]) for i, arm in enumerate(study.arms)]
    ),
    "no seeds": lambda study: replace(study, seeds=[], arms=[replace(arm, runs=[]) for arm in study.arms]),
    "no factors": lambda study: replace(study, factors=[]),
    "a blank factor": lambda study: replace(study, factors=[""]),
    "blank names": lambda study: replace(study, name="", arms=[replace(arm, name="") for arm in study.arms[:1]]),
    "no evaluations": lambda study: replace(study, arms=[
        replace(arm, runs=[replace(run, curve={}) for run in arm.runs]) for arm in study.arms
    ]),
    "a metric that nobody measured": lambda study: replace(study, primary_metric="test_nothing"),
}  # fmt: skip


@pytest.mark.thinned(3)
@pytest.mark.parametrize("less", NOTHING.values(), ids=NOTHING)
def test_next_to_nothing_is_shown_and_drawn(
    whole: StudyRecord, tmp_path: Path, less: Callable[[StudyRecord], StudyRecord]
) -> None:
    found = Findings.of(less(whole))
    json.loads(json.dumps(as_json(found), allow_nan=False))
    draw(found, tmp_path)
    assert write_files([found], tmp_path / "files")
    assert "</html>" in page([found])
    Console(file=io.StringIO(), width=80).print(results(found, 80))
