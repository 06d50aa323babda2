"""A table as a task: which column is predicted, what becomes of each other one, and what has to be said of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.overrides import SettingsError, near_miss
from paribus.config.table_names import is_table
from paribus.config.tasks import TASKS, TableData
from paribus.config.user_code import UserDefined, UserTable
from paribus.tasks import columns as _columns
from paribus.tasks import labels as _labels
from paribus.tasks import table_files
from paribus.tasks.columns import Column, listed
from paribus.tasks.encoding import Layout, encode
from paribus.tasks.foreign import counted
from paribus.tasks.leaks import leaks
from paribus.tasks.pool import Pool, Targets

if TYPE_CHECKING:
    import pandas as pd

_FEW = 20
_TARGETS = {
    "target",
    "label",
    "labels",
    "class",
    "y",
    "outcome",
    "churn",
    "churned",
    "survived",
    "diagnosis",
    "species",
}
_COMMON = 0.1
"""A class whose share is more than that of even classes by so much: its share is said."""

_RARER = 0.8
"""The same of the rarest: with less than this, recall of it is measured."""


@dataclass(frozen=True)
class Table:
    """Columns by name, in the order of the table. `test`: how many of the last rows are a test split of their own;
    `taken`: what the file was taken for; `raw`: the values as they were given, for the target."""

    name: str
    columns: Mapping[str, Column]
    raw: Mapping[str, Any] = field(repr=False)
    test: int = 0
    taken: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many there are, those without a target among them."""
        return len(next(iter(self.columns.values())).values)

    def fingerprint(self) -> str:
        """SHA-256 of the columns' names, kinds and values: of the same data from another file it is the same."""
        digest = hashlib.sha256(f"{self.rows} {self.test}".encode())
        for name, column in self.columns.items():
            digest.update(f"{len(name)}:{name} {column.kind} ".encode(errors="replace"))
            digest.update(column.bytes())
        return digest.hexdigest()

    # --- what is asked of its columns ---

    def mistakes(self, target: str, **asked: str) -> list[str]:
        """What is wrong with the columns that settings name, each with its cure."""
        found, named = [], dict[str, str]()
        if target not in self.columns:
            found.append(
                self._which()
                if target == "none"
                else f"target={target} is no column of {self.name}: {near_miss(target, self.columns)}"
            )
        for setting, text in asked.items():
            for name in self.named(text):
                if name not in self.columns:
                    found.append(f"{setting}={text}: {name!r} is no column of {self.name}: "
                                 f"{near_miss(name, self.columns)}")  # fmt: skip
                elif name == target:
                    found.append(f"{setting}={text}: {name!r} is the target, and no input")
                elif "drop" in (setting, named.get(name)) and setting != named.get(name, setting):
                    found.append(
                        f"{name!r} is in drop= and in {({setting, named[name]} - {'drop'}).pop()}=: choose one"
                    )
                named[name] = setting
        found += [
            f"keep={asked['keep']}: {name!r} cannot be an input: it {self.columns[name].useless or 'is empty'}"
            for name in self.named(asked.get("keep", ""))
            if name in self.columns and (self.columns[name].useless or self.columns[name].missing.all())
        ]
        found += [
            f"text={asked['text']}: {name!r} holds dates, no codes"
            for name in self.named(asked.get("text", ""))
            if name in self.columns and self.columns[name].kind == "date"
        ]
        return found or self._without_inputs(target, asked)

    def _without_inputs(self, target: str, asked: Mapping[str, str]) -> list[str]:
        layout = self.layout(target, **asked)
        if layout.numbers or layout.dates or layout.texts:
            return []
        why = listed([f"{name} ({why})" for name, why in layout.left_out])
        return [f"{self.name} has no column to predict {target} from; left out: {why}; keep=COLUMN takes one in"]

    def named(self, text: str) -> list[str]:
        """The columns of a setting's value; a name that has a + in it counts whole."""
        if text in ("none", ""):
            return []
        return [text] if text in self.columns else text.split("+")

    def _which(self) -> str:
        likely = sorted(
            (name for name, column in self.columns.items() if 2 <= column.distinct <= _FEW and column.kind != "date"),
            key=lambda name: name.lower() not in _TARGETS,
        )
        like = [f"{name} ({self.columns[name].distinct} classes)" for name in likely]
        hint = f"; {listed(like)} {'looks' if len(like) == 1 else 'look'} like a target" if like else ""
        return (
            f"which column of {self.name} is to be predicted? Write target=COLUMN; there is "
            f"{listed(list(self.columns), 40)}{hint}"
        )

    def layout(self, target: str, *, drop: str = "none", keep: str = "none", text: str = "none") -> Layout:
        """What is made of each column. Which are of no use is seen over all rows, without a look at the target."""
        dropped, kept, codes = map(set, map(self.named, (drop, keep, text)))
        found: dict[str, list[str]] = {"number": [], "date": [], "text": []}
        out: list[tuple[str, str]] = []
        for name, column in self.columns.items():
            why = "" if name in kept | codes else _columns.why_left_out(column)
            if name == target:
                continue
            if name in dropped or why:
                out.append((name, "drop=" if name in dropped else why))
            else:
                found["text" if name in codes else column.kind].append(name)
        return Layout(tuple(found["number"]), tuple(found["date"]), tuple(found["text"]), tuple(out))

    # --- the task ---

    def classes(self, target: str) -> tuple[NDArray[np.int64], tuple[Any, ...], NDArray[np.bool_]]:
        """Of the rows that have a target: their classes and the classes' labels; and which rows these are.

        Raises ValueError for a target that is no class."""
        parts, there = self._targets(target)
        try:
            numbers, labels = _labels.as_classes(parts)
        except ValueError as error:
            what = f"the target {target!r} of {self.name} holds"
            raise ValueError(str(error).replace("y holds", what, 1)) from None
        return numbers, labels, there

    def predicts_numbers(self, target: str) -> bool:
        """Whether a column holds numbers to predict, and no classes: numbers that are not whole, or so many different
        whole ones as no classes are."""
        if target not in self.columns:
            return False
        try:
            parts, _ = self._targets(target)
        except ValueError:  # what it is instead is told when it is used
            return False
        return _labels.are_amounts(parts)

    def _targets(self, target: str) -> tuple[list[_labels.Labels], NDArray[np.bool_]]:
        """What a column holds, on each side of a test split of its own; and which rows have a target."""
        raw = self.raw[target]
        there = ~np.asarray(raw.isna(), dtype=np.bool_)
        cut = len(there) - self.test
        what = f"the target {target!r} of {self.name}"
        sides = [there & side for side in self._sides(cut)]
        if not all(side.any() for side in sides):
            where = "in every row" if not self.test else "in every row of the training or of the test data"
            raise ValueError(f"{what} is missing {where}: there is nothing to learn")
        return [_labels.read(list(raw[side]), what) for side in sides], there

    def _sides(self, cut: int) -> list[NDArray[np.bool_]]:
        places = np.arange(self.rows)
        return [places < cut, places >= cut] if self.test else [places < cut]

    def pool(self, settings: TableData) -> Pool:
        """The examples of a task, to be encoded when they are split."""
        target, labels = settings.target, tuple[Any, ...]()
        numbers: Targets
        if settings.regression:
            parts, there = self._targets(target)
            numbers = _labels.as_amounts(parts)
        else:
            numbers, labels, there = self.classes(target)
        layout = self.layout(target, drop=settings.drop, keep=settings.keep, text=settings.text)
        rows = np.flatnonzero(there)
        used = [self._of_rows(name, rows) for name in (*layout.numbers, *layout.dates, *layout.texts)]
        test = int(there[len(there) - self.test :].sum()) if self.test else 0
        remarks = list(leaks(used, np.unique(numbers, return_inverse=True)[1].astype(np.int64), target))
        if settings.regression:
            shown = f"numbers from {numbers.min():g} to {numbers.max():g}, {numbers.mean():.4g} on average"
        else:
            counts = np.bincount(numbers.astype(np.int64), minlength=len(labels))
            remarks += self._of_classes(settings, counts, labels)
            shown = listed(
                [f"{label} {n} ({100 * n / len(rows):.0f} %)" for label, n in zip(labels, counts, strict=True)]
            )
        remarks += [doubt for column in used for doubt in column.doubts]
        empty = int((~there).sum())
        without = [f"{counted(empty, 'row has', 'rows have')} no {target} and {'is' if empty == 1 else 'are'} left out"]
        head = [f"{self.name}: {len(rows)} rows; target {target}: {shown}", *self.taken, *without * bool(empty)]
        return Pool(
            x=np.empty((len(rows), 0)), y=numbers, classes=len(labels), source="; ".join(head), test=test,
            labels=labels, encode=lambda train: encode(used, layout, train), identity=self.fingerprint(),
            remarks=tuple(remarks),
        )  # fmt: skip

    def _of_rows(self, name: str, rows: NDArray[np.int64]) -> Column:
        column = self.columns[name]
        return Column(name, column.kind, column.values[rows], column.doubts)

    def _of_classes(self, settings: TableData, counts: NDArray[np.int64], labels: Sequence[Any]) -> list[str]:
        share, most = counts.max() / counts.sum(), labels[int(counts.argmax())]
        found = []
        if share > 1 / len(labels) + _COMMON:
            rarest = self.rarest(settings.target)
            found.append(
                f"{100 * share:.1f} % of the rows are {most}: a network that always answers {most} has that accuracy"
                + (f"; recall of {rarest[1]} (--metric test_recall) says how many of those it finds" if rarest else "")
            )
        if few := [str(label) for label, n in zip(labels, counts, strict=True) if n < 3]:
            found.append(f"{listed(few)} {'has' if len(few) == 1 else 'have'} fewer than 3 rows: no split of the data "
                         "can both teach and test so few")  # fmt: skip
        return found

    def rarest(self, target: str) -> tuple[int, Any] | None:
        """The rarest class and its label, where its recall says something that accuracy does not: of two classes, and
        of more where it is rarer than even classes are. None too where it has too few rows for every split."""
        if self.predicts_numbers(target):
            return None
        numbers, labels, _ = self.classes(target)
        counts = np.bincount(numbers, minlength=len(labels))
        least = len(labels) - 1 - int(counts[::-1].argmin())  # of as many, the last
        rare = len(labels) == 2 or counts[least] / counts.sum() < _RARER / len(labels)
        return (least, labels[least]) if rare and counts[least] >= 3 else None


def of_frame(frame: pd.DataFrame, name: str, *, test: int = 0, taken: Sequence[str] = ()) -> Table:
    """A frame as a table. Raises ValueError for columns of one name, and for values that are not finite."""
    frame = frame.reset_index(drop=True)
    frame.columns = [str(one) for one in frame.columns]
    if twice := sorted(set(frame.columns[frame.columns.duplicated()])):
        raise ValueError(f"columns {', '.join(twice[:5])} of {name} stand there twice: rename them or leave one out")
    found = {column: _columns.read(frame[column], column) for column in frame.columns}
    return Table(name, found, {column: frame[column] for column in frame.columns}, test, tuple(taken))


def as_task(table: Table, *, path: str = "", **given: str) -> UserTable:
    """The table as what a study takes for its task."""
    return UserTable(name=table.name, fingerprint=table.fingerprint(), thing=table, given=given, path=path)


def opened(task: Any, beside: Path | None = None) -> Any:
    """A file's table for its name; anything else as it is. `beside`: where a relative name is looked for too.

    Raises SettingsError for a file that is not there, or no table.
    """
    if isinstance(task, UserDefined) or str(task) in TASKS or not is_table(str(task)):
        return task
    path = Path(str(task)).expanduser()
    if beside is not None and not path.exists() and (beside / path).exists():
        path = beside / path
    try:
        state = path.stat()
    except OSError:
        state = None
    return _opened(path, Path.cwd(), state and (state.st_mtime_ns, state.st_size, state.st_ino))


@lru_cache(maxsize=8)
def _opened(path: Path, *_: Any) -> UserTable:
    frame, taken = table_files.read(path)
    try:
        table = of_frame(frame, path.name, taken=taken)
    except ValueError as error:
        raise SettingsError([f"{path.name}: {error}"]) from None
    return as_task(table, path=str(path))
