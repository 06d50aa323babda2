# ruff: noqa: NPY002 (NumPy's global generator is what users draw from)
"""When a user's code and values count as the same: after edits, in other processes, for values of every kind."""

from __future__ import annotations

import copy
import functools
import json
import os
import pickle
import random
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import paribus
from paribus.config.user_code import UserDefined, code_fingerprint, receive, send, user_defined
from paribus.study.store import StoreError
from tests.edits import CHANGES, CODE, HELPERS, NET, SAME, STATEFUL, VALUES, Edit

ROOT = Path(__file__).resolve().parent.parent

READER = """
import json, pathlib, sys
import paribus
from paribus.config.user_code import user_defined
own = set(sys.modules)
found = {}
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    sys.path.insert(0, str(folder))
    import main
    thing = user_defined(main.build)
    found[folder.name] = [thing.fingerprint, thing.reason, repr(main.build())]
    sys.path.pop(0)
    for name in [name for name, one in sys.modules.items() if str(folder) in str(getattr(one, "__file__", ""))]:
        del sys.modules[name]
    sys.path_importer_cache.clear()
print(json.dumps(found))
"""


def write(folder: Path, files: str) -> None:
    """The files of a text in which `=== name.py` begins another, `main.py` being the first."""
    texts: dict[str, str] = {"main.py": ""}
    name = "main.py"
    for line in files.splitlines(keepends=True):
        if line.startswith("=== "):
            name = line[4:].strip()
            texts.setdefault(name, "")
        else:
            texts[name] += line
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read(folder: Path, programs: Sequence[str]) -> list[list[Any]]:
    """Of each program: `build`'s fingerprint, the reason if it has none, and what it gives; in a process of their own."""
    for number, files in enumerate(programs):
        write(folder / f"{number:03}", files)
    (folder / "..").resolve().joinpath("reader.py").write_text(READER)
    done = subprocess.run(
        [sys.executable, str(folder.parent / "reader.py"), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout).values())


def edited(edit: Edit) -> str:
    assert edit.files.count(edit.old) == 1, edit.title
    return edit.files.replace(edit.old, edit.new)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Of each program before an edit."""
    programs = list(dict.fromkeys(edit.files for edit in CHANGES + SAME))
    return dict(zip(programs, read(tmp_path_factory.mktemp("before") / "programs", programs), strict=True))


def test_every_edit_that_changes_behaviour_is_noticed(before: dict[str, list[Any]], tmp_path: Path) -> None:
    found = read(tmp_path / "programs", [edited(edit) for edit in CHANGES])
    assert len(CHANGES) >= 50
    for edit, (_, reason, outcome) in zip(CHANGES, found, strict=True):
        assert outcome != before[edit.files][2], f"{edit.title} changes nothing: mend the table"
        assert reason is None, (edit.title, reason)
    missed = [edit.title for edit, (one, _, _) in zip(CHANGES, found, strict=True) if one == before[edit.files][0]]
    assert missed == []


def test_edits_that_change_no_behaviour_are_let_through(before: dict[str, list[Any]], tmp_path: Path) -> None:
    found = read(tmp_path / "programs", [edited(edit) for edit in SAME])
    assert len(SAME) >= 50
    for edit, (_, _, outcome) in zip(SAME, found, strict=True):
        assert outcome == before[edit.files][2], f"{edit.title} changes something: mend the table"
    refused = [edit.title for edit, (one, _, _) in zip(SAME, found, strict=True) if one != before[edit.files][0]]
    assert refused == []


def test_what_catches_which_error_counts() -> None:
    """Of two functions that differ in nothing but the reach of their `try`."""

    def guarded() -> float:
        try:
            return float("1")
        except ValueError:
            return 0.0

    before = code_fingerprint(guarded)
    guarded.__code__ = guarded.__code__.replace(co_exceptiontable=b"")
    assert code_fingerprint(guarded) != before


@pytest.mark.slow
def test_a_fingerprint_is_the_same_in_a_script_and_imported(before: dict[str, list[Any]], tmp_path: Path) -> None:
    """And in a process that hashes text in another way, and in a notebook's cell, whose file has another name."""
    end = "\nfrom paribus.config.user_code import code_fingerprint\nprint(code_fingerprint(build))\n"
    for number, files in enumerate((NET, HELPERS, VALUES, CODE, STATEFUL)):
        write(tmp_path / str(number), files)
        main = tmp_path / str(number) / "main.py"
        main.write_text(main.read_text() + end)
        cell = "exec(compile(open('main.py').read(), '<ipython-input-1>', 'exec'), globals())"
        for arguments in (["main.py"], ["-c", cell]):
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=main.parent,
                capture_output=True,
                text=True,
                check=False,
                timeout=100,
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{main.parent}", "PYTHONHASHSEED": "7"},
            )
            assert done.stdout.strip() == before[files][0], done.stderr


plain_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
keys = st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
values = st.recursive(
    plain_values,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.sets(keys)
        | st.frozensets(keys)
        | st.lists(plain_values).map(lambda one: np.array(one, dtype=object))
        | st.lists(st.floats(width=32, allow_nan=False)).map(lambda one: torch.tensor(one))
    ),
    max_leaves=12,
)


def holding(value: Any) -> Callable[[], Any]:
    return lambda: value


def spelled(value: Any) -> str:
    """A value so that two are spelled alike exactly where type and content are the same; the order of sets left out."""
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}{sorted(map(spelled, value))}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{[spelled(one) for one in value]}"
    if isinstance(value, dict):
        return f"dict{[(spelled(key), spelled(one)) for key, one in value.items()]}"
    if isinstance(value, np.ndarray):
        return f"array{value.shape}{[spelled(one) for one in value.tolist()]}"
    if isinstance(value, torch.Tensor):
        return f"tensor{value.tolist()}"
    return f"{type(value).__name__} {value!r}"


@given(values)
@settings(max_examples=200, deadline=None)
def test_equal_values_have_equal_fingerprints(value: Any) -> None:
    assert code_fingerprint(holding(value)) == code_fingerprint(holding(copy.deepcopy(value)))
    assert code_fingerprint(holding(value)) == code_fingerprint(holding(pickle.loads(pickle.dumps(value))))


@given(values, values)
@settings(max_examples=300, deadline=None)
def test_different_values_have_different_fingerprints(one: Any, other: Any) -> None:
    assert (code_fingerprint(holding(one)) == code_fingerprint(holding(other))) == (spelled(one) == spelled(other))


def cyclic(width: int) -> Callable[[], Any]:
    def even(n: int) -> Any:
        return width if n == 0 else odd(n - 1)

    def odd(n: int) -> Any:
        return -width if n == 0 else even(n - 1)

    table: dict[str, Any] = {"even": even}
    table["itself"] = table
    return lambda: table["even"](3)


def test_things_that_hold_each_other_have_a_fingerprint() -> None:
    assert code_fingerprint(cyclic(3)) == code_fingerprint(cyclic(3)) != code_fingerprint(cyclic(4))
    deep: list[Any] = []
    for _ in range(5_000):  # deeper than Python's own recursion goes
        deep = [deep]
    assert code_fingerprint(holding(deep)) == code_fingerprint(holding(deep)) != code_fingerprint(holding([deep]))


def test_a_set_of_functions_has_no_order() -> None:
    def several(last: int) -> set[Callable[[], Any]]:
        return {holding(number) for number in (*range(20), last)}  # in the order of their places in memory

    kept = [several(20) for _ in range(5)]
    assert len({code_fingerprint(holding(one)) for one in kept}) == 1
    assert code_fingerprint(holding(several(21))) != code_fingerprint(holding(kept[0]))


def test_one_object_in_two_places_is_not_two_alike() -> None:
    layer, other = nn.Linear(2, 2), nn.Linear(2, 2)
    other.load_state_dict(layer.state_dict())
    assert code_fingerprint(holding([layer, layer])) != code_fingerprint(holding([layer, other]))
    assert code_fingerprint(holding([layer, other])) == code_fingerprint(holding([other, layer]))


def test_what_cannot_be_read_is_new_in_every_process(tmp_path: Path) -> None:
    program = "file = open(__file__)\ndef build(): return file.read()[:1]\n"
    (one, reason, _), (two, _, _) = (read(tmp_path / name / "programs", [program])[0] for name in "ab")
    assert one != two
    assert reason == "file is an object of the class _io.TextIOWrapper, whose state cannot be read"
    running = (i for i in range(3))
    thing = user_defined(lambda: running)
    assert thing == user_defined(lambda: running)
    assert thing.reason == "running is an object of the class builtins.generator, whose state cannot be read"
    assert thing.reason in repr(thing)


LOCK = threading.Lock()
NAMED = {"a": 1}


def test_what_changes_by_itself_has_no_part_in_a_fingerprint() -> None:
    """Global generators, which Paribus sets; a cache's content; a lock; the numbers that PyTorch gives to hooks."""

    @functools.lru_cache
    def cached(x: int) -> int:
        return x + 1

    def hooked() -> nn.Module:
        layer = nn.Identity()
        layer.register_forward_hook(print)
        return layer

    def things() -> list[Any]:
        return [
            lambda: random.random(), lambda f=random.random: f(), lambda f=np.random.normal: f(), lambda: torch.rand(2),
            lambda g=torch.default_generator: torch.rand(2, generator=g), lambda: cached(1), lambda: LOCK,
            (lambda held: lambda: held)(hooked()),
        ]  # fmt: skip

    before = [code_fingerprint(thing) for thing in things()]
    random.random()
    np.random.normal()
    torch.rand(3)
    cached(1)
    with LOCK:
        assert before == [code_fingerprint(thing) for thing in things()]


def test_generators_that_are_held_count_with_their_state() -> None:
    for generator, draw in (
        (np.random.default_rng(0), lambda one: one.normal()),
        (torch.Generator().manual_seed(0), lambda one: torch.rand(1, generator=one)),
    ):
        before = code_fingerprint(holding(generator))
        assert before == code_fingerprint(holding(generator))
        draw(generator)
        assert before != code_fingerprint(holding(generator))


def test_frames_and_their_columns_count_by_their_values() -> None:
    def frame(last: float) -> pd.DataFrame:
        return pd.DataFrame({"a": [1.0, last], "b": ["x", "y"]})

    one = frame(2.0)
    before = code_fingerprint(holding(one))
    _ = one["a"].mean()  # looking at a column leaves it in a cache
    assert before == code_fingerprint(holding(one)) == code_fingerprint(holding(frame(2.0)))
    assert before != code_fingerprint(holding(frame(3.0)))


def test_names_count_where_code_asks_for_them() -> None:
    def first() -> str:
        return NAMED.__class__.__name__

    def second() -> str:
        return NAMED.__class__.__name__

    def third() -> str:
        return NAMED.__class__.__doc__ or ""

    assert code_fingerprint(first) != code_fingerprint(second)  # they could ask for their own
    assert code_fingerprint(first) != code_fingerprint(third)


def test_things_with_one_fingerprint_are_two_in_a_worker() -> None:
    """A driver tells by name; the same bytes may be given to different things, where a fingerprint cannot tell."""
    one, two = (
        UserDefined(name="a", fingerprint="same", thing=holding(1)),
        UserDefined(name="b", fingerprint="same", thing=holding(2)),
    )
    content, sent = send([one, two]), pickle.dumps([one, two])
    receive(content)
    received = pickle.loads(sent)
    assert [thing.thing() for thing in received] == [1, 2]
    assert received == [one, two]
    assert [thing.handle for thing in received] == [one.handle, two.handle]


# Behaviour


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.3), nn.Linear(4, 2))


def made(
    scale: float = 1.0, *, bias: bool = True, activation: Callable[[], nn.Module] = nn.Tanh
) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        module = nn.Sequential(nn.Linear(3, 4, bias=bias), activation(), nn.Linear(4, 2))
        with torch.no_grad():
            module[0].weight.mul_(scale)
        return module

    return make


def frozen() -> nn.Module:
    module = made()()
    module[0].weight.requires_grad_(requires_grad=False)
    return module


class Scaled(nn.Module):
    """Behaves otherwise in training, once it was trained, in evaluation, or backward, by `how`."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.layer, self.how = nn.Linear(3, 2), how
        self.born = self.layer.weight.detach().clone()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.layer(x)
        if self.how == "training":
            return 2 * z if self.training else z
        if self.how == "trained":
            return z if torch.equal(self.layer.weight, self.born) else 2 * z
        if self.how == "evaluation":
            return z if self.training else 2 * z
        if self.how == "backward":
            return z + 0 * z if not z.requires_grad else z.detach() + 2 * (z - z.detach())
        return z + torch.rand(()) if self.how == "noise" else z


def test_a_compiled_module_of_the_users_counts_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / f"fast{EXTENSION_SUFFIXES[0]}"
    module = types.ModuleType("fast")
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, "fast", module)
    compiled = type("Compiled", (), {"__module__": "fast"})
    found = []
    for content in (b"one", b"two", b"one"):
        file.write_bytes(content)
        found.append(code_fingerprint(holding(compiled)))
    assert found[0] == found[2] != found[1]
    file.unlink()
    thing = user_defined(lambda: compiled)
    assert thing.reason == "compiled is something compiled whose file cannot be read"


# Studies


def configured(config: dict[str, Any]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(2, config["width"]), nn.ReLU(), nn.Linear(config["width"], 2))


def scaled(config: dict[str, Any]) -> Callable[[Any, Any], float]:
    return lambda y, predicted: float((y == predicted).mean() * config["k"])


def test_a_changed_configuration_does_not_get_the_old_numbers(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"epochs": 1, "lr": 0.1, "out": tmp_path / "study"}
    old = paribus.train("moons", model={"net": configured({"width": 2})}, **asked).table()
    again = paribus.train("moons", model={"net": configured({"width": 2})}, **asked).table()
    assert old["train_loss"].tolist() == again["train_loss"].tolist()
    with pytest.raises(StoreError):
        paribus.train("moons", model={"net": configured({"width": 64})}, **asked)


@pytest.mark.slow
def test_workers_train_each_arm_on_its_own_module(tmp_path: Path) -> None:
    tables = [
        paribus.compare(
            "moons",
            model={"narrow": configured({"width": 2}), "wide": configured({"width": 64})},
            metrics={"once": scaled({"k": 1}), "twice": scaled({"k": 2})},
            epochs=1, lr=0.1, seeds=1, jobs=jobs, out=tmp_path / str(jobs),
        ).table()[["arm", "train_loss", "test_once", "test_twice"]].sort_values("arm").values.tolist()
        for jobs in (1, 2)
    ]  # fmt: skip
    assert tables[0] == tables[1]
    (_, narrow, once, twice), (_, wide, *_) = tables[0]
    assert narrow != wide
    assert twice == 2 * once
