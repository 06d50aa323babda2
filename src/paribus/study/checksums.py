"""Checksums of what a study's database holds, row by row: a flipped bit in a number is no less a number."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

_TABLE = "CREATE TABLE IF NOT EXISTS checksums (what TEXT PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID"


@dataclass(frozen=True)
class Sealed:
    """A table whose rows have checksums: `keys` name a row, `columns` are those that count."""

    table: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]

    def select(self) -> str:
        """A row's name, then the columns."""
        return f"SELECT {self.name()}, {', '.join(self.columns)} FROM {self.table}"

    def name(self) -> str:
        """The name of a row: its keys with a space between."""
        return " || ' ' || ".join(self.keys)

    def where(self) -> str:
        """That it is one row, by its keys."""
        return " AND ".join(f"{key} IS ?" for key in self.keys)


RUNS = Sealed(
    "runs",
    ("id",),
    ("arm", "seed", "attempt", "task", "environment", "plan_version", "plan_hash", "status", "error", "epochs", "timed",
     "started", "ended"),
)  # fmt: skip
"""With its chunks: the checksum of a run is that of its row and of its curve."""

STUDY = Sealed("study", ("key",), ("value",))
TASKS = Sealed("tasks", ("id",), ("card",))
"""Without its points, which have a checksum of their own, as all that is packed: they are a picture's alone."""
ENVIRONMENTS = Sealed("environments", ("id",), ("description",))
ARMS = Sealed("arms", ("id",), ("name", "settings"))
ARTIFACTS = Sealed("artifacts", ("run", "kind"), ("content",))

TABLES = (STUDY, TASKS, ENVIRONMENTS, ARMS, RUNS, ARTIFACTS)


def digest(values: Iterable[object]) -> bytes:
    """BLAKE2b of a row's values with their types.

    >>> digest([1, "a"]) == digest([1, "a"]), digest([1]) == digest(["1"]), digest(["ab"]) == digest(["a", "b"])
    (True, False, False)
    """
    parts: list[bytes] = []
    for value in values:
        content = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        parts += (f"{type(value).__name__} {len(content)} ".encode(), content)
    return hashlib.blake2b(b"".join(parts), digest_size=16).digest()


def seal(database: sqlite3.Connection, sealed: Sealed, *keys: object) -> None:
    """Record the checksum of a row as it stands, inside the transaction that wrote it."""
    name, *values = database.execute(f"{sealed.select()} WHERE {sealed.where()}", keys).fetchone()
    if sealed is RUNS:
        values += _chunks(database, *keys)
    what = f"{sealed.table} {name}"
    database.execute("INSERT OR REPLACE INTO checksums VALUES (?, ?)", (what, digest([name, *values])))


def make_table(database: sqlite3.Connection) -> None:
    """The table of the checksums, where it is not there."""
    database.execute(_TABLE)


def there(database: sqlite3.Connection) -> bool:
    """Whether there is a table of checksums; an older version made none."""
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = 'checksums'").fetchone() is not None


def seal_all(database: sqlite3.Connection) -> None:
    """Of every row, where there were none: an older version wrote none. A run that is on its way has none."""
    make_table(database)
    for sealed in TABLES:
        only = " WHERE status != 'running'" if sealed is RUNS else ""
        for keys in database.execute(f"SELECT {', '.join(sealed.keys)} FROM {sealed.table}{only}").fetchall():
            with suppress(UnicodeEncodeError):  # a key that is no text: without a checksum its row is a damaged one
                seal(database, sealed, *keys)


def _chunks(database: sqlite3.Connection, run: object) -> Iterator[object]:
    for row in database.execute("SELECT first, columns FROM chunks WHERE run = ? ORDER BY first", (run,)):
        yield from row


@dataclass
class Checks:
    """The checksums of a database, to be compared with what is read. `known`: row -> checksum, None where an older
    version recorded none: then nothing is compared."""

    known: dict[str, bytes] | None
    seen: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, database: sqlite3.Connection) -> Checks:
        """Those that are recorded."""
        if not there(database):
            return cls(None)
        rows = database.execute("SELECT what, digest FROM checksums WHERE typeof(what) = 'text'")
        return cls(dict(rows.fetchall()))

    def agree(self, sealed: Sealed, key: object, values: Iterable[object]) -> bool:
        """Whether a row is what was recorded. A row without a checksum is none that was recorded."""
        name = f"{sealed.table} {key}"
        self.seen.add(name)
        return self.known is None or self.known.get(name) == digest(values)

    def lost(self, sealed: Sealed) -> list[str]:
        """The keys of rows that were recorded and are not there."""
        mine = f"{sealed.table} "
        names = (self.known or {}).keys() - self.seen
        return sorted(name.removeprefix(mine) for name in names if name.startswith(mine))
