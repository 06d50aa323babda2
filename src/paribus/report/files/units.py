"""Metrics with their units, as heads of tables and in captions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from paribus.records.metrics import Metric


def headed(metric: Metric) -> str:
    """A metric's name with the unit that its numbers are shown in.

    >>> from paribus.records.metrics import metric_named
    >>> [headed(metric_named(name)) for name in ("test_accuracy", "test_loss", "seconds_per_epoch")]
    ['test accuracy (%)', 'test loss (nats)', 'ms per epoch']
    """
    if metric.percent:
        return f"{metric.words} (%)"
    plain = metric.format.scale == 1 and not metric.format.suffix
    shown = metric.unit if plain and metric.unit and metric.unit not in metric.label.split() else ""
    return f"{metric.label} ({shown})" if shown else metric.label


def unit_of_difference(metric: Metric) -> str:
    """The unit of a difference as it is shown; empty where it has none.

    >>> from paribus.records.metrics import metric_named
    >>> [unit_of_difference(metric_named(name)) for name in ("test_accuracy", "test_loss", "seconds_per_epoch")]
    ['percentage points', 'nats', 'ms']
    """
    if metric.percent:
        return "percentage points"
    return metric.format.difference or (metric.unit if metric.format.scale == 1 else "")


def with_unit(name: str, unit: str) -> str:
    """A name with a unit in brackets, where there is one."""
    return f"{name} ({unit})" if unit else name


def span(numbers: Collection[int], thing: str) -> str:
    """How many, of several counts.

    >>> span([8, 8], "seed"), span([1], "seed"), span([6, 8, 7], "seed")
    ('8 seeds', '1 seed', '6 to 8 seeds')
    """
    low, high = min(numbers, default=0), max(numbers, default=0)
    return f"{low} {thing}{'s' * (low != 1)}" if low == high else f"{low} to {high} {thing}s"


def words_of(names: Sequence[str], most: int = 12) -> str:
    """Names in a sentence; of very many the first, and how many there are beside.

    >>> words_of(["a", "b", "c"]), words_of(["a"]), words_of(list("abcd"), most=2)
    ('a, b and c', 'a', 'a, b and 2 more')
    """
    shown = list(names[:most])
    rest = [f"{len(names) - len(shown)} more"] if len(names) > most else shown[-1:]
    before = shown if len(names) > most else shown[:-1]
    return " and ".join(filter(None, [", ".join(before), *rest]))
