"""The diagnosis of a loop of the user's: what its losses tell, under whatever customary name and however often logged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import paribus
from paribus.findings.diagnosis import diagnose
from paribus.findings.diagnosis.evidence import evidence
from paribus.findings.diagnosis.looked import looked
from paribus.findings.diagnosis.loops import HELD_OUT, TRAIN, read
from paribus.records.record import ArmRecord, DatasetInfo, RunRecord, Status, StudyRecord
from paribus.report.terminal.diagnoses import diagnosis_text

EPOCHS = 24
FALLING = np.linspace(2.0, 0.5, EPOCHS)
AT_REST = 0.1 + 0.9 * np.exp(-np.arange(float(EPOCHS)))
TURNING = np.abs(np.linspace(-0.5, 1.0, EPOCHS)) + 0.2
NO_NUMBER = np.where(np.arange(EPOCHS) < 9, FALLING, np.nan)


def run(**curve: Sequence[float]) -> RunRecord:
    info = DatasetInfo(name="own", fingerprint="", pool="", source="", classes=0, input_shape=(), train=0,
                       validation=0, test=0, overlap=0)  # fmt: skip
    steps = np.arange(1.0, len(next(iter(curve.values()))) + 1)
    columns = {name: np.array(values) for name, values in curve.items()}
    return RunRecord(seed=3, status=Status.DONE, error=None, epochs=EPOCHS, task=info, plan_hash="", attempt=1,
                     curve={"step": steps, "epoch": steps, **columns})  # fmt: skip


def study(*runs: RunRecord) -> StudyRecord:
    arms = [ArmRecord(name="mine", settings={"loop.lr": 0.1}, runs=list(runs))]
    return StudyRecord(name="s", factors=[], seeds=[3], primary_metric="accuracy", arms=arms, own_loop=True)


def codes(**curve: Any) -> list[str]:
    return [one.code for one in diagnose(study(run(**curve)))]


@pytest.mark.parametrize(
    ("train", "held", "code"),
    [
        (FALLING, FALLING, ["still-improving"]),
        (AT_REST, AT_REST, []),
        (FALLING, TURNING, ["overfitting"]),
        (NO_NUMBER, FALLING, ["diverged"]),
        (FALLING, np.where(np.arange(EPOCHS) < 12, 0.0, 0.5), ["overfitting"]),  # from a loss of exactly 0
        (AT_REST, np.zeros(EPOCHS), []),
        (np.zeros(EPOCHS), np.zeros(EPOCHS), []),
        (NO_NUMBER, NO_NUMBER, ["diverged"]),
        (np.where(np.arange(EPOCHS) < 20, FALLING, np.nan), NO_NUMBER, ["diverged"]),
        (AT_REST, NO_NUMBER, ["held-out-loss-no-number"]),  # no step went too far: the training loss shows it
        (AT_REST, np.full(EPOCHS, np.nan), ["held-out-loss-no-number"]),
        (FALLING[:9], NO_NUMBER[1:10], ["diverged"]),  # of its last point alone nobody knows
        (AT_REST, np.where(np.arange(EPOCHS) == 5, np.inf, AT_REST), []),
        (np.where(np.arange(EPOCHS) % 2, AT_REST, 5 * AT_REST), AT_REST, []),  # of single batches: nothing is told
        (FALLING - 9, FALLING - 9, []),  # a log-likelihood: what share of it is much, nobody knows
    ],
)
def test_what_losses_tell(train: Sequence[float], held: Sequence[float], code: list[str]) -> None:
    assert codes(train_loss=train, validation_loss=held) == code


@given(train=st.sampled_from(TRAIN), held=st.sampled_from(HELD_OUT))
def test_any_customary_name_will_do(train: str, held: str) -> None:
    assert codes(**{train: FALLING, held: TURNING}) == ["overfitting"]
    assert codes(**{train: FALLING, held: FALLING}) == ["still-improving"]


def test_without_a_training_loss_nothing_is_looked_at_and_that_is_said() -> None:
    alone = study(run(val_loss=FALLING))
    assert diagnose(alone) == []
    assert looked(alone).told == (
        "0 runs looked at; not looked at: 1 run of a loop of your own that logged no train_loss (or one below 0)"
    )
    both = study(run(train_loss=FALLING), run(val_loss=FALLING))
    assert looked(both).told.startswith("1 run looked at; not looked at: the layers")


@pytest.mark.parametrize("first", [0, 9])
def test_it_is_told_from_when_on_a_loss_was_no_number(first: int) -> None:
    (found,) = diagnose(study(run(loss=np.where(np.arange(EPOCHS) < first, FALLING, np.nan))))
    assert (found.code, found.epoch) == ("diverged", first)
    since = f"after epoch {first}" if first else "from the start"
    assert found.evidence == f"{since} its training loss was no number"


@pytest.mark.parametrize("every", [1, 4])
def test_a_held_out_loss_alone_that_is_no_number_is_no_divergence(every: int, tmp_path: Path) -> None:
    """At which points it was no number, and at which it was not logged, a curve does not tell: the last number is told.
    The numbers that a loop returns stand in a row of their own, at which the training loss stands again."""

    def loop(run: paribus.LoopRun, wrong: int = 8) -> dict[str, float]:
        for epoch in range(1, EPOCHS + 1):
            run.log(epoch=epoch, train_loss=AT_REST[epoch - 1])
            if epoch % every == 0:
                run.log(epoch=epoch, val_loss=float("nan") if epoch > wrong else AT_REST[epoch - 1])
        return {"score": 1.0}

    trained = paribus.compare(loop, wrong=[8, EPOCHS - every], seeds=[0], metric="score", lower=False, out=tmp_path)
    alone, at_the_end = diagnose(trained.record)
    assert (alone.code, alone.epoch, alone.cures) == ("held-out-loss-no-number", 8.0, [])
    assert (
        alone.evidence == "after epoch 8 its held-out loss was no number, and its training loss is a number in the end"
    )
    assert (at_the_end.code, at_the_end.epoch) == ("diverged", EPOCHS - every)
    assert "to try: in your own loop to look at what is evaluated" in diagnosis_text(trained.findings)


@given(every=st.integers(1, 7), noise=st.floats(0, 0.5), seed=st.integers(0, 99))
def test_a_training_loss_that_is_logged_more_often_is_averaged(every: int, noise: float, seed: int) -> None:
    """As Lightning and transformers log: the training loss at every step, the held-out one now and then."""
    rng = np.random.default_rng(seed)
    train = np.repeat(FALLING, every) + noise * rng.random(every * EPOCHS)
    held = np.full(len(train), np.nan)
    held[every - 1 :: every] = TURNING
    found = read(run(loss=train, eval_loss=held))
    assert found is not None
    np.testing.assert_allclose(found.curve["train_loss"], train.reshape(EPOCHS, every).mean(axis=1))
    np.testing.assert_array_equal(found.curve["validation_loss"], TURNING)
    np.testing.assert_array_equal(found.curve["epoch"], np.arange(1, EPOCHS + 1) * every)


@given(rows=st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, -1.0, np.nan, np.inf, 1e300])] * 2), min_size=1))
def test_no_curve_makes_it_fail(rows: list[tuple[float, float]]) -> None:
    train, held = zip(*rows, strict=True)
    for record in (study(run(train_loss=train, val_loss=held)), study(run(train_loss=train))):
        assert looked(record).runs in (0, 1)
        for one in diagnose(record):
            assert evidence(record, one) is not None


def test_a_loop_is_diagnosed_by_what_it_logs(tmp_path: Path) -> None:
    def loop(run: paribus.LoopRun, kind: str = "well") -> None:
        train = AT_REST if kind == "well" else FALLING
        held = {"well": AT_REST, "long": TURNING, "short": FALLING}[kind]
        for i in range(EPOCHS):
            run.log(epoch=i + 1, train_loss=train[i], val_loss=held[i], score=1 - held[i] + run.seed)

    study = paribus.compare(loop, kind=["well", "long", "short"], metric="score", seeds=2, out=tmp_path / "s")
    told = {one.arm: one for one in study.diagnose()}
    assert {name: one.code for name, one in told.items()} == {
        "kind=long": "overfitting",
        "kind=short": "still-improving",
    }
    assert told["kind=long"].of == 2
    assert told["kind=long"].cures == []  # what its arguments do, nobody knows
    assert "to try: in your own loop weight decay" in diagnosis_text(study.findings)
    drawn = evidence(study.record, told["kind=long"])
    assert drawn is not None
    assert drawn.lines["validation loss"] == pytest.approx(TURNING)
