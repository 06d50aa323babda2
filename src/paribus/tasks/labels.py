"""Labels as classes 0, 1, ...: values that are equal are one class, and each class keeps its label. Or, where they are
numbers to predict, as these."""

from __future__ import annotations

import datetime
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paribus.tasks.foreign import counted, is_frame, plain, refuse_missing

Kind = Literal["classification", "regression", "steps"] | None
"""What targets are taken for, `steps`: a class for each step of a sequence; None: what they look like."""

AMOUNTS = "numbers to predict"

_MOST_CLASSES = 10_000
_FEW_CLASSES = 10
_FRACTIONAL = (float, np.floating, Decimal, Fraction)
"""Types of numbers that need not be whole."""

_ROWS_WITH_GAPS = 25
_ROWS_OF_A_CODE = 10
_ROWS_WITHOUT_GAPS = 2


@dataclass(frozen=True)
class Labels:
    """The different values of y, and for each row the place of its value among them, shape (rows,), or of its values,
    (rows, steps). `kind`: numbers, text, the name of another type, or AMOUNTS."""

    values: list[Any]
    places: NDArray[np.int64]
    kind: str

    def __len__(self) -> int:
        return len(self.places)


def read(y: Any, what: str, kind: Kind = None) -> Labels:
    """The labels of some rows; `what` names them, as in "y of the data".

    Floats are numbers to predict, unless they are whole and look like classes (0.0 and 1.0). Raises ValueError for
    values that are missing, no class, or text beside numbers.

    >>> read([1, 1.0, True, 0], "y").values, read([0.5, 2.0, 0.5], "y").kind
    ([1, 0], 'numbers to predict')
    """
    if kind == "steps":
        return _of_steps(y, what)
    if kind == "regression" or (kind is None and _look_like_amounts(y)):
        return _amounts(y, what)
    found = _flat(y, what)
    if found.dtype.kind in "biuU":
        values, places = np.unique(found, return_inverse=True)
        return Labels(values.tolist(), places.astype(np.int64), "text" if found.dtype.kind == "U" else "numbers")
    rows = found.astype(object)
    refuse_missing(np.array([_missing(one) for one in rows], dtype=np.bool_), what)
    classes = [_class(one, what) for one in rows]
    kinds = {_kind(raw, one): one for raw, one in zip(rows, classes, strict=True)}
    if len(kinds) > 1:
        shown = " and ".join(f"{kind} ({value!r})" for kind, value in sorted(kinds.items()))
        raise ValueError(f"{what} mixes {shown}: labels are of one kind; as text: [str(label) for label in y]")
    distinct = {one: place for place, one in enumerate(dict.fromkeys(classes))}
    places = np.array([distinct[one] for one in classes], dtype=np.int64)
    return Labels(list(distinct), places, next(iter(kinds), "numbers"))


def _of_steps(y: Any, what: str) -> Labels:
    """A label for each step of each row."""
    rows = y.detach().cpu().numpy() if hasattr(y, "detach") else y.to_numpy() if is_frame(y) else y
    if isinstance(rows, list | tuple):
        rows = [one.detach().cpu().numpy() if hasattr(one, "detach") else one for one in rows]
        if any(isinstance(one, str | bytes) or not hasattr(one, "__len__") for one in rows):
            raise ValueError(f'{what} holds one label a row, and kind="steps" takes one for each step: leave kind out')
        lengths = sorted({len(one) for one in rows})
        if len(lengths) > 1:
            raise ValueError(
                f"{what} has rows of {lengths[0]} to {lengths[-1]} labels: sequences are of one length; cut them, or "
                "fill them up with a class of its own"
            )
        flat: Any = [label for one in rows for label in one]
        shape: tuple[int, ...] = (len(rows), lengths[0] if lengths else 0)
    else:
        array = plain(rows, what)
        shape, flat = array.shape, array.ravel()
    if len(shape) != 2:
        raise ValueError(f'{what} has shape {shape}: kind="steps" takes a label for each step, shape (examples, steps)')
    found = read(flat, what, "classification")
    return Labels(found.values, found.places.reshape(shape), found.kind)


def _look_like_amounts(y: Any) -> bool:
    """Whether they are floats of which one is not whole, or so many whole ones as no classes are."""
    kind = str(getattr(y, "dtype", "object")).lower()
    if isinstance(y, str | bytes | dict | set) or is_frame(y) or not ("float" in kind or "object" in kind):
        return False
    rows = y.detach().flatten().tolist() if hasattr(y, "detach") else y.tolist() if hasattr(y, "tolist") else y
    if not isinstance(rows, list | tuple) or not any(isinstance(one, _FRACTIONAL) for one in rows):
        return False
    if not all(isinstance(one, numbers.Real | Decimal) and not _missing(one) for one in rows):
        return False  # what is wrong with it, is told of classes too
    values = {float(one) for one in rows}
    return any(one != math.floor(one) for one in values) or _amounts_rather_than_classes(sorted(values), len(rows))


def _amounts(y: Any, what: str) -> Labels:
    """Numbers to predict, as float64; ValueError for text, dates, and what is missing."""
    rows = _flat(y, what, amounts=True)
    if rows.dtype == object:
        refuse_missing(np.array([_missing(one) for one in rows], dtype=np.bool_), what)
        for one in rows:
            if not isinstance(one, numbers.Real | Decimal | np.number | np.bool_):
                raise ValueError(
                    f'{what} holds {one!r:.40}, and kind="regression" takes numbers: give numbers, or leave kind out'
                )
    elif rows.dtype.kind not in "biuf":
        raise ValueError(f'{what} holds text, and kind="regression" takes numbers: give numbers, or leave kind out')
    found = rows.astype(np.float64)
    refuse_missing(~np.isfinite(found), what)
    values, places = np.unique(found, return_inverse=True)
    return Labels(values.tolist(), places.astype(np.int64), AMOUNTS)


def codes_as_numbers(y: NDArray[np.floating]) -> tuple[float, ...]:
    """Of numbers to predict: their different values, where they look like the codes of classes; else none.

    Two values do; and up to ten that are 0, 1, 2, ... without a gap, each with at least half of an even share of the
    rows. Numbers that were counted, and marks, seldom have the same share.

    >>> codes_as_numbers(np.array([0.0, 1.0, 2.0] * 40)), codes_as_numbers(np.arange(120.0))
    ((0.0, 1.0, 2.0), ())
    """
    values, counts = np.unique(y, return_counts=True)
    if len(values) < 2 or len(values) > _FEW_CLASSES or counts.min() < _ROWS_OF_A_CODE:
        return ()
    in_a_row = bool(np.array_equal(values, np.arange(len(values)))) and counts.min() * len(values) >= 0.5 * len(y)
    return tuple(values.tolist()) if len(values) == 2 or in_a_row else ()


def are_amounts(parts: Sequence[Labels]) -> bool:
    """Whether they are numbers to predict, or whole numbers of which there are too many for classes.

    >>> are_amounts([read([0.5, 2.0], "y")]), are_amounts([read(list(range(100, 400, 2)), "y")])
    (True, True)
    >>> are_amounts([read([0, 1, 1], "y")])
    False
    """
    values = sorted({one for part in parts for one in part.values if part.kind == "numbers"})
    rows = sum(map(len, parts))
    return any(part.kind == AMOUNTS for part in parts) or _amounts_rather_than_classes(values, rows)


def as_amounts(parts: Sequence[Labels]) -> NDArray[np.float64]:
    """The numbers of all parts, one after the other.

    >>> as_amounts([read([0.5, 2.0, 0.5], "y")])
    array([0.5, 2. , 0.5])
    """
    return np.concatenate([np.array(part.values, dtype=np.float64)[part.places] for part in parts])


def as_classes(parts: Sequence[Labels], *, asked: bool = False) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """The classes of all parts, one after the other, and the label of each class: numbers by size, text by alphabet.

    The first part is the training data. `asked`: that they are classes has been said. Raises ValueError where another
    has labels that it has not, and for a number of classes that no classification has.

    >>> as_classes([read(["dog", "cat", "dog"], "y")])
    (array([1, 0, 1]), ('cat', 'dog'))
    """
    if len({part.kind for part in parts if len(part)}) > 1:
        raise ValueError(
            f"the test data have labels that are {parts[1].kind} ({parts[1].values[0]!r}), the others are "
            f"{parts[0].kind} ({parts[0].values[0]!r}): labels are of one kind"
        )
    key = None if parts[0].kind in ("numbers", "text") else str
    labels = sorted(dict.fromkeys(value for part in parts for value in part.values), key=key)
    for part in parts[1:]:
        if unseen := sorted(set(part.values) - set(parts[0].values), key=key):
            raise ValueError(f"the test data have classes that the training data have not: {unseen[:5]}")
    rows = sum(map(len, parts))
    if parts[0].kind == "numbers" and not asked:
        _refuse_regression(labels, rows)
    if not 2 <= len(labels) <= _MOST_CLASSES:
        raise ValueError(
            f"y holds {counted(len(labels), 'different value', 'different values')}: "
            f"there are 2 to {_MOST_CLASSES} classes"
        )
    if key is str and len(set(map(str, labels))) < len(labels):
        raise ValueError(f"y holds different labels of one text, among them {labels[0]}: give them as different texts")
    if not all(isinstance(label, bool) for label in labels):  # of 1 and True, which are equal, it is the number
        labels = [int(label) if isinstance(label, bool) else label for label in labels]
    number = {label: n for n, label in enumerate(labels)}
    return np.concatenate(
        [np.array([number[value] for value in part.values], dtype=np.int64)[part.places] for part in parts]
    ), tuple(labels)


def _refuse_regression(labels: list[Any], rows: int) -> None:
    """Whole numbers with few rows each are rather amounts than classes.

    Codes of classes have no gaps (0 to 1622, or 1 to 1623): these may be as few as Omniglot's or LFW's, 2 rows each.
    Amounts have: the diabetes data of scikit-learn have 214 numbers from 25 to 346, the bike-sharing counts 869 numbers
    from 1 to 977 with 20 rows each.
    """
    each = rows / max(1, len(labels))
    if _amounts_rather_than_classes(labels, rows):
        raise ValueError(
            f"y holds {len(labels)} classes, the whole numbers from {labels[0]} to {labels[-1]}, "
            f'{each:.2g} rows each on average: is this a regression? Give kind="regression" to predict the numbers, or '
            'kind="classification" if each number is a class'
        )


def _amounts_rather_than_classes(labels: Sequence[Any], rows: int) -> bool:
    """Of different whole numbers in order."""
    each = rows / max(1, len(labels))
    gaps = len(labels) > 0 and (labels[0] not in (0, 1) or labels[-1] - labels[0] + 1 != len(labels))
    return len(labels) > _FEW_CLASSES and each < (_ROWS_WITH_GAPS if gaps else _ROWS_WITHOUT_GAPS)


def _flat(y: Any, what: str, *, amounts: bool = False) -> NDArray[Any]:
    """One label a row: an array of whole numbers, of text or of objects. `amounts`: they need not be whole."""
    if isinstance(y, str | bytes | dict | set):
        raise ValueError(
            f"{what} is {y!r:.40}: one class for each example is asked for"
            + (f'; of a frame\'s column: data(frame, target="{y:.40}")' if isinstance(y, str) else "")
        )
    if is_frame(y):
        raise ValueError(
            f"{what} is a frame of the columns {', '.join(map(str, y.columns))}: give one of them, "
            f"as in y[{next(iter(y.columns), 'label')!r}]"
        )
    if isinstance(y, list | tuple):  # NumPy would make text of [1, "a"] and of ["a", nan]
        found = np.empty(len(y), dtype=object)
        for row, one in enumerate(y):
            found[row] = one
        widths = {np.shape(one)[:1] for one in y if isinstance(one, list | tuple) or len(getattr(one, "shape", ()))}
        if widths:
            _refuse_shape(what, (len(y), *max(widths)), None)
        return found
    # pandas' own types have a sign for missing, which only objects keep
    found = np.asarray(y, dtype=object) if hasattr(getattr(y, "dtype", None), "na_value") else plain(y, what)
    if found.ndim == 0:
        raise ValueError(f"{what} is of type {type(y).__name__}: one class for each example, as in list(y)")
    if found.ndim != 1:
        _refuse_shape(what, found.shape, found)
    if found.dtype.kind in "Mm":
        raise ValueError(_dates(what, str(found.dtype)))
    if found.dtype.kind in "cV":
        kind = "complex numbers" if found.dtype.kind == "c" else "records of several fields"
        raise ValueError(f"{what} holds {kind} ({found.dtype}): one whole number or text a row is allowed")
    if found.dtype.kind == "f" and not amounts:
        refuse_missing(~np.isfinite(found), what)
        if len(odd := found[found != np.round(found)]):
            raise ValueError(_not_whole(what, odd[0]))
        if (np.abs(found) < np.float64(2**62)).all():
            return found.astype(np.int64)
    return found


def _refuse_shape(what: str, shape: tuple[int, ...], found: NDArray[Any] | None) -> None:
    cure = "y.ravel()"
    if len(shape) == 2 and shape[1] > 1:
        cure = "y[:, 0]"
        if found is not None and found.dtype.kind in "biuf" and ((found == 0) | (found == 1)).all():
            cure = "y.argmax(axis=1)"
    steps = ', or kind="steps" where each step of a sequence has one' if cure == "y[:, 0]" else ""
    raise ValueError(f"{what} has shape {shape}: one class for each example, as in {cure}{steps}")


def _missing(one: Any) -> bool:
    if one is None or one is np.ma.masked:
        return True
    try:
        return bool(one != one) or one in (float("inf"), -float("inf"))  # NaN and NaT differ from themselves
    except ArithmeticError:  # Decimal("sNaN")
        return True
    except (TypeError, ValueError):  # pandas.NA has no truth value
        return type(one).__name__ == "NAType"


def _class(one: Any, what: str) -> Any:
    """The value as Python has it; equal values become equal ones with one hash."""
    if isinstance(one, np.datetime64 | np.timedelta64 | datetime.date | datetime.timedelta):
        raise ValueError(_dates(what, type(one).__name__))
    if hasattr(one, "item") and getattr(one, "shape", None) == ():  # one of NumPy's or of PyTorch's numbers
        one = one.item()
    if isinstance(one, bool):
        return one
    if isinstance(one, numbers.Real | Decimal):
        if one != math.floor(one):
            raise ValueError(_not_whole(what, one))
        return math.floor(one)
    if isinstance(one, str):
        return str.__str__(one)
    if isinstance(one, bytes):
        return one.decode(errors="backslashreplace")
    # a memory's address in the text would be another in the next process
    if isinstance(one, numbers.Number) or not _hashable(one) or " at 0x" in str(one):
        raise ValueError(f"{what} holds a {type(one).__name__}: one whole number or text a row is allowed")
    return one


def _hashable(one: Any) -> bool:
    try:
        hash(one)
    except TypeError:
        return False
    return True


def _kind(raw: Any, one: Any) -> str:
    if isinstance(one, int):
        return "numbers"
    if isinstance(one, str):
        return "bytes" if isinstance(raw, bytes) else "text"
    return type(one).__name__


def _not_whole(what: str, value: Any) -> str:
    return (
        f"{what} holds {value}, which is no class: put the numbers into a few classes (pandas.cut), or give "
        'kind="regression" to predict them'
    )


def _dates(what: str, kind: str) -> str:
    return f"{what} holds dates or times ({kind}): classes are asked for; if each date is a class, give y.astype(str)"
