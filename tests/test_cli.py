"""The commands as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Called

BAD = [
    ["train", "mons"],
    ["train", "moons", "lr=nan", "hidden=20xx20", "momentun=0.9", "--seeds", "3,3"],
    ["train", "moons", "noise=0.1", "noise=0.2"],
    ["train", "moons", "lr=0.1,0.2"],
    ["compare", "moons", "lr=0.1"],
    ["train", "moons", "--keep", "wights"],
    ["train", "moons", "--metric", "f1"],
    ["train", "moons", "--out", "/dev/null/x"],
    ["train", "moons", "steps_per_epoch=8"],
    ["show", "nothing"],
    ["list", "modells"],
    ["trian", "moons"],
    ["train"],
    ["train", "moons", "--sedes", "3"],
]


def paribus(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb"}
    command = [sys.executable, "-m", "paribus", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


@pytest.mark.parametrize("words", BAD, ids=map(" ".join, BAD))
def test_wrong_usage_is_2_and_writes_nothing(called: Called, tmp_path: Path, words: list[str]) -> None:
    done = called(*words)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
    assert list(tmp_path.iterdir()) == []


def test_from_words_to_table_and_files(tmp_path: Path) -> None:
    words = ["moons", "implementation=numpy,torch", "epochs=20", "precision=float64", "--seeds", "2"]
    done = paribus(tmp_path, "compare", *words)
    assert done.returncode == 0, done
    assert "numpy" in done.stdout
    assert "the largest |difference| in train loss is" in done.stdout.replace("\n", " ")
    folder = tmp_path / "runs" / "moons-implementation=numpy,torch-epochs=20-precision=float64"
    assert {path.name for path in folder.iterdir()} == {"study.sqlite", "curves.png", "data.png", ".lock", "events"}
    for path in folder.iterdir():
        if path.suffix:
            assert f"{path.relative_to(tmp_path)}" in done.stdout
    again = paribus(tmp_path, "compare", *words)
    assert "4 of 4 runs are recorded already" in again.stdout
    shown = paribus(tmp_path, "show", str(folder), "--json")
    found = json.loads(shown.stdout)
    assert found["study"]["factors"] == ["implementation"]
    assert found["agreements"][0]["gap"] <= 1e-12
    assert [run["status"] for arm in found["arms"] for run in arm["runs"]] == ["done"] * 4
    table = paribus(tmp_path, "show", str(folder))
    assert table.stdout in done.stdout.replace(table.stdout, table.stdout)
    assert "numpy" in table.stdout


def test_a_run_that_does_not_end_well_is_3(tmp_path: Path) -> None:
    done = paribus(tmp_path, "compare", "moons", "lr=0.1,1e30", "epochs=3", "init=default", "--seeds", "1", "--json")
    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert [arm["runs"][0]["status"] for arm in found["arms"]] == ["done", "diverged"]
    assert found["arms"][1]["metrics"]["test_accuracy"]["values"] == [None]
    assert "RuntimeWarning" not in done.stderr


def test_quiet_is_quiet(tmp_path: Path) -> None:
    done = paribus(tmp_path, "train", "moons", "epochs=2", "--quiet", "--name", "q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "runs" / "q" / "study.sqlite").exists()


@pytest.mark.parametrize("words", [["--help"], ["compare", "--help"]])
def test_help_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    heavy = ("numpy", "torch", "scipy", "sklearn", "matplotlib", "pandas")
    code = (
        "import sys; from paribus.cli import app; app(sys.argv[1:], standalone_mode=False); "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Usage" in done.stdout


def test_version_is_one_line(tmp_path: Path) -> None:
    done = paribus(tmp_path, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("paribus 0.")


def test_quiet_says_what_went_wrong(called: Called) -> None:
    done = called("train", "moons", "lr=1e30", "init=default", "epochs=2", "--quiet")
    assert (done.returncode, done.stdout) == (3, "")
    assert "seed 0: diverged: in epoch 1" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["train", "moons", "--seeds", "4000000000"],
        ["train", "moons", "epochs=1", "--out", "x" * 300],
        ["train", "moons", "n=100000000000000"],
    ],
)
def test_what_the_machine_refuses_is_one_line(called: Called, tmp_path: Path, words: list[str]) -> None:
    done = called(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_without_the_signs(tmp_path: Path) -> None:
    assert paribus(tmp_path, "compare", "moons", "lr=0.1,0.2", "epochs=1", "--name", "学", "--quiet").returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    command = [sys.executable, "-m", "paribus", "show", str(folder)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=False)
    assert done.returncode == 0
    assert b"? (3 seeds)" in done.stdout


def test_a_dry_run_writes_nothing_and_foretells(tmp_path: Path) -> None:
    words = ["compare", "moons", "lr=0.1,0.2", "epochs=100", "implementation=numpy", "--seeds", "3"]
    done = paribus(tmp_path, *words, "--dry-run")
    assert done.returncode == 0
    assert "6 runs into" in done.stdout
    assert "1 pair needs 6 seeds before it can be told apart; 3 are asked for" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert float(" ".join(done.stdout.split()).split("about ")[1].split(" s")[0]) > 0
    assert paribus(tmp_path, *words, "--quiet").returncode == 0
    assert "0 runs into" in paribus(tmp_path, *words, "--dry-run").stdout
    assert paribus(tmp_path, "compare", "moons", "lr=0.1,nan", "--dry-run").returncode == 2


def test_an_option_that_is_a_setting_says_how_it_is_written(called: Called) -> None:
    for option in (["--lr", "0.1"], ["--lr=0.1"]):
        done = called("train", "moons", *option)
        assert done.returncode == 2
        assert "lr is a setting: write lr=0.1" in done.stderr


def test_the_help_of_list_names_every_list(called: Called) -> None:
    from paribus.report.terminal.listings import LISTINGS

    shown = "".join(called("list", "--help").stdout.split())
    assert "|".join(LISTINGS) in shown


@pytest.mark.parametrize("given", ["dropout=0", "model.dropout=0.00", "dropout=0.0"])
def test_a_baseline_is_meant_by_its_value(tmp_path: Path, given: str) -> None:
    command = ("compare", "moons", "dropout=0,0.5", "--seeds", "2", "epochs=1", "--out", "s", "--json", "--quiet")
    done = paribus(tmp_path, *command, "--baseline", given)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["study"]["baseline"] == "dropout=0.0"
    refused = paribus(tmp_path, *command, "--baseline", "dropout=0.1", "--dry-run")
    assert "--baseline dropout=0.1 is no arm" in refused.stderr
