"""Which examples each step takes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from paribus.config.settings import Settings, steps_in_epoch
from paribus.plan import Indices, Plan

_EXAMPLES_AT_ONCE = 2**18
"""Orders are drawn for many epochs at once, a few MB of them, as the plan draws 20 times faster that way."""


def epochs(settings: Settings, plan: Plan, n_train: int, begin: int = 0) -> Iterator[list[Indices]]:
    """For each epoch from `begin` on, the examples of its steps.

    Arms that differ in batch size cut the same order differently.

    >>> from paribus.config.overrides import build
    >>> settings = build({"task": "moons", "batch_size": 2, "epochs": 1})
    >>> [batch.tolist() for batch in next(epochs(settings, Plan(0), n_train=5))]
    [[2, 1], [4, 0], [3]]
    """
    steps, batch = steps_in_epoch(settings, n_train), settings.batch_size
    repeats = settings.sampler == "replacement"
    # With repeats and all steps: as many draws as one pass has examples, so that its last batch is as short.
    size = steps * batch if repeats and settings.steps_per_epoch != "all" else n_train
    at_once = max(1, _EXAMPLES_AT_ONCE // size)
    for first in range(begin, settings.epochs, at_once):
        count = min(at_once, settings.epochs - first)
        orders = plan.draws(first, count, size, n_train) if repeats else plan.permutations(first, count, n_train)
        for order in orders:
            yield [order[start : start + batch] for start in range(0, size, batch)][:steps]


def examples_in_epoch(settings: Settings, n_train: int) -> int:
    """How many examples the steps of an epoch take."""
    if settings.steps_per_epoch == "all":
        return n_train
    most = n_train if settings.sampler == "shuffle" else math.inf
    return int(min(settings.steps_per_epoch * settings.batch_size, most))


def smallest_batch(settings: Settings, n_train: int) -> int:
    """The fewest examples that a step takes: the last batch of an epoch may be short."""
    if settings.steps_per_epoch == "all" or settings.sampler == "shuffle":
        taken = examples_in_epoch(settings, n_train)
        return taken % settings.batch_size or min(settings.batch_size, taken)
    return settings.batch_size


def mistake(settings: Settings, n_train: int) -> str | None:
    """Why `steps_per_epoch` cannot be had, if it cannot."""
    available = math.ceil(n_train / settings.batch_size)
    if settings.sampler == "shuffle" and steps_in_epoch(settings, n_train) > available:
        return (
            f"steps_per_epoch={settings.steps_per_epoch} is more than sampler=shuffle has: {n_train} training examples "
            f"in batches of {settings.batch_size} make {available}; lower it, or take sampler=replacement"
        )
    return None


def note(settings: Settings, n_train: int) -> str | None:
    """What is to be said of a batch larger than the data."""
    if settings.batch_size > n_train and settings.sampler == "shuffle":
        return (
            f"batch_size={settings.batch_size} is more than the data: every step takes all {n_train} training examples"
        )
    return None
