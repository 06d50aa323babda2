"""A study in one sentence and one small figure: which arm scored best, and how much of that is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from paribus.findings.compared import HIGHER, Difference
from paribus.findings.summary import Summary
from paribus.records.metrics import Metric
from paribus.report.page.text import View, count, named
from paribus.report.terminal.tables import cell

MOST_ARMS = 12
_MOST_NAMED = 3
_WIDTH, _EDGE = 240.0, 6.0


@dataclass(frozen=True)
class LeadRow:
    """An arm: what it is called, its mean ± half of the interval, and where both lie in the drawing."""

    name: str
    value: str
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Lead:
    """What stands first. `rows`: the arms, the best first; `caption`: of them."""

    sentence: str
    rows: list[LeadRow]
    caption: str


def lead(view: View, warnings: int = 0) -> Lead | None:
    """`warnings`: how many are to be read beside it. None where no arm can be called the best: one arm, a metric of
    which nobody said which values are better, several tasks, and where values are still to be chosen or were chosen for
    each arm."""
    study, findings = view.study, view.findings
    metric, several_tasks = findings.primary_metric, len({run.task.pool for arm in study.arms for run in arm.runs}) > 1
    found = {arm.name: findings.summaries[arm.name][study.primary_metric] for arm in study.arms if arm.runs}
    means = {name: one.mean for name, one in found.items() if one.mean is not None}
    if metric.direction is None or len(means) < 2 or study.tuning is not None or several_tasks:
        return None
    ranked = sorted(means, key=means.__getitem__, reverse=metric.direction == "higher")
    place = scaled([end for name in ranked[:MOST_ARMS] for end in _ends(found[name])], _WIDTH, _EDGE)
    rows = [
        LeadRow(view.labels[name], cell(metric, one), place(one.mean), *map(place, _interval(one)))
        for name in ranked[:MOST_ARMS]
        for one in [found[name]]
    ]
    more = f"; {len(ranked) - MOST_ARMS} more stand in the table of results" if len(ranked) > MOST_ARMS else ""
    caption = f"{metric.label}, mean ± half of its 95 % interval, the best first{more}"
    sentence = f"{_first(view, metric, ranked, means, found)} {_how_sure(view, metric, ranked[0])}"
    if warnings:
        sentence += f" Before you rely on it, read the {count(warnings, 'warning')} below."
    return Lead(sentence.strip(), rows, caption)


def scaled(ends: Iterable[float], width: float, edge: float) -> Callable[[float | None], float | None]:
    """Where a number lies in a drawing of this width that holds all of `ends`.

    >>> place = scaled([0.0, 2.0], width=110, edge=5)
    >>> place(0.0), place(1.0), place(2.0), place(None)
    (5.0, 55.0, 105.0, None)
    """
    all_ends = list(ends)
    low, high = min(all_ends), max(all_ends)

    def place(value: float | None) -> float | None:
        if value is None:
            return None
        share = (value - low) / (high - low) if high > low else 0.0  # of numbers so small that 1 / (high - low) is none
        return round(edge + share * (width - 2 * edge), 1)

    return place


def _interval(one: Summary) -> tuple[float | None, float | None]:
    return one.ci95 or (None, None)


def _ends(one: Summary) -> list[float]:
    return [value for value in (one.mean, *_interval(one)) if value is not None]


def _first(
    view: View, metric: Metric, ranked: Sequence[str], means: dict[str, float], found: dict[str, Summary]
) -> str:
    best = [name for name in ranked if means[name] == means[ranked[0]]]
    names = [named(view.labels[name]) for name in best]
    seeds = max(one.n for one in found.values())
    value, over = f"{metric.told(means[best[0]])}{metric.format.suffix}", count(found[best[0]].n, "seed")
    if found[best[0]].n < seeds:
        over = f"{found[best[0]].n} of {seeds} seeds"
    which = f"the {'highest' if metric.direction == 'higher' else 'lowest'} mean {metric.words}"
    if len(best) == 1:
        return f"{names[0]} has {which}, {value} over {over}."
    told = " and ".join(names) if len(names) <= _MOST_NAMED else f"{len(names)} of {len(ranked)} arms"
    return f"{told} share {which}, {value} over {over}."


def _how_sure(view: View, metric: Metric, best: str) -> str:
    """Than how many of those that it was compared with it is shown to be better."""
    pairs = [one for one in view.found if best in (one.a, one.b)]
    if not pairs:
        return ""
    beaten = [one for one in pairs if _winner(one, metric) == best]
    beats = [one for one in pairs if _winner(one, metric) not in (best, None)]
    left = [one for one in pairs if _winner(one, metric) is None]
    whole = len(pairs) == len(view.study.arms) - 1
    others = count(len(pairs), "other arm") if whole else f"{len(pairs)} that it is compared with"
    told = []
    if len(beaten) == len(pairs):
        whom = named(view.labels[_other(pairs[0], best)]) if len(pairs) == 1 else f"all of the {others}"
        return f"It is shown to be better than {whom}."
    if beaten:
        told.append(f"It is shown to be better than {len(beaten)} of the {others}.")
    if beats:
        told.append(f"Yet {_names(view, beats, best)} {'is' if len(beats) == 1 else 'are'} shown to be better.")
    if left and all(one.verdict == "too few seeds" for one in left):
        told.append(f"There are too few seeds to tell it, as one of a pair, from {_names(view, left, best)}.")
    elif left:
        told.append(f"Which is better, it or {_names(view, left, best, 'or')}, is not shown.")
    if factors := _that_matter(view):
        verb = "makes" if len(factors) == 1 else "make"
        told.append(f"Over all values of the others, {' and '.join(factors)} {verb} a difference that is shown.")
    return " ".join(told)


def _that_matter(view: View) -> list[str]:
    """The factors of which two values are told apart, over all values of the others."""
    told_apart = [
        one.factors[0].rpartition(".")[2]
        for one in view.findings.effects
        if one.kind == "main effect" and one.difference.verdict in HIGHER
    ]
    return list(dict.fromkeys(told_apart))


def _winner(one: Difference, metric: Metric) -> str | None:
    if one.verdict not in HIGHER:
        return None
    higher, lower = (one.a, one.b) if one.verdict == "a higher" else (one.b, one.a)
    return higher if metric.direction == "higher" else lower


def _other(one: Difference, best: str) -> str:
    return one.b if one.a == best else one.a


def _names(view: View, pairs: Sequence[Difference], best: str, joined: str = "and") -> str:
    names = [named(view.labels[_other(one, best)]) for one in pairs]
    if len(names) > _MOST_NAMED:
        return f"the other {len(names)}" if joined == "and" else f"one of the other {len(names)}"
    return f" {joined} ".join(names) if len(names) < _MOST_NAMED else f"{names[0]}, {names[1]} {joined} {names[2]}"
