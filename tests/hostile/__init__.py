"""Inputs that mean harm, or that met with bad luck.

Each generator tries for some seconds, always the same inputs in the same order: a few in `make test`, as many as the
time allows in `make hostile SECONDS=3600`; PARIBUS_HOSTILE_TRIES=2000 says how many there are at least.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

SECONDS = float(os.environ.get("PARIBUS_HOSTILE_SECONDS", "2"))
"""For each generator."""


def tries(at_least: int) -> Iterator[random.Random]:
    """A source of randomness for each try, while there is time."""
    at_least = max(at_least, int(os.environ.get("PARIBUS_HOSTILE_TRIES", "0")))
    until, number = time.monotonic() + SECONDS, 0
    while number < at_least or time.monotonic() < until:
        yield random.Random(number)
        number += 1


def damaged(content: bytes, source: random.Random) -> bytes:
    """Not the same: a bit flipped, a byte or a stretch lost, doubled, zeroed or replaced, or the end cut off."""
    found = content
    while found == content:
        first = source.randrange(len(content))
        last = min(len(content), first + source.choice((1, 1, 4, 100, 4096)))
        part = content[first:last]
        match source.randrange(6):
            case 0:
                part = bytes([part[0] ^ 1 << source.randrange(8)]) + part[1:]
            case 1:
                part = b""
            case 2:
                part *= 2
            case 3:
                part = bytes(len(part))
            case 4:
                part = source.randbytes(len(part))
            case 5:
                last = len(content)
                part = b""
        found = content[:first] + part + content[last:]
    return found
