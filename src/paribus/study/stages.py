"""What a command asks for, in the order in which it is carried out: a tuned study is three.

In the study's folder, `tuning` holds the candidates' runs, `shared` all arms at one value, and the folder itself each
arm at its own best. Each is a study like any other, so that a tuned one is stopped, resumed and extended as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from paribus.config.settings import Settings
from paribus.config.values import Value, format_overrides
from paribus.study.driver import lock
from paribus.study.reading import SHARED, read
from paribus.study.runner import Work, check, free, outstanding, prepare
from paribus.study.spec import StudySpec
from paribus.study.store import FILE, NoStudyError, Store, StoreError
from paribus.study.tuning import Tune, candidates_of, chosen_for, decide

TUNING = "tuning"


def stages(request: StudySpec) -> Iterator[tuple[StudySpec, Work]]:
    """The studies to carry out, each before the next is asked for: what follows tuning depends on what it found.

    With each comes what there is to do in it, from its one check. A check builds the user's module and tries it, once
    for each arm's settings; those of the last stage are tried before any compute is spent. Raises StoreError for a
    folder that cannot take the study, SettingsError where data or candidates refuse.
    """
    tune = request.tune
    if tune is None:
        notes = check(request)
        if (request.folder / FILE).exists():
            with lock(request.folder):  # who carries it out is said before what there is to do in it
                pass
        notes += _set_aside(request)
        request = request.replaced(fresh=False)
        yield request, outstanding(request, notes)
        return
    sample = request.replaced(design=chosen_for(request.design, _first(request, tune), tune.names))
    tried: set[Settings] = set()
    check(sample, tried)
    tuning = tuning_stage(request, tune)
    notes = check(tuning, tried)
    notes += _set_aside(request)
    request, tuning = request.replaced(fresh=False), tuning.replaced(fresh=False)
    _begin(request, tune)
    yield tuning, outstanding(tuning, notes)
    shared, tuned = decide(request.design, tune, read(tuning.folder))
    with lock(request.folder):
        store = Store.create(request.folder)
        store.set("tuned", {"shared_values": shared, "arms": [asdict(one) for one in tuned]})
        store.close()
    stage = _shared_stage(request, {arm.name: shared for arm in request.design.arms})
    yield stage, prepare(stage, tried)
    last = request.replaced(design=chosen_for(request.design, {one.arm: one.chosen for one in tuned}, tune.names))
    yield last, prepare(last, tried)


def tuning_stage(request: StudySpec, tune: Tune) -> StudySpec:
    """Every arm at every candidate, on seeds of its own, without a look at the test split."""
    return request.replaced(
        design=candidates_of(request.design, tune),
        seeds=tune.seeds,
        least=None,
        folder=request.folder / TUNING,
        name=f"{request.name}: tuning",
        metric=tune.metric,
        keep=frozenset(),
        timing=False,
        target=None,
        baseline=None,
        margin=None,
        tune=None,
        hidden_test=True,
        claims=(),  # they are of the study's arms
    )


def foreseen(request: StudySpec) -> list[StudySpec]:
    """The stages as far as they can be known: a value that tuning has yet to choose is the first candidate."""
    tune = request.tune
    if tune is None:
        return [request]
    chosen, shared, name = (
        _first(request, tune),
        _first(request, tune),
        f"{request.name}: all at one value, yet to be chosen",
    )
    if tune.given:
        shared = _given(request, tune)
    try:
        decided = read(request.folder).tuning
    except NoStudyError:
        decided = None
    if decided is not None and {one.arm for one in decided.arms} >= chosen.keys():
        chosen = {one.arm: one.chosen for one in decided.arms}
        shared = {arm.name: decided.shared_values for arm in request.design.arms}
    stage = _shared_stage(request, shared)
    known = tune.given or (decided is not None and decided.arms)
    return [
        tuning_stage(request, tune),
        stage if known else stage.replaced(name=name),
        request.replaced(design=chosen_for(request.design, chosen, tune.names)),
    ]


def _first(request: StudySpec, tune: Tune) -> dict[str, Mapping[str, Value]]:
    return {arm.name: tune.candidates[0] for arm in request.design.arms}


def _given(request: StudySpec, tune: Tune) -> dict[str, Mapping[str, Value]]:
    return {arm.name: {name: arm.settings.flat()[name] for name in tune.names} for arm in request.design.arms}


def _shared_stage(request: StudySpec, shared: Mapping[str, Mapping[str, Value]]) -> StudySpec:
    values = next(iter(shared.values()))
    return request.replaced(
        design=chosen_for(request.design, shared, ()),
        folder=request.folder / SHARED,
        name=f"{request.name}: all at {format_overrides(values)}",
        tune=None,
    )


def _set_aside(request: StudySpec) -> list[str]:
    """Of a study that begins anew: give what is recorded another name, and say which. Nothing is thrown away."""
    folder = request.folder
    if not request.fresh or not (folder / FILE).exists():
        return []
    if folder.resolve() == Path.cwd():
        raise StoreError("the folder that you are in cannot be set aside: go to another, or choose one with --out")
    when = datetime.fromtimestamp((folder / FILE).stat().st_mtime).strftime("%Y-%m-%d-%H%M%S")
    other = folder.with_name(f"{folder.name}-until-{when}")
    count = 1
    while other.exists():
        count += 1
        other = folder.with_name(f"{folder.name}-until-{when}-{count}")
    with ExitStack() as held:  # StoreError while another process carries the study, or a stage of it, out
        for part in (folder, folder / TUNING, folder / SHARED):
            if part.exists():
                held.enter_context(lock(part))
        try:
            folder.rename(other)
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be set aside as {other}: {error.strerror}; choose another folder with --name or --out"
            ) from None
    return [f"what was recorded is now in {other}: all runs are trained anew"]


def _begin(request: StudySpec, tune: Tune) -> None:
    """Record how the study is tuned, before anything is trained."""
    if not (request.folder / FILE).exists():
        free(request.folder)
    with lock(request.folder):
        store = Store.create(request.folder)
        try:
            mine, there = tune.as_record(), store.get("tune")
            if there is None and store.get("shared") is not None:
                raise StoreError(
                    f"{request.folder} holds a study without --tune: choose another folder with --name or --out"
                )
            if there is not None and there != mine:
                differing = "; ".join(
                    f"{key} ({there[key]} there, {mine[key]} here)" for key in mine if there[key] != mine[key]
                )
                raise StoreError(
                    f"{request.folder} holds another study; it is tuned otherwise: {differing}. "
                    "Choose another folder with --name or --out, or tune in the same way to go on with it"
                )
            store.set("name", store.get("name") or request.name)
            store.set("tune", mine)
            store.set("measured", {one.name: one.as_data() for one in request.measured})
        finally:
            store.close()
