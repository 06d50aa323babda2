"""Runs in TensorBoard's event files: each folder that holds `events.out.tfevents.*` is a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from paribus.config.overrides import SettingsError
from paribus.findings.logged import LoggedRun, natural

_FILES = "*tfevents*"
_SPLITS = ("train", "training", "validation", "val", "valid", "test", "eval")
"""A folder called so belongs to the run that it is in, as Keras writes it."""


def event_folders(path: Path) -> list[Path]:
    """The folders that hold event files, at any depth."""
    return sorted({one.parent for one in path.rglob(_FILES) if one.is_file()}, key=lambda one: natural(str(one)))


def event_runs(path: Path, folders: list[Path]) -> tuple[list[LoggedRun], list[str]]:
    """A run for each folder that holds a number, named by its path; and what there is to say."""
    runs: dict[str, dict[str, dict[int, str]]] = {}
    taken, empty, several, inner = [], 0, [], False
    for folder in folders:
        files = sorted(one for one in folder.glob(_FILES) if one.is_file())
        found = _merged(files)
        of_split = folder.name in _SPLITS and folder != path
        name = (folder.parent if of_split else folder).relative_to(path).as_posix()
        inner |= of_split
        if not found:
            empty += 1
            continue
        if len(files) > 1:
            several.append(name)
        metrics = runs.setdefault(name, {})
        metrics |= {f"{folder.name}/{tag}" if of_split else tag: of for tag, of in found.items()}
    if not runs:
        raise SettingsError([f"{path}: its event files hold no number: of scalars and single numbers none is there"])
    if inner:
        taken.append("a folder called train, validation or the like holds metrics of the run that it is in")
    if empty:
        taken.append(f"left out: {empty} folder{'s' * (empty != 1)} whose event files hold no number")
    if several:
        more = f" and {len(several) - 3} more" if len(several) > 3 else ""
        taken.append(f"several event files are one run that was gone on with: {', '.join(several[:3])}{more}")
    return [LoggedRun(name=name, metrics=metrics) for name, metrics in runs.items()], taken


def _merged(files: list[Path]) -> dict[str, dict[int, str]]:
    """Tag -> step -> value. What a later file begins again, the earlier one does not tell any more."""
    merged: dict[str, dict[int, str]] = {}
    for file in files:
        found: dict[str, dict[int, str]] = {}
        for tag, step, value in _scalars(file):
            found.setdefault(tag, {})[step] = value
        for tag, of in found.items():
            before = {step: value for step, value in merged.get(tag, {}).items() if step < min(of)}
            merged[tag] = before | of
    return merged


def _scalars(file: Path) -> Iterator[tuple[str, int, str]]:
    """Each number of an event file: its tag, its step and its value as text, in as many digits as it has."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    for event in LegacyEventFileLoader(str(file)).Load():
        for one in event.summary.value:
            kind = one.WhichOneof("value")
            if kind == "simple_value":
                yield one.tag, event.step, str(np.float32(one.simple_value))
            elif kind == "tensor" and (number := _number(make_ndarray, one.tensor)) is not None:
                yield one.tag, event.step, number


def _number(make_ndarray: Any, tensor: Any) -> str | None:
    """A tensor that is one number."""
    if any(dim.size != 1 for dim in tensor.tensor_shape.dim):
        return None
    try:
        array = make_ndarray(tensor)
    except (TypeError, ValueError):  # a kind that NumPy has not
        return None
    return str(array.reshape(())[()]) if array.size == 1 and array.dtype.kind in "fiu" else None
