"""Whether two objects hold the same, in everything that they keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from paribus.handwritten.places import attributes


def first_difference(one: Any, other: Any) -> str | None:
    """The name under which two objects of one class first differ, to the last bit; None where they are the same.

    Arrays, numbers and text are compared, generators by where they stand, other objects by their attributes.

    >>> from types import SimpleNamespace
    >>> first_difference(SimpleNamespace(w=np.ones(2), steps=3), SimpleNamespace(w=np.ones(2), steps=4))
    'steps'
    """
    return _difference(one, other, "", set())


def _difference(one: Any, other: Any, name: str, seen: set[tuple[int, int]]) -> str | None:
    if (id(one), id(other)) in seen or one is other:
        return None
    seen.add((id(one), id(other)))
    if type(one).__qualname__ != type(other).__qualname__:
        return name
    if isinstance(one, np.ndarray):
        same = one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
        return None if same else name
    if isinstance(one, np.random.Generator):
        return _difference(one.bit_generator.state, other.bit_generator.state, name, seen)
    if isinstance(one, Mapping):
        if list(one) != list(other):
            return name
        pairs = [(f"{name}[{key!r}]", one[key], other[key]) for key in one]
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            return name
        pairs = [(f"{name}[{i}]", a, b) for i, (a, b) in enumerate(zip(one, other, strict=True))]
    elif mine := attributes(one):
        theirs = attributes(other)
        if mine.keys() != theirs.keys():
            return f"{name}.{next(iter(mine.keys() ^ theirs.keys()))}".removeprefix(".")
        pairs = [(f"{name}.{key}".removeprefix("."), value, theirs[key]) for key, value in mine.items()]
    else:
        return None if callable(one) or one == other or (one != one and other != other) else name
    return next((found for key, a, b in pairs if (found := _difference(a, b, key, seen)) is not None), None)
