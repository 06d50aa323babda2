"""What is trained, and who is told of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from paribus.config.settings import Settings
from paribus.config.user_code import Own
from paribus.plan import PLAN_VERSION
from paribus.records.checkpoint import Checkpoint
from paribus.records.record import Evaluation, Outcome


@dataclass(frozen=True)
class Run:
    """One arm with one seed.

    `keep`: what the record is to hold beside the curve (`weights`, `predictions`, `best`); `blind`: the test split is
    not looked at; `metrics`: the user's own; `checkpoint`: the file that it goes on from where it is there, and
    `checkpoint_seconds` how often a newer one is told, 0 for never; `pictures`: the outcome has what a page shows of
    one run of each arm.
    """

    settings: Settings
    seed: int
    keep: frozenset[str] = frozenset()
    blind: bool = False
    metrics: tuple[Own, ...] = ()
    checkpoint: Path | None = None
    checkpoint_seconds: float = 0.0
    pictures: bool = False

    def identity(self) -> str:
        """What makes this run another than all others: its settings, its seed, the plan's version."""
        facts = [PLAN_VERSION, self.seed, self.blind, sorted(self.settings.flat().items())]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class Observer:
    """Who is told what happens; a subclass answers what it wants to hear."""

    def started(self, run: Run) -> None:
        """A run begins."""

    def evaluated(self, run: Run, row: Evaluation) -> None:
        """A run was evaluated."""

    def checkpointed(self, run: Run, checkpoint: Checkpoint) -> None:
        """A run can go on from here."""

    def ended(self, run: Run, outcome: Outcome) -> None:
        """A run is over, however it ended."""

    def said(self, line: str) -> None:
        """Something that whoever waits should know."""
