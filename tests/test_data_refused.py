"""Data that `paribus.data` cannot use are refused in plain words."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from torch.utils.data import DataLoader, TensorDataset

import paribus
from paribus.config.user_code import UserDefined
from tests.test_own import arrays

X, Y = arrays(8)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=Y)
DATES = pd.date_range("2024-01-01", periods=8)
TWICE = pd.concat([FRAME, FRAME["a"]], axis=1)


class Elsewhere:
    """A frame of another library, as polars has them."""

    columns = ("a", "kind")

    def to_pandas(self) -> pd.DataFrame:
        return FRAME


class Thing:
    pass


class Endless:
    def __iter__(self) -> Iterator[Any]:
        yield from zip(X, Y, strict=True)


BAD_DATA: dict[str, tuple[Callable[[], UserDefined], str]] = {
    "no classes": (lambda: paribus.data(X), "there are no classes"),
    "an iterable": (lambda: paribus.data(Endless()), "there are no classes"),
    "a loader": (lambda: paribus.data(DataLoader(TensorDataset(torch.from_numpy(X)))), "of a DataLoader, its .dataset"),
    "a frame alone": (lambda: paribus.data(FRAME), "which column holds the classes"),
    "a file": (lambda: paribus.data("train.json", target="kind"), "x of the data is 'train.json': of a file, give what it holds, as in data(pandas.read_csv(...))"),
    "a column's name as y": (lambda: paribus.data(FRAME, "kind"), 'y of the data is \'kind\': one class for each example is asked for; of a frame\'s column: data(frame, target="kind")'),
    "classes twice": (lambda: paribus.data(FRAME, Y, target="kind"), "y and target='kind' both say where the classes are"),
    "no such column": (lambda: paribus.data(FRAME, target="kin"), "target='kin' is no column of the data: there is a, b, c, kind"),
    "two columns": (lambda: paribus.data(FRAME, target=["a", "kind"]), "target=['a', 'kind'] names 2 columns: one column holds the classes"),
    "no column": (lambda: paribus.data(FRAME, target=[]), "target=[] names 0 columns"),
    "a target twice": (lambda: paribus.data(TWICE, target="a"), "target='a' names 2 columns of the data"),
    "a column twice": (lambda: paribus.data(TWICE, target="kind"), "columns a of x of the data stand there twice"),
    "a column of arrays": (lambda: paribus.data(X, target="kind"), "the data are no pandas frame"),
    "another frame": (lambda: paribus.data(Elsewhere(), target="kind"), "the data are no pandas frame; give .to_pandas()"),
    "another frame as x": (lambda: paribus.data(Elsewhere(), Y), "x of the data is a tests.Elsewhere, a pandas frame is allowed: give .to_pandas()"),
    "words in x": (lambda: paribus.data(FRAME.assign(d="w").drop(columns="kind"), Y), "columns d hold no numbers: encode them"),
    "categories in x": (lambda: paribus.data(FRAME.assign(d=pd.Categorical(["w"] * 8)).drop(columns="kind"), Y), "columns d hold no numbers: encode them (pandas.get_dummies)"),
    "numbers as objects in a frame": (lambda: paribus.data(FRAME.assign(b=FRAME["b"].astype(object)).drop(columns="kind"), Y), "columns b of x of the data hold numbers as objects: give frame[column].astype(float)"),
    "dates in a frame": (lambda: paribus.data(FRAME.assign(when=DATES).drop(columns="kind"), Y), "columns when of x of the data hold dates: give the time since one of them"),
    "dates of a zone": (lambda: paribus.data(FRAME.assign(when=DATES.tz_localize("UTC")).drop(columns="kind"), Y), "columns when of x of the data hold dates"),
    "durations in a frame": (lambda: paribus.data(FRAME.assign(d=DATES - DATES[0]).drop(columns="kind"), Y), "columns d of x of the data hold times: give numbers, as in column.dt.total_seconds()"),
    "complex in a frame": (lambda: paribus.data(FRAME.assign(z=FRAME["a"] * 1j), target="kind"), "columns z of x of the data hold complex numbers"),
    "text in x": (lambda: paribus.data(np.full((8, 2), "w"), Y), "holds <U1, not numbers: encode text"),
    "objects in x": (lambda: paribus.data(X.astype(object), Y), "x of the data holds numbers as objects: give x.astype(float)"),
    "text among objects": (lambda: paribus.data(np.array([[1, "w"]] * 8, dtype=object), Y), "x of the data holds objects, not numbers (int, str): encode text"),
    "None among objects": (lambda: paribus.data([[1.0, None]] * 8, Y), "x of the data has 8 values that are missing or infinite, the first at row 0, column 1"),
    "lists among objects": (lambda: paribus.data(np.array([[[1], [1, 2]]] * 8, dtype=object), Y), "x of the data holds objects of several values (list)"),
    "rows of two lengths": (lambda: paribus.data([[1, 2], [3]] * 4, Y), "x of the data has rows of different lengths, [1, 2]: every row has the same"),
    "arrays of two lengths": (lambda: paribus.data([np.ones(2), np.ones(3)] * 4, Y), "x of the data has items of different shapes, [(2,), (3,)]"),
    "a dict": (lambda: paribus.data({"a": X}, Y), "x of the data holds a dict, not numbers: a table is allowed, as in pandas.DataFrame(x)"),
    "complex": (lambda: paribus.data(X * 1j, Y), "x of the data holds complex numbers: give their real and imaginary parts"),
    "dates": (lambda: paribus.data(DATES.to_numpy()[:, None], Y), "x of the data holds dates or times (datetime64"),
    "records": (lambda: paribus.data(FRAME.to_records(index=False), Y), "x of the data holds records of the fields a, b, c, kind: a table is allowed: give pandas.DataFrame(x)"),
    "sparse": (lambda: paribus.data(scipy.sparse.csr_matrix(X), Y), "x of the data is a sparse matrix (csr_matrix), a dense array is allowed: give .toarray()"),
    "sparse array": (lambda: paribus.data(scipy.sparse.coo_array(X), Y), "x of the data is a sparse matrix (coo_array)"),
    "a gradient": (lambda: paribus.data(torch.tensor(X, requires_grad=True), Y), "x of the data is a tensor that requires a gradient, one that needs none is allowed: give .detach()"),
    "a gradient in y": (lambda: paribus.data(X, torch.tensor(Y * 1.0, requires_grad=True)), "y of the data is a tensor that requires a gradient"),
    "a gradient in an item": (lambda: paribus.data([(torch.tensor(row, requires_grad=True), 0) for row in X]), "x of item 0 of the data is a tensor that requires a gradient"),
    "bfloat16": (lambda: paribus.data(torch.tensor(X).bfloat16(), Y), "x of the data is a tensor of bfloat16, float32 or float64 is allowed: give .float()"),
    "bfloat16 in a list": (lambda: paribus.data(list(torch.tensor(X).bfloat16()), Y), "row 0 of x of the data is a tensor of bfloat16"),
    "another device": (lambda: paribus.data(torch.empty(8, 2, device="meta"), Y), "x of the data is a tensor on the device meta, one on the CPU is allowed: give .cpu()"),
    "a sparse tensor": (lambda: paribus.data(torch.tensor(X).to_sparse(), Y), "x of the data is a sparse_coo tensor, a dense one is allowed: give .to_dense()"),
    "no features": (lambda: paribus.data(np.zeros((8, 0)), Y), "x of the data has no features (shape (8, 0))"),
    "a target alone": (lambda: paribus.data(FRAME[["kind"]], target="kind"), "x of the data has no features (shape (8, 0))"),
    "no pixels": (lambda: paribus.data(np.zeros((8, 0, 3)), Y), "x of the data has no features (shape (8, 0, 3))"),
    "no rows": (lambda: paribus.data(np.zeros((0, 2)), []), "x of the data has no rows (shape (0, 2))"),
    "no rows in a frame": (lambda: paribus.data(FRAME[:0], target="kind"), "x of the data has no rows"),
    "no items": (lambda: paribus.data([]), "no data set of pairs: each item is (x, y), and there is none"),
    "missing in x": (lambda: paribus.data(FRAME.assign(b=[*[0.0] * 5, np.nan, 1, 2]).drop(columns="kind"), Y), "has 1 value that is missing or infinite, the first at row 5, column 'b'"),
    "infinite": (lambda: paribus.data(np.where(X[2, 1] == X, np.inf, X), Y), "the first at row 2, column 1"),
    "all infinite": (lambda: paribus.data(np.full((8, 2), np.inf, np.float32), Y), "16 values that are missing or infinite"),
    "flat x": (lambda: paribus.data(X[:, 0], Y), "has shape (8,): a row for each example, as in x.reshape(-1, 1)"),
    "flat series": (lambda: paribus.data(FRAME["a"], Y), "has shape (8,): a row for each example, as in x.to_frame()"),
    "channels of a table": (lambda: paribus.data(X, Y, channels="last"), "channels='last' is about images of four axes"),
    "no such channels": (lambda: paribus.data(X, Y, channels="RGB"), "channels='RGB' is not allowed"),  # type: ignore[arg-type]
    "short y": (lambda: paribus.data(X, Y[:5]), "8 rows of x and 5 classes in y"),
    "deep y": (lambda: paribus.data(X, Y[:, None]), "y of the data has shape (8, 1): one class for each example, as in y.ravel()"),
    "deep lists": (lambda: paribus.data(X, Y[:, None].tolist()), "y of the data has shape (8, 1): one class for each example, as in y.ravel()"),
    "one-hot y": (lambda: paribus.data(X, np.eye(2)[Y]), "y of the data has shape (8, 2): one class for each example, as in y.argmax(axis=1)"),
    "one-hot items": (lambda: paribus.data([(row, np.eye(2)[0]) for row in X]), "y of item 0 of the data has shape (2,): one class for each example, as in y.argmax()"),
    "a frame as y": (lambda: paribus.data(X, FRAME[["kind"]]), "y of the data is a frame of the columns kind: give one of them, as in y['kind']"),
    "parts of a class": (lambda: paribus.data(X, X[:, 0] + 0.5, kind="classification"), 'which is no class: put the numbers into a few classes (pandas.cut), or give kind="regression"'),
    "parts of a class in a list": (lambda: paribus.data(X, [0.5, 1] * 4, kind="classification"), "y of the data holds 0.5, which is no class"),
    "parts of a class in the test data": (lambda: paribus.data(X, Y, test=(X, Y + 0.5)), "y of the test data holds 1.5, which is no class"),
    "no such kind": (lambda: paribus.data(X, Y, kind="numbers"), "kind='numbers' is not allowed: kind is"),  # type: ignore[arg-type]
    "text to predict": (lambda: paribus.data(X, ["a", "b"] * 4, kind="regression"), "y of the data holds 'a', and kind=\"regression\" takes numbers"),
    "an array of text to predict": (lambda: paribus.data(X, np.array(["a", "b"] * 4), kind="regression"), "y of the data holds text, and kind"),
    "a missing number": (lambda: paribus.data(X, [*[0.5] * 7, np.nan]), "y of the data has 1 value that is missing"),
    "a missing number, as said": (lambda: paribus.data(X, [*[0.5] * 7, None], kind="regression"), "y of the data has 1 value that is missing"),
    "missing class": (lambda: paribus.data(X, [*["a"] * 4, None, *["b"] * 3]), "y of the data has 1 value that is missing or infinite, the first at row 4"),
    "class not finite": (lambda: paribus.data(X, [*[0.0] * 7, np.nan]), "y of the data has 1 value that is missing"),
    "class infinite": (lambda: paribus.data(X, np.array([*[0.0] * 7, np.inf])), "y of the data has 1 value that is missing or infinite, the first at row 7"),
    "text and numbers": (lambda: paribus.data(X, [1, "1"] * 4), "y of the data mixes numbers (1) and text ('1')"),
    "text and bytes": (lambda: paribus.data(X, ["a", b"a"] * 4), "y of the data mixes bytes ('a') and text ('a')"),
    "text and numbers apart": (lambda: paribus.data(X, Y, test=(X, Y.astype(str))), "the test data have labels that are text ('0'), the others are numbers (0)"),
    "dates as classes": (lambda: paribus.data(X, DATES), "y of the data holds dates or times (datetime64"),
    "dates of a zone as classes": (lambda: paribus.data(X, pd.Series(DATES.tz_localize("UTC"))), "y of the data holds dates or times (Timestamp): classes are asked for; if each date is a class, give y.astype(str)"),
    "days as classes": (lambda: paribus.data(X, [datetime.date(2024, 1, 1 + n) for n in Y]), "y of the data holds dates or times (date)"),
    "complex classes": (lambda: paribus.data(X, Y * 1j), "y of the data holds complex numbers (complex128): one whole number or text a row"),
    "lists as classes": (lambda: paribus.data(X, pd.Series([[1], [2]] * 4)), "y of the data holds a list: one whole number or text a row"),
    "nameless objects": (lambda: paribus.data(X, [Thing(), Thing()] * 4), "y of the data holds a Thing"),
    "sparse classes": (lambda: paribus.data(X, scipy.sparse.csr_matrix(Y)), "y of the data is a sparse matrix"),
    "records as classes": (lambda: paribus.data(X, FRAME.to_records()), "y of the data holds records of several fields"),
    "a set of classes": (lambda: paribus.data(X, {0, 1}), "y of the data is {0, 1}: one class for each example is asked for"),
    "classes one at a time": (lambda: paribus.data(X, iter(Y)), "y of the data is of type iterator: one class for each example, as in list(y)"),
    "one class": (lambda: paribus.data(X, Y * 0), "y holds 1 different value"),
    "too many classes": (lambda: paribus.data(np.ones((10_001, 1)), [str(n) for n in range(10_001)]), "y holds 10001 different values: there are 2 to 10000 classes"),
    "no name": (lambda: paribus.data(X, Y, name=" "), "name=' ' is not allowed"),
    "test of other width": (lambda: paribus.data(X, Y, test=(X[:, :2], Y)), "the test data have inputs of shape (2,), the others (3,)"),
    "test with other classes": (lambda: paribus.data(X, Y, test=(X, Y + 1)), "classes that the training data have not: [2]"),
    "test without rows": (lambda: paribus.data(X, Y, test=(X[:0], Y[:0])), "x of the test data has no rows"),
    "items of no pairs": (lambda: paribus.data(list(X.tolist())), "no data set of pairs: each item is (x, y), item 0 is a list"),
    "items by name": (lambda: paribus.data([{"image": X, "label": 1}]), "each item is (x, y), item 0 is a dict"),
    "items of two shapes": (lambda: paribus.data([(np.zeros(2), 0), (np.zeros(3), 1)]), "items of different shapes"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "answer"), BAD_DATA.values(), ids=BAD_DATA)
def test_data_that_cannot_be_used_are_refused(make: Callable[[], UserDefined], answer: str) -> None:
    with pytest.raises(ValueError, match=re.escape(answer)) as caught:
        make()
    assert type(caught.value) is ValueError
