"""The study that tries cures: an arm as it is, and beside it the same with each proposed change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paribus.backends.dispatch import resolve
from paribus.config.overrides import SettingsError
from paribus.config.settings import Settings
from paribus.records.record import ArmRecord, StudyRecord
from paribus.study.arms import Arm, Design, left_open, seeds_of
from paribus.study.names import folder_name
from paribus.study.runner import check
from paribus.study.spec import StudySpec, make_request
from paribus.study.words import arm_words, least_words, seeds_for
from paribus.tasks.table import opened

CURES = "cures"
"""In a study's folder: a study for each arm whose cures were tried."""

AS_IT_IS = "as it is"


def cures_folder(folder: Path, arm: str) -> Path:
    """Where the cures of an arm are tried."""
    return folder / CURES / (folder_name(arm) if arm else "arm")


def cures_request(
    study: StudyRecord,
    arm: ArmRecord,
    changes: Mapping[str, Mapping[str, str]],
    folder: Path,
    *,
    seeds: str,
    began: StudySpec | None,
    command: str,
) -> tuple[StudySpec | None, dict[str, str]]:
    """The study that tries these changes of an arm, None where none of them can be had; and why some cannot: name ->
    reason. `changes`: name -> settings, as words of a command; `began`: the study as Python began it, which has what is
    the user's own.

    Raises SettingsError where the arm itself cannot be made again from its record.
    """
    numbers = seeds_of(seeds_for(arm, seeds))  # wrong ones are no fault of a cure
    base = _values(study, arm, began)
    sick = Arm(AS_IT_IS, resolve(base), left_open(base))
    cured: dict[str, Arm] = {}
    refused: dict[str, str] = {}

    def asked(arms: Mapping[str, Arm]) -> StudySpec:
        return make_request(
            lambda: Design(_factors([sick, *arms.values()]), [sick, *arms.values()], named=True),
            f"cures of {arm.name or study.name}",
            seeds=numbers,
            metric=study.primary_metric,
            timing=study.timing,
            baseline=AS_IT_IS,
            out=folder,
            command=command,
            metrics=began.metrics if began else (),
            measured=began.measured if began else tuple(study.metrics.values()),
        )

    for name, change in changes.items():
        try:
            settings = resolve({**base, **change})
            if settings == sick.settings or any(settings == one.settings for one in cured.values()):
                raise SettingsError(["it makes the same arm as another"])
            made = Arm(name, settings, sick.left_open)
            check(asked({name: made}))
            cured[name] = made
        except SettingsError as error:
            refused[name] = "; ".join(error.mistakes)
    return (asked(cured) if cured else None), refused


def _values(study: StudyRecord, arm: ArmRecord, began: StudySpec | None) -> dict[str, Any]:
    """What the arm's settings are made from: as few as make it, so that what `auto` stands for is chosen for each
    change anew."""
    words = arm_words(study, arm)
    if words is not None:
        whole = {name: value for name, value in arm.settings.items() if name != "task.arrays"}
        few: dict[str, Any] = {**words, "task": opened(words["task"])}
        return few if _same(few, arm) else {**whole, "task": few["task"]}
    own = {one.name: one.settings for one in began.design.arms} if began else {}
    settings = own.get(arm.name)
    if study.own_loop or arm.whole_fit:
        raise SettingsError([f"{arm.name or study.name} is no network that Paribus trains: there is no cure to try"])
    if not isinstance(settings, Settings):
        how = "call paribus.compare or train as before (what is recorded is not trained again), then study.cure()"
        raise SettingsError([f"{arm.name or study.name} has what is your own in Python, which no record holds: {how}"])
    open_ = next(one.left_open for one in began.design.arms if one.name == arm.name) if began else frozenset()
    values, mine = settings.values(), settings.user_defined_parts()
    values |= {name: value for name, value in arm.settings.items() if name in values and name not in mine}
    words = least_words(values, arm.settings) or values
    return {name: value for name, value in words.items() if name not in open_}  # chosen for each change anew


def _same(values: Mapping[str, Any], arm: ArmRecord) -> bool:
    """Whether the settings that these values make are the arm's."""
    try:
        made = resolve(values).flat()
    except SettingsError:
        return False
    return all(made.get(name) == value for name, value in arm.settings.items())


def _factors(arms: list[Arm]) -> list[str]:
    flats = [arm.settings.flat() for arm in arms]
    names = dict.fromkeys(name for flat in flats for name in flat)
    return [name for name in names if len({flat.get(name) for flat in flats}) > 1]
