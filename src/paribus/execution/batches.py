"""A batch of runs for a worker that shares neither memory nor files with the driver, and what the worker does with it.

The driver sends plain bytes (`pack_batch`); `work` trains them in whatever process it is called, and what happens comes
back as events. Checkpoints and the files in a run's folder travel as bytes both ways: the worker has a temporary
folder, and writes nowhere else.
"""

from __future__ import annotations

import pickle
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from threading import Event as ThreadingEvent
from threading import Lock, Thread
from time import monotonic

from paribus.backends.dispatch import train
from paribus.config.user_code import received
from paribus.execution.base import load_task
from paribus.execution.environment import process_facts
from paribus.plan import PLAN_VERSION
from paribus.records.checkpoint import Checkpoint
from paribus.records.record import Evaluation, Outcome
from paribus.records.run import Callback, Run

_FLUSH_SECONDS = 0.5
"""Events are sent together: a quick run tells of hundreds in a second."""


@dataclass(frozen=True)
class Begins:
    """A run begins, in a process with these versions, on this machine."""

    environment: Mapping[str, object]


@dataclass(frozen=True)
class Files:
    """What a run wrote into its own folder: relative paths and contents."""

    contents: Mapping[str, bytes]


Event = tuple[int, Begins | Evaluation | Checkpoint | Files | Outcome | str]
"""What happened, and in which run of the batch; a message is of none, -1."""


@dataclass(frozen=True)
class Report:
    """What `work` returns: how many events it has sent, and those that it has not. `seconds`: of its training; `lost`:
    this batch was begun before, and the process that did so is gone."""

    sent: int = 0
    seconds: float = 0.0
    events: tuple[Event, ...] = ()
    lost: bool = False


class RefusedError(RuntimeError):
    """A worker is not what the driver is: nothing was trained. Its text says what is different."""


class UnwantedError(Exception):
    """Nobody waits for this batch any more."""


Send = Callable[[int, Sequence[Event]], None]
"""Sends events while runs go on: the number of the first, and the events; UnwantedError where nobody waits."""


@cache  # reading a package's version takes milliseconds, and every batch asks
def identity() -> Mapping[str, str]:
    """What has to be the same in the driver and in every worker."""
    # bytecode, which carries the user's functions, is another in each minor version of Python
    return {
        "Paribus": version("paribus"),
        "the version of the plan": str(PLAN_VERSION),
        "Python": ".".join(platform.python_version_tuple()[:2]),
    }


def pack_batch(runs: Sequence[Run]) -> bytes:
    """Runs as bytes, with the fingerprints of their data, and with what is needed of this machine's files."""
    return pickle.dumps(
        {
            "runs": [replace(run, output=None, checkpoint=None) for run in runs],
            "fingerprints": [load_task(run).info.fingerprint for run in runs],
            "checkpoints": [_content(run.checkpoint) for run in runs],
            "outputs": [None if run.output is None else contents_of(run.output) for run in runs],
        }
    )


def work(expected: Mapping[str, str], batch: bytes, things: bytes, send: Send | None = None) -> Report:
    """Train a batch. `expected`: the driver's `identity`; `things`: what is the user's own, by `user_code.send`;
    `send`: for events while it goes on, where there is a way.

    Raises RefusedError before training where this process is another than `expected`, or has other data.
    """
    _check_identity(expected)
    with received(things):
        content = pickle.loads(batch)
    with tempfile.TemporaryDirectory(prefix="paribus-") as folder:
        runs = [
            _placed(run, Path(folder) / str(number), content["checkpoints"][number], content["outputs"][number])
            for number, run in enumerate(content["runs"])
        ]
        for run, fingerprint in zip(runs, content["fingerprints"], strict=True):
            _check_data(run, fingerprint)
        teller, began = _Teller(runs, send), monotonic()
        with teller.sending():
            train(runs, load_task, teller)
    return teller.report(monotonic() - began)


def _check_identity(expected: Mapping[str, str]) -> None:
    mine = identity()
    apart = [
        f"{name} is {mine[name]} there, and {there} here" for name, there in expected.items() if mine[name] != there
    ]
    if apart:
        raise RefusedError(
            f"the worker on {platform.node()} is not what this process is: {'; '.join(apart)}. Its runs would be "
            "others: give the workers the environment of this process"
        )


def _check_data(run: Run, fingerprint: str) -> None:
    try:
        found = load_task(run).info.fingerprint
    except ValueError as error:
        raise RefusedError(f"the worker on {platform.node()} cannot load the data of a run: {error}") from None
    if found != fingerprint:
        raise RefusedError(
            f"the data of seed {run.seed} have the fingerprint {found[:12]} on the worker {platform.node()}, and "
            f"{fingerprint[:12]} here: give the workers the same files and the same versions of libraries"
        )


def _content(path: Path | None) -> bytes | None:
    return path.read_bytes() if path is not None and path.exists() else None


def _placed(run: Run, folder: Path, checkpoint: bytes | None, output: Mapping[str, bytes] | None) -> Run:
    """The run with files of its own; `checkpoint_seconds` is 0 where it leaves no checkpoint. A folder that stays empty
    is not made: on some disks that takes longer than a run."""
    path = folder / "checkpoint" if run.checkpoint_seconds else None
    if path is not None and checkpoint is not None:
        folder.mkdir()
        path.write_bytes(checkpoint)
    if output:
        write_contents(folder / "output", output)
    return replace(run, checkpoint=path, output=None if output is None else folder / "output")


def contents_of(folder: Path) -> dict[str, bytes]:
    """The files of a folder, and of those in it; none where it is not there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def write_contents(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Files into a folder, and nowhere else, whatever names a worker gives."""
    for name, content in contents.items():
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts:
            raise ValueError(f"{name!r} lies outside of the run's own folder")
        path = folder / parts
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class _Teller(Callback):
    """Gathers what happens, and sends it twice a second, in a thread of its own: a run that is over in milliseconds
    does not wait for the network, and of one that says nothing for an hour it is known that it has begun."""

    def __init__(self, runs: Sequence[Run], send: Send | None) -> None:
        self._numbers = {run: number for number, run in enumerate(runs)}
        self._send, self._sent, self._waiting = send, 0, list[Event]()
        self._lock, self._over = Lock(), ThreadingEvent()
        self._failed: BaseException | None = None

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Events are sent inside."""
        if self._send is None:
            yield
            return
        thread = Thread(target=self._keep_sending, name="paribus-events", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def on_run_begin(self, run: Run) -> None:
        self._add(self._numbers[run], Begins(process_facts()))

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        self._add(self._numbers[run], row)

    def on_checkpoint(self, run: Run, checkpoint: Checkpoint) -> None:
        if self._send is not None:  # who hears of it only at the end has no use for it
            self._add(self._numbers[run], checkpoint)

    def on_run_end(self, run: Run, outcome: Outcome) -> None:
        if outcome.begins_again and run.checkpoint is not None:
            run.checkpoint.unlink(missing_ok=True)
        if run.output is not None and (contents := contents_of(run.output)):
            self._add(self._numbers[run], Files(contents))
        self._add(self._numbers[run], outcome)

    def on_message(self, line: str) -> None:
        self._add(-1, line)

    def report(self, seconds: float) -> Report:
        """What is left to be told."""
        if self._failed is not None:
            raise self._failed
        return Report(sent=self._sent, seconds=seconds, events=tuple(self._waiting))

    def _add(self, number: int, what: Begins | Evaluation | Checkpoint | Files | Outcome | str) -> None:
        if self._failed is not None:  # nobody hears it any more
            raise self._failed
        with self._lock:
            self._waiting.append((number, what))

    def _keep_sending(self) -> None:
        assert self._send is not None
        while not self._over.wait(_FLUSH_SECONDS):
            with self._lock:
                events, self._waiting = self._waiting, []
            if not events:
                continue
            try:
                self._send(self._sent, events)
            except BaseException as error:  # whoever trains is to hear of it
                self._failed = error
                return
            self._sent += len(events)
