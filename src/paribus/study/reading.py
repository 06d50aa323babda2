"""Reading the records of studies, while they are carried out or later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from paribus.records.record import RunRecord, Status, StudyRecord
from paribus.study.driver import carried_out
from paribus.study.store import FILE, NoStudyError, Store

SHARED = "shared"
"""In a tuned study's folder: all arms at one value (`stages.py`)."""

REPEATS = "repeats"
"""In a tuned study's folder: the whole tuning again, `2` and on, each a tuned study of its own."""


def read(folder: Path) -> StudyRecord:
    """The records of a folder. A run that is `running` while its process is gone counts as interrupted."""
    going_on = carried_out(folder)  # asked first: what ends meanwhile was not orphaned
    store = Store.open(folder)
    try:
        study = store.read()
    finally:
        store.close()
    if study.tuning is not None and (folder / SHARED / FILE).exists():
        shared = read(folder / SHARED)
        damages = (*study.damages, *(f"{SHARED}: {one}" for one in shared.damages))
        study = replace(study, tuning=replace(study.tuning, shared=shared), damages=damages)
    if study.tuning is not None and (found := _repeats(folder)):
        damages = (*study.damages, *(f"{name}: {one}" for name, of in found.items() for one in of.damages))
        study = replace(study, tuning=replace(study.tuning, repeats=list(found.values())), damages=damages)
    if going_on:
        return study
    return replace(study, arms=[replace(arm, runs=[_orphaned(run) for run in arm.runs]) for arm in study.arms])


def repeat_folders(folder: Path) -> list[Path]:
    """Of a tuned study: where its further repeats are, in their order."""
    inside = [path.parent for path in (folder / REPEATS).glob(f"*/{FILE}") if path.parent.name.isdecimal()]
    return sorted(inside, key=lambda path: int(path.name))


def _repeats(folder: Path) -> dict[str, StudyRecord]:
    return {f"repeat {path.name}": read(path) for path in repeat_folders(folder)}


def read_all(folders: Sequence[Path]) -> dict[Path, StudyRecord]:
    """Folder -> its record; one without a study stands for those in it, in the order of their beginning."""
    found: dict[Path, StudyRecord] = {}
    for folder in folders:
        if (folder / FILE).exists():
            found[folder] = read(folder)
            continue
        inside = {path.parent: read(path.parent) for path in sorted(folder.glob(f"*/{FILE}"))}
        if not inside:
            raise NoStudyError(f"{folder} holds no study: there is no {FILE} in it, nor in a folder of it")
        found |= sorted(inside.items(), key=lambda one: _begun(one[1]))
    return found


def _begun(study: StudyRecord) -> float:
    return min((run.started for arm in study.arms for run in arm.runs), default=0.0)


def _orphaned(run: RunRecord) -> RunRecord:
    if run.status is not Status.RUNNING:
        return run
    return replace(run, status=Status.INTERRUPTED, error="its process ended before it did")
