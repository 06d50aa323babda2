"""What is the user's own: a module's factory, an optimizer's, arrays, a metric. The record holds its name and a
fingerprint; the thing itself lives as long as the process."""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

_received: dict[str, Any] = {}
"""In a worker: what its driver sent, by fingerprint."""


@dataclass(frozen=True)
class UserDefined:
    """A thing with the name that its arm, task or metric has. Two are equal if name and fingerprint are.

    Pickled, it is a reference: `receive` must have been given what `send` made, once, on the other side.
    """

    name: str
    fingerprint: str
    thing: Any = field(compare=False, repr=False)
    packed: bytes | None = field(default=None, compare=False, repr=False)

    def copy(self) -> UserDefined:
        """The same with a thing of its own, as it was when it was first copied: what a run does to it stays there.

        Raises ValueError for what cannot be copied.
        """
        from paribus.config.user_copies import pack, unpack

        if self.packed is None:
            object.__setattr__(self, "packed", pack(self.thing))  # frozen to others; the bytes say nothing new
        if self.packed is None:
            raise ValueError(
                f"{self.name} cannot be copied, and every run is given a copy of its own: it holds something that "
                "belongs to this process, as an open file or a lock; make that inside the function"
            )
        return UserDefined(self.name, self.fingerprint, unpack(self.packed), self.packed)

    def __str__(self) -> str:
        return self.fingerprint[:12]

    def __reduce__(self) -> tuple[Callable[[str, str], UserDefined], tuple[str, str]]:
        return _recall, (self.name, self.fingerprint)


def _recall(name: str, fingerprint: str) -> UserDefined:
    return UserDefined(name, fingerprint, _received[fingerprint])


def send(things: Iterable[UserDefined]) -> bytes:
    """Things as bytes, functions that were typed into a notebook among them."""
    import cloudpickle

    content: bytes = cloudpickle.dumps({own.fingerprint: own.thing for own in things})
    return content


def receive(content: bytes) -> None:
    """What another process sent."""
    import pickle

    _received.update(pickle.loads(content))


def user_defined(thing: Callable[..., Any], name: str | None = None) -> UserDefined:
    """A function or class under a name, its own by default.

    >>> def small(): ...
    >>> one = user_defined(small)
    >>> one.name, one == user_defined(small), one == user_defined(small, "s")
    ('small', True, False)
    """
    called = name or str(getattr(thing, "__name__", type(thing).__name__))
    return UserDefined("own" if called == "<lambda>" else called, code_fingerprint(thing), thing)


def code_fingerprint(thing: object) -> str:
    """SHA-256 of what a function or class does, as far as its code tells: bytecode, constants, defaults, closure, and
    the functions and classes of the same module that it names. Where it stands in its file does not matter.

    >>> code_fingerprint(lambda: 1) == code_fingerprint(lambda: 1) != code_fingerprint(lambda: 2)
    True
    """
    digest = hashlib.sha256()
    for part in _parts(thing, set()):
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()


def _parts(thing: object, seen: set[int]) -> Iterable[str]:
    if isinstance(thing, bool | int | float | str | bytes | None):
        yield repr(thing)
        return
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, functools.partial):
        for inner in (thing.func, *thing.args, *thing.keywords.items()):
            yield from _parts(inner, seen)
    elif isinstance(thing, types.MethodType):
        yield from _parts(thing.__func__, seen)
        yield from _parts(thing.__self__, seen)
    elif isinstance(thing, types.FunctionType):
        yield from _code(thing.__code__)
        for value in (*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).items(), *_closure(thing)):
            yield from _parts(value, seen)
        for name in sorted(_names(thing.__code__)):
            value = thing.__globals__.get(name)
            if isinstance(value, types.FunctionType | type) and value.__module__ == thing.__module__:
                yield from _parts(value, seen)
            elif isinstance(value, bool | int | float | str | tuple):
                yield f"{name}={value!r}"
    elif isinstance(thing, type):
        yield thing.__qualname__
        if not _is_library(thing):
            for name, value in sorted(vars(thing).items()):
                if isinstance(value, types.FunctionType):
                    yield name
                    yield from _parts(value, seen)
            for base in thing.__bases__:
                yield from _parts(base, seen)
    elif isinstance(thing, list | tuple):
        for inner in thing:
            yield from _parts(inner, seen)
    else:  # an object: its class, and what can be told of its state
        yield from _parts(type(thing), seen)
        state = getattr(thing, "__dict__", {})
        yield repr(sorted((key, value) for key, value in state.items() if isinstance(value, bool | int | float | str)))


def _closure(function: types.FunctionType) -> list[object]:
    return [cell.cell_contents for cell in function.__closure__ or () if cell != types.CellType()]


def _code(code: types.CodeType) -> Iterable[str]:
    yield code.co_code.hex()
    yield repr((code.co_names, code.co_varnames))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code(constant)
        else:
            yield repr(constant) if not isinstance(constant, frozenset) else repr(sorted(map(repr, constant)))


def _names(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*(_names(one) for one in inner))


def _is_library(thing: type) -> bool:
    try:
        return "site-packages" in inspect.getfile(thing)
    except (TypeError, OSError):
        return thing.__module__ == "builtins"
