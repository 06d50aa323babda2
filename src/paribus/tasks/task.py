"""The contract of a task, and how a pool of examples becomes one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from paribus.core.plan import Plan
from paribus.core.record import TaskCard
from paribus.core.settings import OwnData, Settings, TaskSettings
from paribus.tasks.digits import digits
from paribus.tasks.pool import Pool
from paribus.tasks.toy import blobs, circles, moons

POOLS: dict[str, Callable[..., Pool]] = {"moons": moons, "circles": circles, "blobs": blobs, "digits": digits}

_FIXED_SPLIT = 1
"""`split=fixed` is scikit-learn's `train_test_split(..., random_state=1)`."""


@dataclass(frozen=True)
class Split:
    """Inputs, shape (examples, *input_shape), float64 or float32; classes 0, 1, ..., shape (examples,), int64."""

    x: NDArray[np.floating]
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Task:
    """Data with its splits, and what a record says of them. The metric is accuracy, the loss a mean over examples."""

    train: Split
    validation: Split | None
    test: Split
    card: TaskCard

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that there are, by name, in the order in which they are evaluated."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}


def load(settings: Settings, seed: int) -> Task:
    """The task of a run; with `split=fixed` the same for every seed.

    Raises ValueError where a split would be empty.

    >>> from paribus.core.words import build
    >>> task = load(build({"task": "moons"}), seed=3)
    >>> len(task.train), len(task.test), task.card.overlap
    (800, 200, 0)
    """
    return _load(settings.task, settings.split, settings.validation, seed if settings.split == "by_seed" else 0)


@lru_cache(maxsize=8)
def _pool(settings: TaskSettings) -> Pool:
    if isinstance(settings, OwnData):
        pool: Pool = settings.arrays.thing
        return pool
    return POOLS[settings.name](settings)


@lru_cache(maxsize=8)
def _load(settings: TaskSettings, how: Literal["fixed", "by_seed"], validation: float, seed: int) -> Task:
    pool = _pool(settings)
    n = len(pool.y) - pool.test
    if pool.test and how == "by_seed":
        raise ValueError(
            f"split=by_seed has no effect on {settings.name}: its test split is given; leave one of them out"
        )
    # NumPy keeps RandomState's stream for ever (NEP 19); importing scikit-learn takes a second
    fixed = np.random.RandomState(_FIXED_SPLIT)
    order = fixed.permutation(n) if how == "fixed" else Plan(seed).split_permutation(n)
    if pool.test:
        order = np.concatenate([np.arange(n, n + pool.test), order])
    n_test = pool.test or math.ceil(settings.test_share * len(order))
    n_validation = round(validation * (len(order) - n_test))
    n_train = len(order) - n_test - n_validation
    for name, size, cure in (
        ("test", n_test, f"test_share={settings.test_share:g}"),
        ("validation", n_validation if validation else 1, f"validation={validation:g}"),
        ("training", n_train, f"test_share={settings.test_share:g} and validation={validation:g}"),
    ):
        if size < 1:
            raise ValueError(f"the {name} split of {settings.name} is empty: {len(order)} examples with {cure}")
    parts = {
        "test": order[:n_test],
        "validation": order[n_test : n_test + n_validation],
        "train": order[n_test + n_validation :],
    }
    x = _standardised(pool.x, parts["train"]) if settings.standardise else pool.x
    splits = {name: Split(x[rows], pool.y[rows]) for name, rows in parts.items() if len(rows)}
    card = TaskCard(
        name=settings.name,
        fingerprint=fingerprint(*(array for name in sorted(splits) for array in (splits[name].x, splits[name].y))),
        pool=fingerprint(pool.x, pool.y),
        source=pool.source,
        classes=pool.classes,
        input_shape=pool.x.shape[1:],
        train=n_train,
        validation=n_validation,
        test=n_test,
        overlap=overlap(splits["train"].x, splits["test"].x),
    )
    return Task(splits["train"], splits.get("validation"), splits["test"], card)


def fingerprint(*arrays: NDArray[np.generic]) -> str:
    """SHA-256 of arrays: type, shape and bytes of each, in little-endian order.

    >>> fingerprint(np.zeros(2))[:12], fingerprint(np.zeros((2, 1)))[:12]
    ('cdead7b1f559', '5daf164bb0ff')
    """
    digest = hashlib.sha256()
    for array in arrays:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{little.dtype.str}{little.shape}".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()


def overlap(train: NDArray[np.generic], test: NDArray[np.generic]) -> int:
    """How many test examples stand in the training split too, value for value.

    >>> overlap(np.array([[1, 2], [3, 4]]), np.array([[3, 4], [4, 3], [3, 4]]))
    2
    """
    seen = {row.tobytes() for row in train}
    return sum(row.tobytes() in seen for row in test)


def _standardised(x: NDArray[np.floating], train: NDArray[np.int64]) -> NDArray[np.floating]:
    """Mean and standard deviation of the training rows alone; a constant feature is only centred."""
    mean, std = x[train].mean(axis=0), x[train].std(axis=0)
    scaled: NDArray[np.floating] = (x - mean) / np.where(std > 0, std, 1.0)
    return scaled
