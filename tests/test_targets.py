"""Epochs to a target: counts, medians and ranks in which never is later than any epoch."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from paribus.findings.findings import Findings
from paribus.findings.pairs import ranked
from paribus.findings.targets import common_grid, earlier, epochs_to, horizon, reached, seconds_to
from paribus.records.record import RunRecord, Status, Target
from paribus.report.page.tables import results
from paribus.report.page.text import View
from paribus.report.terminal.tables import target_lines
from tests.test_report import arm, record, study

TARGET = Target("test_accuracy", 0.6, "higher")


def test_a_target_is_reached_from_where_it_holds_to_the_end() -> None:
    run = record(0, [0.9, 0.4, 0.7, 0.1])
    assert epochs_to(run, TARGET) == 30.0
    assert epochs_to(run, TARGET, np.array([0.0, 10.0])) == 10.0
    assert epochs_to(run, TARGET, np.array([0.0, 10.0, 20.0])) is None
    assert epochs_to(run, TARGET, np.array([15.0])) == 15.0  # no other epoch was looked at
    assert epochs_to(record(0, [0.9, 0.4, 0.3, 0.1]), TARGET) == 10.0
    assert epochs_to(record(0, [0.1, 0.4]), TARGET) == 0.0
    assert epochs_to(replace(run, status=Status.DIVERGED), TARGET) is None
    assert epochs_to(run, Target("test_loss", 0.2, "lower")) == 30.0
    assert epochs_to(run, Target("test_accuracy", 0.99, "higher")) is None
    assert epochs_to(record(0, [], Status.FAILED), TARGET) is None


@given(st.lists(st.sampled_from([0.1, 0.4, 0.9]), min_size=1, max_size=9), st.sampled_from([0, 15, 40, math.inf]))
def test_no_evaluation_after_it_misses_the_target(errors: list[float], until: float) -> None:
    run = record(0, errors)
    found = epochs_to(run, TARGET, run.curve["epoch"][run.curve["epoch"] <= until])
    holds = [
        (at, 1 - error >= 0.6) for at, error in zip(run.curve["epoch"].tolist(), errors, strict=True) if at <= until
    ]
    whole = [at for i, (at, _) in enumerate(holds) if all(there for _, there in holds[i:])]
    assert found == (whole[0] if whole else None)


def test_arms_of_other_lengths_are_compared_as_far_as_the_shorter_goes() -> None:
    """The same curves, of which one arm stops where none has come to the target."""
    slow = [[0.9] * (6 + seed % 3) + [0.1] * 9 for seed in range(8)]
    whole = arm("whole", [record(seed, errors) for seed, errors in enumerate(slow)])
    short = arm("short", [record(seed, errors[:5]) for seed, errors in enumerate(slow)])
    assert horizon(whole, short) == 40.0
    (pair,) = earlier(study(whole, short, seeds=8), TARGET)
    assert (pair.p, pair.p_adjusted) == (1.0, 1.0)
    assert [one.reached for one in reached(study(whole, short, seeds=8), TARGET)] == [8, 0]


def test_who_is_looked_at_more_often_is_not_earlier() -> None:
    """The same curves, looked at every 10 epochs and every 30."""
    curves = [[0.9] * (3 + seed % 4) + [0.1] * (12 - seed % 4) for seed in range(8)]
    often = arm("often", [record(seed, errors) for seed, errors in enumerate(curves)])
    seldom = arm(
        "seldom",
        [replace(run, curve={name: column[::3] for name, column in run.curve.items()}) for run in often.runs],
    )
    assert common_grid(often, seldom) is not None
    for both in ((often, seldom), (seldom, often)):
        (pair,) = earlier(study(*both, seeds=8), TARGET)
        assert pair.p == 1.0


def test_looks_that_never_coincide_make_nobody_earlier() -> None:
    """Every 7 epochs and every 10; both arms arrive between epoch 21 and 28."""
    arms = []
    for name, every in (("seven", 7.0), ("ten", 10.0)):
        runs = []
        for seed in range(10):
            epochs = np.arange(every, 71, every)
            errors = [0.9 if epoch < 21 + 0.7 * ((3 * seed) % 10) else 0.1 for epoch in epochs]
            run = record(seed, errors)
            runs.append(replace(run, curve={**run.curve, "epoch": epochs}))
        arms.append(arm(name, runs))
    (pair,) = earlier(study(*arms, seeds=10), TARGET)
    assert pair.p is not None
    assert pair.p > 0.05


def test_a_long_arm_that_is_looked_at_seldom() -> None:
    """It arrives at epoch 200, every 50 of which it is looked at; the other was trained to epoch 90 alone."""
    whole = [[0.9] * (18 + seed % 3) + [0.1] * 12 for seed in range(8)]
    short = arm("short", [record(seed, errors[:10]) for seed, errors in enumerate(whole)])
    runs = [record(seed, errors) for seed, errors in enumerate(whole)]
    long = arm("long", [replace(run, curve={name: of[::5] for name, of in run.curve.items()}) for run in runs])
    (pair,) = earlier(study(short, long, seeds=8), TARGET)
    assert pair.p == 1.0


def test_a_run_that_failed_did_not_reach_it() -> None:
    good = arm("good", [record(seed, [0.9, 0.1, 0.1]) for seed in range(8)])
    failed = arm("failed", [replace(run, status=Status.FAILED) for run in good.runs])
    (pair,) = earlier(study(good, failed, seeds=8), TARGET)
    assert (pair.p, pair.a_first) == (2 / 256, True)


def test_a_run_that_was_interrupted_says_nothing() -> None:
    good = arm("good", [record(seed, [0.9, 0.1, 0.1]) for seed in range(8)])
    stopped = arm("stopped", [replace(run, status=Status.INTERRUPTED) for run in good.runs])
    (pair,) = earlier(study(good, stopped, seeds=8), TARGET)
    assert (pair.p, pair.pairs) == (None, 0)


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


def test_of_few_runs_that_arrive_no_median_or_mean_is_shown() -> None:
    late, never = arm("late", runs([5, None, 4, None, None, None])), arm("never", runs([None] * 6))
    found = Findings.of(replace(study(arm("early", runs([1] * 6)), late, never, seeds=6), target=TARGET))
    assert [line.strip() for line in target_lines(found)][1:4] == [
        "early: 6 of 6 runs, median epoch 10",
        "late: 2 of 6 runs, no median as half of them or more did not",
        "never: 0 of 6 runs",
    ]
    assert not [one for one in results(View.of(found)).columns if "target" in one]


def test_ranks_do_not_know_last_digits() -> None:
    assert ranked(np.array([0.3, 0.1]), np.array([0.1 + 0.2, 0.7 - 0.6])).tolist() == [0.0, 0.0]


def test_ranks_are_scipys() -> None:
    values = np.random.default_rng(0).integers(0, 5, 40).astype(float)
    values[::7] = np.inf
    ranks = rankdata(values)
    np.testing.assert_array_equal(ranked(values[:20], values[20:]), ranks[:20] - ranks[20:])


@pytest.mark.parametrize("text", ["test_accuracy", "0.9", "speed=3", "test_loss=x", "test_loss=nan", ""])
def test_targets_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the words that refuse it are the request's)
        Target.parse(text)
