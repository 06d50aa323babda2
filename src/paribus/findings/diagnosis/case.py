"""What a diagnosis looks at: one run, with its arm's settings and its looks, as numbers that may be missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from paribus.config.values import Value
from paribus.records.record import RunRecord, Status
from paribus.records.vitals import Vitals

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One run. `counts`: split -> how many examples of each class it has, empty where that is not known; `remarks`:
    what the trial before training remarked on its arm."""

    settings: Mapping[str, Value]
    run: RunRecord
    counts: Mapping[str, Sequence[int]]
    remarks: Sequence[str] = ()

    @property
    def diverged(self) -> bool:
        """Whether its loss was no number in the end."""
        return self.run.status is Status.DIVERGED

    @property
    def vitals(self) -> Vitals | None:
        """Its looks, of the one run of an arm that has them; None where there is not one."""
        found = self.run.pictures.vitals
        return found if found is not None and len(found.epochs) else None

    def curve(self, name: str) -> Numbers:
        """A column of its curve; empty where it has none."""
        return self.run.curve.get(name, np.zeros(0))

    @cached_property
    def guess(self) -> float | None:
        """The training loss of guessing by the classes' shares; of squared, scaled numbers that of their mean; None
        where that is not known."""
        loss = str(self.settings.get("loss", "cross_entropy"))
        if not self.run.task.classes:
            return 1.0 if loss == "mse" else None
        if loss not in ("cross_entropy", "binary") and "loss.function" not in self.settings:
            return None
        shares = np.array([one for one in self.counts.get("train", ()) if one], dtype=np.float64)
        if not len(shares):
            return math.log(self.run.task.classes)
        shares /= shares.sum()
        return float(-(shares * np.log(shares)).sum())

    @cached_property
    def scale(self) -> float:
        """What a change of the loss is measured by: the loss of guessing; where that is not known the highest of
        training."""
        loss = self.curve("train_loss")
        if self.guess:
            return self.guess
        return max(float(np.nanmax(loss)), 1e-12) if np.isfinite(loss).any() else 1.0

    @cached_property
    def learned(self) -> Numbers:
        """At each evaluation how much of the loss of guessing is gone, 0 for none and 1 for all."""
        loss, guess = self.curve("train_loss"), self.guess
        return 1 - loss / guess if guess else np.zeros(0)

    def right(self, *splits: str) -> float | None:
        """In the end, what share of the answers that guessing gets wrong is right, on the first of some splits that has
        a curve of it; None where that is not known, and of numbers to predict."""
        for split in splits:
            accuracy, counts = self.curve(f"{split}_accuracy"), self.counts.get(split, ())
            if len(accuracy) and np.isfinite(accuracy[-1]) and sum(counts) > max(counts, default=0):
                guessing = max(counts) / sum(counts)
                return float((accuracy[-1] - guessing) / (1 - guessing))
        return None

    @property
    def plateau(self) -> float:
        """The share of training, from its start, in which nothing was learned; NaN where that is not known.

        Up to the first evaluation after which the loss stays below 95 % of guessing's.
        """
        if not len(self.learned):
            return math.nan
        below = self.learned < _LEARNED
        last = int(np.flatnonzero(below)[-1]) if below.any() else -1
        return (last + 1) / len(below)

    @property
    def badly(self) -> bool:
        """Whether less than half of the loss of guessing is gone in the end, or that is not known."""
        return self.diverged or not len(self.learned) or not self.learned[-1] > _HALF

    @property
    def transfers_nothing(self) -> bool:
        """Whether on held-out data, at its best, hardly any of the loss of guessing is gone."""
        for name in ("validation_loss", "test_loss"):
            held = self.curve(name)
            if len(held) and self.guess:
                return not 1 - np.nanmin(held) / self.guess > _LEARNED
        return False

    @property
    def curvature(self) -> float:
        """Of the loss along its gradient at the start; 0 where it was not measured, or is no number."""
        found = self.vitals.curvature if self.vitals is not None else np.zeros(0)
        return float(found[0]) if len(found) and np.isfinite(found[0]) else 0.0

    def hidden(self, name: str, look: int) -> Numbers:
        """A quantity at one look, of what hidden layers give: of the inputs of each layer but the first."""
        if self.vitals is None:
            return np.zeros(0)
        values: Numbers = getattr(self.vitals, name)[look][1:]
        return values

    def layer(self, number: int) -> str:
        """The name of a layer, where there are looks."""
        return self.vitals.layers[number] if self.vitals is not None else ""


_LEARNED, _HALF = 0.05, 0.5
