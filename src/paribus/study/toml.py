"""A recorded study as the TOML file that repeats it (`study.file` reads it)."""

from __future__ import annotations

import json

from paribus.config.overrides import SettingsError, parse_overrides
from paribus.config.registries import USER_DEFINED
from paribus.config.values import Value, format_value
from paribus.records.claims import Claim
from paribus.records.record import StudyRecord, Tuning

_USER_SETTINGS = {f"{kind}.{field}" for kind, (_, field) in USER_DEFINED.items()}


def as_toml(study: StudyRecord) -> str:
    """The file that repeats a study: every setting that its arms share, and each arm's own."""
    arms, tune = study.arms, study.tuning
    if not arms and tune is not None and tune.shared is not None:  # stopped before the last of its stages
        arms = tune.shared.arms
    if not arms:
        raise SettingsError(["holds no arms yet: the command that began it goes on with it"])
    mine = sorted({name for arm in arms for name in arm.settings if name in _USER_SETTINGS})
    if mine:
        raise SettingsError(
            [f"holds what is your own in Python ({', '.join(mine)}): the call that began it repeats it, no file can"]
        )
    flats = [arm.settings for arm in arms]
    if tune is not None and tune.shared is not None:
        # as the arms were before they were tuned: what was tuned stands there only if it was given
        names = () if tune.given else tune.shared_values
        of = {arm.name: arm.settings for arm in tune.shared.arms}
        flats = [
            {**{key: value for key, value in of[arm.name].items() if key not in names}, "validation": tune.validation}
            for arm in arms
        ]
    shared = {key: value for key, value in flats[0].items() if all(flat.get(key) == value for flat in flats)}
    task = shared.pop("task", None)
    lines = [f"name = {_toml(study.name)}"]
    lines += [f"task = {_toml(task if task is not None else flats[0]['task'])}", f"seeds = {study.seeds}"]
    lines += [f"metric = {_toml(study.primary_metric)}", *(["timing = true"] if study.timing else [])]
    lines += [f"target = {_toml(str(study.target))}"] if study.target else []
    lines += [f"baseline = {_toml(study.baseline)}"] if study.baseline is not None else []
    lines += [f"margin = {study.margin!r}"] if study.margin is not None else []
    if tune is not None:
        lines += [f"tune_seeds = {len(tune.seeds)}", *([f"budget = {tune.budget}"] if tune.budget else [])]
    lines += ["", "[settings]", *(f"{_toml(key)} = {_toml(value)}" for key, value in shared.items())]
    lines += _tune_lines(tune) if tune else []
    for arm, flat in zip(arms, flats, strict=True):
        own = {key: value for key, value in flat.items() if key not in shared and (key != "task" or task is None)}
        lines += ["", "[[arms]]", f"name = {_toml(arm.name or study.name)}"]
        lines += [f"{_toml(key)} = {_toml(value)}" for key, value in own.items()]
    lines += [line for claim in study.claims for line in _claim_lines(claim)]
    return "\n".join(lines) + "\n"


def _claim_lines(claim: Claim) -> list[str]:
    facts = claim.as_data()
    lines = ["", "[[claims]]", f"id = {_toml(claim.id)}", f"claim = {_toml(claim.text)}"]
    for condition in facts["conditions"]:
        lines += ["[[claims.conditions]]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in condition.items()]
    return lines


def _tune_lines(tune: Tuning) -> list[str]:
    parsed = parse_overrides(tune.words)
    return ["", "[tune]", *(f"{_toml(key)} = {json.dumps(values)}" for key, values in parsed.items())]


def _toml(value: Value) -> str:
    """A value, or a quoted key: JSON's text is TOML's, but for DEL."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return format_value(value)
