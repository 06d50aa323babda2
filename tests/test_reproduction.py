"""`paribus reproduce` and `paribus report`: verdicts at the end, a page on disk, killed or not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import paribus.reproduction as reproduction
from paribus import cli
from paribus.records.record import Status
from paribus.study import runner
from paribus.study.reading import read_all
from paribus.study.spec import StudySpec
from tests.helpers import assert_same_curves, kill, statuses, wait_until

STUDY = """
name = "{name}"
task = "moons"
seeds = 6
[settings]
epochs = {epochs}
implementation = "numpy"
init = "default"
[[arms]]
name = "quick"
lr = 0.5
[[arms]]
name = "slow"
lr = 0.001
[[claims]]
id = "C1"
claim = "a larger rate is better"
[[claims.conditions]]
metric = "test_accuracy"
higher = "quick"
lower = "slow"
[[claims]]
id = "C2 {name}"
claim = "the slow one has learned all there is"
[[claims.conditions]]
metric = "test_accuracy"
arm = "slow"
at_least = 0.99
"""


def reports(folder: Path, epochs: int) -> list[Path]:
    """Two small studies in the place of the report's."""
    paths = []
    for name in ("first", "second"):
        paths.append(folder / f"{name}.toml")
        paths[-1].write_text(STUDY.format(name=name, epochs=epochs))
    return paths


def test_it_ends_with_verdicts_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduction, "files", lambda part, scale: reports(tmp_path, 20))
    prepared, prepare = [], runner.prepare

    def counted(request: StudySpec) -> runner.Work:
        prepared.append(request.name)
        return prepare(request)

    monkeypatch.setattr(runner, "prepare", counted)
    words = ["reproduce", "--scale", "laptop", "--out", str(tmp_path / "r")]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    assert "first: 2 arms, 6 seeds" in done.output
    assert prepared == ["first", "second"]  # each once, before any compute is spent
    text = " ".join(done.output.split())
    assert "holds" in text
    assert "does not hold" in text
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "<h1>A course report again, with repeats (laptop scale)</h1>" in page
    part = CliRunner().invoke(cli.app, [*words[:1], "c7", *words[1:]])
    assert part.exit_code == 0
    assert (tmp_path / "r" / "report-c7.html").exists()  # what is asked for alone does not take the whole's place
    again = CliRunner().invoke(cli.app, [*words, "--json"])
    found = {one["id"]: one for one in json.loads(again.stdout)}
    assert {name: one["answer"] for name, one in found.items()} == {
        "C1": "holds", "C2 first": "does not hold", "C2 second": "does not hold",
    }  # fmt: skip
    assert found["C1"]["study"] == "first, second"  # one claim, two studies


def test_the_cures_of_what_went_wrong_are_tried_and_stand_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick = reports(tmp_path, 150)
    sick[0].write_text(sick[0].read_text().replace('init = "default"', 'init = "normal:0.001"\nhidden = "64x64x64"'))
    monkeypatch.setattr(reproduction, "files", lambda part, scale: sick)
    monkeypatch.setitem(reproduction.CURED, "laptop", {"first": ("quick",)})
    words = ["reproduce", "--scale", "laptop", "--out", str(tmp_path / "r")]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    assert "cures of quick: 3 arms" in done.output
    assert not (tmp_path / "r" / "second" / "cures").exists()
    assert "cures of slow" not in done.output, "its signal dies too, and nobody asked"
    tried = "<strong>cured</strong>: <code>init=kaiming_normal</code>; test accuracy changes by +"
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert page.count("<h3>Cures that were tried</h3>") == 1
    assert tried in page
    # who reports the folder later sees them too, and nothing is trained
    later = CliRunner().invoke(cli.app, ["report", str(tmp_path / "r"), "--out", str(tmp_path / "p.html")])
    assert later.exit_code == 0, later.output
    assert tried in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_the_arms_whose_cures_are_tried_are_those_of_the_files() -> None:
    for scale, of in reproduction.CURED.items():
        files = {path.stem: path for path in reproduction.files(None, scale)}
        for stem, arms in of.items():
            names = {arm["name"] for arm in tomllib.loads(files[stem].read_text(encoding="utf-8"))["arms"]}
            assert set(arms) <= names


def test_other_seeds_and_other_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduction, "files", lambda part, scale: reports(tmp_path, 2)[:1])
    done = CliRunner().invoke(cli.app, ["reproduce", "--seeds", "2", "--scale", "laptop", "--out", str(tmp_path / "r")])
    assert done.exit_code == 0
    assert "not shown" in " ".join(done.output.split())  # too few seeds
    assert [study.seeds for study in read_all([tmp_path / "r"]).values()] == [[0, 1]]
    page = CliRunner().invoke(
        cli.app, ["report", str(tmp_path / "r"), "--out", str(tmp_path / "p.html"), "--title", "T & U"]
    )
    assert page.exit_code == 0
    assert "<h1>T &amp; U</h1>" in (tmp_path / "p.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["part4"], "there is no part or claim 'part4': did you mean 'part"),
        (["c13"], "there is no part or claim 'c13': there is part1 to part3, c1 to c12"),
        (["--scale", "huge"], "--scale huge is not allowed: scale is laptop, hour or full"),
        (["--seeds", "0"], "--seeds 0 is not allowed"),
    ],
)
def test_what_there_is_not_is_refused(words: list[str], answer: str) -> None:
    done = CliRunner().invoke(cli.app, ["reproduce", *words])
    assert done.exit_code == 2
    assert len(str(done.stderr).splitlines()) == 1  # once, not for each of the files
    assert answer in done.output + str(done.stderr)


def test_full_scale_without_its_images_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIBUS_DATA", str(tmp_path / "none"))
    done = CliRunner().invoke(cli.app, ["reproduce", "--scale", "full", "--out", str(tmp_path / "r")])
    assert done.exit_code == 2
    assert "paribus data get cifar10" in str(done.stderr)
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports(tmp_path, 150)
    code = (
        "import paribus.reproduction as r, pathlib\n"
        f"r.files = lambda part, scale: [pathlib.Path({str(tmp_path)!r}) / f'{{name}}.toml' for name in ('first', 'second')]\n"
        "from paribus.cli import app\n"
        f"app(['reproduce', '--scale', 'laptop', '--out', {str(tmp_path / 'r')!r}, '--json'])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: Status.RUNNING in statuses(tmp_path / "r" / "second"), "the second study")
    kill(process.pid, tmp_path / "r" / "second")
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "r" / "report.html").exists()
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    monkeypatch.setattr(reproduction, "files", lambda part, scale: reports(tmp_path, 150))
    whole = CliRunner().invoke(cli.app, ["reproduce", "--scale", "laptop", "--out", str(tmp_path / "whole"), "--json"])
    assert json.loads(ended.stdout) == json.loads(whole.stdout)
    for one, other in zip(read_all([tmp_path / "r"]).values(), read_all([tmp_path / "whole"]).values(), strict=True):
        assert_same_curves(one, other)
