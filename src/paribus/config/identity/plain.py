"""Plain values as bytes: equal bytes exactly where type and value are the same."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable


def joined(parts: Iterable[bytes]) -> bytes:
    """Several byte strings as one, each after its length: no two lists give the same.

    >>> joined([b"ab", b"c"]) == joined([b"a", b"bc"])
    False
    """
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)


def plain(value: object) -> bytes | None:
    """A number, text, None, or a tuple or frozenset of such, with its type; None for anything else.

    >>> plain(1) == plain(1), plain(1) == plain(1.0), plain(1) == plain(True), plain(0.0) == plain(-0.0)
    (True, False, False, False)
    >>> plain((1, "a")) == plain((1, "a")), plain([1])
    (True, None)
    """
    kind = type(value)
    if value is None or value is Ellipsis or value is NotImplemented:
        return f"{value}".encode()
    if kind is bool or kind is int:
        return f"{kind.__name__} {value:x}".encode()
    if kind is float:
        assert isinstance(value, float)
        return b"float " + _bits(value)
    if kind is complex:
        assert isinstance(value, complex)
        return b"complex " + _bits(value.real) + _bits(value.imag)
    if kind is str:
        return b"str " + str(value).encode("utf-8", "surrogatepass")
    if kind is bytes:
        assert isinstance(value, bytes)
        return b"bytes " + value
    if kind is tuple or kind is frozenset:
        assert isinstance(value, tuple | frozenset)
        parts = [plain(one) for one in value]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            return None
        return kind.__name__.encode() + b" " + joined(found if kind is tuple else sorted(found))
    return None


def _bits(value: float) -> bytes:
    return struct.pack("<d", math.nan if math.isnan(value) else value)
