"""Metrics of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from paribus.config.user_code import UserDefined
from paribus.plan import Plan
from paribus.tasks import Task
from paribus.tasks.task import Inputs
from paribus.training.randomness import borrowed_generators

PROBABILITIES = "probabilities"


def measure(metrics: Sequence[UserDefined], logits: NDArray[np.floating], y: NDArray[np.int64]) -> dict[str, float]:
    """Each metric of a split, as `f(classes, predicted classes)`, scikit-learn's order.

    A function whose second parameter is called `probabilities` gets those, shape (examples, classes).

    >>> from paribus.config.user_code import user_defined
    >>> def hits(y, predicted): return (y == predicted).sum()
    >>> measure([user_defined(hits)], np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    {'hits': 1.0}
    """
    found = {}
    for metric in metrics:
        names = list(inspect.signature(metric.thing).parameters)
        wanted = softmax(logits) if names[1:2] == [PROBABILITIES] else logits.argmax(axis=1)
        found[metric.name] = float(metric.thing(y.copy(), wanted))  # it may write into both
    return found


class Model(Protocol):
    """What metrics ask of a model."""

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        """Shape (inputs, classes)."""


def measured(
    metrics: Sequence[UserDefined], model: Model, task: Task, splits: Sequence[str], plan: Plan, *, step: int
) -> dict[str, float]:
    """Every metric on every split, `test_recall`, each on arrays of its own and under generators that belong to
    (seed, step): what a metric writes or draws is seen by nobody else."""
    (state,) = plan.generator_states(step, 1, evaluation=True)
    found: dict[str, float] = {}
    for name in splits:
        split = task.splits[name]
        logits = model.logits(split.x)
        with borrowed_generators(state):
            values = measure(metrics, logits, split.y)
        found |= {f"{name}_{metric}": value for metric, value in values.items()}
    return found


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities, exp(z) / sum exp(z) over the classes, in float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    powers: NDArray[np.float64] = np.exp(shifted)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def refusal(metric: UserDefined, task: Task) -> str | None:
    """Why a metric cannot be computed on the task, if it cannot: tried on the test split's own classes."""
    perfect = np.where(task.test.y[:, None] == np.arange(task.info.classes), 5.0, 0.0)
    try:
        measure([metric.copy()], perfect, task.test.y)
    except Exception as error:  # whatever the user's code raises is the answer
        return f"metric {metric.name} cannot be computed: {type(error).__name__}: {error}"
    return None
