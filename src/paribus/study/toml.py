"""A recorded study as the TOML file that repeats it (`study.file` reads it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomlkit

from paribus.config.overrides import SettingsError, parse_overrides
from paribus.config.registries import USER_DEFINED
from paribus.config.values import Value
from paribus.records.record import StudyRecord
from paribus.study.named import is_named

_USER_SETTINGS = {f"{kind}.{field}" for kind, (_, field) in USER_DEFINED.items()}


def as_toml(study: StudyRecord) -> str:
    """The file that repeats a study: every setting that its arms share, and each arm's own."""
    arms, tune = study.arms, study.tuning
    if tune is not None and tune.repeat > 1:
        raise SettingsError([f"holds repeat {tune.repeat} of a tuned study: that study's own file repeats it"])
    if not arms and tune is not None and tune.shared is not None:  # stopped before the last of its stages
        arms = tune.shared.arms
    if not arms:
        raise SettingsError(["holds no arms yet: the command that began it goes on with it"])
    if study.own_loop:
        raise SettingsError(
            ["is trained by a loop of your own: the command or call that began it repeats it, no file can"]
        )
    mine = sorted({name for arm in arms for name in _as_given(arm.settings, study.files) if name in _USER_SETTINGS})
    if mine:
        raise SettingsError(
            [f"holds what is your own in Python ({', '.join(mine)}): the call that began it repeats it, no file can"]
        )
    flats = [_as_given(arm.settings, study.files) for arm in arms]
    if tune is not None and tune.shared is not None:
        # as the arms were before they were tuned: what was tuned stands there only if it was given
        names = () if tune.given else tune.shared_values
        of = {arm.name: _as_given(arm.settings, study.files) for arm in tune.shared.arms}
        flats = [
            {**{key: value for key, value in of[arm.name].items() if key not in names}, "validation": tune.validation}
            for arm in arms
        ]
    shared = {key: value for key, value in flats[0].items() if all(flat.get(key) == value for flat in flats)}
    task = shared.pop("task", None)
    facts: dict[str, Any] = {
        "name": study.name,
        "task": flats[0]["task"] if task is None else task,
        "seeds": study.seeds if study.least is None else f"{study.least}..{len(study.seeds)}",
        "metric": study.primary_metric,
        "timing": study.timing or None,
        "target": study.target and str(study.target),
        "baseline": study.baseline,
        "margin": study.margin,
    }
    if tune is not None:
        facts |= {"tune_seeds": len(tune.seeds), "budget": tune.budget or None, "tune_sampler": tune.sampler}
        facts |= {"tune_repeats": tune.asked_repeats if tune.asked_repeats > 1 else None}
    facts |= {"settings": shared}
    if tune is not None:
        facts |= {"tune": parse_overrides(tune.words)}
    facts |= {"arms": []}
    for arm, flat in zip(arms, flats, strict=True):
        own = {key: value for key, value in flat.items() if key not in shared and (key != "task" or task is None)}
        facts["arms"].append({"name": arm.name or study.name, **own})
    facts |= {"claims": [claim.as_data() for claim in study.claims] or None}
    return tomlkit.dumps({key: value for key, value in facts.items() if value is not None})


def _as_given(flat: Mapping[str, Value], files: Mapping[str, str]) -> dict[str, Value]:
    """Settings as a file gives them: what was read from a file, a table or an implementation, by that file's name,
    without its fingerprint."""
    if is_named(str(flat.get("implementation"))):
        flat = {key: value for key, value in flat.items() if key != "implementation.network"}
    task = str(flat.get("task"))
    if task not in files or "task.arrays" not in flat:
        return dict(flat)
    return {key: value for key, value in flat.items() if key != "task.arrays"} | {"task": files[task]}
