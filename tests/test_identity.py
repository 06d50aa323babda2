"""When a user's code and values count as the same: after edits, in other processes, for values of every kind."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paribus.config.user_code import code_fingerprint
from tests.edits import CHANGES, CODE, HELPERS, NET, SAME, STATEFUL, VALUES, Edit

ROOT = Path(__file__).resolve().parent.parent

READER = """
import json, pathlib, sys
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
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
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


def test_a_fingerprint_is_the_same_in_a_script_and_imported(before: dict[str, list[Any]], tmp_path: Path) -> None:
    """And in a process that hashes text in another way, and in a notebook's cell, whose file has another name."""
    end = "\nfrom paribus.config.user_code import code_fingerprint\nprint(code_fingerprint(build))\n"
    for number, files in enumerate((NET, HELPERS, VALUES, CODE, STATEFUL)):
        write(tmp_path / str(number), files.replace("=== helpers.py", "=== helpers.py", 1))
        main = tmp_path / str(number) / "main.py"
        main.write_text(main.read_text() + end)
        cell = "exec(compile(open('main.py').read(), '<ipython-input-1>', 'exec'), globals())"
        for arguments in (["main.py"], ["-c", cell]):
            done = subprocess.run(
                [sys.executable, *arguments], cwd=main.parent, capture_output=True, text=True, check=False, timeout=100,
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{main.parent}", "PYTHONHASHSEED": "7"},
            )  # fmt: skip
            assert done.stdout.strip() == before[files][0], done.stderr


plain_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
keys = st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
values = st.recursive(
    plain_values,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner) | st.sets(keys)
        | st.frozensets(keys) | st.lists(plain_values).map(lambda one: np.array(one, dtype=object))
        | st.lists(st.floats(width=32, allow_nan=False)).map(lambda one: torch.tensor(one))
    ),
    max_leaves=12,
)  # fmt: skip


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
