"""A metric over a numeric factor (the learning rate, the batch size, the width): where each arm is best, and whether
one is best at a lower value than another.

At each seed the best value is the one with the best score; of equals their middle. Over the seeds their mean is taken,
of logarithms where the values that were tried are spaced evenly in these. Best values of two arms are compared like any
scores: seed by seed, so that a ratio and its interval are those of the same data and initial weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np

from paribus.config.values import format_overrides
from paribus.findings.compared import HIGHER, Difference, Lost, Values, seeds_with
from paribus.findings.differences import differences
from paribus.findings.intervals import t_interval
from paribus.findings.many import too_many
from paribus.findings.power import ALPHA
from paribus.findings.stopping import Stopping
from paribus.findings.tasks import TASK
from paribus.records.metrics import Direction
from paribus.records.record import ArmRecord, StudyRecord

_LEAST = 3
"""Of two values each is an end, and a better one may lie beyond it."""

_NO_SWEEP = {"threads", "eval_every", "validation"}
Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Line:
    """Arms that differ in the factor alone. `label`: their values of the other factors; `values`: of the factor,
    ascending, with the `arms`; `best`: at each seed the best value, None where an arm has no score; `mean` and `ci95`:
    over the seeds, None where all are the same or fewer than two are there; `lowest`, `highest`: at how many seeds the
    best value is the lowest or highest that was tried."""

    label: str
    task: str | None
    values: tuple[float, ...]
    arms: tuple[str, ...]
    best: tuple[float | None, ...]
    mean: float | None
    ci95: Interval | None
    lowest: int
    highest: int

    @property
    def known(self) -> int:
        """At how many seeds it is known which value is best."""
        return sum(one is not None for one in self.best)

    @property
    def edge(self) -> str:
        """What there is to say of a best value at an end of those tried."""
        told = [
            f"at {count} of {self.known} seeds the best is the {end} that was tried"
            for count, end in ((self.lowest, "lowest"), (self.highest, "highest"))
            if count
        ]
        return f"{' and '.join(told)}: a better one may lie beyond" if told else ""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A numeric factor. `log`: whether its values are spaced evenly in their logarithm; `pairs`: the best value of one
    line less that of another, in powers of ten where `log`. Without `judged` nothing is said of what is best."""

    factor: str
    log: bool
    lines: tuple[Line, ...]
    pairs: tuple[Difference, ...] = ()
    judged: bool = True

    @property
    def name(self) -> str:
        """The factor's short name."""
        return self.factor.rpartition(".")[2]

    def as_data(self) -> dict[str, Any]:
        """Plain values: what `--json` has. `ratio` and its interval: of the best values of a pair's two lines."""
        pairs = [
            {**one.as_data(), "metric": f"best {self.name}", "ratio": self.ratio(one.mean),
             "ratio_interval": None if one.interval is None else [self.ratio(end) for end in one.interval]}
            for one in self.pairs
        ]  # fmt: skip
        lines = [{**vars(one), "at_edge": bool(one.edge)} for one in self.lines]
        return {"factor": self.factor, "scale": "log" if self.log else "linear", "lines": lines, "pairs": pairs}

    def ratio(self, difference: float | None) -> float | None:
        """Of two best values, from the difference of their logarithms; None on another scale."""
        return None if difference is None or not self.log else 10.0**difference


def sweeps(
    study: StudyRecord,
    columns: Mapping[str, Values],
    direction: Direction | None,
    *,
    lost: Lost | None,
    stopping: Stopping,
    judged: bool = True,
) -> list[Sweep]:
    """A sweep for each numeric factor with three values or more. `columns`: one score for each seed of each arm;
    `direction`: which are better, without which nothing is best; a run that was lost is the worst."""
    judged = judged and direction is not None and len(study.seeds) > 1
    found = []
    for factor in [] if study.named else study.factors:
        groups = _groups(study, factor)
        if not groups:
            continue
        log = _even_in_logarithm([value for of in groups.values() for value in of])
        lines = tuple(
            _line(key, of, columns, direction, lost=lost, log=log, judged=judged) for key, of in groups.items()
        )
        sweep = Sweep(factor=factor, log=log, lines=lines, judged=judged)
        found.append(replace(sweep, pairs=_compared(sweep, stopping)) if judged else sweep)
    return found


def _groups(study: StudyRecord, factor: str) -> dict[tuple[str, str | None], dict[float, str]]:
    """Of the arms at each combination of the other factors: value -> arm, where there are enough."""
    if factor.startswith("task") or factor in _NO_SWEEP:
        return {}
    others = [name for name in study.factors if name != factor]
    groups: dict[tuple[str, str | None], dict[float, str]] = {}
    for arm in study.arms:
        value = _number(arm, factor)
        if value is None:
            return {}
        label = format_overrides({name: arm.settings[name] for name in others if name in arm.settings})
        task = str(arm.settings[TASK]) if TASK in others else None
        groups.setdefault((label, task), {})[value] = arm.name
    return {key: dict(sorted(of.items())) for key, of in groups.items() if len(of) >= _LEAST}


def _number(arm: ArmRecord, factor: str) -> float | None:
    """A setting's value as a number; a width of one layer is one, `5x5` is none."""
    value = arm.settings.get(factor)
    if value is None or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _even_in_logarithm(values: Sequence[float]) -> bool:
    """Whether steps between values are more alike in their logarithms."""
    tried = np.unique(np.asarray(values, dtype=np.float64))
    if tried[0] <= 0:
        return False
    plain, logarithms = np.diff(tried), np.diff(np.log(tried))
    return bool(logarithms.std() / logarithms.mean() < plain.std() / plain.mean())


def _line(
    key: tuple[str, str | None],
    arms: Mapping[float, str],
    columns: Mapping[str, Values],
    direction: Direction | None,
    *,
    lost: Lost | None,
    log: bool,
    judged: bool,
) -> Line:
    values = tuple(arms)
    rows = zip(*(_scores(arm, columns, direction, lost) for arm in arms.values()), strict=True)
    best = tuple(_best(values, row, direction, log=log) if judged else None for row in rows)
    known = np.array([_scaled(one, log=log) for one in best if one is not None], dtype=np.float64)
    ends = t_interval(known, ALPHA) if len(known) > 1 and np.ptp(known) > 0 else None
    return Line(
        label=key[0],
        task=key[1],
        values=values,
        arms=tuple(arms.values()),
        best=best,
        mean=_unscaled(float(known.mean()), log=log) if len(known) else None,
        ci95=None if ends is None else (_unscaled(ends[0], log=log), _unscaled(ends[1], log=log)),
        lowest=sum(one == values[0] for one in best),
        highest=sum(one == values[-1] for one in best),
    )


def _scores(arm: str, columns: Mapping[str, Values], direction: Direction | None, lost: Lost | None) -> Values:
    """One for each seed; a run that was lost has the worst there is."""
    worst = math.inf if direction == "lower" else -math.inf
    gone = lost.runs[arm] if lost is not None and arm not in lost.unexplained else [False] * len(columns[arm])
    return [worst if away else score for score, away in zip(columns[arm], gone, strict=True)]


def _best(values: Sequence[float], scores: Values, direction: Direction | None, *, log: bool) -> float | None:
    """The value with the best score, of equals the middle; None where a score is missing or all were lost."""
    known = [one for one in scores if one is not None]
    if len(known) < len(scores) or not any(map(math.isfinite, known)):
        return None
    best = min(known) if direction == "lower" else max(known)
    equal = [value for value, score in zip(values, scores, strict=True) if score == best]
    return equal[0] if len(equal) == 1 else _unscaled(fmean(_scaled(one, log=log) for one in equal), log=log)


def _scaled(value: float, *, log: bool) -> float:
    return math.log10(value) if log else value


def _unscaled(value: float, *, log: bool) -> float:
    return 10.0**value if log else value


def _compared(sweep: Sweep, stopping: Stopping) -> tuple[Difference, ...]:
    """The best values of each two lines of one task, seed by seed; of very many lines none."""
    lines = {line.label: line for line in sweep.lines}
    asked = [(a.label, b.label) for a, b in combinations(sweep.lines, 2) if a.task == b.task]
    if too_many(asked):
        return ()
    made = {
        label: [None if one is None else _scaled(one, log=sweep.log) for one in line.best]
        for label, line in lines.items()
    }
    found = differences(made, f"best {sweep.name}", stopping=stopping, pairs=asked)
    return tuple(_within_what_was_tried(one, lines[one.a], lines[one.b]) for one in found)


def _within_what_was_tried(one: Difference, a: Line, b: Line) -> Difference:
    """Which of two best values is lower is not known where the one that looks lower may lie above all that was tried,
    or the other below."""
    if one.verdict not in HIGHER:
        return one
    low, high = (b, a) if one.verdict == "a higher" else (a, b)
    if not low.highest and not high.lowest:
        return one
    line, count, end = (low, low.highest, "highest") if low.highest else (high, high.lowest, "lowest")
    told = f"{seeds_with(count, line.known)} the best at the {end} value that was tried, and it may lie beyond"
    return replace(one, verdict="not judged", note="; ".join(filter(None, (one.note, told))))
