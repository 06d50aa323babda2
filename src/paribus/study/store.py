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
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.overrides import RefusedError
from paribus.config.values import Value
from paribus.records.claims import Claim
from paribus.records.files import leads_out
from paribus.records.metrics import MEASURED, Metric
from paribus.records.record import (
    FINISHED,
    ArmRecord,
    Boundary,
    Candidate,
    Curve,
    DatasetInfo,
    Evaluation,
    Outcome,
    Pictures,
    RunRecord,
    Status,
    StudyRecord,
    Target,
    Tuned,
    Tuning,
)
from paribus.study.migrations import SCHEMA_VERSION, facts_today, settings_today
from paribus.study.packing import artifacts, curve_columns, pack, unpack, unpack_pictures

FILE = "study.sqlite"

_CLASS_COUNTS = "class_counts of "
"""What the facts are called that hold a task's class counts, before its fingerprint."""

_MIGRATED = ("shared", "tune", "tuned")
"""The facts of a study that hold settings."""

_NETWORK = ("nfs", "cifs", "smb", "9p", "sshfs", "lustre", "gpfs", "beegfs", "ceph", "afs")

_SCHEMA = """
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


class StoreError(RefusedError):
    """A folder that cannot be read as a study, or cannot take what is to be written."""


class NoStudyError(StoreError):
    """A folder without a study, or whose first process was killed before it recorded anything."""


WRITTEN = (FILE, f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-journal", ".lock", "checkpoints", "events", "shared")
"""In a study's folder: what may be written or removed."""


def must_lie_inside(folder: Path) -> None:
    """StoreError where a link in a study's folder, which may have been received, leads out of it."""
    for name in WRITTEN:
        if leads_out(folder / name, folder):
            raise StoreError(f"{folder / name} leads out of the study's folder, by a link: remove the link")


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

    # --- opening ---

    @classmethod
    def create(cls, folder: Path) -> Store:
        """Open a folder for writing; made with an empty study where there is none."""
        folder.mkdir(parents=True, exist_ok=True)
        must_lie_inside(folder)
        connection = sqlite3.connect(folder / FILE, isolation_level=None)
        store = cls(folder, connection)
        try:
            _journal(connection, folder)
            if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                with store.transaction():
                    for statement in _SCHEMA.split(";"):
                        connection.execute(statement)
                    store.set("schema_version", SCHEMA_VERSION)
            store._check_version()
            store._migrate()
        except BaseException:
            connection.close()
            raise
        return store

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Open a study for reading; StoreError where there is none."""
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
                connection = sqlite3.connect(f"{uri}?{mode}", uri=True, isolation_level=None)
                connection.execute("PRAGMA busy_timeout = 10000")
                begun = connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            except sqlite3.OperationalError:
                if connection is not None:
                    connection.close()
                continue
            except sqlite3.DatabaseError as error:
                if connection is not None:
                    connection.close()
                raise StoreError(f"{path} is not a study's record: {error}") from None
            if not begun:
                connection.close()
                raise NoStudyError(f"{folder} holds no study yet: its first process recorded nothing")
            store = cls(folder, connection)
            store._check_version()
            return store
        raise StoreError(f"{path} cannot be opened: choose a folder that you may read")

    def close(self) -> None:
        """Write what is pending and let go of the file."""
        for run in list(self._pending):
            self.flush(run)
        self._db.close()

    def _check_version(self) -> None:
        try:
            version = self._stored("schema_version")
        except sqlite3.DatabaseError as error:  # another program's database, or one killed before its first line
            self._db.close()
            raise StoreError(f"{self.folder / FILE} is not a study's record: {error}") from None
        if version is None or not version <= SCHEMA_VERSION:
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
            if not changed and self._version == SCHEMA_VERSION:
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
        """All of what is written inside, or nothing."""
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
        return None if row is None else json.loads(row[0])

    def by_arm(self, key: str) -> dict[str, Any]:
        """A fact that is recorded for each arm, by the arms' settings as `arms` has them, whoever wrote it."""
        today = {before: after for after, texts in self.former().items() for before in texts}
        return {today.get(settings, settings): value for settings, value in (self.get(key) or {}).items()}

    def set(self, key: str, value: object) -> None:
        """Record a fact of the study."""
        self._db.execute("INSERT OR REPLACE INTO study VALUES (?, ?)", (key, json.dumps(value)))

    def add_arm(self, name: str, settings: Mapping[str, Value], *, rename: bool = False) -> int:
        """The number of an arm, new or known; an arm is its settings, and a known one keeps its name unless renamed."""
        number = self._add("arms", "settings", canonical(settings), {"name": name})
        if rename:
            self._db.execute("UPDATE arms SET name = ? WHERE id = ?", (name, number))
        return number

    def arms(self) -> dict[str, str]:
        """The arms recorded: their settings, as `canonical` writes them, and their names."""
        rows = self._db.execute("SELECT settings, name FROM arms")
        return {self._settings_today(settings): name for settings, name in rows}

    def add_task(self, info: DatasetInfo, points: Mapping[str, NDArray[np.generic]] | None) -> int:
        """The number of a task. `points`: what a picture of the data needs."""
        return self._add("tasks", "card", canonical(asdict(info)), {"points": points and pack(points)})

    def add_class_counts(self, fingerprint: str, counts: Mapping[str, Sequence[int]]) -> None:
        """How many examples of each class a task's splits have; a fact for each task, as there may be many."""
        if self.get(f"{_CLASS_COUNTS}{fingerprint}") is None:
            self.set(f"{_CLASS_COUNTS}{fingerprint}", counts)

    def _class_counts(self) -> dict[str, dict[str, list[int]]]:
        rows = self._db.execute("SELECT key, value FROM study WHERE key LIKE ?", (f"{_CLASS_COUNTS}%",))
        return {key.removeprefix(_CLASS_COUNTS): json.loads(value) for key, value in rows}

    def add_environment(self, description: Mapping[str, object]) -> int:
        """The number of an environment: versions, machine, command."""
        return self._add("environments", "description", canonical(description), {})

    def _add(self, table: str, key: str, value: str, more: Mapping[str, object]) -> int:
        columns = [key, *more]
        marks = ", ".join("?" * len(columns))
        self._db.execute(
            f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})",
            [value, *more.values()],
        )
        return int(self._db.execute(f"SELECT id FROM {table} WHERE {key} = ?", (value,)).fetchone()[0])

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
                curve = self._curves("WHERE run = ?", (run,)).get(run, {})
                found[key] = Begun(curve.get("step", np.zeros(0)).astype(np.int64), _dataset_info(card).train)
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
        """Commit the evaluations added since the last time."""
        rows = self._pending[run]
        if rows:
            self._db.execute("INSERT INTO chunks VALUES (?, ?, ?)", (run, self._rows[run], pack(curve_columns(rows))))
            self._rows[run] += len(rows)
            self._pending[run] = []

    def end(self, run: int, outcome: Outcome) -> None:
        """Record how a run ended, its curve in one chunk, and what was kept of it."""
        with self.transaction():
            self.flush(run)
            curve = self._curves("WHERE run = ?", (run,)).get(run)
            if curve:
                self._db.execute("DELETE FROM chunks WHERE run = ?", (run,))
                self._db.execute("INSERT INTO chunks VALUES (?, 0, ?)", (run, pack(curve)))
            self._db.execute(
                "UPDATE runs SET status = ?, error = ?, epochs = ?, ended = ? WHERE id = ?",
                (outcome.status, outcome.error, outcome.epochs, time.time(), run),
            )
            for kind, content in artifacts(outcome).items():
                self._db.execute("INSERT INTO artifacts VALUES (?, ?, ?)", (run, kind, content))
        del self._pending[run], self._rows[run]

    def abandon(self) -> int:
        """Mark runs that a killed process left `running` as interrupted; how many they were."""
        return self._db.execute(
            "UPDATE runs SET status = ?, error = ? WHERE status = ?",
            (Status.INTERRUPTED, "its process ended before it did", Status.RUNNING),
        ).rowcount

    def artifact(self, arm: str, seed: int, kind: str) -> bytes | None:
        """`weights` and `best` (safetensors) or `predictions` of the last attempt at a run, None where not kept."""
        row = self._db.execute(
            "SELECT content FROM artifacts JOIN runs ON runs.id = run JOIN arms ON arms.id = arm "
            "WHERE arms.name = ? AND seed = ? AND kind = ? ORDER BY attempt DESC",
            (arm, seed, kind),
        ).fetchone()
        return None if row is None else bytes(row[0])

    # --- reading ---

    def read(self) -> StudyRecord:
        """Everything that findings and pages need; of each run its last attempt."""
        self._db.execute("BEGIN")  # one state of the file, whoever writes meanwhile
        try:
            return self._read()
        finally:
            self._db.execute("COMMIT")

    def _read(self) -> StudyRecord:
        tasks = {row[0]: _dataset_info(row[1]) for row in self._db.execute("SELECT id, card FROM tasks")}
        packed = self._db.execute("SELECT id, points FROM tasks WHERE points IS NOT NULL")
        points = {task: unpack(content) for task, content in packed}
        curves = self._curves("", ())
        # a picture shows each arm's first: the others are left where they are
        firsts = self._db.execute(
            "SELECT run, content FROM artifacts WHERE kind = 'boundary' AND run IN (SELECT id FROM runs JOIN "
            "(SELECT arm AS a, min(seed) AS s FROM runs JOIN artifacts ON run = id AND kind = 'boundary' GROUP BY arm) "
            "ON arm = a AND seed = s)"
        )
        boundaries = {run: Boundary(**unpack(content)) for run, content in firsts}
        packed_pictures = self._db.execute("SELECT run, content FROM artifacts WHERE kind = 'pictures'")
        pictures = {run: unpack_pictures(unpack(content)) for run, content in packed_pictures}
        described = self._db.execute("SELECT id, description FROM environments")
        environments = {number: json.loads(text) for number, text in described}
        runs: dict[int, dict[int, RunRecord]] = {}
        for (
            id_,
            arm,
            seed,
            attempt,
            task,
            hash_,
            status,
            error,
            epochs,
            timed,
            started,
            environment,
        ) in self._db.execute(
            "SELECT id, arm, seed, attempt, task, plan_hash, status, error, epochs, timed, started, environment "
            "FROM runs ORDER BY attempt"
        ):
            runs.setdefault(arm, {})[seed] = RunRecord(
                seed=self._seed(seed),
                status=Status(status),
                error=error,
                epochs=epochs or _epochs_so_far(curves.get(id_)),
                curve=curves.get(id_, {}),
                task=tasks[task],
                plan_hash=hash_,
                attempt=attempt,
                timed=bool(timed),
                started=started,
                boundary=boundaries.get(id_),
                points=points.get(task),
                environment=environments[environment],
                pictures=pictures.get(id_, Pictures()),
            )
        arms = [
            ArmRecord(
                name, json.loads(self._settings_today(settings)), [run for _, run in sorted(runs.get(arm, {}).items())]
            )
            for arm, name, settings in self._db.execute("SELECT id, name, settings FROM arms ORDER BY id")
        ]
        # the built-in ones are what this version says they are; an older one recorded nothing of the user's own
        measured = {
            name: Metric.of(name, facts) for name, facts in (self.get("measured") or {}).items() if name not in MEASURED
        }
        told = self.by_arm("remarks")
        return StudyRecord(
            name=self.get("name") or self.folder.name,
            factors=self.get("factors") or [],
            seeds=sorted(
                {*map(self._seed, self.get("seeds") or []), *(seed for by_seed in runs.values() for seed in by_seed)}
            ),
            primary_metric=self.get("primary_metric") or "test_accuracy",
            arms=arms,
            named=bool(self.get("named")),
            timing=bool(self.get("timing")),
            target=Target.parse(self.get("target"), measured) if self.get("target") else None,
            baseline=self.get("baseline"),
            margin=self.get("margin"),
            tuning=_tuning(self.get("tune"), self.get("tuned")),
            claims=tuple(Claim.of(one) for one in self.get("claims") or ()),
            metrics=measured,
            class_counts=self._class_counts(),
            remarks={name: of for text, name in self.arms().items() if (of := told.get(text))},
        )

    def _seed(self, value: object) -> int:
        """A seed as it was read: it goes into names of folders, and who received a study did not write it."""
        if not isinstance(value, int) or not 0 <= value < 2**63:
            raise StoreError(f"{self.folder / FILE} is damaged: a run has the seed {value!r}, which is no whole number")
        return value

    def _curves(self, where: str, values: Sequence[int]) -> dict[int, Curve]:
        parts: dict[int, list[Curve]] = {}
        for run, columns in self._db.execute(f"SELECT run, columns FROM chunks {where} ORDER BY run, first", values):
            parts.setdefault(run, []).append(unpack(columns))
        return {
            run: chunks[0]
            if len(chunks) == 1
            else {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
            for run, chunks in parts.items()
        }


def canonical(value: object) -> str:
    """JSON with its keys sorted: equal for equal values."""
    return json.dumps(value, sort_keys=True)


def _epochs_so_far(curve: Curve | None) -> int:
    return int(curve["epoch"][-1]) if curve else 0


def _tuning(tune: dict[str, Any] | None, tuned: dict[str, Any] | None) -> Tuning | None:
    if tune is None:
        return None
    if tuned is None:
        return Tuning(**tune)
    arms = [
        Tuned(**{**arm, "candidates": [Candidate(**candidate) for candidate in arm["candidates"]]})
        for arm in tuned["arms"]
    ]
    return Tuning(**tune, shared_values=tuned["shared_values"], arms=arms)


def _dataset_info(text: str) -> DatasetInfo:
    facts = json.loads(text)
    return DatasetInfo(**{**facts, "input_shape": tuple(facts["input_shape"])})


def _journal(connection: sqlite3.Connection, folder: Path) -> None:
    """Write-ahead logging, so that others can read meanwhile; another journal where its shared memory cannot work."""
    connection.execute("PRAGMA busy_timeout = 10000")
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
