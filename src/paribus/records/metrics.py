"""Metrics: a named number, which way it is better, its unit, and how people see it.

Nothing else may be read off a metric's name. The built-in ones stand here; a metric of the user's own says its
direction itself (`paribus.metric`), and a study's record keeps it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Direction = Literal["higher", "lower"]

SPLITS = ("train", "validation", "test")

GPU_METERS = ("gpu_allocated_mb", "gpu_reserved_mb", "gpu_utilisation", "gpu_power_w", "gpu_energy_j")

METERS = ("examples_per_second", "peak_memory_mb", *GPU_METERS)
"""What a run takes beside time: columns of its curve, comparable only of a run that had the machine to itself."""

TIMES = ("seconds_per_epoch", "seconds_per_evaluation", "seconds_to_target")
"""Seconds of training or evaluation, comparable under the same condition."""

TO_TARGET = ("epochs_to_target", "seconds_to_target")
"""What a run that never reaches the target has none of: judged by ranks, never as a difference."""

DERIVED_METRICS = (
    "seconds_per_epoch",
    "seconds_per_evaluation",
    *METERS,
    "train_loss_jitter",
    "best_test_accuracy",
    *TO_TARGET,
)
"""What findings make of a record, beside the last values of its curves."""

_SPEC = re.compile(r"\.(\d)([f%])")


@dataclass(frozen=True, kw_only=True)
class Format:
    """How people see a metric's values.

    `scale`: what they are multiplied with; `places`: decimal places; `called`: the name with its unit, where it is
    another than the metric's; `suffix`: what stands after the name; `difference`: the unit of a difference;
    `quantity`: what the values are, `axis`: the same in more words, where there is room; `logarithmic`: an axis of them
    may be.
    """

    scale: float = 1
    places: int = 4
    called: str = ""
    suffix: str = ""
    difference: str = ""
    quantity: str = ""
    axis: str = ""
    logarithmic: bool = False

    @classmethod
    def parse(cls, text: str) -> Format:
        """From Python's own spelling: `.2f` has two decimal places, `.1%` is percent with one; ValueError for others.

        >>> Format.parse(".2f").places, Format.parse(".1%").scale
        (2, 100)
        """
        found = _SPEC.fullmatch(text)
        if found is None:
            raise ValueError(f"format={text!r} is not allowed: format is decimal places, as in .2f, or percent, .1%")
        places, percent = int(found[1]), found[2] == "%"
        return cls(scale=100, places=places, suffix=" %", difference="points") if percent else cls(places=places)


@dataclass(frozen=True)
class Metric:
    """A named number. `direction`: which values are better, None where that is not known or neither is; `unit`: of a
    value as it is recorded, empty where it has none or none is known.

    >>> accuracy, time = metric_named("test_accuracy"), metric_named("seconds_per_epoch")
    >>> accuracy.direction, accuracy.label, time.direction, time.label
    ('higher', 'test accuracy %', 'lower', 'ms per epoch')
    """

    name: str
    direction: Direction | None = None
    unit: str = ""
    format: Format = Format()

    @property
    def words(self) -> str:
        """The name in a sentence; of a metric that has other words for what it measures, those."""
        called = self.format.called if split_of(self.name)[0] else ""
        return (called or self.name).replace("_", " ")

    @property
    def title(self) -> str:
        """The name with the unit that people see, words joined by underscores."""
        return (self.format.called or self.name) + self.format.suffix

    @property
    def label(self) -> str:
        """The name with the unit that people see, in a sentence."""
        return self.title.replace("_", " ")

    @property
    def percent(self) -> bool:
        """Whether people see a share as percent."""
        return self.format.scale == 100

    def told(self, value: float, *, signed: bool = False) -> str:
        """A value as people see it, without its unit.

        >>> metric_named("test_accuracy").told(0.5), metric_named("test_loss").told(0.25, signed=True)
        ('50.00', '+0.2500')
        """
        scaled, places = self.format.scale * value, self.format.places
        return f"{scaled:+.{places}f}" if signed else f"{scaled:.{places}f}"

    def as_data(self) -> dict[str, Any]:
        """Direction, unit and format as plain values: what a study's record holds of it."""
        plain = Format()
        given = {key: value for key, value in asdict(self.format).items() if value != getattr(plain, key)}
        return {"direction": self.direction, "unit": self.unit, "format": given}

    @classmethod
    def of(cls, name: str, facts: Mapping[str, Any]) -> Metric:
        """From a record.

        >>> mine = Metric("mae", "lower", "m", Format(places=2))
        >>> Metric.of("mae", mine.as_data()) == mine
        True
        """
        return cls(name, facts["direction"], facts["unit"], Format(**facts["format"]))


@dataclass(frozen=True)
class UserMetric:
    """A function of the user's with the metric that it computes; the name is its key in `metrics`."""

    function: Callable[..., float]
    metric: Metric


def metric(
    function: Callable[..., float],
    *,
    lower: bool = False,
    higher: bool = False,
    unit: str = "",
    format: str = "",  # noqa: A002 (as in Python's own `format`)
) -> UserMetric:
    """A metric of your own, with the direction in which it is better: a value of `metrics={"mae": ...}`.

    `function`: of the classes and those predicted, both of shape (examples,), or one of scikit-learn's scorers, which
    are better higher. `unit`: of the value that it returns. `format`: how the value is shown, `.2f` for decimal places
    or `.1%` for percent. Without a direction the metric is recorded and compared, but it is no target, and nothing is
    tuned by it. Raises ValueError for both directions, a scorer that is said to be better lower, or a format that is
    none.

    >>> import paribus
    >>> from sklearn.metrics import mean_absolute_error
    >>> paribus.metric(mean_absolute_error, lower=True, format=".2f").metric.direction
    'lower'
    """
    if not callable(function):
        raise ValueError(f"a metric is a function of the classes and those predicted, not {type(function).__name__}")
    if lower and higher:
        raise ValueError("a metric is better lower or higher, not both: give lower=True or higher=True")
    scorer = is_scorer(function)
    if scorer and lower:
        raise ValueError(
            "a scorer of scikit-learn's is better higher (that of a loss gives the loss times -1): leave lower=True "
            "out, or give the function itself"
        )
    direction: Direction | None = "lower" if lower else "higher" if higher or scorer else None
    shown = Format.parse(format) if format else Format()
    return UserMetric(function, Metric("", direction, unit, shown))


def user_metric(given: Callable[..., float] | UserMetric) -> UserMetric:
    """A value of `metrics={...}` with what is known of it: a scorer of scikit-learn's is better higher."""
    if isinstance(given, UserMetric):
        return given
    return UserMetric(given, Metric("", "higher" if is_scorer(given) else None))


def is_scorer(function: object) -> bool:
    """Whether it is one of scikit-learn's scorers, from `make_scorer` or `get_scorer`: called with a classifier.

    >>> from sklearn.metrics import f1_score, get_scorer
    >>> is_scorer(get_scorer("f1")), is_scorer(f1_score)
    (True, False)
    """
    module = sys.modules.get("sklearn.metrics._scorer")  # a scorer comes from an imported scikit-learn
    return module is not None and isinstance(function, module._BaseScorer)


# --- the built-in ones -----------------------------------------------------------------------------------------------

_PERCENT = Format(scale=100, places=2, suffix=" %", difference="points")
_SHARE_RIGHT = replace(_PERCENT, quantity="share right", axis="share classified rightly")
_CROSS_ENTROPY = Format(quantity="cross-entropy", axis="cross-entropy", logarithmic=True)
_ONE_PLACE = Format(places=1)

MEASURED: Mapping[str, Metric] = {
    one.name: one
    for one in (Metric("accuracy", "higher", "share", _SHARE_RIGHT), Metric("loss", "lower", "nats", _CROSS_ENTROPY))
}
"""What every study of classes measures on each split."""

_IN_UNITS = Format(quantity="in the data's units", axis="error in the data's units", logarithmic=True)

OF_NUMBERS: Mapping[str, Metric] = {
    one.name: one
    for one in (
        Metric("rmse", "lower", "unit of y", replace(_IN_UNITS, quantity="root mean squared error")),
        Metric("mae", "lower", "unit of y", replace(_IN_UNITS, quantity="mean absolute error")),
        Metric("r2", "higher", "", Format(quantity="share of variance explained", axis="share of variance explained")),
        Metric("loss", "lower", "", Format(quantity="loss, of scaled targets", axis="loss", logarithmic=True)),
    )
}
"""What a study of numbers to predict measures on each split: the root mean squared and the mean absolute error, and
r2 = 1 - sum (y - prediction)^2 / sum (y - mean y)^2, 0 where all y are the same; the loss is that of scaled targets. A
study's record holds them, as it does those of the user's own."""


def measured_of(regression: bool) -> Mapping[str, Metric]:  # noqa: FBT001 (which of two kinds)
    """What is measured on each split, beside the user's own."""
    return OF_NUMBERS if regression else MEASURED


JITTERS: Mapping[str, str] = {f"{split}_{name}_jitter": f"{split}_{name}" for split in SPLITS for name in MEASURED}
"""A jitter -> the curve that it is the jitter of."""


def _milliseconds(name: str, called: str) -> Metric:
    return Metric(name, "lower", "s", Format(scale=1e3, places=3, called=called, difference="ms"))


def _megabytes(name: str) -> Metric:
    return Metric(name, "lower", "MB", Format(places=1, called=f"{name.removesuffix('_mb')}_MB"))


def _jitter(name: str) -> Metric:
    of = MEASURED[name.split("_")[1]]
    shown = _PERCENT if of.percent else Format(scale=1e6, places=1, suffix="_x 1e6", difference="millionths")
    return Metric(name, "lower", of.unit, shown)


PRIMARY = ("test_accuracy", "test_rmse")
"""What a study is judged by where nothing else is said: of classes, and of numbers to predict."""

SELECTION = "validation_accuracy"
"""What values are chosen by where the primary metric itself has no validation split."""

BUILT_IN: Mapping[str, Metric] = {
    one.name: one
    for one in (
        *(replace(of, name=f"{split}_{name}") for split in SPLITS for name, of in MEASURED.items()),
        *map(_jitter, JITTERS),
        Metric("best_test_accuracy", "higher", "share", _SHARE_RIGHT),
        Metric("epochs_to_target", "lower", "epochs", Format(places=1)),
        Metric("seconds_to_target", "lower", "s"),
        _milliseconds("seconds_per_epoch", "ms_per_epoch"),
        _milliseconds("seconds_per_evaluation", "ms_per_evaluation"),
        Metric("train_seconds", "lower", "s"),
        Metric("eval_seconds", "lower", "s"),
        Metric("examples_per_second", "higher", "1/s", _ONE_PLACE),
        *map(_megabytes, ("peak_memory_mb", "gpu_allocated_mb", "gpu_reserved_mb")),
        Metric("gpu_utilisation", None, "share", _PERCENT),
        Metric("gpu_power_w", None, "W", _ONE_PLACE),
        Metric("gpu_energy_j", "lower", "J", _ONE_PLACE),
        Metric("gradient_norm"),
        Metric("clipped_share", None, "share", _PERCENT),
    )
}
"""By full name. `gradient_norm` and `clipped_share` are columns of clipped runs."""


def split_of(name: str) -> tuple[str, str]:
    """The split that a metric is measured on and what is measured; no split for one that is not.

    >>> split_of("test_accuracy"), split_of("seconds_per_epoch")
    (('test', 'accuracy'), ('', 'seconds_per_epoch'))
    """
    split, _, what = name.partition("_")
    return (split, what) if split in SPLITS and what else ("", name)


def metric_named(name: str, mine: Mapping[str, Metric] | None = None) -> Metric:
    """The metric of a full name (`test_mae`). `mine`: the user's own, by what they measure (`mae`).

    One that nobody knows has no direction and no unit.

    >>> mine = {"hinge_loss": Metric("hinge_loss", "lower")}
    >>> metric_named("test_hinge_loss", mine).direction, metric_named("test_hinge_loss").direction
    ('lower', None)
    """
    split, what = split_of(name)
    if mine is not None and name in mine:
        return mine[name]
    if split and mine is not None and what in mine:
        own = mine[what]
        called = f"{split}_{own.format.called}" if own.format.called else ""
        return replace(own, name=name, format=replace(own.format, called=called))
    return BUILT_IN.get(name, Metric(name))


def selection_metric(primary: str, mine: Mapping[str, Metric], *, regression: bool = False) -> Metric:
    """What values are tuned by: the primary metric on the validation split; where it is not measured there accuracy, or
    with numbers to predict the root mean squared error.

    >>> [selection_metric(name, {}).name for name in ("test_loss", "train_loss_jitter")]
    ['validation_loss', 'validation_accuracy']
    """
    split, what = split_of(primary)
    otherwise = f"validation_{PRIMARY[regression].partition('_')[2]}"
    known = {**MEASURED, **mine}
    return metric_named(f"validation_{what}" if split and what in known else otherwise, mine)
