"""Tables in files: CSV with any separator, TSV and Parquet, as a frame and what they were taken for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from paribus.config.overrides import SettingsError, near_miss
from paribus.config.table_names import PARQUET, is_table

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = {",": "a comma", ";": "';'", "\t": "a tab", "|": "'|'"}
_HEAD = 2**16  # bytes that are looked at for separators and decimals
_MOST_MISTAKES = 3
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_DECIMAL_POINT = re.compile(r"[+-]?\d+\.\d+")


def read(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The frame, and in sentences what the file was taken for; SettingsError for what is no table."""
    import pandas as pd

    if not path.is_file():
        raise SettingsError([_no_file(path)])
    try:
        if path.suffix.lower() in PARQUET:
            frame, taken = pd.read_parquet(path), list[str]()
            if not isinstance(frame.index, pd.RangeIndex):  # pandas keeps it in the file, beside the columns
                frame = frame.reset_index(drop=all(name is None for name in frame.index.names))
        else:
            frame, taken = _read_text(path)
    except OSError as error:
        raise SettingsError([f"{path} cannot be read: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path} is not a file in UTF-8: {error}; save it as CSV UTF-8"]) from None
    except (ValueError, pd.errors.ParserError, ImportError) as error:
        kind = "Parquet" if path.suffix.lower() in PARQUET else "CSV"
        raise SettingsError([f"{path} is not a {kind} file: {' '.join(str(error).split())[:200]}"]) from None
    if not len(frame) or not len(frame.columns):
        raise SettingsError([f"{path} has no rows: write the columns' names into the first line, then a row for each"])
    return frame, taken


def _no_file(path: Path) -> str:
    there = [one.name for one in path.parent.iterdir() if is_table(one.name)] if path.parent.is_dir() else []
    near = near_miss(path.name, there, "of tables the folder has none of a like name")
    return f"there is no file {path}: {near}"


def _read_text(path: Path) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    with path.open("rb") as file:
        head = file.read(_HEAD).decode("utf-8-sig", errors="replace")
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines:
        raise SettingsError([f"{path} is empty: write the columns' names into the first line, then a row for each"])
    separator = max(_SEPARATORS, key=lines[0].count)  # of as many, the comma
    complete = lines[1:-1] if len(head) >= _HEAD else lines[1:]
    cells = [cell.strip().strip('"') for line in complete for cell in line.split(separator)]
    comma = separator != "," and any(map(_DECIMAL_COMMA.fullmatch, cells))
    if comma and (points := [cell for cell in cells if _DECIMAL_POINT.fullmatch(cell)]):
        shown = next(cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell))
        raise SettingsError([f"{path} has numbers like {shown} and like {points[0]}: write decimals in one way"])
    _look_at_rows(path, separator)
    frame = pd.read_csv(
        path,
        sep=separator,
        decimal="," if comma else ".",
        encoding="utf-8-sig",
        index_col=False,
        low_memory=False,
        skipinitialspace=True,
    )
    frame.columns = frame.columns.map(lambda name: str(name).strip())
    taken = [f"columns are separated by {_SEPARATORS[separator]}"] * (separator != ",")
    return frame, [*taken, *["decimals stand after a comma"] * comma]


def _look_at_rows(path: Path, separator: str) -> None:
    """SettingsError for rows that have other cells than there are columns: pandas drops some and fills up others."""
    import csv

    mistakes = list[str]()
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        try:
            names = [name.strip() for name in next(row for row in reader if row)]
            for row in reader:
                if row and len(row) != len(names) and len(mistakes) < _MOST_MISTAKES:
                    mistakes.append(
                        f"{path}, line {reader.line_num}: {len(names)} columns are named, this row has another number "
                        f"({len(row)})"
                    )
        except csv.Error as error:
            raise SettingsError([f"{path} is not a CSV file: line {reader.line_num}: {error}"]) from None
    if len(set(names)) < len(names):  # pandas would call the second one x.1
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise SettingsError([f"{path} names the column {twice!r} twice: rename one of them"])
    if mistakes:
        raise SettingsError(mistakes)
