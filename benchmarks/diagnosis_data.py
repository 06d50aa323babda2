"""Data sets of `benchmarks/diagnosis.py` that no task of Paribus has, by name: healthy ones, and ones made wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

import paribus

Numbers = NDArray[Any]
Pair = tuple[Numbers, Numbers]


def _few_moons() -> Pair:
    return datasets.make_moons(80, noise=0.4, random_state=0)


def _few_friedman() -> Pair:
    return datasets.make_friedman1(120, noise=3.0, random_state=0)


def _noisy_digits() -> Pair:
    """400 images, of which a quarter has another label."""
    x, y = datasets.load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    x, y = x[:400] / 16, y[:400].copy()
    wrong = rng.random(400) < 0.25
    y[wrong] = rng.integers(0, 10, wrong.sum())
    return x, y


def _of(name: str) -> Pair:
    if name == "moons":
        return datasets.make_moons(600, noise=0.08, random_state=1)
    if name == "circles":
        return datasets.make_circles(600, noise=0.08, factor=0.5, random_state=1)
    if name == "blobs":
        return datasets.make_blobs(600, centers=4, cluster_std=0.8, random_state=2)
    if name == "friedman":
        return datasets.make_friedman1(600, noise=1.0, random_state=1)
    loaders = {"digits": datasets.load_digits, "wine": datasets.load_wine, "iris": datasets.load_iris,
               "cancer": datasets.load_breast_cancer}  # fmt: skip
    if name == "diabetes":
        return datasets.load_diabetes(return_X_y=True, scaled=False)
    return loaders[name](return_X_y=True)


def _shuffled(name: str) -> Pair:
    x, y = _of(name)
    order = np.random.default_rng(0).permutation(len(y))
    return x, y[order]


def _rare(name: str) -> Pair:
    """One class is 15 % of the examples, or thereabouts."""
    x, y = _of(name)
    rng = np.random.default_rng(0)
    rare = np.flatnonzero(y == 0)
    keep = np.sort(
        np.concatenate([np.flatnonzero(y != 0), rng.choice(rare, int((y != 0).sum() * 0.18), replace=False)])
    )
    return x[keep], y[keep]


def _numbered(name: str) -> Pair:
    """The codes of classes as numbers to predict."""
    x, y = _of(name)
    return x, y.astype(np.float64)


def _scaled(name: str, factor: float = 1.0, shift: float = 0.0, *, uneven: bool = False) -> Pair:
    x, y = _of(name)
    factors = factor ** np.linspace(0, 1, x.shape[1]) if uneven else factor
    return x * factors + shift, y


def _cancer_numbers() -> Pair:
    """Numbers to predict from thirty inputs: the mean radius of a tumour from the rest."""
    x, _ = _of("cancer")
    return x[:, 4:] / x[:, 4:].std(axis=0), x[:, 0] + 0.001


DATA: dict[str, Callable[[], Pair]] = {
    "few moons": _few_moons,
    "few friedman": _few_friedman,
    "noisy digits": _noisy_digits,
    "cancer-numbers": _cancer_numbers,
    "large moons": lambda: _scaled("moons", 100.0),
    "shifted blobs": lambda: _scaled("blobs", 1.0, 200.0),
    "uneven friedman": lambda: _scaled("friedman", 1000.0, uneven=True),
    **{name: (lambda name=name: _of(name)) for name in ("iris", "wine", "cancer")},
    **{f"raw {name}": (lambda name=name: _of(name)) for name in ("wine", "cancer", "diabetes")},
    **{f"shuffled {name}": (lambda name=name: _shuffled(name)) for name in ("moons", "blobs", "digits", "iris", "cancer", "wine")},
    **{f"numbered {name}": (lambda name=name: _numbered(name)) for name in ("iris", "wine", "cancer", "moons")},
    **{f"rare {name}": (lambda name=name: _rare(name)) for name in ("moons", "circles", "cancer")},
}  # fmt: skip


@lru_cache
def build_data(name: str) -> Any:
    """The data set as a task."""
    if not name.startswith("overlapping "):
        x, y = DATA[name]()
        kind = "regression" if name.startswith("numbered ") else None
        return paribus.data(x, y, name=name.replace(" ", "-"), kind=kind)
    x, y = _of(name.removeprefix("overlapping "))
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[: len(y) * 4 // 5], order[len(y) * 3 // 5 :]  # half of the test rows are training rows
    return paribus.data(x[train], y[train], test=(x[test], y[test]), name=name.replace(" ", "-"))
