"""The file of a study: what is recorded stays, and nothing else is written over."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as load_weights

from paribus.records.record import Evaluation, Outcome, Status
from paribus.study import store as store_module
from paribus.study.driver import lock
from paribus.study.names import folder_name
from paribus.study.reading import read
from paribus.study.runner import carry_out, prepare
from paribus.study.store import FILE, SCHEMA_VERSION, Store, StoreError
from tests.helpers import WORDS, ask, assert_same_curves


def test_folders_that_cannot_take_a_study(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="cannot be written"):
        prepare(ask(tmp_path / "file" / "s", WORDS))
    with pytest.raises(StoreError, match="holds other files"):
        prepare(ask(tmp_path / "file", WORDS))
    with pytest.raises(StoreError, match="holds other files"):
        prepare(ask(tmp_path, WORDS))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(StoreError, match=r"holds no study: there is no study\.sqlite in it"):
        read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        prepare(ask(tmp_path / "s", WORDS))
    tmp_path.chmod(0o700)


def test_what_is_kept_can_be_had(tmp_path: Path) -> None:
    carry_out(ask(tmp_path / "s", WORDS, "1", keep="weights,predictions"))
    store = Store.open(tmp_path / "s")
    content = store.artifact("hidden=5", 0, "weights")
    assert content is not None
    assert {name: value.shape for name, value in load_weights(content).items()}["linears.0.weight"] == (5, 2)
    assert store.artifact("hidden=5", 0, "predictions") is not None
    assert store.artifact("hidden=5", 1, "weights") is None
    store.close()


def test_the_record_names_its_surroundings(tmp_path: Path) -> None:
    carry_out(ask(tmp_path / "s", WORDS, "1").replaced(command="paribus compare ..."))
    with sqlite3.connect(tmp_path / "s" / FILE) as database:
        ((text,),) = database.execute("SELECT description FROM environments").fetchall()
    database.close()
    facts = json.loads(text)
    assert facts["command"] == "paribus compare ..."
    assert facts["versions"]["torch"]
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["machine"]["cpus"] >= 1


def test_the_lock_is_let_go_of(tmp_path: Path) -> None:
    for _ in range(2):
        with lock(tmp_path / "s"):
            pass


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    carry_out(ask(tmp_path / "s", WORDS, "1"))
    with sqlite3.connect(tmp_path / "s" / FILE) as database:
        database.execute("UPDATE study SET value = '99' WHERE key = 'schema_version'")
    database.close()
    with pytest.raises(StoreError, match=f"schema version 99, this Paribus reads up to {SCHEMA_VERSION}"):
        read(tmp_path / "s")
    with pytest.raises(StoreError, match="schema version 99"):
        prepare(ask(tmp_path / "s", WORDS, "2"))


def test_a_file_that_is_no_record(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("hello" * 1000)
    with pytest.raises(StoreError, match=r"study\.sqlite is not a study's record"):
        read(tmp_path)


@pytest.mark.parametrize("network", [True, False])
def test_where_write_ahead_logging_cannot_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: bool) -> None:
    monkeypatch.setattr(store_module, "on_network", lambda _: network)
    study = carry_out(ask(tmp_path / "s", WORDS, "1"))
    header = (tmp_path / "s" / FILE).read_bytes()[18:20]
    assert header == (b"\x01\x01" if network else b"\x02\x02")  # 1: rollback journal, 2: write-ahead log
    assert_same_curves(study, read(tmp_path / "s"))


def test_a_curve_of_150_evaluations_is_at_most_10_kb(tmp_path: Path) -> None:
    carry_out(ask(tmp_path / "s", "moons hidden=20,19 epochs=450 eval_every=3 init=default", "10"))
    size = (tmp_path / "s" / FILE).stat().st_size / 20
    assert size <= 10 * 1024  # in pages of 4 KiB, with the settings of both arms


def test_a_curve_in_chunks_is_the_curve(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s")
    asked = ask(tmp_path / "x", WORDS, "1")
    study = carry_out(asked)
    task = store.add_task(study.arms[0].runs[0].task, None)
    run = store.start(
        store.add_arm("a", {}), 0, task=task, environment=store.add_environment({}), plan=(1, "hash"), timed=False
    )
    values = np.random.default_rng(0).standard_normal(40)
    for i, value in enumerate(values):
        store.append(run, Evaluation(i, i / 7, i * 0.1, i * 0.01, {"train_loss": float(value)}))
        if i % 7 == 0:
            store.flush(run)
    store.flush(run)
    before = store.read().arms[0].runs[0].curve
    store.end(run, Outcome(Status.DONE, 6))
    after = store.read().arms[0].runs[0].curve
    store.close()
    for curve in (before, after):
        np.testing.assert_array_equal(curve["train_loss"], values)
        assert curve["step"].tolist() == list(range(40))


@pytest.mark.parametrize("name", ["a/b", "../x", "学", "", "x" * 300, "a\x00b", "<script>", "...", "con*?", "a'b\"c"])
def test_any_name_is_a_safe_folder(name: str) -> None:
    folder = folder_name(name)
    assert folder
    assert len(folder) <= 90
    assert not set(folder) & set('/\\\x00<>:"|?* ')
    assert not folder.startswith(".")
    assert folder_name(name) == folder


def test_killed_before_the_first_line_the_folder_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / FILE).touch()
    with pytest.raises(StoreError, match="holds no study yet"):
        read(tmp_path / "s")
    assert len(carry_out(ask(tmp_path / "s", WORDS, "1")).arms) == 2


def test_a_store_that_fails_is_what_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "end", full)
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        carry_out(ask(tmp_path / "s", WORDS, "1").replaced(jobs=2))
