"""Who trains: this process, or others. Workers return what happens; the driver alone writes."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from time import monotonic

from paribus.backends.base import backend_of
from paribus.backends.dispatch import train
from paribus.config.user_code import receive, send
from paribus.execution.base import TRIES, load_task
from paribus.records.checkpoint import Checkpoint
from paribus.records.record import Evaluation, Outcome, Status
from paribus.records.run import Callback, Run

_BEGINS = b"begins"
"""What a worker says when it has imported what a run needs."""
_IMPORT_SECONDS = 60.0
"""That a new process has before its run begins, which are no part of it."""


class InProcess:
    """In this process: runs of backends that train side by side in `threads` threads, all others one after another."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def carry_out(self, runs: Sequence[Run], callback: Callback) -> None:
        train(runs, load_task, callback, workers=self._threads)


class Both:
    """Runs of backends that train side by side in this process, in threads; then all others in as many processes."""

    def __init__(self, jobs: int) -> None:
        self._threads, self._processes = InProcess(jobs), Workers(jobs)

    def carry_out(self, runs: Sequence[Run], callback: Callback) -> None:
        together = [run for run in runs if backend_of(run.settings).side_by_side]
        self._threads.carry_out(together, callback)
        self._processes.carry_out([run for run in runs if run not in together], callback)


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    run: Run | None = None
    until: float = math.inf


class Workers:
    """`jobs` processes side by side; with `fresh` a new process for each run, so that none inherits a warm one. A run
    that takes more than `limit` seconds is ended, and failed.

    A run whose process dies is tried once more, then recorded as failed; the others go on. (loky's executor would end
    them all with it, and returns one result for a task where a run tells of each evaluation and checkpoint.)
    """

    def __init__(self, jobs: int, *, fresh: bool = False, limit: float | None = None) -> None:
        self._jobs, self._fresh, self._limit = jobs, fresh, limit
        self._context = multiprocessing.get_context("spawn")

    def carry_out(self, runs: Sequence[Run], callback: Callback) -> None:
        waiting, tries = deque(runs), dict.fromkeys(runs, 0)
        self._things = send(
            thing for run in runs for thing in (*run.settings.user_defined_parts().values(), *run.metrics)
        )
        workers: list[_Worker] = []
        try:
            while waiting or any(worker.run for worker in workers):
                while waiting and (worker := self._idle(workers)):
                    worker.run = waiting.popleft()
                    tries[worker.run] += 1
                    callback.on_run_begin(worker.run)
                    worker.connection.send(worker.run)
                    worker.until = math.inf if self._limit is None else monotonic() + self._limit + _IMPORT_SECONDS
                self._end_late(workers, callback)
                if not any(worker.run for worker in workers):
                    continue
                left = min((worker.until for worker in workers), default=math.inf) - monotonic()
                for ready in wait([one.connection for one in workers], None if left == math.inf else max(left, 0.0)):
                    worker = next(worker for worker in workers if worker.connection is ready)
                    try:
                        happened = worker.connection.recv()
                    except (EOFError, ConnectionError):
                        workers.remove(worker)
                        self._died(worker, tries, waiting, callback)
                        continue
                    if happened == _BEGINS:
                        worker.until = math.inf if self._limit is None else monotonic() + self._limit
                        continue
                    self._tell(worker, happened, callback)
                    if worker.run is None and self._fresh:
                        workers.remove(worker)
                        self._dismiss(worker)
        except BaseException:
            for worker in workers:
                worker.process.kill()
                if worker.run is not None:
                    with contextlib.suppress(Exception):  # what is on its way up is the reason to be told
                        callback.on_run_end(
                            worker.run, Outcome(status=Status.INTERRUPTED, epochs=0, error="by Ctrl-C or a signal")
                        )
            raise
        finally:
            for worker in workers:
                self._dismiss(worker)

    def _end_late(self, workers: list[_Worker], callback: Callback) -> None:
        """Of a run that takes too long the process is killed: it may not listen to anything milder."""
        for worker in [one for one in workers if one.run is not None and monotonic() >= one.until]:
            assert worker.run is not None
            workers.remove(worker)
            worker.process.kill()
            self._dismiss(worker)
            error = f"it took longer than {self._limit:g} s, its time limit"
            callback.on_run_end(worker.run, Outcome(status=Status.FAILED, epochs=0, error=error))

    def _idle(self, workers: list[_Worker]) -> _Worker | None:
        for worker in workers:
            if worker.run is None:
                return worker
        if len(workers) >= self._jobs:
            return None
        here, there = self._context.Pipe()
        process = self._context.Process(target=_work, args=(there, os.environ.get(_SAFE_PATH)), daemon=True)
        with (
            _ctrl_c_ignored(),
            main_left_alone(),
            _nothing_from_the_current_folder(),
        ):  # and so by the worker from its first line on: Ctrl-C is the driver's to answer
            process.start()
        there.close()
        here.send_bytes(self._things)
        workers.append(_Worker(process, here))
        return workers[-1]

    @staticmethod
    def _tell(worker: _Worker, happened: Evaluation | Checkpoint | Outcome | str, callback: Callback) -> None:
        assert worker.run is not None
        match happened:
            case str():
                callback.on_message(happened)
            case Evaluation():
                callback.on_evaluation(worker.run, happened)
            case Checkpoint():
                callback.on_checkpoint(worker.run, happened)
            case Outcome():
                callback.on_run_end(worker.run, happened)
                if happened.begins_again:
                    callback.on_run_begin(worker.run)
                else:
                    worker.run = None

    def _died(self, worker: _Worker, tries: dict[Run, int], waiting: deque[Run], callback: Callback) -> None:
        self._dismiss(worker)
        if worker.run is None:
            return
        code = worker.process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        again = tries[worker.run] < TRIES
        callback.on_run_end(
            worker.run,
            Outcome(
                status=Status.FAILED,
                epochs=0,
                error=f"its process died ({how}){'; tried again' if again else f' {TRIES} times'}",
            ),
        )
        if again:
            waiting.appendleft(worker.run)

    @staticmethod
    def _dismiss(worker: _Worker) -> None:
        worker.connection.close()  # an idle worker ends when it sees this
        worker.process.join(timeout=5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


class _Teller(Callback):
    """Sends what happens in a worker to the driver. The driver knows what it started, and what begins again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def on_evaluation(self, run: Run, row: Evaluation) -> None:  # noqa: ARG002
        self._connection.send(row)

    def on_checkpoint(self, run: Run, checkpoint: Checkpoint) -> None:  # noqa: ARG002
        self._connection.send(checkpoint)

    def on_run_end(self, run: Run, outcome: Outcome) -> None:  # noqa: ARG002
        self._connection.send(outcome)

    def on_message(self, line: str) -> None:
        self._connection.send(line)


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only it may set how signals are answered
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    # what else ends the driver waits: a worker that is half started would be left, and print why it cannot start
    seen: list[int] = []
    ending = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    answers = {one: how for one in ending if callable(how := signal.getsignal(one))}
    for one in answers:
        signal.signal(one, lambda number, _: seen.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        for one, how in answers.items():
            signal.signal(one, how)
    if seen:
        signal.raise_signal(signal.Signals(seen[0]))


@contextlib.contextmanager
def _nothing_from_the_current_folder() -> Iterator[None]:
    """A worker imports Python's `random`, not a `random.py` that lies in the current folder: until it is told the
    driver's path, that folder is the first on its own."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


_SAFE_PATH = "PYTHONSAFEPATH"


@contextlib.contextmanager
def main_left_alone() -> Iterator[None]:
    """A worker imports no main module: a script without `if __name__ == "__main__"` would start its study again in it.

    What it needs of the script is sent to it (`config.user_code`).
    """
    main = vars(sys.modules["__main__"])
    hidden: dict[str, object] = {name: main.pop(name) for name in ("__file__", "__spec__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        del main["__spec__"]
        main.update(hidden)


def _end_with_the_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)  # it was killed: nobody waits for what is being trained


def _work(connection: Connection, safe_path: str | None) -> None:
    """A worker: trains what it is sent until the driver hangs up, or is gone."""
    if safe_path is None:  # programs that the user's code starts find their own folder, as they do in the driver
        os.environ.pop(_SAFE_PATH, None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    receive(connection.recv_bytes())
    while True:
        try:
            run: Run = connection.recv()
            connection.send(_BEGINS)
            train([run], load_task, _Teller(connection))
        except (EOFError, ConnectionError):
            return
