"""What is read off a run's curves: jitter, which a trend has none of, and values on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paribus.findings.summary import jitter, value_at
from paribus.records.record import RunRecord, Status
from tests.test_report import record


def with_curve(values: np.ndarray) -> RunRecord:
    run = record(0, [0.5] * len(values))
    return replace(run, curve={**run.curve, "train_loss": np.asarray(values, dtype=float)})


@given(st.floats(-5, 5), st.floats(-5, 5), st.integers(0, 9))
def test_a_straight_trend_has_no_jitter(slope: float, start: float, seed: int) -> None:
    noise = 1e-3 * np.random.default_rng(seed).standard_normal(60)
    flat, steep = jitter(with_curve(noise)), jitter(with_curve(noise + start + slope * np.arange(60)))
    assert flat is not None
    assert steep == pytest.approx(flat, rel=1e-6)


def test_of_white_noise_it_is_the_sd_of_its_change() -> None:
    noise = np.random.default_rng(0).standard_normal(40_000)
    found = jitter(with_curve(noise))
    assert found == pytest.approx(np.sqrt(2), rel=0.02)
    assert found == pytest.approx(np.diff(noise[20_000:]).std(ddof=1), rel=0.02)


def test_only_whole_runs_of_ten_evaluations_have_one() -> None:
    run = with_curve(np.arange(10.0) ** 2)
    assert jitter(run) == pytest.approx(0.0, abs=1e-12)  # of a parabola the second differences are all the same
    assert jitter(with_curve(np.arange(9.0))) is None
    assert jitter(replace(run, status=Status.INTERRUPTED)) is None
    assert jitter(run, "train_nothing") is None


def test_a_last_evaluation_that_comes_sooner_is_left_out() -> None:
    noise = np.random.default_rng(0).standard_normal(31)
    even, uneven = np.arange(30.0), np.append(np.arange(30.0), 29.5)
    whole = with_curve(noise[:30])
    sooner = with_curve(noise)
    sooner = replace(sooner, curve={**sooner.curve, "epoch": uneven})
    assert jitter(sooner) == jitter(replace(whole, curve={**whole.curve, "epoch": even})) is not None
    later = replace(sooner, curve={**sooner.curve, "epoch": np.append(even, 31.0)})
    assert jitter(later) not in (None, jitter(sooner))


def test_a_curves_value_at_an_epoch_and_its_change_since_another() -> None:
    run = with_curve(np.array([5.0, 3.0, 2.0, 1.5]))  # at epochs 0, 10, 20, 30
    assert [value_at(run, "train_loss", at) for at in (0, 9, 10, 25, 30)] == [5.0, 5.0, 3.0, 2.0, 1.5]
    assert value_at(run, "train_loss", 30, since=10) == -1.5
    assert value_at(run, "train_loss", 31) is None
    assert value_at(run, "train_loss", -1) is None
    assert value_at(run, "train_nothing", 10) is None
    diverged = replace(run, status=Status.DIVERGED)  # at epoch 40
    assert [value_at(diverged, "train_loss", at) for at in (10, 30, 31)] == [3.0, 1.5, None]
    assert value_at(replace(run, status=Status.RUNNING), "train_loss", 10) is None
    assert value_at(with_curve(np.array([np.nan, 1.0])), "train_loss", 0) is None


def test_a_last_evaluation_that_comes_sooner_is_no_jitter() -> None:
    """Every 10 epochs, and after the 95th: on a slope the step to the last is shorter."""
    noise = 1e-3 * np.random.default_rng(0).standard_normal(40)
    epochs = np.array([*range(10, 400, 10), 395.0])
    found = []
    for slope in (0.0, -0.01):
        run = with_curve(noise + slope * epochs)
        found.append(jitter(replace(run, curve={**run.curve, "epoch": epochs})))
    assert found[1] == pytest.approx(found[0], rel=1e-9)
