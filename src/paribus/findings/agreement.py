"""How close two implementations of one arm come: the same plan, so any visible gap is a bug."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from paribus.config.models import ESTIMATOR
from paribus.config.values import Value
from paribus.records.record import ArmRecord, RunRecord, Status, StudyRecord

_OWN_IMPLEMENTATION, _OWN_MODULE = "implementation.network", "model.factory"
_KINDS = {"implementation": (_OWN_IMPLEMENTATION,), "model": (_OWN_MODULE,)}
"""What two arms may differ in, with the settings that come with it."""

_APART = {"float64": 1e-9, "float32": 1e-5, "bf16": 1e-2}
"""By which share of the largest loss two curves have departed: rounding stays far below it, until training has
magnified it."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The largest |difference| of a curve between arms that differ in their implementation alone, and where it stands.

    `seeds`: on how many both arms are done; `gap` is None where a curve is missing or of another length. `kind`: what
    they differ in, `implementation` or, of two modules of the user's, `model`. `departs_at_step`: the first step at
    which the curves are apart by more than rounding, with its seed, None where they never are; `at_once`: whether that
    is the first evaluation. `own`: those of the two implementations that are the user's.
    """

    a: str
    b: str
    metric: str
    gap: float | None
    seeds: int
    at_seed: int | None
    at_epoch: float | None
    kind: str = "implementation"
    departs_at_step: int | None = None
    departs_at_seed: int | None = None
    at_once: bool = False
    own: tuple[str, ...] = ()


def agreements(study: StudyRecord, metric: str = "train_loss") -> list[Agreement]:
    """One for each pair of arms that differ in their implementation and in nothing else.

    Two modules of the user's are such a pair where they begin alike, as one that was written anew does: of modules that
    are meant to differ nothing is told.
    """
    found = []
    for i, k, kind in sorted(_alike(study)):
        a, b = study.arms[i], study.arms[k]
        if not _differ_in(a, b, kind):
            continue
        one = _agreement(a, b, metric, kind)
        if kind == "implementation" or (one.gap is not None and not one.at_once):
            found.append(one)
    return found


def _alike(study: StudyRecord) -> Iterator[tuple[int, int, str]]:
    """Pairs of arms whose other settings are the same: of a thousand arms these are few, and looked up."""
    for kind in _KINDS:
        groups: dict[frozenset[tuple[str, Value]], list[int]] = {}
        for i, arm in enumerate(study.arms):
            groups.setdefault(frozenset(_others(arm.settings, kind).items()), []).append(i)
        for group in groups.values():
            yield from ((i, k, kind) for i, k in combinations(group, 2))


def _differ_in(a: ArmRecord, b: ArmRecord, kind: str) -> bool:
    """In this alone; of models, both have to be modules of the user's."""
    if _of(a, kind) == _of(b, kind) or _others(a.settings, kind) != _others(b.settings, kind):
        return False
    return kind != "model" or all(_OWN_MODULE in one.settings and ESTIMATOR not in one.settings for one in (a, b))


def _of(arm: ArmRecord, kind: str) -> list[Value | None]:
    return [arm.settings.get(name) for name in (kind, *_KINDS[kind])]


def _others(settings: Mapping[str, Value], kind: str) -> dict[str, Value]:
    """Settings in which two arms have to agree. By which backend a module is trained is chosen for it, and makes no
    difference beyond rounding."""
    apart = {kind, *_KINDS[kind]} | ({"implementation"} if kind == "model" else set())
    return {name: value for name, value in settings.items() if name not in apart}


def _agreement(a: ArmRecord, b: ArmRecord, metric: str, kind: str) -> Agreement:
    theirs = {run.seed: run for run in b.runs if run.status is Status.DONE}
    pairs = [(run, theirs[run.seed]) for run in a.runs if run.status is Status.DONE and run.seed in theirs]
    own = tuple(str(one.settings["implementation"]) for one in (a, b) if _OWN_IMPLEMENTATION in one.settings)
    apart = _APART.get(str(a.settings.get("precision")), _APART["bf16"])
    worst: tuple[float, int, float] | None = None
    first: tuple[int, int] | None = None
    at_once = False
    for one, other in pairs:
        gaps = _gaps(one, other, metric)
        if gaps is None:
            return Agreement(
                a=a.name,
                b=b.name,
                metric=metric,
                gap=None,
                seeds=len(pairs),
                at_seed=one.seed,
                at_epoch=None,
                kind=kind,
            )
        at = int(gaps.argmax())
        if worst is None or gaps[at] > worst[0]:
            worst = (float(gaps[at]), one.seed, float(one.curve["epoch"][at]))
        departed = np.flatnonzero(gaps > apart * max(np.abs(run.curve[metric]).max() for run in (one, other)))
        if departed.size:
            step = int(one.curve["step"][departed[0]])
            at_once |= not departed[0]
            first = min(first or (step, one.seed), (step, one.seed))
    gap, at_seed, at_epoch = worst or (None, None, None)
    return Agreement(
        a=a.name, b=b.name, metric=metric, gap=gap, seeds=len(pairs), at_seed=at_seed, at_epoch=at_epoch, kind=kind,
        departs_at_step=first and first[0], departs_at_seed=first and first[1], at_once=bool(at_once), own=own,
    )  # fmt: skip


def _gaps(one: RunRecord, other: RunRecord, metric: str) -> NDArray[np.float64] | None:
    """The |difference| at each evaluation; None where there is none, or they are of other lengths."""
    x, y = one.curve.get(metric), other.curve.get(metric)
    if x is None or y is None or not len(x) or x.shape != y.shape:
        return None
    gaps: NDArray[np.float64] = np.abs(x - y)
    return gaps
