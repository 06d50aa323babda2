"""Samplers that propose candidates one after another, from what was found so far: Optuna's, behind `--sampler`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from paribus.config.overrides import near_miss
from paribus.config.values import Value
from paribus.extras import installed, not_installed
from paribus.plan import Plan
from paribus.records.metrics import Direction
from paribus.study.candidates import Axis, Range, drawn, size_of

PROPOSING = ("tpe",)
SAMPLERS = ("grid", "random", *PROPOSING)

ORDERS = ("shuffle", "replacement")
"""What a setting of the same name may be."""

STARTUP = 10
"""So many candidates Optuna draws at random before it goes by what it has found."""

_PATIENCE = 100
"""How often a sampler may propose what it proposed before, until the plan's next draw is taken instead."""


def sampler_mistake(sampler: str | None, budget: int | None) -> str | None:
    """What is wrong with a sampler, together with how many candidates it is to propose."""
    if sampler is None:
        return None
    if sampler in ORDERS:
        return f"--sampler {sampler} proposes no candidates: the order of the examples is a setting, sampler={sampler}"
    if sampler not in SAMPLERS:
        return f"there is no sampler {sampler!r}: {near_miss(str(sampler), SAMPLERS)}"
    if sampler == "grid":
        return None if budget is None else f"--sampler grid tries all candidates: leave out --budget {budget}"
    if budget is None:
        return f"--sampler {sampler} needs to know how many candidates: give --budget N"
    if sampler in PROPOSING and not installed("optuna"):
        return not_installed(f"--sampler {sampler}", "optuna")
    if sampler in PROPOSING and budget <= STARTUP:
        return (
            f"--sampler {sampler} with --budget {budget} has no effect: its first {STARTUP} candidates are drawn at "
            "random; give more, or leave --sampler out"
        )
    return None


class Tpe:
    """Optuna's tree-structured Parzen estimator, which proposes candidates of one arm.

    It is seeded from the plan, for every arm alike, and goes by nothing but what it is told: told the same again, it
    proposes the same. Each candidate is another: what it has proposed before, it is told again.

    Source: J. Bergstra and others, Algorithms for hyper-parameter optimization (NIPS 2011).
    """

    def __init__(self, axes: Mapping[str, Axis], direction: Direction, repeat: int) -> None:
        import optuna

        self._axes, self._worst = axes, math.inf if direction == "lower" else -math.inf
        (place,) = Plan(0).trial(repeat, 1)
        sampler = optuna.samplers.TPESampler(seed=int(place * 2**32), n_startup_trials=STARTUP)
        with _quiet():
            self._study = optuna.create_study(
                direction="minimize" if direction == "lower" else "maximize", sampler=sampler
            )
        self._told: list[tuple[dict[str, Value], float]] = []
        self._trial: Any = None

    def ask(self) -> dict[str, Value]:
        """The next candidate."""
        assert len(self._told) < size_of(self._axes)
        for _ in range(_PATIENCE):
            self._trial = self._study.ask(_distributions(self._axes))
            values = _values(self._axes, self._trial.params)
            known = [score for told, score in self._told if told == values]
            if not known:
                return values
            self._study.tell(self._trial, known[0])
        told = [values for values, _ in self._told]
        left = drawn(self._axes, len(told) + 1)
        values = next(values for values in left if values not in told)
        self._study.enqueue_trial(_params(self._axes, values))
        self._trial = self._study.ask(_distributions(self._axes))
        return values

    def tell(self, values: dict[str, Value], mean: float | None) -> None:
        """What the candidate last asked for came to; None where a run of it did not come to its end: the worst."""
        score = self._worst if mean is None else mean
        self._study.tell(self._trial, score)
        self._told.append((values, score))


def _distributions(axes: Mapping[str, Axis]) -> dict[str, Any]:
    """A listed value goes by its place in the list: words and numbers alike."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for name, axis in axes.items():
        if isinstance(axis, list):
            found[name] = CategoricalDistribution(tuple(range(len(axis))))
        elif axis.whole:
            found[name] = IntDistribution(math.ceil(axis.low), math.floor(axis.high), log=True)
        else:
            found[name] = FloatDistribution(axis.low, axis.high, log=True)
    return found


def _values(axes: Mapping[str, Axis], params: Mapping[str, Any]) -> dict[str, Value]:
    return {
        name: axis.near(params[name]) if isinstance(axis, Range) else axis[params[name]] for name, axis in axes.items()
    }


def _params(axes: Mapping[str, Axis], values: Mapping[str, Value]) -> dict[str, Any]:
    """The other way round; three digits may lie outside of the range by the fourth."""
    return {
        name: min(max(float(values[name]), axis.low), axis.high)
        if isinstance(axis, Range)
        else axis.index(values[name])
        for name, axis in axes.items()
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna says in the terminal that it has begun a study, which is none of the user's."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
