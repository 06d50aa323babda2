"""A table of scores as text: whatever separates its columns, and however its numbers are written."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from paribus.config.overrides import SettingsError

_MISSING = ("", "nan", "null", "na", "none", "n/a")
_SEPARATORS = {",": "a comma", ";": "';'", "\t": "a tab"}
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*")
_LEAST_DIGITS = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


@dataclass(frozen=True)
class Table:
    """Columns and rows of text, each with where it stands (`line 3`). `name`: of the file; `taken`: what it was taken
    for, in sentences; `decimal`: what stands before the first decimal."""

    name: str
    columns: list[str]
    rows: list[list[str]]
    places: list[str]
    taken: tuple[str, ...] = ()
    decimal: str = "."
    _places: dict[str, int] = field(default_factory=dict, repr=False)

    def column(self, name: str) -> list[str]:
        """The cells of a column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def without(self, names: Sequence[str], why: str = "") -> Table:
        """The same without some columns, which is said."""
        if not names:
            return self
        kept = [i for i, name in enumerate(self.columns) if name not in names]
        listed = ", ".join(name or "the first, which has no name" for name in names)
        told = f"left out: {listed}" + (f" ({why})" if why else "")
        return replace(
            self,
            columns=[self.columns[i] for i in kept],
            rows=[[row[i] for i in kept] for row in self.rows],
            taken=(*self.taken, told),
        )

    def number(self, text: str) -> float | None:
        """A score, None for one that is missing; ValueError for what is no number."""
        if text.strip().lower() in _MISSING:
            return None
        plain = text.replace(",", ".") if self.decimal == "," else text
        if not _LEAST_DIGITS.fullmatch(plain):  # Python reads 1_0 as 10, and words for infinity
            raise ValueError(text)
        value = float(plain)
        if value in (float("inf"), float("-inf")):
            raise ValueError(text)
        return value

    def is_number(self, text: str) -> bool:
        """Whether it is a number; one that is missing is none."""
        try:
            return self.number(text) is not None
        except ValueError:
            return False

    def is_text(self, name: str) -> bool:
        """Whether no cell of a column is a number, and some hold words."""
        cells = [one for one in self.column(name) if one.strip().lower() not in _MISSING]
        return bool(cells) and not any(map(self.is_number, cells))


def of_frame(frame: Any, name: str = "the table") -> Table:
    """Of a pandas frame, its index left out where it only counts."""
    if list(frame.index) != list(range(len(frame))):
        frame = frame.reset_index()
    columns = [str(one) for one in frame.columns]
    cells = frame.astype(object).where(frame.notna(), "")
    rows = [[repr(float(one)) if isinstance(one, float) else str(one) for one in row] for row in cells.to_numpy()]
    return _checked(Table(name, columns, rows, [f"row {i}" for i in range(len(rows))]))


def read_table(path: Path) -> Table:
    """Of a file, or of standard input for `-`; SettingsError for what is no table."""
    name = "standard input" if str(path) == "-" else str(path)
    try:
        given = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        if given.startswith(b"SQLite format 3"):
            raise SettingsError(
                [f"{name} is a database, no table: write MLflow's as one, mlflow.search_runs().to_csv('runs.csv')"]
            )
        text = given.decode("utf-8-sig")
    except OSError as error:
        raise SettingsError([f"{name} cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise SettingsError([f"{name} is not a CSV file in UTF-8: {error}; save it as CSV UTF-8"]) from None
    head = text.lstrip("\n\r").partition("\n")[0]
    separator = max(_SEPARATORS, key=head.count)  # of as many, the comma
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    try:
        rows, places = [], []
        for row in reader:
            if row:
                rows.append(row)
                places.append(f"line {reader.line_num}")
    except csv.Error as error:
        raise SettingsError([f"{name} is not a CSV file: {error}"]) from None
    if not rows:
        raise SettingsError([f"{name} is empty: write the columns arm, seed and a metric, and a row for each score"])
    cells = [one for row in rows[1:] for one in row]
    commas = [one for one in cells if separator != "," and _DECIMAL_COMMA.fullmatch(one)]
    points = [one for one in cells if "." in one and _LEAST_DIGITS.fullmatch(one)]
    if commas and points:
        raise SettingsError([f"{name} has numbers like {commas[0]} and like {points[0]}: write decimals in one way"])
    comma = bool(commas)
    taken = [f"columns are separated by {_SEPARATORS[separator]}"] * (separator != ",")
    taken += ["decimals stand after a comma"] * comma
    table = Table(name, [one.strip() for one in rows[0]], rows[1:], places[1:], tuple(taken), "," if comma else ".")
    return _checked(table)


def _checked(table: Table) -> Table:
    """Without the column that only counts rows; SettingsError for what is wrong with its header and with rows'
    lengths."""
    names, name = table.columns, table.name
    mistakes = []
    if len(set(names)) < len(names):
        mistakes.append(f"{name} names a column twice: {', '.join(names)}")
    if "" in names[1:]:
        mistakes.append(f"{name} has a column without a name: is there a separator at the end of its first line?")
    mistakes += [
        f"{name}, {place}: {len(names)} columns are named, this row has another number ({len(row)})"
        for row, place in zip(table.rows, table.places, strict=True)
        if len(row) != len(names)
    ]
    if mistakes:
        raise SettingsError(shortened(mistakes))
    first = names[0]
    if first in ("", "Unnamed: 0", "index") and len(names) > 1 and _counts(table.column(first)):
        return table.without([first], "it counts the rows")
    if first == "":
        raise SettingsError([f"{name}: its first column has no name, and does not count the rows: give it one"])
    return table


def _counts(cells: list[str]) -> bool:
    return all(one.strip().isdecimal() for one in cells) and len(set(cells)) == len(cells)


_MOST_MISTAKES = 10


def shortened(mistakes: list[str]) -> list[str]:
    """The first of them, one of a row each, and how many further rows are like these."""
    more = len(mistakes) - _MOST_MISTAKES
    rest = [f"and {more} more {'rows are' if more > 1 else 'row is'} like these"] if more > 0 else []
    return [*mistakes[:_MOST_MISTAKES], *rest]
