"""Copies of what is the user's own: every run gets one, so that what a function remembers stays in its run.

A function may keep a list in its closure, count in a global, or share a module between two arms. In a copy all of that
is new, as it was when the study was asked for: alone, beside other arms, and in another process alike.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from paribus.config.identity.library import is_library_module


def pack(thing: Any) -> bytes | None:
    """A thing as bytes, with the user's functions, classes and globals that it reaches; None where it cannot be copied.

    The user's own modules are packed by value: by reference, every copy would share their globals.
    """
    import cloudpickle

    for by_value in (True, False):
        try:
            with _by_value(cloudpickle) if by_value else _nothing():
                content: bytes = cloudpickle.dumps(thing)
                pickle.loads(content)
            return content
        except Exception:
            continue
    return None


def unpack(content: bytes) -> Any:
    """A new copy of what was packed."""
    return pickle.loads(content)


def is_users_module(module: object) -> bool:
    """Whether a module is neither a part of Python nor installed: a file beside the script or notebook."""
    if not isinstance(module, ModuleType) or module.__name__ == "__main__":  # which is packed by value anyway
        return False
    return getattr(module, "__file__", None) is not None and not is_library_module(module)


@contextmanager
def _by_value(cloudpickle: Any) -> Iterator[None]:
    before = set(cloudpickle.list_registry_pickle_by_value())
    mine = [one for one in list(sys.modules.values()) if is_users_module(one)]
    added = [one for one in mine if one.__name__ not in before]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)


@contextmanager
def _nothing() -> Iterator[None]:
    yield
