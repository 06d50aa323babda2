"""Whether a folder's study is the one that is asked for, and what differs if it is not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from paribus.config.loops import CODE
from paribus.config.registries import USER_DEFINED
from paribus.config.user_code import UserTable
from paribus.plan import PLAN_VERSION
from paribus.records.metrics import Metric
from paribus.records.record import Status
from paribus.study.spec import StudySpec
from paribus.study.store import Store
from paribus.study.tuning import without_repeats

_USER_KEYS = {*(f"{kind}.{field}" for kind, (_, field) in USER_DEFINED.items()), CODE, "data.arrays"}
"""The settings that hold the fingerprint of a thing of the user's."""


@dataclass(frozen=True)
class Differing:
    """What differs: settings, and things of the user's that have the same name and another fingerprint."""

    settings: list[str]
    changed: list[str]

    def refusal(self, folder: Path) -> str:
        """One message; nothing differs where it is empty."""
        if self.changed and not self.settings:
            return (
                f"{folder} holds another study: {'; '.join(self.changed)}. Give --fresh (fresh=True) to train all "
                "anew (what is recorded is kept in a folder beside it), or another name"
            )
        if not self.settings:
            return ""
        return (
            f"{folder} holds another study; it differs in {'; '.join([*self.settings, *self.changed])}. "
            "Choose another folder with --name or --out, or give the same settings to go on with it; --fresh "
            "(fresh=True) trains all anew, and keeps what is recorded in a folder beside it"
        )


def span(times: Sequence[float]) -> str:
    """When things were recorded, to the minute, in local time.

    >>> span([])
    ''
    """
    days = [datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M") for at in sorted(times)]
    if not days:
        return ""
    return f"on {days[0]}" if days[0] == days[-1] else f"between {days[0]} and {days[-1]}"


def differing_in(store: Store, request: StudySpec) -> Differing:
    """How the study asked for differs from the one recorded."""
    changed = _changed(store, request)
    return Differing(
        _other_settings(store, request, {arm for arm, _ in changed}), list(dict.fromkeys(line for _, line in changed))
    )


def _changed(store: Store, request: StudySpec) -> list[tuple[str | None, str]]:
    """What is the user's own and is not what is recorded under its name, with the arm that it belongs to; None for a
    metric."""
    times = store.recorded_at()
    recorded = {settings: json.loads(settings) for settings in store.arms()}
    found: list[tuple[str | None, str]] = []
    for arm in request.design.arms:
        here = arm.settings.flat()
        for kind, thing in arm.settings.user_defined_parts().items():
            key = arm.settings.fingerprints()[kind]
            # in any arm: those that a study is extended by have names of their own
            named = [text for text, there in recorded.items() if there.get(kind) == here[kind] and key in there]
            if named and here[key] not in {recorded[text][key] for text in named}:
                of_arm = f" of arm {arm.name!r}" if arm.name else ""
                when = _last([at for (text, _), at in times.items() if text in named])
                if isinstance(thing, UserTable):  # of every arm that has it
                    changed = f"the data in {thing.name} are not those that were recorded{when and ' ' + when}"
                    found.append((arm.name, changed))
                    continue
                found.append((arm.name, _sentence(f"the {kind}{of_arm}", when, thing.reason)))
    before = store.get("metrics") or {}
    found += [
        (None, _sentence(f"the metric {metric.name!r}", _last(list(times.values())), metric.reason))
        for metric in request.metrics
        if before.get(metric.name, str(metric)) != str(metric)
    ]
    return found


def _last(times: Sequence[float]) -> str:
    return span([max(times)]) if times else ""


def _sentence(what: str, when: str, reason: str | None) -> str:
    recorded = f", recorded {when}" if when else ""
    if reason is not None:
        return f"{what} cannot be told from a changed one{recorded}: {reason}; make that inside the function"
    return f"{what} changed since it was recorded{when and ' ' + when}"


def _other_settings(store: Store, request: StudySpec, changed: Set[str | None]) -> list[str]:
    """Settings that differ. `changed`: the arms of which something of the user's is not what it was."""
    factors, shared, metric, timing, version = (
        store.get(key) for key in ("factors", "shared", "primary_metric", "timing", "plan_version")
    )
    tuned = None if request.tune is None else request.tune.as_record()
    if without_repeats(store.get("tune")) != without_repeats(tuned):
        return [f"--tune ({'not given' if request.tune is None else 'given'} here, the other way there)"]
    if shared is None:  # killed before its first line was written
        return []
    recorded = store.arms()
    asked = {arm.key: arm.name for arm in request.design.arms}
    differing = _other_design(factors, shared, request) if not _nested(recorded.keys(), asked.keys()) else []
    names = {name: settings for settings, name in recorded.items()}
    differing += (
        []
        if differing
        else [
            f"arm {name!r}, which is recorded with other settings"
            for settings, name in asked.items()
            if name not in changed and names.get(name, settings) != settings and settings not in recorded
        ]
    )
    measured, mine = store.get("metrics") or {}, {metric.name: str(metric) for metric in request.metrics}
    if measured.keys() != mine.keys():
        differing.append(f"metrics ({_functions(measured)} there, {_functions(mine)} here)")
    differing += _other_directions(store.get("measured") or {}, request.measured)
    # a loop that did not report the metric has left nothing but runs that failed
    if metric != request.metric and (Status.DONE in store.statuses().values() or CODE not in shared):
        differing.append(f"primary metric ({metric} there, {request.metric} here)")
    if timing != request.timing:
        differing.append(f"--timing ({'given' if timing else 'not given'} there, the other way here)")
    differing += _other_declarations(store, recorded, request)
    if version != PLAN_VERSION:
        differing.append(f"plan version ({version} there, {PLAN_VERSION} here)")
    return differing


def _other_declarations(store: Store, recorded: Mapping[str, str], request: StudySpec) -> list[str]:
    """When a study ends, and what it compares, is declared before its first run: what was looked at otherwise cannot be
    judged so any more."""
    seeds, least = store.get("seeds") or [], store.get("least")
    if least is None and request.least is None:
        return []
    found = []
    if least != request.least or len(seeds) != len(request.seeds):
        there, here = (
            f"{one}..{many}" if one else str(many)
            for one, many in ((least, len(seeds)), (request.least, len(request.seeds)))
        )
        found.append(f"--seeds ({there} there, {here} here)")
    for what, before, now in (
        ("--margin", store.get("margin"), request.margin),
        ("--baseline", store.get("baseline"), request.baseline),
    ):
        if before != now:
            found.append(f"{what} ({before or 'none'} there, {now or 'none'} here)")
    if recorded.keys() != {arm.key for arm in request.design.arms}:
        found.append(f"arms ({len(recorded)} there, {len(request.design.arms)} here)")
    return found


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
        if there != here and not absent and name not in _USER_KEYS:
            differing.append(f"{name} ({there} there, {here} here)")
    return differing
