"""What several test files need."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import psutil

from paribus.backends.base import backend_of
from paribus.backends.stepwise import StepwiseBackend
from paribus.commands import described
from paribus.config.settings import Settings
from paribus.plan import Plan
from paribus.records.metrics import METERS
from paribus.records.record import Evaluation, RunRecord, Status, StudyRecord
from paribus.records.run import Callback, Run
from paribus.study.checksums import seal_all
from paribus.study.driver import carried_out
from paribus.study.reading import read
from paribus.study.runner import carry_out
from paribus.study.spec import StudySpec
from paribus.study.store import FILE, StoreError, connected
from paribus.tasks import Task
from paribus.training.learner import Learner


def make_learner(settings: Settings, task: Task, plan: Plan) -> Learner:
    """The learner of a backend that takes one step at a time, at the plan's initial values."""
    backend = backend_of(settings)
    assert isinstance(backend, StepwiseBackend)
    return backend.make_learner(settings, task, plan)


WORDS = "moons hidden=5,none epochs=6 eval_every=2 init=default"


def ask(
    folder: Path, words: str, seeds: str = "2", keep: str | None = None, metric: str = "test_accuracy"
) -> StudySpec:
    task, *rest = words.split()
    return described(task, rest, compare="," in words, seeds=seeds, out=folder, metric=metric, keep=keep)


@contextmanager
def edited(folder: Path) -> Iterator[sqlite3.Connection]:
    """A study's database, to write into it what stands there as if Paribus had: its checksums are made anew."""
    with closing(connected(folder / FILE)) as database:
        yield database
        database.execute("DELETE FROM checksums")
        seal_all(database)


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


# --- processes that are killed ---


_PATIENCE = 120
"""Seconds after which something that is waited for counts as not coming: no test is right or wrong by a time."""


def wait_until(reached: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def statuses(folder: Path) -> list[Status]:
    """Those of a study's runs, in whatever state the folder is."""
    try:
        return [run.status for run in runs(read(folder)).values()]
    except StoreError:
        return []


def kill(pid: int, folder: Path) -> None:
    """And wait until the folder is free: a program that was just being started holds it for another moment."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not carried_out(folder), f"{folder} is let go of")


def begun(folder: Path, words: str, seeds: str, killed_after: int | None = None) -> multiprocessing.process.BaseProcess:
    """A study, in a process of its own that has imported everything before it begins.

    `killed_after`: evaluations after which it kills itself.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.helpers"])
    process = context.Process(target=_carry_out, args=(folder, words, seeds, killed_after))
    process.start()
    return process


def _carry_out(folder: Path, words: str, seeds: str, killed_after: int | None) -> None:
    carry_out(ask(folder, words, seeds), [] if killed_after is None else [_Killing(killed_after)])


class _Killing(Callback):
    """SIGKILL for this process after a number of evaluations; 0 is at the first run's begin."""

    def __init__(self, after: int) -> None:
        self.left = after

    def on_run_begin(self, run: Run) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.left -= 1
        self.on_run_begin(run)


def killed_when(reached: Callable[[], bool], folder: Path, words: str, seeds: str) -> None:
    """Carry a study out, and kill its process as soon as something has come to pass."""
    process = begun(folder, words, seeds)
    try:
        wait_until(lambda: reached() or not process.is_alive(), "a study in a process of its own")
        assert process.pid is not None
        kill(process.pid, folder)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL, "it came to its end before it was killed"


def kills_itself(folder: Path, words: str, seeds: str, after: int) -> None:
    """Carry a study out in a process that SIGKILL ends after as many evaluations, whatever its threads do then.

    Nobody has to look at the right moment, as `killed_when` has to.
    """
    process = begun(folder, words, seeds, killed_after=after)
    process.join(_PATIENCE)
    assert process.exitcode == -signal.SIGKILL, "it came to its end before it was killed"


def let_end(folder: Path, words: str, seeds: str) -> StudyRecord:
    """Carry a study out in a process of its own, to its end."""
    process = begun(folder, words, seeds)
    process.join(_PATIENCE)
    assert process.exitcode == 0
    return read(folder)
