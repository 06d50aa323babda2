"""Columns that tell the target: what is known only when the answer is, or the answer under another name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.tasks.columns import Column

_FEWEST_ROWS = 20
_FEWEST_A_LEVEL = 4
"""Levels of fewer rows each, on average, tell the target by chance."""


def leaks(columns: Sequence[Column], y: NDArray[np.int64], target: str) -> Iterator[str]:
    """A sentence for each column that alone tells the class of every row.

    >>> y = np.array([0, 1] * 10)
    >>> list(leaks([Column("left", "number", y * 3.0)], y, "t"))[0][:45]
    "'left' is t under another name: each of its v"
    """
    if len(y) < _FEWEST_ROWS:
        return
    for column in columns:
        why = _why(column, y)
        if why:
            cure = f"if it is not known when {target} is to be predicted, leave it out: drop={column.name}"
            yield f"{column.name!r} {why.format(target=target)}; {cure}"


def _why(column: Column, y: NDArray[np.int64]) -> str:
    missing, classes = column.missing, len(np.unique(y))
    if missing.any() and classes == 2 and (_same(missing, y == 0) or _same(missing, y == 1)):
        return "has a gap in every row of one class of {target} and in no other: its gaps tell the class"
    known, of = column.values[~missing], y[~missing]
    if missing.any() or len(known) < _FEWEST_ROWS:
        return ""
    values, places = np.unique(known.astype(str) if column.kind == "text" else known, return_inverse=True)
    first = np.full(len(values), -1)
    first[places[::-1]] = of[::-1]
    if _same(first[places], of) and len(known) >= _FEWEST_A_LEVEL * len(values):
        if len(values) == classes:
            return "is {target} under another name: each of its values goes with one class, and each class with one"
        return "tells {target}: every row of one of its values has the same class"
    if column.kind != "text" and len(values) > 1:
        ordered = of[np.argsort(known, kind="stable")]
        level = np.sort(known)
        steps = np.flatnonzero(ordered[1:] != ordered[:-1])
        if len(steps) == classes - 1 and (level[steps] != level[steps + 1]).all():
            return "tells {target}: its classes lie apart, one above the other"
    return ""


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return bool((one == other).all())
