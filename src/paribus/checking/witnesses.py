"""Two witnesses of a gradient: central differences always; PyTorch's autograd where it is at hand or has to decide.

Importing PyTorch takes longer than all the rest of a check. So it is asked where it is imported already, and where
differences, which are right to about 1e-9, leave something open: between `FINE` and `OPEN`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from paribus.checking.autograd import installed
from paribus.checking.differences import Array, distance

AUTOGRAD, DIFFERENCES = "PyTorch's autograd", "central differences"
FINE, OPEN = 1e-8, 1e-3
"""Shares of the largest number. Below FINE, differences say "right"; above OPEN, "wrong"."""
EXACT, SMALL, COARSE = 1e-9, 1e-6, 1e-5
"""Below EXACT autograd says "right"; up to SMALL it is told, as of an epsilon in backward alone; COARSE is the most that
the gradient of a function's own value may be off."""
COARSE_32 = 5e-3


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Whether a gradient is right; `small`: the share by which it is off where that is little, but no rounding."""

    right: bool
    true: Array
    small: float = 0.0


@dataclass
class Witnesses:
    """The largest difference from each witness, of all tensors that are right."""

    largest: dict[str, float] = field(default_factory=dict)

    def judge(
        self, mine: Array, differences: Array, finer: Callable[[], Iterable[Array]], exact: Callable[[], Array | None]
    ) -> Judged:
        """`finer`: other differences, asked where these leave something open; `exact`: autograd, None where the operation is not known."""
        gap = distance(mine, differences)
        unsettled = FINE < gap <= OPEN
        if unsettled:
            gap = min(gap, *(distance(mine, one) for one in finer()))
        slopes = exact() if installed() and ("torch" in sys.modules or FINE < gap <= OPEN) else None
        if slopes is None or slopes.shape != mine.shape or distance(slopes, differences) > OPEN:
            return self._kept(Judged(right=gap <= COARSE, true=differences), {DIFFERENCES: gap})
        off = distance(mine, slopes)
        right = gap <= COARSE and off <= SMALL
        small = off if right and off > EXACT else 0.0
        return self._kept(Judged(right=right, true=slopes, small=small), {DIFFERENCES: gap, AUTOGRAD: off})

    def judge_single(self, mine: Array, differences: Array, tolerance: float) -> Judged:
        """Of float32 numbers, whose rounding autograd in float64 does not share."""
        gap = distance(mine, differences)
        return self._kept(Judged(right=gap <= tolerance, true=differences), {DIFFERENCES: gap})

    def _kept(self, judged: Judged, gaps: dict[str, float]) -> Judged:
        for witness, gap in gaps.items():
            if judged.right:
                self.largest[witness] = max(self.largest.get(witness, 0.0), gap)
            else:
                self.largest.setdefault(witness, 0.0)
        return judged

    @property
    def decided_by(self) -> str:
        """The more exact of those that were asked; empty where no gradient was compared."""
        return next((one for one in (AUTOGRAD, DIFFERENCES) if one in self.largest), "")
