"""Studies on disk: what is killed goes on, what is recorded stays, and no folder is written by mistake."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import load as load_weights

from paribus.backends.numpy_backend import NumpyBackend
from paribus.commands import described
from paribus.config.overrides import SettingsError
from paribus.records.metrics import METERS
from paribus.records.record import Evaluation, Outcome, RunRecord, Status, StudyRecord
from paribus.records.run import Run
from paribus.study import store as store_module
from paribus.study.driver import lock
from paribus.study.names import folder_name
from paribus.study.reading import read
from paribus.study.runner import carry_out, prepare
from paribus.study.spec import StudySpec
from paribus.study.store import FILE, SCHEMA_VERSION, Store, StoreError


def ask(
    folder: Path, words: str, seeds: str = "2", keep: str | None = None, metric: str = "test_accuracy"
) -> StudySpec:
    task, *rest = words.split()
    return described(task, rest, compare="," in words, seeds=seeds, out=folder, metric=metric, keep=keep)


def runs(study: StudyRecord) -> dict[tuple[str, int], RunRecord]:
    return {(arm.name, run.seed): run for arm in study.arms for run in arm.runs}


def command_of(process: psutil.Process) -> str:
    """Its command, nothing of one that has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def assert_same_curves(one: StudyRecord, other: StudyRecord) -> None:
    """Bit for bit, times apart."""
    assert runs(one).keys() == runs(other).keys()
    for key, run in runs(one).items():
        theirs = runs(other)[key]
        assert run.status == theirs.status
        assert run.curve.keys() == theirs.curve.keys()
        for name in run.curve:
            if not name.endswith("_seconds") and name not in METERS:
                np.testing.assert_array_equal(run.curve[name], theirs.curve[name])


WORDS = "moons hidden=5,none epochs=6 eval_every=2 init=default"


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


def test_a_run_does_not_depend_on_what_ran_beside_it(tmp_path: Path) -> None:
    study = carry_out(ask(tmp_path / "s", WORDS, "3"))
    alone = carry_out(ask(tmp_path / "t", WORDS.replace("5,none", "none"), "2,"))
    for name, values in runs(alone)["", 2].curve.items():
        if not name.endswith("_seconds") and name not in METERS:
            np.testing.assert_array_equal(values, runs(study)["hidden=none", 2].curve[name])


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


def test_folders_that_cannot_take_a_study(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="cannot be written"):
        prepare(ask(tmp_path / "file" / "s", WORDS))
    with pytest.raises(StoreError, match="holds other files"):
        prepare(ask(tmp_path / "file", WORDS))
    with pytest.raises(StoreError, match="holds other files"):
        prepare(ask(tmp_path, WORDS))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(StoreError, match=r"holds no study: there is no study\.sqlite in it"):
        read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        prepare(ask(tmp_path / "s", WORDS))
    tmp_path.chmod(0o700)


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
        def on_evaluation(self, run: object, row: Evaluation) -> None:
            if row.epoch == 4:
                raise KeyboardInterrupt

    asked = ask(tmp_path / "s", WORDS, "1")
    with pytest.raises(KeyboardInterrupt):
        carry_out(asked, [Interrupting()])
    run = runs(read(tmp_path / "s"))["hidden=5", 0]
    assert (run.status, run.epochs, run.curve["epoch"].tolist()) == (Status.INTERRUPTED, 4, [2, 4])
    assert_same_curves(carry_out(asked), carry_out(ask(tmp_path / "t", WORDS, "1")))


def test_what_is_kept_can_be_had(tmp_path: Path) -> None:
    carry_out(ask(tmp_path / "s", WORDS, "1", keep="weights,predictions"))
    store = Store.open(tmp_path / "s")
    content = store.artifact("hidden=5", 0, "weights")
    assert content is not None
    assert {name: value.shape for name, value in load_weights(content).items()}["linears.0.weight"] == (5, 2)
    assert store.artifact("hidden=5", 0, "predictions") is not None
    assert store.artifact("hidden=5", 1, "weights") is None
    store.close()


def test_the_record_names_its_surroundings(tmp_path: Path) -> None:
    carry_out(ask(tmp_path / "s", WORDS, "1").replaced(command="paribus compare ..."))
    with sqlite3.connect(tmp_path / "s" / FILE) as database:
        ((text,),) = database.execute("SELECT description FROM environments").fetchall()
    database.close()
    facts = json.loads(text)
    assert facts["command"] == "paribus compare ..."
    assert facts["versions"]["torch"]
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["machine"]["cpus"] >= 1


# --- killed ---


def start(folder: Path, words: str, seeds: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "paribus", "compare", *words.split(), "--seeds", seeds, "--out", str(folder)]
    return subprocess.Popen([*command, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


LONG = "moons implementation=numpy,torch epochs=150 eval_every=5 init=default"


def test_killed_at_any_point_it_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """SIGKILL after ever longer waits, from before the folder stands to the middle of a run; then left to end."""
    whole = carry_out(ask(tmp_path / "whole", LONG, "3"))
    waits, killed = [0.3, 0.6, 0.9, 1.2, 1.6, 2.2], 0
    for wait in waits:
        process = start(tmp_path / "s", LONG, "3")
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert process.stderr is not None
        process.stderr.close()
        if (tmp_path / "s" / FILE).exists():
            try:
                study = read(tmp_path / "s")
            except StoreError:
                continue  # killed before the first transaction: nothing was recorded, nothing is lost
            for key, run in runs(study).items():
                assert run.status in (Status.DONE, Status.INTERRUPTED)
                theirs = runs(whole)[key].curve
                if run.status is Status.DONE:
                    assert len(run.curve["train_loss"]) == len(theirs["train_loss"])
                if run.curve:
                    rows = len(run.curve["train_loss"])
                    np.testing.assert_array_equal(run.curve["train_loss"], theirs["train_loss"][:rows])
    assert killed >= 3
    process = start(tmp_path / "s", LONG, "3")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert_same_curves(read(tmp_path / "s"), whole)


def test_a_second_process_is_refused_with_the_first_one_named(tmp_path: Path) -> None:
    process = start(tmp_path / "s", "moons implementation=numpy,torch epochs=100000 eval_every=5", "3")
    try:
        deadline = time.monotonic() + 60
        while not _running(tmp_path / "s"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(StoreError, match=f"carried out by another process: process {process.pid} on "):
            carry_out(ask(tmp_path / "s", "moons implementation=numpy,torch epochs=100000 eval_every=5", "3"))
    finally:
        process.kill()
        process.communicate()


def _running(folder: Path) -> bool:
    try:
        return any(run.status is Status.RUNNING for run in runs(read(folder)).values())
    except StoreError:
        return False


def test_the_lock_is_let_go_of(tmp_path: Path) -> None:
    for _ in range(2):
        with lock(tmp_path / "s"):
            pass


# --- the file ---


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    carry_out(ask(tmp_path / "s", WORDS, "1"))
    with sqlite3.connect(tmp_path / "s" / FILE) as database:
        database.execute("UPDATE study SET value = '99' WHERE key = 'schema_version'")
    database.close()
    with pytest.raises(StoreError, match=f"schema version 99, this Paribus reads up to {SCHEMA_VERSION}"):
        read(tmp_path / "s")
    with pytest.raises(StoreError, match="schema version 99"):
        prepare(ask(tmp_path / "s", WORDS, "2"))


def test_a_file_that_is_no_record(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("hello" * 1000)
    with pytest.raises(StoreError, match=r"study\.sqlite is not a study's record"):
        read(tmp_path)


@pytest.mark.parametrize("network", [True, False])
def test_where_write_ahead_logging_cannot_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: bool) -> None:
    monkeypatch.setattr(store_module, "on_network", lambda _: network)
    study = carry_out(ask(tmp_path / "s", WORDS, "1"))
    header = (tmp_path / "s" / FILE).read_bytes()[18:20]
    assert header == (b"\x01\x01" if network else b"\x02\x02")  # 1: rollback journal, 2: write-ahead log
    assert_same_curves(study, read(tmp_path / "s"))


def test_a_curve_of_150_evaluations_is_at_most_10_kb(tmp_path: Path) -> None:
    carry_out(ask(tmp_path / "s", "moons hidden=20,19 epochs=450 eval_every=3 init=default", "10"))
    size = (tmp_path / "s" / FILE).stat().st_size / 20
    assert size <= 10_000


def test_a_curve_in_chunks_is_the_curve(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s")
    asked = ask(tmp_path / "x", WORDS, "1")
    study = carry_out(asked)
    task = store.add_task(study.arms[0].runs[0].task, None)
    run = store.start(
        store.add_arm("a", {}), 0, task=task, environment=store.add_environment({}), plan=(1, "hash"), timed=False
    )
    values = np.random.default_rng(0).standard_normal(40)
    for i, value in enumerate(values):
        store.append(run, Evaluation(i, i / 7, i * 0.1, i * 0.01, {"train_loss": float(value)}))
        if i % 7 == 0:
            store.flush(run)
    store.flush(run)
    before = store.read().arms[0].runs[0].curve
    store.end(run, Outcome(Status.DONE, 6))
    after = store.read().arms[0].runs[0].curve
    store.close()
    for curve in (before, after):
        np.testing.assert_array_equal(curve["train_loss"], values)
        assert curve["step"].tolist() == list(range(40))


@pytest.mark.parametrize("name", ["a/b", "../x", "学", "", "x" * 300, "a\x00b", "<script>", "...", "con*?", "a'b\"c"])
def test_any_name_is_a_safe_folder(name: str) -> None:
    folder = folder_name(name)
    assert folder
    assert len(folder) <= 90
    assert not set(folder) & set('/\\\x00<>:"|?* ')
    assert not folder.startswith(".")
    assert folder_name(name) == folder


# --- workers ---


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


def test_killed_before_the_first_line_the_folder_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / FILE).touch()
    with pytest.raises(StoreError, match="holds no study yet"):
        read(tmp_path / "s")
    assert len(carry_out(ask(tmp_path / "s", WORDS, "1")).arms) == 2


def test_each_run_is_drawn_over_its_own_data(tmp_path: Path) -> None:
    study = carry_out(ask(tmp_path / "s", "moons,blobs epochs=1 split=fixed,by_seed", "1"))
    drawn = {arm.name: arm.runs[0].points for arm in study.arms}
    arrays = [points["train_x"] for points in drawn.values() if points is not None]
    assert len(arrays) == 4
    assert len({array.tobytes() for array in arrays}) == 4


def test_seeds_are_those_recorded_and_those_asked_for_last(tmp_path: Path) -> None:
    class Stopping(KillingWorkers):
        def on_run_begin(self, run: object) -> None:
            if getattr(run, "seed", None) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(ask(tmp_path / "s", WORDS, "900"), [Stopping(0)])
    assert carry_out(ask(tmp_path / "s", WORDS, "2")).seeds == [0, 1, 2]


def test_an_observer_that_fails_is_no_fault_of_the_runs(tmp_path: Path) -> None:
    class Full(KillingWorkers):
        def on_evaluation(self, run: object, row: Evaluation) -> None:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        carry_out(ask(tmp_path / "s", WORDS, "1"), [Full(0)])
    assert {run.status for run in runs(read(tmp_path / "s")).values()} == {Status.INTERRUPTED}


@pytest.mark.parametrize("implementation", ["numpy", "fused"])
def test_what_a_running_run_has_come_to(tmp_path: Path, implementation: str) -> None:
    seen: list[tuple[float, str, list[str]]] = []

    class Looking(KillingWorkers):
        def on_evaluation(self, run: object, row: Evaluation) -> None:
            assert isinstance(run, Run)
            study = read(tmp_path / "s")
            (own,) = (
                arm.runs[0] for arm in study.arms if arm.settings["model.hidden"] == run.settings.flat()["model.hidden"]
            )
            seen.append((row.epoch, own.status, [one.status for one in runs(study).values()]))

    carry_out(ask(tmp_path / "s", f"{WORDS} implementation={implementation}", "1"), [Looking(0)])
    assert sorted(epoch for epoch, _, _ in seen) == [2, 2, 4, 4, 6, 6]
    assert {own for _, own, _ in seen} == {"running"}
    if implementation == "numpy":  # one run after another; fused ones may end in any order
        assert seen[2] == (6, "running", ["running"])
        assert seen[5] == (6, "running", ["done", "running"])


def test_200_runs_under_20_kills_are_the_runs_of_an_undisturbed_study(tmp_path: Path) -> None:
    words = "moons lr=0.01,0.02,0.05,0.1 epochs=60 eval_every=20 init=default"
    whole = carry_out(ask(tmp_path / "whole", words, "50"))
    rng = np.random.default_rng(0)
    kills = 0
    while kills < 20:
        process = start(tmp_path / "s", words, "50")
        try:
            process.communicate(timeout=float(rng.uniform(0.5, 1.3)))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
        else:
            break  # all done before the twentieth kill
    assert kills >= 5
    process = start(tmp_path / "s", words, "50")
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert_same_curves(read(tmp_path / "s"), whole)
    with sqlite3.connect(tmp_path / "s" / FILE) as database:
        done = database.execute(
            "SELECT arm, seed, count(*) FROM runs WHERE status = 'done' GROUP BY arm, seed"
        ).fetchall()
    database.close()
    assert len(done) == 200  # none lost
    assert {count for _, _, count in done} == {1}  # none twice


def test_workers_end_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    words = "moons lr=0.1,0.2 epochs=1000000 eval_every=1000000 implementation=torch"
    command = [sys.executable, "-m", "paribus", "compare", *words.split(), "--seeds", "1", "--jobs", "2"]
    driver = subprocess.Popen([*command, "--out", str(tmp_path / "s"), "--quiet"])
    try:
        workers: list[psutil.Process] = []
        deadline = time.monotonic() + 120
        while not (_running(tmp_path / "s") and len(workers) >= 2):
            assert time.monotonic() < deadline
            time.sleep(0.1)
            workers = [one for one in psutil.Process(driver.pid).children() if "spawn_main" in command_of(one)]
        time.sleep(3)  # the workers are in the middle of an epoch that they will not see the end of
        children = psutil.Process(driver.pid).children(recursive=True)
        assert len(children) >= 2
    finally:
        driver.kill()
        driver.communicate()
    _, alive = psutil.wait_procs(children, timeout=60)
    for one in alive:
        one.kill()
    assert alive == []


def test_a_store_that_fails_is_what_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "end", full)
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        carry_out(ask(tmp_path / "s", WORDS, "1").replaced(jobs=2))
