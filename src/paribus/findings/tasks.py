"""The same arms on several tasks: on how many of them one is higher, and by how much over all of them.

Of m tasks with one-sided p-values, ascending, that an arm is higher on at least u of them has

    p(u) = max over v <= u of (m - v + 1) p_(v)

whatever the tasks have to do with each other (partial conjunction with Bonferroni's method). k is the largest u whose
p, times 2 for the two sides and times the number of pairs, is at most 0.05: with 95 % confidence the arm is higher on
at least k tasks, for all pairs at once.

Sources: R. Dror, G. Baumer, M. Bogomolov and R. Reichart, Replicability analysis for natural language processing (TACL
2017); Y. Benjamini and R. Heller, Screening for partial conjunction hypotheses (Biometrics 2008).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean, pstdev
from typing import Any

from paribus.config.values import Value, format_overrides
from paribus.findings.compared import Difference, Lost, Values
from paribus.findings.differences import differences
from paribus.findings.power import ALPHA, seeds_note
from paribus.findings.stopping import Stopping, UntilDecided
from paribus.records.record import StudyRecord

TASK = "task"


@dataclass(frozen=True)
class Tasks:
    """Task -> what an arm is called apart from its task -> the arm. Every task has the same."""

    arms: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, study: StudyRecord) -> Tasks | None:
        """Of a study's arms, but of those with names of their own."""
        return None if study.named else cls.among(study.factors, {arm.name: arm.settings for arm in study.arms})

    @classmethod
    def among(cls, factors: Sequence[str], arms: Mapping[str, Mapping[str, Value]]) -> Tasks | None:
        """None where there is one task, or nothing but the task differs, or a task lacks what another has.

        >>> arms = {"m1": {"task": "moons", "lr": 1}, "m2": {"task": "moons", "lr": 2}}
        >>> Tasks.among(["task", "lr"], arms | {"b1": {"task": "blobs", "lr": 1}, "b2": {"task": "blobs", "lr": 2}})
        Tasks(arms={'moons': {'lr=1': 'm1', 'lr=2': 'm2'}, 'blobs': {'lr=1': 'b1', 'lr=2': 'b2'}})
        """
        others = [name for name in factors if name != TASK]
        if TASK not in factors or not others:
            return None
        found: dict[str, dict[str, str]] = {}
        for arm, settings in arms.items():
            label = format_overrides({name: settings[name] for name in others if name in settings})
            if label in found.setdefault(str(settings[TASK]), {}):
                return None
            found[str(settings[TASK])][label] = arm
        first, *rest = (set(of) for of in found.values())
        return cls(found) if rest and len(first) > 1 and all(one == first for one in rest) else None

    @property
    def labels(self) -> list[str]:
        """What is compared on every task."""
        return list(next(iter(self.arms.values())))

    def label(self, arm: str) -> str:
        """What an arm is called apart from its task; a label is its own."""
        return next((label for of in self.arms.values() for label, name in of.items() if name == arm), arm)

    def compared(self, baseline: str | None) -> list[tuple[str, str]]:
        """The pairs of labels. `baseline`: an arm, or its label: the others are compared with it alone."""
        if baseline is None:
            return list(combinations(self.labels, 2))
        other = self.label(baseline)
        return [(label, other) for label in self.labels if label != other]

    def studies(self, study: StudyRecord) -> dict[str, StudyRecord]:
        """The study of each task alone."""
        factors = [name for name in study.factors if name != TASK]
        return {
            task: replace(study, factors=factors, arms=[arm for arm in study.arms if arm.name in of.values()])
            for task, of in self.arms.items()
        }

    def pairs(self, baseline: str | None) -> list[tuple[str, str]]:
        """The pairs of arms: those of one task."""
        return [(of[a], of[b]) for of in self.arms.values() for a, b in self.compared(baseline)]


def pairs_of(study: StudyRecord) -> list[tuple[str, str]]:
    """The pairs of arms that are compared: all, or all against the baseline; of several tasks those of one task."""
    if tasks := Tasks.of(study):
        return tasks.pairs(study.baseline)
    names = [arm.name for arm in study.arms]
    if study.baseline not in names:
        return list(combinations(names, 2))
    return [(name, study.baseline) for name in names if name != study.baseline]


def note_on_seeds(
    factors: Sequence[str],
    arms: Mapping[str, Mapping[str, Value]],
    seeds: int,
    *,
    named: bool = False,
    baseline: bool = False,
    options: bool = True,
) -> str | None:
    """As `seeds_note`, of a study's arms and their settings."""
    tasks = None if named else Tasks.among(factors, arms)
    each, many = (len(arms), 1) if tasks is None else (len(tasks.labels), len(tasks.arms))
    return seeds_note(each, seeds, baseline=baseline, options=options, tasks=many)


@dataclass(frozen=True, kw_only=True)
class OverTasks:
    """a against b on `tasks`. `a_on`, `b_on`: on at least how many of them each is higher, with the p of that, None for
    0; `differences`: those of each task; `mean`: over the tasks, in units of each task's sd, None where it cannot be
    judged, and `why` not."""

    a: str
    b: str
    tasks: tuple[str, ...]
    a_on: int
    a_p: float | None
    b_on: int
    b_p: float | None
    differences: tuple[Difference, ...]
    mean: Difference | None
    why: str = ""

    def as_data(self) -> dict[str, Any]:
        """Plain values: what `--json` and tables have."""
        own = {name: value for name, value in vars(self).items() if name not in ("differences", "mean")}
        each = [
            {"task": task, "mean": one.mean, "interval": one.interval, "p": one.p_adjusted, "verdict": one.verdict}
            for task, one in zip(self.tasks, self.differences, strict=True)
        ]
        return {**own, "differences": each, "in_task_sds": None if self.mean is None else self.mean.as_data()}


def over_tasks(
    tasks: Tasks,
    found: Sequence[Difference],
    columns: Mapping[str, Values],
    *,
    baseline: str | None,
    lost: Lost | None,
    stopping: Stopping,
) -> list[OverTasks]:
    """What each pair of labels shows over the tasks. `found`: the pairs of arms; `columns`: one value for each seed of
    each arm."""
    asked, of = tasks.compared(baseline), {(one.a, one.b): one for one in found}
    means: Sequence[Difference | None] = [None] * len(asked)
    why = "each task ended at seeds of its own, so the mean over tasks is not judged"
    if not isinstance(stopping, UntilDecided):
        why, means = "", _means(tasks, columns, asked, metric=found[0].metric, lost=lost, stopping=stopping)
    result = []
    for (a, b), mean in zip(asked, means, strict=True):
        each = tuple(of[arms[a], arms[b]] for arms in tasks.arms.values())
        (a_on, a_p), (b_on, b_p) = (
            at_least([_one_sided(one, side) for one in each], 2 * len(asked)) for side in (1, -1)
        )
        result.append(
            OverTasks(
                a=a, b=b, tasks=tuple(tasks.arms), a_on=a_on, a_p=a_p, b_on=b_on, b_p=b_p, differences=each, mean=mean,
                why=why,
            )
        )  # fmt: skip
    return result


def at_least(ps: Sequence[float], tests: int = 1) -> tuple[int, float | None]:
    """Of how many tasks it is shown, and its p. `ps`: one-sided, of each task; `tests`: among how many.

    >>> at_least([0.001, 0.004, 0.02, 0.6])
    (3, 0.04)
    >>> at_least([0.2, 0.6])
    (0, None)
    """
    shown: tuple[int, float | None] = (0, None)
    worst = 0.0
    for i, p in enumerate(sorted(ps)):
        worst = max(worst, min(1.0, tests * (len(ps) - i) * p))
        if worst > ALPHA:
            break
        shown = (i + 1, worst)
    return shown


def _one_sided(one: Difference, side: int) -> float:
    """The p that a is higher (`side` 1), or b; 1 for what is not judged."""
    if one.p is None or one.verdict in ("not judged", "not decided yet"):
        return 1.0
    share = one.effects.share_a_higher
    where = one.mean if one.mean is not None else 0.0 if share is None else share - 0.5
    return one.p / 2 if side * where > 0 else 1.0


def _means(
    tasks: Tasks,
    columns: Mapping[str, Values],
    asked: Sequence[tuple[str, str]],
    *,
    metric: str,
    lost: Lost | None,
    stopping: Stopping,
) -> list[Difference]:
    """Of each label seed by seed its mean over the tasks, of scores in units of their task's sd."""
    scaled = {name: column for of in tasks.arms.values() for name, column in _scaled(of, columns).items()}
    made, gone, parts = {}, {}, {}
    for label in tasks.labels:
        arms = [of[label] for of in tasks.arms.values()]
        rows = list(zip(*(scaled[arm] for arm in arms), strict=True))
        made[label] = [None if None in row else fmean(x for x in row if x is not None) for row in rows]
        gone[label] = [any(lost.runs[arm][seed] for arm in arms) if lost else False for seed in range(len(rows))]
        parts[label] = arms
    missing = None
    if lost is not None:
        unexplained = frozenset(label for label, arms in parts.items() if {*arms} & lost.unexplained)
        missing = Lost(gone, lost.direction, unknown=lost.unknown, unexplained=unexplained)
    return differences(made, metric, lost=missing, stopping=stopping, pairs=asked)


def _scaled(arms: Mapping[str, str], columns: Mapping[str, Values]) -> dict[str, list[float | None]]:
    """The scores of one task, less their mean and over their sd: those of all arms and seeds, so that it is the same
    whichever arm a score belongs to, and signs may be flipped."""
    known = [x for arm in arms.values() for x in columns[arm] if x is not None]
    centre, sd = (fmean(known), pstdev(known)) if known else (0.0, 0.0)
    by = sd if math.isfinite(sd) and sd > 0 else 1.0
    return {arm: [None if x is None else (x - centre) / by for x in columns[arm]] for arm in arms.values()}
