"""The classes of the user's own data: which labels are one class, what is missing, and when amounts are asked about."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import LabelEncoder

import paribus

RARE = settings(max_examples=60, deadline=None)

SPELLINGS: list[Callable[[int], Any]] = [
    int, float, np.int8, np.int64, np.uint16, np.float32, np.float16, Decimal, Fraction, lambda n: bool(n) if n < 2 else n,
    lambda n: np.bool_(n) if n < 2 else np.float64(n), lambda n: torch.tensor(n), lambda n: np.array(float(n)),
]  # fmt: skip
HOLDERS: list[Callable[[list[Any]], Any]] = [list, tuple, lambda y: pd.Series(y, dtype=object), lambda y: as_objects(y)]
MISSING = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), Decimal("nan")]


def as_objects(values: list[Any]) -> np.ndarray[Any, Any]:
    found = np.empty(len(values), dtype=object)
    for n, one in enumerate(values):
        found[n] = one.item() if hasattr(one, "item") else one
    return found


@RARE
@given(st.data())
def test_labels_that_are_equal_are_one_class(draw: st.DataObject) -> None:
    wanted = draw.draw(st.lists(st.integers(0, 6), min_size=2, max_size=30).filter(lambda y: len(set(y)) > 1))
    y = [draw.draw(st.sampled_from(SPELLINGS))(one) for one in wanted]
    own = paribus.data(np.ones((len(y), 2)), draw.draw(st.sampled_from(HOLDERS))(y)).thing
    encoder = LabelEncoder().fit(wanted)
    np.testing.assert_array_equal(own.y, encoder.transform(wanted))
    assert own.labels == tuple(encoder.classes_.tolist())
    assert own.classes == len(encoder.classes_)
    assert len({type(label) for label in own.labels}) == 1  # no True among numbers


KINDS: dict[str, tuple[Any, Any]] = {
    "Int64": (3, -1), "Float64": (3.0, 1.0), "boolean": (True, False), "string": ("b", "a"), "str": ("b", "a"),
    "category": ("b", "a"), "object": (10, 9), "int8": (3, 1), "bool": (True, False), "float32": (2, 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("holder", [pd.Series, pd.array, pd.Index])
def test_every_pandas_type_of_labels(kind: str, holder: Callable[..., Any]) -> None:
    high, low = KINDS[kind]
    own = paribus.data(np.ones((5, 2)), holder([high, low, high, high, low], dtype=kind)).thing
    assert own.y.tolist() == [1, 0, 1, 1, 0]
    assert own.labels == (low, high)
    assert all(type(label) in (int, str, bool) for label in own.labels)
    if kind in ("int8", "bool"):
        return
    for missing in (None, np.nan, pd.NA):
        if missing is pd.NA and kind == "float32":
            continue
        y = holder([high, low, missing, high, missing], dtype=kind)
        with pytest.raises(ValueError, match=r"y of the data has 2 values that are missing .* first at row 2"):
            paribus.data(np.ones((5, 2)), y)


@RARE
@given(st.data())
def test_missing_labels_are_counted(draw: st.DataObject) -> None:
    labels = draw.draw(st.sampled_from([("a", "b"), (0, 1), (False, True)]))
    y: list[Any] = draw.draw(st.lists(st.sampled_from(labels), min_size=2, max_size=20))
    rows = sorted(draw.draw(st.sets(st.integers(0, len(y) - 1), min_size=1)))
    for row in rows:
        y[row] = draw.draw(st.sampled_from([*MISSING, np.ma.masked]))
    holder = draw.draw(st.sampled_from([list, tuple]))
    count = "1 value that is" if len(rows) == 1 else f"{len(rows)} values that are"
    with pytest.raises(ValueError, match=f"^y of the data has {count} missing .* the first at row {rows[0]}:"):
        paribus.data(np.ones((len(y), 2)), holder(y))


@RARE
@given(st.data())
def test_masked_values_are_missing(draw: st.DataObject) -> None:
    n = draw.draw(st.integers(2, 9))
    x, y = np.random.default_rng(n).normal(size=(n, 3)), np.arange(n) % 2
    rows = sorted(draw.draw(st.sets(st.integers(0, n - 1), min_size=1)))
    mask = np.zeros((n, 3), bool)
    mask[rows, draw.draw(st.integers(0, 2))] = True
    count = "1 value that is" if len(rows) == 1 else f"{len(rows)} values that are"
    column = np.flatnonzero(mask[rows[0]])[0]
    with pytest.raises(
        ValueError, match=f"x of the data has {count} masked, the first at row {rows[0]}, column {column}"
    ):
        paribus.data(np.ma.array(x, mask=mask), y)
    with pytest.raises(ValueError, match=f"y of the data has {count} masked, the first at row {rows[0]}:"):
        paribus.data(x, np.ma.array(y, mask=mask.any(axis=1)))
    with pytest.raises(ValueError, match=f"row {rows[0]} of x of the data has 1 value that is masked"):
        paribus.data([np.ma.array(one, mask=hidden) for one, hidden in zip(x, mask, strict=True)], y)
    with pytest.raises(ValueError, match=f"x of item {rows[0]} of the data has 1 value that is masked"):
        paribus.data([(np.ma.array(one, mask=hidden), c) for one, hidden, c in zip(x, mask, y, strict=True)])
    with pytest.raises(ValueError, match="x of the test data has"):
        paribus.data(x, y, test=(np.ma.array(x, mask=mask), y))


class Animal(Enum):
    DOG = 1
    CAT = 2


def test_labels_keep_their_values() -> None:
    x = np.ones((4, 2))
    one, two = paribus.data(x, ["cat", "dog"] * 2), paribus.data(x, ["ant", "bee"] * 2)
    assert one.thing.labels == ("cat", "dog")
    assert one.thing.y.tolist() == two.thing.y.tolist()
    # what classes are called is no part of the data's identity, as in folders of earlier versions
    assert len({one.fingerprint, two.fingerprint, paribus.data(x, [0, 1] * 2).fingerprint}) == 1
    assert paribus.data(x, [b"dog", b"cat"] * 2).thing.labels == ("cat", "dog")
    assert paribus.data(x, np.array([b"dog", b"cat"] * 2)).thing.labels == ("cat", "dog")
    assert paribus.data(x, list(Animal) * 2).thing.labels == (Animal.CAT, Animal.DOG)
    assert paribus.data(x, [10, 9, 10.0, 9]).thing.labels == (9, 10)
    assert paribus.data(x, [2**53 + 1, 2**53] * 2).thing.labels == (2**53, 2**53 + 1)
    assert paribus.data(x, np.array([1e300, 0.0] * 2)).thing.labels == (0, int(1e300))
    assert paribus.data(x, np.array([2**64 - 1, 0] * 2, np.uint64)).thing.labels == (0, 2**64 - 1)
    bins = paribus.data(x, pd.cut(pd.Series([1.0, 5.0, 1.5, 6.0]), [0, 4, 8])).thing
    assert (bins.y.tolist(), bins.labels) == ([0, 1, 0, 1], (pd.Interval(0, 4), pd.Interval(4, 8)))
    both = paribus.data(x, [True, False] * 2, test=(x, [1.0, 0] * 2)).thing
    assert (both.y.tolist(), both.labels) == ([1, 0] * 4, (0, 1))


# --- amounts ---------------------------------------------------------------------------------------------------------


def test_amounts_are_asked_about() -> None:
    x, y = load_diabetes(return_X_y=True)
    with pytest.raises(
        ValueError, match=r"^y holds 214 classes.* 25 to 346, 2\.1 rows each on average: is this a regr"
    ):
        paribus.data(x, y.astype(int))
    with pytest.raises(ValueError, match="is this a regression"):
        paribus.data(x, pd.Series(y).astype("Int64"))
    assert paribus.data(x, y.astype(int), kind="classification").thing.classes == 214
    assert paribus.data(x, y.astype(str)).thing.classes == 214
    counts = np.random.default_rng(0).poisson(
        np.random.default_rng(1).gamma(1.5, 120, 17_379)
    )  # as bikes hired an hour
    with pytest.raises(ValueError, match="is this a regression"):
        paribus.data(np.ones((len(counts), 1)), counts)
    with pytest.raises(ValueError, match=r"1 rows each on average"):
        paribus.data(x[:60], np.arange(60))


@pytest.mark.parametrize(
    ("classes", "rows", "first"), [(1623, 20, 0), (5749, 2, 0), (102, 10, 1), (200, 30, 1), (10, 1, 7), (1000, 3, 0)]
)
def test_many_classes_are_no_amounts(classes: int, rows: int, first: int) -> None:
    """Omniglot, faces in the wild, flowers, birds, and few numbers: coded without gaps, or few."""
    y = np.tile(np.arange(classes) + first, rows)
    assert paribus.data(np.ones((len(y), 1)), y).thing.classes == classes
