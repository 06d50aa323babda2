"""Every test has a cache folder of its own, so that none reads what another machine's user left."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import hypothesis
import numpy as np
import psutil
import pytest
from platformdirs import user_cache_path

from paribus.backends.dispatch import resolve, train
from paribus.cli import main
from paribus.config.overrides import parse_overrides
from paribus.config.settings import Settings
from paribus.records.record import Evaluation, Outcome
from paribus.records.run import Callback, Run
from paribus.tasks import load
from paribus.training import sampling
from tests.slow import LIST

hypothesis.settings.register_profile("paribus", deadline=None)  # no test is right or wrong by a time
hypothesis.settings.load_profile("paribus")

T = TypeVar("T")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: one more than there are cores, as many tests wait for a process or a browser."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 1


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of the list, and the cases of `thinned` tests, that are left to `make slow`."""
    seen, slow = Counter[str](), frozenset(LIST.read_text(encoding="utf-8").splitlines())
    for item in items:
        if item.nodeid in slow:
            item.add_marker(pytest.mark.slow)
        thinned = item.get_closest_marker("thinned")
        if thinned is not None:
            test = item.nodeid.partition("[")[0]
            if seen[test] % thinned.args[0]:
                item.add_marker(pytest.mark.slow)
            seen[test] += 1


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    patch = pytest.MonkeyPatch()
    # what is compiled is kept: it is named by its source
    patch.setenv("PARIBUS_COMPILED", os.environ.get("PARIBUS_COMPILED") or str(user_cache_path("paribus") / "compiled"))
    patch.setenv("PARIBUS_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


_PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)
_LASTING = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "torch/_inductor")
"""Processes that Python and PyTorch start once and keep."""


@pytest.fixture(autouse=True, scope="session")
def _as_in_a_terminal() -> None:
    """Ctrl-C is answered, by tests and by what they start: under `nohup` or in a background job it may be ignored.

    And a process whose parent has ended becomes a child of the tests, so that it is seen.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@pytest.fixture(autouse=True)
def _nothing_left_behind(_as_in_a_terminal: None) -> Iterator[None]:
    """A test ends what it started, and leaves signals to be answered as they were."""
    before, answers = _children(), {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    yield
    for one, answer in answers.items():
        if signal.getsignal(one) is not answer and threading.current_thread() is threading.main_thread():
            signal.signal(one, answer)
    deadline = time.monotonic() + 60
    while (left := _left(before)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in left:
        process.kill()
    assert list(left.values()) == [], "the test left processes behind"


def _children() -> set[int]:
    """The processes that this one is the parent of."""
    if sys.platform != "linux":
        return {child.pid for child in psutil.Process().children()}
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def _left(before: set[int]) -> dict[psutil.Process, str]:
    """Children that were not there before and have not ended, with their commands."""
    left = {}
    for pid in _children() - before:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                command = " ".join(process.cmdline())
                if not any(word in command for word in _LASTING):
                    left[process] = command
    return left


class Recorder(Callback):
    """A callback that keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[Evaluation] = []
        self.outcomes: list[Outcome] = []

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self.rows.append(row)

    def on_run_end(self, run: Run, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def curve(self, metric: str) -> list[float]:
        return [row.metrics[metric] for row in self.rows]


def settings_of(text: str) -> Settings:
    """Settings from `task=moons lr=0.1 ...`."""
    return resolve({name: values[0] for name, values in parse_overrides(text.split()).items()})


@pytest.fixture
def fit() -> Callable[..., Recorder]:
    """Train one run from its words."""

    def fitted(words: str, seed: int = 0, keep: tuple[str, ...] = ("weights",)) -> Recorder:
        settings, recorder = settings_of(words), Recorder()
        train([Run(settings=settings, seed=seed, keep=frozenset(keep))], lambda _: load(settings, seed), recorder)
        return recorder

    return fitted


Called = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """As `paribus`, in this process: what is imported already is not imported again."""

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setattr(sys, "argv", ["paribus", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int | None)
        return subprocess.CompletedProcess(words, ended.value.code or 0, said.out, said.err)

    return command


def norm_gap(one: np.ndarray, other: np.ndarray, beside: np.ndarray | None = None) -> float:
    """|one - other| / |beside|, or / |other|: norms over everything."""
    scale = float(np.linalg.norm(other if beside is None else beside))
    return float(np.linalg.norm(one - other)) / max(scale, 1e-300)


def final_weights(recorder: Recorder) -> np.ndarray:
    weights = recorder.outcomes[0].weights
    assert weights is not None
    return np.concatenate([weights[name].ravel() for name in sorted(weights)])


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "up": lambda value: np.full(value.shape, np.inf),
    "down": lambda value: np.full(value.shape, -np.inf),
    "by turns": lambda value: np.where(np.arange(value.size).reshape(value.shape) % 2, np.inf, -np.inf),
}


def one_ulp(values: dict[str, np.ndarray], way: str) -> dict[str, np.ndarray]:
    """Every value moved by one unit in the last place."""
    return {name: np.nextafter(value, WAYS[way](value)) for name, value in values.items()}


ORDERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "turned around": lambda batch: batch[::-1].copy(),
    "rolled": lambda batch: np.roll(batch, 1),
    "every other first": lambda batch: np.concatenate([batch[::2], batch[1::2]]),
}


def drifts(
    monkeypatch: pytest.MonkeyPatch, where: ModuleType, nudged: Callable[[], T], ordered: Callable[[], T]
) -> tuple[list[T], list[T]]:
    """Runs that differ by rounding alone, one list for each of two causes.

    `nudged()` trains with every initial value moved by one unit in the last place, `where` looks `initial_values` up;
    `ordered()` with the examples of every batch in another order. The first cause acts once, so it tells little of
    training that magnifies what is added late; the second acts at every step.
    """
    plain, batches = where.initial_values, sampling.epochs
    moved, other = [], []
    for way in WAYS:
        with monkeypatch.context() as patch:
            patch.setattr(where, "initial_values", lambda *arguments, way=way: one_ulp(plain(*arguments), way))
            moved.append(nudged())
    for order in ORDERS.values():
        with monkeypatch.context() as patch:
            patch.setattr(
                sampling,
                "epochs",
                lambda *arguments, order=order: ([order(rows) for rows in epoch] for epoch in batches(*arguments)),
            )
            other.append(ordered())
    return moved, other


def largest_drift(read: Callable[[Any], np.ndarray], *families: tuple[Any, Sequence[Any]]) -> float:
    """The largest |read(run) - read(undisturbed)| in families of (undisturbed, runs), at least one epsilon."""
    gaps = [np.abs(read(run) - read(plain)).max() for plain, runs in families for run in runs]
    return max(float(np.finfo(float).eps), *gaps)
