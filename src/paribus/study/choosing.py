"""What `implementation=auto` comes to where settings alone do not tell, as for modules of the user's: when the data are
known, and what the study's folder holds.

An arm is its settings, its backend among them: what was trained by one is not gone on with by another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from paribus.backends.base import Trial
from paribus.backends.dispatch import AUTO, preferred, to_try
from paribus.config.overrides import SettingsError
from paribus.config.settings import Settings
from paribus.study.arms import Arm
from paribus.study.candidates import corners
from paribus.study.spec import StudySpec
from paribus.study.store import NoStudyError, Store
from paribus.study.tuning import Tune, at
from paribus.tasks import load

_MODULE = "model.factory"

Recorded = dict[tuple[object, object], set[str]]
"""By which backends each module was trained: its name and fingerprint -> their names."""


@dataclass(frozen=True)
class Chosen:
    """The study with each arm's backend; what there is to `say` of those that were taken after a trial on the data; and
    these `trials`."""

    request: StudySpec
    say: list[str]
    trials: dict[Settings, Trial]


@dataclass(frozen=True)
class _Weighed:
    """An arm, and what it would be with a backend that `auto` prefers, None where it stays; each says why."""

    arm: Arm
    other: Arm | None = None
    trial: Trial | None = None


def with_backends(request: StudySpec, folders: Iterable[Path]) -> Chosen:
    """What `auto` comes to. `folders`: those of the study's stages, as far as they are there."""
    recorded = {} if request.fresh else _recorded(folders)
    found = [_weighed(arm, request, recorded) for arm in request.design.arms]
    tried = [one for one in found if one.arm.why or one.other]
    if request.timing and any(one.other is None for one in tried):  # seconds are compared: all by one, or none
        why = "with --timing all modules of a study are trained by one backend, and others cannot be trained by"
        found = [
            one if one.other is None else _Weighed(_stays(one.arm, f"{why} {one.other.network.backend}"))
            for one in found
        ]
    taken = [(one.other, one.trial) for one in found if one.other]
    return Chosen(
        request.replaced(design=replace(request.design, arms=[one.other or one.arm for one in found])),
        list(dict.fromkeys(arm.why for arm, _ in taken)),
        {arm.network: trial for arm, trial in taken if trial is not None},
    )


def _weighed(arm: Arm, request: StudySpec, recorded: Recorded) -> _Weighed:
    settings = arm.settings
    if "implementation" not in arm.left_open or not isinstance(settings, Settings) or to_try(settings) is None:
        return _Weighed(arm)
    flat, mine = settings.flat(), settings.backend
    before = recorded.get((flat["model"], flat.get(_MODULE)))
    if before is None and recorded and all(one == {mine} for one in recorded.values()):
        return _Weighed(_stays(arm, f"the modules that the folder holds were trained by {mine}"))
    if before == {mine}:
        return _Weighed(_stays(arm, f"what the folder holds of it was trained by {mine}, and goes on so"))
    try:
        task = load(settings, request.seeds[0])
    except ValueError:  # the check says it
        return _Weighed(arm)
    found = preferred(settings.model_copy(update=dict.fromkeys(arm.left_open & {"device"}, AUTO)), task)
    assert found is not None
    chosen, trial = found
    if trial.refusals:
        return _Weighed(_stays(arm, trial.refusals[0].partition("; take ")[0]))
    what = f"model={settings.model.name} is trained by {chosen.backend}"
    other = replace(arm, settings=chosen, why=f"{what}: it is {trial.found}, which comes to the same as by {mine}")
    if request.tune is not None and (refused := _refused(other, request.tune)):
        return _Weighed(_stays(arm, refused))
    return _Weighed(arm, other, trial)


def _stays(arm: Arm, why: str) -> Arm:
    return replace(arm, why=f"model={arm.network.model.name} is trained by {arm.network.backend}: {why}")


def _refused(arm: Arm, tune: Tune) -> str | None:
    """Why an arm's backend cannot train one of the candidates; None where it can."""
    each = [*tune.candidates, *(values for one in tune.others for values in one)]
    for values in [*each, *(corners(tune.axes) if tune.axes else [])]:
        try:
            at(arm, values, tune.validation)
        except SettingsError as error:
            return error.mistakes[0].partition("; take ")[0]
    return None


def _recorded(folders: Iterable[Path]) -> Recorded:
    found: Recorded = {}
    for folder in folders:
        try:
            store = Store.open(folder)
        except NoStudyError:
            continue
        try:
            for text in store.arms():
                flat = json.loads(text)
                if _MODULE in flat:
                    found.setdefault((flat["model"], flat[_MODULE]), set()).add(str(flat["implementation"]))
        finally:
            store.close()
    return found
