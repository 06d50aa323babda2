"""What belongs to an installed library or to Python itself, and is known by its name; all else is the user's."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from pathlib import Path
from types import FunctionType, ModuleType

_OURS = str(Path(__file__).resolve().parents[2])
_INSTALLED = {"site-packages", "dist-packages"}


@functools.cache
def _folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib") if name in paths}
    return (*(os.path.join(os.path.realpath(folder), "") for folder in folders), os.path.join(_OURS, ""))  # noqa: PTH118


@functools.cache
def is_library_file(file: str) -> bool:
    """Whether a source or compiled file is part of Python, of an installed library or of Paribus.

    >>> is_library_file(os.__file__), is_library_file("/home/me/train.py"), is_library_file("<frozen os>")
    (True, False, True)
    """
    if file.startswith("<"):
        return file.startswith("<frozen ")
    real = os.path.realpath(file)
    return real.startswith(_folders()) or bool(_INSTALLED.intersection(Path(real).parts))


def is_library_module(module: ModuleType) -> bool:
    """Whether a module is part of Python, of an installed library or of Paribus.

    >>> is_library_module(os), is_library_module(sys), is_library_module(ModuleType("mine"))
    (True, True, False)
    """
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return is_library_file(file)
    spec = getattr(module, "__spec__", None)
    places = list(getattr(spec, "submodule_search_locations", None) or ())
    if places:  # a package without a file of its own
        return all(is_library_file(str(place)) for place in places)
    return getattr(spec, "origin", None) in ("built-in", "frozen") or module.__name__ in sys.builtin_module_names


def _stands_at(thing: object, module: ModuleType, name: str) -> bool:
    found: object = module
    for part in name.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found is thing


def is_library_class(kind: type) -> bool:
    """Whether a class is a library's, and is found there by its name (one that a library made for the user is not).

    >>> is_library_class(int), is_library_class(Path), is_library_class(type("Mine", (), {}))
    (True, True, False)
    """
    module = sys.modules.get(str(kind.__module__))
    if not kind.__flags__ & (1 << 9):  # not made by a class statement, nor in its way
        return module is None or is_library_module(module)
    return module is not None and is_library_module(module) and _stands_at(kind, module, kind.__qualname__)


def is_library_code(function: FunctionType) -> bool:
    """Whether a function's code is a library's."""
    return is_library_file(function.__code__.co_filename)


def is_named(function: FunctionType) -> bool:
    """Whether a function stands in a library under its name, so that nothing of the user's is enclosed in it.

    One that a library's decorator made of the user's stands in the user's module, and so does what is typed into a
    program of a library's, as under `python -m`.
    """
    module = sys.modules.get(function.__module__) if function.__module__ != "__main__" else None
    return module is not None and is_library_module(module) and _stands_at(function, module, function.__qualname__)
