"""The tests that `make test` leaves to `make slow`, as each takes more than two seconds: tests/slow.txt, made by

    pytest -n 2 --durations=0 -vv | python tests/slow.py

A test that is new or was renamed is in `make test` until the list is made again.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

LIST = Path(__file__).with_name("slow.txt")
_MOST_SECONDS = 2.0
_LINE = re.compile(r"([0-9.]+)s (?:call|setup|teardown)\s+(tests/.+)")


def slow(lines: Iterable[str]) -> list[str]:
    """The tests in what `--durations` printed that take longer.

    >>> slow(["1.50s call     tests/test_a.py::test_b[x y]", "0.60s setup    tests/test_a.py::test_b[x y]", "9 passed"])
    ['tests/test_a.py::test_b[x y]']
    """
    seconds: dict[str, float] = defaultdict(float)
    for line in lines:
        if found := _LINE.fullmatch(line.rstrip("\n")):
            seconds[found[2]] += float(found[1])
    return sorted(test for test, taken in seconds.items() if taken > _MOST_SECONDS)


if __name__ == "__main__":
    LIST.write_text("\n".join(slow(sys.stdin)) + "\n", encoding="utf-8")
