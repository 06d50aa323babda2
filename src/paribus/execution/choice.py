"""Which executor is meant: `dask:tcp://HOST:PORT`, `dask:local`, `dask:FILE`, or an object that Python gives."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paribus.execution.base import ExecutorError
from paribus.execution.futures import Futures
from paribus.extras import installed, not_installed

_ALLOWED = "executor is dask:tcp://HOST:PORT, dask:local or dask:FILE, a scheduler file"
_IN_PYTHON = "; in Python also a Client of Dask's, or an object with submit(function, *arguments), as a process pool"


def mistake(executor: Any) -> str | None:
    """What is wrong with an executor, as far as can be said without asking anybody; None where nothing is.

    >>> print(mistake("slurm"))
    --executor slurm is not allowed: executor is dask:tcp://HOST:PORT, dask:local or dask:FILE, a scheduler file
    >>> mistake(3)[:52]
    'executor=3 is not allowed: executor is dask:tcp://HO'
    """
    if isinstance(executor, str):
        kind, _, where = executor.partition(":")
        if kind != "dask" or not where:
            return f"--executor {executor} is not allowed: {_ALLOWED}"
        if not installed("distributed"):
            return not_installed(f"--executor {executor}", "distributed")
        return None
    if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
        return f"executor={executor!r} is not allowed: {_ALLOWED}{_IN_PYTHON}"
    if _is_client(executor) and executor.asynchronous:
        return "executor is a Client with asynchronous=True: give one that is made without it"
    return None


def is_local(executor: Any) -> bool:
    """Whether it is a cluster on this machine that is made for one study."""
    return isinstance(executor, str) and executor == "dask:local"


@contextmanager
def opened(executor: Any, jobs: int | None) -> Iterator[Futures]:
    """Runs go there inside. `jobs`: how many workers `dask:local` has. ExecutorError where nobody answers."""
    if isinstance(executor, str):
        from paribus.execution.cluster import on_dask

        with on_dask(executor.partition(":")[2], jobs) as found:
            yield found
    elif _is_client(executor):
        from paribus.execution.cluster import by_client

        if executor.status != "running":
            raise ExecutorError(f"executor is a Client of Dask's that is {executor.status}: give one that is open")
        with by_client(executor) as found:
            yield found
    else:
        yield Futures(executor)


def _is_client(executor: Any) -> bool:
    distributed = sys.modules.get("distributed")  # who has a client has imported it
    return distributed is not None and isinstance(executor, distributed.Client)
