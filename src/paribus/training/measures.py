"""What is measured on a split beside the loss, the same for every backend."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from paribus.tasks import Task
from paribus.tasks.pool import Targets


def of_predictions(predicted: Targets, y: Targets) -> dict[str, float]:
    """rmse = sqrt(mean (y - p)^2), mae = mean |y - p|, r2 = 1 - sum (y - p)^2 / sum (y - mean y)^2; all float64.

    Where all y are the same, r2 is 0, or 1 if every p is that number (as `sklearn.metrics.r2_score`).

    >>> of_predictions(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
    {'rmse': 0.7071067811865476, 'mae': 0.5, 'r2': -1.0}
    """
    residuals = y - predicted
    return of_sums(float(np.square(residuals).sum()), float(np.abs(residuals).sum()), y)


def of_sums(squares: float, absolutes: float, y: Targets) -> dict[str, float]:
    """As `of_predictions`, from the sums of the squared and of the absolute residuals."""
    spread = float(np.square(y - y.mean()).sum())
    r2 = 1 - squares / spread if spread else float(squares == 0)
    return {"rmse": math.sqrt(squares / len(y)), "mae": absolutes / len(y), "r2": r2}


def measured(task: Task, outputs: NDArray[np.floating], y: Targets) -> dict[str, float]:
    """Of a model's outputs, a row for each number in targets y: accuracy, or rmse, mae and r2 in the data's units."""
    if task.target is None:
        return {"accuracy": float((outputs.argmax(axis=1) == y.ravel()).mean())}
    return of_predictions(task.predicted(outputs), y)
