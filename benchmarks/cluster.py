"""What an executor adds: growth with workers, the driver's share, and what is lost where workers and drivers are killed.

    python benchmarks/cluster.py growth             # 1, 2, 4, 8 workers of Dask's, 1,250 runs of 50 ms for each
    python benchmarks/cluster.py driver             # 200 workers that only answer: the driver's processor time a row
    python benchmarks/cluster.py evaluations        # 100,000 evaluations through a cluster: a minute? memory flat?
    python benchmarks/cluster.py kills              # 1,000 runs, 20 SIGKILLs at workers and 3 at the driver

Runs sleep in place of training, so that more workers than cores can be looked at: what is measured is what Paribus and
Dask add. All of it takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import paribus
from paribus.config.user_code import received
from paribus.execution.batches import Begins, Report
from paribus.execution.environment import process_facts
from paribus.records.record import Evaluation, Outcome, Status, StudyRecord

WORKERS = 8


def asleep(run: paribus.LoopRun, seconds: float = 0.05, evaluations: int = 1) -> None:
    """A run that takes its time, and whose curve its seed fixes."""
    rng = np.random.default_rng(run.seed)
    for i in range(evaluations):
        time.sleep(seconds / evaluations)
        run.log(epoch=i + 1, score=float(rng.random()))


# --- growth ---


def growth(runs_each: int) -> None:
    print(f"{'workers':>8}{'runs':>8}{'seconds':>9}{'efficiency':>12}{'driver ms/run':>15}")
    for workers in (1, 2, 4, 8):
        with cluster(workers) as client, tempfile.TemporaryDirectory() as folder:
            runs = runs_each * workers
            paribus.train(asleep, seeds=2 * workers, metric="score", out=Path(folder) / "warm", executor=client)
            began, cpu = time.perf_counter(), time.process_time()
            paribus.train(asleep, seeds=runs, metric="score", out=Path(folder) / "s", executor=client)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        print(
            f"{workers:8}{runs:8}{seconds:9.1f}{runs_each * 0.05 / seconds:12.1%}{1000 * cpu / runs:15.2f}", flush=True
        )


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """A cluster of Dask's on this machine; each worker a process."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as made,
        Client(made, set_as_default=False) as client,
    ):
        yield client


# --- the driver alone ---


class Answering:
    """A pool whose workers answer at once, with what runs of so many evaluations would tell. `seconds`: of processor
    time, that workers would spend."""

    def __init__(self, workers: int, evaluations: int) -> None:
        self._max_workers, self._evaluations = workers, evaluations
        self._begins, self.seconds = Begins(process_facts()), 0.0

    def submit(self, _: Any, __: Any, batch: bytes, things: bytes) -> Future[Report]:
        began = time.process_time()
        with received(things):
            count = pickle.loads(batch)["runs"]
        done: Future[Report] = Future()
        events: list[Any] = []
        for number in range(len(count)):
            events.append((number, self._begins))
            events += [
                (number, Evaluation(step=i + 1, epoch=float(i + 1), train_seconds=0.01 * i, eval_seconds=0.0,
                                    metrics={"score": 1 / (i + 1)}))
                for i in range(self._evaluations)
            ]  # fmt: skip
            events.append((number, Outcome(status=Status.DONE, epochs=self._evaluations)))
        done.set_result(Report(seconds=0.05 * len(count), events=tuple(events)))
        self.seconds += time.process_time() - began
        return done


def driver(runs: int) -> None:
    print(f"{'evaluations a run':>18}{'rows':>9}{'ms of CPU a row':>17}{'rows a minute':>15}{'peak MB':>9}")
    for evaluations in (1, 10, 100):
        with tempfile.TemporaryDirectory() as folder:
            began, cpu = time.perf_counter(), time.process_time()
            pool = Answering(200, evaluations)
            paribus.train(asleep, seeds=runs, metric="score", out=Path(folder) / "s", executor=pool)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu - pool.seconds
            rows = runs * evaluations
            peak = psutil.Process().memory_info().rss / 2**20
        print(f"{evaluations:18}{rows:9}{1000 * cpu / rows:17.3f}{60 * rows / seconds:15,.0f}{peak:9.0f}", flush=True)


# --- many evaluations ---


def many_evaluations() -> None:
    """Through Dask: two workers, and the memory of the driver while rows arrive."""
    seen: list[tuple[int, float]] = []
    with cluster(2) as client, tempfile.TemporaryDirectory() as folder:
        for runs in (25, 100):
            words = {"metric": "score", "seconds": 0.0, "evaluations": 1000, "executor": client}
            began, cpu = time.perf_counter(), time.process_time()
            paribus.train(asleep, seeds=runs, out=Path(folder) / str(runs), **words)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            seen.append((runs * 1000, psutil.Process().memory_info().rss / 2**20))
            print(f"{runs * 1000} evaluations: {seconds:.1f} s, {60 * runs * 1000 / seconds:,.0f} a minute, "
                  f"{1000 * cpu / runs / 1000:.3f} ms of the driver's CPU a row, {seen[-1][1]:.0f} MB")  # fmt: skip


# --- kills ---

DRIVER = """
import sys
sys.path.insert(0, {here!r})
import paribus
from cluster import asleep
if __name__ == "__main__":
    paribus.train(asleep, seeds={runs}, seconds={seconds}, evaluations=5, metric="score", out={out!r}, executor="dask:{file}")
"""


def kills(runs: int, seconds: float, seed: int) -> None:
    """The same study twice: undisturbed, and with workers and drivers killed; their records are equal."""
    with tempfile.TemporaryDirectory() as folder, scheduled(Path(folder)) as file:
        plain = _study(Path(folder) / "plain", file, runs, seconds, [])
        print(f"undisturbed: {plain:.0f} s", flush=True)
        rng = random.Random(seed)
        when = sorted([*((rng.uniform(5, 0.9 * plain), "worker") for _ in range(20)),
                       *((rng.uniform(5, 0.9 * plain), "driver") for _ in range(3))])  # fmt: skip
        disturbed = _study(Path(folder) / "killed", file, runs, seconds, when)
        first, second = (paribus.open(Path(folder) / name).record for name in ("plain", "killed"))
        _compare(first, second, runs)
        tried = sum(run.attempt - 1 for arm in second.arms for run in arm.runs)
    print(f"{runs} runs of {seconds:g} s on {WORKERS} workers: {plain:.0f} s undisturbed, {disturbed:.0f} s with 20 workers and "
          f"3 drivers killed ({disturbed / plain - 1:+.0%}); records equal, {tried} runs tried again")  # fmt: skip


@contextmanager
def scheduled(folder: Path) -> Iterator[Path]:
    """A scheduler, and workers that their nannies start again; its file."""
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1",
              "--nworkers", str(WORKERS), "--no-dashboard", "--local-directory", str(folder)]  # fmt: skip
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    parts = [subprocess.Popen([*dask, "--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"], **quiet)]
    try:
        while not file.exists():
            time.sleep(0.1)
        parts.append(subprocess.Popen(worker, **quiet))
        _wait_for_workers(file)
        yield file
    finally:
        for part in parts:
            os.killpg(part.pid, signal.SIGKILL)


def _wait_for_workers(file: Path) -> None:
    from distributed import Client

    with Client(scheduler_file=str(file), set_as_default=False) as client:
        client.wait_for_workers(WORKERS, timeout=120)


def _study(out: Path, file: Path, runs: int, seconds: float, when: list[tuple[float, str]]) -> float:
    """Seconds until it is done; what is to be killed, and when, from its beginning."""
    script = DRIVER.format(here=str(Path(__file__).parent), runs=runs, seconds=seconds, out=str(out), file=file)
    command = [sys.executable, "-c", script]
    began, left = time.perf_counter(), list(when)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        time.sleep(0.05)
        if left and time.perf_counter() - began > left[0][0]:
            _, what = left.pop(0)
            if what == "driver":
                process.kill()
                process.wait()
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            elif found := _workers():
                random.choice(found).kill()
    assert process.stderr is not None
    assert process.returncode == 0, process.stderr.read().decode()[-3000:]
    assert not left, f"it was over before {left}"
    return time.perf_counter() - began


def _workers() -> list[psutil.Process]:
    """The processes that train: children of the nannies."""
    found = []
    for one in psutil.process_iter(["cmdline"]):
        line = " ".join(one.info["cmdline"] or [])
        if "multiprocessing.spawn" in line and "resource_tracker" not in line and "dask_worker" in _line(one.parent()):
            found.append(one)
    return found


def _line(process: psutil.Process | None) -> str:
    try:
        return " ".join(process.cmdline()) if process is not None else ""
    except psutil.Error:
        return ""


def _compare(first: StudyRecord, second: StudyRecord, runs: int) -> None:
    curves = [{run.seed: run for run in record.arms[0].runs} for record in (first, second)]
    assert all(len(one) == runs for one in curves), "every seed has a run"
    for seed, run in curves[0].items():
        other = curves[1][seed]
        assert run.status is other.status is Status.DONE, (seed, other.status, other.error)
        for name in ("step", "epoch", "score"):
            np.testing.assert_array_equal(run.curve[name], other.curve[name])


def main() -> None:
    """One of the four."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["growth", "driver", "evaluations", "kills"])
    parser.add_argument("--runs", type=int, help="growth: for each worker (1250); driver (10000); kills (1000)")
    parser.add_argument("--seconds", type=float, default=1.0, help="kills: that a run takes")
    parser.add_argument("--seed", type=int, default=0, help="kills: when")
    asked = parser.parse_args()
    if asked.what == "growth":
        growth(asked.runs or 1250)
    elif asked.what == "driver":
        driver(asked.runs or 10_000)
    elif asked.what == "evaluations":
        many_evaluations()
    else:
        kills(asked.runs or 1000, asked.seconds, asked.seed)


if __name__ == "__main__":
    main()
