"""Runs that no worker has yet, and how many of them make a batch."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Sequence

from paribus.records.run import Run

BATCH_SECONDS = 30.0
"""What a batch is to take: sending one costs some hundredths of a second, and a worker that dies loses its batch."""

AHEAD = 2
"""How many batches each worker has, the one that it trains among them: it never waits for the driver, and what the
driver has not sent can still be cut to size."""


class Waiting:
    """Runs by arm, in their order. `seconds_of`: what a run will take, NaN where nobody knows.

    >>> from types import SimpleNamespace
    >>> runs = [SimpleNamespace(settings="a") for _ in range(9)] + [SimpleNamespace(settings="b")]
    >>> waiting = Waiting(runs, lambda run: 10.0)
    >>> [len(waiting.batch(at_once=None)) for _ in range(4)], len(waiting)
    ([3, 3, 3, 1], 0)
    >>> waiting = Waiting(runs, lambda run: 0.01)
    >>> [len(waiting.batch(at_once=2)) for _ in range(5)]  # smaller and smaller, so that all workers end together
    [3, 2, 2, 1, 1]
    """

    def __init__(self, runs: Sequence[Run], seconds_of: Callable[[Run], float]) -> None:
        self._arms: dict[Hashable, deque[Run]] = {}
        for run in runs:
            self._arms.setdefault(run.settings, deque()).append(run)
        self._seconds_of, self._count = seconds_of, len(runs)

    def __len__(self) -> int:
        return self._count

    def batch(self, at_once: int | None) -> list[Run]:
        """The next runs of one arm: as many as take `BATCH_SECONDS`, at least one, and no more than leave as many
        batches as the workers hold. `at_once`: how many workers there are, None where nobody knows."""
        settings, arm = next(iter(self._arms.items()))
        seconds = self._seconds_of(arm[0]) if len(arm) > 1 else math.nan
        fitting = 1 if math.isnan(seconds) else int(BATCH_SECONDS / max(seconds, 1e-3))
        share = self._count if at_once is None else math.ceil(self._count / (AHEAD * at_once))
        found = [arm.popleft() for _ in range(max(1, min(fitting, share, len(arm))))]
        if not arm:
            del self._arms[settings]
        self._count -= len(found)
        return found
