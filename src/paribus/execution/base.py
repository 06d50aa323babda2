"""The contract of an executor: where runs are carried out.

- Runs go out, one by one or in batches of seeds; what happens in them comes back as the calls of a `Callback`:
  evaluations, checkpoints, outcomes and messages, for each run in the order in which they happened.
- The environment that is recorded of a run is that of the process that trained it.
- The driver alone writes: a worker gets a checkpoint as bytes, and gives one back as bytes.
- To try again is the driver's business: a run whose worker dies is tried once more, then recorded as failed, with its
  name; the other runs go on.
- A run's record does not depend on the executor, its times apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from paribus.records.run import Callback, Run
from paribus.tasks import Task, load

TRIES = 2
"""How often a run is begun whose worker dies."""


class Executor(Protocol):
    """Carries runs out, in order as far as it can, and tells the callback of each."""

    def carry_out(self, runs: Sequence[Run], callback: Callback) -> None:
        """Train all runs."""


class ExecutorError(RuntimeError):
    """Runs cannot be carried out where they were to be. Its text says why, and what to do."""


def load_task(run: Run) -> Task:
    """The task of a run."""
    return load(run.settings, run.seed)
