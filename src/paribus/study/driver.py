"""Who carries a study out: one process at a time."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from paribus.study.store import Store, StoreError, must_lie_inside

LOCK = ".lock"
_PATIENCE = 1.0  # a reader that asks whether somebody writes holds the lock for a moment


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the folder for writing; the operating system lets go of it when the process dies, however it dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {error.strerror}; choose another folder with --out") from None
    must_lie_inside(folder)
    guard = FileLock(folder / LOCK)
    try:
        (folder / LOCK).touch()
        before = (folder / LOCK).stat().st_ino
        guard.acquire(timeout=_PATIENCE)
        if (folder / LOCK).stat().st_ino != before:  # this lock belongs to a folder that has another name now
            guard.release()
            raise FileNotFoundError
    except Timeout:
        raise StoreError(f"{folder} is being carried out by another process: {_holder(folder)}") from None
    except FileNotFoundError:
        raise StoreError(f"another process has just set {folder} aside: give the command again") from None
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}; choose another folder with --out") from None
    try:
        yield
    finally:
        guard.release()


def me() -> dict[str, object]:
    """This process, as a study's record names it."""
    return {"pid": os.getpid(), "host": platform.node()}


def carried_out(folder: Path) -> bool:
    """Whether a process holds the folder now. The lock itself is asked: names and clocks may mislead."""
    if not (folder / LOCK).exists():
        return False
    guard = FileLock(folder / LOCK)
    try:
        guard.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a folder that may not be written: whoever writes there is not known
        return False
    guard.release()
    return False


def _holder(folder: Path) -> str:
    try:
        store = Store.open(folder)
        driver = store.get("driver")
        store.close()
    except (StoreError, OSError):
        driver = None
    if not isinstance(driver, dict) or not driver.keys() >= {"pid", "host"} or driver["pid"] == os.getpid():
        return "wait for it to end"
    return f"process {driver['pid']} on {driver['host']}; wait for it to end, or stop it first"
