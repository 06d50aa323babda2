"""Candidates for tuning, from what is written: `lr=1e-5:1e-1:9` is nine values, evenly spaced in their logarithm;
`lr=0.1,0.01` these; several settings make a grid.

With a budget of N, N candidates are drawn from the plan instead: from `lr=1e-5:1e-1` anywhere in the range, evenly in
the logarithm, from a list any of its values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from paribus.config.overrides import Listed, SettingsError, all_settings, by_full_name
from paribus.config.registries import REGISTRIES
from paribus.config.values import Value, format_value
from paribus.plan import Plan

MOST_CANDIDATES = 1000
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_WRITTEN = re.compile(rf"({_NUMBER}):({_NUMBER})(?::(\d+))?")
_NO_CANDIDATES = {*REGISTRIES, "split", "validation", "eval_every", "threads"}


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, evenly in the logarithm; `whole`: of whole numbers."""

    low: float
    high: float
    whole: bool

    def at(self, place: float) -> Value:
        """The value at a place from 0 (low) to 1 (high), three digits of it; the ends are themselves."""
        if place in (0, 1):
            value = (self.low, self.high)[int(place)]
            return round(value) if self.whole or value.is_integer() else value
        return self.near(math.exp(math.log(self.low) * (1 - place) + math.log(self.high) * place))

    def near(self, number: float) -> Value:
        """Three digits of a number, a whole one where it has to be."""
        value = float(f"{number:.3g}")
        return round(value) if self.whole or value.is_integer() else value


Axis = list[Value] | Range
"""Of one setting."""


def parse_tune(listed: Sequence[Listed[Value]], budget: int | None) -> list[dict[str, Value]]:
    """The candidates: setting's full name -> value, for each. SettingsError with every mistake.

    >>> parse_tune([("lr", ["1e-3:1e-1:3"])], None)
    [{'optimizer.lr': 0.001}, {'optimizer.lr': 0.01}, {'optimizer.lr': 0.1}]
    >>> parse_tune([("lr", [0.1, 1]), ("momentum", [0, 0.9])], budget=2)
    [{'optimizer.lr': 1, 'optimizer.momentum': 0}, {'optimizer.lr': 0.1, 'optimizer.momentum': 0}]
    """
    axes = parse_axes(listed, budget)
    return grid(axes) if budget is None else drawn(axes, budget)


def parse_axes(listed: Sequence[Listed[Value]], budget: int | None) -> dict[str, Axis]:
    """What candidates are made of: setting's full name -> its values, or the range that they are drawn from.

    SettingsError with every mistake.
    """
    mistakes: list[str] = []
    axes: dict[str, Axis] = {}
    if budget is not None and not whole(budget, MOST_CANDIDATES):
        mistakes.append(f"--budget {budget} is not allowed: budget is a whole number from 1 to {MOST_CANDIDATES}")
    parsed, wrong = by_full_name(listed)
    mistakes += [f"--tune: {mistake}" for mistake in wrong]
    for name, values in parsed.items():
        if name in _NO_CANDIDATES or name.startswith("task."):
            mistakes.append(f"--tune {name}: it is no setting to choose by validation; make it a factor")
            continue
        try:
            axes[name] = _axis(name, values, budget)
        except ValueError as error:
            mistakes.append(f"--tune {spelled(name.rpartition('.')[2], values)} is not allowed: {error}")
    if mistakes:
        raise SettingsError(mistakes)
    size = size_of(axes)
    if budget is None and size > MOST_CANDIDATES:
        raise SettingsError([f"--tune makes {size} candidates: at most {MOST_CANDIDATES}, or --budget N of them"])
    if budget is not None and budget > size:
        raise SettingsError([f"--budget {budget} is more than the {size} candidates there are: leave it out"])
    return axes


def size_of(axes: Mapping[str, Axis]) -> float:
    """How many candidates there are; without end where one is drawn from a range."""
    return math.prod(math.inf if isinstance(axis, Range) else len(axis) for axis in axes.values())


def grid(axes: Mapping[str, Axis]) -> list[dict[str, Value]]:
    """Every combination of listed values."""
    lists = {name: axis for name, axis in axes.items() if isinstance(axis, list)}
    return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


def corners(axes: Mapping[str, Axis]) -> list[dict[str, Value]]:
    """Every listed value and both ends of every range, one setting after another: what is wrong with any value of a
    setting is wrong with one of these."""
    ends = {name: [axis.at(0), axis.at(1)] if isinstance(axis, Range) else axis for name, axis in axes.items()}
    first = {name: values[0] for name, values in ends.items()}
    return [{**first, name: value} for name, values in ends.items() for value in values]


def whole(number: object, most: int) -> bool:
    """Whether it is a whole number from 1 to the most, as Python or a file may give another."""
    return isinstance(number, int) and not isinstance(number, bool) and 0 < number <= most


def spelled(name: str, values: Sequence[Value]) -> str:
    """A setting and its candidates, as the command line has them."""
    return f"{name}={','.join(map(format_value, values))}"


def _axis(name: str, values: list[Value], budget: int | None) -> Axis:
    found = _WRITTEN.fullmatch(str(values[0])) if len(values) == 1 else None
    if found is None:
        if len(set(values)) < len(values):
            raise ValueError("a value is listed twice")
        return list(values)
    low, high, count = float(found[1]), float(found[2]), found[3]
    if not 0 < low < high < math.inf:
        raise ValueError(
            "a range is LOW:HIGH:COUNT with 0 < LOW < HIGH, evenly spaced in the logarithm; list other values"
        )
    line = Range(low, high, all(info.annotation is int for _, info in all_settings()[name]))
    if count is None:
        if budget is None:
            raise ValueError("say how many values, as in LOW:HIGH:9, or give --budget N to draw from the range")
        return line
    if not 2 <= int(count) <= MOST_CANDIDATES:
        raise ValueError(f"the count of a range is from 2 to {MOST_CANDIDATES}")
    return list(dict.fromkeys(line.at(float(place)) for place in np.linspace(0, 1, int(count))))


def drawn(axes: Mapping[str, Axis], budget: int, repeat: int = 1) -> list[dict[str, Value]]:
    """Candidates that the plan draws, all different. A further `repeat` goes on with the draws after those before.

    >>> axes = {"optimizer.lr": Range(1e-3, 1.0, whole=False)}
    >>> drawn(axes, 4) == drawn(axes, 2) + drawn(axes, 2, repeat=2)
    True
    """
    number = 0
    for _ in range(repeat):
        found, number = _drawn_from(axes, budget, number)
    return found


def _drawn_from(axes: Mapping[str, Axis], budget: int, first: int) -> tuple[list[dict[str, Value]], int]:
    """From the plan's trial `first` on; and the number of the trial after them."""
    plan, number = Plan(0), first
    found: list[dict[str, Value]] = []
    while len(found) < budget and number < first + 1000 * budget:
        places = plan.trial(number, len(axes))
        values = {
            name: axis.at(float(place)) if isinstance(axis, Range) else axis[int(place * len(axis))]
            for (name, axis), place in zip(axes.items(), places, strict=True)
        }
        number += 1
        if values not in found:
            found.append(values)
    return found, number
