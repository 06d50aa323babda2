"""Whether a folder's study is the one that is asked for, and what differs if it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from paribus.plan import PLAN_VERSION
from paribus.records.metrics import Metric
from paribus.study.spec import StudySpec
from paribus.study.store import Store, canonical


def differing_in(store: Store, request: StudySpec) -> list[str]:
    factors, shared, metric, timing, version = (
        store.get(key) for key in ("factors", "shared", "primary_metric", "timing", "plan_version")
    )
    if store.get("tune") != (request.tune and request.tune.as_record()):
        return [f"--tune ({'not given' if request.tune is None else 'given'} here, the other way there)"]
    if shared is None:  # killed before its first line was written
        return []
    recorded = store.arms()
    asked = {canonical(arm.settings.flat()): arm.name for arm in request.design.arms}
    differing = _other_design(factors, shared, request) if not _nested(recorded.keys(), asked.keys()) else []
    names = {name: settings for settings, name in recorded.items()}
    differing += (
        []
        if differing
        else [
            f"arm {name!r}, which is recorded with other settings"
            for settings, name in asked.items()
            if names.get(name, settings) != settings and settings not in recorded
        ]
    )
    measured, mine = store.get("metrics") or {}, {metric.name: str(metric) for metric in request.metrics}
    if measured != mine:
        differing.append(f"metrics ({_functions(measured)} there, {_functions(mine)} here)")
    differing += _other_directions(store.get("measured") or {}, request.measured)
    if metric != request.metric:
        differing.append(f"primary metric ({metric} there, {request.metric} here)")
    if timing != request.timing:
        differing.append(f"--timing ({'given' if timing else 'not given'} there, the other way here)")
    if version != PLAN_VERSION:
        differing.append(f"plan version ({version} there, {PLAN_VERSION} here)")
    return differing


def _other_directions(recorded: Mapping[str, dict[str, object]], mine: Sequence[Metric]) -> list[str]:
    """What was said to be better is not what is said now; a direction that was never said may be added."""
    there = {name: facts["direction"] for name, facts in recorded.items() if facts["direction"] is not None}
    return [
        f"which values of {one.name} are better ({there[one.name]} there, {one.direction or 'not said'} here)"
        for one in mine
        if one.direction != there.get(one.name, one.direction)
    ]


def _functions(metrics: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {fingerprint}" for name, fingerprint in metrics.items()) or "none of your own"


def _nested(recorded: Set[str], asked: Set[str]) -> bool:
    """Whether one holds all arms of the other: the same study, more of it, or a part."""
    return recorded <= asked or asked <= recorded


def _other_design(factors: list[str], shared: dict[str, object], request: StudySpec) -> list[str]:
    """Arms beside those recorded extend a study where the factors are the same, and all that is no factor."""
    mine = request.design.shared
    differing = []
    if sorted(factors) != sorted(request.design.factors):
        differing.append(
            f"factors ({', '.join(factors) or 'none'} there, {', '.join(request.design.factors) or 'none'} here)"
        )
    for name in sorted({*shared, *mine} - {*factors, *request.design.factors}):
        there, here = shared.get(name), mine.get(name)
        # a setting that only some arms have, as momentum among optimizers, is no difference
        absent = None in (there, here) and name.partition(".")[0] in factors
        if there != here and not absent:
            differing.append(f"{name} ({there} there, {here} here)")
    return differing
