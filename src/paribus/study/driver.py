"""Who carries a study out: one process at a time."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from paribus.study.store import Store, StoreError

LOCK = ".lock"


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the folder for writing; the operating system lets go of it when the process dies, however it dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {error.strerror}; choose another folder with --out") from None
    guard = FileLock(folder / LOCK)
    try:
        guard.acquire(timeout=0)
    except Timeout:
        raise StoreError(f"{folder} is being carried out by another process: {_holder(folder)}") from None
    try:
        yield
    finally:
        guard.release()


def me() -> dict[str, object]:
    """This process, as a study's record names it."""
    process = psutil.Process()
    return {"pid": process.pid, "started": process.create_time(), "host": platform.node()}


def alive(driver: dict[str, object] | None) -> bool:
    """Whether the process that a record names still runs; assumed so where it ran on another machine."""
    if driver is None:
        return False
    if driver["host"] != platform.node():
        return True
    try:
        return psutil.Process(int(str(driver["pid"]))).create_time() == driver["started"]
    except psutil.Error:
        return False


def _holder(folder: Path) -> str:
    try:
        store = Store.open(folder)
        driver = store.get("driver")
        store.close()
    except (StoreError, OSError):
        driver = None
    if driver is None or driver["pid"] == os.getpid():
        return "wait for it to end"
    return f"process {driver['pid']} on {driver['host']}; wait for it to end, or stop it first"
