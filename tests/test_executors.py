"""Runs in threads and in processes: the same records, whoever dies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest

from paribus.records.metrics import METERS
from paribus.records.record import Evaluation, Outcome, RunRecord, Status, StudyRecord
from paribus.study.reading import read
from paribus.study.runner import carry_out, prepare
from paribus.study.store import StoreError
from tests.helpers import WORDS, ask, assert_same_curves, command_of, runs


def test_a_run_does_not_depend_on_what_ran_beside_it(tmp_path: Path) -> None:
    study = carry_out(ask(tmp_path / "s", WORDS, "3"))
    alone = carry_out(ask(tmp_path / "t", WORDS.replace("5,none", "none"), "2,"))
    for name, values in runs(alone)["", 2].curve.items():
        if not name.endswith("_seconds") and name not in METERS:
            np.testing.assert_array_equal(values, runs(study)["hidden=none", 2].curve[name])


def test_workers_make_the_same_records(tmp_path: Path) -> None:
    alone = carry_out(ask(tmp_path / "alone", WORDS, "3"))
    together = carry_out(ask(tmp_path / "together", WORDS, "3").replaced(jobs=2))
    assert_same_curves(alone, together)
    timed = carry_out(ask(tmp_path / "timed", WORDS, "1").replaced(timing=True))
    for run in runs(timed).values():
        assert run.timed
        assert run.seconds_per_epoch() == pytest.approx(run.curve["train_seconds"][-1] / 6)
        np.testing.assert_array_equal(
            run.curve["train_loss"], runs(alone)[f"hidden={hidden(timed, run)}", 0].curve["train_loss"]
        )
    assert all(run.seconds_per_epoch() is None for run in runs(alone).values())


def hidden(study: StudyRecord, run: RunRecord) -> str:
    return next(str(arm.settings["model.hidden"]) for arm in study.arms if any(run is one for one in arm.runs))


class KillingWorkers:
    """An callback that kills the worker of the first run it sees, as often as it is told to."""

    def __init__(self, times: int) -> None:
        self.left, self.armed = times, False

    def on_run_begin(self, run: object) -> None:
        self.armed = getattr(run, "seed", None) == 0

    def on_run_end(self, run: object, outcome: Outcome) -> None: ...
    def on_message(self, line: str) -> None: ...
    def on_evaluation(self, run: object, row: Evaluation) -> None:
        if self.left and self.armed:  # once an attempt: more rows may be on their way when the worker is gone
            self.left, self.armed = self.left - 1, False
            for child in psutil.Process().children():
                if "spawn_main" in command_of(child):
                    child.kill()


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    words = "moons lr=0.1,0.2 epochs=300 eval_every=1 init=default"
    alone = carry_out(ask(tmp_path / "alone", words, "2"))
    study = carry_out(ask(tmp_path / "s", words, "2").replaced(jobs=1, timing=True), [KillingWorkers(1)])
    assert_same_curves(study, alone)
    assert sorted(run.attempt for run in runs(study).values()) == [1, 1, 1, 2]


@pytest.mark.slow
def test_a_run_that_kills_its_worker_twice_fails_alone(tmp_path: Path) -> None:
    words = "moons lr=0.1,0.2 epochs=300 eval_every=1 init=default"
    study = carry_out(ask(tmp_path / "s", words, "2").replaced(timing=True), [KillingWorkers(2)])
    statuses = {key: run.status for key, run in runs(study).items()}
    assert sorted(statuses.values()) == ["done", "done", "done", "failed"]
    assert runs(study)["lr=0.1", 0].error == "its process died (signal 9) 2 times"


def test_ctrl_c_ends_the_workers(tmp_path: Path) -> None:
    class Interrupting(KillingWorkers):
        def on_evaluation(self, run: object, row: Evaluation) -> None:
            raise KeyboardInterrupt

    asked = ask(tmp_path / "s", "moons lr=0.1,0.2 epochs=100000 init=default", "1").replaced(jobs=2)
    with pytest.raises(KeyboardInterrupt):
        carry_out(asked, [Interrupting(0)])
    assert {run.status for run in runs(read(tmp_path / "s")).values()} == {Status.INTERRUPTED}
    assert not [child for child in psutil.Process().children() if "spawn_main" in command_of(child)]


def test_timed_and_untimed_runs_do_not_mix(tmp_path: Path) -> None:
    carry_out(ask(tmp_path / "s", WORDS, "1"))
    with pytest.raises(StoreError, match="--timing"):
        prepare(ask(tmp_path / "s", WORDS, "2").replaced(timing=True))


def test_an_observer_that_fails_is_no_fault_of_the_runs(tmp_path: Path) -> None:
    class Full(KillingWorkers):
        def on_evaluation(self, run: object, row: Evaluation) -> None:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        carry_out(ask(tmp_path / "s", WORDS, "1"), [Full(0)])
    assert {run.status for run in runs(read(tmp_path / "s")).values()} == {Status.INTERRUPTED}
