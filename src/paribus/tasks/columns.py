"""The columns of a table as numbers, dates or text, whatever the frame holds them as; and which are of no use."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Number
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from paribus.tasks.foreign import counted

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "date", "text"]

MOST_LEVELS = 100
"""Text of more levels than this is left out, unless it is asked for."""

_FEWEST_ROWS = 20
"""In fewer rows every value may differ by chance."""

_ID = re.compile(r"(^|[_\W])(id|uuid|guid|key|nr|no|number)$", re.IGNORECASE)
_ID_CASE = re.compile(r"[a-z](ID|Id)$")
_DATE_FORMATS = {
    "ISO8601": re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?"),
    "%Y/%m/%d": re.compile(r"\d{4}/\d{1,2}/\d{1,2}"),
    "%d.%m.%Y": re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}"),
    "%d/%m/%Y": re.compile(r"\d{1,2}/\d{1,2}/\d{4}"),
    "%m/%d/%Y": re.compile(r"\d{1,2}/\d{1,2}/\d{4}"),
}
_DAY = 86_400_000_000_000  # nanoseconds
_MOSTLY = 0.8
"""Text of which at least this share are numbers was perhaps meant as numbers."""


@dataclass(frozen=True)
class Column:
    """A column's values: numbers float64 with NaN for a gap, dates as days since 1970 in the same way, text as objects
    with None for a gap. `doubts`: what may be wrong in it; `useless`: why it cannot be taken at all."""

    name: str
    kind: Kind
    values: NDArray[Any]
    doubts: tuple[str, ...] = ()
    useless: str = ""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where it has gaps."""
        if self.kind == "text":
            return np.array([one is None for one in self.values], dtype=np.bool_)
        found: NDArray[np.bool_] = np.isnan(self.values)
        return found

    @property
    def distinct(self) -> int:
        """How many different values it has, gaps apart."""
        return len(set(self.values[~self.missing].tolist()))

    def bytes(self) -> bytes:
        """What it holds, the same for the same values."""
        if self.kind != "text":
            numbers = np.where(np.isnan(self.values), np.nan, self.values + 0.0)  # one NaN, and no -0
            return numbers.astype("<f8").tobytes()
        return "".join("-" if one is None else f"{len(one)}:{one}" for one in self.values).encode(errors="replace")


def read(series: pd.Series[Any], name: str) -> Column:
    """A column of a frame. Raises ValueError for numbers that are not finite.

    >>> import pandas as pd
    >>> [read(pd.Series(one), "c").kind for one in ([1, 2], ["a", None], ["2024-01-31", "2024-02-01"])]
    ['number', 'text', 'date']
    """
    import pandas as pd

    kind = series.dtype
    if series.isna().all():  # a file of text knows no type for it
        return Column(name, "number", np.full(len(series), np.nan))
    if isinstance(kind, pd.CategoricalDtype):
        series = series.astype(object)
    elif pd.api.types.is_datetime64_any_dtype(kind):
        return Column(name, "date", _days(series))
    elif pd.api.types.is_timedelta64_dtype(kind):
        return Column(name, "number", series.dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan))
    elif pd.api.types.is_bool_dtype(kind) or (
        pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind)
    ):
        return _number(series.to_numpy(dtype=np.float64, na_value=np.nan), name)
    return _of_objects(series.astype(object).where(series.notna(), None).to_numpy(dtype=object), name)


def _number(values: NDArray[np.float64], name: str) -> Column:
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise ValueError(f"the column {name!r} holds {values[row]} in row {row + 1}: a number is finite, or missing")
    return Column(name, "number", values)


def _of_objects(rows: NDArray[Any], name: str) -> Column:
    import pandas as pd

    known = [one for one in rows if one is not None]
    if known and all(isinstance(one, Number) and not isinstance(one, complex) for one in known):
        return _number(np.array([np.nan if one is None else float(one) for one in rows]), name)
    if known and all(isinstance(one, datetime.date) for one in known):
        return Column(name, "date", _days(pd.to_datetime(pd.Series(rows), utc=True, errors="coerce")))
    if not all(isinstance(one, str | bytes | Number | datetime.date) for one in known):
        kinds = sorted({type(one).__name__ for one in known})
        return Column(name, "text", rows, useless=f"holds objects ({', '.join(kinds[:3])})")
    text = np.array([None if one is None else _spelled(one) for one in rows], dtype=object)
    blank = np.array([one == "" for one in text], dtype=np.bool_)
    text[blank] = None
    return _of_text(text, name)


def _spelled(one: Any) -> str:
    return one.decode(errors="backslashreplace").strip() if isinstance(one, bytes) else str(one).strip()


def _of_text(text: NDArray[Any], name: str) -> Column:
    import pandas as pd

    known = [one for one in text if one is not None]
    found = {form: _parsed(text, form) for form, like in _DATE_FORMATS.items() if all(map(like.fullmatch, known))}
    dates = {form: days for form, days in found.items() if days is not None} if known else {}
    if dates:
        form = next(iter(dates))
        ambiguous = any(not np.array_equal(dates[form], other, equal_nan=True) for other in dates.values())
        doubt = f"the dates of {name!r}, as {known[0]}, were taken as day/month/year: month/day/year fits as well"
        return Column(name, "date", dates[form], (doubt,) if ambiguous else ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers = pd.to_numeric(pd.Series(known, dtype=object), errors="coerce").notna() if known else np.zeros(0)
    doubts: tuple[str, ...] = ()
    if known and numbers.mean() >= _MOSTLY:
        odd = [one for one, good in zip(known, numbers, strict=True) if not good]
        shown = ", ".join(repr(one)[:30] for one in list(dict.fromkeys(odd))[:3])
        what = f"{counted(len(odd), 'value', 'values')} that {'is' if len(odd) == 1 else 'are'} no number ({shown})"
        doubts = (f"{name!r} is taken as text, for {what}; leave these cells empty, and it is numbers",) * bool(odd)
    return Column(name, "text", text, doubts)


def _parsed(text: NDArray[Any], form: str) -> NDArray[np.float64] | None:
    """Days since 1970 where every text is a date of the form, else None."""
    import pandas as pd

    series = pd.Series(text, dtype=object)
    try:
        dates = pd.to_datetime(series, format=form, utc=True, errors="coerce")
    except (ValueError, OverflowError):
        return None
    return None if dates.isna().sum() > series.isna().sum() else _days(dates)


def _days(dates: pd.Series[Any]) -> NDArray[np.float64]:
    import pandas as pd

    if getattr(dates.dtype, "tz", None) is None:
        dates = pd.Series(dates).dt.tz_localize("UTC")
    naive = dates.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[ns]")
    days: NDArray[np.float64] = naive.to_numpy().astype(np.int64) / _DAY
    return np.where(naive.isna().to_numpy(), np.nan, days)


def why_left_out(column: Column) -> str:
    """Why a column is of no use as an input; empty if it may be.

    >>> why_left_out(Column("n", "number", np.arange(20.0) + 7))
    'counts the rows'
    """
    rows, distinct = len(column.values), column.distinct
    gaps = int(column.missing.sum())
    if column.useless:
        return column.useless
    if gaps == rows:
        return "empty"
    if distinct == 1 and not gaps:
        return f"constant ({_shown(column)})"
    known = column.values[~column.missing]
    several = rows >= _FEWEST_ROWS and distinct == len(known) > rows / 2
    if column.kind == "number" and several and (known == np.round(known)).all():
        if np.ptp(known) == len(known) - 1:
            return "counts the rows"
        return "names the rows: another whole number in each" if _names_rows(column.name) else ""
    if column.kind == "text" and several:
        return "names the rows: another text in each"
    if column.kind == "text" and distinct > min(MOST_LEVELS, max(rows / 2, 10)):
        return f"{distinct} levels in {rows} rows"
    return ""


def _names_rows(name: str) -> bool:
    return bool(_ID.search(name)) or bool(_ID_CASE.search(name))


def _shown(column: Column) -> str:
    value = next(iter(column.values[~column.missing]))
    return f"{value:g}" if column.kind == "number" else "one date" if column.kind == "date" else str(value)[:20]


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names with commas, the first of many.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
