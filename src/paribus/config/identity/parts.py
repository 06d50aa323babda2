"""What a walk through a user's code and values meets: things, and what each is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parts:
    """What a thing is made of. `own`: what it is without the things that it holds; `held`: those, each after the words
    that say where it is held; `ordered`: whether their order counts; `changeable`: whether it can be written into, so
    that it matters which other places hold the same one."""

    own: bytes
    held: list[tuple[str, object]]
    ordered: bool = True
    changeable: bool = False


class Untellable(Exception):  # noqa: N818 (no error: an answer)
    """That a thing's state cannot be read; with what the thing is."""


@dataclass(frozen=True)
class Pair:
    """A key with its value, where the order of the pairs does not count."""

    key: object
    value: object


@dataclass(frozen=True)
class Keyed:
    """A dict of which only single keys are asked for: the order of its keys does not count."""

    values: dict[Any, Any]


@dataclass(frozen=True)
class Whole:
    """All that a module of the user's holds."""

    namespace: dict[str, Any]


@dataclass(frozen=True)
class Fact:
    """Something that is known by its words alone, as a name that Python defines."""

    words: str


@dataclass(frozen=True)
class Unreadable:
    """Stands for something that cannot be had, and says what."""

    what: str
