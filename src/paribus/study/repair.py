"""Making a damaged record whole again: what can be read is kept, the rest left out, and the damaged file set aside."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from paribus.records.files import replacing
from paribus.study import checksums
from paribus.study.checksums import ARMS, ARTIFACTS, RUNS, STUDY, TASKS, Sealed
from paribus.study.driver import lock
from paribus.study.migrations import SCHEMA_VERSION
from paribus.study.rows import Rows
from paribus.study.stages import parts
from paribus.study.store import DAMAGE, FILE, SCHEMA, DamagedError, Store, StoreError, connected

_ASIDE = "damaged"
_BESIDE = (f"{FILE}-wal", f"{FILE}-journal")
_ROUNDS = 20
"""What is left out may have been needed by something else, which then goes too."""

_LEAST_ROW = 20  # bytes

_GAP = 100_000
"""Where a table cannot be read in one go its rows are asked for by number, until so many in a row are not there."""


def repair(folder: Path) -> list[str]:
    """Leave out of a study's record what is damaged, and of those that a tuned study consists of; what was done, in
    sentences. A damaged file is kept in a folder beside it. Raises StoreError where there is no study, or another
    process carries it out."""
    if not (folder / FILE).is_file():
        raise StoreError(f"{folder} holds no study: there is no {FILE} in it")
    return [line for one in parts(folder) for line in _repaired(one)]


def _repaired(folder: Path) -> list[str]:
    with lock(folder), closing(Store.open(folder, mending=True)) as store:
        damages = _damages(store)
        if not damages:
            return [f"{folder / FILE} is not damaged: nothing was changed"]
        aside = _copied_aside(folder)
        with replacing(folder / FILE) as part:
            part.unlink()
            with closing(connected(part)) as mended:
                _copy(store.connection, mended, (folder / FILE).stat().st_size)
                left_out = _leave_out(mended, folder, store.version)
            store.connection.close()
            for name in (*_BESIDE, f"{FILE}-shm"):
                (folder / name).unlink(missing_ok=True)
    lines = [f"damaged: {one}" for one in damages]
    kept = f"the damaged record is kept in {aside}; the command of the study trains again what was left out"
    return [*lines, *left_out, kept]


def _damages(store: Store) -> tuple[str, ...]:
    try:
        return store.read(deep=True).damages
    except DamagedError as error:  # SQLite cannot read all of it
        return (error.what,)


def _copied_aside(folder: Path) -> Path:
    number = 1
    while (folder / f"{_ASIDE}-{number}").exists():
        number += 1
    aside = folder / f"{_ASIDE}-{number}"
    aside.mkdir()
    for name in (FILE, *_BESIDE):
        if (folder / name).exists():
            shutil.copy2(folder / name, aside / name)
    return aside


def _copy(damaged: sqlite3.Connection, mended: sqlite3.Connection, size: int) -> None:
    """Every row that can be read, of a file of this size."""
    mended.execute("BEGIN")
    for statement in SCHEMA.split(";"):
        mended.execute(statement)
    checksums.make_table(mended)
    for table in ("study", "tasks", "environments", "arms", "runs", "chunks", "artifacts", "checksums"):
        for row in _readable(damaged, table, size):
            marks = ", ".join("?" * len(row))
            with suppress(UnicodeEncodeError):  # what is no text is damaged
                mended.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
    former = "SELECT sql FROM sqlite_master WHERE name = 'former'"
    for (statement,) in damaged.execute(former).fetchall():
        mended.execute(statement)
        for row in _readable(damaged, "former", size):
            mended.execute("INSERT INTO former VALUES (?, ?, ?, ?)", row)
    mended.execute("COMMIT")


def _readable(database: sqlite3.Connection, table: str, size: int) -> Iterator[tuple[object, ...]]:
    try:
        yield from database.execute(f"SELECT * FROM {table}").fetchall()
    except DAMAGE:
        if table == "checksums":  # its rows have no numbers; what stands in the others is looked at without it
            return
        # a number may be damaged too: rows are numbered one after the other, and each takes its bytes
        number, last = 0, min(last_row(database, table), size // _LEAST_ROW)
        while number - last < _GAP:
            number += 1
            with suppress(*DAMAGE):
                for row in database.execute(f"SELECT * FROM {table} WHERE rowid = ?", (number,)).fetchall():
                    last = max(last, number)
                    yield row


def last_row(database: sqlite3.Connection, table: str) -> int:
    """The highest number of a row; a run's chunks are written anew when it ends, so that there may be none before."""
    with suppress(*DAMAGE):
        (last,) = database.execute(f"SELECT max(rowid) FROM {table}").fetchone()
        return int(last or 0)
    return 0


def _leave_out(database: sqlite3.Connection, folder: Path, version: int) -> list[str]:
    """Remove what is damaged, with what depends on it, until nothing is."""
    runs = _count(database)
    database.execute("BEGIN")
    if not database.execute("SELECT 1 FROM checksums").fetchone():
        database.execute("DROP TABLE checksums")
    for _ in range(_ROUNDS):
        damaged = _damaged(database, folder, version)
        for sealed, key, column in damaged:
            _remove(database, sealed, key, column)
        checksums.make_table(database)
        database.execute("DELETE FROM checksums")
        checksums.seal_all(database)
        if not damaged:
            break
    else:
        raise StoreError(f"{folder / FILE} cannot be repaired: take it from a copy, or train the study anew (--fresh)")
    if version < SCHEMA_VERSION:  # it goes on as it was, with no checksums; whoever extends it makes them
        database.execute("DROP TABLE checksums")
    else:
        database.execute("INSERT OR REPLACE INTO study VALUES ('schema_version', ?)", (str(version),))
        checksums.seal(database, STUDY, "schema_version")
    database.execute("COMMIT")
    kept = _count(database)
    return [f"kept: {kept} attempts at runs; left out: {runs - kept}"]


def _damaged(database: sqlite3.Connection, folder: Path, version: int) -> list[tuple[Sealed, object, str]]:
    rows = Rows(database, folder, version, deep=True)
    rows.study()
    return rows.damaged


def _remove(database: sqlite3.Connection, sealed: Sealed, key: object, column: str) -> None:
    if sealed is TASKS and column == "points":
        database.execute("UPDATE tasks SET points = NULL WHERE id IS ?", (key,))
        return
    if sealed is ARTIFACTS:  # a name put together of bytes may be no text, which no parameter can be
        named = str(key).encode("utf-8", "surrogateescape")
        database.execute(f"DELETE FROM artifacts WHERE {ARTIFACTS.name()} IS CAST(? AS TEXT)", (named,))
        return
    if sealed in (ARMS, TASKS):
        name = "arm" if sealed is ARMS else "task"
        for (run,) in database.execute(f"SELECT id FROM runs WHERE {name} IS ?", (key,)).fetchall():
            _remove(database, RUNS, run, "all")
    if sealed is RUNS:
        for table in ("chunks", "artifacts"):
            database.execute(f"DELETE FROM {table} WHERE run IS ?", (key,))
    database.execute(f"DELETE FROM {sealed.table} WHERE {sealed.where()}", (key,))


def _count(database: sqlite3.Connection) -> int:
    (number,) = database.execute("SELECT count(*) FROM runs").fetchone()
    return int(number)
