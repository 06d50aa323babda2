"""What a command asks for, in the order in which it is carried out: a tuned study is three.

In the study's folder, `tuning` holds the candidates' runs, `shared` all arms at one value, and the folder itself each
arm at its own best. Each is a study like any other, so that a tuned one is stopped, resumed and extended as they are.
Where the whole tuning is repeated, `repeats/2` and on hold the same again on other seeds, but for `shared`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from paribus.config.settings import Settings
from paribus.config.values import Value, format_overrides
from paribus.records.record import FINISHED
from paribus.study.choosing import with_backends
from paribus.study.driver import lock
from paribus.study.proposing import Proposing
from paribus.study.reading import REPEATS, SHARED, read, repeat_folders
from paribus.study.runner import Work, check, free, outstanding
from paribus.study.spec import StudySpec
from paribus.study.store import FILE, NoStudyError, Store, StoreError
from paribus.study.tuning import SHIFT, Proposed, Tune, candidates_of, chosen_for, decide, without_repeats

TUNING = "tuning"


def stages(request: StudySpec) -> Iterator[tuple[StudySpec, Work]]:
    """The studies to carry out, each before the next is asked for: what follows tuning depends on what it found.

    With each comes what there is to do in it, from its one check. A check builds the user's module and tries it, once
    for each arm's settings; those of the last stage are tried before any compute is spent. Raises StoreError for a
    folder that cannot take the study, SettingsError where data or candidates refuse.
    """
    chosen = with_backends(request, parts(request.folder))
    request, tune = chosen.request, chosen.request.tune
    if tune is None:
        notes = [*chosen.say, *check(request, made=chosen.trials)]
        if (request.folder / FILE).exists():
            with lock(request.folder):  # who carries it out is said before what there is to do in it
                pass
        notes += _set_aside(request)
        request = request.replaced(fresh=False)
        yield request, outstanding(request, notes)
        return
    tried: set[Settings] = set()
    notes = chosen.say
    for one in with_repeats(request):
        found = _checked(one, tried)
        notes += [] if _is_repeat(one) else found
    notes += _set_aside(request)
    request = request.replaced(fresh=False)
    for one in with_repeats(request):
        yield from _tuned(one, tried, notes)
        notes = []


def with_repeats(request: StudySpec) -> list[StudySpec]:
    """A study, and the further repeats of its whole tuning: each a study of its own, on seeds of its own."""
    tune = request.tune
    others = range(2, tune.repeats + 1 if tune is not None else 2)
    return [request, *(_repeat(request, number) for number in others)]


def _repeat(request: StudySpec, number: int) -> StudySpec:
    assert request.tune is not None
    return request.replaced(
        tune=request.tune.of_repeat(number),
        seeds=[seed + (number - 1) * SHIFT for seed in request.seeds],
        folder=request.folder / REPEATS / str(number),
        name=f"{request.name}: repeat {number}",
        claims=(),  # they are of the study itself
    )


def _is_repeat(request: StudySpec) -> bool:
    return request.tune is not None and request.tune.repeat > 1


def is_of_repeat(stage: StudySpec, asked: StudySpec) -> bool:
    """Whether a stage is one of a further repeat."""
    return asked.folder / REPEATS in stage.folder.parents


def is_last(stage: StudySpec, asked: StudySpec) -> bool:
    """Whether nothing is carried out after this stage of what was asked for."""
    repeats = 1 if asked.tune is None else asked.tune.repeats
    return stage.folder == (asked.folder if repeats == 1 else asked.folder / REPEATS / str(repeats))


def _checked(request: StudySpec, tried: set[Settings]) -> list[str]:
    """Every candidate, and a first sample of what the last stage will be; what there is to say of the candidates."""
    tune = request.tune
    assert tune is not None
    check(request.replaced(design=chosen_for(request.design, _first(request, tune), tune.names)), tried)
    return check(tuning_stage(request, tune), tried)


def _tuned(request: StudySpec, tried: set[Settings], notes: list[str]) -> Iterator[tuple[StudySpec, Work]]:
    """The stages of one tuning; all arms at one value only of the first."""
    tune = request.tune
    assert tune is not None
    _begin(request, tune)
    proposed = yield from _tuning(request, tune, tried, notes)
    shared, tuned = decide(request.design, tune, read(request.folder / TUNING), proposed)
    with lock(request.folder):
        store = Store.create(request.folder)
        store.set("tuned", {"shared_values": shared, "arms": [asdict(one) for one in tuned]})
        store.close()
    last = request.replaced(design=chosen_for(request.design, {one.arm: one.chosen for one in tuned}, tune.names))
    if not _is_repeat(request):
        stage = _shared_stage(request, {arm.name: shared for arm in request.design.arms})
        yield stage, outstanding(stage, check(stage, tried))
    said = check(last, tried)
    yield last, outstanding(last, [] if _is_repeat(request) else said)


def _tuning(
    request: StudySpec, tune: Tune, tried: set[Settings], notes: list[str]
) -> Generator[tuple[StudySpec, Work], None, Proposed | None]:
    """All candidates at once; or, where they are proposed one after another, the next of each arm. Returns those."""
    if tune.sampler is None:
        stage = tuning_stage(request, tune)
        yield stage, outstanding(stage, notes)
        return None
    assert tune.budget is not None
    proposing = Proposing(request.design, tune)
    for number in range(1, tune.budget + 1):
        stage = tuning_stage(request, tune, proposing.ask())
        stage = stage.replaced(name=f"{stage.name}, candidate {number} of {tune.budget}")
        check(stage, tried)
        work = outstanding(stage, notes)
        if work.missing or notes:
            yield stage, work
            notes = []
        known = proposing.tell(read(stage.folder))
        assert known, "asked for the next candidates before these were trained"
    return proposing.asked


def tuning_stage(request: StudySpec, tune: Tune, proposed: Proposed | None = None) -> StudySpec:
    """Every arm at every candidate, on seeds of its own, without a look at the test split. `proposed`: as for
    `candidates_of`."""
    return request.replaced(
        design=candidates_of(request.design, tune, proposed),
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
    """The stages as far as they can be known: a value that tuning has yet to choose is the first candidate, and one
    that a sampler has yet to propose is drawn."""
    request = with_backends(request, parts(request.folder)).request
    if request.tune is None:
        return [request]
    return [stage for one in with_repeats(request) for stage in _foreseen(one, request.tune)]


def _foreseen(request: StudySpec, asked: Tune) -> list[StudySpec]:
    tune = request.tune or asked
    chosen, shared = _first(request, tune), _first(request, tune)
    if tune.given:
        shared = _given(request, tune)
    try:
        decided = read(request.folder).tuning
    except NoStudyError:
        decided = None
    if decided is not None and {one.arm for one in decided.arms} >= chosen.keys():
        chosen = {one.arm: one.chosen for one in decided.arms}
        shared = {arm.name: decided.shared_values for arm in request.design.arms}
    tuning = tuning_stage(request, tune, _foreseen_candidates(request, tune))
    if tune.sampler is not None:
        tuning = tuning.replaced(name=f"{tuning.name}; drawn candidates stand for those that are yet to be proposed")
    last = request.replaced(design=chosen_for(request.design, chosen, tune.names))
    if _is_repeat(request):
        return [tuning, last]
    stage = _shared_stage(request, shared)
    known = tune.given or (decided is not None and decided.arms)
    name = f"{request.name}: all at one value, yet to be chosen"
    return [tuning, stage if known else stage.replaced(name=name), last]


def _foreseen_candidates(request: StudySpec, tune: Tune) -> Proposed | None:
    """Those that a sampler has proposed, as far as they are trained, and for the others as many that are drawn."""
    if tune.sampler is None:
        return None
    proposing = Proposing(request.design, tune)
    with suppress(NoStudyError):
        proposing.replay(read(request.folder / TUNING))
    count = tune.budget or 0
    return {
        arm: [*there, *(one for one in tune.candidates if one not in there)][:count]
        for arm, there in proposing.asked.items()
    }


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


def parts(folder: Path) -> list[Path]:
    """The folders of all the studies that a study consists of, its own first."""
    whole = [folder, *repeat_folders(folder)]
    return [one for path in whole for one in (path, path / SHARED, path / TUNING) if (one / FILE).is_file()]


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
        for part in parts(folder):
            held.enter_context(lock(part))
        if os.name == "nt":  # which moves no folder while a file in it, the lock, is open
            held.close()
        try:
            folder.replace(other)
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
            _must_be_the_same(request.folder, without_repeats(there), without_repeats(mine))
            store.set("name", store.get("name") or request.name)
            store.set("tune", {**mine, **_repeats_of(request.folder, there or {}, tune.repeats)})
            store.set("measured", {one.name: one.as_data() for one in request.measured})
        finally:
            store.close()


def _must_be_the_same(folder: Path, there: Mapping[str, object] | None, mine: Mapping[str, object] | None) -> None:
    """StoreError where a study is tuned otherwise than what is recorded."""
    if there is None or mine is None or there == mine:
        return
    differing = "; ".join(
        f"{key} ({there.get(key, 'none')} there, {mine.get(key, 'none')} here)"
        for key in {**mine, **there}
        if there.get(key) != mine.get(key)
    )
    raise StoreError(
        f"{folder} holds another study; it is tuned otherwise: {differing}. "
        "Choose another folder with --name or --out, or tune in the same way to go on with it"
    )


def _repeats_of(folder: Path, there: Mapping[str, object], asked: int) -> dict[str, object]:
    """How often it is tuned, in all: what was asked for before stays. Whoever asks for more when the results of some
    are known may do so because of them: how many were known is recorded."""
    before, looks = there.get("repeats", 1), there.get("looks", [])
    assert isinstance(before, int)
    assert isinstance(looks, list)
    known = _whole_repeats(folder) if there and asked > before else 0
    if known and known not in looks:
        looks = [*looks, known]
    found = {"repeats": max(before, asked), "looks": looks}
    return {name: value for name, value in found.items() if value not in (1, [])}


def _whole_repeats(folder: Path) -> int:
    """Of how many repeats every run came to an end, in order."""
    count = 0
    for path in (folder, *repeat_folders(folder)):
        study = read(path)
        count += bool(study.arms) and all(run.status in FINISHED for arm in study.arms for run in arm.runs)
    return count
