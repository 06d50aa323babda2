"""Scores and data at the ends of what a number can be: shown and drawn without a word from NumPy or Matplotlib."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from paribus.findings.findings import Findings
from paribus.records.record import StudyRecord
from paribus.report.files.curves import draw
from paribus.report.files.files import write_files
from paribus.report.page.page import page
from paribus.report.show import as_json
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
    return replace(study, arms=arms, primary_metric="test_loss", margin=0.1)


@pytest.mark.parametrize("value", ENDS)
def test_they_are_shown_and_drawn(whole: StudyRecord, tmp_path: Path, value: float) -> None:
    found = Findings.of(everywhere(whole, value))
    json.loads(json.dumps(as_json(found), allow_nan=False))
    assert len(draw(found, tmp_path)) == 2
    assert len(write_files([found], tmp_path / "files")) > 5
    assert "<h1>" in page([found])
