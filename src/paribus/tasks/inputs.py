"""Inputs as one array of finite numbers, a row for each example; and what has to be said of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paribus.tasks.foreign import counted, is_frame, is_picture, plain, refuse_missing

Channels = Literal["first", "last"] | None

_MOST_CHANNELS = 4
_FEWEST_ROWS = 10
"""Of fewer rows, a column 0, 1, 2, ... may be there by chance."""


@dataclass(frozen=True)
class Inputs:
    """Numbers, shape (n, ...), of nobody else's memory; `notes`: done to them, `doubts`: what may be wrong in them."""

    x: NDArray[np.floating]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def read(x: Any, what: str, channels: Channels = None, *, pictures: bool | None = None) -> Inputs:
    """The inputs of some rows; `what` names them, as in "x of the data". float32 stays, and is what integers of up to
    16 bits become; all else becomes float64. Images become channels first.

    Raises ValueError for values that are missing, not finite or no numbers, and for no rows or features.

    >>> read([[1, 2], [3, 4]], "x").x
    array([[1., 2.],
           [3., 4.]])
    """
    columns = [str(column) for column in x.columns] if is_frame(x) else None
    if pictures is None:
        pictures = isinstance(x, list | tuple) and any(map(is_picture, x))
    found = _of_frame(x, what) if is_frame(x) else _array(x, what)
    if found.dtype.kind not in "fiub":
        raise ValueError(_no_numbers(found, what))
    if found.ndim < 2:
        cure = "x.to_frame()" if hasattr(x, "to_frame") else "x.reshape(-1, 1)"
        raise ValueError(f"{what} has shape {found.shape}: a row for each example, as in {cure}")
    if not len(found):
        raise ValueError(f"{what} has no rows (shape {found.shape}): there are examples to learn from")
    if not found.size:
        raise ValueError(f"{what} has no features (shape {found.shape}): each example has at least one number")
    # float32 holds every integer of 16 bits; images of bytes need not take eight times their room
    small = found.dtype.itemsize <= (4 if found.dtype.kind == "f" else 2)
    with np.errstate(over="ignore"):
        numbers: NDArray[np.floating] = found.astype(np.float32 if small else np.float64)
    refuse_missing(~np.isfinite(numbers), what, columns=columns)
    numbers, notes, doubts = _channels_first(numbers, what, channels, pictures=pictures)
    if numbers.ndim == 2:
        doubts += _row_numbers(numbers, what, columns)
    return Inputs(np.ascontiguousarray(numbers), notes, doubts)


def copied(x: Any, what: str) -> NDArray[Any]:
    """One example, as an array of its own: a data set may use one buffer for all that it gives."""
    return plain(x, what).copy()


def stacked(rows: Sequence[NDArray[Any]], what: str) -> NDArray[Any]:
    """Examples as one array. Raises ValueError where their shapes differ."""
    shapes = {row.shape for row in rows}
    if len(shapes) > 1:
        raise ValueError(f"{what} has items of different shapes, {sorted(shapes)[:3]}: every one has the same")
    return np.stack(rows)


def _array(x: Any, what: str) -> NDArray[Any]:
    if isinstance(x, list | tuple) and any(hasattr(row, "shape") or is_picture(row) for row in x):
        return stacked([plain(row, f"row {n} of {what}") for n, row in enumerate(x)], what)
    return plain(x, what)


def _of_frame(frame: Any, what: str) -> NDArray[Any]:
    if twice := sorted(set(map(str, frame.columns[frame.columns.duplicated()]))):
        raise ValueError(f"columns {', '.join(twice[:5])} of {what} stand there twice: rename them or leave one out")
    kinds = {name: getattr(kind, "kind", "O") for name, kind in frame.dtypes.items()}
    for wanted, says in (
        ("M", "dates: give the time since one of them, as in (column - column.min()).dt.total_seconds()"),
        ("m", "times: give numbers, as in column.dt.total_seconds()"),
        ("c", "complex numbers: give their real and imaginary parts as two columns"),
    ):
        if wrong := [str(name) for name, kind in kinds.items() if kind == wanted]:
            raise ValueError(f"columns {', '.join(wrong[:5])} of {what} hold {says}")
    if wrong := [name for name, kind in kinds.items() if kind not in "fiub"]:
        named = ", ".join(str(name) for name in wrong[:5])
        if all(isinstance(one, Number) for name in wrong for one in frame[name].dropna()):
            raise ValueError(f"columns {named} of {what} hold numbers as objects: give frame[column].astype(float)")
        raise ValueError(
            f"columns {named} hold no numbers: encode them (pandas.get_dummies) or leave them out ({what})"
        )
    values: NDArray[Any] = frame.to_numpy()
    if values.dtype.kind == "O":  # columns of several kinds, or pandas' own numbers with a sign for missing
        values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def _no_numbers(found: NDArray[Any], what: str) -> str:
    """What the array holds instead of numbers, and what to do."""
    match found.dtype.kind:
        case "c":
            says = (
                "complex numbers: give their real and imaginary parts, as in np.concatenate([x.real, x.imag], axis=1)"
            )
        case "M" | "m":
            says = f"dates or times ({found.dtype}): give numbers, as in (x - x.min()) / np.timedelta64(1, 's')"
        case "V":
            names = ", ".join(found.dtype.names or ())
            says = f"records of the fields {names}: a table is allowed: give pandas.DataFrame(x)"
        case "U" | "S" | "T":
            says = f"{found.dtype}, not numbers: encode text (pandas.get_dummies) or leave it out"
        case _:
            says = _of_objects(found, what)
    return f"{what} holds {says}"


def _of_objects(found: NDArray[Any], what: str) -> str:
    kinds = sorted({type(one).__name__ for one in found.flat})
    if found.ndim == 0:
        return f"a {kinds[0]}, not numbers: a table is allowed, as in pandas.DataFrame(x) or numpy.array(x)"
    refuse_missing(np.vectorize(lambda one: one is None, otypes=[bool])(found) if found.size else found == 0, what)
    if all(isinstance(one, Number) for one in found.flat):
        return "numbers as objects: give x.astype(float)"
    if any(hasattr(one, "__len__") and not isinstance(one, str | bytes) for one in found.flat):
        return f"objects of several values ({', '.join(kinds[:3])}): every row has the same number of numbers"
    return f"objects, not numbers ({', '.join(kinds[:3])}): encode text (pandas.get_dummies) or leave it out"


def _channels_first(
    x: NDArray[np.floating], what: str, channels: Channels, *, pictures: bool
) -> tuple[NDArray[np.floating], tuple[str, ...], tuple[str, ...]]:
    """Images turned from (n, height, width, channels), where they are: from Pillow's, where the last axis is short and
    the others are not, or where `channels` says so."""
    if channels not in (None, "first", "last"):
        raise ValueError(f'channels={channels!r} is not allowed: channels="first" or channels="last"')
    if x.ndim != 4:
        if channels is not None:
            raise ValueError(
                f"channels={channels!r} is about images of four axes, as in (n, height, width, channels); "
                f"{what} has shape {x.shape}"
            )
        return x, (), ()
    height, width, depth = x.shape[1:]
    guessed = depth <= _MOST_CHANNELS < min(height, width)
    if channels == "last" or (channels is None and (pictures or guessed)):
        note = f"images turned from {height} x {width} x {depth} to channels first"
        doubt = (
            f"{what} has shape {x.shape}, taken as {counted(depth, 'channel', 'channels')} last and turned to channels "
            f'first; say channels="last" to hear this no more, or channels="first" if axis 1 holds the channels'
        )
        return np.moveaxis(x, 3, 1), (note,), () if channels else (doubt,)
    if channels is None and height == width != depth and height > 3:
        doubt = (
            f'{what} has shape {x.shape}, taken as {height} channels of {width} x {depth}: say channels="first", or '
            'channels="last" if the last axis holds the channels'
        )
        return x, (), (doubt,)
    return x, (), ()


def _row_numbers(x: NDArray[np.floating], what: str, columns: list[str] | None) -> tuple[str, ...]:
    """Columns that an exported index left: a network would learn where an example stood in the file."""
    n = len(x)
    wrong = [
        column
        for column in range(x.shape[1])
        if (columns is not None and re.match(r"Unnamed: \d+", columns[column]))
        or (n >= _FEWEST_ROWS and x[0, column] in (0, 1) and (x[:, column] == x[0, column] + np.arange(n)).all())
    ]
    if not wrong:
        return ()
    named = [repr(columns[column]) if columns else str(column) for column in wrong[:5]]
    cure = f"frame.drop(columns=[{', '.join(named)}])" if columns else f"np.delete(x, [{', '.join(named)}], axis=1)"
    return (
        f"column {', '.join(named)} of {what} holds the number of each row, as a table's index does that was written "
        f"to its file: a network would learn the order; leave it out: {cure}, or read_csv(..., index_col=0)",
    )
