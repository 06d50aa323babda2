"""`paribus.data`: the user's data taken for what they are, in every form; images, and the rows and columns of pandas."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.utils.data import TensorDataset

import paribus
from paribus.config.overrides import SettingsError
from paribus.config.tasks import UserData
from paribus.tasks.arrays import DataWarning
from paribus.tasks.task import load
from tests.conftest import settings_of
from tests.test_own import arrays

RARE = settings(max_examples=60, deadline=None)


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
