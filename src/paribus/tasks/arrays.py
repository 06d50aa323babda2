"""The user's own data: NumPy arrays, pandas frames, PyTorch tensors and data sets, as a task."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.user_code import UserDefined
from paribus.tasks.pool import Pool, fingerprint

_MOST_CLASSES = 10_000


def data(x: Any, y: Any = None, *, target: str | None = None, test: Any = None, name: str = "my data") -> UserDefined:
    """Data of your own, to train and compare on.

    `data(x, y)`: inputs, a row for each example (arrays, tensors, a pandas frame), and their classes (any labels).
    `data(frame, target="column")`: a frame that holds both. `data(dataset)`: a `torch.utils.data.Dataset` of pairs,
    read once from first to last, so that random transforms are drawn once. `test`: a test split of its own, in the
    same form; else `test_share` of the examples is held out, the same ones for every seed unless `split=by_seed`.

    Raises ValueError, which names what is wrong, for values that are missing, not finite or no numbers, for rows and
    classes of different number, and for fewer than two classes.

    >>> task = data(np.zeros((6, 2)), ["cat", "dog"] * 3, name="pets")
    >>> task.name, task.thing.x.shape, task.thing.y.tolist(), task.thing.classes
    ('pets', (6, 2), [0, 1, 0, 1, 0, 1], 2)
    """
    if not str(name).strip():
        raise ValueError(f"name={name!r} is not allowed: data have a name")
    inputs, labels = _pair(x, y, target, "the data")
    held_out = None if test is None else _pair(*_given(test, target, _columns(x, target)), "the test data")
    parts = [labels] if held_out is None else [labels, held_out[1]]
    classes = np.unique(np.concatenate(parts))
    if held_out is not None and (unseen := sorted({*held_out[1].tolist()} - {*labels.tolist()})):
        raise ValueError(f"the test data have classes that the training data have not: {unseen[:5]}")
    if not 2 <= len(classes) <= _MOST_CLASSES:
        raise ValueError(
            f"y holds {len(classes)} different value{'s' * (len(classes) != 1)}: there are 2 to {_MOST_CLASSES} classes"
        )
    if held_out is not None:
        if held_out[0].shape[1:] != inputs.shape[1:]:
            raise ValueError(
                f"the test data have inputs of shape {held_out[0].shape[1:]}, the others {inputs.shape[1:]}"
            )
        inputs = np.concatenate([inputs, held_out[0]])
    numbers = np.searchsorted(classes, np.concatenate(parts)).astype(np.int64)
    inputs.flags.writeable = numbers.flags.writeable = False
    kind = type(x).__name__
    pool = Pool(
        inputs, numbers, len(classes), f"given in Python ({kind}, {len(numbers)} examples)",
        0 if held_out is None else len(held_out[1]),
    )  # fmt: skip
    return UserDefined(str(name), fingerprint(inputs, numbers, np.array([pool.test])), pool)


def _columns(x: Any, target: str | None) -> list[Any] | None:
    return [column for column in x.columns if column != target] if hasattr(x, "columns") else None


def _given(test: Any, target: str | None, columns: list[Any] | None) -> tuple[Any, Any, str | None]:
    """The test data in the form of the others: a pair is x and y; columns are found by their names."""
    x, y = test if isinstance(test, tuple) and len(test) == 2 else (test, None)
    if columns is not None and hasattr(x, "columns"):
        if missing := [str(column) for column in columns if column not in x.columns]:
            raise ValueError(f"the test data have no column {', '.join(missing[:5])}")
        x = x[[*columns, *([target] if target in x.columns else [])]]
    return x, y, None if y is not None else target


def _pair(x: Any, y: Any, target: str | None, what: str) -> tuple[NDArray[np.floating], NDArray[Any]]:
    if target is not None:
        if not hasattr(x, "columns"):
            raise ValueError(
                f"target={target!r} is a column's name: {what} are no pandas frame; read a file with pandas.read_csv"
            )
        if target not in x.columns:
            raise ValueError(f"target={target!r} is no column of {what}: there is {', '.join(map(str, x.columns))}")
        x, y = x.drop(columns=[target]), x[target]
    if y is None:
        if hasattr(x, "columns"):
            raise ValueError('which column holds the classes? data(frame, target="column")')
        if hasattr(x, "shape") or not (hasattr(x, "__getitem__") and hasattr(x, "__len__")):
            raise ValueError("there are no classes: data(x, y), data(frame, target=...) or a data set of pairs")
        x, y = _read(x, what)
    inputs, labels = _inputs(x, what), _labels(y, what)
    if len(inputs) != len(labels):
        raise ValueError(f"{what} have {len(inputs)} rows of x and {len(labels)} classes in y: one class for each row")
    return inputs, labels


def _read(dataset: Any, what: str) -> tuple[NDArray[Any], NDArray[Any]]:
    pairs = [dataset[i] for i in range(len(dataset))]
    if not pairs or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise ValueError(f"{what} are no data set of pairs: each item is (x, y)")
    shapes = {np.shape(x) for x, _ in pairs}
    if len(shapes) > 1:
        raise ValueError(f"{what} have items of different shapes, {sorted(shapes)[:3]}: every x has the same")
    return np.stack([np.asarray(x) for x, _ in pairs]), np.array([_scalar(y) for _, y in pairs])


def _scalar(label: Any) -> Any:
    return label.item() if hasattr(label, "item") else label


def _inputs(x: Any, what: str) -> NDArray[np.floating]:
    columns = [str(column) for column in x.columns] if hasattr(x, "columns") else None
    frame = x
    if columns is not None:
        if wrong := [str(c) for c, kind in x.dtypes.items() if getattr(kind, "kind", "O") not in "fiub"]:
            raise ValueError(
                f"columns {', '.join(wrong[:5])} hold no numbers: encode them (pandas.get_dummies) or leave them out"
            )
        x = x.to_numpy()
        if x.dtype.kind == "O":  # columns of several kinds, or pandas' own numbers with a sign for missing
            x = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    found = np.asarray(x)
    if found.dtype.kind not in "fiub":
        raise ValueError(f"x of {what} holds {found.dtype}, not numbers")
    if found.ndim < 2:
        raise ValueError(f"x of {what} has shape {found.shape}: a row for each example, as in x.reshape(-1, 1)")
    # float32 holds every integer of 16 bits; images of bytes need not take eight times their room
    small = found.dtype.itemsize <= (4 if found.dtype.kind == "f" else 2)
    numbers: NDArray[np.floating] = found.astype(np.float32 if small else np.float64)
    if not np.isfinite(numbers).all():
        place = np.argwhere(~np.isfinite(numbers))[0]
        where = f"row {place[0]}" + (f", column {columns[place[1]]!r}" if columns else "")
        count = int((~np.isfinite(numbers)).sum())
        raise ValueError(
            f"x of {what} has {count} values that are missing or infinite, the first at {where}: fill or drop them"
        )
    return np.ascontiguousarray(numbers)


def _labels(y: Any, what: str) -> NDArray[Any]:
    found = np.asarray(y)
    if found.ndim != 1:
        raise ValueError(f"y of {what} has shape {found.shape}: one class for each example, as in y.ravel()")
    if found.dtype.kind == "f":
        if not np.isfinite(found).all():
            raise ValueError(f"y of {what} has {int((~np.isfinite(found)).sum())} values that are missing or infinite")
        if (found != np.round(found)).any():
            odd = found[found != np.round(found)][0]
            raise ValueError(f"y of {what} holds {odd}: classes are asked for, not numbers to be predicted")
        return found.astype(np.int64)
    if found.dtype.kind == "O":
        if any(one is None or one != one for one in found):  # NaN differs from itself
            raise ValueError(f"y of {what} has values that are missing")
        return found.astype(str)
    return found
