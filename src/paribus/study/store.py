"""Records in one SQLite file in the study's folder.

A run's curve is appended in chunks while it trains and packed into one when it ends. Every attempt at a run is a row of
its own, so that an attempt that was killed is kept beside the one that went through.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.overrides import RefusedError
from paribus.config.values import Value
from paribus.records.files import leads_out
from paribus.records.record import (
    FINISHED,
    Curve,
    DatasetInfo,
    Evaluation,
    Outcome,
    Status,
    StudyRecord,
)
from paribus.study import checksums
from paribus.study.checksums import ARMS, ARTIFACTS, ENVIRONMENTS, RUNS, STUDY, TASKS, Checks, Sealed
from paribus.study.migrations import SCHEMA_VERSION, canonical, facts_today, settings_today
from paribus.study.packing import artifacts, curve_columns, joined, pack, unpack
from paribus.study.rows import CLASS_COUNTS, CLASS_NAMES, Rows, dataset_info

FILE = "study.sqlite"

_MIGRATED = ("shared", "tune", "tuned")
"""The facts of a study that hold settings."""

_PATIENCE = 10_000  # milliseconds that another process may write for
_KEEP_SECONDS = 5.0
_NETWORK = ("nfs", "cifs", "smb", "9p", "sshfs", "lustre", "gpfs", "beegfs", "ceph", "afs")

SCHEMA = """
CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE tasks (id INTEGER PRIMARY KEY, card TEXT NOT NULL UNIQUE, points BLOB);
CREATE TABLE environments (id INTEGER PRIMARY KEY, description TEXT NOT NULL UNIQUE);
CREATE TABLE arms (id INTEGER PRIMARY KEY, name TEXT NOT NULL, settings TEXT NOT NULL UNIQUE);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    arm INTEGER NOT NULL REFERENCES arms, seed INTEGER NOT NULL, attempt INTEGER NOT NULL,
    task INTEGER NOT NULL REFERENCES tasks, environment INTEGER NOT NULL REFERENCES environments,
    plan_version INTEGER NOT NULL, plan_hash TEXT NOT NULL,
    status TEXT NOT NULL, error TEXT, epochs INTEGER NOT NULL DEFAULT 0,
    timed INTEGER NOT NULL, started REAL NOT NULL, ended REAL,
    UNIQUE (arm, seed, attempt)
);
CREATE TABLE chunks (
    run INTEGER NOT NULL REFERENCES runs, first INTEGER NOT NULL, columns BLOB NOT NULL,
    PRIMARY KEY (run, first)
);
CREATE TABLE artifacts (
    run INTEGER NOT NULL REFERENCES runs, kind TEXT NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (run, kind)
);
"""

_FORMER = """
CREATE TABLE IF NOT EXISTS former (what TEXT NOT NULL, content TEXT NOT NULL, version INTEGER, migrated REAL NOT NULL)
"""
"""What older versions recorded, word for word, where this one has other words for it."""


DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What a damaged file raises: the second where SQLite's message would quote it."""

_REPAIR = ". `paribus show {} --repair` keeps what can be read, and leaves the rest out, so that it is trained again"
"""What there is to do about a damaged record."""


TABLES = ("study", "tasks", "environments", "arms", "runs", "chunks", "artifacts", "former", "checksums")
"""Every table that a study's record has, of this version and of older ones."""


def _is_a_studys(kind: str, name: str) -> bool:
    return (kind == "table" and name in TABLES) or (kind == "index" and name.startswith("sqlite_autoindex_"))


class StoreError(RefusedError):
    """A folder that cannot be read as a study, or cannot take what is to be written."""


class DamagedError(StoreError):
    """A record that a disk, or somebody, has damaged. `what`: without what there is to do about it."""

    def __init__(self, folder: Path, what: str) -> None:
        super().__init__(f"{folder / FILE} is damaged: {what}{_REPAIR.format(folder)}")
        self.what = what


class NoStudyError(StoreError):
    """A folder without a study, or whose first process was killed before it recorded anything."""


WRITTEN = (
    FILE, f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-journal", ".lock", "checkpoints", "events", "shared", "tuning",
    "repeats", "output",
)  # fmt: skip
"""In a study's folder: what may be written or removed."""


def must_lie_inside(folder: Path) -> None:
    """StoreError where a link in a study's folder, which may have been received, leads out of it."""
    output = folder / "output"  # of each arm, and in it of each run
    within = (*output.glob("*"), *output.glob("*/*"), *(folder / "repeats").glob("*"))
    for path in (*(folder / name for name in WRITTEN), *within):
        if leads_out(path, folder):
            raise StoreError(f"{path} leads out of the study's folder, by a link: remove the link")


@dataclass(frozen=True)
class Begun:
    """An attempt that had not come to an end: at which steps it was evaluated, and how many training examples its task
    has."""

    steps: NDArray[np.int64]
    examples: int


class Store:
    """A study's folder. Only the process that carries a study out writes; any number may read meanwhile."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._db = connection
        self._pending: dict[int, list[Evaluation]] = {}
        self._rows: dict[int, int] = {}
        self._version = SCHEMA_VERSION
        self._file = _same_file(folder / FILE)
        self._kept = time.monotonic()

    @property
    def connection(self) -> sqlite3.Connection:
        """The database itself."""
        return self._db

    @property
    def version(self) -> int:
        """Of the schema in which it was written."""
        return self._version

    # --- opening ---

    @classmethod
    def create(cls, folder: Path) -> Store:
        """Open a folder for writing; made with an empty study where there is none."""
        folder.mkdir(parents=True, exist_ok=True)
        must_lie_inside(folder)
        connection = connected(folder / FILE)
        store = cls(folder, connection)
        try:
            _journal(connection, folder)
            if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                with store.transaction():
                    for statement in SCHEMA.split(";"):
                        connection.execute(statement)
                    checksums.seal_all(connection)
                    store.set("schema_version", SCHEMA_VERSION)
                store._keep_log()
            store._check_tables()
            store._check_version()
            store._migrate()
        except BaseException:
            connection.close()
            raise
        return store

    @classmethod
    def open(cls, folder: Path, *, mending: bool = False) -> Store:
        """Open a study for reading; StoreError where there is none. `mending`: also one that lost its version."""
        path = folder / FILE
        if not path.is_file():
            raise NoStudyError(f"{folder} holds no study: there is no {FILE} in it")
        must_lie_inside(folder)
        uri = path.absolute().as_uri()
        # Whoever closes the write-ahead log last removes it, and only a connection that may write can; a folder that
        # may not be written has none, or cannot have its journal read: then the file is taken as it stands.
        for mode in ("mode=rw", "mode=ro", "immutable=1"):
            connection = None
            try:
                connection = connected(f"{uri}?{mode}", uri=True)
                connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
                begun = connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            except sqlite3.OperationalError as error:
                if connection is not None:
                    connection.close()
                if "locked" in str(error):  # without its lock it would be read while it is written
                    raise StoreError(f"{path} cannot be read now: {error}") from None
                continue
            except DAMAGE as error:
                if connection is not None:
                    connection.close()
                raise StoreError(f"{path} is not a study's record, or is damaged from its beginning: {error}") from None
            if not begun:
                connection.close()
                raise NoStudyError(
                    f"{folder} holds no study yet: its first process recorded nothing, or {FILE}-wal was left behind "
                    "when it was copied"
                )
            store = cls(folder, connection)
            store._check_tables()
            store._check_version(mending=mending)
            return store
        raise StoreError(f"{path} cannot be opened: choose a folder that you may read")

    def close(self) -> None:
        """Write what is pending and let go of the file."""
        try:
            for run in list(self._pending):
                self.flush(run)
        finally:
            self._db.close()

    def _check_tables(self) -> None:
        """Nothing but a study's tables, as this or an older version makes them: a trigger, a view or a computed column
        would run what whoever sent the file has written."""
        try:
            found = self._db.execute("SELECT type, name FROM sqlite_master").fetchall()
            strange = [f"{kind} {name!r:.60}" for kind, name in found if not _is_a_studys(kind, name)]
            for _, name in found if not strange else ():
                if name in TABLES:
                    columns = self._db.execute(f"PRAGMA table_xinfo({name})").fetchall()
                    strange += [f"computed column {one[1]!r:.60} in table {name!r}" for one in columns if one[6] > 1]
        except DAMAGE as error:
            self._db.close()
            raise StoreError(f"{self.folder / FILE} is not a study's record, or is damaged: {error}") from None
        if strange:
            self._db.close()
            raise StoreError(f"{self.folder / FILE} has a {strange[0]}, which no study's record has: it is not opened")

    def _check_version(self, *, mending: bool = False) -> None:
        try:
            version = self._stored("schema_version")
        except DAMAGE as error:  # another program's, or killed before its first line
            self._db.close()
            if passing(error):
                raise StoreError(f"{self.folder / FILE} cannot be read now: {error}") from None
            raise StoreError(f"{self.folder / FILE} is not a study's record: {error}") from None
        if type(version) is not int or version <= 0:
            if not mending:
                self._db.close()
                raise DamagedError(self.folder, f"its schema version is {version!r:.40}")
            version = SCHEMA_VERSION if checksums.there(self._db) else SCHEMA_VERSION - 1
        if not 0 < version <= SCHEMA_VERSION:
            self._db.close()
            raise StoreError(
                f"{self.folder / FILE} has schema version {version}, this Paribus reads up to {SCHEMA_VERSION}: "
                "it was written by a newer one; update Paribus"
            )
        self._version = version

    def _migrate(self) -> None:
        """Write what an older version recorded in this one's words, and keep what stood there before."""
        with self.transaction():
            arms = self._today()
            if len({*arms.values()}) < len(arms):
                raise StoreError(f"{self.folder / FILE} has two arms that are the same today: choose another folder")
            changed = [(f"arm {before}", before, after) for before, after in arms.items() if before != after]
            facts = [(key, json.dumps(self._stored(key)), json.dumps(self.get(key))) for key in _MIGRATED]
            changed += [(key, before, after) for key, before, after in facts if before != after]
            if not changed and self._version == SCHEMA_VERSION and checksums.there(self._db):
                return
            self._db.execute(_FORMER)
            for what, before, after in changed:
                kept = "arm" if what.startswith("arm ") else what
                values = (kept, before, self._version, time.time())
                self._db.execute("INSERT INTO former VALUES (?, ?, ?, ?)", values)
                if kept == "arm":
                    self._db.execute("UPDATE arms SET settings = ? WHERE settings = ?", (after, before))
                else:
                    self._db.execute("UPDATE study SET value = ? WHERE key = ?", (after, what))
            checksums.seal_all(self._db)
            self.set("schema_version", SCHEMA_VERSION)
        self._version = SCHEMA_VERSION

    def _today(self) -> dict[str, str]:
        """The arms' settings as they stand in the file, and the same in this version's words."""
        rows = self._db.execute("SELECT settings FROM arms").fetchall()
        return {text: self._settings_today(text) for (text,) in rows}

    def _settings_today(self, text: str) -> str:
        return canonical(settings_today(json.loads(text), self._version))

    def former(self) -> dict[str, list[str]]:
        """The arms that older versions recorded in other words: settings as `arms` has them -> how they stood there."""
        found: dict[str, list[str]] = {}
        for before, after in self._today().items():
            if before != after:
                found.setdefault(after, []).append(before)
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'former'").fetchone():
            for before, version in self._db.execute("SELECT content, version FROM former WHERE what = 'arm'"):
                found.setdefault(canonical(settings_today(json.loads(before), version)), []).append(before)
        return found

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is written inside, or nothing; within another, a part of that one."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # a full disk has SQLite roll back by itself
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- the study ---

    def get(self, key: str) -> Any:
        """A fact of the study in this version's words, None where it is not recorded."""
        value = self._stored(key)
        if key not in _MIGRATED:
            return value
        return facts_today(key, value, self._version, self._today())

    def _stored(self, key: str) -> Any:
        row = self._db.execute("SELECT value FROM study WHERE key = ?", (key,)).fetchone()
        try:
            return None if row is None else json.loads(row[0])
        except (ValueError, TypeError) as error:
            raise DamagedError(self.folder, f"the fact {key!r}: {error}") from None

    def by_arm(self, key: str) -> dict[str, Any]:
        """A fact that is recorded for each arm, by the arms' settings as `arms` has them, whoever wrote it."""
        today = {before: after for after, texts in self.former().items() for before in texts}
        return {today.get(settings, settings): value for settings, value in (self.get(key) or {}).items()}

    def set(self, key: str, value: object) -> None:
        """Record a fact of the study."""
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO study VALUES (?, ?)", (key, json.dumps(value)))
            checksums.seal(self._db, STUDY, key)

    def add_arm(self, name: str, settings: Mapping[str, Value], *, rename: bool = False) -> int:
        """The number of an arm, new or known; an arm is its settings, and a known one keeps its name unless renamed."""
        with self.transaction():
            number = self._add(ARMS, "settings", canonical(settings), {"name": name})
            if rename:
                self._db.execute("UPDATE arms SET name = ? WHERE id = ?", (name, number))
                checksums.seal(self._db, ARMS, number)
        return number

    def arms(self) -> dict[str, str]:
        """The arms recorded: their settings, as `canonical` writes them, and their names."""
        rows = self._db.execute("SELECT settings, name FROM arms")
        return {self._settings_today(settings): name for settings, name in rows}

    def add_task(self, info: DatasetInfo, points: Mapping[str, NDArray[np.generic]] | None) -> int:
        """The number of a task. `points`: what a picture of the data needs."""
        return self._add(TASKS, "card", canonical(asdict(info)), {"points": points and pack(points)})

    def add_class_counts(self, fingerprint: str, counts: Mapping[str, Sequence[int]]) -> None:
        """How many examples of each class a task's splits have; a fact for each task, as there may be many."""
        if self.get(f"{CLASS_COUNTS}{fingerprint}") is None:
            self.set(f"{CLASS_COUNTS}{fingerprint}", counts)

    def add_class_names(self, pool: str, names: Sequence[str]) -> None:
        """What the user's own data call class 0, 1, ...; `pool`: the fingerprint of these data before their split."""
        if self.get(f"{CLASS_NAMES}{pool}") is None:
            self.set(f"{CLASS_NAMES}{pool}", list(names))

    def add_environment(self, description: Mapping[str, object]) -> int:
        """The number of an environment: versions, machine, command."""
        return self._add(ENVIRONMENTS, "description", canonical(description), {})

    def _add(self, sealed: Sealed, key: str, value: str, more: Mapping[str, object]) -> int:
        columns = [key, *more]
        marks = ", ".join("?" * len(columns))
        with self.transaction():
            added = self._db.execute(
                f"INSERT OR IGNORE INTO {sealed.table} ({', '.join(columns)}) VALUES ({marks})",
                [value, *more.values()],
            ).rowcount
            (number,) = self._db.execute(f"SELECT id FROM {sealed.table} WHERE {key} = ?", (value,)).fetchone()
            if added:
                checksums.seal(self._db, sealed, number)
        return int(number)

    # --- runs ---

    def statuses(self) -> dict[tuple[str, int], Status]:
        """(arm's settings, seed) -> the status of its last attempt."""
        rows = self._db.execute(
            "SELECT arms.settings, seed, status FROM runs JOIN arms ON arms.id = runs.arm ORDER BY attempt"
        )
        today = self._today()
        return {(today[settings], self._seed(seed)): Status(status) for settings, seed, status in rows}

    def recorded_at(self) -> dict[tuple[str, int], float]:
        """(arm's settings, seed) -> when its last attempt ended, or began if nothing says when it ended."""
        rows = self._db.execute(
            "SELECT arms.settings, seed, coalesce(ended, started) FROM runs JOIN arms ON arms.id = runs.arm "
            "ORDER BY attempt"
        )
        today = self._today()
        return {(today[settings], self._seed(seed)): at for settings, seed, at in rows}

    def begun(self) -> dict[tuple[str, int], Begun]:
        """(arm's settings, seed) -> what the last attempt left that had not come to an end."""
        rows = self._db.execute(
            "SELECT runs.id, arms.settings, seed, card, status FROM runs JOIN arms ON arms.id = runs.arm "
            "JOIN tasks ON tasks.id = runs.task ORDER BY attempt"
        )
        today, last = self._today(), dict[tuple[str, int], tuple[int, str, str]]()
        for run, settings, seed, card, status in rows:
            last[today[settings], self._seed(seed)] = run, card, status
        found = {}
        for key, (run, card, status) in last.items():
            if Status(status) not in FINISHED:
                try:
                    curve = self._curves("WHERE run = ?", (run,)).get(run, {})
                except (ValueError, KeyError):  # damaged, while the run was on its way: it begins again
                    curve = {}
                found[key] = Begun(curve.get("step", np.zeros(0)).astype(np.int64), dataset_info(card).train)
        return found

    def start(self, arm: int, seed: int, *, task: int, environment: int, plan: tuple[int, str], timed: bool) -> int:
        """Record that a run begins; its number. Earlier attempts stay."""
        (attempt,) = self._db.execute(
            "SELECT coalesce(max(attempt), 0) + 1 FROM runs WHERE arm = ? AND seed = ?", (arm, seed)
        ).fetchone()
        cursor = self._db.execute(
            "INSERT INTO runs (arm, seed, attempt, task, environment, plan_version, plan_hash, status, timed, started) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (arm, seed, attempt, task, environment, *plan, Status.RUNNING, timed, time.time()),
        )
        run = int(cursor.lastrowid or 0)
        self._pending[run], self._rows[run] = [], 0
        return run

    def made_in(self, run: int, environment: int) -> None:
        """Record that a run on its way is made in another environment than that of this process."""
        self._db.execute("UPDATE runs SET environment = ? WHERE id = ?", (environment, run))

    def carry_over(self, run: int, step: int) -> None:
        """Begin a run's curve with that of the attempt before, as far as this step: it goes on from there."""
        before = self._db.execute(
            "SELECT old.id FROM runs AS old JOIN runs AS new ON old.arm = new.arm AND old.seed = new.seed "
            "WHERE new.id = ? AND old.attempt < new.attempt ORDER BY old.attempt DESC LIMIT 1",
            (run,),
        ).fetchone()
        curve = self._curves("WHERE run = ?", before).get(before[0], {}) if before else {}
        kept = int((curve["step"] <= step).sum()) if curve else 0
        if kept:
            columns = {name: column[:kept] for name, column in curve.items()}
            self._db.execute("INSERT INTO chunks VALUES (?, 0, ?)", (run, pack(columns)))
            self._rows[run] = kept

    def append(self, run: int, row: Evaluation) -> None:
        """Add an evaluation to a run's curve; it is on disk after the next `flush`."""
        self._pending[run].append(row)

    def flush(self, run: int) -> None:
        """Commit the evaluations added since the last time; StoreError where the folder is not there any more."""
        self.must_be_there()
        rows = self._pending[run]
        if rows:
            self._db.execute("INSERT INTO chunks VALUES (?, ?, ?)", (run, self._rows[run], pack(curve_columns(rows))))
            self._rows[run] += len(rows)
            self._pending[run] = []

    def must_be_there(self) -> None:
        """What is written into a file that was removed is lost without a word."""
        if _same_file(self.folder / FILE) != self._file:
            raise StoreError(
                f"{self.folder} was removed, renamed or replaced while its study is carried out: what was recorded "
                "went with it. If it has another name now, go on there (--out); else give the same command again"
            )

    def end(self, run: int, outcome: Outcome) -> None:
        """Record how a run ended, its curve in one chunk, and what was kept of it."""
        with self.transaction():
            several = self._rows[run] > 0
            self.flush(run)
            curve = self._curves("WHERE run = ?", (run,)).get(run) if several else None
            if curve:
                self._db.execute("DELETE FROM chunks WHERE run = ?", (run,))
                self._db.execute("INSERT INTO chunks VALUES (?, 0, ?)", (run, pack(curve)))
            self._db.execute(
                "UPDATE runs SET status = ?, error = ?, epochs = ?, ended = ? WHERE id = ?",
                (outcome.status, outcome.error, outcome.epochs, time.time(), run),
            )
            for kind, content in artifacts(outcome).items():
                self._db.execute("INSERT INTO artifacts VALUES (?, ?, ?)", (run, kind, content))
                checksums.seal(self._db, ARTIFACTS, run, kind)
            checksums.seal(self._db, RUNS, run)
        del self._pending[run], self._rows[run]
        if time.monotonic() - self._kept > _KEEP_SECONDS:
            self._keep_log()

    def _keep_log(self) -> None:
        """Into the file itself, which somebody may copy without the log beside it."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._kept = time.monotonic()

    def abandon(self) -> int:
        """Mark runs that a killed process left `running` as interrupted; how many they were."""
        with self.transaction():
            running = self._db.execute("SELECT id FROM runs WHERE status = ?", (Status.RUNNING,)).fetchall()
            for (run,) in running:
                what = (Status.INTERRUPTED, "its process ended before it did", run)
                self._db.execute("UPDATE runs SET status = ?, error = ? WHERE id = ?", what)
                checksums.seal(self._db, RUNS, run)
        return len(running)

    def artifact(self, arm: str, seed: int, kind: str) -> bytes | None:
        """`weights` and `best` (safetensors) or `predictions` of the last attempt at a run, None where not kept."""
        row = self._db.execute(
            "SELECT content, run FROM artifacts JOIN runs ON runs.id = run JOIN arms ON arms.id = arm "
            "WHERE arms.name = ? AND seed = ? AND kind = ? ORDER BY attempt DESC",
            (arm, seed, kind),
        ).fetchone()
        if row is None:
            return None
        content, run = row
        name = f"{run} {kind}"
        if not Checks.of(self._db).agree(ARTIFACTS, name, [name, content]):
            raise StoreError(f"{self.folder / FILE} is damaged: column content of artifacts, {name}")
        return bytes(content)

    # --- reading ---

    def read(self, *, deep: bool = False) -> StudyRecord:
        """Everything that findings and pages need; of each run its last attempt. `deep`: see `Rows`."""
        self._db.execute("BEGIN")  # one state of the file, whoever writes meanwhile
        try:
            return Rows(self._db, self.folder, self._version, deep=deep).study()
        except MemoryError as error:
            raise StoreError(f"{self.folder / FILE} cannot be read: {error}") from None
        except DAMAGE as error:
            if passing(error):
                raise StoreError(f"{self.folder / FILE} cannot be read now: {error}") from None
            raise DamagedError(self.folder, str(error)) from None
        finally:
            with suppress(*DAMAGE):  # of a damaged file the end of reading fails too
                self._db.execute("ROLLBACK")

    def _seed(self, value: object) -> int:
        """A seed as it was read: it goes into names of folders, and who received a study did not write it."""
        if not isinstance(value, int) or not 0 <= value < 2**63:
            raise StoreError(f"{self.folder / FILE} is damaged: a run has the seed {value!r}, which is no whole number")
        return value

    def _curves(self, where: str, values: Sequence[int]) -> dict[int, Curve]:
        parts: dict[int, list[Curve]] = {}
        for run, columns in self._db.execute(f"SELECT run, columns FROM chunks {where} ORDER BY run, first", values):
            parts.setdefault(run, []).append(unpack(columns))
        return {run: joined(chunks) for run, chunks in parts.items()}


def _same_file(path: Path) -> tuple[int, int] | None:
    """What tells whether a file is the same one, whatever its name; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def passing(error: Exception) -> bool:
    """Whether an error of SQLite's is no damage, but what another process or the machine does now.

    >>> passing(sqlite3.OperationalError("database is locked")), passing(sqlite3.DatabaseError("malformed"))
    (True, False)
    """
    return any(word in str(error) for word in ("locked", "busy", "disk is full", "disk I/O", "unable to open"))


def connected(where: Path | str, *, uri: bool = False) -> sqlite3.Connection:
    """A database, whose transactions are begun and ended by hand."""
    connection = sqlite3.connect(where, uri=uri, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = OFF")  # no function with effects runs for what stands in a file
    # what is no text is found to be damaged when it is looked at, with its row and column
    connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
    return connection


def _journal(connection: sqlite3.Connection, folder: Path) -> None:
    """Write-ahead logging, so that others can read meanwhile; another journal where its shared memory cannot work."""
    connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
    connection.execute("PRAGMA synchronous = NORMAL")
    if not on_network(folder):
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
            if mode == "wal":
                return
        except sqlite3.OperationalError:
            pass
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA synchronous = FULL")


def on_network(folder: Path) -> bool:
    """Whether the folder lies on a network file system, as far as the machine tells."""
    import psutil

    path = str(folder.resolve())
    mounts = [
        p for p in psutil.disk_partitions(all=True) if (path + os.sep).startswith(p.mountpoint.rstrip(os.sep) + os.sep)
    ]
    kind = max(mounts, key=lambda p: len(p.mountpoint)).fstype.lower() if mounts else ""
    return any(name in kind for name in _NETWORK)
