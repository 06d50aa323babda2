"""What is the user's own: a module's factory, an optimizer's, a loss, arrays, a metric. The record holds its name and a
fingerprint; the thing itself lives as long as the process."""

from __future__ import annotations

import itertools
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

_received: dict[str, Any] = {}
"""In a worker: what its driver sent, by handle."""

_receiving = threading.Lock()

_count = itertools.count()


@dataclass(frozen=True, kw_only=True)
class UserDefined:
    """A thing with the name that its arm, task or metric has. Two are equal if name and fingerprint are.

    `reason`: why the fingerprint cannot tell the thing from a changed one, if it cannot; then every process has
    another. `handle`: what this thing is called between processes, and no other.

    Pickled, it is a reference: `receive` must have been given what `send` made, once, on the other side.
    """

    name: str
    fingerprint: str
    thing: Any = field(compare=False, repr=False)
    reason: str | None = field(default=None, compare=False)
    handle: str = field(default="", compare=False, repr=False)
    packed: bytes | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.handle:
            object.__setattr__(self, "handle", f"{self.name}#{next(_count)}")

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
        return replace(self, thing=unpack(self.packed))

    def __str__(self) -> str:
        return self.fingerprint[:12]

    def __reduce__(self) -> tuple[Callable[..., UserDefined], tuple[str, str, str | None, str]]:
        return _recall, (self.name, self.fingerprint, self.reason, self.handle)


@dataclass(frozen=True, kw_only=True)
class UserTable(UserDefined):
    """A table of columns of any kind, encoded when it is split. `given`: what was said of its columns where it was
    made, by the settings' names (`target`, `drop`, ...); `path`: the file that it was read from, empty of one that
    Python gave."""

    given: Mapping[str, str] = field(default_factory=dict, compare=False)
    path: str = field(default="", compare=False)


def _recall(name: str, fingerprint: str, reason: str | None, handle: str) -> UserDefined:
    thing = _received[handle]
    packed = thing if isinstance(thing, bytes) else None
    return UserDefined(
        name=name,
        fingerprint=fingerprint,
        thing=thing if packed is None else pickle.loads(packed),
        reason=reason,
        handle=handle,
        packed=packed,
    )


def send(things: Iterable[UserDefined]) -> bytes:
    """Things as bytes, functions that were typed into a notebook among them."""
    import cloudpickle

    # as they are packed for their copies: what the user's own modules hold goes along
    content: bytes = cloudpickle.dumps({own.handle: own.packed or own.thing for own in things})
    return content


def receive(content: bytes) -> None:
    """What another process sent."""
    _received.update(pickle.loads(content))


@contextmanager
def received(content: bytes) -> Iterator[None]:
    """What another process sent, inside alone: a worker that several drivers use, whose handles may be the same, keeps
    nothing of any of them."""
    with _receiving:
        before = dict(_received)
        _received.update(pickle.loads(content))
        try:
            yield
        finally:
            _received.clear()
            _received.update(before)


def user_defined(thing: Callable[..., Any], name: str | None = None) -> UserDefined:
    """A function or class under a name, its own by default.

    >>> def small(): ...
    >>> one = user_defined(small)
    >>> one.name, one == user_defined(small), one == user_defined(small, "s")
    ('small', True, False)
    >>> file = open(__file__)
    >>> user_defined(lambda: file.read()).reason
    'file is an object of the class _io.TextIOWrapper, whose state cannot be read'
    >>> file.close()
    """
    from paribus.config.identity.walk import identify

    called = name or str(getattr(thing, "__name__", type(thing).__name__))
    found = identify(thing)
    return UserDefined(
        name="own" if called == "<lambda>" else called, fingerprint=found.fingerprint, thing=thing, reason=found.reason
    )


def is_estimator(thing: object) -> bool:
    """Whether it is an estimator as scikit-learn's are: an object that can be fitted, predicts, and tells its
    parameters.

    >>> from sklearn.svm import SVC
    >>> is_estimator(SVC()), is_estimator(SVC), is_estimator(len)
    (True, False, False)
    """
    named = (getattr(thing, name, None) for name in ("fit", "predict", "get_params"))
    return not isinstance(thing, type) and all(map(callable, named))


def code_fingerprint(thing: object) -> str:
    """SHA-256 of what a function, class or object does, as far as its code and the values that it holds tell.

    It covers all that is reached through code and values of the user's: the functions, classes and values that a
    function names, in any module that is no installed library, its defaults and its closure; an object's class and
    attributes; the bytes of arrays and tensors. Comments, docstrings, annotations, names of local variables, and the
    file and place where something stands do not matter. What cannot be read, as an open file, is another in every
    process. `identity.walk.identify` says why, too.

    >>> code_fingerprint(lambda: 1) == code_fingerprint(lambda: 1) != code_fingerprint(lambda: 2)
    True
    """
    from paribus.config.identity.walk import identify

    return identify(thing).fingerprint
