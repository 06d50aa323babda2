"""What each factor does, and whether that depends on another: the first answer of a study of several factors.

With every combination of the factors' values the main effect of a value is its mean over all of the others', seed by
seed, and an interaction is by how much the difference of two values changes between two values of another factor. Both
are differences like those of arms, and judged as these are; main effects are one family, interactions another.

Source: R. A. Fisher, The design of experiments (1935), chapter 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import comb
from statistics import fmean
from typing import Any, Literal

from paribus.config.values import format_value
from paribus.findings.compared import Difference, Lost, Values
from paribus.findings.differences import differences
from paribus.findings.many import too_many
from paribus.findings.stopping import Stopping
from paribus.records.record import StudyRecord

Cell = tuple[Any, ...]


@dataclass(frozen=True)
class FactorEffect:
    """Value a of a factor against value b, over all values of the others; or of an interaction, the step from one value
    to another at one value of another factor against the same step at another. `factors`: one, or two that interact;
    `means`: of a and of b over the seeds that both have."""

    factors: tuple[str, ...]
    kind: Literal["main effect", "interaction"]
    difference: Difference
    means: tuple[float | None, float | None]

    def as_data(self) -> dict[str, Any]:
        """Plain values: what `--json` and tables have."""
        return {"factors": list(self.factors), "kind": self.kind, "means": self.means, **self.difference.as_data()}


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """Arms that are every combination of the factors' values. `cells`: which arm each is."""

    factors: Mapping[str, Sequence[Any]]
    cells: Mapping[Cell, str]

    @classmethod
    def of(cls, study: StudyRecord) -> Crossed | None:
        """None where there are fewer than two factors, or a combination is missing or stands there twice."""
        if study.named or len(study.factors) < 2:
            return None
        cells: dict[Cell, str] = {}
        for arm in study.arms:
            if not all(name in arm.settings for name in study.factors):
                return None
            cells[tuple(arm.settings[name] for name in study.factors)] = arm.name
        return cls.whole(study.factors, cells) if len(cells) == len(study.arms) else None

    @classmethod
    def whole(cls, factors: Sequence[str], cells: Mapping[Cell, str]) -> Crossed | None:
        """None where a combination of the values is missing, or a factor has one value.

        >>> Crossed.whole(["a", "b"], {(0, 0): "w", (0, 1): "x", (1, 0): "y"}) is None
        True
        """
        values = {name: list(dict.fromkeys(cell[i] for cell in cells)) for i, name in enumerate(factors)}
        there = len(values) > 1 and all(len(one) > 1 for one in values.values())
        return (
            cls(factors=values, cells=cells) if there and all(c in cells for c in product(*values.values())) else None
        )

    @property
    def interactions(self) -> int:
        """How many there are: of each two values of one factor and each two of another.

        >>> Crossed(factors={"a": [0, 1, 2], "b": [0, 1]}, cells={}).interactions
        3
        """
        steps = [comb(len(values), 2) for values in self.factors.values()]
        return sum(one * other for one, other in combinations(steps, 2))

    def at(self, chosen: Mapping[str, Any]) -> list[str]:
        """The arms at some factors' values."""
        names = list(self.factors)
        return [
            arm for cell, arm in self.cells.items() if all(cell[names.index(name)] == v for name, v in chosen.items())
        ]


def factor_effects(
    crossed: Crossed,
    columns: Mapping[str, Values],
    metric: str,
    *,
    lost: Lost | None = None,
    margin: float | None = None,
    stopping: Stopping | None = None,
) -> list[FactorEffect]:
    """The main effects, then the interactions of each two factors, unless there are very many. `columns`: one value
    for each seed of each arm."""
    found = []
    for factor, values in crossed.factors.items():
        named = {_value(factor, value): crossed.at({factor: value}) for value in values}
        found += [((factor,), a, b, named) for a, b in combinations(named, 2)]
    mains = _judged("main effect", found, columns, metric, lost=lost, margin=margin, stopping=stopping)
    if too_many(crossed.interactions):
        return mains
    between = []
    for (first, values), (second, others) in combinations(crossed.factors.items(), 2):
        for (a, b), (c, d) in product(combinations(values, 2), combinations(others, 2)):
            at = {
                f"{_value(first, a)} to {format_value(b)} at {_value(second, other)}": (
                    crossed.at({first: b, second: other}), crossed.at({first: a, second: other}),
                )
                for other in (c, d)
            }  # fmt: skip
            one, two = at
            between.append(((first, second), one, two, at))
    return [*mains, *_judged("interaction", between, columns, metric, lost=lost, margin=margin, stopping=stopping)]


def _judged(
    kind: Literal["main effect", "interaction"],
    asked: Sequence[tuple[tuple[str, ...], str, str, Mapping[str, Any]]],
    columns: Mapping[str, Values],
    metric: str,
    *,
    lost: Lost | None,
    margin: float | None,
    stopping: Stopping | None,
) -> list[FactorEffect]:
    made: dict[str, Values] = {}
    gone: dict[str, list[bool]] = {}
    used: dict[str, set[str]] = {}
    for _, a, b, arms in asked:
        for name in (a, b):
            plus, minus = arms[name] if kind == "interaction" else (arms[name], [])
            made[name] = _mean(columns, plus, minus)
            used[name] = {*plus, *minus}
            gone[name] = [
                any(lost.runs[arm][seed] for arm in used[name]) if lost else False for seed in range(len(made[name]))
            ]
    missing = None
    if lost is not None:
        unexplained = frozenset(name for name, arms in used.items() if arms & lost.unexplained)
        # of a difference between differences no run that was lost says which way it goes
        direction = lost.direction if kind == "main effect" else None
        unknown = lost.unknown if kind == "main effect" else "it belongs to a difference of differences"
        missing = Lost(gone, direction, unknown=unknown, unexplained=unexplained)
    found = differences(
        made, metric, margin=margin, lost=missing, stopping=stopping, pairs=[(a, b) for _, a, b, _ in asked]
    )
    return [
        FactorEffect(factors, kind, one, _means(made[a], made[b]))
        for (factors, a, b, _), one in zip(asked, found, strict=True)
    ]


def _means(a: Values, b: Values) -> tuple[float | None, float | None]:
    both = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    if not both:
        return None, None
    x, y = map(fmean, zip(*both, strict=True))
    return x, y


def _mean(columns: Mapping[str, Values], plus: Sequence[str], minus: Sequence[str]) -> list[float | None]:
    """Seed by seed the mean of some arms less that of others; None where one has none."""
    rows = zip(*(columns[arm] for arm in (*plus, *minus)), strict=True)
    weights = [1 / len(plus)] * len(plus) + [-1 / len(minus) for _ in minus]
    return [
        None if None in row else sum(weight * x for weight, x in zip(weights, row, strict=True) if x is not None)
        for row in rows
    ]


def _value(factor: str, value: Any) -> str:
    return f"{factor.rpartition('.')[2]}={format_value(value)}"
