"""What older versions recorded, in the words of this one: a table of steps, and defaults for settings that came later.

An arm is its settings, so that a setting which an arm was recorded without has to be filled in: it has the default of
its field, as every run had before there was such a setting. What a task, a model or a recipe starts from today does not
count: that is a choice for new runs. A step by hand is needed only where a name or a value changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from paribus.config.loops import CODE
from paribus.config.models import ESTIMATOR, UserEstimator
from paribus.config.registries import REGISTRIES, USER_DEFINED
from paribus.config.settings import Settings, common_settings
from paribus.config.tasks import TableData
from paribus.config.values import Initialisation, Value, plain_value

SCHEMA_VERSION = 4

Flat = dict[str, Value]


def _init_renamed(flat: Flat) -> Flat:
    """From 1 to 2: the initial values of the source report are called by what they are."""
    return {**flat, "init": renamed("init", flat["init"])} if "init" in flat else flat


def _own_init(flat: Flat) -> Flat:
    """From 3 to 4: a module of the user's began with its own values, whatever its task's runs begin with."""
    return {**flat, "init": "default"} if "init" in flat and "model.factory" in flat else flat


STEPS: dict[int, Callable[[Flat], Flat]] = {1: _init_renamed, 3: _own_init}
"""Version -> what its settings have to go through to be those of the next, where that is anything: 3 has checksums."""


def canonical(value: object) -> str:
    """JSON with its keys sorted: equal for equal values."""
    return json.dumps(value, sort_keys=True)


def renamed(name: str, value: Value) -> Value:
    """A setting's value as it is spelled today.

    >>> renamed("init", "report"), renamed("recipe", "report")
    ('he_fan_out', 'report')
    """
    return Initialisation.FORMER.get(str(value), value) if name == "init" else value


def settings_today(recorded: Mapping[str, Value], version: int) -> Flat:
    """Settings that a version recorded, with the names and values of this one and the settings that came later."""
    flat = _stepped(recorded, version)
    return {**_defaults(flat), **flat}


def facts_today(key: str, value: Any, version: int, arms: Mapping[str, str]) -> Any:
    """A fact of a study as this version would have recorded it. `arms`: settings recorded -> the same today."""
    if value is None:
        return None
    if key == "shared":
        return {**_came_later(arms), **_stepped(value, version)}
    if version < 2 and key == "tune":
        return {**value, "words": [word_today(word) for word in value["words"]]}
    if version < 2 and key == "tuned":
        return {
            "shared_values": _stepped(value["shared_values"], version),
            "arms": [
                {
                    **arm,
                    "chosen": _stepped(arm["chosen"], version),
                    "candidates": [{**one, "values": _stepped(one["values"], version)} for one in arm["candidates"]],
                }
                for arm in value["arms"]
            ],
        }
    return value


def word_today(word: str) -> str:
    """A setting's word, `init=report,default`, with its values as they are spelled today.

    >>> word_today("init=report,default"), word_today("lr=0.1,0.2")
    ('init=he_fan_out,default', 'lr=0.1,0.2')
    """
    name, _, values = word.partition("=")
    return f"{name}={','.join(str(renamed(name, value)) for value in values.split(','))}"


def _stepped(recorded: Mapping[str, Value], version: int) -> Flat:
    flat = dict(recorded)
    for step in range(version, SCHEMA_VERSION):
        flat = STEPS[step](flat) if step in STEPS else flat
    return flat


def _defaults(flat: Mapping[str, Value]) -> Flat:
    """Every setting that such an arm has, at its field's own default. Those of a user's loop are its own."""
    if CODE in flat:
        return {}
    found = {name: plain_value(Settings.model_fields[name].default) for name in common_settings()}
    for kind, registry in REGISTRIES.items():
        own, field = USER_DEFINED[kind]
        own = TableData if kind == "task" and "task.target" in flat else own
        config = own if f"{kind}.{field}" in flat else registry.get(str(flat.get(kind)))
        for name, info in config.model_fields.items() if config else ():
            if name != "name" and not info.is_required():
                found[f"{kind}.{name}"] = plain_value(info.default)
    if ESTIMATOR in flat:
        return {name: value for name, value in found.items() if UserEstimator.counts(name)}
    return found


def _came_later(arms: Mapping[str, str]) -> Flat:
    """The settings that were filled in, where they are the same in every arm."""
    added = []
    for before, after in arms.items():
        flat = json.loads(after)
        added.append({name: flat[name] for name in flat.keys() - json.loads(before).keys()})
    first = added[0] if added else {}
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in added)}
