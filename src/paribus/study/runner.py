"""Carrying a study out: what is asked for and not yet recorded is trained, one run after another."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from paribus.core.plan import PLAN_VERSION, Plan
from paribus.core.record import Evaluation, Outcome, RunRecord, Status, StudyRecord
from paribus.core.words import SettingsError
from paribus.study.arms import Arm, Design
from paribus.study.driver import LOCK, alive, lock, me
from paribus.study.environment import environment
from paribus.study.store import FILE, Store, StoreError
from paribus.tasks import Task, load
from paribus.training import Observer, Run, sampling, train

FINISHED = (Status.DONE, Status.DIVERGED)
"""Such a run is not made again; any other is."""

DEFAULT_METRIC = "test_accuracy"

_FLUSH_SECONDS = 0.5
_POINTS = 5000


@dataclass(frozen=True)
class Request:
    """What a command asks for. `keep`: what records hold beside the curves (`weights`, `predictions`)."""

    design: Design
    seeds: list[int]
    folder: Path
    name: str
    metric: str = DEFAULT_METRIC
    keep: frozenset[str] = frozenset()
    command: str = ""


@dataclass(frozen=True)
class Work:
    """What is to be done, and what there is to say of it before it is done."""

    missing: list[tuple[Arm, int]]
    recorded: int
    notes: list[str]


def prepare(request: Request) -> Work:
    """Check all that can be checked before compute is spent; nothing is written.

    Raises SettingsError for settings that the data refuse, StoreError for a folder that cannot take the study.
    """
    notes: list[str] = []
    mistakes: list[str] = []
    for arm in request.design.arms:
        try:
            task = load(arm.settings, request.seeds[0])
        except ValueError as error:
            mistakes.append(str(error))
            continue
        if request.metric not in (metrics := [f"{split}_{m}" for split in task.splits for m in ("accuracy", "loss")]):
            mistakes.append(f"--metric {request.metric} is not measured: allowed is {', '.join(metrics)}")
        if mistake := sampling.mistake(arm.settings, len(task.train)):
            mistakes.append(mistake)
        if note := sampling.note(arm.settings, len(task.train)):
            notes.append(note)
    if mistakes:
        raise SettingsError(mistakes)
    recorded = _recorded(request)
    wanted = [(arm, seed) for seed in request.seeds for arm in request.design.arms]
    missing = [(arm, seed) for arm, seed in wanted if recorded.get(_key(arm, seed)) not in FINISHED]
    if again := sum(_key(arm, seed) in recorded for arm, seed in missing):
        runs = "1 run" if again == 1 else f"{again} runs"
        notes.append(f"{runs} had not come to an end: trained again from the start; the earlier attempts stay recorded")
    return Work(missing, len(wanted) - len(missing), list(dict.fromkeys(notes)))


def carry_out(request: Request, observers: Sequence[Observer] = ()) -> StudyRecord:
    """Train what is missing and return all that the folder holds.

    Raises what `prepare` raises, and StoreError while another process carries out a study in the same folder.
    """
    with lock(request.folder):
        work = prepare(request)  # once more, now that nobody else writes
        store = Store.create(request.folder)
        try:
            recorder = _Recorder(store, request, observers)
            for arm, seed in work.missing:
                task = load(arm.settings, seed)
                recorder.turn_to(task)
                train([Run(arm.settings, seed, request.keep)], task, recorder)
            return store.read()
        finally:
            store.close()


def read(folder: Path) -> StudyRecord:
    """The records of a folder. A run that is `running` while its process is gone counts as interrupted."""
    store = Store.open(folder)
    try:
        study, driver = store.read(), store.get("driver")
    finally:
        store.close()
    if alive(driver):
        return study
    return replace(study, arms=[replace(arm, runs=[_orphaned(run) for run in arm.runs]) for arm in study.arms])


def _orphaned(run: RunRecord) -> RunRecord:
    if run.status is not Status.RUNNING:
        return run
    return replace(run, status=Status.INTERRUPTED, error="its process ended before it did")


def _key(arm: Arm, seed: int) -> tuple[str, int]:
    return json.dumps(arm.settings.flat(), sort_keys=True, ensure_ascii=False), seed


def _recorded(request: Request) -> dict[tuple[str, int], Status]:
    """What the folder already holds of this very study; StoreError where it holds something else."""
    folder = request.folder
    if not (folder / FILE).exists():
        if folder.exists() and (not folder.is_dir() or any(path.name != LOCK for path in folder.iterdir())):
            raise StoreError(f"{folder} holds other files and no study: choose another folder with --out or --name")
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            raise StoreError(
                f"{folder} cannot be written: {existing} is not a folder that you may write in; choose --out"
            )
        return {}
    store = Store.open(folder)
    try:
        if differing := _differing(store, request):
            raise StoreError(
                f"{folder} holds another study; it differs in {'; '.join(differing)}. "
                "Choose another folder with --name or --out, or give the same settings to go on with it"
            )
        statuses = store.statuses()
    finally:
        store.close()
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(f"{folder} cannot be written: choose another folder with --out")
    return statuses


def _differing(store: Store, request: Request) -> list[str]:
    factors, shared, metric, version = (
        store.get(key) for key in ("factors", "shared", "primary_metric", "plan_version")
    )
    if shared is None:  # killed before its first line was written
        return []
    differing = []
    mine = request.design.shared
    if sorted(factors) != sorted(request.design.factors):
        differing.append(
            f"factors ({', '.join(factors) or 'none'} there, {', '.join(request.design.factors) or 'none'} here)"
        )
    names = sorted({*shared, *mine} - {*factors, *request.design.factors})
    differing += [
        f"{name} ({shared.get(name)} there, {mine.get(name)} here)"
        for name in names
        if shared.get(name) != mine.get(name)
    ]
    if metric != request.metric:
        differing.append(f"primary metric ({metric} there, {request.metric} here)")
    if version != PLAN_VERSION:
        differing.append(f"plan version ({version} there, {PLAN_VERSION} here)")
    return differing


class _Recorder:
    """Writes what happens to the store, then tells the other observers."""

    def __init__(self, store: Store, request: Request, observers: Sequence[Observer]) -> None:
        self._store = store
        self._others = observers
        self._flushed = monotonic()
        with store.transaction():
            store.abandon()
            store.set("driver", me())
            store.set("name", store.get("name") or request.name)
            store.set("factors", request.design.factors)
            store.set("shared", request.design.shared)
            store.set("primary_metric", request.metric)
            store.set("plan_version", PLAN_VERSION)
            store.set("seeds", sorted({*(store.get("seeds") or []), *request.seeds}))
            self._environment = store.add_environment(environment(request.command))
            self._arms = {arm.settings: store.add_arm(arm.name, arm.settings.flat()) for arm in request.design.arms}

    def turn_to(self, task: Task) -> None:
        """The runs that follow are on this task."""
        self._task = self._store.add_task(task.card, _points(task))

    def started(self, run: Run) -> None:
        plan = (PLAN_VERSION, Plan(run.seed).hash())
        self._run = self._store.start(self._arms[run.settings], run.seed, self._task, self._environment, plan)
        self._epochs = 0
        for other in self._others:
            other.started(run)

    def evaluated(self, run: Run, row: Evaluation) -> None:
        self._store.append(self._run, row)
        self._epochs = int(row.epoch)
        if monotonic() - self._flushed > _FLUSH_SECONDS:
            self._store.flush(self._run)
            self._flushed = monotonic()
        for other in self._others:
            other.evaluated(run, row)

    def ended(self, run: Run, outcome: Outcome) -> None:
        if outcome.status in (Status.FAILED, Status.INTERRUPTED):
            outcome = replace(outcome, epochs=self._epochs)  # as far as was seen
        self._store.end(self._run, outcome)
        for other in self._others:
            other.ended(run, outcome)


def _points(task: Task) -> dict[str, NDArray[np.float64]] | None:
    """The data of a task in the plane, for its picture."""
    if task.card.input_shape != (2,):
        return None
    points = {}
    for name, split in task.splits.items():
        points[f"{name}_x"], points[f"{name}_y"] = split.x[:_POINTS], split.y[:_POINTS].astype(np.float64)
    return points
