"""Runs on a cluster, by Dask's distributed scheduler.

Beside the futures of Dask there are two queues of its scheduler: one for all events, by which a study is seen while it
goes on and checkpoints come back; and one with a single ticket for each batch. Dask begins a task again by itself where
its worker dies; who finds no ticket knows that the batch was begun before, and leaves the decision to the driver.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import pickle
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from paribus.execution.base import ExecutorError
from paribus.execution.batches import Event, Report, UnwantedError, identity, pack_batch, work
from paribus.execution.futures import Futures, Sent
from paribus.execution.processes import main_left_alone

if TYPE_CHECKING:
    from distributed import Client

_CONNECT_SECONDS = 10.0
_TICKET_SECONDS = 5.0
"""The ticket is there before the batch is sent."""
_LATE_SECONDS = 60.0
"""For which events are waited for whose batch has come to its end."""
_PAUSE = 0.05


class OnDask(Futures):
    """Runs by a Dask client, told of as they go on."""

    def __init__(self, client: Client) -> None:
        from distributed import Queue

        super().__init__(client)
        self._client, self._name = client, f"paribus-{uuid.uuid4().hex}"
        self._queue = Queue(f"{self._name}-events", client=client)
        self._early: list[tuple[str, int, Sequence[Event]]] = []
        self._tickets: dict[str, Any] = {}

    def at_once(self) -> int | None:
        """A worker trains one batch at a time, however many threads it has."""
        return len(self._client.nthreads()) or None

    def begin(self, things: bytes) -> None:
        super().begin(things)
        self._scattered: Any = None

    def submit(self, sent: Sent) -> Any:
        from distributed import Queue

        tickets = self._tickets[sent.token] = Queue(f"{self._name}-{sent.token}", client=self._client)
        tickets.put(sent.token)
        return self._client.submit(
            work_on_dask,
            identity(),
            pack_batch(sent.runs),
            self._on_workers(),
            (self._queue.name, tickets.name, sent.token),
            key=f"paribus-{sent.token}",
            pure=False,
            retries=0,
        )

    def _on_workers(self) -> Any:
        """What is the user's own, held by every worker there is; with the batch itself where there is none yet."""
        if self._scattered is not None and self._scattered.status == "finished":
            return self._scattered
        self._scattered = None  # all that held it are gone
        if self._client.nthreads():
            # a worker that goes this moment makes the scheduler raise whatever it meets then, a KeyError even
            with contextlib.suppress(Exception):
                self._scattered = self._client.scatter(self._things, broadcast=True, hash=False)
        return self._things if self._scattered is None else self._scattered

    def was_begun(self, sent: Sent) -> bool:
        return bool(self._tickets[sent.token].qsize() == 0)

    def arrived(self) -> Iterable[tuple[str, int, Sequence[Event]]]:
        arrived, self._early = self._early, []
        return [*arrived, *map(pickle.loads, self._queue.get(batch=True))]

    def settle(self, sent: Sent, report: Report) -> bool:
        until = time.monotonic() + _LATE_SECONDS
        while sent.told + sum(len(events) for token, _, events in self._early if token == sent.token) < report.sent:
            if time.monotonic() > until:
                return False
            if not (more := [pickle.loads(one) for one in self._queue.get(batch=True)]):
                time.sleep(_PAUSE)
            self._early += more
        return True

    def over(self, sent: Sent) -> None:
        self._tickets.pop(sent.token).close()

    def remarks(self) -> list[str]:
        address = self._client.scheduler.address
        found = [exposed(address)]
        if not self._client.nthreads():
            found.append(f"no worker is connected to {address} yet: runs wait for the first")
        return [one for one in found if one is not None]

    def close(self) -> None:
        """Let go of what is held on the scheduler."""
        self._queue.close()


def work_on_dask(expected: Mapping[str, str], batch: bytes, things: bytes, names: tuple[str, str, str]) -> Report:
    """`batches.work` in a task of Dask's. `names`: of the queues of events and of tickets, and the batch's token."""
    from distributed import Queue, get_client, get_worker

    events, tickets, token = names
    client, worker = get_client(), get_worker()
    key = worker.get_current_task()
    queue = Queue(events, client=client)
    ticket = Queue(tickets, client=client)
    try:
        ticket.get(timeout=_TICKET_SECONDS)
    except TimeoutError:
        return Report(lost=True)
    finally:
        ticket.close()

    def send(first: int, happened: Sequence[Event]) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":  # the driver is gone, or has given up
            raise UnwantedError
        queue.put(pickle.dumps((token, first, list(happened))))

    return work(expected, batch, things, send)


@contextmanager
def on_dask(where: str, jobs: int | None) -> Iterator[OnDask]:
    """By an address (`tcp://HOST:PORT`), a scheduler file, or `local`: `jobs` workers on this machine, as many as it
    has cores by default. ExecutorError where nobody answers."""
    from distributed import Client, LocalCluster

    if where == "local":
        with main_left_alone():
            cluster = LocalCluster(
                n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
            )
        with cluster, Client(cluster, set_as_default=False) as client, _opened(client) as opened:
            yield opened
        return
    try:
        address = where if "://" in where else json.loads(Path(where).read_text(encoding="utf-8"))["address"]
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExecutorError(
            f"--executor dask:{where}: no scheduler of Dask's answers there ({type(error).__name__}: {error}): start "
            "one by `dask scheduler`, and give the address that it prints, or the file of its --scheduler-file"
        ) from None
    with client, _opened(client) as opened:
        yield opened


@contextmanager
def _opened(client: Client) -> Iterator[OnDask]:
    opened = OnDask(client)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def by_client(client: Client) -> Iterator[OnDask]:
    """By a client that the user has made, and closes."""
    with _opened(client) as opened:
        yield opened


def exposed(address: str) -> str | None:
    """That an address can be reached by others, unencrypted; None where it cannot.

    >>> exposed("tcp://127.0.0.1:8786"), exposed("tls://10.0.0.5:8786"), exposed("inproc://10.0.0.5/1/1")
    (None, None, None)
    >>> exposed("tcp://10.0.0.5:8786").partition(":")[0]
    'tcp'
    """
    parts = urlsplit(address)
    if parts.scheme in ("tls", "wss", "inproc", "ucxs"):
        return None
    host = parts.hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if loopback:
        return None
    return (
        f"{address} is neither this machine nor encrypted: whoever reaches it can run code on the workers and read "
        "what is sent. In a network that is not yours alone give the scheduler TLS (tls://)"
    )
