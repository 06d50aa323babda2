"""Records that a disk has damaged, or that somebody wrote who means harm: read without a traceback, and without a wrong
number."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import zlib
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from paribus import cli
from paribus.config.user_errors import told
from paribus.findings.findings import Findings
from paribus.records.record import StudyRecord
from paribus.records.run import Callback, Run
from paribus.report.show import as_json
from paribus.study import checksums
from paribus.study.checksums import ARTIFACTS, TABLES
from paribus.study.packing import pack, unpack
from paribus.study.reading import read
from paribus.study.repair import _readable, last_row, repair
from paribus.study.runner import carry_out
from paribus.study.store import FILE, Store, StoreError, connected
from tests.helpers import ask, assert_same_curves, edited, runs
from tests.hostile import damaged, tries

WORDS = "moons hidden=5,none epochs=6 eval_every=2 init=default"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "s"
    carry_out(ask(folder, WORDS, "3", keep="weights"))
    return folder


@pytest.fixture(scope="module")
def whole(study: Path) -> StudyRecord:
    return read(study)


def copy_of(study: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "s"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(study, folder)
    return folder


def assert_nothing_is_wrong(found: StudyRecord, whole: StudyRecord) -> None:
    """What is there is what was recorded; what is not is told of."""
    theirs = runs(whole)
    for key, run in runs(found).items():
        assert key in theirs
        if run.status != theirs[key].status:
            assert run.status == "interrupted"
            continue
        for name, column in run.curve.items():
            np.testing.assert_array_equal(column, theirs[key].curve[name])
    same = found.baseline == whole.baseline and found.factors == whole.factors
    assert found.damages or (runs(found).keys() == theirs.keys() and same)


def test_no_damage_to_the_file_bends_a_number(study: Path, whole: StudyRecord, tmp_path: Path) -> None:
    """A bit, a byte or a page: one sentence, or what is right; then repaired and trained again, it is as it was."""
    for number, source in enumerate(tries(25)):
        folder = copy_of(study, tmp_path)
        path = folder / FILE
        path.write_bytes(damaged(path.read_bytes(), source))
        try:
            found = read(folder)
        except StoreError as error:
            assert "damaged" in str(error) or "is not a study's record" in str(error) or "schema" in str(error)
            found = None
        if found is not None:
            assert_nothing_is_wrong(found, whole)
            json.dumps(as_json(Findings.of(found)))
        if number % 5 == 0:
            try:
                repair(folder)
                again = carry_out(ask(folder, WORDS, "3", keep="weights"))
            except StoreError:  # no database any more, or another study's by what is left of it
                continue
            assert_same_curves(again, whole)


def value(source: random.Random, before: object) -> object:
    """Something else for a column of a row."""
    anything: list[object] = [
        None,
        0,
        -1,
        2**62,
        1.5,
        float("inf"),
        "",
        "x",
        "\x1b[2J",
        "{}",
        "[]",
        "null",
        b"",
        b"\xff",
    ]
    anything += ['{"a": NaN}', "[" * 5000, '"\\ud800"', "1e999", "9" * 5000]
    if isinstance(before, str) and source.random() < 0.7:
        return mutated_json(before, source)
    if isinstance(before, bytes) and source.random() < 0.7:
        try:
            return zlib.compress(damaged(zlib.decompress(before), source))
        except zlib.error:
            return damaged(before, source)
    return source.choice(anything)


def mutated_json(text: str, source: random.Random) -> str:
    """One value in it is another."""
    try:
        data = json.loads(text)
    except ValueError:
        return text[: len(text) // 2]
    other: Any = source.choice([None, 0, -1, 1.5, "", "x", "<script>", [], {}, [[]], {"a": 1}, True, 10**30, "\ud800"])
    if not isinstance(data, dict | list) or not data:
        return json.dumps(other)
    at, inside = source.choice(list(data) if isinstance(data, dict) else range(len(data))), data
    if isinstance(data[at], dict | list) and data[at] and source.random() < 0.7:
        inside[at] = json.loads(mutated_json(json.dumps(data[at]), source))
    elif source.random() < 0.2:
        del inside[at]
    else:
        inside[at] = other
    return json.dumps(data)


def test_whatever_stands_in_a_column(study: Path, tmp_path: Path) -> None:
    """With checksums that agree, as who means harm would make them: read, shown, written and extended without a
    traceback."""
    for number, source in enumerate(tries(12)):
        folder = copy_of(study, tmp_path)
        with edited(folder) as database:
            database.execute("PRAGMA ignore_check_constraints = ON")
            for _ in range(source.choice((1, 1, 3))):
                table = source.choice(
                    ["study", "study", "tasks", "environments", "arms", "runs", "chunks", "artifacts"]
                )
                names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
                column = source.choice(names)
                rows = database.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
                rowid, before = source.choice(rows)
                try:
                    after = value(source, before)
                    database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (after, rowid))
                except (sqlite3.Error, OverflowError, UnicodeEncodeError):
                    continue  # SQLite keeps it from being there
        asked = [["show", str(folder)], ["show", str(folder), "--json"]]
        if number % 4 == 0:
            asked += [["report", str(folder)], ["show", str(folder), "--toml"], ["show", str(folder), "--repair"]]
            asked += [["compare", *WORDS.split(), "--seeds", "3", "--out", str(folder), "--quiet"]]
        for words in asked:
            done = CliRunner().invoke(cli.app, words)
            assert done.exit_code in (0, 2, 3), (number, words, done.exception, done.output[-2000:])
            assert "\x1b[2J" not in done.output


def test_a_run_whose_curve_is_damaged_is_left_out_and_trained_again(
    study: Path, whole: StudyRecord, tmp_path: Path
) -> None:
    """One bit of one blob: the others are read, the file, the run and the column are named."""
    folder = copy_of(study, tmp_path)
    with closing(sqlite3.connect(folder / FILE)) as database:
        (blob,) = database.execute("SELECT columns FROM chunks WHERE run = 2").fetchone()
        flipped = blob[:40] + bytes([blob[40] ^ 4]) + blob[41:]
        database.execute("UPDATE chunks SET columns = ? WHERE run = 2", (flipped,))
        database.commit()
    found = read(folder)
    assert len(runs(found)) == len(runs(whole)) - 1
    assert found.damages == ("run 2: column any, or columns of chunks of runs: its checksum is another",)
    told = CliRunner().invoke(cli.app, ["show", str(folder)]).output
    assert "The record is damaged" in told
    with pytest.raises(StoreError, match=r"study\.sqlite is damaged: run 2: .* --repair` keeps what can be read"):
        carry_out(ask(folder, WORDS, "3"))
    lines = repair(folder)
    assert lines[1] == "kept: 5 attempts at runs; left out: 1"
    assert (folder / "damaged-1" / FILE).exists()
    assert read(folder).damages == ()
    assert_same_curves(carry_out(ask(folder, WORDS, "3", keep="weights")), whole)
    assert repair(folder) == [f"{folder / FILE} is not damaged: nothing was changed"]


def changed(value: object) -> object:
    """Another value of the kind."""
    if isinstance(value, int | float):
        return value + 1000
    return f"{value} " if isinstance(value, str) else b"other"


def in_what_is_kept(folder: Path, column: str) -> bool:
    """Whether it is noticed by who asks for the weights: nobody else reads them."""
    assert column == "content"
    with closing(Store.open(folder)) as store, pytest.raises(StoreError, match="column content of artifacts"):
        [store.artifact(arm, seed, "weights") for arm in ("hidden=5", "hidden=none") for seed in range(3)]
    return True


@pytest.mark.parametrize("sealed", TABLES, ids=lambda one: one.table)
def test_a_number_that_is_another_is_noticed(study: Path, tmp_path: Path, sealed: checksums.Sealed) -> None:
    """In every column of every table, though it be as good a value."""
    for column in (*sealed.keys, *sealed.columns):
        folder = copy_of(study, tmp_path)
        with closing(sqlite3.connect(folder / FILE)) as database:
            only = "WHERE kind = 'weights'" if sealed is ARTIFACTS else ""
            rows = database.execute(f"SELECT rowid, {column} FROM {sealed.table} {only}").fetchall()
            rowid, before = rows[-1]
            after = changed(before) if column != "status" else "failed"
            database.execute(f"UPDATE {sealed.table} SET {column} = ? WHERE rowid = ?", (after, rowid))
            database.commit()
        try:
            assert read(folder).damages or in_what_is_kept(folder, column), column
        except StoreError:
            assert sealed.table == "study"
            continue


def test_a_row_that_is_lost_is_missed(study: Path, tmp_path: Path) -> None:
    for table in ("study", "tasks", "arms", "runs", "chunks", "artifacts", "environments"):
        folder = copy_of(study, tmp_path)
        with closing(sqlite3.connect(folder / FILE)) as database:
            database.execute(f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})")
            database.commit()
        assert read(folder).damages, table


def bomb(gigabytes: float) -> bytes:
    """A chunk of a curve that is small and would be large."""
    rows = int(gigabytes * 2**30 / 8 / 4)
    stream = zlib.compressobj(9)
    head = json.dumps([[name, "<f8", [rows]] for name in ("step", "epoch", "train_seconds", "eval_seconds")])
    parts = [stream.compress(head.encode() + b"\n")]
    parts += [stream.compress(bytes(2**20)) for _ in range(int(gigabytes * 1024))]
    return b"".join([*parts, stream.flush()])


def test_a_small_file_is_not_unpacked_to_a_large_one(study: Path, tmp_path: Path) -> None:
    folder, content = copy_of(study, tmp_path), bomb(0.5)
    assert len(content) < 10**6
    told: list[int] = []
    with pytest.raises(ValueError, match="not as much as it says"):
        unpack(content[: len(content) // 2], told.append)
    assert told == [2**29]
    with edited(folder) as database:
        database.execute("UPDATE chunks SET columns = ? WHERE run = 1", (content,))
    before = psutil.Process().memory_info().rss
    found = read(folder)
    assert psutil.Process().memory_info().rss - before < 2**27
    assert len(runs(found)) == 5
    assert "more than there can be" in found.damages[0]


def test_memory_for_all_of_it_is_asked_for_before_it_is_taken(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many chunks that are as large as they may be."""
    monkeypatch.setattr("paribus.study.rows._room", lambda: 2000)
    folder = copy_of(study, tmp_path)
    with pytest.raises(StoreError, match="cannot be read: there is not enough memory free") as refused:
        read(folder)
    assert "--repair" not in str(refused.value)  # nothing is damaged
    with pytest.raises(StoreError, match="not enough memory free"):
        repair(folder)
    monkeypatch.undo()
    assert read(folder).damages == ()


def test_what_is_packed_says_how_much_it_is() -> None:
    packed = pack({"a": np.arange(5.0), "b": np.zeros((2, 3), np.uint8)})
    told: list[int] = []
    unpack(packed, told.append)
    assert told == [46]
    whole = zlib.decompress(packed)
    for content in (whole[:-1], whole + b"1", whole.replace(b"[5]", b"[4]"), whole.replace(b"<f8", b"|O8")):
        with pytest.raises(ValueError, match=r"not as much as it says|describes no array"):
            unpack(zlib.compress(content))


@pytest.mark.parametrize("how", ["removed", "renamed", "replaced", "file removed"])
@pytest.mark.parametrize("implementation", ["fused", "numpy"])
def test_a_folder_that_goes_while_it_trains(tmp_path: Path, how: str, implementation: str) -> None:
    """It is said at once, and not made anew by what is written after."""
    folder = tmp_path / "s"

    class Going(Callback):
        def on_run_begin(self, run: Run) -> None:
            if how == "removed":
                shutil.rmtree(folder, ignore_errors=True)
            elif how == "file removed":
                (folder / FILE).unlink(missing_ok=True)
            elif folder.exists() and not (tmp_path / "other").exists():
                folder.rename(tmp_path / "other")
                if how == "replaced":
                    folder.mkdir()

    words = f"{WORDS} implementation={implementation}"
    with pytest.raises(StoreError, match="was removed, renamed or replaced while its study is carried out"):
        carry_out(ask(folder, words, "3").replaced(checkpoint_seconds=1e-9), [Going()])
    assert not folder.exists() or not list(folder.glob("checkpoints/*"))
    if how == "renamed":
        study = carry_out(ask(tmp_path / "other", words, "3"))
        assert_same_curves(study, carry_out(ask(tmp_path / "whole", words, "3")))


def test_an_index_that_is_damaged_is_noticed(study: Path, whole: StudyRecord, tmp_path: Path) -> None:
    """The rows are whole, and what they are found by is not; repaired, none is lost."""
    folder = copy_of(study, tmp_path)
    with closing(connected(folder / FILE)) as database:
        (page,) = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name LIKE 'sqlite_autoindex_arms%'"
        ).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    content = bytearray((folder / FILE).read_bytes())
    at = content.rindex(b"model.hidden", (page - 1) * size, page * size)
    content[at] ^= 1
    (folder / FILE).write_bytes(content)
    assert "the table arms" in read(folder).damages[0]
    repair(folder)
    assert read(folder).damages == ()
    assert_same_curves(read(folder), whole)


# --- what is healthy, though it is unusual ---


def test_many_evaluations_are_no_damage(tmp_path: Path) -> None:
    """Steps with replacement may be more than there are examples."""
    words = "moons n=100 sampler=replacement batch_size=1 steps_per_epoch=3000 eval_every=1steps epochs=1 lr=0.1,0.2"
    study = carry_out(ask(tmp_path / "s", words, "1"))
    assert study.damages == ()
    assert [len(run.curve["step"]) for run in runs(study).values()] == [3000, 3000]


def test_rows_behind_a_gap_are_kept(
    study: Path, whole: StudyRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's chunks are written anew when it ends: their numbers may begin late."""
    folder = copy_of(study, tmp_path)
    with closing(connected(folder / FILE)) as database:
        database.execute("UPDATE chunks SET rowid = rowid + 300000")
        monkeypatch.setattr("paribus.study.repair._GAP", 100)
        first = next(iter(database.execute("SELECT min(rowid) FROM chunks")))[0]
        assert first > 300_000
        assert last_row(database, "chunks") == first + 5


def test_the_version_survives_a_repair(study: Path, whole: StudyRecord, tmp_path: Path) -> None:
    folder = copy_of(study, tmp_path)
    with closing(connected(folder / FILE)) as database:
        database.execute("UPDATE checksums SET digest = x'00' WHERE what = 'study schema_version'")
    assert read(folder).damages
    repair(folder)
    assert read(folder).damages == ()
    assert_same_curves(read(folder), whole)


def test_a_locked_record_is_not_damaged(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy_of(study, tmp_path)
    with closing(connected(folder / FILE)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("paribus.study.store._PATIENCE", 10)
        with pytest.raises(StoreError, match=r"cannot be read now: database is locked") as refused:
            read(folder)
        assert "damaged" not in str(refused.value)
        with pytest.raises(StoreError, match=r"cannot be read now: database is locked"):
            repair(folder)


def test_an_older_version_may_go_on_with_what_was_repaired(tmp_path: Path) -> None:
    """It writes no checksums: there may be none then, or all that it adds would be called damaged."""
    folder = tmp_path / "s"
    shutil.copytree(Path(__file__).parents[1] / "folders" / "plain", folder)
    with closing(connected(folder / FILE)) as database:
        (version,) = database.execute("SELECT value FROM study WHERE key = 'schema_version'").fetchone()
        database.execute("UPDATE chunks SET columns = x'00' WHERE run = 1")
    assert repair(folder)[0].startswith("damaged: run 1")
    with closing(connected(folder / FILE)) as database:
        assert not checksums.there(database)
        assert database.execute("SELECT value FROM study WHERE key = 'schema_version'").fetchone() == (version,)


def test_a_tuned_study_tells_of_damage_in_its_parts(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    shutil.copytree(Path(__file__).parents[1] / "folders" / "tuned", folder)
    with closing(connected(folder / "shared" / FILE)) as database:
        database.execute("UPDATE chunks SET columns = x'00' WHERE run = 1")
    assert read(folder).damages[0].startswith("shared: run 1")
    assert any("run 1" in line for line in repair(folder))
    assert read(folder).damages == ()


def test_an_error_of_several_lines_is_one(tmp_path: Path) -> None:
    assert told(RuntimeError("first\nsecond\t third")) == "RuntimeError: first second third"
    told(RuntimeError("caf\udce9")).encode()


RUNNING = {
    "trigger": "CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END",
    "view": "DROP TABLE environments; CREATE VIEW environments AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
    "SELECT i + 1 FROM n) SELECT i AS id, 'x' AS description FROM n",
    "computed column": "ALTER TABLE environments ADD COLUMN more TEXT AS (hex(zeroblob(400000000))) VIRTUAL",
    "index": "CREATE INDEX i ON runs (abs(seed))",
    "table": "CREATE TABLE other (a)",
}


@pytest.mark.parametrize(("what", "statements"), RUNNING.items(), ids=RUNNING)
def test_a_database_that_would_run_something_is_not_opened(
    study: Path, tmp_path: Path, what: str, statements: str
) -> None:
    folder = copy_of(study, tmp_path)
    with closing(sqlite3.connect(folder / FILE)) as database:
        database.executescript(statements)
        database.commit()
    for use in (read, repair, lambda folder: carry_out(ask(folder, WORDS, "4"))):
        with pytest.raises(StoreError, match=f"has a {what} .*, which no study's record has: it is not opened"):
            use(folder)


def test_a_record_without_checksums_is_damaged_unless_it_is_older(
    study: Path, whole: StudyRecord, tmp_path: Path
) -> None:
    folder = copy_of(study, tmp_path)
    with closing(connected(folder / FILE)) as database:
        database.execute("DROP TABLE checksums")
    assert read(folder).damages == ("the table checksums: it is lost",)
    repair(folder)
    assert read(folder).damages == ()
    assert_same_curves(read(folder), whole)


@pytest.mark.parametrize("statement", [
    "DELETE FROM study WHERE key = 'schema_version'",
    "UPDATE study SET value = '\"x\"' WHERE key = 'schema_version'",
])  # fmt: skip
def test_a_lost_version_is_damage_and_repaired(study: Path, whole: StudyRecord, tmp_path: Path, statement: str) -> None:
    folder = copy_of(study, tmp_path)
    with closing(connected(folder / FILE)) as database:
        database.execute(statement)
    with pytest.raises(StoreError, match=r"is damaged: its schema version is .* --repair"):
        read(folder)
    repair(folder)
    assert_same_curves(read(folder), whole)


class Unreadable:
    """A database of which a table cannot be read in one go, and whose highest row number is damaged."""

    def __init__(self, database: sqlite3.Connection, highest: int) -> None:
        self._database, self._highest, self.asked = database, highest, 0

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        self.asked += 1
        assert self.asked < 500_000
        if statement == "SELECT * FROM runs":
            raise sqlite3.DatabaseError("database disk image is malformed")
        if "max(rowid)" in statement:
            return self._database.execute(f"SELECT {self._highest}")
        return self._database.execute(statement, values)


@pytest.mark.parametrize("highest", [0, 6, 2**62])
def test_a_damaged_row_number_is_not_counted_up_to(study: Path, highest: int) -> None:
    with closing(connected(study / FILE)) as database:
        rows = database.execute("SELECT * FROM runs").fetchall()
        found = _readable(Unreadable(database, highest), "runs", (study / FILE).stat().st_size)  # type: ignore[arg-type]
        assert list(found) == rows


COLUMNS = [
    *((sealed.table, column) for sealed in TABLES for column in (*sealed.keys, *sealed.columns)),
    *(("chunks", column) for column in ("run", "first", "columns")),
    *(("checksums", column) for column in ("what", "digest")),
    ("tasks", "points"),
]
ODD = [None, -1, 2**62, 1.5, float("inf"), "", "x", "\x1b[2J", b"", b"\xff", b"\xff 1", b"1 \xff"]


@pytest.mark.thinned(9)
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_whatever_stands_in_a_column_is_repaired(
    study: Path, whole: StudyRecord, tmp_path: Path, table: str, column: str
) -> None:
    """As bytes and as text, which need be none."""
    for odd, kind in [*((one, "?") for one in ODD), (b"\xff", "CAST(? AS TEXT)"), (b"a\x00b", "CAST(? AS TEXT)")]:
        folder = copy_of(study, tmp_path)
        with closing(connected(folder / FILE)) as database:
            database.execute("PRAGMA ignore_check_constraints = ON")
            row = f"(SELECT {column} FROM {table} ORDER BY 1 LIMIT 1 OFFSET 1)"
            try:
                database.execute(f"UPDATE {table} SET {column} = {kind} WHERE {column} IS {row}", (odd,))
            except (sqlite3.Error, OverflowError):
                continue  # SQLite keeps it from being there
        try:
            repair(folder)
        except StoreError as error:
            assert "\n" not in str(error)
            continue
        mended = read(folder)
        assert not mended.damages
        assert runs(mended).keys() <= runs(whole).keys()
        assert_nothing_is_wrong(replace(mended, damages=("repaired",)), whole)


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Studies with everything that is drawn."""
    folder = tmp_path_factory.mktemp("pictured")
    for words in (
        "moons hidden=5,none epochs=4 eval_every=2 init=default implementation=numpy",
        "digits hidden=5 epochs=1 implementation=numpy",
        "palindrome model=rnn hidden=4 length=3 epochs=1 steps_per_epoch=3 implementation=numpy",
    ):
        carry_out(ask(folder / words.partition(" ")[0], words, "1"))
    return sorted(folder.iterdir())


def bent(array: np.ndarray, source: random.Random) -> np.ndarray:
    """An array of another shape, type or value."""
    match source.randrange(9):
        case 0:
            return array[:0]
        case 1:
            return array[None]
        case 2:
            return array.reshape(-1)
        case 3:
            return array.T if array.ndim > 1 else array[:-1]
        case 4:
            return array.astype(source.choice(["<f8", "<f4", "<i8", "|u1", "<f2", "|b1"]))
        case 5:
            return np.full(array.shape, source.choice([np.nan, np.inf, -np.inf, 1.7e308, -1.7e308, -1.0, 0.5]))
        case 6:
            found = array.copy()
            found.flat[source.randrange(max(array.size, 1)) if array.size else slice(0)] = source.choice([0, 1, 127])
            return found
        case 7:
            return np.concatenate([array, array])
        case _:
            return np.full(array.shape, source.choice([-1, 255, 2**40, 2**62]), dtype=np.int64)


@np.errstate(all="ignore")
def test_whatever_stands_in_an_array(pictured: list[Path], tmp_path: Path) -> None:
    """Curves, points, boundaries and pictures of other shapes, types and values, with checksums that agree."""
    for number, source in enumerate(tries(8)):
        folder = copy_of(source.choice(pictured), tmp_path)
        with edited(folder) as database:
            table, key, column = source.choice(
                [("chunks", "rowid", "columns"), ("tasks", "rowid", "points")] + 4 * [("artifacts", "rowid", "content")]
            )
            rows = database.execute(f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall()
            if not rows:
                continue
            rowid, blob = source.choice(rows)
            arrays = unpack(blob)
            name = source.choice(list(arrays))
            with suppress(ValueError, OverflowError):
                arrays[name] = bent(arrays[name], source)
            database.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (pack(arrays), rowid))
        for words in (
            ["show", str(folder)],
            ["show", str(folder), "--json"],
            ["report", str(folder), "--files", str(tmp_path / "f")],
        ):
            done = CliRunner().invoke(cli.app, words)
            assert done.exit_code in (0, 2, 3), (number, table, name, words, done.exception, done.output[-2000:])


def test_damaged_weights_are_repaired_too(study: Path, tmp_path: Path) -> None:
    """No page reads them."""
    folder = copy_of(study, tmp_path)
    with closing(connected(folder / FILE)) as database:
        database.execute("UPDATE artifacts SET content = zeroblob(50) WHERE run = 3 AND kind = 'weights'")
    assert any("what was kept of run 3 weights" in line for line in repair(folder))
    with closing(Store.open(folder)) as store:
        kept = [store.artifact(arm.name, run.seed, "weights") for arm in store.read().arms for run in arm.runs]
    assert sum(one is None for one in kept) == 1


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no study"):
        repair(tmp_path / "none")
    assert not (tmp_path / "none").exists()
