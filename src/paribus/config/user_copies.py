"""Copies of what is the user's own: every run gets one, so that what a function remembers stays in its run.

A function may keep a list in its closure, count in a global, or share a module between two arms. In a copy all of that
is new, as it was when the study was asked for: alone, beside other arms, and in another process alike.
"""

from __future__ import annotations

import functools
import io
import pickle
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import ModuleType
from typing import Any

import numpy as np
from numpy.random import mtrand

from paribus.config.identity.library import is_library_module


def pack(thing: Any) -> bytes | None:
    """A thing as bytes, with the user's functions, classes and globals that it reaches; None where it cannot be copied.

    The user's own modules are packed by value: by reference, every copy would share their globals.
    """
    import cloudpickle

    for by_value in (True, False):
        try:
            with _by_value(cloudpickle) if by_value else nullcontext():
                content = _packed(thing)
                copies = pickle.loads(content), pickle.loads(content)
            if isinstance(thing, type) and copies[0] is copies[1] and copies[0] is not thing:
                return None  # one class for all copies: what one of them changes in it, the others would see
            return content
        except Exception:
            continue
    return None


def filled_caches(things: Iterable[Any]) -> list[str]:
    """The functions that things reach and whose cache (`functools.cache`) holds something: in a copy it is empty."""
    import cloudpickle

    found: dict[str, int] = {}
    with _by_value(cloudpickle):
        for thing in things:
            with suppress(Exception):  # what cannot be packed, as a lock, is looked at no further
                _packed(thing, found)
    return [name for name, size in found.items() if size]


def _packed(thing: Any, cached: dict[str, int] | None = None) -> bytes:
    """Packed so that every copy makes its classes anew.

    cloudpickle numbers classes, and makes one only once in a process: a second copy would give its methods, with their
    closures, to the class of the first. Without a number they are two. Source: `cloudpickle._class_getnewargs`.

    `cached`: gets the functions with a cache, and how much each holds.
    """
    import cloudpickle

    class Anew(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, one: Any) -> Any:
            if (name := global_generator(one)) is not None:
                return _the_global_generator, (name,)
            if isinstance(one, _CACHED) and not _stands_in_a_library(one):
                if cached is not None:
                    cached[one.__name__] = one.cache_info().currsize
                return _with_an_empty_cache, (one.__wrapped__, one.cache_parameters())
            found = super().reducer_override(one)
            if isinstance(one, type) and isinstance(found, tuple) and (place := _NUMBER.get(found[0].__name__)):
                arguments = [*found[1][:place], None, *found[1][place + 1 :]]
                return found[0], tuple(arguments), *found[2:]
            return found

    content = io.BytesIO()
    Anew(content).dump(thing)
    return content.getvalue()


_NUMBER = {"_make_skeleton_class": 4, "_make_skeleton_enum": 5}
"""Where cloudpickle's makers of classes are told a class's number."""


_CACHED = type(functools.lru_cache(len))
"""What `functools.lru_cache` and `functools.cache` make: cloudpickle takes it by its name, so copies share a cache."""


def _with_an_empty_cache(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    cached: Callable[..., Any] = functools.lru_cache(**parameters)(function)
    return cached


def _stands_in_a_library(function: Any) -> bool:
    module = sys.modules.get(str(function.__module__))
    return module is not None and is_library_module(module) and function.__module__ != "__main__"


def _the_global_generator(name: str) -> Any:
    if name == "random":
        return random._inst
    return mtrand._rand if name == "numpy.random" else sys.modules["torch"].default_generator


def global_generator(one: Any) -> str | None:
    """Of which module's functions an object is the generator. Such a function is its method, so that what the user
    imports from `random` or `numpy.random` holds it: copied, it would draw what belongs to no plan."""
    if isinstance(one, random.Random):
        return "random" if one is _the_global_generator("random") else None
    if isinstance(one, np.random.RandomState):
        return "numpy.random" if one is _the_global_generator("numpy.random") else None
    torch = sys.modules.get("torch")
    return "torch" if torch is not None and one is torch.default_generator else None


def unpack(content: bytes) -> Any:
    """A new copy of what was packed."""
    return pickle.loads(content)


def is_users_module(module: object) -> bool:
    """Whether a module is neither a part of Python nor installed: a file beside the script or notebook."""
    if not isinstance(module, ModuleType):
        return False
    if _libraries.get(id(module)) is module:  # thousands are asked at once
        return False
    if vars(module).get("__file__") is None:  # typed into a notebook, or built into Python
        return False
    if is_library_module(module):
        _libraries[id(module)] = module
        return False
    return module.__name__ != "__main__"  # which is packed by value anyway


_libraries: dict[int, ModuleType] = {}
"""Modules that are not the user's, by their `id`: a module is kept, so that no other gets its number."""


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
