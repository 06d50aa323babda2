"""Runs by an executor of the shape of `concurrent.futures`: `submit(function, *arguments)` gives a future."""

from __future__ import annotations

import contextlib
import math
import time
import uuid
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import dataclass, field
from typing import Any, Protocol

from paribus.backends.base import backend_of
from paribus.config.settings import Settings
from paribus.config.user_code import UserDefined, send
from paribus.execution.base import TRIES, ExecutorError, load_task
from paribus.execution.batches import (
    Begins,
    Event,
    Files,
    RefusedError,
    Report,
    identity,
    pack_batch,
    work,
    write_contents,
)
from paribus.execution.environment import process_facts
from paribus.execution.waiting import AHEAD, Waiting
from paribus.records.checkpoint import Checkpoint
from paribus.records.record import Evaluation, Outcome, Status
from paribus.records.run import Callback, Run

_ESTIMATE_SECONDS = 10.0
"""For which arms are timed before anything is sent; those that are left take as long as the last."""
_PAUSE = 0.05
_DEATHS = ("KilledWorker", "FutureCancelledError", "FuturesCancelledError", "CancelledError")
"""What Dask raises where a worker is gone, or the data that it held."""


class Pool(Protocol):
    """An executor as those of `concurrent.futures`: what `submit` gives has `done()`, `result()` and `cancel()`."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any: ...


@dataclass(eq=False)
class Sent:
    """A batch on its way. `told`: how many of its events the callback has heard."""

    runs: Sequence[Run]
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    future: Any = None
    told: int = 0
    begun: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)


class Futures:
    """Runs in batches of seeds, by a pool. What happens in a batch is told when it is done.

    A batch whose worker dies is begun once more, each of its runs that had not ended by itself; a run that dies alone
    after that is recorded as failed.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._estimates: dict[Settings, float] = {}
        self._took: dict[Hashable, float] = {}
        self._spent, self._last = 0.0, math.nan
        self._said: set[str] = set()

    # --- what a cluster does otherwise ---

    def at_once(self) -> int | None:
        """How many batches are trained at once; None where that is not known."""
        found = getattr(self._pool, "_max_workers", None)  # what executors of Python, loky and mpi4py call it
        return found if isinstance(found, int) else None

    def begin(self, things: bytes) -> None:
        """What is the user's own, before any batch is sent."""
        self._things = things

    def submit(self, sent: Sent) -> Any:
        """The future of a batch."""
        return self._pool.submit(work, identity(), pack_batch(sent.runs), self._things)

    def arrived(self) -> Iterable[tuple[str, int, Sequence[Event]]]:
        """What was told since the last call while batches go on: a batch's token, the number of its first event."""
        return ()

    def settle(self, sent: Sent, report: Report) -> bool:  # noqa: ARG002
        """Wait for the events that a batch says it has sent; False where they are lost."""
        return True

    def was_begun(self, sent: Sent) -> bool:  # noqa: ARG002
        """Whether a worker may have begun a batch that came to no end: else none of its runs is to blame."""
        return True

    def over(self, sent: Sent) -> None:
        """A batch has come to its end, or is given up."""

    def remarks(self) -> list[str]:
        """What there is to say of this executor before anything is sent."""
        return []

    # --- the driver ---

    def carry_out(self, runs: Sequence[Run], callback: Callback) -> None:
        """Train all runs."""
        if not runs:
            return
        self.begin(_things_of(runs))
        for line in self.remarks():
            self._say(line, callback)
        tries = dict.fromkeys(runs, 0)
        open_: dict[str, Sent] = {}
        try:
            waiting = Waiting(runs, self._seconds_of)
            while waiting or open_:
                self._fill(waiting, tries, open_)
                moved = self._hear(open_, callback)
                for sent in [one for one in open_.values() if one.future.done()]:
                    moved = True
                    for batch in self._done(sent, open_, tries, callback):
                        self._send(batch, tries, open_)
                if not moved:
                    time.sleep(_PAUSE)
        except BaseException:
            for sent in open_.values():
                with contextlib.suppress(Exception):  # what is on its way up is the reason to be told
                    sent.future.cancel()
                    self.over(sent)
                for number in sorted(sent.begun - sent.ended):
                    with contextlib.suppress(Exception):
                        callback.on_run_end(
                            sent.runs[number],
                            Outcome(status=Status.INTERRUPTED, epochs=0, error="by Ctrl-C or a signal"),
                        )
            raise

    def _fill(self, waiting: Waiting, tries: dict[Run, int], open_: dict[str, Sent]) -> None:
        """Send as many batches as the workers are to hold; all where nobody knows how many there are."""
        at_once = self.at_once()
        while waiting and (at_once is None or len(open_) < AHEAD * at_once):
            self._send(waiting.batch(at_once), tries, open_)

    def _seconds_of(self, run: Run) -> float:
        """What a run will take: what those of its arm took; before one has ended by a few timed steps on this machine,
        and NaN where these do not tell."""
        if run.settings in self._took:
            return self._took[run.settings]
        if backend_of(run.settings).own_loop:
            return math.nan
        if run.network not in self._estimates and self._spent < _ESTIMATE_SECONDS:
            began = time.monotonic()
            self._last = self._estimates[run.network] = backend_of(run.settings).estimate(run.network, load_task(run))
            self._spent += time.monotonic() - began
        return self._estimates.get(run.network, self._last)

    def _send(self, runs: Sequence[Run], tries: dict[Run, int], open_: dict[str, Sent]) -> None:
        sent = Sent(runs)
        for run in runs:
            tries[run] += 1
        try:
            sent.future = self.submit(sent)
        except (RuntimeError, OSError) as error:  # BrokenExecutor is a RuntimeError
            raise ExecutorError(
                f"the executor takes no more runs ({type(error).__name__}: {error}). What is recorded stays: the same "
                "study with a new executor goes on with what is missing"
            ) from error
        open_[sent.token] = sent

    def _hear(self, open_: dict[str, Sent], callback: Callback) -> bool:
        heard = False
        for token, first, events in self.arrived():
            if sent := open_.get(token):  # else of a worker that was given up, and lives
                heard = True
                assert first == sent.told, "events of a batch arrive in their order"
                self._tell(sent, events, callback)
        return heard

    def _done(
        self, sent: Sent, open_: dict[str, Sent], tries: dict[Run, int], callback: Callback
    ) -> list[Sequence[Run]]:
        """Tell of a batch that has come to an end; the batches that are to be tried again."""
        how = "its worker died"
        try:
            report: Report = sent.future.result()
        except RefusedError as error:
            raise ExecutorError(str(error)) from None
        except ImportError as error:
            raise ExecutorError(
                f"a worker cannot import what a run needs ({error}): install there what is installed here"
            ) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # CancelledError is no Exception
            lost = isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ in _DEATHS
            how = "its worker died" if lost else f"its worker failed ({type(error).__name__}: {error})"
        else:
            if not report.lost and self.settle(sent, report):
                self._hear(open_, callback)
                self._tell(sent, report.events, callback)
                self._took[sent.runs[0].settings] = report.seconds / len(sent.runs)
                del open_[sent.token]
                self.over(sent)
                return []
        self._hear(open_, callback)  # what it said before
        del open_[sent.token]
        begun = self.was_begun(sent)
        self.over(sent)
        if begun:
            return [[run] for run in self._died(sent, how, tries, callback)]
        for run in sent.runs:
            tries[run] -= 1
        return [sent.runs]

    def _died(self, sent: Sent, how: str, tries: dict[Run, int], callback: Callback) -> list[Run]:
        again = []
        for number, run in enumerate(sent.runs):
            if number in sent.ended:
                continue
            # in a batch nobody knows which run it was: each is tried alone, and is failed if it dies then
            last = tries[run] >= TRIES
            if number in sent.begun or last:
                if number not in sent.begun:
                    callback.on_run_begin(run)
                error = f"{how}{f' {TRIES} times' if last else '; tried again'}"
                callback.on_run_end(run, Outcome(status=Status.FAILED, epochs=0, error=error))
            if not last:
                again.append(run)
        return again

    def _tell(self, sent: Sent, events: Sequence[Event], callback: Callback) -> None:
        for number, what in events:
            sent.told += 1
            match what:
                case str():
                    callback.on_message(what)
                case Begins():
                    sent.begun.add(number)
                    callback.on_run_begin(sent.runs[number])
                    callback.on_environment(sent.runs[number], what.environment)
                    self._compare(what, callback)
                case Evaluation():
                    callback.on_evaluation(sent.runs[number], what)
                case Checkpoint():
                    callback.on_checkpoint(sent.runs[number], what)
                case Files():
                    output = sent.runs[number].output
                    assert output is not None
                    write_contents(output, what.contents)
                case Outcome():
                    if not what.begins_again:
                        sent.ended.add(number)
                    callback.on_run_end(sent.runs[number], what)

    def _say(self, line: str, callback: Callback) -> None:
        """Once."""
        if line not in self._said:
            self._said.add(line)
            callback.on_message(line)

    def _compare(self, begins: Begins, callback: Callback) -> None:
        """Say once where a library has another version than here: the last digits may be others."""
        mine, theirs = process_facts()["versions"], begins.environment["versions"]
        assert isinstance(mine, dict)
        assert isinstance(theirs, dict)
        apart = [f"{name} {theirs.get(name)} (here {here})" for name, here in mine.items() if theirs.get(name) != here]
        machine = begins.environment["machine"]
        host = machine["host"] if isinstance(machine, dict) else ""
        line = f"the worker on {host} has {', '.join(apart)}: the last digits of its runs may be others"
        if apart:
            self._say(line, callback)


def _things_of(runs: Sequence[Run]) -> bytes:
    """What is the user's own in these runs, with the user's modules: a worker may not find their files."""
    things: dict[str, UserDefined] = {}
    for run in runs:
        parts = run.settings.user_defined_parts()
        for own in (*(one for kind, one in parts.items() if kind not in ("task", "data")), *run.metrics):
            if own.packed is None:
                own.copy()  # packs it
            things[own.handle] = own
        things |= {one.handle: one for kind, one in parts.items() if kind in ("task", "data")}
    return send(things.values())
