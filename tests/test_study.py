"""Studies: arms times seeds, only what is missing, and refusals before anything is written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from paribus.backends.numpy_backend import NumpyBackend
from paribus.commands import described
from paribus.config.overrides import SettingsError
from paribus.records.record import Evaluation, Outcome, Status
from paribus.records.run import Callback, Run
from paribus.study.reading import read
from paribus.study.runner import carry_out, prepare
from paribus.study.store import FILE, StoreError
from tests.helpers import WORDS, ask, assert_same_curves, edited, runs


def test_a_study_is_arms_times_seeds(tmp_path: Path) -> None:
    study = carry_out(ask(tmp_path / "s", WORDS, "3"))
    assert [arm.name for arm in study.arms] == ["hidden=5", "hidden=none"]
    assert [[run.seed for run in arm.runs] for arm in study.arms] == [[0, 1, 2]] * 2
    for run in runs(study).values():
        assert run.status is Status.DONE
        assert run.epochs == 6
        assert run.curve["epoch"].tolist() == [2, 4, 6]
        assert (np.diff(run.curve["train_seconds"]) > 0).all()
    assert len({run.plan_hash for run in runs(study).values()}) == 3
    assert runs(study)["hidden=5", 1].plan_hash == runs(study)["hidden=none", 1].plan_hash
    assert_same_curves(study, read(tmp_path / "s"))


def test_the_same_command_does_only_what_is_missing(tmp_path: Path) -> None:
    first = carry_out(ask(tmp_path / "s", WORDS, "2"))
    work = prepare(ask(tmp_path / "s", WORDS, "2"))
    assert (work.missing, work.recorded) == ([], 4)
    more = ask(tmp_path / "s", WORDS.replace("5,none", "5,none,7"), "3")
    assert len(prepare(more).missing) == 5
    study = carry_out(more)
    assert [len(arm.runs) for arm in study.arms] == [3, 3, 3]
    for key, run in runs(first).items():
        np.testing.assert_array_equal(run.curve["train_seconds"], runs(study)[key].curve["train_seconds"])


@pytest.mark.parametrize(
    ("words", "metric", "named"),
    [
        ("moons hidden=5,none epochs=7 eval_every=2 init=default", "test_accuracy", "epochs (6 there, 7 here)"),
        ("moons hidden=5,none epochs=6 eval_every=2 lr=0.5", "test_accuracy", "init (default there, normal:0.001 here)"),
        ("moons lr=1,2 epochs=6 eval_every=2 init=default", "test_accuracy", "factors (model.hidden there, optimizer.lr here)"),
        ("blobs hidden=5,none epochs=6 eval_every=2 init=default", "test_accuracy", "task (moons there, blobs here)"),
        (WORDS, "test_loss", "primary metric (test_accuracy there, test_loss here)"),
    ],
)  # fmt: skip
def test_a_folder_with_another_study_is_left_alone(tmp_path: Path, words: str, metric: str, named: str) -> None:
    carry_out(ask(tmp_path / "s", WORDS, "1"))
    before = (tmp_path / "s" / FILE).read_bytes()
    for act in (prepare, carry_out):
        with pytest.raises(StoreError) as caught:
            act(ask(tmp_path / "s", words, metric=metric))
        assert "holds another study; it differs in" in str(caught.value)
        assert named in str(caught.value)
    assert (tmp_path / "s" / FILE).read_bytes() == before


def test_what_the_data_refuse_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="make 7; lower it, or take sampler=replacement"):
        prepare(ask(tmp_path / "s", "moons steps_per_epoch=8"))
    with pytest.raises(SettingsError, match="the training split of moons is empty"):
        prepare(ask(tmp_path / "s", "moons n=10 test_share=0.95"))
    with pytest.raises(SettingsError, match="--metric accuracy is not measured: allowed is train_accuracy"):
        prepare(ask(tmp_path / "s", "moons", metric="accuracy"))
    asked = ask(tmp_path / "s", "moons")
    for metric in ("best_test_accuracy", "gpu_utilisation"):
        with pytest.raises(SettingsError, match=f"--metric {metric} is not measured"):
            prepare(asked.replaced(metric=metric, timing=True))
    assert list(tmp_path.iterdir()) == []


def test_a_batch_larger_than_the_data_is_said(tmp_path: Path) -> None:
    (note,) = prepare(ask(tmp_path / "s", "moons batch_size=900")).notes
    assert note == "batch_size=900 is more than the data: every step takes all 800 training examples"


def test_one_mistake_does_not_hide_another() -> None:
    with pytest.raises(SettingsError) as caught:
        described("moons", ["lr=nan"], compare=False, seeds="3,3", keep="wights")
    assert len(caught.value.mistakes) == 3


def test_a_diverged_run_does_not_stop_the_others(tmp_path: Path) -> None:
    asked = ask(tmp_path / "s", "moons lr=0.1,1e30 epochs=3 init=default", "2")
    study = carry_out(asked)
    assert [run.status for arm in study.arms for run in arm.runs] == ["done", "done", "diverged", "diverged"]
    diverged = runs(study)["lr=1e+30", 0]
    assert str(diverged.error).startswith("in epoch 1: ")
    assert diverged.final("test_accuracy") is None
    assert prepare(asked).missing == []


def test_a_failed_run_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, made = ask(tmp_path / "s", f"{WORDS} implementation=numpy", "1"), NumpyBackend.learner

    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("broken")

    monkeypatch.setattr(NumpyBackend, "learner", broken)
    study = carry_out(asked)
    assert [run.status for run in runs(study).values()] == ["failed"] * 2
    assert str(runs(study)["hidden=5", 0].error).startswith("RuntimeError: broken")
    monkeypatch.setattr(NumpyBackend, "learner", made)
    assert "2 runs had not come to an end" in prepare(asked).notes[0]
    study = carry_out(asked)
    assert [(run.status, run.attempt) for run in runs(study).values()] == [("done", 2)] * 2
    with sqlite3.connect(tmp_path / "s" / FILE) as database:
        assert database.execute("SELECT count(*) FROM runs WHERE status = 'failed'").fetchone() == (2,)
    database.close()


def test_ctrl_c_keeps_what_was_evaluated(tmp_path: Path) -> None:
    class Interrupting:
        def on_run_begin(self, run: object) -> None: ...
        def on_run_end(self, run: object, outcome: Outcome) -> None: ...

        def on_message(self, line: str) -> None: ...
        def on_evaluation(self, run: Run, row: Evaluation) -> None:
            if (run.settings.model.hidden, row.epoch) == ((5,), 4):  # the other run goes on beside it
                raise KeyboardInterrupt

    asked = ask(tmp_path / "s", WORDS, "1")
    with pytest.raises(KeyboardInterrupt):
        carry_out(asked, [Interrupting()])
    run = runs(read(tmp_path / "s"))["hidden=5", 0]
    epochs = run.curve["epoch"].tolist()
    assert epochs in ([2, 4], [2, 4, 6])  # the last one, if its thread came to it meanwhile
    assert (run.status, run.epochs) == (Status.INTERRUPTED, epochs[-1])
    assert_same_curves(carry_out(asked), carry_out(ask(tmp_path / "t", WORDS, "1")))


def test_a_run_whose_process_is_gone_is_interrupted(tmp_path: Path) -> None:
    carry_out(ask(tmp_path / "s", WORDS, "1"))
    with edited(tmp_path / "s") as database:
        database.execute("UPDATE runs SET status = ? WHERE id = 1", (Status.RUNNING,))
    found = {run.status: run.error for run in runs(read(tmp_path / "s")).values()}
    assert found == {Status.INTERRUPTED: "its process ended before it did", Status.DONE: None}


def test_each_run_is_drawn_over_its_own_data(tmp_path: Path) -> None:
    study = carry_out(ask(tmp_path / "s", "moons,blobs epochs=1 split=fixed,by_seed", "1"))
    drawn = {arm.name: arm.runs[0].points for arm in study.arms}
    arrays = [points["train_x"] for points in drawn.values() if points is not None]
    assert len(arrays) == 4
    assert len({array.tobytes() for array in arrays}) == 4


def test_seeds_are_those_recorded_and_those_asked_for_last(tmp_path: Path) -> None:
    class Stopping(Callback):
        def on_run_begin(self, run: object) -> None:
            if getattr(run, "seed", None) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(ask(tmp_path / "s", WORDS, "900"), [Stopping()])
    assert carry_out(ask(tmp_path / "s", WORDS, "2")).seeds == [0, 1, 2]


@pytest.mark.parametrize("implementation", ["numpy", "fused"])
def test_what_a_running_run_has_come_to(tmp_path: Path, implementation: str) -> None:
    seen: list[tuple[float, str, list[str]]] = []

    class Looking(Callback):
        def on_evaluation(self, run: object, row: Evaluation) -> None:
            assert isinstance(run, Run)
            study = read(tmp_path / "s")
            (own,) = (
                arm.runs[0] for arm in study.arms if arm.settings["model.hidden"] == run.settings.flat()["model.hidden"]
            )
            seen.append((row.epoch, own.status, [one.status for one in runs(study).values()]))

    carry_out(ask(tmp_path / "s", f"{WORDS} implementation={implementation}", "1"), [Looking()])
    assert sorted(epoch for epoch, _, _ in seen) == [2, 2, 4, 4, 6, 6]
    assert {own for _, own, _ in seen} == {"running"}
    if implementation == "numpy":  # one run after another; fused ones may end in any order
        assert seen[2] == (6, "running", ["running"])
        assert seen[5] == (6, "running", ["done", "running"])
