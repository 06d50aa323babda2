"""Tuning at equal budget: for every arm the same candidates, chosen on validation data and on seeds of its own.

`lr=1e-5:1e-1:9` is nine values, evenly spaced in their logarithm; `lr=0.1,0.01` these; several settings make a grid.
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

from paribus.backends.dispatch import resolve
from paribus.config.overrides import Listed, SettingsError, all_settings, by_full_name, full_name
from paribus.config.registries import REGISTRIES
from paribus.config.settings import Settings
from paribus.config.values import Value, format_overrides, format_value
from paribus.plan import Plan
from paribus.records.metrics import Direction, Metric
from paribus.records.record import Candidate, StudyRecord, Tuned
from paribus.study.arms import Arm, Design
from paribus.study.migrations import canonical, word_today

FIRST_SEED = 2**31
"""The seeds of tuning begin here, far from those that people give."""

DEFAULT_VALIDATION = 0.2
_MOST_CANDIDATES = 1000
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER})(?::(\d+))?")
_NO_CANDIDATES = {*REGISTRIES, "split", "validation", "eval_every", "threads"}


@dataclass(frozen=True, kw_only=True)
class Tune:
    """How a study is tuned. `given`: one value for all arms stands in the command; `direction`: which values of the
    metric are better."""

    words: list[str]
    budget: int | None
    candidates: list[dict[str, Value]]
    seeds: list[int]
    validation: float
    metric: str
    given: bool
    direction: Direction

    @property
    def names(self) -> list[str]:
        """The settings that are tuned."""
        return list(self.candidates[0])

    def as_record(self) -> dict[str, object]:
        """How the study is tuned, as its record holds it: tuned in another way it is another study."""
        record = {name: value for name, value in vars(self).items() if name not in ("candidates", "direction")}
        return {**record, "words": [word_today(word) for word in self.words]}


@dataclass(frozen=True)
class _Range:
    low: float
    high: float
    whole: bool

    def at(self, place: float) -> Value:
        """The value at a place from 0 (low) to 1 (high), three digits of it; the ends are themselves."""
        if place in (0, 1):
            value = (self.low, self.high)[int(place)]
        else:
            value = float(f"{math.exp(math.log(self.low) * (1 - place) + math.log(self.high) * place):.3g}")
        return round(value) if self.whole or value.is_integer() else value


def parse_tune(listed: Sequence[Listed[Value]], budget: int | None) -> list[dict[str, Value]]:
    """The candidates: setting's full name -> value, for each. SettingsError with every mistake.

    >>> parse_tune([("lr", ["1e-3:1e-1:3"])], None)
    [{'optimizer.lr': 0.001}, {'optimizer.lr': 0.01}, {'optimizer.lr': 0.1}]
    >>> parse_tune([("lr", [0.1, 1]), ("momentum", [0, 0.9])], budget=2)
    [{'optimizer.lr': 1, 'optimizer.momentum': 0}, {'optimizer.lr': 0.1, 'optimizer.momentum': 0}]
    """
    mistakes: list[str] = []
    axes: dict[str, list[Value] | _Range] = {}
    if budget is not None and not _whole(budget, _MOST_CANDIDATES):
        mistakes.append(f"--budget {budget} is not allowed: budget is a whole number from 1 to {_MOST_CANDIDATES}")
    parsed, wrong = by_full_name(listed)
    mistakes += [f"--tune: {mistake}" for mistake in wrong]
    for name, values in parsed.items():
        if name in _NO_CANDIDATES or name.startswith("task."):
            mistakes.append(f"--tune {name}: it is no setting to choose by validation; make it a factor")
            continue
        try:
            axes[name] = _axis(name, values, budget)
        except ValueError as error:
            mistakes.append(f"--tune {_spelled(name.rpartition('.')[2], values)} is not allowed: {error}")
    if mistakes:
        raise SettingsError(mistakes)
    lists = {name: axis for name, axis in axes.items() if isinstance(axis, list)}
    size = math.prod(map(len, lists.values())) if len(lists) == len(axes) else math.inf
    if budget is None:
        if size > _MOST_CANDIDATES:
            raise SettingsError([f"--tune makes {size} candidates: at most {_MOST_CANDIDATES}, or --budget N of them"])
        return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]
    if budget > size:
        raise SettingsError([f"--budget {budget} is more than the {size} candidates there are: leave it out"])
    return _drawn(axes, budget)


def _whole(number: object, most: int) -> bool:
    """Whether Python gave a whole number from 1 to the most."""
    return isinstance(number, int) and not isinstance(number, bool) and 0 < number <= most


def _spelled(name: str, values: Sequence[Value]) -> str:
    return f"{name}={','.join(map(format_value, values))}"


def _axis(name: str, values: list[Value], budget: int | None) -> list[Value] | _Range:
    found = _RANGE.fullmatch(str(values[0])) if len(values) == 1 else None
    if found is None:
        if len(set(values)) < len(values):
            raise ValueError("a value is listed twice")
        return list(values)
    low, high, count = float(found[1]), float(found[2]), found[3]
    if not 0 < low < high < math.inf:
        raise ValueError(
            "a range is LOW:HIGH:COUNT with 0 < LOW < HIGH, evenly spaced in the logarithm; list other values"
        )
    line = _Range(low, high, all(info.annotation is int for _, info in all_settings()[name]))
    if count is None:
        if budget is None:
            raise ValueError("say how many values, as in LOW:HIGH:9, or give --budget N to draw from the range")
        return line
    if not 2 <= int(count) <= _MOST_CANDIDATES:
        raise ValueError(f"the count of a range is from 2 to {_MOST_CANDIDATES}")
    return list(dict.fromkeys(line.at(float(place)) for place in np.linspace(0, 1, int(count))))


def _drawn(axes: Mapping[str, list[Value] | _Range], budget: int) -> list[dict[str, Value]]:
    plan, number = Plan(0), 0
    found: list[dict[str, Value]] = []
    while len(found) < budget and number < 1000 * budget:
        places = plan.trial(number, len(axes))
        values = {
            name: axis.at(float(place)) if isinstance(axis, _Range) else axis[int(place * len(axis))]
            for (name, axis), place in zip(axes.items(), places, strict=True)
        }
        number += 1
        if values not in found:
            found.append(values)
    return found


def make_tune(
    design: Design,
    listed: Sequence[Listed[Value]],
    *,
    budget: int | None,
    seeds: int,
    compared: Sequence[int],
    metric: Metric,
) -> Tune:
    """How the arms of a design are tuned; SettingsError with every mistake, those of each candidate among them.

    `listed`: settings and their candidates; `seeds`: how many of its own, apart from those `compared`; `metric`: on
    validation data, with a direction.
    """
    assert metric.direction is not None
    candidates = parse_tune(listed, budget)
    words = " ".join(_spelled(key, values) for key, values in listed)
    mistakes: list[str] = []
    names = list(candidates[0])
    for name in names:
        if name in design.factors:
            short = name.rpartition(".")[2]
            mistakes.append(f"{short} is tuned and a factor: list its values in one of the two")
    if "validation" in design.factors or len({arm.settings.validation for arm in design.arms}) > 1:
        mistakes.append("validation is a factor: every arm is tuned on the same validation split; give it once")
    if any(arm.settings.split == "by_seed" for arm in design.arms):
        mistakes.append(
            "split=by_seed cannot be tuned: one seed's test examples are another's training data, on which the choice "
            "would be made; take split=fixed"
        )
    own: list[int] = []
    if _whole(seeds, 1000):
        own = list(range(FIRST_SEED, FIRST_SEED + seeds))
    else:
        mistakes.append(f"--tune-seeds {seeds} is not allowed: tune-seeds is a whole number from 1 to 1000")
    if both := sorted({*own} & {*compared}):
        mistakes.append(f"--seeds {both[0]} is a seed of tuning: those of the comparison are others")
    if len(candidates) < 2:
        mistakes.append(f"--tune {words} is one candidate: there is nothing to choose; list several")
    given = [name for name in names if name in design.given]
    if 0 < len(given) < len(names):
        mistakes.append(
            f"{', '.join(given)} is given and {', '.join(sorted({*names} - {*given}))} is not: what all arms share is "
            "given for every tuned setting, or for none (then it is the candidate that is best on average)"
        )
    validation = design.arms[0].settings.validation or DEFAULT_VALIDATION
    canonical: list[dict[str, Value]] = []
    for arm in design.arms:
        for values in candidates:
            try:
                flat = at(arm, values, validation).flat()
            except SettingsError as error:
                mistakes += [f"--tune: {mistake}" for mistake in error.mistakes]
                continue
            if arm is design.arms[0]:
                canonical.append({name: flat[name] for name in names})
    if any(values in canonical[:i] for i, values in enumerate(canonical)):
        mistakes.append(f"--tune {words}: a candidate is listed twice")
    if mistakes:
        raise SettingsError(mistakes)
    return Tune(
        words=[_spelled(full_name(key), values) for key, values in listed],
        budget=budget,
        candidates=canonical,
        seeds=own,
        validation=validation,
        metric=metric.name,
        given=bool(given),
        direction=metric.direction,
    )


def at(arm: Arm, values: Mapping[str, Value], validation: float) -> Settings:
    """An arm's settings with these values in the place of its own."""
    return resolve({**arm.network.values(), **values, "validation": validation})


def candidates_of(design: Design, tune: Tune) -> Design:
    """Every arm at every candidate."""
    arms = [
        Arm(" ".join(filter(None, (arm.name, format_overrides(values)))), at(arm, values, tune.validation))
        for arm in design.arms
        for values in tune.candidates
    ]
    return Design([*design.factors, *tune.names], arms, named=design.named)


def chosen_for(design: Design, chosen: Mapping[str, Mapping[str, Value]], names: Sequence[str]) -> Design:
    """Every arm at the values chosen for it, on training and validation data together."""
    arms = [Arm(arm.name, at(arm, chosen[arm.name], 0.0)) for arm in design.arms]
    factors = [*design.factors, *(name for name in names if name not in design.factors)]
    return Design(factors, arms, named=design.named)


def decide(design: Design, tune: Tune, tried: StudyRecord) -> tuple[dict[str, Value], list[Tuned]]:
    """From the runs of tuning: one candidate for all arms, and each arm's own best.

    Best is the best mean of the tuning's metric over its seeds; of equals the one of lowest validation loss, then the
    first. A candidate of which a run diverged or failed is not chosen; SettingsError where
    an arm has no other.
    """
    runs = {canonical(arm.settings): {run.seed: run for run in arm.runs} for arm in tried.arms}
    ranks: list[list[tuple[float, float]]] = []
    found: list[Tuned] = []
    for arm in design.arms:
        candidates, rank = [], []
        for values in tune.candidates:
            mine = runs[canonical(at(arm, values, tune.validation).flat())]
            scores = [mine[seed].final(tune.metric) for seed in tune.seeds]
            losses = [mine[seed].final("validation_loss") for seed in tune.seeds]
            mean, loss = _mean(scores), _mean(losses)
            sign = 1 if tune.direction == "lower" else -1
            candidates.append(Candidate(values, scores, mean))
            rank.append((math.inf, math.inf) if mean is None or loss is None else (sign * mean, loss))
        if min(rank)[0] == math.inf:
            name = arm.name or tried.name
            raise SettingsError(
                [f"no candidate of {name} came to its end on every seed: `show` says why; tune other values"]
            )
        ranks.append(rank)
        chosen = tune.candidates[rank.index(min(rank))]
        found.append(Tuned(arm.name, candidates, chosen, _edges(tune.candidates, chosen)))
    totals = [(sum(r[i][0] for r in ranks), sum(r[i][1] for r in ranks)) for i in range(len(tune.candidates))]
    if tune.given:
        flat = design.arms[0].settings.flat()
        return {name: flat[name] for name in tune.names}, found
    if min(totals)[0] == math.inf:
        raise SettingsError(["no candidate came to its end with every arm: give the shared value with the settings"])
    return tune.candidates[totals.index(min(totals))], found


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None


def _edges(candidates: Sequence[Mapping[str, Value]], chosen: Mapping[str, Value]) -> list[str]:
    """The settings whose chosen value ends the line of those tried. 0, where many lines end by nature, is no edge, and
    of two values each is one."""
    edges = []
    for name in chosen:
        try:
            tried = sorted({float(values[name]) for values in candidates})
        except ValueError:  # words have no order
            continue
        value = float(chosen[name])
        if len(tried) > 2 and value != 0 and value in (tried[0], tried[-1]):
            edges.append(name)
    return edges
