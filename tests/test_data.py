"""`paribus.data`: the user's data taken for what they are, or refused in plain words; and how they are standardised."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import LabelEncoder, StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import paribus
from paribus.config.overrides import SettingsError
from paribus.config.tasks import UserData
from paribus.config.user_code import UserDefined
from paribus.tasks.arrays import DataWarning
from paribus.tasks.task import Task, load
from tests.conftest import settings_of
from tests.test_own import arrays

RARE = settings(max_examples=60, deadline=None)


def task_of(own: UserDefined, **changed: Any) -> Task:
    """The task as a run gets it."""
    task = UserData(name=own.name, arrays=own, **changed)
    return load(settings_of("task=moons").model_copy(update={"task": task}), 0)


# --- forms -----------------------------------------------------------------------------------------------------------


def test_data_in_every_form_are_the_same(tmp_path: Path) -> None:
    x, y = arrays()
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(kind=y)
    forms = {
        "arrays": paribus.data(x, y),
        "frame": paribus.data(frame.drop(columns="kind"), frame["kind"]),
        "column": paribus.data(frame, target="kind"),
        "a list of one column": paribus.data(frame, target=["kind"]),
        "an index of one column": paribus.data(frame, target=frame.columns[3:]),
        "tensors": paribus.data(torch.from_numpy(x), torch.from_numpy(y)),
        "data set": paribus.data(TensorDataset(torch.from_numpy(x), torch.from_numpy(y))),
        "lists": paribus.data(x.tolist(), [float(one) for one in y]),
        "lists of rows": paribus.data(list(x), list(y)),
        "lists of tensors": paribus.data(list(torch.from_numpy(x)), list(torch.from_numpy(y))),
        "masked arrays without a mask": paribus.data(np.ma.array(x), np.ma.array(y)),
        "booleans": paribus.data(x, y == 1),
        "half precision": paribus.data(x, y.astype(np.float16)),
        "a set of one column": paribus.data(frame, target={"kind"}),
    }
    assert len({form.fingerprint for form in forms.values()}) == 1
    mixed = frame.assign(flag=x[:, 0] > 0, count=pd.array([1] * len(x), dtype="Int64"))
    assert paribus.data(mixed, target="kind").thing.x.shape == (len(x), 5)
    shuffled = frame[["c", "kind", "a", "b"]]
    both = paribus.data(frame[:40], target="kind", test=shuffled[40:])
    np.testing.assert_array_equal(both.thing.x, x)
    np.testing.assert_array_equal(paribus.data(frame[:40], target="kind", test=(shuffled[40:], y[40:])).thing.x, x)
    with pytest.raises(ValueError, match="the test data have no column b"):
        paribus.data(frame, target="kind", test=frame.drop(columns="b"))
    assert paribus.data(x, 1 - y).fingerprint != forms["arrays"].fingerprint
    assert paribus.data(x.astype(np.float32), y).thing.x.dtype == np.float32
    assert paribus.data((x > 0), y).thing.x.dtype == np.float32
    images = paribus.data(np.zeros((8, 3, 4, 4), np.uint8), [0, 1] * 4, name="images")
    study = paribus.train(
        images,
        model={"convolutions": lambda: nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 2))},
        epochs=1,
        out=tmp_path / "s",
    )
    assert study.record.arms[0].runs[0].task.input_shape == (3, 4, 4)


def test_a_test_split_of_ones_own_is_the_test_split(tmp_path: Path) -> None:
    (x, y), (test_x, test_y) = arrays(40), arrays(17, seed=1)
    task = paribus.data(x, y, test=(test_x, test_y), name="both")
    assert task.fingerprint != paribus.data(np.concatenate([x, test_x]), np.concatenate([y, test_y])).fingerprint
    own = UserData(name="both", arrays=task)
    found = load(settings_of("task=moons").model_copy(update={"task": own, "validation": 0.25}), 0)
    np.testing.assert_array_equal(found.test.x, test_x)
    np.testing.assert_array_equal(found.test.y, test_y)
    assert found.validation is not None
    assert len(found.validation) == 10
    assert sorted(map(tuple, np.concatenate([found.train.x, found.validation.x]).tolist())) == sorted(
        map(tuple, x.tolist())
    )
    with pytest.raises(SettingsError, match="split=by_seed has no effect on both: its test split is given"):
        paribus.train(task, split="by_seed", out=tmp_path / "s")


class OneBuffer:
    """A data set that gives one array again and again, with other values in it."""

    def __init__(self, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> None:
        self.x, self.y, self.buffer = x, y, np.empty_like(x[0])

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, n: int) -> tuple[Any, Any]:
        self.buffer[:] = self.x[n]
        return self.buffer, self.y[n : n + 1]


FORMS: dict[str, Callable[[Any, Any], tuple[Any, ...]]] = {
    "arrays": lambda x, y: (x, y),
    "a view": lambda x, y: (x[::-1], y[::-1]),
    "tensors": lambda x, y: (torch.from_numpy(x), torch.from_numpy(y)),
    "masked": lambda x, y: (np.ma.array(x, copy=False), np.ma.array(y, copy=False)),
    "rows": lambda x, y: (list(x), y),
    "a frame": lambda x, y: (pd.DataFrame(x, copy=False), y),
    "tensor pairs": lambda x, y: (TensorDataset(torch.from_numpy(x), torch.from_numpy(y)),),
    "one buffer": lambda x, y: (OneBuffer(x, y),),
}


@RARE
@given(
    form=st.sampled_from(sorted(FORMS)),
    kind=st.sampled_from([np.float32, np.float64]),
    y_kind=st.sampled_from([np.int64, np.uint8, np.bool_, np.float32]),
    n=st.integers(2, 9),
)
def test_the_users_arrays_are_neither_changed_nor_shared(form: str, kind: Any, y_kind: Any, n: int) -> None:
    x, y = np.random.default_rng(n).normal(size=(n, 3)).astype(kind), (np.arange(n) % 2).astype(y_kind)
    before = x.copy(), y.copy()
    own = paribus.data(*FORMS[form](x, y))
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])
    backwards = -1 if form == "a view" else 1
    x[:], y[:] = 7, 1
    np.testing.assert_array_equal(own.thing.x, before[0][::backwards])
    np.testing.assert_array_equal(own.thing.y, before[1][::backwards])
    assert not np.shares_memory(own.thing.x, x)


# --- standardising ---------------------------------------------------------------------------------------------------


@RARE
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(5, 60),
    kind=st.sampled_from([np.float64, np.float32, np.float16, np.int8, np.uint16, np.int64, np.bool_]),
)
def test_standardising_is_scikit_learns_in_float64(seed: int, n: int, kind: Any) -> None:
    generator = np.random.default_rng(seed)
    wide, apart = {"f8": (100, 1e6), "f4": (12, 1e3)}.get(np.dtype(kind).str[1:], (0, 1))
    x = (generator.normal(size=(n, 4)) + generator.choice([0, 1, apart], 4)) * 10 ** generator.uniform(-wide, wide, 4)
    x = (x * 20 if np.dtype(kind).kind in "iu" else x).clip(0 if kind == np.uint16 else -100 if not wide else None)
    x = x.astype(kind)
    x[:, 3] = x[0, 3]
    own = paribus.data(x, np.arange(n) % 2)
    raw, found = task_of(own), task_of(own, standardise=True)
    scaler = StandardScaler().fit(raw.train.x.astype(np.float64))
    for split in ("train", "test"):
        expected = scaler.transform(raw.splits[split].x.astype(np.float64))
        mine = found.splits[split].x
        assert mine.dtype == raw.train.x.dtype
        rounding = 8 * np.finfo(mine.dtype).eps
        size = np.abs(scaler.mean_) / scaler.scale_ * np.finfo(np.float64).eps * n
        assert (np.abs(mine - expected) <= rounding * np.abs(expected) + size).all()
    assert (found.train.x[:, 3] == 0).all()


def test_float32_is_standardised_without_its_rounding() -> None:
    """In float32, the mean of 100,000 values about 1,000 is off by a tenth of their standard deviation."""
    x = np.random.default_rng(0).normal(1000, 1, (100_000, 2)).astype(np.float32)
    found = task_of(paribus.data(x, np.arange(len(x)) % 2), standardise=True).train.x.astype(np.float64)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(found.std(axis=0), 1, rtol=1e-7)


@RARE
@given(
    value=st.floats(1e-30, 1e30) | st.sampled_from([14.62, 0.1, 16.0, 1e300, 5e-324, 1.7e308, 0.0]),
    sign=st.sampled_from([1, -1]),
    jitter=st.integers(0, 1),
    kind=st.sampled_from([np.float64, np.float32]),
    n=st.integers(10, 400),
)
def test_a_constant_column_is_only_centred(value: float, sign: int, jitter: int, kind: Any, n: int) -> None:
    with np.errstate(over="ignore"):
        value = sign * (kind(value) if np.isfinite(kind(value)) else kind(1))
    x = np.random.default_rng(n).normal(size=(n, 2)).astype(kind)
    x[:, 1] = value
    if abs(value) > 1e-30:  # among the smallest numbers, one unit is no rounding but the value itself
        x[::2, 1] += jitter * np.spacing(value)
    with np.errstate(over="ignore"):
        test = np.array([[0, value + abs(value) / 8]], dtype=kind)
    if not np.isfinite(test).all():
        test = np.array([[0, value / 2]], dtype=kind)
    found = task_of(paribus.data(x, np.arange(n) % 2, test=(test, [1])), standardise=True)
    ulps = 4 * jitter * np.spacing(np.abs(value))
    assert (np.abs(found.train.x[:, 1].astype(np.float64)) <= ulps).all()
    assert abs(np.float64(found.test.x[0, 1]) - (np.float64(test[0, 1]) - np.float64(value))) <= ulps + 4 * np.spacing(
        np.abs(value)
    )


def test_what_differs_by_more_than_rounding_is_scaled() -> None:
    for size in (1e-200, 1e-20, 1.0, 1e20, 1e200):
        x = size * (1 + np.array([[0], [1]] * 50) * 1e-12)
        found = task_of(paribus.data(x, [0, 1] * 50), standardise=True).train.x
        assert np.isclose(found.std(), 1)


def test_a_constant_column_changes_no_training(tmp_path: Path) -> None:
    x, y = arrays(120)
    losses = set()
    for value in (16.0, 14.62, 0.1, 0.0):
        own = paribus.data(np.c_[x, np.full(len(x), value)], y, name="c")
        study = paribus.train(own, standardise=True, epochs=3, lr=0.1, seeds=1, out=tmp_path / str(value))
        losses.add(study.table()["test_loss"][0])
    assert len(losses) == 1
    (value,) = task_of(
        paribus.data(np.c_[x, np.full(len(x), 14.62)], y, test=(np.c_[x[:1], [14.63]], y[:1])), standardise=True
    ).test.x[:, 3]
    assert np.isclose(value, 0.01)


@pytest.mark.parametrize("name", ["moons", "circles", "blobs", "digits"])
@pytest.mark.parametrize("split", ["fixed", "by_seed"])
def test_built_in_tasks_keep_every_bit(name: str, split: str) -> None:
    raw, found = (load(settings_of(f"task={name} split={split} standardise={on}"), 3) for on in ("false", "true"))
    mean, std = raw.train.x.mean(axis=0), raw.train.x.std(axis=0)
    for part in ("train", "test"):
        np.testing.assert_array_equal(found.splits[part].x, (raw.splits[part].x - mean) / np.where(std > 0, std, 1.0))


# --- labels ----------------------------------------------------------------------------------------------------------

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


# --- images ----------------------------------------------------------------------------------------------------------


@RARE
@given(
    n=st.integers(2, 4),
    size=st.tuples(st.integers(5, 12), st.integers(5, 12)),
    depth=st.integers(1, 4),
    form=st.sampled_from(["array", "list", "pairs", "tensor", "test"]),
)
def test_channels_last_are_turned_and_said(n: int, size: tuple[int, int], depth: int, form: str) -> None:
    x = np.random.default_rng(n).integers(0, 256, (n, *size, depth)).astype(np.uint8)
    y = np.arange(n) % 2
    given_forms: dict[str, tuple[Any, ...]] = {
        "array": (x, y), "list": (list(x), y), "pairs": (list(zip(x, y, strict=True)),),
        "tensor": (torch.from_numpy(x), y), "test": (x, y),
    }  # fmt: skip
    test = (x, y) if form == "test" else None
    with pytest.warns(DataWarning, match=rf"has shape .*, taken as {depth} channels? last and turned") as said:
        own = paribus.data(*given_forms[form], test=test).thing
    assert len(said) == 1
    assert said[0].filename == __file__
    np.testing.assert_array_equal(own.x[:n], np.moveaxis(x, 3, 1))
    assert own.source.endswith(f"images turned from {size[0]} x {size[1]} x {depth} to channels first")
    with warnings.catch_warnings(action="error"):
        np.testing.assert_array_equal(paribus.data(x, y, channels="last").thing.x, own.x[:n])
        np.testing.assert_array_equal(paribus.data(x, y, channels="first").thing.x, x)
        np.testing.assert_array_equal(paribus.data(np.moveaxis(x, 3, 1), y).thing.x, np.moveaxis(x, 3, 1))
        np.testing.assert_array_equal(paribus.data(x[..., 0], y).thing.x, x[..., 0])


class Pictures:
    """As a torchvision data set without ToTensor gives them."""

    def __init__(self, mode: str, size: int) -> None:
        self.mode, self.size = mode, size

    def __len__(self) -> int:
        return 30

    def __getitem__(self, n: int) -> tuple[Any, int]:
        pixels = np.random.default_rng(n).integers(0, 256, (self.size, self.size, 3)).astype("uint8")
        return Image.fromarray(pixels).convert(self.mode), n % 3


def test_pictures_of_pillow(tmp_path: Path) -> None:
    for mode, size, shape in (("RGB", 8, (3, 8, 8)), ("RGBA", 3, (4, 3, 3)), ("LA", 8, (2, 8, 8)), ("L", 8, (8, 8))):
        pairs = Pictures(mode, size)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            own = paribus.data(pairs, name="pictures")
            listed = paribus.data([pairs[n][0] for n in range(30)], [pairs[n][1] for n in range(30)])
        assert [one.category for one in said] == [DataWarning] * (0 if mode == "L" else 2)
        assert own.thing.x.shape[1:] == shape
        assert own.fingerprint == listed.fingerprint
        assert (
            own.thing.x[4].tolist()
            == (np.asarray(pairs[4][0]) if mode == "L" else np.moveaxis(np.asarray(pairs[4][0]), 2, 0)).tolist()
        )
    with pytest.raises(ValueError, match=r'is an image of palette numbers \(mode P\).*\.convert\("RGB"\)'):
        paribus.data(Pictures("P", 8))
    with pytest.warns(DataWarning):
        task = paribus.data(Pictures("RGB", 8), name="pictures")
    study = paribus.train(task, model="cnn", width=0.1, epochs=1, batch_size=16, out=tmp_path / "s")
    assert study.record.arms[0].runs[0].task.input_shape == (3, 8, 8)
    assert "images turned from 8 x 8 x 3 to channels first" in study.record.arms[0].runs[0].task.source


def test_what_may_be_channels_last_is_said() -> None:
    for shape in ((6, 32, 32, 12), (6, 4, 4, 3)):
        with pytest.warns(DataWarning, match=f"taken as {shape[1]} channels of {shape[2]} x {shape[3]}"):
            assert paribus.data(np.ones(shape), [0, 1] * 3).thing.x.shape == shape
        assert paribus.data(np.ones(shape), [0, 1] * 3, channels="first").thing.x.shape == shape
    assert paribus.data(np.ones((6, 64, 8, 8)), [0, 1] * 3).thing.x.shape == (6, 64, 8, 8)


# --- pandas' indices and columns -------------------------------------------------------------------------------------


@RARE
@given(st.data())
def test_rows_of_one_index_belong_together(draw: st.DataObject) -> None:
    n = draw.draw(st.integers(2, 30))
    x, y = arrays(n, seed=n)
    y[:2] = 0, 1
    names = draw.draw(st.sampled_from([list(range(n)), [f"r{i}" for i in range(n)], list(range(100, 100 + n))]))
    frame, labels = pd.DataFrame(x, index=names), pd.Series(y, index=names)
    order = draw.draw(st.permutations(range(n)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        own = paribus.data(frame, labels.iloc[order]).thing
    assert len(said) == (list(order) != list(range(n)))
    np.testing.assert_array_equal(own.y, y)
    np.testing.assert_array_equal(own.x, x)
    with warnings.catch_warnings(action="error"):
        assert paribus.data(frame, labels.iloc[order].to_numpy()).thing.y.tolist() == y[order].tolist()
    apart = draw.draw(st.integers(1, n))
    moved = labels.rename({name: f"other {name}" for name in names[:apart]})
    with pytest.raises(
        ValueError, match=f"different indices: {apart} of {n} rows of x .* in y, {apart} of y none in x"
    ):
        paribus.data(frame, moved)


def test_an_index_that_names_rows_twice() -> None:
    frame, labels = pd.DataFrame(np.eye(4), index=[1, 1, 2, 2]), pd.Series([0, 1, 0, 1], index=[1, 1, 2, 2])
    assert paribus.data(frame, labels).thing.y.tolist() == [0, 1, 0, 1]
    with pytest.raises(ValueError, match=r"indices in different order that name rows twice.*y\.to_numpy\(\)"):
        paribus.data(frame, labels.iloc[::-1])
    with pytest.warns(DataWarning, match="y was put into the order of x"):
        own = paribus.data(frame.set_axis([1, 2, 3, 4]), labels.set_axis([4, 3, 2, 1]))
    assert own.thing.y.tolist() == [1, 0, 1, 0]
    assert own.thing.source.endswith("y put into the order of x by index")


def test_an_exported_index_is_named(tmp_path: Path) -> None:
    x, y = arrays(20)
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(label=y)
    frame.to_csv(tmp_path / "t.csv")
    table = pd.read_csv(tmp_path / "t.csv")
    with pytest.warns(
        DataWarning, match=r"column 'Unnamed: 0' of x of the data holds the number of each row.*index_col"
    ):
        paribus.data(table, target="label")
    with pytest.warns(DataWarning, match="column 'Unnamed: 0'"):  # in another order too
        paribus.data(table.sample(frac=1, random_state=0), target="label")
    for first in (0, 1):
        with pytest.warns(DataWarning, match=r"column 'id' of x.*frame\.drop\(columns=\['id'\]\)"):
            paribus.data(frame.assign(id=np.arange(20) + first), target="label")
        with pytest.warns(DataWarning, match=r"column 3 of x of the data holds.*np\.delete\(x, \[3\], axis=1\)"):
            paribus.data(np.c_[x, np.arange(20) + first], y)
    with warnings.catch_warnings(action="error"):
        paribus.data(pd.read_csv(tmp_path / "t.csv", index_col=0), target="label")
        paribus.data(frame.assign(rank=np.arange(20)[::-1], steps=np.arange(20) // 2), target="label")
        paribus.data(np.arange(6).reshape(6, 1), [0, 1] * 3)


# --- amounts ---------------------------------------------------------------------------------------------------------


def test_amounts_are_asked_about() -> None:
    x, y = load_diabetes(return_X_y=True)
    with pytest.raises(
        ValueError, match=r"^y holds 214 classes.* 25 to 346, 2\.1 rows each on average: is this a regr"
    ):
        paribus.data(x, y)
    with pytest.raises(ValueError, match="is this a regression"):
        paribus.data(x, pd.Series(y).astype("Int64"))
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


# --- what is refused -------------------------------------------------------------------------------------------------

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
    "a file": (lambda: paribus.data("train.csv", target="kind"), "x of the data is 'train.csv': of a file, give what it holds, as in data(pandas.read_csv(...))"),
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
    "words in x": (lambda: paribus.data(FRAME.assign(d="w"), target="kind"), "columns d hold no numbers: encode them"),
    "categories in x": (lambda: paribus.data(FRAME.assign(d=pd.Categorical(["w"] * 8)), target="kind"), "columns d hold no numbers: encode them (pandas.get_dummies)"),
    "numbers as objects in a frame": (lambda: paribus.data(FRAME.assign(b=FRAME["b"].astype(object)), target="kind"), "columns b of x of the data hold numbers as objects: give frame[column].astype(float)"),
    "dates in a frame": (lambda: paribus.data(FRAME.assign(when=DATES), target="kind"), "columns when of x of the data hold dates: give the time since one of them"),
    "dates of a zone": (lambda: paribus.data(FRAME.assign(when=DATES.tz_localize("UTC")), target="kind"), "columns when of x of the data hold dates"),
    "durations in a frame": (lambda: paribus.data(FRAME.assign(d=DATES - DATES[0]), target="kind"), "columns d of x of the data hold times: give numbers, as in column.dt.total_seconds()"),
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
    "missing in x": (lambda: paribus.data(FRAME.assign(b=[*[0.0] * 5, np.nan, 1, 2]), target="kind"), "has 1 value that is missing or infinite, the first at row 5, column 'b'"),
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
    "regression": (lambda: paribus.data(X, X[:, 0]), "classes are asked for, not numbers"),
    "regression in a list": (lambda: paribus.data(X, [0.5, 1] * 4), "y of the data holds 0.5: classes are asked for, not numbers"),
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
