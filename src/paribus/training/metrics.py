"""Metrics of the user's own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.user_code import UserDefined
from paribus.config.user_errors import RAISED, told
from paribus.plan import Plan
from paribus.tasks import Task
from paribus.tasks.pool import Targets
from paribus.training.isolation import isolated, process_settings
from paribus.training.randomness import (
    other_states,
    set_generators,
    set_torch_generator,
    untouched_torch_generator,
)
from paribus.training.scoring import Answers, softmax, value

__all__ = ["Metrics", "measure", "refusal", "softmax"]


def measure(
    metrics: Sequence[UserDefined], logits: NDArray[np.floating] | Answers, y: Targets, labels: Sequence[Any] = ()
) -> dict[str, float]:
    """Each metric of a split: of the classes, and of those predicted or their probabilities (`scoring.value`).

    `labels`: what the user calls class 0, 1, ..., for a metric that names one of them.

    >>> from paribus.config.user_code import user_defined
    >>> def hits(y, predicted): return (y == predicted).sum()
    >>> measure([user_defined(hits)], np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    {'hits': 1.0}
    """
    return {metric.name: value(metric.thing, logits, y, labels) for metric in metrics}


class Metrics:
    """The user's own metrics in a run: what one writes, counts or draws is seen by no other, and by no later call."""

    def __init__(self, metrics: Sequence[UserDefined], task: Task, plan: Plan) -> None:
        self._metrics, self._task, self._plan = metrics, task, plan
        # the copy of a library's function is itself
        self._shared = {metric.name for metric in metrics if metric.copy().thing is metric.thing}
        # from NumPy's or Python's generator, or sets what belongs to the process; not known before the first evaluation
        self._draws: bool | None = None

    def __bool__(self) -> bool:
        return bool(self._metrics)

    def measured(
        self, logits: Mapping[str, NDArray[np.floating] | Answers], *, step: int, watched: bool = False
    ) -> dict[str, float]:
        """Each on every split, `test_recall`, on arrays of its own, under generators that belong to (seed, step).

        `logits`: of each split's examples. `watched`: whether `Learner.confirm` notices who draws from NumPy's or
        Python's generator. Then metrics that drew from neither at first are trusted: to set both and put them back
        takes longer than many a metric.
        """
        state = self._plan.evaluation_state(step)
        trusted = watched and self._draws is False
        found: dict[str, float] = {}
        drawn = False
        with untouched_torch_generator() if trusted else isolated(state):
            outputs = {name: self._in_units(one) for name, one in logits.items()}
            for (name, predicted), metric in itertools.product(outputs.items(), self._metrics):
                if trusted:
                    set_torch_generator(state)
                else:
                    set_generators(state)
                before = (other_states(), process_settings()) if self._draws is None else None
                # of a copy: what it counts, or draws from a generator of its own, begins anew each time
                own = metric if metric.name in self._shared else metric.copy()
                values = measure([own], predicted, self._task.splits[name].y.ravel(), self._task.labels)
                found[f"{name}_{metric.name}"] = values[metric.name]
                drawn = drawn or (before is not None and (other_states(), process_settings()) != before)
        if self._draws is None:
            self._draws = drawn
        return found

    def _in_units(self, logits: NDArray[np.floating] | Answers) -> NDArray[np.floating] | Answers:
        """Logits and answers as they are, and numbers as the data have them."""
        if self._task.target is None or isinstance(logits, Answers):
            return logits
        return self._task.predicted(logits)[:, None].astype(np.float64)


def refusal(metric: UserDefined, task: Task) -> str | None:
    """Why a metric cannot be computed on the task, if it cannot: tried on the test and validation splits' own
    classes."""
    for name, split in task.splits.items():
        if name == "train":  # the largest, and the last that lacks a class
            continue
        y = split.y.ravel()
        perfect = y[:, None]
        if task.target is None:
            perfect = np.where(perfect == np.arange(task.info.classes), 5.0, 0.0)
        try:
            with isolated(0):
                measure([metric.copy()], perfect, y, task.labels)
        except RAISED as error:  # whatever the user's code raises is the answer
            where = "" if name == "test" else f" on the {name} split"
            return f"metric {metric.name} cannot be computed{where}: {told(error)}"
    return None
