"""Early stopping: when a run ends before its last epoch, and which of its evaluations is reported."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

MONITORS: dict[str, bool] = {
    "validation_loss": True,
    "validation_accuracy": False,
    "validation_rmse": True,
    "validation_mae": True,
    "validation_r2": False,
}
"""What can be watched -> whether lower is better."""

OF_CLASSES = ("validation_loss", "validation_accuracy")
OF_NUMBERS = ("validation_loss", "validation_rmse", "validation_mae", "validation_r2")


@dataclass(frozen=True)
class StoppingState:
    """Where it stands: the best value so far and its step, the value that an improvement is counted from, and how many
    evaluations have been without one since."""

    best: float = math.inf
    step: int = -1
    reference: float = math.inf
    without: int = 0


@dataclass(frozen=True)
class Stopping:
    """A run ends after `patience` evaluations in a row that improve `monitor` by no more than `min_delta`. Reported is
    the best evaluation, the first of equals, whether it ended early or not.

    >>> state, rule = StoppingState(), Stopping(patience=2, min_delta=0.1, monitor="validation_loss")
    >>> for step, loss in enumerate((1.0, 0.8, 0.75, 0.78)):
    ...     state = rule.after(state, step, loss)
    >>> state.step, rule.ends(state)
    (2, True)
    """

    patience: int
    min_delta: float
    monitor: str

    def after(self, state: StoppingState, step: int, value: float) -> StoppingState:
        """Once a value has been seen. Values are kept so that lower is better."""
        signed = value if MONITORS[self.monitor] else -value
        if signed < state.best:
            state = replace(state, best=signed, step=step)
        if signed < state.reference - self.min_delta:
            return replace(state, reference=signed, without=0)
        return replace(state, without=state.without + 1)

    def ends(self, state: StoppingState) -> bool:
        """Whether the run ends here."""
        return state.without >= self.patience
