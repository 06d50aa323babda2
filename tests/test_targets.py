"""Epochs to a target: counts, medians and ranks in which never is later than any epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata

from paribus.findings.targets import earlier, epochs_to, mid_ranks, reached, seconds_to
from paribus.records.record import RunRecord, Status, Target
from tests.test_report import arm, record, study

TARGET = Target("test_accuracy", 0.6, "higher")


def test_the_first_evaluation_beyond_the_target() -> None:
    run = record(0, [0.9, 0.4, 0.7, 0.1])
    assert epochs_to(run, TARGET) == 10.0
    assert epochs_to(run, Target("test_loss", 0.2, "lower")) == 30.0
    assert epochs_to(run, Target("test_accuracy", 0.99, "higher")) is None
    assert epochs_to(record(0, [], Status.FAILED), TARGET) is None


def test_seconds_count_only_of_timed_runs() -> None:
    run = record(0, [0.9, 0.4])
    timed = replace(run, timed=True, curve={**run.curve, "train_seconds": np.array([1.0, 2.5])})
    assert seconds_to(timed, TARGET) == 2.5
    assert seconds_to(replace(timed, timed=False), TARGET) is None


def runs(epochs: list[int | None]) -> list[RunRecord]:
    return [record(i, [0.9] * e + [0.1] if e is not None else [0.9] * 9) for i, e in enumerate(epochs)]


def test_never_is_later_than_any_epoch() -> None:
    early, late = arm("early", runs([1, 2, 1, 3, 2, 1])), arm("late", runs([5, None, 4, None, None, None]))
    found = study(early, late, seeds=6)
    first, second = reached(found, TARGET)
    assert (first.reached, first.runs, first.median_epochs) == (6, 6, 15.0)
    assert (second.reached, second.runs, second.median_epochs) == (2, 6, None)
    (pair,) = earlier(found, TARGET)
    assert pair.p == pair.p_adjusted == 2 / 64


def test_ranks_are_scipys() -> None:
    values = np.random.default_rng(0).integers(0, 5, 40).astype(float)
    values[::7] = np.inf
    np.testing.assert_array_equal(mid_ranks(list(values)), rankdata(values))


@pytest.mark.parametrize("text", ["test_accuracy", "0.9", "speed=3", "test_loss=x", "test_loss=nan", ""])
def test_targets_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the words that refuse it are the request's)
        Target.parse(text)
