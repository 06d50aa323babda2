"""docs/json.md and what `--json` prints are the same: every key has its row, and every row its key."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn
from typer.testing import CliRunner

import paribus
from paribus.cli import app
from paribus.report.cures import Tried

FOLDERS = Path(__file__).parent / "folders"
SMALL: dict[str, Any] = {"hidden": 3, "epochs": 2, "init": "default"}
WRONG = """
class ReLU6:
    def forward(self, x):
        self.x = x
        return np.maximum(x, 0)

    def backward(self, dout):
        return dout * (dout > 0)


class Odd:
    def __init__(self, a, b, c):
        self.a = a[b][c]

    def forward(self, x):
        return x

    def backward(self, dout):
        return dout
"""


def growing(run: paribus.LoopRun, growth: float = 1.0) -> dict[str, float]:
    """A loop of the user's: one arm grows beyond every number, and the run with seed 1 breaks down."""
    value = 1.0 + run.seed / 100
    for step in range(12):
        if run.seed == 1 and step > 2:
            raise ValueError("broke down")
        value *= growth
        run.log(epoch=step + 1, val_loss=value)
    return {"test_mse": value}


def dropped() -> nn.Module:
    """A network that only PyTorch trains."""
    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))


def studies(folder: Path) -> Iterator[paribus.api.Study]:
    """Tiny ones, which have between them every key of `show --json`."""
    yield paribus.compare(
        "moons", implementation=["numpy", "torch"], seeds=6, out=folder / "two", target="train_accuracy=0.3",
        margin=0.5, **SMALL,
    )  # fmt: skip
    for repeats in (1, 2, 3):  # it was extended
        tuned = paribus.compare(
            "moons", optimizer=["sgd", "adam"], seeds=2, out=folder / "tuned", implementation="numpy",
            baseline="optimizer=sgd", tune={"lr": "0.0001:1e9"}, budget=4, tune_seeds=1, tune_repeats=repeats, **SMALL,
        )  # fmt: skip
    yield tuned
    with pytest.warns(UserWarning, match="broke down"):
        yield paribus.compare(growing, growth=[0.9, 1e30], seeds=3, metric="test_mse", lower=True, out=folder / "loop")
    yield paribus.compare(
        "diabetes", optimizer=["sgd", "adam"], lr=[0.001, 0.01, 0.1], hidden=3, epochs=4, validation=0.25, patience=2,
        seeds=2, out=folder / "numbers",
    )  # fmt: skip
    yield paribus.train("moons", seeds=1, timing=True, out=folder / "timed", **SMALL)
    yield paribus.compare(["moons", "circles"], lr=[0.001, 0.03, 1], seeds=9, out=folder / "tasks", **SMALL)
    yield paribus.compare(
        "moons", optimizer=["sgd", "adam"], seeds=1, out=folder / "proposed", implementation="numpy", tune={"lr": "0.01:1"},
        budget=11, tune_seeds=1, tune_sampler="tpe", lr=0.1, **SMALL,
    )  # fmt: skip
    yield paribus.compare("moons", lr=[0.01, 1], seeds="6..8", out=folder / "decided", **SMALL)
    for seeds in (6, 7):  # it was extended
        longer = paribus.train("moons", model=dropped, seeds=seeds, out=folder / "own", lr=0.01, epochs=2)
    yield longer


def outputs(folder: Path) -> Iterator[tuple[str, Any]]:
    """A command, and what it prints with `--json`."""
    for one in ("plain", "tuned", "claims", "interrupted", "module"):
        yield "show", printed("show", str(FOLDERS / one))
    for study in studies(folder):
        yield "show", printed("show", str(study.folder))
    seeds, draws = range(8), np.random.default_rng(0)
    rows = [f"{lr},{norm},{seed},{draws.normal(lr):.3f}" for lr in (0, 3) for norm in ("no", "yes") for seed in seeds]
    scores = folder / "scores.csv"
    scores.write_text("\n".join(["lr,norm,seed,score", *rows]), encoding="utf-8")
    yield "judge", printed("judge", str(scores), "--arm", "lr,norm", "--margin", "0.5")
    named = folder / "named.csv"
    named.write_text("arm,seed,score\nold,one,1\nold,two,2\nnew,one,2\nnew,two,4\n", encoding="utf-8")
    yield "judge", printed("judge", str(named))
    for lr in (1e-4, 1000):
        sick = paribus.train("moons", lr=lr, seeds=2, out=folder / f"sick-{lr}", implementation="torch", **SMALL)
        yield "diagnose", printed("diagnose", str(sick.folder), "--cure", "--seeds", "2")
    yield "diagnose", {"cures": [Tried("", (), folder, [], {"norm=batch": "no layer to normalise"}, None).as_data()]}
    right = (Path(__file__).parent / "check" / "network_right.txt").read_text(encoding="utf-8")
    file = folder / "mine.py"
    file.write_text("import numpy as np\n\n" + right.split("#== ")[1].partition("\n")[2] + WRONG, encoding="utf-8")
    yield "check", printed("check", str(file), status=1)


def printed(*words: str, status: int = 0) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["paribus", *words, "--json"])
        result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


DOCUMENT = Path(__file__).parent.parent / "docs" / "json.md"
KINDS = {"boolean": bool, "integer": int, "number": float, "string": str, "list": list, "object": dict}
SELDOM = {
    ("show", "agreements[].departs_at_step"),
    ("show", "agreements[].departs_at_seed"),
    ("show", "agreements[].own[]"),
    ("show", "claims[].notes[]"),
    ("show", "diagnoses[].layer"),
    ("show", "sweeps[].pairs[].ratio_interval"),
    ("show", "sweeps[].pairs[].ratio_interval[]"),
    ("show", "tasks[].a_p"),
    ("diagnose", "not_looked_at[]"),
    ("check", "notes[]"),
}
"""Where one of the types that a row names is met in no study of `studies`: null stands there, or an empty list."""
COMMANDS = ("show", "judge", "diagnose", "check")
Place = tuple[str, str]
"""A command and a path: ("show", "arms[].name")."""


@dataclass(frozen=True)
class Row:
    """A row of a table: where its key stands, and the types that it names."""

    places: tuple[Place, ...]
    types: frozenset[str]


def documented() -> list[Row]:
    """Every row, and one more for the elements of each list of plain values."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert len(re.findall(r"^\| `", text, re.MULTILINE)) == len(re.findall(ROW, text, re.MULTILINE)), "no type"
    found = []
    for places, table in re.findall(r"^(In `[^|]*?)\n\n((?:\|.*\n)+)", text, re.MULTILINE):
        prefixes = [
            (command, path)
            for command, paths in re.findall(r"[Ii]n `(\w+)`(, at the top:|: (?:`[^`]+`(?:,\s+)?)+)", places)
            for path in (re.findall(r"`([^`]+)`", paths) or [""])
        ]
        assert prefixes, places
        for key, types in re.findall(ROW, table, re.MULTILINE):
            paths = tuple((command, f"{prefix}.{key}".strip(".")) for command, prefix in prefixes)
            words = [one.partition(" of ") for one in re.split(r", or | or |, ", types)]
            found.append(Row(paths, frozenset(outer for outer, _, _ in words)))
            for inner in filter(None, (of for _, _, of in words)):
                elements = frozenset(word.removesuffix("s") for word in inner.split(" and "))
                found.append(Row(tuple((command, f"{path}[]") for command, path in paths), elements))
    return found


ROW = r"^\| `([^`]+)` \| \*([^*]+)\.\* \S"


def kind(value: Any) -> str:
    """What the tables call its type."""
    return "null" if value is None else next(name for name, of in KINDS.items() if type(value) is of)


def leaves(value: Any, named: dict[str, str], path: str = "") -> Iterator[tuple[str, str]]:
    """Every path with the type that stands there. `named`: of objects whose keys are the study's own names, the path
    that the document has for all of them."""
    if path:
        yield path, kind(value)
    if isinstance(value, dict):
        for key, inner in value.items():
            if path == "shared":  # all keys again
                yield from leaves(inner, named, key)
            else:
                yield from leaves(inner, named, named.get(path) or f"{path}.{key}".strip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, named, f"{path}[]")


@pytest.fixture(scope="module")
def printed_types(tmp_path_factory: pytest.TempPathFactory) -> dict[Place, set[str]]:
    """The types that stand at each place in any study."""
    found: dict[Place, set[str]] = {}
    places = [place for row in documented() for place in row.places]
    named = {
        command: {path.rpartition(".")[0]: path for of, path in places if of == command and path[-1].isupper()}
        for command in COMMANDS
    }
    for command, contents in outputs(tmp_path_factory.mktemp("studies")):
        for path, one in leaves(contents, named[command]):
            found.setdefault((command, path), set()).add(one)
    return found


def test_every_key_has_its_row_and_every_row_its_key(printed_types: dict[Place, set[str]]) -> None:
    places = [place for row in documented() for place in row.places]
    assert sorted(place for place, times in Counter(places).items() if times > 1) == [], "two rows"
    assert sorted(printed_types.keys() - {*places}) == [], "without a row"
    keys = {place for place in places if not place[1].endswith("[]")}
    assert sorted(keys - printed_types.keys()) == [], "in no study"


def test_every_value_is_of_a_type_that_its_row_names(printed_types: dict[Place, set[str]]) -> None:
    """And every type that a row names, beside null, is met somewhere."""
    seldom = set()
    for row in documented():
        met = set[str]().union(*(printed_types.get(place, set()) for place in row.places))
        assert met <= row.types | ({"integer"} if "number" in row.types else set()), row
        command, path = row.places[0]
        if row.types - met - {"null"} and not path.endswith(".SETTING"):  # which have whatever types settings have
            seldom.add((command, path))
    assert seldom == SELDOM


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As they stand in the document, on a study that is there."""
    text = DOCUMENT.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (query,) = re.findall(r"^jq -r '(.*)' shown.json$", text, re.MULTILINE)
    shown = json.dumps(printed("show", str(FOLDERS / "plain")))
    (tmp_path / "shown.json").write_text(shown, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert capsys.readouterr().out == "lr=0.1 0.8 lost seeds: []\nlr=0.01 0.665 lost seeds: []\n"
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    told = subprocess.run(["jq", "-r", query, "shown.json"], capture_output=True, text=True, check=True).stdout
    a, b, mean, verdict = told.strip().split("\t")
    assert (a, b, round(float(mean), 9), verdict) == ("lr=0.1", "lr=0.01", 0.135, "too few seeds")
