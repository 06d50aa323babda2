"""Where runs that had not come to an end go on: from their last checkpoint, if it and their record agree."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paribus.backends.base import backend_of
from paribus.config.settings import steps_in_epoch
from paribus.records.checkpoint import Checkpoint, CheckpointError
from paribus.records.run import Run, identity_of
from paribus.study.migrations import canonical
from paribus.study.store import Begun

CHECKPOINTS = "checkpoints"
"""In a study's folder: where runs on their way stood last."""


@dataclass(frozen=True)
class Resumption:
    """Where a run goes on: a checkpoint and the file that it was read from; or None, and why not."""

    checkpoint: Checkpoint | None
    path: Path | None = None
    why_not: str = ""

    def told(self) -> str:
        """In words."""
        if self.checkpoint is not None:
            return "goes on from its last checkpoint"
        why = f"of its last checkpoint, {self.why_not}: " if self.why_not else ""
        return f"{why}trained again from the start"


NOTHING = Begun(np.zeros(0, np.int64), 1)
"""Of a run that was never begun: a checkpoint that is there nevertheless is one without a record."""


def checkpoint_path(folder: Path, identity: str) -> Path:
    """The file of a run's checkpoint in a study's folder."""
    return folder / CHECKPOINTS / f"{identity[:24]}.checkpoint"


def resumption(run: Run, begun: Begun, former: Mapping[str, Sequence[str]]) -> Resumption:
    """Where a run goes on. `former`: how older versions wrote the arms' settings, by which they named checkpoints.

    A checkpoint counts only if the recorded curve has every evaluation until its step: after a loss of power the
    database may lack what was written last, and the curve would have a hole.
    """
    if run.checkpoint is None:
        return Resumption(None)
    names = {run.checkpoint: run.identity()}
    for text in former.get(canonical(run.settings.flat()), ()):
        identity = identity_of(json.loads(text), run.seed, hidden_test=run.hidden_test)
        names[run.checkpoint.with_name(checkpoint_path(Path(), identity).name)] = identity
    path = next((one for one in names if one.exists()), None)
    if path is None:
        return Resumption(None)
    try:
        found = Checkpoint.read(path, names[path])
    except CheckpointError as error:
        return Resumption(None, path, str(error))
    if found is None:
        return Resumption(None, path, "it is another run's")
    if "best" in run.keep and not found.keeps_best:
        return Resumption(None, path, "it does not hold the best weights so far")
    if backend_of(run.settings).own_loop:
        known = len(begun.steps) > 0 and found.step in begun.steps
        lost = f"the recorded curve has not every evaluation until its step, {found.step}"
        return Resumption(found, path) if known or not found.step else Resumption(None, path, lost)
    per_epoch = steps_in_epoch(run.network, begun.examples)
    interval = run.network.eval_every.in_steps(per_epoch)
    wanted = np.arange(interval, found.step + 1, interval)
    if found.step >= per_epoch * run.settings.epochs:
        return Resumption(None, path, f"it is damaged: it stands at step {found.step}, beyond the run's end")
    if not np.array_equal(begun.steps[begun.steps <= found.step], wanted):
        return Resumption(None, path, f"the recorded curve has not every evaluation until its step, {found.step}")
    return Resumption(found, path)


def bring(run: Run, begun: Begun, former: Mapping[str, Sequence[str]]) -> None:
    """Give an older version's checkpoint the name that the run has today; remove one that it cannot go on from."""
    found = resumption(run, begun, former)
    if found.path is None or run.checkpoint is None or (found.checkpoint and found.path == run.checkpoint):
        return
    if found.checkpoint is not None:
        found.checkpoint.write(run.checkpoint, run.identity())
    found.path.unlink(missing_ok=True)
