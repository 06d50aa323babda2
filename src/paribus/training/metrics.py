"""Metrics of the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.user_code import UserDefined
from paribus.plan import Plan
from paribus.tasks import Task
from paribus.training.randomness import set_generators, untouched_generators
from paribus.training.scoring import softmax, value

__all__ = ["measure", "measured", "refusal", "softmax"]


def measure(
    metrics: Sequence[UserDefined], logits: NDArray[np.floating], y: NDArray[np.int64], labels: Sequence[Any] = ()
) -> dict[str, float]:
    """Each metric of a split: of the classes, and of those predicted or their probabilities (`scoring.value`).

    `labels`: what the user calls class 0, 1, ..., for a metric that names one of them.

    >>> from paribus.config.user_code import user_defined
    >>> def hits(y, predicted): return (y == predicted).sum()
    >>> measure([user_defined(hits)], np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    {'hits': 1.0}
    """
    return {metric.name: value(metric.thing, logits, y, labels) for metric in metrics}


def measured(
    metrics: Sequence[UserDefined], logits: Mapping[str, NDArray[np.floating]], task: Task, plan: Plan, *, step: int
) -> dict[str, float]:
    """Every metric on every split, `test_recall`, each on arrays of its own and under generators that belong to
    (seed, step): what a metric writes or draws is seen by nobody else. `logits`: of each split's examples."""
    state = plan.evaluation_state(step)
    found: dict[str, float] = {}
    with untouched_generators():
        for name, predicted in logits.items():
            set_generators(state)
            values = measure(metrics, predicted, task.splits[name].y, task.labels)
            found |= {f"{name}_{metric}": value for metric, value in values.items()}
    return found


def refusal(metric: UserDefined, task: Task) -> str | None:
    """Why a metric cannot be computed on the task, if it cannot: tried on the test and validation splits' own
    classes."""
    for name, split in task.splits.items():
        if name == "train":  # the largest, and the last that lacks a class
            continue
        perfect = np.where(split.y[:, None] == np.arange(task.info.classes), 5.0, 0.0)
        try:
            measure([metric.copy()], perfect, split.y, task.labels)
        except Exception as error:  # whatever the user's code raises is the answer
            where = "" if name == "test" else f" on the {name} split"
            return f"metric {metric.name} cannot be computed{where}: {type(error).__name__}: {error}"
    return None
