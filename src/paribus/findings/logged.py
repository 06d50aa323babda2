"""A run that a tracker wrote down: what it is called, what it was given, and what it logged."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """`metrics[name][step]`: the value logged last at that step, as text, so that no digit is added or lost;
    `finished`: whether it came to its end, as far as that is known."""

    name: str
    metrics: Mapping[str, Mapping[int, str]]
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    finished: bool = True

    def label(self, name: str) -> str:
        """A parameter, or else a tag; empty where it has neither."""
        return self.params.get(name, self.tags.get(name, ""))

    def ends_beyond_numbers(self, metrics: Sequence[str]) -> bool:
        """Whether the last value of a metric is infinite."""
        ends = [of[max(of)] for name in metrics if (of := self.metrics.get(name))]
        return any(math.isinf(float(one)) for one in ends)


def natural(name: str) -> list[tuple[int, int, str]]:
    """What names are sorted by so that numbers in them stand in their order.

    >>> sorted(["seed10", "seed2"], key=natural)
    ['seed2', 'seed10']
    """
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name)]
