"""Study files and command lines that are almost right: a sentence and exit status 2, or a study."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from paribus import cli
from tests.hostile import damaged, tries

FILE = """name = "moons"
task = "moons"
seeds = 2
metric = "test_accuracy"
target = "test_accuracy=0.9"
margin = 0.01

[settings]
epochs = 2
hidden = "5"

[factors]
lr = [0.1, 0.2]

[[claims]]
id = "C1"
claim = "a larger rate is better"
conditions = [{ metric = "test_accuracy", higher = "lr=0.2", lower = "lr=0.1" }]
"""
VALUES = [
    "",
    "0",
    "-1",
    "1e999",
    "nan",
    "x" * 5000,
    "\x1b[2J",
    "[]",
    "{}",
    "true",
    "1,,2",
    "=",
    "a=b=c",
    "9" * 400,
    "é",
    "0.1,0.1",
]
WORDS = ["moons", "lr=0.1,0.2", "epochs=2", "hidden=5", "--seeds", "2", "--metric", "test_accuracy", "--target",
         "test_accuracy=0.9", "--margin", "0.01", "--dry-run"]  # fmt: skip


def invoked(words: list[str]) -> None:
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code in (0, 2, 3), (words, done.exception, done.output[-1500:])
    assert "Traceback" not in done.output


def test_study_files_that_are_almost_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.toml"
    for source in tries(40):
        path.write_bytes(mutated(source))
        invoked(["run", str(path), "--dry-run"])
    assert [one.name for one in tmp_path.iterdir()] == ["study.toml"]  # nothing was written


def mutated(source: random.Random) -> bytes:
    """A value, a key or a line of the file is another; or some bytes are."""
    if source.random() < 0.3:
        return damaged(FILE.encode(), source)
    lines = FILE.splitlines()
    at = source.randrange(len(lines))
    key, equals, _ = lines[at].partition(" = ")
    match source.randrange(5):
        case 0 if equals:
            lines[at] = (
                f"{key} = {source.choice(['3', '-1', 'true', '1.5', '[]', '{}', '[[1]]', 'nan', '1979-05-27', repr(source.choice(VALUES))])}"
            )
        case 1:
            del lines[at]
        case 2:
            lines.insert(at, lines[source.randrange(len(lines))])
        case 3:
            lines[at] = lines[at].replace(key, source.choice(VALUES) or "x")
        case _:
            lines[at] = (
                f"{source.choice(['metric', 'tune', 'arms', 'jobs', 'claims', 'timing'])} = {source.choice(['3', '[1]', '{a = 1}'])}"
            )
    return "\n".join(lines).encode("utf-8", "replace")


def test_command_lines_that_are_almost_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for source in tries(40):
        words = list(WORDS)
        for _ in range(source.choice((1, 1, 2, 4))):
            at = source.randrange(len(words))
            key, equals, _ = words[at].partition("=")
            match source.randrange(4):
                case 0:
                    words[at] = f"{key}={source.choice(VALUES)}" if equals else source.choice(VALUES)
                case 1:
                    del words[at]
                case 2:
                    words.insert(at, source.choice(WORDS))
                case _:
                    place = source.randrange(len(words[at]) + 1)
                    words[at] = words[at][:place] + source.choice("=,.-x0\x00 é") + words[at][place:]
            if not words:
                break
        dry = [] if "--dry-run" in words else ["--dry-run"]
        invoked(["compare", *words, *dry])
    assert not list(tmp_path.iterdir())
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("content", [b"", b"arm,seed\n", b"\xff\xfe", b"arm,seed,x\na,0,1\n" * 3, b"a" * 10_000])
def test_tables_that_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    invoked(["judge", str(tmp_path / "s.csv")])


def test_tables_that_are_almost_right(tmp_path: Path) -> None:
    rows = [f"{arm},{seed},{0.5 + 0.01 * seed},{seed}" for arm in ("a", "b", "c") for seed in range(7)]
    whole = "\n".join(["arm,seed,accuracy,loss", *rows]).encode()
    for source in tries(40):
        (tmp_path / "s.csv").write_bytes(damaged(whole, source))
        invoked(["judge", str(tmp_path / "s.csv")])


MANY = ",".join(map(str, range(1, 101)))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--name", " "], "--name ' ' is blank"),
        (["--name", ""], "--name '' is blank"),
        (["--name", "\udcff"], "--name is no text in this terminal's encoding"),
        (["threads=100000"], "threads is a whole number from 1 to 1024, or all"),
        (
            [f"lr={MANY}", f"hidden={MANY},101"],
            "10,100 arms are too many: a study has at most 10,000",
        ),
        (["--seeds", "10000000"], "--seeds is a number of seeds from 1 to 1000000"),
    ],
    ids=["blank", "empty", "undecodable", "threads", "arms", "seeds"],
)
def test_what_is_too_much_or_nothing(words: list[str], why: str) -> None:
    done = CliRunner().invoke(cli.app, ["compare", "moons", "epochs=2", "--dry-run", *words])
    assert done.exit_code == 2
    assert why in " ".join(done.output.split())
    assert len(done.output) < 1000
