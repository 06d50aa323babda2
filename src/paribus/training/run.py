"""What is trained, and who is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from paribus.core.own import Own
from paribus.core.record import Evaluation, Outcome
from paribus.core.settings import Settings


@dataclass(frozen=True)
class Run:
    """One arm with one seed.

    `keep`: what the record is to hold beside the curve (`weights`, `predictions`); `blind`: the test split is not
    looked at; `metrics`: the user's own.
    """

    settings: Settings
    seed: int
    keep: frozenset[str] = frozenset()
    blind: bool = False
    metrics: tuple[Own, ...] = ()


class Observer(Protocol):
    """Who is told what happens."""

    def started(self, run: Run) -> None:
        """A run begins."""

    def evaluated(self, run: Run, row: Evaluation) -> None:
        """A run was evaluated."""

    def ended(self, run: Run, outcome: Outcome) -> None:
        """A run is over, however it ended."""

    def said(self, line: str) -> None:
        """Something that whoever waits should know."""
