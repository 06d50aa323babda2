"""The same numbers at every call: generators are set back. And whose an error is: the user's, or ours."""

from __future__ import annotations

import contextlib
import copy
import random
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paribus.config.user_errors import told

FAILS = (Exception, SystemExit)
_OURS = str(Path(__file__).parent)
_INSTALLED = tuple({sysconfig.get_path(one) for one in ("stdlib", "platstdlib", "purelib", "platlib")})


class UsersError(Exception):
    """What the user's code raised, told in one line; whatever else is raised is a fault of ours, and is never hidden."""


def called(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """A call of the user's code: every one is made here. UsersError for what it raises.

    >>> try:
    ...     called(int, "x")
    ... except UsersError as error:
    ...     print(error)
    ValueError: invalid literal for int() with base 10: 'x'
    """
    try:
        return function(*arguments, **named)
    except FAILS as error:
        raise UsersError(_told_with_line(error)) from error


def copy_of(thing: Any) -> Any:
    """A deep copy: each pass is one of a copy. UsersError for an object that has none, as one that holds a lock."""
    return called(copy.deepcopy, thing)


def holds_a_generator(thing: Any) -> bool:
    """Whether it, or what it holds, keeps a random generator of its own."""
    held = list(getattr(thing, "__dict__", {}).values())
    kinds = (np.random.Generator, np.random.RandomState, random.Random)
    inside = [one for value in held if hasattr(value, "__dict__") for one in vars(value).values()]
    return any(isinstance(one, kinds) for one in [*held, *inside])


def _told_with_line(error: BaseException) -> str:
    """What the user's code raised, and the line of it that is the last in no library: "ValueError: no (line 3 of f.py)"."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = frame.f_code.co_filename
        if file.startswith(_OURS):
            break
        if not file.startswith(_INSTALLED):
            where = "" if file.startswith("<") else f" of {Path(file).name}"
            return f"{told(error)} (line {line}{where})"
    return told(error)


class Generators:
    """The generators of a file and the global ones, as they were when this was made."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        found = [one for one in names.values() if isinstance(one, np.random.Generator)]
        self._own = [(one.bit_generator, copy.deepcopy(one.bit_generator.state)) for one in found]
        self._legacy = [
            (one, copy.deepcopy(one.get_state())) for one in names.values() if isinstance(one, np.random.RandomState)
        ]

    def set_back(self) -> None:
        """As they were; the global ones are seeded."""
        for generator, state in self._own:
            generator.state = copy.deepcopy(state)
        for legacy, known in self._legacy:
            legacy.set_state(known)
        np.random.seed(0)  # noqa: NPY002 (what students use)
        random.seed(0)

    def standing(self) -> str:
        """Where all of them stand, to be compared."""
        own = [*(one.state for one, _ in self._own), *(one.get_state() for one, _ in self._legacy)]
        return repr([*own, np.random.get_state(legacy=False), random.getstate()])  # noqa: NPY002


@contextlib.contextmanager
def callers_generators() -> Iterator[None]:
    """The caller's global generators are given back, and numerical warnings are no news here."""
    import sys

    legacy, plain = np.random.get_state(), random.getstate()  # noqa: NPY002
    torch = sys.modules.get("torch")
    tensors, threads = (torch.get_rng_state(), torch.get_num_threads()) if torch is not None else (None, 1)
    if torch is not None:
        torch.set_num_threads(1)  # of tensors as small as these, threads take ten times as long
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        np.random.set_state(legacy)  # noqa: NPY002
        random.setstate(plain)
        if torch is not None:
            torch.set_rng_state(tensors)
            torch.set_num_threads(threads)
