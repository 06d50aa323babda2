"""Records: what a run leaves, as plain values. Findings and pages read these and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import StrEnum
from itertools import accumulate
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from paribus.config.models import ESTIMATOR
from paribus.config.values import Value
from paribus.records.checkpoint import Best
from paribus.records.claims import Claim, Written
from paribus.records.metrics import DERIVED_METRICS, Direction, Metric, metric_named, split_of
from paribus.records.vitals import Vitals


@dataclass(frozen=True)
class Target:
    """A metric's value that runs are to reach: at least it, or at most where lower is better. `direction` is None where
    the record does not tell: then nothing can be said of who reached it."""

    metric: str
    value: float
    direction: Direction | None

    @classmethod
    def parse(cls, text: str, mine: Mapping[str, Metric] | None = None) -> Target:
        """From `test_accuracy=0.9`; ValueError for anything else. `mine`: the user's own metrics.

        >>> Target.parse("test_accuracy=0.9")
        Target(metric='test_accuracy', value=0.9, direction='higher')
        """
        metric, _, value = text.partition("=")
        if not split_of(metric)[0] or not isfinite(float(value)):
            raise ValueError
        return cls(metric, float(value), metric_named(metric, mine).direction)

    def __str__(self) -> str:
        return f"{self.metric}={self.value!r}"


class Status(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    DIVERGED = "diverged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


FINISHED = (Status.DONE, Status.DIVERGED)
"""Such a run is not made again; any other is."""


WRONG_GRADIENT = "not what central differences of its loss give"
"""In a remark on a network that a user wrote by hand: its gradients are wrong, which is what is wrong with its runs."""


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What a record says of the data: enough to know whether two runs were given the same.

    `fingerprint`: SHA-256 of the arrays of every split. `pool`: that of the data before they were split.
    `overlap`: how many test examples also stand in the training split. `classes`: 0 where the targets are numbers to
    predict.
    """

    name: str
    fingerprint: str
    pool: str
    source: str
    classes: int
    input_shape: tuple[int, ...]
    train: int
    validation: int
    test: int
    overlap: int


@dataclass(frozen=True)
class Evaluation:
    """One row of a curve. Seconds are since the run's start, training and evaluation apart; `meters`: what the run
    took beside them (`metrics.METERS`)."""

    step: int
    epoch: float
    train_seconds: float
    eval_seconds: float
    metrics: Mapping[str, float]
    meters: Mapping[str, float] = field(default_factory=dict)


Curve = dict[str, NDArray[np.float64]]
"""Column name -> values, one for each evaluation: step, epoch, train_seconds, eval_seconds and the metrics."""


@dataclass(frozen=True)
class Boundary:
    """The class that a model of two inputs predicts on an even grid: `classes[i, j]` at (x[j], y[i]).

    `extent`: the first and last x, then the first and last y.
    """

    extent: NDArray[np.float64]
    classes: NDArray[np.uint8]

    @property
    def x(self) -> NDArray[np.float64]:
        """The grid's columns."""
        return np.linspace(self.extent[0], self.extent[1], self.classes.shape[1])

    @property
    def y(self) -> NDArray[np.float64]:
        """The grid's rows."""
        return np.linspace(self.extent[2], self.extent[3], self.classes.shape[0])


@dataclass(frozen=True)
class Frames:
    """Decision boundaries on the way: `classes[k, i, j]` as in `Boundary`, at `epochs[k]`."""

    extent: NDArray[np.float64]
    epochs: NDArray[np.float64]
    classes: NDArray[np.uint8]


@dataclass(frozen=True)
class Mistakes:
    """The test images whose wrong class a model was surest of: `images` (k, channels, height, width), bytes; their
    classes, those predicted, and the probability that it gave them."""

    images: NDArray[np.uint8]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float64]


@dataclass(frozen=True)
class Residuals:
    """How numbers of the test split were predicted, in the data's units: of `rows` (those of the test split that are
    drawn, ascending) what was `predicted` and `measured`; `middle`: the two ends between which the middle 90 % of the
    residuals of all test rows lie."""

    rows: NDArray[np.int64]
    predicted: NDArray[np.float64]
    measured: NDArray[np.float64]
    middle: NDArray[np.float64]

    @property
    def values(self) -> NDArray[np.float64]:
        """Measured minus predicted: above 0 the prediction was too low."""
        return self.measured - self.predicted


@dataclass(frozen=True)
class Fits:
    """What a model of one input predicts on the way: `predicted[k, i]` at the input `x[i]`, at `epochs[k]`, in the
    data's units. `rows_x`, `rows_y`: inputs and measured numbers of test rows; `truth[i]`: the number without noise at
    `x[i]`, no entries where nobody knows it. Inputs are as the model gets them."""

    x: NDArray[np.float64]
    epochs: NDArray[np.float64]
    predicted: NDArray[np.float64]
    rows_x: NDArray[np.float64]
    rows_y: NDArray[np.float64]
    truth: NDArray[np.float64]


@dataclass(frozen=True)
class Pictures:
    """What a page shows of one run beside its curves, each None where the task has none.

    `confusion[t, p]`: how many test examples of class t were taken for p; `state_gradients` (2, time steps): the norm
    of the loss's gradient with respect to each h(t), before the first step and after the last; `residuals` and `fits`:
    of numbers to predict; `vitals`: what the network was like on its way, of a run that diverged too.
    """

    frames: Frames | None = None
    confusion: NDArray[np.int64] | None = None
    mistakes: Mistakes | None = None
    state_gradients: NDArray[np.float64] | None = None
    residuals: Residuals | None = None
    fits: Fits | None = None
    vitals: Vitals | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `epochs`: how many it completed; `error`: why it diverged or failed; `best`: its weights where
    it was best on validation data; `begins_again`: what trains it begins it once more at once, from the start;
    `remarks`: what it showed of the user's code."""

    status: Status
    epochs: int
    error: str | None = None
    _: KW_ONLY
    weights: Mapping[str, NDArray[np.floating]] | None = None
    predictions: NDArray[np.int64] | NDArray[np.float64] | None = None
    boundary: Boundary | None = None
    best: Best | None = None
    pictures: Pictures = Pictures()
    begins_again: bool = False
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One arm with one seed, as recorded. `points`: the data of a task in the plane, `train_x`, `train_y`, ...;
    `boundary` and `pictures`: of the arm's first run that has them; `environment`: versions, machine, command;
    `reported_by`: the validation metric that early stopping watched, None without it."""

    seed: int
    status: Status
    error: str | None
    epochs: int
    curve: Curve
    task: DatasetInfo
    plan_hash: str
    attempt: int
    timed: bool = False
    started: float = 0.0
    boundary: Boundary | None = None
    points: Mapping[str, NDArray[np.float64]] | None = None
    environment: Mapping[str, object] = field(default_factory=dict)
    pictures: Pictures = Pictures()
    reported_by: Metric | None = None

    @property
    def reported(self) -> int:
        """The place in the curve of the evaluation whose scores are the run's: with early stopping the best by
        `reported_by`, the first of equals; else the last."""
        column = None if self.reported_by is None else self.curve.get(self.reported_by.name)
        if self.reported_by is None or column is None or not len(column):
            return -1
        return int(column.argmin() if self.reported_by.direction == "lower" else column.argmax())

    def seconds_per_epoch(self) -> float | None:
        """Training time over epochs; None unless the run had the machine to itself and reached its end."""
        if not self.timed or self.status is not Status.DONE or not self.epochs:
            return None
        return float(self.curve["train_seconds"][-1]) / (self.curve["epoch"][-1] if self.reported_by else self.epochs)

    def seconds_per_evaluation(self) -> float | None:
        """Evaluation time over evaluations, under the same conditions."""
        if not self.timed or self.status is not Status.DONE or not self.curve:
            return None
        return float(self.curve["eval_seconds"][-1]) / len(self.curve["step"])

    def best_on_validation(self, metric: str, by: Metric) -> float | None:
        """A metric at the evaluation that was best by another, which has a direction; the first of equals."""
        if self.status is not Status.DONE or not {metric, by.name} <= self.curve.keys():
            return None
        scores = self.curve[by.name]
        return float(self.curve[metric][scores.argmin() if by.direction == "lower" else scores.argmax()])

    def final(self, metric: str) -> float | None:
        """A metric at the evaluation that is reported, None where the run did not reach its end or the value is not
        finite."""
        values = self.curve.get(metric)
        if self.status is not Status.DONE or values is None or not len(values):
            return None
        last = float(values[self.reported])
        return last if isfinite(last) else None


@dataclass(frozen=True)
class ArmRecord:
    """One combination of settings and its runs, seeds ascending."""

    name: str
    settings: Mapping[str, Value]
    runs: list[RunRecord]

    @property
    def whole_fit(self) -> bool:
        """Whether it is an estimator, which is fitted as a whole: its steps and epochs are none of a network's."""
        return ESTIMATOR in self.settings


@dataclass(frozen=True)
class Candidate:
    """Values that were tried for an arm's tuned settings, by full name.

    `scores`: the validation metric of each tuning seed's run, None where it did not end; `mean`: over the seeds, None
    unless all did.
    """

    values: Mapping[str, Value]
    scores: list[float | None]
    mean: float | None


@dataclass(frozen=True)
class Tuned:
    """What tuning chose for an arm. `edges`: the settings whose best value is the lowest or highest that was tried."""

    arm: str
    candidates: list[Candidate]
    chosen: Mapping[str, Value]
    edges: list[str]


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Tuning at equal budget: every arm as many candidates, chosen by `metric` on `seeds` of its own.

    `validation`: the share of the training data that was held out for it. `shared_values`: the one candidate for all
    arms, `given` with the command or else the best on average; `shared`: the study of all arms at it. `arms` and
    `shared_values` are empty until tuning is done. `sampler`: who proposed candidates one after another, to each arm
    others; None where all have the same. `repeat`: which repeat of the whole tuning it is, of the first also how many
    were `asked_repeats`, those after it that there are, `repeats`, and how many there were when more were asked for,
    `looks`.
    """

    words: list[str]
    budget: int | None
    seeds: list[int]
    validation: float
    metric: str
    given: bool
    shared_values: Mapping[str, Value] = field(default_factory=dict)
    arms: list[Tuned] = field(default_factory=list)
    shared: StudyRecord | None = None
    sampler: str | None = None
    repeat: int = 1
    asked_repeats: int = 1
    repeats: Sequence[StudyRecord] = ()
    looks: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """Arms x seeds and what they left. `metrics`: the user's own, by what they measure (`mae`).

    `claims_written`: the claims as they stood before, and how many runs there were when they were written;
    `class_counts`: a task's fingerprint -> split -> how many examples of each class it has, where that is recorded;
    `class_names`: the fingerprint of a task's data before they were split -> what they call class 0, 1, ...;
    `least`: after so many of the seeds it may be decided, and then ends, None where all are trained; `asked`: the
    seeds that were asked for at once, and those that were when results were known; `seeds` are in this order;
    `remarks`: an arm's name -> what was remarked on the user's code and data; `backends`: an arm's name -> why its
    backend was chosen, where that needed a reason; `files`: a task's name -> the file that
    its table was read from; `damages`: what of the record could not be read, and is left out; `own_loop`: whether loops
    of the user's trained it, whose metrics have whatever names they gave.
    """

    name: str
    factors: list[str]
    seeds: list[int]
    primary_metric: str
    arms: list[ArmRecord]
    named: bool = False
    timing: bool = False
    target: Target | None = None
    baseline: str | None = None
    margin: float | None = None
    tuning: Tuning | None = None
    claims: tuple[Claim, ...] = ()
    claims_written: tuple[Written, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    class_counts: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    damages: tuple[str, ...] = ()
    least: int | None = None
    asked: tuple[tuple[int, ...], ...] = ()
    own_loop: bool = False

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many seeds it was looked at before more were asked for, and how many it has now; none where it was
        not extended."""
        return tuple(accumulate(map(len, self.asked))) if len(self.asked) > 1 else ()

    def metric(self, name: str) -> Metric:
        """The metric of a full name, `test_mae` or `seconds_per_epoch`. What a user's loop calls an accuracy may be
        percent, or a loss a likelihood: of these nothing is known but what was said."""
        if self.own_loop and name not in DERIVED_METRICS:
            return replace(self.metrics.get(name) or self.metrics.get(split_of(name)[1]) or Metric(name), name=name)
        return metric_named(name, self.metrics)
