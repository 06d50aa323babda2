"""What a tuning leaves open: how far the choice scatters over repeats, what another budget would give, and whether the
best value may lie beyond those tried.

Of a tuned study two questions can be asked. At the values that were chosen: do the arms differ, over seeds? And of arms
that are tuned like this: do they differ, over repeats of the whole tuning? The second has one score for each arm and
repeat: the mean over the repeat's seeds, at the values that the arm chose there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from paribus.config.values import Value, format_overrides, format_value
from paribus.findings.power import least_seeds
from paribus.findings.stopping import Extended, Fixed, Stopping
from paribus.records.metrics import Direction
from paribus.records.record import StudyRecord, Tuned, Tuning

_MOST_NAMED = 4


@dataclass(frozen=True)
class Choice:
    """What an arm chose in each repeat of the tuning, in order; of those that are decided."""

    arm: str
    values: list[Mapping[str, Value]]

    @property
    def told(self) -> str:
        """How far it scatters: how often each value was chosen, or from where to where where all differ.

        >>> Choice("adam", [{"optimizer.lr": lr} for lr in (0.01, 0.0316, 0.01)]).told
        'lr=0.01 in 2 of 3 repeats, lr=0.0316 in 1'
        >>> Choice("adam", [{"optimizer.lr": lr} for lr in (0.01, 0.03, 0.02, 0.04, 0.07)]).told
        'lr from 0.01 to 0.07 in 5 repeats, median 0.03'
        """
        counts = Counter(format_overrides(one) for one in self.values).most_common()
        n = len(self.values)
        if len(counts) <= _MOST_NAMED:
            (first, often), *rest = counts
            named = [f"{first} in {often} of {n} repeat{'s' * (n != 1)}"]
            named += [f"{one} in {times}" for one, times in rest]
            return ", ".join(named)
        spreads = []
        for name in self.values[0]:
            column, short = [one[name] for one in self.values], name.rpartition(".")[2]
            if any(isinstance(value, str | bool) for value in column):
                words = Counter(map(format_value, column)).most_common()
                spreads.append(f"{short}: " + ", ".join(f"{word} in {times}" for word, times in words))
            else:
                numbers = [float(value) for value in column]
                spreads.append(
                    f"{short} from {min(numbers):g} to {max(numbers):g} in {n} repeats, median {median(numbers):g}"
                )
        return "; ".join(spreads)


@dataclass(frozen=True)
class Unit:
    """An arm in one repeat as one score: the mean over the repeat's seeds, None unless all have a score.

    `lost`: whether a run did too badly to have one; `unexplained`: whether why is not known; `ended`: whether all runs
    ended.
    """

    mean: float | None
    lost: bool
    unexplained: bool
    ended: bool

    @classmethod
    def of(cls, scores: Sequence[float | None], gone: Sequence[bool], *, unexplained: bool) -> Unit:
        """From the scores of its seeds, and which of them have none as their run was lost.

        >>> Unit.of([0.5, 0.7], [False, False], unexplained=False)
        Unit(mean=0.6, lost=False, unexplained=False, ended=True)
        >>> Unit.of([0.5, None], [False, True], unexplained=False)
        Unit(mean=None, lost=True, unexplained=False, ended=True)
        """
        known = [one for one in scores if one is not None]
        lost = any(gone)
        ended = bool(scores) and all(one is not None or away for one, away in zip(scores, gone, strict=True))
        whole = bool(known) and len(known) == len(scores)
        mean = float(np.mean(known)) if whole else None
        return cls(mean, lost and ended, unexplained, ended)


def tunings(study: StudyRecord) -> list[StudyRecord]:
    """A tuned study and its further repeats, in order; those whose values are chosen."""
    tuning = study.tuning
    return [one for one in (study, *(tuning.repeats if tuning else ())) if one.tuning is not None and one.tuning.arms]


def choices(study: StudyRecord) -> list[Choice]:
    """What each arm chose in each repeat."""
    found: dict[str, list[Mapping[str, Value]]] = {}
    for one in tunings(study):
        for arm in one.tuning.arms if one.tuning else ():
            found.setdefault(arm.arm, []).append(arm.chosen)
    return [Choice(arm, values) for arm, values in found.items()]


def stopping_of(tuning: Tuning, whole: int, family: int) -> Stopping:
    """How a test over repeats has to be made. More of them that were asked for when results were known are looks: but
    one at which nothing could have been found, as there were too few, makes no chance finding more likely.

    `whole`: how many repeats there are; `family`: of how many pairs.
    """
    looks = tuple(look for look in tuning.looks if least_seeds(family) <= look < whole)
    return Extended((*looks, whole)) if looks else Fixed()


def edges(study: StudyRecord) -> list[str]:
    """A sentence for each best value at the edge of what was tried: a better one may lie beyond."""
    found = []
    repeats = tunings(study)
    for arm, of in _by_arm(repeats).items():
        for name in dict.fromkeys(name for one in of for name in one.edges):
            times, first = sum(name in one.edges for one in of), next(one for one in of if name in one.edges)
            short, more = name.rpartition(".")[2], f", in {times} of {len(of)} repeats" if len(repeats) > 1 else ""
            found.append(
                f"{arm or study.name}: the best {short}, {format_value(first.chosen[name])}, is at the edge of those "
                f"tried{more}: a better one may lie beyond it"
            )
    return found


def _by_arm(repeats: Sequence[StudyRecord]) -> dict[str, list[Tuned]]:
    found: dict[str, list[Tuned]] = {}
    for one in repeats:
        for arm in one.tuning.arms if one.tuning else ():
            found.setdefault(arm.arm, []).append(arm)
    return found


# --- another budget --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BudgetCurve:
    """Of an arm: the expected best validation score after 1, 2, ... candidates."""

    arm: str
    best: list[float]


def expected_best(scores: Sequence[float], direction: Direction) -> list[float]:
    """The expected best of k scores that are drawn from these n with repeats, for k = 1 to n:

        E_k = sum over i of v_(i) [(i / n)^k - ((i - 1) / n)^k],  v_(1) <= ... <= v_(n), the worst first.

    Source: J. Dodge and others, Show your work: improved reporting of experimental results (EMNLP 2019).

    >>> [round(best, 4) for best in expected_best([0.5, 0.9], "higher")], expected_best([0.5, 0.9], "lower")[1]
    ([0.7, 0.8], 0.6)
    """
    worst_first = np.sort(np.asarray(scores, dtype=np.float64))
    if direction == "lower":
        worst_first = worst_first[::-1]
    n = len(worst_first)
    shares = np.arange(n + 1) / n
    return [float(worst_first @ np.diff(shares**k)) for k in range(1, n + 1)]


def budget_curves(study: StudyRecord) -> list[BudgetCurve]:
    """The expected best of each arm's candidates; nothing where a sampler proposed one after another, which are no
    independent draws, or where nothing says which scores are better.

    A candidate that did not come to its end counts as the worst that any arm had.
    """
    tuning = study.tuning
    if tuning is None or tuning.sampler is not None:
        return []
    direction = study.metric(tuning.metric).direction
    known = [one.mean for arm in tuning.arms for one in arm.candidates if one.mean is not None]
    if not known or direction is None:
        return []
    worst = min(known) if direction == "higher" else max(known)
    return [
        BudgetCurve(
            arm.arm, expected_best([worst if one.mean is None else one.mean for one in arm.candidates], direction)
        )
        for arm in tuning.arms
    ]


def budget_told(tuning: Tuning) -> str:
    """What budget curves say, and where they do not say it of what was done."""
    if tuning.sampler is not None:
        return (
            f"No expected best is told for other budgets: {tuning.sampler} proposed candidates one after another, so "
            "that they are no independent draws"
        )
    if tuning.budget is not None:
        return "The expected best of so many candidates drawn at random, from the scores of those that were"
    return "The expected best of so many candidates, as if they had been drawn at random from this grid"
