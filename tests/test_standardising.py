"""How data are standardised: as scikit-learn does it, in float64, and a constant column is only centred."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

import paribus
from paribus.config.tasks import UserData
from paribus.config.user_code import UserDefined
from paribus.tasks.task import Task, load
from tests.conftest import settings_of
from tests.test_own import arrays

RARE = settings(max_examples=60, deadline=None)


def task_of(own: UserDefined, **changed: Any) -> Task:
    """The task as a run gets it."""
    task = UserData(name=own.name, arrays=own, **changed)
    return load(settings_of("task=moons").model_copy(update={"task": task}), 0)


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
