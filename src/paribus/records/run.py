"""What is trained, and who is told of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from paribus.config.loops import LoopSettings
from paribus.config.settings import Settings
from paribus.config.user_code import UserDefined
from paribus.config.values import Value
from paribus.plan import PLAN_VERSION
from paribus.records.checkpoint import Checkpoint, CheckpointError
from paribus.records.record import Evaluation, Outcome


@dataclass(frozen=True)
class Run:
    """One arm with one seed.

    `keep`: what the record is to hold beside the curve (`weights`, `predictions`, `best`); `hidden_test`: the test
    split is not looked at; `metrics`: the user's own; `checkpoint`: the file that it goes on from where it is there,
    and `checkpoint_seconds` how often a newer one is told, 0 for never; `pictures`: the outcome has what a page shows
    of one run of each arm; `expected`: the metric that a user's loop has to report; `output`: the folder for what such
    a run writes.
    """

    settings: Settings | LoopSettings
    seed: int
    keep: frozenset[str] = frozenset()
    _: KW_ONLY
    hidden_test: bool = False
    metrics: tuple[UserDefined, ...] = ()
    checkpoint: Path | None = None
    checkpoint_seconds: float = 0.0
    pictures: bool = False
    expected: str = ""
    output: Path | None = None

    @property
    def network(self) -> Settings:
        """Its settings, where Paribus trains it, and no loop of the user's."""
        assert isinstance(self.settings, Settings)
        return self.settings

    @property
    def user_loop(self) -> LoopSettings:
        """Its settings, where a loop of the user's trains it."""
        assert isinstance(self.settings, LoopSettings)
        return self.settings

    def resumes_from(self) -> Checkpoint | None:
        """Where it goes on; None where it begins at its first step, as there is no checkpoint, or one that did not look
        for the best of the run that is now to be kept."""
        if self.checkpoint is None:
            return None
        try:
            found = Checkpoint.read(self.checkpoint, self.identity())
        except CheckpointError:  # whoever carries the study out has told of it, and removed it
            return None
        return None if found is not None and "best" in self.keep and not found.keeps_best else found

    def identity(self) -> str:
        """What makes this run another than all others: its settings, its seed, the plan's version."""
        return identity_of(self.settings.flat(), self.seed, hidden_test=self.hidden_test)


def identity_of(flat: Mapping[str, Value], seed: int, *, hidden_test: bool) -> str:
    """The identity of a run from its settings under their full names."""
    facts = [PLAN_VERSION, seed, hidden_test, sorted(flat.items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class Callback:
    """Who is told what happens; a subclass answers what it wants to hear."""

    def on_run_begin(self, run: Run) -> None:
        """A run begins."""

    def on_environment(self, run: Run, facts: Mapping[str, object]) -> None:
        """A run that has begun is trained by another process: its versions and its machine."""

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        """A run was evaluated."""

    def on_checkpoint(self, run: Run, checkpoint: Checkpoint) -> None:
        """A run can go on from here."""

    def on_run_end(self, run: Run, outcome: Outcome) -> None:
        """A run is over, however it ended; it begins once more if `outcome.begins_again`."""

    def on_message(self, line: str) -> None:
        """Something that whoever waits should know."""
