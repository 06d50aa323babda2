"""Folders written by an older version (tests/folders, before `init=report` got its name) stay readable and go on."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import paribus
from paribus.findings.findings import Findings
from paribus.records.checkpoint import Checkpoint, CheckpointError
from paribus.report.show import as_json
from paribus.study.reading import read
from paribus.study.resuming import CHECKPOINTS
from paribus.study.store import FILE, StoreError

FOLDERS = Path(__file__).parent / "folders"
WORDS: dict[str, Any] = {"lr": [0.1, 0.01], "hidden": 5, "epochs": 4, "eval_every": 2}
HOW: dict[str, Any] = {"implementation": "numpy", "init": "report"}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDERS, tmp_path / "old"))


def curves(folder: Path) -> dict[tuple[str, int], Any]:
    return {(arm.name, run.seed): run.curve for arm in read(folder).arms for run in arm.runs}


def unchanged(before: dict[tuple[str, int], Any], folder: Path) -> None:
    after = curves(folder)
    for key, curve in before.items():
        assert curve.keys() == after[key].keys()
        assert all(np.array_equal(curve[name], after[key][name]) for name in curve)


def attempts(folder: Path) -> int:
    connection = sqlite3.connect(folder / FILE)
    (count,) = connection.execute("SELECT count(*) FROM runs").fetchone()
    connection.close()
    return int(count)


@pytest.mark.parametrize("name", ["plain", "tuned", "claims", "interrupted"])
def test_shows_what_the_version_that_wrote_it_showed(old: Path, name: str) -> None:
    shown = json.loads((FOLDERS / f"{name}.json").read_text())
    for arm in shown["arms"]:
        arm["settings"]["init"] = "he_fan_out"
    mine = json.loads(json.dumps(as_json(Findings.of(read(old / name)))))
    for arm, then in zip(mine["arms"], shown["arms"], strict=True):
        assert then["settings"].items() <= arm["settings"].items()
        del arm["settings"], then["settings"], arm["backend"]  # which came later
    if tuned := mine["study"]["tuning"]:  # it may say more today
        mine["study"]["tuning"] = {key: tuned[key] for key in shown["study"]["tuning"]}
    assert {key: mine["study"][key] for key in shown["study"]} == shown["study"]
    assert mine["arms"] == shown["arms"]
    # a reader writes nothing
    assert (old / name / FILE).read_bytes() == (FOLDERS / name / FILE).read_bytes()


def test_grows_by_a_seed_and_by_an_arm(old: Path) -> None:
    folder, before = old / "plain", curves(old / "plain")
    paribus.compare("moons", **WORDS, **HOW, seeds=3, out=folder)
    unchanged(before, folder)
    assert attempts(folder) == 6
    paribus.compare("moons", **{**WORDS, "lr": [0.1, 0.01, 0.5]}, **HOW, seeds=3, out=folder)
    unchanged(before, folder)
    assert attempts(folder) == 9
    with sqlite3.connect(folder / FILE) as connection:  # what stood there before is kept
        former = connection.execute("SELECT content FROM former WHERE what = 'arm' AND version = 1").fetchall()
    assert sorted(json.loads(text)["optimizer.lr"] for (text,) in former) == [0.01, 0.1]
    assert {json.loads(text)["init"] for (text,) in former} == {"report"}


def small() -> nn.Module:
    """As the version with schema 3 had it."""
    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))


def test_a_module_s_arm_grows_though_it_was_recorded_with_its_task_s_initial_values(old: Path) -> None:
    before = curves(old / "module")
    grown = paribus.train("moons", model=small, epochs=2, eval_every=1, lr=0.1, seeds=[0, 1], out=old / "module")
    (arm,) = grown.record.arms
    assert (arm.settings["init"], len(arm.runs), attempts(old / "module")) == ("default", 2, 2)
    unchanged(before, old / "module")


def test_a_tuned_study_grows(old: Path) -> None:
    folder, before = old / "tuned", curves(old / "tuned")
    tried = attempts(folder / "tuning")
    words = {**WORDS, "hidden": [5, 3]}
    del words["lr"]
    paribus.compare("moons", **words, **HOW, tune={"lr": [0.1, 0.5]}, tune_seeds=2, seeds=3, out=folder)
    unchanged(before, folder)
    assert (attempts(folder), attempts(folder / "tuning")) == (6, tried)


def test_an_interrupted_run_goes_on_from_its_checkpoint(old: Path) -> None:
    folder, before = old / "interrupted", curves(old / "interrupted")
    words = {**WORDS, "epochs": 6, "eval_every": 1}
    paribus.compare("moons", **words, **HOW, seeds=1, out=folder)
    whole = curves(folder)
    key = ("lr=0.1", 0)
    shared = len(before[key]["step"])
    assert (shared, len(whole[key]["step"])) == (2, 6)
    # seconds tell that they are the very evaluations of the attempt before, and were not made again
    assert all(np.array_equal(whole[key][name][:shared], before[key][name]) for name in before[key])
    assert not list((folder / "checkpoints").iterdir())
    fresh = paribus.compare("moons", **words, **HOW, seeds=1, out=old / "fresh")
    again = curves(fresh.folder)
    assert all(np.array_equal(whole[one]["train_loss"], again[one]["train_loss"]) for one in again)


def test_a_setting_that_came_later_has_its_default_in_what_was_recorded(old: Path) -> None:
    """As `label_smoothing` and `model.dropout` would be missing, had the folder been written before they came."""
    folder = old / "plain"
    with sqlite3.connect(folder / FILE) as connection:
        for number, text in connection.execute("SELECT id, settings FROM arms").fetchall():
            flat = {k: v for k, v in json.loads(text).items() if k not in ("label_smoothing", "model.dropout")}
            connection.execute("UPDATE arms SET settings = ? WHERE id = ?", (json.dumps(flat, sort_keys=True), number))
        (text,) = connection.execute("SELECT value FROM study WHERE key = 'shared'").fetchone()
        flat = {k: v for k, v in json.loads(text).items() if k not in ("label_smoothing", "model.dropout")}
        connection.execute("UPDATE study SET value = ? WHERE key = 'shared'", (json.dumps(flat),))
    before = curves(folder)
    assert read(folder).arms[0].settings["model.dropout"] == 0.0
    # an arm beside those recorded, and not all of those: the shared settings are compared too
    paribus.compare("moons", **{**WORDS, "lr": [0.1, 0.5]}, **HOW, seeds=2, out=folder)
    unchanged(before, folder)
    assert attempts(folder) == 6
    with pytest.raises(StoreError, match=r"model\.dropout \(0\.0 there, 0\.1 here\)"):
        paribus.compare("moons", **{**WORDS, "lr": [0.1, 0.7]}, **HOW, dropout=0.1, seeds=2, out=folder)


def test_a_newer_version_s_records_are_refused(old: Path) -> None:
    with sqlite3.connect(old / "plain" / FILE) as connection:
        connection.execute("UPDATE study SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(StoreError, match="update Paribus"):
        read(old / "plain")


@pytest.mark.parametrize("at", [-1, -200])
def test_an_older_checkpoint_that_is_damaged_is_begun_again(old: Path, at: int) -> None:
    (path,) = (old / "interrupted" / CHECKPOINTS).iterdir()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    identity = json.loads(path.read_bytes().partition(b"\n")[0])["identity"]
    with pytest.raises(CheckpointError, match="its checksum is another"):
        Checkpoint.read(path, identity)
