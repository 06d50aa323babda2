"""The user's own data: NumPy arrays, pandas frames, PyTorch tensors and data sets, as a task."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from paribus.config.table_names import is_table
from paribus.config.user_code import UserDefined, UserTable
from paribus.tasks import inputs as _inputs
from paribus.tasks import labels as _labels
from paribus.tasks.foreign import counted, is_frame, is_picture
from paribus.tasks.inputs import Channels, Inputs
from paribus.tasks.labels import Kind, Labels
from paribus.tasks.pool import Pool, fingerprint
from paribus.tasks.table import as_task, of_frame, opened

_NAME = "my data"


class DataWarning(UserWarning):
    """Data that were taken in a way that may not be meant, or that hold what a network should not see."""


_FLOATS = (
    "{name}: y holds floats, which are taken as numbers to predict (a regression); if they are classes, give "
    'paribus.data(..., kind="classification")'
)


def data(
    x: Any,
    y: Any = None,
    *,
    target: Any = None,
    test: Any = None,
    name: str = _NAME,
    channels: Channels = None,
    drop: str | Sequence[str] = (),
    keep: str | Sequence[str] = (),
    text: str | Sequence[str] = (),
    kind: Kind = None,
) -> UserDefined:
    """Data of your own, to train and compare on.

    `data(x, y)`: inputs, a row for each example (arrays, tensors, a pandas frame), and their classes (any labels) or
    numbers to predict. Floats are numbers to predict (a regression), but for whole ones that look like classes, as 0.0
    and 1.0; whole numbers, booleans and text are classes. `kind="regression"` or `"classification"` says it otherwise.
    `kind="steps"`: y has a class for each step of a sequence, shape (examples, steps), and x (examples, steps) or
    (examples, steps, inputs).
    `data(frame, target="column")`: a frame that holds both; `data("table.csv", target="column")`: a file of one. A
    frame that has text, dates or gaps is a table: its columns are encoded when it is split, by the training rows alone,
    and what was done with each is said before training. `drop`: columns that are left out; `keep`: columns that would
    be (they name the rows, or have too many levels) and are not; `text`: numbers that are codes. A frame of numbers
    alone, none missing, is taken as it is unless one of these is given.
    `data(dataset)`: a `torch.utils.data.Dataset` of pairs, read once from first to last, so that random transforms are
    drawn once. `test`: a test split of its own, in the same form; else `test_share` of the examples is held out, the
    same ones for every seed unless `split=by_seed`.

    Labels that are equal (1, 1.0 and True) are one class. Images of shape (height, width, channels) are turned to
    channels first, with a warning; `channels="first"` or `"last"` says what they are. Of a pandas x and y, rows with
    the same index belong together. All is copied: what is written into x or y afterwards changes nothing.

    Raises ValueError, which names what is wrong, for values that are missing, masked, not finite or no numbers, for
    rows and classes of different number, for fewer than two classes, and for whole numbers that look like amounts.
    Warns (`DataWarning`) where the data were turned, or hold the rows' numbers.

    >>> task = data(np.zeros((6, 2)), ["cat", "dog"] * 3, name="pets")
    >>> task.name, task.thing.x.shape, task.thing.y.tolist(), task.thing.labels
    ('pets', (6, 2), [0, 1, 0, 1, 0, 1], ('cat', 'dog'))
    >>> data(np.zeros((3, 2)), [0.5, 1.5, 2.5]).thing.classes  # numbers to predict
    0
    """
    if kind not in (None, *get_args(get_args(Kind)[0])):
        raise ValueError(f'kind={kind!r} is not allowed: kind is "classification", "regression" or "steps"')
    if not str(name).strip():
        raise ValueError(f"name={name!r} is not allowed: data have a name")
    if y is not None and target is not None:
        raise ValueError(f"y and target={target!r} both say where the classes are: leave one of them out")
    if y is None and (isinstance(x, Path) or (isinstance(x, str) and is_table(x)) or is_frame(x)):
        columns = {"drop": drop, "keep": keep, "text": text}
        table = _as_table(x, _one_column(x, target), test, name, {key: _joined(one) for key, one in columns.items()})
        if table is not None:
            return table
    if any(map(len, (drop, keep, text))) and (y is not None or not is_frame(x)):
        raise ValueError("drop, keep and text are about the columns of a table: data(frame, target=...)")
    target = _one_column(x, target)
    own, labels = _pair(x, y, target, "the data", channels=channels, kind=kind)
    numeric = labels.kind == _labels.AMOUNTS
    alike: Kind = "regression" if numeric else "steps" if kind == "steps" else "classification"
    found, parts = own.x, [labels]
    if test is not None:
        held_out, test_labels = _pair(
            *_given(test, target, _columns(x, target)), "the test data", channels=channels, kind=alike
        )
        if held_out.x.shape[1:] != own.x.shape[1:]:
            raise ValueError(f"the test data have inputs of shape {held_out.x.shape[1:]}, the others {own.x.shape[1:]}")
        found, parts = np.concatenate([own.x, held_out.x]), [labels, test_labels]
    numbers, names = (
        (_labels.as_amounts(parts), ())
        if numeric
        else _labels.as_classes(parts, asked=kind in ("classification", "steps"))
    )
    for doubt in own.doubts:
        warnings.warn(doubt, DataWarning, stacklevel=2)
    found.flags.writeable = numbers.flags.writeable = False
    steps = [f"a class for each of {numbers.shape[1]} steps"] if kind == "steps" else []
    notes = [*own.notes, *(["y taken as numbers to predict"] if numeric else steps)]
    source = "; ".join([f"given in Python ({type(x).__name__}, {len(numbers)} examples)", *notes])
    pool = Pool(
        x=found,
        y=numbers,
        classes=len(names),
        source=source,
        test=0 if test is None else len(parts[1]),
        labels=names,
        remark=_FLOATS.format(name=name) if numeric and kind is None else "",
    )
    return UserDefined(name=str(name), fingerprint=fingerprint(pool.x, pool.y, np.array([pool.test])), thing=pool)


def _joined(names: str | Sequence[str]) -> str:
    return (names if isinstance(names, str) else "+".join(map(str, names))) or "none"


def _as_table(x: Any, target: Any, test: Any, name: str, asked: Mapping[str, str]) -> UserTable | None:
    """A file or a frame as a table; None for a frame of numbers alone of which nothing is asked."""
    if not is_frame(x):
        if test is not None:
            raise ValueError("test= goes with a frame, not with a file's name: data(pandas.read_csv(...), test=...)")
        made: UserTable = opened(str(x))
        named = made.name if name == _NAME else name
        whole = replace(made, name=named, given={"target": "none" if target is None else str(target), **asked})
    else:
        if target is None or target not in x.columns:
            return None  # the sentence on what is missing stands below
        frames = [x] if test is None else [x, test]
        wanted = any(one != "none" for one in asked.values())
        if not all(map(is_frame, frames)) or not (wanted or any(_needs_encoding(one, target) for one in frames)):
            return None
        if len(frames) == 2 and (lacking := [str(one) for one in x.columns if one not in frames[1].columns]):
            raise ValueError(f"the test data have no column {', '.join(lacking[:5])}")
        table = of_frame(
            _stacked([one[list(x.columns)] for one in frames]), name, test=0 if test is None else len(test)
        )
        whole = as_task(table, target=str(target), **asked)
    if mistakes := whole.thing.mistakes(**whole.given):
        raise ValueError("\n".join(mistakes))
    if not whole.thing.predicts_numbers(whole.given["target"]):
        whole.thing.classes(whole.given["target"])  # ValueError for a target that is no class
    return whole


def _needs_encoding(frame: Any, target: Any) -> bool:
    if not frame.columns.is_unique or any(getattr(kind, "kind", "O") == "c" for kind in frame.dtypes):
        return False  # is refused as it stands
    inputs = frame.drop(columns=[target])
    return bool(inputs.isna().to_numpy().any()) or any(
        getattr(kind, "kind", "O") not in "fiub" for kind in inputs.dtypes
    )


def _stacked(frames: Sequence[Any]) -> Any:
    import pandas as pd

    return pd.concat(frames, ignore_index=True)


def _one_column(x: Any, target: Any) -> Any:
    """The target's name; of a list of one, that one."""
    if is_frame(x) and isinstance(target, tuple) and target in x.columns:
        return target
    if not hasattr(target, "__len__") or isinstance(target, str | bytes):
        return target
    names = list(target)
    if len(names) != 1:
        raise ValueError(
            f"target={names} names {counted(len(names), 'column', 'columns')}: one column holds the classes"
        )
    return names[0]


def _columns(x: Any, target: Any) -> list[Any] | None:
    return [column for column in x.columns if column != target] if is_frame(x) else None


def _given(test: Any, target: Any, columns: list[Any] | None) -> tuple[Any, Any, Any]:
    """The test data in the form of the others: a pair is x and y; columns are found by their names."""
    x, y = test if isinstance(test, tuple) and len(test) == 2 else (test, None)
    if columns is not None and is_frame(x):
        if missing := [str(column) for column in columns if column not in x.columns]:
            raise ValueError(f"the test data have no column {', '.join(missing[:5])}")
        x = x[[*columns, *([target] if y is None and target in x.columns else [])]]
    return x, y, None if y is not None else target


def _pair(x: Any, y: Any, target: Any, what: str, *, channels: Channels, kind: Kind) -> tuple[Inputs, Labels]:
    if isinstance(x, str | bytes):
        raise ValueError(f"x of {what} is {x!r:.60}: of a file, give what it holds, as in data(pandas.read_csv(...))")
    if target is not None:
        x, y = _split_off(x, target, what)
    if y is None:
        if is_frame(x):
            raise ValueError('which column holds the classes? data(frame, target="column")')
        if hasattr(x, "shape") or not (hasattr(x, "__getitem__") and hasattr(x, "__len__")):
            raise ValueError(
                "there are no classes: data(x, y), data(frame, target=...) or a data set of pairs"
                + (" (of a DataLoader, its .dataset)" if hasattr(x, "dataset") else "")
            )
        return _read(x, what, channels, kind)
    labels = _labels.read(y, f"y of {what}", kind)
    own = _inputs.read(x, f"x of {what}", channels)
    if len(own.x) != len(labels):
        raise ValueError(f"{what} have {len(own.x)} rows of x and {len(labels)} classes in y: one class for each row")
    if kind == "steps":
        _check_steps(own, labels, what)
    return _aligned(x, y, own, labels, what)


def _check_steps(own: Inputs, labels: Labels, what: str) -> None:
    """That x and y have as many steps."""
    shape, steps = own.x.shape[1:], labels.places.shape[1]
    if len(shape) not in (1, 2) or shape[0] != steps:
        raise ValueError(
            f"{what} have examples of shape {shape} and {steps} labels each: a class for each step goes with x of "
            "shape (examples, steps) or (examples, steps, inputs)"
        )


def _split_off(frame: Any, target: Any, what: str) -> tuple[Any, Any]:
    if not is_frame(frame):
        cure = "give .to_pandas()" if hasattr(frame, "to_pandas") else "read a file with pandas.read_csv"
        raise ValueError(f"target={target!r} is a column's name: {what} are no pandas frame; {cure}")
    if target not in frame.columns:
        raise ValueError(f"target={target!r} is no column of {what}: there is {', '.join(map(str, frame.columns))}")
    y = frame[target]
    if is_frame(y):
        raise ValueError(f"target={target!r} names {len(y.columns)} columns of {what}: one column holds the classes")
    return frame.drop(columns=[target]), y


def _aligned(x: Any, y: Any, own: Inputs, labels: Labels, what: str) -> tuple[Inputs, Labels]:
    """Of two pandas objects, rows of one index belong together, as in pandas itself."""
    if not (hasattr(x, "iloc") and hasattr(y, "iloc")) or x.index.equals(y.index):
        return own, labels
    cure = "give y.to_numpy() to pair the rows in the order in which they stand"
    apart = int((~x.index.isin(y.index)).sum()), int((~y.index.isin(x.index)).sum())
    if any(apart):
        raise ValueError(
            f"x and y of {what} have different indices: {apart[0]} of {len(x)} rows of x have no row of that index in "
            f"y, {apart[1]} of y none in x; {cure}"
        )
    if not (x.index.is_unique and y.index.is_unique):
        raise ValueError(
            f"x and y of {what} have indices in different order that name rows twice: nobody can tell which belong "
            f"together; {cure}"
        )
    places = labels.places[y.index.get_indexer(x.index)]
    doubt = f"x and y of {what} have the same index in another order: y was put into the order of x; {cure}"
    noted = Inputs(own.x, (*own.notes, "y put into the order of x by index"), (*own.doubts, doubt))
    return noted, Labels(labels.values, places, labels.kind)


def _read(dataset: Any, what: str, channels: Channels, kind: Kind) -> tuple[Inputs, Labels]:
    """A data set of pairs, from first to last."""
    rows: list[NDArray[Any]] = []
    labels: list[Any] = []
    pictures = False
    for n in range(len(dataset)):
        pair: Sequence[Any] = dataset[n]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(
                f"{what} are no data set of pairs: each item is (x, y), item {n} is a {type(pair).__name__}"
            )
        pictures = pictures or is_picture(pair[0])
        rows.append(_inputs.copied(pair[0], f"x of item {n} of {what}"))
        labels.append(pair[1] if kind == "steps" else _label(pair[1], f"y of item {n} of {what}"))
    if not rows:
        raise ValueError(f"{what} are no data set of pairs: each item is (x, y), and there is none")
    found = _inputs.read(_inputs.stacked(rows, f"x of {what}"), f"x of {what}", channels, pictures=pictures)
    read = _labels.read(labels, f"y of {what}", kind)
    if kind == "steps":
        _check_steps(found, read, what)
    return found, read


def _label(label: Any, what: str) -> Any:
    size = getattr(label, "size", 1)
    size = label.numel() if hasattr(label, "numel") else size
    if hasattr(label, "item") and size != 1:
        raise ValueError(f"{what} has shape {tuple(label.shape)}: one class for each example, as in y.argmax()")
    return label.item() if hasattr(label, "item") and label is not np.ma.masked else label
