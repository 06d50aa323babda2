"""A recorded arm as the words of a command: what a reader pastes to train it beside one thing that is changed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from paribus.config.overrides import SettingsError, assemble, full_name
from paribus.config.registries import USER_DEFINED
from paribus.config.user_code import UserDefined
from paribus.config.values import Value, format_value
from paribus.records.metrics import PRIMARY
from paribus.records.record import ArmRecord, StudyRecord

SEEDS = "6..20"
"""On which a cure is tried: until it is decided, at least 6 and at most 20."""

_USER_SETTINGS = {f"{kind}.{field}" for kind, (_, field) in USER_DEFINED.items()}
_KINDS = ("recipe", "model", "optimizer", "loss")
_CHOSEN = ("implementation", "device")
"""Settings that stand at `auto` in a command, and in a record at what that came to."""


def seeds_for(arm: ArmRecord, seeds: str = SEEDS) -> str:
    """Seeds until decided, or the most of them where seeds are not independent, as each deals its own split."""
    if arm.settings.get("split") == "by_seed":
        return seeds.partition("..")[2] or seeds
    return seeds


def arm_words(study: StudyRecord, arm: ArmRecord) -> dict[str, Value] | None:
    """The settings that make the arm, by full name, the others being defaults; None of what no command has: data,
    modules, optimizers, losses and loops of the user's own in Python, and settings that there are no more.

    `task` is the name of the task, or the file of a table.
    """
    if study.own_loop or arm.whole_fit or "task" not in arm.settings:
        return None
    flat, table = dict(arm.settings), str(arm.settings.get("task")) in study.files
    mine = {name for name in flat if name in _USER_SETTINGS}
    if mine - ({"task.arrays"} if table else set()):
        return None
    for name in mine:
        del flat[name]
    task = study.files[str(flat["task"])] if table else flat["task"]
    typed = _typed(study, arm, flat)
    if table:
        return {"task": task, **(typed if typed is not None else {k: v for k, v in flat.items() if k != "task"})}
    if typed is not None and _makes({"task": task, **typed}, flat, apart_from=_CHOSEN):
        return {"task": task, **typed}
    return least_words(flat, flat)


def compare_command(study: StudyRecord, arm: ArmRecord, change: Mapping[str, str]) -> str | None:
    """The command that trains the arm beside the same with a change; of several settings at once the command that
    trains the changed one alone, as all their combinations would be other arms. None where no command can.

    >>> arm = ArmRecord("", {"task": "moons", "init": "normal:0.001"}, [])
    >>> study = StudyRecord(name="s", factors=[], seeds=[0], primary_metric="test_accuracy", arms=[arm])
    >>> compare_command(study, arm, {"init": "kaiming_normal"})
    'paribus compare moons init=normal:0.001,kaiming_normal --seeds 6..20'
    """
    words = arm_words(study, arm)
    if words is None:
        return None
    shown = {name: format_value(value) for name, value in words.items()}
    task = shown.pop("task")
    seeds = seeds_for(arm)
    if len(change) == 1:
        (name, value), = change.items()  # fmt: skip
        shown[name] = f"{format_value(words.get(name, arm.settings.get(name, '')))},{value}"
    else:
        shown |= change
        seeds = seeds.partition("..")[0]
    metric = [] if study.primary_metric in PRIMARY else ["--metric", study.primary_metric]
    settings = [f"{_short(name)}={value}" for name, value in shown.items()]
    verb = "compare" if len(change) == 1 else "train"
    return shlex.join(["paribus", verb, task, *settings, "--seeds", seeds, *metric])


def _typed(study: StudyRecord, arm: ArmRecord, flat: Mapping[str, Value]) -> dict[str, Value] | None:
    """The settings that the arm's own command names, at the arm's values; None where it is no such command."""
    environments = [run.environment for run in arm.runs if run.environment.get("command")]
    try:
        words = shlex.split(str(environments[0]["command"])) if environments else []
    except ValueError:
        return None
    if len(words) < 3 or PurePath(words[0]).name != "paribus" or words[1] not in ("train", "compare"):
        return None
    given = [word.partition("=")[::2] for word in words[2:] if "=" in word and not word.startswith("-")]
    if any(word == "--device" or word.startswith("--device=") for word in words):
        given.append(("device", ""))
    found: dict[str, Value] = {}
    for key, value in given:
        try:
            name = full_name(key)
        except SettingsError:  # an option's value, as in --target test_accuracy=0.9
            continue
        if name != "task" and (name in flat or "," not in value):
            found[name] = flat.get(name, value)
    tuned = [one.chosen for one in study.tuning.arms if one.arm == arm.name] if study.tuning else []
    for chosen in tuned:
        found |= {name: flat[name] for name in chosen if name in flat}
    return found


def _makes(words: Mapping[str, Any], flat: Mapping[str, Value], *, apart_from: tuple[str, ...] = ()) -> bool:
    """Whether these words make an arm of these settings; of settings that its record does not have nothing is asked."""
    settings, mistakes = assemble(words)
    if settings is None or mistakes:
        return False
    made = settings.flat()
    return all(made.get(name) == value for name, value in flat.items() if name not in apart_from)


def least_words(values: Mapping[str, Any], flat: Mapping[str, Value]) -> dict[str, Any] | None:
    """The settings without those that stand at their defaults; None where they make no such arm any more.

    `values`: settings by full name, with the user's own things where they are; `flat`: what they come to.
    """
    words = {"task": values["task"]}
    for names in (*((kind,) for kind in _KINDS), tuple(values)):  # what is chosen has defaults of its own
        made, _ = assemble(words)
        if made is None:
            return None
        now = made.flat()
        words |= {
            name: values[name]
            for name in names
            if name in values and (isinstance(values[name], UserDefined) or now.get(name) != flat.get(name))
        }
    return words if _makes(words, flat) else None


def _short(name: str) -> str:
    """The last part of a name where that is enough."""
    short = name.rpartition(".")[2]
    try:
        return short if full_name(short) == name else name
    except SettingsError:
        return name
