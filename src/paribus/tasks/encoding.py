"""Columns of any kind as numbers: scikit-learn's transformers, fitted on the training rows and on no other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.tasks.columns import Column, listed
from paribus.tasks.foreign import counted
from paribus.tasks.pool import Encoded

_RARE = 0.01
"""A level of fewer than this share of the training rows, or of one row alone, is pooled with the other rare ones."""

_PARTS = ("days", "month", "weekday")


@dataclass(frozen=True)
class Layout:
    """What is made of each column: names by kind, and of those left out the reason."""

    numbers: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


def encode(columns: Sequence[Column], layout: Layout, train: NDArray[np.int64]) -> Encoded:
    """The columns of every row as inputs. `train`: the rows that medians and levels are taken from.

    Numbers: a gap becomes the median, and an input says where gaps were. Dates: days since the first of the training
    rows, month and day of the week, and the hour where there are times. Text: an input for each level, one for all rare
    ones together, to which levels that no training row has belong too; a gap is a level. Raises ValueError for numbers
    whose median is beyond float64.
    """
    frame = _frame(columns, layout)
    first = {name: _first(frame[name].to_numpy()[train]) for name in layout.dates}
    times = [name for name in layout.dates if _has_times(frame[name].to_numpy()[train])]
    rarest = max(2, math.ceil(_RARE * len(train)))

    def parts(days: Any) -> NDArray[np.float64]:
        return np.hstack([_parts(days[name].to_numpy(), first[name], hours=name in times) for name in days])

    transformer = _transformer(layout, parts, rarest)
    with np.errstate(all="ignore"):
        transformer.fit(frame.iloc[train])
        x = np.asarray(transformer.transform(frame), dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError("the table has numbers beyond what float64 holds: leave their column out (drop=COLUMN)")
    amounts = np.zeros(x.shape[1], dtype=np.bool_)
    for kind in ("numbers", "dates"):
        if kind in transformer.output_indices_:
            amounts[transformer.output_indices_[kind]] = True
    fitted, measured = transformer.named_transformers_, [*layout.numbers, *layout.dates]
    gaps = [measured[place] for place in fitted["gaps"].features_] if measured else []
    lines = [
        *_of_numbers(layout, gaps, frame, train),
        *_of_dates(layout, gaps, first, times),
        *(_of_text(layout, fitted["text"], rarest) if layout.texts else ()),
        *_of_left_out(layout),
    ]
    return Encoded(np.ascontiguousarray(x), amounts, tuple(lines))


def _transformer(layout: Layout, parts: Callable[[Any], NDArray[np.float64]], rarest: int) -> Any:
    """What is fitted: of columns by name, those that there are."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    median = {"strategy": "median", "keep_empty_features": True}
    kinds: list[tuple[str, Any, list[str]]] = [
        ("numbers", SimpleImputer(**median), list(layout.numbers)),
        ("dates", make_pipeline(FunctionTransformer(parts), SimpleImputer(**median)), list(layout.dates)),
        (
            "gaps",
            MissingIndicator(features="missing-only", error_on_new=False),
            [*layout.numbers, *layout.dates],
        ),
        (
            "text",
            OneHotEncoder(min_frequency=rarest, handle_unknown="infrequent_if_exist", sparse_output=False),
            list(layout.texts),
        ),
    ]
    return ColumnTransformer([one for one in kinds if one[2]])


def _frame(columns: Sequence[Column], layout: Layout) -> Any:
    import pandas as pd

    of = {column.name: column for column in columns}
    found: dict[str, Any] = {name: of[name].values for name in (*layout.numbers, *layout.dates)}
    for name in layout.texts:
        found[name] = pd.Series([_level(one) for one in of[name].values], dtype=object)
    return pd.DataFrame(found)


_GAP = "a gap"


def _level(value: Any) -> str:
    """A text's level; a code that is a number as it is written."""
    if value is None or value != value:
        return _GAP
    return repr(value) if isinstance(value, float) else f"={value}"


def _parts(days: NDArray[np.float64], first: float, *, hours: bool) -> NDArray[np.float64]:
    """Days since the first, month 1 to 12, day of the week 0 (Monday) to 6 and, if asked for, hour 0 to 23."""
    known = np.isfinite(days)
    whole = np.floor(np.where(known, days, 0.0))
    months = whole.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12 + 1
    columns = [days - (first if np.isfinite(first) else 0.0), months, (whole + 3) % 7]  # 1970 began on a Thursday
    if hours:
        columns.append(np.floor((np.where(known, days, 0.0) - whole) * 24 + 1e-9))
    return np.column_stack([np.where(known, column, np.nan) for column in columns])


def _first(days: NDArray[np.float64]) -> float:
    return float(days[np.isfinite(days)].min(initial=np.inf))


def _has_times(days: NDArray[np.float64]) -> bool:
    known = days[np.isfinite(days)]
    return bool((known != np.floor(known)).any())


# --- what is said of it ----------------------------------------------------------------------------------------------


def _of_numbers(layout: Layout, gaps: Sequence[str], frame: Any, train: NDArray[np.int64]) -> list[str]:
    if not layout.numbers:
        return []
    filled = [name for name in layout.numbers if name in gaps]
    of = [f"{name} {int(frame[name].iloc[train].isna().sum())}" for name in filled]
    told = f"; gaps become the median, and an input says where they were (training rows: {listed(of)})" if of else ""
    return [f"numbers: {listed(layout.numbers)}{told}"]


def _of_dates(layout: Layout, gaps: Sequence[str], first: dict[str, float], times: Sequence[str]) -> list[str]:
    lines = []
    for name in layout.dates:
        since = str(np.datetime64(math.floor(first[name]), "D")) if np.isfinite(first[name]) else "1970-01-01"
        parts = "month, day of the week" + (", hour" if name in times else "")
        gap = "; gaps become the median, and an input says where they were" if name in gaps else ""
        lines.append(f"dates: {name} as days since {since}, {parts}{gap}")
    return lines


def _of_text(layout: Layout, encoder: Any, rarest: int) -> list[str]:
    told = []
    pooled = False
    for name, levels, rare in zip(layout.texts, encoder.categories_, encoder.infrequent_categories_, strict=True):
        has_gaps = _GAP in levels.tolist()
        words = counted(len(levels) - has_gaps, "level", "levels") + (" and gaps" if has_gaps else "")
        few = 0 if rare is None else len(rare)
        told.append(f"{name} ({words}{f', {few} rare' if few else ''})")
        pooled = pooled or few > 0
    pool = f"; rare ones, of fewer than {rarest} training rows, share an input" if pooled else ""
    return [f"text, an input for each level: {listed(told)}{pool}"]


def _of_left_out(layout: Layout) -> list[str]:
    told = [f"{name} ({why})" for name, why in layout.left_out]
    return [f"left out: {listed(told)}"] if told else []
