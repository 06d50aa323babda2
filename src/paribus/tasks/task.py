"""The contract of a task, and how a pool of examples becomes one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paribus.config.loops import LoopSettings
from paribus.config.settings import Settings
from paribus.config.tasks import TableData, Tabular, TaskConfig, UserData
from paribus.config.values import Loss
from paribus.plan import Plan
from paribus.records.record import DatasetInfo
from paribus.records.structure import REGRESSION_AS_CLASSES, tagged
from paribus.tasks.cifar10 import cifar10
from paribus.tasks.digits import digits
from paribus.tasks.labels import codes_as_numbers
from paribus.tasks.palindrome import ENCODINGS, encode, palindrome
from paribus.tasks.pool import Pool, Targets, fingerprint
from paribus.tasks.regression import diabetes, friedman, sine
from paribus.tasks.stratified import stratified
from paribus.tasks.toy import blobs, circles, moons

POOLS: dict[str, Callable[..., Pool]] = {
    "moons": moons,
    "circles": circles,
    "blobs": blobs,
    "digits": digits,
    "diabetes": diabetes,
    "friedman": friedman,
    "sine": sine,
    "cifar10": cifar10,
    "palindrome": palindrome,
}

_FIXED_SPLIT = 1
"""`split=fixed` is scikit-learn's `train_test_split(..., random_state=1)`."""

_ROUNDING = 4
"""By how many units in the last place the values of a constant feature may differ."""


Inputs = NDArray[np.floating] | NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """Inputs, shape (examples, *input_shape), float64, float32 or, of images, bytes; classes 0, 1, ..., int64, or
    numbers to predict in the data's units, float64, shape (examples,); of a class for each step (examples, steps)."""

    x: Inputs
    y: Targets

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Scale:
    """How bytes become numbers: (x - mean) / std for each channel, both of shape (channels, 1, 1)."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


@dataclass(frozen=True)
class TargetScale:
    """How numbers to predict are scaled for training: (y - mean) / sd, both of the training split."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Task:
    """Data with its splits, and what a record says of them.

    `image`: the shape (channels, height, width) of an example, where it is an image; `scale`: of its bytes;
    `encoding`: of digits; `labels`: what the user's own data call class 0, 1, ..., empty where nobody named them;
    `notes`: what was done with a table's columns, or how data were taken; `remarks`: what has to be said of the data
    beside any result;
    `target`: how numbers to predict are scaled, None of classes; `function`: the numbers to predict of inputs, without
    noise, where it is known and inputs are as it takes them.
    """

    train: Split
    validation: Split | None
    test: Split
    info: DatasetInfo
    image: tuple[int, int, int] | None = None
    scale: Scale | None = None
    encoding: str | None = None
    labels: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    target: TargetScale | None = None
    function: Callable[[Inputs], NDArray[np.float64]] | None = None

    @property
    def on_a_line(self) -> bool:
        """Whether an example is one number with a number to predict, and so what a model predicts can be drawn as a
        curve. An input of two values stands for something, as yes and no: there is nothing between them."""
        if self.info.input_shape != (1,) or self.encoding is not None or self.target is None:
            return False
        return self.train.x.dtype.kind == "f" and len(np.unique(self.train.x)) > 2

    @property
    def in_plane(self) -> bool:
        """Whether an example is a point of the plane with a class, and so can be drawn."""
        return self.info.input_shape == (2,) and self.encoding is None and self.target is None

    @property
    def steps(self) -> int | None:
        """How many classes an example has, one for each step of a sequence; None where it has one."""
        return self.train.y.shape[1] if self.train.y.ndim > 1 else None

    @property
    def outputs(self) -> int:
        """How many numbers a model gives for an example: a logit for each class, or the one that is predicted."""
        return self.info.classes if self.target is None else 1

    def outputs_for(self, loss: Loss) -> int:
        """As `outputs`, with a loss: `binary` wants the logit of the second class alone."""
        return 1 if loss.one_output else self.outputs

    def targets(self, y: Targets, dtype: np.dtype[Any]) -> NDArray[np.generic]:
        """What a loss compares outputs with: classes as they are, numbers scaled and of a type."""
        if self.target is None:
            return y
        return ((y - self.target.mean) / self.target.sd).astype(dtype)

    def predicted(self, outputs: NDArray[np.floating]) -> Targets:
        """From outputs, a row for each example or each of its steps: the class with the largest logit, of the shape of
        the targets; or numbers in the data's units."""
        if self.target is None:
            classes: Targets = outputs.argmax(axis=1)
            return classes if self.steps is None else classes.reshape(-1, self.steps)
        numbers: Targets = outputs[:, 0].astype(np.float64) * self.target.sd + self.target.mean
        return numbers

    @property
    def sequence(self) -> tuple[int, int] | None:
        """The shape (steps, inputs) of an example as a sequence, where it can be one."""
        match self.info.input_shape:
            case (steps,):
                return steps, ENCODINGS[self.encoding or "scalar"]
            case (steps, inputs):
                return steps, inputs
        return None

    def floats(self, x: Inputs, dtype: np.dtype[Any]) -> NDArray[np.floating]:
        """Inputs as numbers of a type; bytes of images are scaled, digits encoded."""
        if self.encoding is not None:
            return encode(x.astype(np.uint8, copy=False), self.encoding, dtype)
        numbers: NDArray[np.floating] = x.astype(dtype, copy=False)
        if self.scale is None:
            return numbers
        numbers -= self.scale.mean.astype(dtype)
        numbers /= self.scale.std.astype(dtype)
        return numbers

    def class_weights(self) -> NDArray[np.float64]:
        """Of each class examples / (classes x examples of the class), of the training split; 1 of one without examples
        (as `sklearn.utils.class_weight.compute_class_weight("balanced", ...)`)."""
        y = self.train.y.astype(np.int64).ravel()
        counts = np.bincount(y, minlength=self.info.classes)
        there = np.count_nonzero(counts)
        return np.where(counts > 0, len(y) / (there * np.maximum(counts, 1)), 1.0)

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that there are, by name, in the order in which they are evaluated."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}


def load(settings: Settings | LoopSettings, seed: int) -> Task:
    """The task of a run; with `split=fixed` the same for every seed.

    Raises ValueError where a split would be empty.

    >>> from paribus.config.overrides import build
    >>> task = load(build({"task": "moons"}), seed=3)
    >>> len(task.train), len(task.test), task.info.overlap
    (800, 200, 0)
    """
    if isinstance(settings, LoopSettings):
        return NOTHING if settings.data is None else _load(settings.data, "fixed", 0.0, 0)
    return _load(settings.task, settings.split, settings.validation, seed if settings.split == "by_seed" else 0)


_EMPTY = Split(np.zeros((0, 1)), np.zeros(0, dtype=np.int64))
NOTHING = Task(
    _EMPTY, None, _EMPTY,
    DatasetInfo(
        name="the loop's own", fingerprint="", pool="", source="what the loop reads or makes", classes=0,
        input_shape=(), train=0, validation=0, test=0, overlap=0,
    ),
)  # fmt: skip
"""The task of a loop that brings its own data."""


@lru_cache(maxsize=8)
def _pool(settings: TaskConfig) -> Pool:
    if isinstance(settings, TableData):
        of_table: Pool = settings.arrays.thing.pool(settings)
        return of_table
    if isinstance(settings, UserData):
        pool: Pool = settings.arrays.thing
        return pool
    return POOLS[settings.name](settings)


@lru_cache(maxsize=8)
def _load(settings: TaskConfig, how: Literal["fixed", "by_seed"], validation: float, seed: int) -> Task:
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
    tabular = settings if isinstance(settings, Tabular) else None
    n_test = pool.test if tabular is None else pool.test or math.ceil(tabular.test_share * len(order))
    share = f"test_share={tabular.test_share:g}" if tabular else f"{pool.test} test examples"
    n_validation = round(validation * (len(order) - n_test))
    n_train = len(order) - n_test - n_validation
    for name, size, cure in (
        ("test", n_test, share),
        ("validation", n_validation if validation else 1, f"validation={validation:g}"),
        ("training", n_train, f"{share} and validation={validation:g}"),
    ):
        if size < 1:
            raise ValueError(f"the {name} split of {settings.name} is empty: {len(order)} examples with {cure}")
    if isinstance(settings, TableData) and settings.stratify and not settings.regression:
        sizes = (n_validation,) if pool.test else (n_test, n_validation)
        order = np.concatenate([order[: pool.test], stratified(order[pool.test :], pool.y, sizes)])
    parts = {
        "test": order[:n_test],
        "validation": order[n_test : n_test + n_validation],
        "train": order[n_test + n_validation :],
    }
    pool, x, notes = _inputs(settings, pool, parts["train"])
    splits = {name: Split(x[rows], pool.y[rows]) for name, rows in parts.items() if len(rows)}
    info = DatasetInfo(
        name=settings.name,
        fingerprint=fingerprint(*(array for name in sorted(splits) for array in (splits[name].x, splits[name].y))),
        pool=pool.identity or fingerprint(pool.x, pool.y),
        source=pool.source,
        classes=pool.classes,
        input_shape=pool.x.shape[1:],
        train=n_train,
        validation=n_validation,
        test=n_test,
        overlap=overlap(splits["train"].x, splits["test"].x),
    )
    scale = _scale(splits["train"].x, pool) if x.dtype == np.uint8 and pool.encoding is None else None
    return Task(
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits["test"],
        info=info,
        image=_image(settings, info),
        scale=scale,
        encoding=pool.encoding,
        labels=pool.labels,
        target=_target_scale(splits["train"].y, settings.name) if settings.regression else None,
        notes=(*([pool.remark] if pool.remark else []), *notes),
        remarks=(*pool.remarks, *_of_codes(splits["train"].y, settings)),
        function=None if tabular is not None and tabular.standardise else pool.function,
    )


def _of_codes(y: Targets, settings: TaskConfig) -> list[str]:
    """What there is to say of numbers to predict that look like the codes of classes."""
    values = codes_as_numbers(y.astype(np.float64)) if settings.regression else ()
    if not values:
        return []
    shown = ", ".join(f"{one:g}" for one in values)
    told = (
        f"{settings.name}: the numbers to predict are {shown} and no others, as the codes of classes are. The error of "
        'such numbers treats class 2 as twice class 1; give whole numbers, or kind="classification", for classes'
    )
    return [tagged(REGRESSION_AS_CLASSES, told)]


def _inputs(settings: TaskConfig, pool: Pool, train: NDArray[np.int64]) -> tuple[Pool, Inputs, tuple[str, ...]]:
    """The pool with its inputs, of a table encoded; these as they are trained on; and what was done with a table."""
    standardise = isinstance(settings, Tabular) and settings.standardise
    if pool.encode is None:
        return pool, _standardised(pool.x, train) if standardise else pool.x, ()
    encoded = pool.encode(train)
    x = encoded.x.copy()
    if standardise and encoded.amounts.any():
        x[:, encoded.amounts] = _standardised(x[:, encoded.amounts], train)
    return (
        replace(pool, x=encoded.x, source="; ".join([pool.source, *encoded.lines])),
        x,
        (pool.source, *(f"  {line}" for line in (*encoded.lines, *_how(settings, pool, x.shape[1], len(train))))),
    )


def _how(settings: TaskConfig, pool: Pool, inputs: int, train: int) -> tuple[str, str]:
    """How a table is split, and how all of it can be had otherwise."""
    assert isinstance(settings, TableData)
    split = (
        "the test split is given" if pool.test else f"{100 * settings.test_share:g} % of the rows are the test split"
    )
    classes = "each class by its share in every split (stratify=false: as it comes)"
    classes = classes if settings.stratify else "classes as they come"
    classes = "numbers to predict as they come" if settings.regression else classes
    scaled = "numbers standardised" if settings.standardise else "numbers as they are"
    return (
        f"{inputs} inputs, {scaled}, all of it fitted on the {train} training rows alone; {split}, {classes}",
        "to change it: drop=a+b (left out), keep=a+b (taken in all the same), text=a+b (numbers that are codes)",
    )


def _target_scale(y: Targets, name: str) -> TargetScale:
    mean, sd = float(y.mean()), float(y.std())
    if not (math.isfinite(mean) and math.isfinite(sd)):
        raise ValueError(f"the targets of {name} are too large: their squares leave float64; give them in another unit")
    if sd <= _ROUNDING * np.finfo(np.float64).eps * float(np.abs(y).max()):
        raise ValueError(
            f"the targets of {name} are {y[0]:g} in each of {len(y)} training rows: there is nothing to learn"
        )
    return TargetScale(mean, sd)


def _image(settings: TaskConfig, info: DatasetInfo) -> tuple[int, int, int] | None:
    """As stored: (channels, height, width), or (height, width) of a single channel."""
    match info.input_shape:
        case _ if settings.image is not None:
            return settings.image
        case (channels, height, width):
            return channels, height, width
        case (height, width):
            return 1, height, width
    return None


def _scale(images: Inputs, pool: Pool) -> Scale:
    """By each channel's mean and standard deviation over the training split, or to the interval from 0 to 1."""
    channels = images.shape[1]
    if not pool.normalise:
        return Scale(np.zeros((channels, 1, 1)), np.full((channels, 1, 1), 255.0))
    counts = np.stack([np.bincount(images[:, channel].ravel(), minlength=256) for channel in range(channels)])
    values, total = np.arange(256), counts.sum(axis=1, keepdims=True)
    mean = (counts * values).sum(axis=1, keepdims=True) / total
    variance = (counts * (values - mean) ** 2).sum(axis=1, keepdims=True) / total
    return Scale(mean[:, :, None], np.sqrt(np.where(variance > 0, variance, 1.0))[:, :, None])


def overlap(train: NDArray[np.generic], test: NDArray[np.generic]) -> int:
    """How many test examples stand in the training split too, value for value.

    >>> overlap(np.array([[1, 2], [3, 4]]), np.array([[3, 4], [4, 3], [3, 4]]))
    2
    """
    seen = {row.tobytes() for row in train}
    return sum(row.tobytes() in seen for row in test)


def _standardised(x: Inputs, train: NDArray[np.int64]) -> NDArray[np.floating]:
    """(x - mean) / std of the training rows alone, computed in float64, of x's own type; a feature that is constant
    there only becomes 0.

    Constant is a feature whose values differ by no more than the rounding of their size: such a difference is what
    `0.1 + 0.2` and `0.3` have, and divided by itself it would be noise of size 1.
    """
    kind, fitted = x.dtype, x[train]
    low, high = fitted.min(axis=0).astype(np.float64), fitted.max(axis=0).astype(np.float64)
    size = np.maximum(np.abs(low), np.abs(high))
    constant = high / 2 - low / 2 <= _ROUNDING / 2 * np.finfo(str(kind)).eps * size
    # the squares of what is beyond these sizes leave float64; a power of two changes no digit of the result
    shift = np.where((size > 1e-140) & (size < 1e140), 0, -np.frexp(size)[1]).clip(-1000, 1000)
    if shift.any():
        x, low = np.ldexp(x.astype(np.float64), shift), np.ldexp(low, shift)
        fitted = x[train]
    mean = np.where(constant, low, fitted.mean(axis=0, dtype=np.float64))
    std = np.where(constant, np.ldexp(1.0, shift), fitted.std(axis=0, dtype=np.float64))
    scaled: NDArray[np.floating] = ((x - mean) / std).astype(kind, copy=False)
    return scaled
