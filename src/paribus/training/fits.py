"""What is read off a model that predicts numbers, for pictures: its residuals, and with one input its curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.plan import Plan
from paribus.records.record import Fits, Residuals
from paribus.tasks import Task
from paribus.tasks.task import Inputs

Predict = Callable[[Inputs], NDArray[np.generic]]
"""Inputs (examples, *input_shape) of the task -> numbers in the data's units, shape (examples,)."""

MOST_ROWS = 500
"""Test rows that a picture shows."""

_POINTS = 200
_MOST_CURVES = 6
_MIDDLE = (0.05, 0.95)
_AT_ONCE = 1000


@np.errstate(over="ignore", invalid="ignore")  # a model may predict what is not finite
def residuals(predict: Predict, task: Task, plan: Plan) -> Residuals:
    """Predicted and measured numbers of the test rows that the plan draws, and the quantiles 0.05 and 0.95 of
    measured - predicted over all test rows."""
    x, y = task.test.x, task.test.y.astype(np.float64)
    predicted = np.concatenate([predict(x[i : i + _AT_ONCE]) for i in range(0, len(y), _AT_ONCE)]).astype(np.float64)
    rows = plan.pictured_rows(len(y), MOST_ROWS)
    return Residuals(rows, predicted[rows], y[rows], np.quantile(y - predicted, _MIDDLE))


class FitCurves:
    """What a model of one input predicts on a grid over the data, at some of its evaluations: the first, the last and
    up to four between them whose distances grow, as a fit changes most at first."""

    def __init__(self, evaluations: int, task: Task) -> None:
        self._due = set(np.geomspace(1, max(evaluations, 1), _MOST_CURVES).round().astype(int).tolist())
        self._task, self._seen = task, 0
        self._taken: list[tuple[float, NDArray[np.float64]]] = []
        self._grid = _grid(task)

    def look(self, epoch: float, predict: Predict) -> None:
        """At an evaluation."""
        self._seen += 1
        if self._grid is not None and self._seen in self._due:
            self._taken.append((epoch, predict(self._grid).astype(np.float64)))

    def fits(self, epoch: float, predict: Predict, plan: Plan) -> Fits | None:
        """Of a run that is done and whose model is that of `epoch`; None of a task without one numeric input."""
        if self._grid is None:
            return None
        task, grid = self._task, self._grid
        taken = [*(one for one in self._taken if one[0] < epoch), (epoch, predict(grid).astype(np.float64))]
        rows = plan.pictured_rows(len(task.test), MOST_ROWS)
        return Fits(
            x=grid[:, 0].astype(np.float64),
            epochs=np.array([at for at, _ in taken], np.float64),
            predicted=np.stack([one for _, one in taken]),
            rows_x=task.test.x[rows, 0].astype(np.float64),
            rows_y=task.test.y[rows].astype(np.float64),
            truth=np.zeros(0) if task.function is None else task.function(grid),
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """For a checkpoint, beside what `Snapshots` keeps there."""
        if not self._taken:
            return {}
        epochs, predicted = zip(*self._taken, strict=True)
        return {"fit_epochs": np.array(epochs, np.float64), "fit_predicted": np.stack(predicted)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """As `state` left it; of a checkpoint from before there were fits, only how many evaluations there were."""
        self._seen = int(state["seen"])
        if "fit_epochs" in state:
            self._taken = list(zip(state["fit_epochs"].tolist(), state["fit_predicted"], strict=True))


def _grid(task: Task) -> NDArray[np.floating] | None:
    """Inputs (200, 1), even from the least to the greatest of all splits: none beyond the data, where a model of the
    user's may be undefined."""
    if not task.on_a_line:
        return None
    everything = np.concatenate([split.x[:, 0] for split in task.splits.values()])
    ends = float(everything.min()), float(everything.max())
    return np.linspace(*ends, _POINTS, dtype=everything.dtype)[:, None]
