"""The same words in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import paribus
from paribus.config.overrides import SettingsError
from paribus.study.runner import carry_out
from tests.test_study import ask, assert_same_curves


def test_python_and_the_command_line_are_one_description(tmp_path: Path) -> None:
    words = {"hidden": ["5", "none"], "epochs": 6, "eval_every": 2, "init": "default", "optimizer.lr": 0.1}
    mine = paribus.compare("moons", seeds=[1, 4], out=tmp_path / "a", **words)  # type: ignore[arg-type]
    text = "moons hidden=5,none epochs=6 eval_every=2 init=default lr=0.1"
    assert_same_curves(mine.record, carry_out(ask(tmp_path / "b", text, "1,4")))
    assert_same_curves(paribus.open(tmp_path / "b").record, mine.record)


def test_tables_are_tidy(tmp_path: Path) -> None:
    study = paribus.compare(
        ["moons", "blobs"], epochs=4, eval_every=2, nesterov=False, seeds=2, out=str(tmp_path / "a")
    )
    table, curves = study.table(), study.curves()
    assert list(table["task"]) == ["moons", "moons", "blobs", "blobs"]
    assert len(curves) == 2 * 2 * 2
    last = curves.groupby(["arm", "seed"])["test_loss"].last()
    np.testing.assert_array_equal(last.loc["task=blobs"], table[table["task"] == "blobs"]["test_loss"])
    assert np.isnan(table["seconds_per_epoch"]).all()
    found = study.differences()
    assert found["metric"].iloc[0] == "test_accuracy"
    assert set(found["verdict"].dropna()) == {"too few seeds"}
    assert not any("unequal in the data" in line for line in study.warnings())  # the task is the factor
    assert study.plot() is not None
    assert "moons" in str(study)
    assert "<pre" in study._repr_html_()


def test_a_mistake_is_a_value_error_with_all_of_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        paribus.train("moons", lr=float("nan"), momentun=0.9, seeds=[1, 1], out=tmp_path / "a")
    assert isinstance(caught.value, ValueError)
    assert len(caught.value.mistakes) == 3
    assert not (tmp_path / "a").exists()
    with pytest.raises(AttributeError, match="no attribute 'comapre'"):
        paribus.comapre  # noqa: B018
