"""What the rows of a study's database hold, as values. None is believed before it was looked at: a disk may have
damaged it, and a folder that was received may hold anything."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from paribus.config.loops import CODE
from paribus.config.models import ESTIMATOR
from paribus.config.stopping import MONITORS
from paribus.config.values import Value, apart_from_tasks
from paribus.plan import MAX_SEED
from paribus.records.claims import Claim, Written
from paribus.records.metrics import Metric
from paribus.records.record import (
    ArmRecord,
    Boundary,
    Candidate,
    Curve,
    DatasetInfo,
    Pictures,
    RunRecord,
    Status,
    StudyRecord,
    Target,
    Tuned,
    Tuning,
)
from paribus.study import checksums, kinds
from paribus.study.checksums import ARMS, ARTIFACTS, ENVIRONMENTS, RUNS, STUDY, TASKS, Checks, Sealed
from paribus.study.kinds import WrongError
from paribus.study.migrations import canonical, facts_today, settings_today
from paribus.study.packing import joined, unpack, unpack_pictures

CLASS_COUNTS = "class_counts of "
"""What the facts are called that hold a task's class counts, before its fingerprint."""

CLASS_NAMES = "class_names of "
"""The same of what its classes are called, before the fingerprint of the data before they were split."""

_CURVE = ("step", "epoch", "train_seconds", "eval_seconds")
_MOST_PICTURES = 2**32  # bytes
_MOST_COLUMNS = 1000
_MOST_REPORTS = 10_000_000
_WITH_CHECKSUMS = 3  # the first schema version that has them
_INDEXED = ("study", "tasks", "environments", "arms", "runs", "checksums")
_LARGE = ("chunks", "artifacts")
_SMALL = 2**26  # bytes of a file whose curves and kept weights are looked through too
_SHARE = 0.5  # of the free memory

Found = TypeVar("Found")


class Rows:
    """The rows of a study's database, read within one transaction. `damages`: what could not be read, in words; with
    `deep` also what is kept of runs and no page shows: weights, predictions."""

    def __init__(self, database: sqlite3.Connection, folder: Path, version: int, *, deep: bool = False) -> None:
        self._db, self._folder, self._version, self._deep = database, folder, version, deep
        self._checks = Checks.of(database)
        self._room = _room()
        self.damages: list[str] = []
        self.damaged: list[tuple[Sealed, object, str]] = []
        self._arms = dict(self._read_arms())

    def study(self) -> StudyRecord:
        """Everything that findings and pages need; of each run its last attempt. What is damaged is left out."""
        runs = self._runs()
        arms = [ArmRecord(name, flat, by_seed(runs.get(arm, {}))) for arm, (name, _, flat) in self._arms.items()]
        facts = dict(self._facts())
        self._look_for_lost()
        self._look_at_indices()
        read = _Facts(self, facts)
        for key, check in _LOOKED_AT.items():
            read.take(key, check, None)
        # the built-in ones are what this version says they are; an older one recorded nothing of the user's own
        measured: dict[str, Metric] = read.take("measured", kinds.measured_metrics, {})
        texts = {text: name for name, text, _ in self._arms.values()}
        asked: list[int] = read.take("seeds", kinds.seeds, [])
        groups: tuple[tuple[int, ...], ...] = read.take(
            "asked", lambda value: tuple(tuple(kinds.seeds(one)) for one in kinds.items(value)), ()
        )
        seeds = sorted({*asked, *(run.seed for arm in arms for run in arm.runs)})
        if len(groups) > 1:  # looked at in this order
            seeds = list(dict.fromkeys([*(seed for group in groups for seed in group), *seeds]))
        factors: list[str] = read.take("factors", kinds.texts, [])
        called = [*(arm.name for arm in arms), *apart_from_tasks(factors, (arm.settings for arm in arms))]
        return StudyRecord(
            name=read.take("name", kinds.plain, self._folder.name),
            factors=factors,
            seeds=seeds,
            primary_metric=read.take("primary_metric", kinds.text, "test_accuracy"),
            arms=arms,
            named=read.take("named", kinds.truth, default=False),
            timing=read.take("timing", kinds.truth, default=False),
            target=read.take("target", lambda value: Target.parse(kinds.text(value), measured), None),
            baseline=read.take("baseline", lambda value: kinds.one_of(value, called), None),
            margin=read.take("margin", kinds.number, None),
            tuning=_tuning(read),
            claims=read.take("claims", lambda value: tuple(map(Claim.of, kinds.items(value))), ()),
            claims_written=read.take("claims_written", lambda value: tuple(map(_written, kinds.items(value))), ()),
            metrics=measured,
            class_counts=_class_counts(read),
            class_names=_class_names(read),
            remarks=read.take("remarks", lambda value: self._remarks(value, texts), {}),
            backends=read.take("backends", lambda value: self._whys(value, texts), {}),
            files=read.take("files", kinds.words, {}),
            least=read.take("least", kinds.whole, None),
            own_loop=any(CODE in flat for _, _, flat in self._arms.values()),
            asked=groups,
            damages=tuple(self.damages),  # the last: all else has been looked at
        )

    # --- what is wrong ---

    def tell(self, sealed: Sealed, key: object, column: str, why: object) -> None:
        """Note a damage. The row's name says what it is about, where that can be known."""
        self.damaged.append((sealed, key, column))
        what = {RUNS: "run", ARMS: "arm", TASKS: "task", ENVIRONMENTS: "environment", ARTIFACTS: "what was kept of run"}
        name = f"the fact {str(key)!r:.60}" if sealed is STUDY else f"{what[sealed]} {key}"
        text = f"{name}: column {column} of {sealed.table}: {str(why) or type(why).__name__:.160}"
        self.damages.append(kinds.without_controls(text))

    @contextmanager
    def noting(self, sealed: Sealed, key: object, column: str) -> Iterator[None]:
        """Whatever a value does that is not what it should be, it is a damage; SQLite's errors are another matter."""
        try:
            yield
        except (sqlite3.Error, MemoryError, OSError):
            raise
        except Exception as error:
            why = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            self.tell(sealed, key, column, why)

    def _look_at_indices(self) -> None:
        """A table's rows may be whole, and an index by which they are found damaged."""
        if sqlite3.sqlite_version_info < (3, 33):  # it looks at the whole file, of gigabytes
            return
        if not checksums.there(self._db):  # of an older version, or lost
            return
        small = (self._folder / "study.sqlite").stat().st_size < _SMALL
        for table in (*_INDEXED, *(_LARGE if small else ())):
            (found,) = self._db.execute(f"PRAGMA integrity_check({table})").fetchone()
            if found != "ok":
                self.damages.append(kinds.without_controls(f"the table {table}: {' '.join(str(found).split()):.160}"))

    def _look_for_lost(self) -> None:
        if self._version >= _WITH_CHECKSUMS and not checksums.there(self._db):
            self.damages.append("the table checksums: it is lost")
        for sealed in checksums.TABLES:
            told = {str(key) for one, key, _ in self.damaged if one is sealed}
            for key in self._checks.lost(sealed):
                if key not in told:
                    self.tell(sealed, key, "all", "what was recorded is not there")

    def _rows(self, sealed: Sealed, where: str = "") -> Iterator[tuple[object, tuple[Any, ...]]]:
        """The rows of a table whose checksums agree: their keys, their columns."""
        for key, *values in self._db.execute(f"{sealed.select()} {where}").fetchall():
            if self._checks.agree(sealed, key, [key, *values]):
                yield key, tuple(values)
            else:
                self.tell(sealed, key, "any", "its checksum is another")

    # --- arms, tasks, environments ---

    def _read_arms(self) -> Iterator[tuple[object, tuple[str, str, Mapping[str, Value]]]]:
        """Number -> name, settings as they are called today, the same as values."""
        names: set[str] = set()
        self.today: dict[str, str] = {}
        for key, (name, settings) in self._rows(ARMS, "ORDER BY id"):
            with self.noting(ARMS, key, "settings"):
                flat = settings_today(kinds.flat_settings(json.loads(kinds.text(settings))), self._version)
                if kinds.plain(name) in names:
                    raise WrongError("another arm has its name")
                names.add(kinds.plain(name))
                self.today[settings] = canonical(flat)
                yield key, (kinds.plain(name), canonical(flat), flat)

    def _tasks(self) -> Iterator[tuple[object, tuple[DatasetInfo, Mapping[str, NDArray[Any]] | None]]]:
        packed = dict(self._db.execute("SELECT id, points FROM tasks WHERE points IS NOT NULL"))
        for key, (card,) in self._rows(TASKS):
            with self.noting(TASKS, key, "card"):
                info = dataset_info(kinds.text(card))
                found = None
                if (points := packed.get(key)) is not None:
                    with self.noting(TASKS, key, "points"):
                        found = kinds.points_in_plane(self._unpacked(points, _MOST_PICTURES))
                yield key, (info, found)

    def _environments(self) -> Iterator[tuple[object, Mapping[str, object]]]:
        for key, (description,) in self._rows(ENVIRONMENTS):
            with self.noting(ENVIRONMENTS, key, "description"):
                yield key, kinds.mapping(json.loads(kinds.text(description)))

    # --- runs ---

    def _runs(self) -> dict[object, dict[int, RunRecord]]:
        """Arm -> seed -> its last attempt that can be read."""
        tasks, environments = dict(self._tasks()), dict(self._environments())
        chunks: dict[object, list[object]] = {}
        for run, first, columns in self._db.execute("SELECT run, first, columns FROM chunks ORDER BY run, first"):
            chunks.setdefault(run, []).extend((first, columns))
        boundaries, pictures = self._boundaries(), self._pictures()
        found: dict[object, dict[int, RunRecord]] = {}
        for id_, *values in self._db.execute(f"{RUNS.select()} ORDER BY attempt, id").fetchall():
            row = dict(zip(RUNS.columns, values, strict=True))
            parts = chunks.pop(id_, [])
            if row["status"] != Status.RUNNING and not self._checks.agree(RUNS, id_, [id_, *values, *parts]):
                self.tell(RUNS, id_, "any, or columns of chunks", "its checksum is another")
                continue
            if row["arm"] not in self._arms or row["task"] not in tasks:
                lost = "arm" if row["arm"] not in self._arms else "task"
                self.tell(RUNS, id_, lost, f"its {lost}, {row[lost]!r:.40}, cannot be read")
                continue
            with self.noting(RUNS, id_, "any"):
                info, points = tasks[row["task"]]
                seed, epochs = self._seed(row["seed"]), kinds.whole(row["epochs"])
                most = _most_evaluations(self._arms[row["arm"]][2], info)
                if row["ended"] is not None:
                    kinds.number(row["ended"])
                curve = self._curve(parts[1::2], most)
                found.setdefault(row["arm"], {})[seed] = RunRecord(
                    seed=seed,
                    status=Status(row["status"]),
                    error=None if row["error"] is None else kinds.plain(" ".join(kinds.text(row["error"]).split())),
                    epochs=epochs or (int(curve["epoch"][-1]) if curve else 0),
                    curve=curve,
                    task=info,
                    plan_hash=kinds.text(row["plan_hash"]),
                    attempt=kinds.whole(row["attempt"]),
                    timed=bool(kinds.whole(row["timed"])),
                    started=kinds.number(row["started"]),
                    boundary=boundaries.get(id_),
                    points=points,
                    environment=environments.get(row["environment"], {}),
                    pictures=pictures.get(id_, Pictures()),
                    reported_by=_reported_by(self._arms[row["arm"]][2]),
                )
        for run in chunks:
            self.tell(RUNS, run, "all", "the row is lost, and its chunks are there")
        return found

    def _seed(self, value: object) -> int:
        """It goes into names of folders, and who received a study did not write it."""
        if type(value) is not int or not 0 <= value <= MAX_SEED:
            raise WrongError(f"it has the seed {value!r:.40}, which is no whole number from 0 to {MAX_SEED}")
        return value

    def _curve(self, blobs: Sequence[object], most: int) -> Curve:
        """The chunks of a run, one after another. `most`: evaluations that there can be."""
        limit = min(most, 2**40) * 8 * _MOST_COLUMNS
        chunks = [self._unpacked(blob, limit) for blob in blobs]
        if not chunks:
            return {}
        curve = joined(chunks)
        shapes = {column.shape for column in curve.values()}
        if len(shapes) != 1 or len(*shapes) != 1 or any(column.dtype != np.float64 for column in curve.values()):
            raise WrongError("the columns of its chunks are not as long as each other")
        if missing := [name for name in _CURVE if name not in curve]:
            raise WrongError(f"its chunks have no {missing[0]}")
        steps = curve["step"]
        if len(steps) > most:
            raise WrongError(f"its chunks hold {len(steps):,} evaluations, more than there can be")
        if not (np.isfinite(curve["epoch"]).all() and (steps[:1] > -1).all() and (steps[1:] > steps[:-1]).all()):
            raise WrongError("the steps of its chunks do not ascend")
        return curve

    def _unpacked(self, blob: object, limit: int) -> dict[str, NDArray[Any]]:
        """Within what may be, and what there is memory for: a few bytes can stand for gigabytes."""
        if not isinstance(blob, bytes):
            raise WrongError("it holds no arrays")

        def allow(size: int) -> None:
            if size > limit:
                raise WrongError(f"it says that it holds {size:,} bytes, more than there can be")
            self._room -= size
            if self._room < 0:
                raise MemoryError(
                    f"there is not enough memory free for the {size:,} bytes that one of its rows says it holds"
                )

        return unpack(blob, allow)

    # --- what was kept of runs ---

    def _artifacts(self, kind: str, only: str = "") -> Iterator[tuple[object, dict[str, NDArray[Any]]]]:
        for key, (content,) in self._rows(ARTIFACTS, f"WHERE kind = '{kind}' {only}"):
            with self.noting(ARTIFACTS, key, "content"):
                run = int(str(key).partition(" ")[0])
                yield run, self._unpacked(content, _MOST_PICTURES)

    def _boundaries(self) -> dict[object, Boundary]:
        """A picture shows each arm's first: the others are left where they are."""
        if self._deep:
            for name, content in self._db.execute(ARTIFACTS.select()):
                if not self._checks.agree(ARTIFACTS, name, [name, content]):
                    self.tell(ARTIFACTS, name, "content", "its checksum is another")
        there = self._db.execute("SELECT run || ' ' || kind FROM artifacts")
        self._checks.seen.update(f"{ARTIFACTS.table} {key}" for (key,) in there)
        firsts = (
            "AND run IN (SELECT id FROM runs JOIN (SELECT arm AS a, min(seed) AS s FROM runs JOIN artifacts "
            "ON run = id AND kind = 'boundary' GROUP BY arm) ON arm = a AND seed = s)"
        )
        found: dict[object, Boundary] = {}
        for run, arrays in self._artifacts("boundary", firsts):
            with self.noting(ARTIFACTS, f"{run} boundary", "content"):
                found[run] = kinds.boundary(arrays)
        return found

    def _pictures(self) -> dict[object, Pictures]:
        found: dict[object, Pictures] = {}
        for run, arrays in self._artifacts("pictures"):
            with self.noting(ARTIFACTS, f"{run} pictures", "content"):
                found[run] = kinds.pictures(unpack_pictures(arrays))
        return found

    # --- facts ---

    def _facts(self) -> Iterator[tuple[str, Any]]:
        for key, (value,) in self._rows(STUDY):
            with self.noting(STUDY, key, "value"):
                yield kinds.text(key), json.loads(kinds.text(value))

    def today_of(self, key: str, value: Any) -> Any:
        """A fact as this version would have recorded it."""
        return facts_today(key, value, self._version, self.today)

    def _remarks(self, value: Any, texts: Mapping[str, str]) -> dict[str, Sequence[str]]:
        told = {self.today.get(text, text): kinds.texts(lines) for text, lines in kinds.mapping(value).items()}
        return {texts[text]: list(map(kinds.plain, lines)) for text, lines in told.items() if text in texts}

    def _whys(self, value: Any, texts: Mapping[str, str]) -> dict[str, str]:
        told = {self.today.get(text, text): kinds.plain(why) for text, why in kinds.mapping(value).items()}
        return {texts[text]: why for text, why in told.items() if text in texts}


def _behaviour(value: object) -> None:
    for one in kinds.mapping(value).values():
        for number in kinds.items(kinds.mapping(one)["values"]):
            kinds.number(number, finite=False)
        kinds.texts(list(kinds.mapping(one["under"]).values())), kinds.number(one["at"])


def _written(value: object) -> Written:
    facts = kinds.mapping(value)
    runs = facts["runs"] if facts["runs"] is None else kinds.whole(facts["runs"])
    return Written(tuple(map(Claim.of, kinds.items(facts["claims"]))), runs)


def _words(value: object) -> None:
    kinds.texts(list(kinds.mapping(value).values()))


def _driver(value: object) -> None:
    kinds.whole(kinds.mapping(value)["pid"])
    kinds.text(kinds.mapping(value)["host"])


_LOOKED_AT: dict[str, Callable[[Any], object]] = {
    "behaviour": _behaviour,
    "driver": _driver,
    "metrics": _words,
    "plan_version": kinds.whole,
    "shared": kinds.flat_settings,
}
"""What no page shows, and who carries the study out needs."""


class _Facts:
    """The facts of a study, each taken once."""

    def __init__(self, rows: Rows, facts: dict[str, Any]) -> None:
        self._rows, self.facts = rows, facts

    def take(self, key: str, convert: Callable[[Any], Found], default: Found) -> Found:
        """A fact, converted; the default where it is not recorded, or damaged, which is noted."""
        with self._rows.noting(STUDY, key, "value"):
            value = self._rows.today_of(key, self.facts.get(key))
            if value is not None:
                return convert(value)
        return default


def by_seed(runs: Mapping[int, RunRecord]) -> list[RunRecord]:
    """Seeds ascending."""
    return [run for _, run in sorted(runs.items())]


def _most_evaluations(flat: Mapping[str, Value], info: DatasetInfo) -> int:
    """One after each step; a step has one example or more, or there are as many as `steps_per_epoch` says. A user's
    loop reports as often as it likes."""
    if CODE in flat or ESTIMATOR in flat:
        return _MOST_REPORTS
    given = flat.get("steps_per_epoch")
    steps = max(info.train, 1, given if isinstance(given, int) else 0)
    return kinds.whole(flat["epochs"]) * steps + 2


def _reported_by(flat: Mapping[str, Value]) -> Metric | None:
    """What early stopping watched; None of an arm without it."""
    if flat.get("patience", "none") == "none":
        return None
    monitor = kinds.text(flat.get("monitor"))
    if monitor not in MONITORS:
        raise WrongError(f"early stopping cannot watch {monitor!r:.40}")
    return Metric(monitor, "lower" if MONITORS[monitor] else "higher")


def dataset_info(text: str) -> DatasetInfo:
    """A task's card; ValueError where it is none."""
    facts = kinds.mapping(json.loads(text))
    for name in ("name", "fingerprint", "pool", "source"):
        kinds.text(facts[name])
    for name in ("classes", "train", "validation", "test", "overlap"):
        kinds.whole(facts[name])
    shape = tuple(map(kinds.whole, kinds.items(facts["input_shape"])))
    return DatasetInfo(**{**facts, "input_shape": shape, "name": kinds.plain(facts["name"])})


def _room() -> int:
    import psutil

    return int(psutil.virtual_memory().available * _SHARE)


def _class_counts(read: _Facts) -> dict[str, dict[str, list[int]]]:
    def counts(value: object) -> dict[str, list[int]]:
        return {
            kinds.plain(split): list(map(kinds.whole, kinds.items(of))) for split, of in kinds.mapping(value).items()
        }

    keys = [key for key in read.facts if key.startswith(CLASS_COUNTS)]
    none: dict[str, list[int]] = {}
    found = {key.removeprefix(CLASS_COUNTS): read.take(key, counts, none) for key in keys}
    return {fingerprint: of for fingerprint, of in found.items() if of}


def _class_names(read: _Facts) -> dict[str, list[str]]:
    keys = [key for key in read.facts if key.startswith(CLASS_NAMES)]
    none: list[str] = []
    found = {key.removeprefix(CLASS_NAMES): read.take(key, kinds.texts, none) for key in keys}
    return {pool: names for pool, names in found.items() if names}


def _tuning(read: _Facts) -> Tuning | None:
    tune = read.take("tune", _asked, None)
    if tune is None:
        return None
    return read.take("tuned", lambda value: _tuned(tune, kinds.mapping(value)), tune)


def _asked(value: object) -> Tuning:
    facts = kinds.mapping(value)
    checks = {
        "seeds": kinds.seeds,
        "words": kinds.texts,
        "validation": kinds.number,
        "metric": kinds.text,
        "given": kinds.truth,
    }
    for name, check in checks.items():
        check(facts[name])
    if facts["budget"] is not None:
        kinds.whole(facts["budget"])
    known = {name: facts[name] for name in (*checks, "budget")}
    return Tuning(
        **known,
        sampler=None if facts.get("sampler") is None else kinds.plain(facts["sampler"]),
        repeat=kinds.whole(facts.get("repeat", 1)),
        asked_repeats=kinds.whole(facts.get("repeats", 1)),
        looks=tuple(map(kinds.whole, kinds.items(facts.get("looks", [])))),
    )


def _tuned(tune: Tuning, tuned: Mapping[str, Any]) -> Tuning:
    def scored(one: Mapping[str, Any]) -> Candidate:
        numbers = [*kinds.items(one["scores"]), one["mean"]]
        for number in numbers:
            if number is not None:
                kinds.number(number)
        return Candidate(**{**one, "values": kinds.flat_settings(one["values"])})

    arms = [
        Tuned(
            arm=kinds.plain(arm["arm"]),
            candidates=[scored(kinds.mapping(one)) for one in kinds.items(arm["candidates"])],
            chosen=kinds.flat_settings(arm["chosen"]),
            edges=kinds.texts(arm["edges"]),
        )
        for arm in kinds.items(tuned["arms"])
    ]
    if counted := [name for name, count in Counter(arm.arm for arm in arms).items() if count > 1]:
        raise WrongError(f"the arm {counted[0]!r:.60} was tuned twice")
    return replace(tune, shared_values=kinds.flat_settings(tuned["shared_values"]), arms=arms)
