"""The contract of an executor: whoever carries runs out, the records are the same. Those of Dask's are skipped where it
is not installed."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

import paribus
from paribus.config.overrides import SettingsError
from paribus.config.user_code import received, user_defined
from paribus.execution import batches, futures, waiting
from paribus.execution.base import ExecutorError
from paribus.execution.batches import contents_of, write_contents
from paribus.execution.waiting import Waiting
from paribus.extras import installed
from paribus.records.record import Evaluation, Outcome, Status, StudyRecord
from paribus.records.run import Callback, Run
from paribus.study.file import read_file
from paribus.study.loops import loop_design
from paribus.study.resuming import CHECKPOINTS
from paribus.study.runner import OUTPUT, carry_out
from paribus.study.spec import loop_request
from tests.helpers import ask, assert_same_curves, runs, statuses, wait_until

WORDS = "moons implementation=fused,numpy,torch epochs=6 eval_every=2 init=default"

needs_dask = pytest.mark.skipif(
    not installed("distributed"), reason='Dask is not installed: pip install "paribus[dask]"'
)


@contextmanager
def of_dask(workers: int) -> Iterator[dict[str, Any]]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield {"executor": client}


@contextmanager
def made(name: str) -> Iterator[dict[str, Any]]:
    """What a study is given so that its runs are carried out there."""
    with ExitStack() as stack:
        if name == "in process":
            yield {}
        elif name == "processes":
            yield {"jobs": 2}
        elif name == "threads":
            yield {"executor": stack.enter_context(ThreadPoolExecutor(2))}
        elif name == "process pool":
            yield {"executor": stack.enter_context(pool())}
        else:
            yield stack.enter_context(of_dask(int(name.split()[1])))


def pool() -> ProcessPoolExecutor:
    found = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    found.submit(int).result()  # its process is there from the beginning on
    return found


@pytest.fixture(
    scope="module",
    params=[
        "in process",
        "processes",
        "threads",
        "process pool",
        pytest.param("dask 1 worker", marks=needs_dask),
        pytest.param("dask 2 workers", marks=needs_dask),
        pytest.param("dask 8 workers", marks=[needs_dask, pytest.mark.slow]),
    ],
)
def where(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    with made(request.param) as given:
        yield given


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    with of_dask(1) as given:
        yield given["executor"]


# --- the same records ---


def test_the_records_are_the_same(where: dict[str, Any], tmp_path: Path) -> None:
    alone = carry_out(ask(tmp_path / "alone", WORDS, "3", keep="weights"))
    study = carry_out(ask(tmp_path / "s", WORDS, "3", keep="weights").replaced(**where))
    assert_same_curves(study, alone)
    assert {run.status for run in runs(study).values()} == {Status.DONE}
    for key, run in runs(study).items():
        theirs = runs(alone)[key]
        assert run.task.fingerprint == theirs.task.fingerprint
        assert run.environment["versions"] == theirs.environment["versions"]
        assert run.attempt == 1


def test_the_users_module_and_metric_are_the_same(where: dict[str, Any], tmp_path: Path) -> None:
    from torch import nn

    calls = []

    def small() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 5), nn.Dropout(0.2), nn.Tanh(), nn.Linear(5, 2))

    def mine(targets: np.ndarray, predicted: np.ndarray) -> float:
        calls.append(1)  # each run has a copy, in which this is its own
        return float(np.mean(targets == predicted)) + len(calls)

    def study(folder: str, **more: Any) -> StudyRecord:
        return paribus.compare(
            "moons", model={"small": small}, lr=[0.1, 0.2], metrics={"mine": mine}, epochs=3, seeds=2,
            out=tmp_path / folder, **more,
        ).record  # fmt: skip

    assert_same_curves(study("s", **where), study("alone"))
    assert calls == []


def loop(run: paribus.LoopRun, scale: float) -> dict[str, float]:
    """It saves, writes a file, and draws from the plan and from a global generator."""
    state = run.load() or {"x": run.generator().normal()}
    for epoch in range(len(state) - 1, 4):
        state[f"{epoch}"] = state["x"] = state["x"] * scale + np.random.random()  # noqa: NPY002
        run.log(epoch=epoch + 1, error=state["x"])
        run.save(state)
    (run.output / "inner").mkdir()
    (run.output / "inner" / "x.txt").write_text(f"{state['x']:.17g}")
    return {"error": state["x"]}


def of_loop(folder: Path, **more: Any) -> StudyRecord:
    return paribus.compare(
        loop, scale=[0.5, 0.6], seeds=3, metric="error", lower=True, out=folder, **more
    ).record  # fmt: skip


def test_the_users_loop_is_the_same_with_the_files_that_it_writes(where: dict[str, Any], tmp_path: Path) -> None:
    assert_same_curves(of_loop(tmp_path / "s", **where), of_loop(tmp_path / "alone"))
    written = contents_of(tmp_path / "s" / OUTPUT)
    assert written == contents_of(tmp_path / "alone" / OUTPUT)
    assert len(written) == 6


def test_a_table_of_the_users_goes_along(where: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    mine = paribus.data(x, (x[:, 0] > 0).astype(int), name="mine")

    def study(folder: str, **more: Any) -> StudyRecord:
        return paribus.compare(mine, lr=[0.1, 0.2], epochs=2, seeds=2, out=tmp_path / folder, **more).record

    assert_same_curves(study("s", **where), study("alone"))


class Interrupting(Callback):
    """Ctrl-C after a number of evaluations."""

    def __init__(self, left: int) -> None:
        self.left = left

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_an_interrupted_study_goes_on_to_the_same_end(where: dict[str, Any], tmp_path: Path) -> None:
    words = "moons implementation=numpy,torch epochs=60 eval_every=2 init=default"
    whole = carry_out(ask(tmp_path / "whole", words, "2"))
    asked = ask(tmp_path / "s", words, "2").replaced(**where)
    with pytest.raises(KeyboardInterrupt):
        carry_out(asked, [Interrupting(45)])
    assert Status.INTERRUPTED in statuses(tmp_path / "s")
    assert_same_curves(carry_out(asked), whole)


def test_seeds_until_it_is_decided_are_the_same(where: dict[str, Any], tmp_path: Path) -> None:
    """More workers may have trained a few seeds more when it is looked at: the runs that both have are the same."""

    def found(folder: str, **more: Any) -> StudyRecord:
        return paribus.compare(
            "blobs", implementation="numpy", lr=[1e-6, 0.3], epochs=5, seeds="6..20",
            out=tmp_path / folder, **more,
        ).record  # fmt: skip

    alone, study = runs(found("alone")), runs(found("s", **where))
    assert len({seed for _, seed in study}) < 20  # it ended early
    both = alone.keys() & study.keys()
    assert {seed for _, seed in both} >= set(range(6))
    for key in both:
        assert study[key].status is Status.DONE
        for name in ("epoch", "train_loss", "test_accuracy"):
            np.testing.assert_array_equal(study[key].curve[name], alone[key].curve[name])


def test_a_study_file_names_its_executor(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text('task = "moons"\nexecutor = "slurm"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="--executor slurm is not allowed"):
        read_file(file)
    file.write_text('task = "moons"\nexecutor = 3\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="executor = 3 is not allowed: executor is dask:local, dask:tcp"):
        read_file(file)
    if installed("distributed"):
        file.write_text('task = "moons"\nexecutor = "dask:local"\n', encoding="utf-8")
        assert read_file(file).executor == "dask:local"


def test_one_run_that_fails_leaves_the_others(where: dict[str, Any], tmp_path: Path) -> None:
    def failing(seed: int) -> float:
        if seed == 1:
            raise ZeroDivisionError("seed 1")
        return float(seed)

    with pytest.warns(UserWarning, match="1 of 3 runs"):
        study = paribus.train(failing, seeds=3, metric="score", lower=True, out=tmp_path / "s", **where).record
    found = {key[1]: run for key, run in runs(study).items()}
    assert [found[seed].status for seed in range(3)] == ["done", "failed", "done"]
    assert "ZeroDivisionError: seed 1" in str(found[1].error)


# --- who ran, and what is refused ---


def test_the_environment_is_that_of_who_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = {"python": "3.0", "versions": {"numpy": "0.1"}, "machine": {"host": "the driver"}, "executable": "python"}
    monkeypatch.setattr("paribus.execution.environment.process_facts", lambda: mine)
    monkeypatch.setattr("paribus.execution.futures.process_facts", lambda: mine)
    heard: list[str] = []
    hearing = Callback()
    hearing.on_message = heard.append  # type: ignore[method-assign]
    with pool() as executor:
        study = carry_out(ask(tmp_path / "s", "moons epochs=1", "2").replaced(executor=executor), [hearing])
    for run in runs(study).values():
        assert run.environment["versions"] == {**run.environment["versions"], "numpy": np.__version__}
        assert run.environment["machine"]["host"] != "the driver"
    assert len([line for line in heard if f"numpy {np.__version__} (here 0.1)" in line]) == 1
    beside = carry_out(ask(tmp_path / "t", "moons epochs=1", "1"))
    assert [run.environment["versions"] for run in runs(beside).values()] == [{"numpy": "0.1"}]


@pytest.mark.parametrize("what", ["Paribus", "the version of the plan", "Python"])
def test_a_worker_of_another_version_is_refused(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(futures, "identity", lambda: {**batches.identity(), what: "0.0"})
    with ThreadPoolExecutor(1) as executor, pytest.raises(ExecutorError, match=rf"{what} is \S+ there, and 0\.0 here"):
        carry_out(ask(tmp_path / "s", "moons epochs=1", "2").replaced(executor=executor))
    assert statuses(tmp_path / "s") == []


def test_a_worker_with_other_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(run: Run) -> Any:
        info = replace(load_task(run).info, fingerprint="f" * 64)
        return SimpleNamespace(info=info)

    load_task = batches.load_task
    asked = ask(tmp_path / "s", "moons epochs=1 implementation=numpy", "1")
    with pool() as executor:
        monkeypatch.setattr(batches, "load_task", other)  # of the driver alone
        with pytest.raises(ExecutorError, match=r"of seed 0 have the fingerprint .* and ffffffffffff here"):
            carry_out(asked.replaced(executor=executor))
    assert statuses(tmp_path / "s") == []


class Lacking:
    """An executor whose workers lack a library."""

    def submit(self, function: Any, /, *arguments: Any) -> Any:
        done: Future[Any] = Future()
        done.set_exception(ModuleNotFoundError("No module named 'paribus'", name="paribus"))
        return done


def test_a_worker_that_lacks_a_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExecutorError, match=r"cannot import .* \(No module named 'paribus'\): install there"):
        carry_out(ask(tmp_path / "s", "moons epochs=1", "2").replaced(executor=Lacking()))
    assert statuses(tmp_path / "s") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timing": True}, "--timing and --executor exclude each other"),
        ({"jobs": 2}, "--jobs 2 has no effect with this --executor"),
        ({"timeout": 5.0}, "--timeout 5 cannot be had with --executor"),
        ({"executor": "slurm"}, "--executor slurm is not allowed: executor is dask:tcp://HOST:PORT"),
        ({"executor": "dask:"}, "--executor dask: is not allowed"),
        ({"executor": 3}, "executor=3 is not allowed"),
        ({"executor": ThreadPoolExecutor}, "executor=<class .*> is not allowed"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_made(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(SettingsError, match=said):
        paribus.compare("moons", lr=[0.1, 0.2], epochs=1, out=tmp_path / "s", **{"executor": executor, **options})
    assert not (tmp_path / "s").exists()


def test_without_dask_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match=r'needs Dask, which is not installed: pip install "paribus\[dask\]"'):
        ask(tmp_path / "s", "moons epochs=1", "2").replaced(executor="dask:local")


# --- batches ---


@given(
    arms=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    seconds=st.floats(0, 1e6) | st.just(float("nan")),
    at_once=st.none() | st.integers(1, 50),
)
def test_batches_are_of_one_arm_each_and_lose_nothing(arms: list[int], seconds: float, at_once: int | None) -> None:
    wanted = [SimpleNamespace(settings=arm, seed=seed) for seed, arm in enumerate(arms)]
    left_over: Any = Waiting(wanted, lambda _: seconds)  # type: ignore[arg-type]
    found = []
    while left_over:
        left = len(left_over)
        batch = left_over.batch(at_once)
        assert len(left_over) == left - len(batch) < left
        assert len({run.settings for run in batch}) == 1
        assert [run.seed for run in batch] == sorted(run.seed for run in batch)
        assert len(batch) == 1 or len(batch) * seconds <= 30
        assert at_once is None or len(batch) <= -(-left // (2 * at_once))
        found += [run.seed for run in batch]
    assert sorted(found) == list(range(len(arms)))


class Slowly(ThreadPoolExecutor):
    """Counts the batches that it holds, and how many runs each has."""

    def __init__(self) -> None:
        super().__init__(2)
        self.held, self.most, self.sizes = 0, 0, list[int]()

    def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Any:
        self.held += 1
        self.most = max(self.most, self.held)
        _, batch, things = arguments
        with received(things):
            self.sizes.append(len(pickle.loads(batch)["runs"]))
        future = super().submit(function, *arguments, **more)
        future.add_done_callback(lambda _: setattr(self, "held", self.held - 1))
        return future


def test_no_more_is_sent_than_workers_hold_and_a_loop_goes_in_batches_once_it_was_timed(tmp_path: Path) -> None:
    with Slowly() as executor:
        study = paribus.train(quick, seeds=60, metric="score", lower=True, out=tmp_path / "s", executor=executor)
    assert study.record.seeds == list(range(60))
    assert all(run.status is Status.DONE for run in study.record.arms[0].runs)
    assert executor.most <= 4
    assert executor.sizes[:4] == [1, 1, 1, 1]
    assert max(executor.sizes) > 10
    assert sum(executor.sizes) == 60


def quick(run: paribus.LoopRun) -> float:
    return float(run.seed)


def test_a_file_goes_nowhere_but_into_its_runs_folder(tmp_path: Path) -> None:
    for name in ("../x", "/x", "a/../../x"):
        with pytest.raises(ValueError, match="lies outside"):
            write_contents(tmp_path / "run", {name: b""})
    assert list(tmp_path.iterdir()) == []


# --- workers that die ---


def dying(seed: int, run: paribus.LoopRun) -> float:
    run.log(score=0.0, step=1)
    if seed == 1:
        time.sleep(0.6)  # until what it has logged is sent
        run.log(score=0.0, step=2)
        run.log(score=0.0, step=3)
        os.kill(os.getpid(), signal.SIGKILL)
    return float(seed)


@needs_dask
def test_a_run_that_kills_its_worker_twice_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All in one batch, so that the others lose their worker with it."""
    monkeypatch.setattr(futures.Futures, "_seconds_of", lambda *_: 0.01)
    monkeypatch.setattr(waiting, "AHEAD", 1)
    with of_dask(1) as given, pytest.warns(UserWarning, match="1 of 4 runs"):
        study = paribus.train(dying, seeds=4, metric="score", lower=True, out=tmp_path / "s", **given).record
    found = {key[1]: run for key, run in runs(study).items()}
    assert [found[seed].status for seed in range(4)] == ["done", "failed", "done", "done"]
    assert found[1].error == "its worker died 2 times"
    assert [found[seed].attempt for seed in range(4)] == [1, 2, 1, 1]


def test_a_pool_that_breaks_is_said_and_what_is_recorded_stays(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"seeds": 3, "metric": "score", "lower": True, "out": tmp_path / "s"}
    with pool() as executor, pytest.raises(ExecutorError, match=r"takes no more runs \(BrokenProcessPool: .*go"):
        paribus.train(dying, executor=executor, **asked)
    assert Status.DONE in statuses(tmp_path / "s")


# --- Dask alone ---


class Watching(Callback):
    def __init__(self) -> None:
        self.at: list[tuple[str, float]] = []
        self.lines: list[str] = []

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.at.append(("evaluation", time.monotonic()))

    def on_run_end(self, run: Run, outcome: Outcome) -> None:
        self.at.append(("end", time.monotonic()))

    def on_message(self, line: str) -> None:
        self.lines.append(line)


def slow(run: paribus.LoopRun) -> float:
    before = run.load() or {"at": 0}
    for step in range(before["at"], 12):
        time.sleep(0.25)
        run.log(score=float(step))
        run.save({"at": step + 1})
    return 0.0


@needs_dask
def test_runs_are_seen_while_they_go_on_and_checkpoints_come_back(dask: Any, tmp_path: Path) -> None:
    watching = Watching()

    class Ending(Watching):
        def on_evaluation(self, run: Run, row: Evaluation) -> None:
            super().on_evaluation(run, row)
            if len(self.at) == 6:
                raise KeyboardInterrupt

    asked = loop_request(
        lambda: loop_design([user_defined(slow)], {}, None), "slow", compare=False,
        seeds=[0], metric="score", out=tmp_path / "s", executor=dask,
    )  # fmt: skip
    ending = Ending()
    with pytest.raises(KeyboardInterrupt):
        carry_out(asked, [ending])
    assert list((tmp_path / "s" / CHECKPOINTS).iterdir())
    assert ending.at[-1][1] - ending.at[0][1] > 0.5  # not all at once, when it is done
    study = carry_out(asked, [watching])
    (run,) = runs(study).values()
    assert (run.status, run.attempt) == ("done", 2)
    assert run.curve["score"].tolist() == [*range(11), 0.0]
    assert len([what for what, _ in watching.at if what == "evaluation"]) < 11  # it went on, from the middle


@needs_dask
def test_a_worker_stops_when_nobody_waits(dask: Any, tmp_path: Path) -> None:
    asked = ask(tmp_path / "s", "moons implementation=torch epochs=100000 eval_every=1", "1").replaced(executor=dask)
    with pytest.raises(KeyboardInterrupt):
        carry_out(asked, [Interrupting(5)])

    def busy() -> bool:
        return any(dask.run(lambda dask_worker: len(dask_worker.state.executing)).values())

    wait_until(lambda: not busy(), "the worker stops")
    words = "moons implementation=torch epochs=100000 eval_every=1 init=default"
    command = [sys.executable, "-m", "paribus", "train", *words.split(), "--out", str(tmp_path / "t"), "--quiet"]
    driver = subprocess.Popen([*command, "--executor", f"dask:{dask.scheduler.address}"])
    wait_until(busy, "another study begins")
    driver.kill()
    driver.wait()
    wait_until(lambda: not busy(), "the worker stops when its driver was killed")


@needs_dask
def test_data_go_with_the_batch_where_a_worker_leaves_while_they_are_spread(
    dask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler looks up a worker that it has just lost."""

    def scatter(*_: Any, **__: Any) -> Any:
        raise KeyError("tcp://127.0.0.1:34063")

    monkeypatch.setattr(dask, "scatter", scatter)
    study = paribus.train(quick, seeds=3, metric="score", out=tmp_path / "s", executor=dask).record
    assert [run.status for run in study.arms[0].runs] == ["done"] * 3


@needs_dask
def test_a_killed_driver_goes_on_with_what_is_missing(dask: Any, tmp_path: Path) -> None:
    words = "moons implementation=numpy,torch epochs=400 eval_every=5 init=default"
    whole = carry_out(ask(tmp_path / "whole", words, "2"))
    address = f"dask:{dask.scheduler.address}"
    command = [sys.executable, "-m", "paribus", "compare", *words.split(), "--seeds", "2", "--executor", address]
    command += ["--out", str(tmp_path / "s"), "--quiet"]
    driver = subprocess.Popen(command)
    wait_until(lambda: Status.DONE in statuses(tmp_path / "s"), "a run is done")
    driver.kill()
    driver.wait()
    study = carry_out(ask(tmp_path / "s", words, "2").replaced(executor=address))
    assert_same_curves(study, whole)


@needs_dask
def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paribus.execution.cluster._CONNECT_SECONDS", 1.0)
    (tmp_path / "empty.json").write_text("{}")
    for where in ("tcp://127.0.0.1:9", str(tmp_path / "no.json"), str(tmp_path / "empty.json")):
        with pytest.raises(ExecutorError, match="no scheduler of Dask's answers there"):
            carry_out(ask(tmp_path / "s", "moons epochs=1", "1").replaced(executor=f"dask:{where}"))


@needs_dask
def test_a_scheduler_file_and_an_address_that_others_reach(tmp_path: Path) -> None:
    from distributed import LocalCluster

    hosts = [one.address for all_ in psutil.net_if_addrs().values() for one in all_ if one.family.name == "AF_INET"]
    others = [host for host in hosts if not host.startswith("127.")]
    if not others:
        pytest.skip("this machine has no address but its own")
    watching = Watching()
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host=others[0],
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        (tmp_path / "scheduler.json").write_text(json.dumps(cluster.scheduler.identity()))
        asked = ask(tmp_path / "s", "moons epochs=1 implementation=numpy", "2")
        carry_out(asked.replaced(executor=f"dask:{tmp_path / 'scheduler.json'}"), [watching])
    assert [line for line in watching.lines if line.startswith(f"tcp://{others[0]}:")]
