"""Carrying a study out: what is asked for and not yet recorded is trained, one run after another."""

from __future__ import annotations

import math
import multiprocessing
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from paribus.backends.base import Trial, backend_of
from paribus.backends.compatibility import model_mistakes
from paribus.backends.dispatch import passed_over
from paribus.config.overrides import SettingsError
from paribus.config.recipes import RECIPES
from paribus.config.settings import Settings
from paribus.config.values import cores, format_overrides
from paribus.execution.base import Executor
from paribus.execution.choice import opened
from paribus.execution.processes import Both, InProcess, Workers
from paribus.records.files import remove_parts
from paribus.records.metrics import DERIVED_METRICS, GPU_METERS, measured_of
from paribus.records.record import FINISHED, Status, StudyRecord
from paribus.records.run import Callback, Run
from paribus.study import trials
from paribus.study.arms import Arm
from paribus.study.driver import LOCK, lock
from paribus.study.matching import differing_in, span
from paribus.study.migrations import canonical
from paribus.study.names import folder_name
from paribus.study.recorder import Recorder
from paribus.study.resuming import CHECKPOINTS, NOTHING, bring, checkpoint_path, resumption
from paribus.study.spec import StudySpec
from paribus.study.store import FILE, Begun, DamagedError, NoStudyError, Store, StoreError
from paribus.tasks import load
from paribus.training import sampling
from paribus.training.metrics import refusal as metrics_refusal

OUTPUT = "output"
"""In a study's folder: what loops of the user's write, a folder for each run."""


@dataclass(frozen=True)
class Work:
    """What is to be done, and what there is to say of it before it is done."""

    missing: list[tuple[Arm, int]]
    recorded: int
    notes: list[str]
    at_most: bool = False
    """Whether it may be decided before all is trained."""

    recorded_at: str = ""
    """Between which times the recorded runs came to an end, to the minute."""

    def lines(self) -> list[str]:
        """What there is to say, in sentences."""
        if not self.recorded:
            return self.notes
        whole = self.recorded + len(self.missing)
        trained = f"{len(self.missing)} are trained now" if self.missing else "nothing was trained"
        if self.at_most:
            return [*self.notes, f"{self.recorded} runs are recorded already, {self.recorded_at}, of at most {whole}"]
        return [*self.notes, f"{self.recorded} of {whole} runs are recorded already, {self.recorded_at}: {trained}"]


def check(
    request: StudySpec, tried: set[Settings] | None = None, made: Mapping[Settings, Trial] | None = None
) -> list[str]:
    """What there is to say of the settings with these data; SettingsError for what the data refuse.

    What is the user's own is built and tried on the data, where nothing else is wrong. `tried`: settings for which that
    is done; those of this study are added. `made`: trials that were made to choose a backend.
    """
    tried = set() if tried is None else tried
    recipes = dict.fromkeys(arm.settings.recipe for arm in request.design.arms if arm.settings.recipe != "none")
    notes = [
        f"recipe={name} is {format_overrides(RECIPES[name].settings)}, where nothing else is given" for name in recipes
    ]
    mistakes: list[str] = []
    done_with: dict[tuple[str, ...], str] = {}
    if (request.timing or (request.jobs or 1) > 1) and multiprocessing.current_process().daemon:
        what = "timing" if request.timing else f"jobs={request.jobs}"
        mistakes.append(
            f"{what} cannot be had in a worker of a pool, which may start no process of its own: give jobs=1 without "
            "timing, or call Paribus from a process that is no pool's"
        )
    for arm in request.design.arms:
        if backend_of(arm.settings).own_loop:
            continue
        settings = arm.network
        try:
            task = load(settings, request.seeds[0])
        except ValueError as error:
            mistakes.append(str(error))
            continue
        done_with.setdefault(task.notes, arm.name)
        splits = [split for split in task.splits if not (request.hidden_test and split == "test")]
        names = (*measured_of(task.target is not None), *(metric.name for metric in request.metrics))
        watched = [f"{split}_{name}" for split in splits for name in names]
        absent = set() if "validation" in splits and task.target is None else {"best_test_accuracy"}
        absent |= set(GPU_METERS) if settings.device != "cuda" else set()
        metrics = [*watched, *(name for name in DERIVED_METRICS if name not in absent)]
        if request.metric not in metrics:
            mistakes.append(f"--metric {request.metric} is not measured: allowed is {', '.join(metrics)}")
        if request.target is not None and request.target.metric not in watched:
            mistakes.append(f"--target {request.target} is not measured: allowed is {', '.join(watched)}")
        backend = backend_of(settings)
        if "implementation" not in request.design.given:
            notes += passed_over(settings)
        mistakes += _beyond(request, arm)
        if backend.in_epochs and (mistake := sampling.mistake(settings, len(task.train))):
            mistakes.append(mistake)
        if "best" in request.keep and not settings.validation:
            mistakes.append("--keep best needs a validation split to be best on: give one, as in validation=0.1")
        mistakes += model_mistakes(settings, task)
        if backend.in_epochs and (note := sampling.note(settings, len(task.train))):
            notes.append(note)
        mistakes += [mistake for one in request.metrics if (mistake := metrics_refusal(one, task))]
        if not mistakes and settings not in tried:
            trial = (made or {}).get(settings) or backend.tried(settings, task)
            trial = replace(trial, remarks=[*trial.remarks, *task.remarks])
            mistakes += trial.refusals
            notes += trial.remarks
            trials.remember(settings, trial)
            tried.add(settings)
    if mistakes:
        raise SettingsError(mistakes)
    return [*_of_tables(done_with), *notes]


def _beyond(request: StudySpec, arm: Arm) -> list[str]:
    """What the study asks for that the arm's backend does not have."""
    backend, called = backend_of(arm.settings), arm.name or f"model={arm.network.model.name}"
    found = [
        f"--keep {what} cannot be had of {called}, which has none; give --keep {' or '.join(sorted(backend.keeps))}, "
        "or leave it out"
        for what in sorted(request.keep - backend.keeps)
    ]
    if request.target is not None and not backend.in_epochs:
        found.append(
            f"--target {request.target} counts epochs, and {called} is fitted as a whole: leave the target out, or "
            "compare networks alone by it"
        )
    return found


def _of_tables(done_with: Mapping[tuple[str, ...], str]) -> list[str]:
    """What was done with the columns of tables, said once; of arms that have other columns the lines that differ.
    `done_with`: the lines, and the first arm that has them."""
    said: list[str] = []
    first: tuple[str, ...] = ()
    for lines, arm in done_with.items():
        if lines:
            said.append("\n".join([f"{arm}:", *(line for line in lines if line not in first)] if first else lines))
            first = first or lines
    return said


def prepare(request: StudySpec, tried: set[Settings] | None = None) -> Work:
    """Check all that can be checked before compute is spent; nothing is written. `tried`: as for `check`.

    Raises SettingsError for settings that the data refuse, StoreError for a folder that cannot take the study.
    """
    return outstanding(request, check(request, tried))


def outstanding(request: StudySpec, notes: list[str]) -> Work:
    """What is not recorded yet; StoreError for a folder that cannot take the study. `notes`: those of `check`."""
    held = _Recorded() if request.fresh else _recorded(request)
    recorded, recorded_at = held.statuses, held.times
    wanted = [(arm, seed) for seed in request.seeds for arm in request.design.arms]
    missing = [(arm, seed) for arm, seed in wanted if recorded.get(_key(arm, seed)) not in FINISHED]
    if request.keep and len(missing) < len(wanted):
        notes.append(
            f"--keep is for runs that are trained now: the {len(wanted) - len(missing)} recorded stay as they are; "
            "choose another --name to train them again"
        )
    begun = [(arm, seed) for arm, seed in missing if _key(arm, seed) in held.begun]
    found = [resumption(_run(request, *one), held.begun[_key(*one)], held.former) for one in begun]
    for how, count in Counter(one.told() for one in found).items():
        runs = "1 run" if count == 1 else f"{count} runs"
        notes.append(f"{runs} had not come to an end: {how}; the earlier attempts stay recorded")
    done = [recorded_at[_key(arm, seed)] for arm, seed in wanted if recorded.get(_key(arm, seed)) in FINISHED]
    return Work(
        missing=missing,
        recorded=len(wanted) - len(missing),
        notes=list(dict.fromkeys(notes)),
        at_most=request.least is not None,
        recorded_at=span(done),
    )


Undecided = Callable[[StudyRecord], Collection[str]]
"""The names of the arms that have to go on."""


def carry_out(
    request: StudySpec,
    callbacks: Sequence[Callback] = (),
    *,
    work: Work | None = None,
    undecided: Undecided | None = None,
) -> StudyRecord:
    """Train what is missing and return all that the folder holds. `work`: what `prepare` found, if it was called.
    `undecided`: asked after each batch of seeds, where a study has seeds until it is decided.

    Raises what `prepare` raises, and StoreError while another process carries out a study in the same folder.
    """
    with lock(request.folder), _executor(request) as (executor, at_once):
        notes = check(request) if work is None else list(work.notes)
        work = outstanding(request, notes)  # what is recorded is looked at now that nobody else writes
        store = Store.create(request.folder)
        try:
            remove_parts(request.folder / CHECKPOINTS)
            trials.record(store, request)
            former, begun = store.former(), store.begun()
            recorder = Recorder(store, request, callbacks)
            for batch in _batches(request, work, store, undecided, recorder.on_message, at_once=at_once):
                runs = [_run(request, arm, seed) for arm, seed in batch]
                for (arm, seed), run in zip(batch, runs, strict=True):
                    bring(run, begun.get(_key(arm, seed), NOTHING), former)
                executor.carry_out(runs, recorder)
            return store.read()
        except sqlite3.OperationalError:  # a full disk
            raise
        except sqlite3.DatabaseError as error:
            raise DamagedError(request.folder, str(error)) from None
        finally:
            store.close()


def _batches(
    request: StudySpec,
    work: Work,
    store: Store,
    undecided: Undecided | None,
    tell: Callable[[str], None],
    *,
    at_once: int,
) -> Iterator[list[tuple[Arm, int]]]:
    """All that is missing; of seeds until decided the least number first, then as many as train at once, of the arms
    that are not decided, until none is left."""
    if request.least is None or undecided is None:
        yield work.missing
        return
    missing = dict.fromkeys((arm.key, seed) for arm, seed in work.missing)
    of, begun = {arm.key: arm for arm in request.design.arms}, store.statuses()
    place = {seed: i for i, seed in enumerate(request.seeds)}
    upto, open_ = request.least, list(of)
    while open_:
        batch = [(key, seed) for key, seed in missing if (key in open_ and place[seed] < upto) or (key, seed) in begun]
        for one in batch:
            del missing[one]
        if batch:
            yield [(of[key], seed) for key, seed in batch]
        begun, before, names = {}, len(open_), undecided(store.read())
        open_ = [key for key, name in store.arms().items() if name in names and key in of]
        if batch and len(open_) != before:
            tell(f"after {upto} of at most {len(request.seeds)} seeds {_still(len(open_), len(of))}")
        if upto == len(request.seeds):
            return
        left = {key: min((place[seed] for one, seed in missing if one == key), default=len(place)) for key in open_}
        upto = min(min(left.values(), default=upto) + math.ceil(at_once / max(len(open_), 1)), len(request.seeds))


def _still(open_: int, arms: int) -> str:
    return f"{open_} of {arms} arms go on" if open_ else "no arm goes on"


def _run(request: StudySpec, arm: Arm, seed: int) -> Run:
    first = seed == request.seeds[0] and not request.hidden_test
    own = backend_of(arm.settings).own_loop
    run = Run(
        arm.settings,
        seed,
        request.keep,
        hidden_test=request.hidden_test,
        metrics=request.metrics,
        pictures=first,
        expected=request.metric if own else "",
        output=request.folder / OUTPUT / folder_name(arm.name or request.name) / f"seed-{seed}" if own else None,
    )
    # the seconds of a timed run are those of a run in one piece
    if not backend_of(arm.settings).resumable or request.timing:
        return run
    path = checkpoint_path(request.folder, run.identity())
    return replace(run, checkpoint=path, checkpoint_seconds=request.checkpoint_seconds)


@contextmanager
def _executor(request: StudySpec) -> Iterator[tuple[Executor, int]]:
    """Where runs are carried out inside, and how many of them at once."""
    at_once = 1 if request.timing else request.jobs or cores()
    if request.executor is not None:
        with opened(request.executor, request.jobs) as found:
            yield found, found.at_once() or cores()
    elif request.timing or request.timeout is not None:
        jobs = 1 if request.timing else request.jobs or 1
        yield Workers(jobs, fresh=request.timing, limit=request.timeout), at_once
    elif request.jobs is None:
        yield InProcess(cores()), at_once
    else:
        yield Both(request.jobs) if request.jobs > 1 else InProcess(1), at_once


def complete(request: StudySpec, study: StudyRecord) -> bool:
    """Whether every run that was asked for is done; of seeds until decided every one that there is."""
    if request.least is not None:
        return all(run.status is Status.DONE for arm in study.arms for run in arm.runs)
    done = {(canonical(arm.settings), run.seed) for arm in study.arms for run in arm.runs if run.status is Status.DONE}
    return all(_key(arm, seed) in done for arm in request.design.arms for seed in request.seeds)


def _key(arm: Arm, seed: int) -> tuple[str, int]:
    return arm.key, seed


_Runs = tuple[str, int]


@dataclass(frozen=True)
class _Recorded:
    """What a folder holds of this very study: how its runs stand and since when, where those stand that had not come to
    an end, and how older versions wrote its arms."""

    statuses: Mapping[_Runs, Status] = field(default_factory=dict)
    times: Mapping[_Runs, float] = field(default_factory=dict)
    begun: Mapping[_Runs, Begun] = field(default_factory=dict)
    former: Mapping[str, Sequence[str]] = field(default_factory=dict)


def _recorded(request: StudySpec) -> _Recorded:
    """StoreError where the folder holds something else."""
    folder = request.folder
    if not (folder / FILE).exists():
        free(folder)
        return _Recorded()
    try:
        store = Store.open(folder)
    except NoStudyError:
        return _Recorded()
    try:
        if damages := store.read().damages:
            more = f" and {len(damages) - 1} more" if len(damages) > 1 else ""
            raise DamagedError(folder, f"{damages[0]}{more}")
        if refusal := differing_in(store, request).refusal(folder):
            raise StoreError(refusal)
        found = _Recorded(store.statuses(), store.recorded_at(), store.begun(), store.former())
    finally:
        store.close()
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(f"{folder} cannot be written: choose another folder with --out")
    return found


def free(folder: Path) -> None:
    """StoreError unless a study can begin in the folder."""
    if folder.exists() and (not folder.is_dir() or any(path.name != LOCK for path in folder.iterdir())):
        raise StoreError(f"{folder} holds other files and no study: choose another folder with --out or --name")
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise StoreError(f"{folder} cannot be written: {existing} is not a folder that you may write in; choose --out")
