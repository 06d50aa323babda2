"""The one way to the backends: which of them a run's settings are for, and runs in, outcomes out."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from paribus.backends.base import BACKENDS, Backend, Load, Trial, backend_named, backend_of
from paribus.config.implementations import UserImplementation
from paribus.config.overrides import SettingsError, assemble, near_miss
from paribus.config.settings import Settings
from paribus.records.record import Outcome
from paribus.records.run import Callback, Run
from paribus.tasks import Task

AUTO = "auto"

_one_study = threading.RLock()
"""Numbers of threads, error states and global generators are the process's: studies in several threads take turns."""


def resolve(values: Mapping[str, Any]) -> Settings:
    """Settings from full names and values, as `config.overrides.build`, with their backend chosen.

    Raises SettingsError with every mistake, the backend's refusals among them.

    >>> resolve({"task": "moons"}).implementation, resolve({"task": "digits", "model": "cnn"}).implementation
    ('fused', 'torch')
    """
    settings, mistakes = assemble(values)
    if settings is not None:
        settings, refused = choose(settings)
        mistakes += refused
    if settings is None or mistakes:
        raise SettingsError(mistakes)
    return settings


def choose(settings: Settings) -> tuple[Settings, list[str]]:
    """The settings with their backend, and what it refuses: the one that they name, or of `auto` the first that refuses
    nothing, else the last. One that has to try the data first is passed over here: see `preferred`."""
    if isinstance(settings.implementation, UserImplementation):
        own, stands_for_it = settings.implementation, backend_of(settings)
        if own.name in (AUTO, *BACKENDS):
            return settings, [
                f"implementation {own.name!r} is built in: give your own another name, as in "
                "implementation={'mine': ...}"
            ]
        return stands_for_it.settled(settings), stands_for_it.refusals(settings)
    if settings.implementation != AUTO:
        try:
            backend = backend_named(settings.implementation)
        except SettingsError as error:  # a plugin that does not work
            return settings, error.mistakes
        except KeyError:
            backend = None
        if backend is None or not backend.by_name:
            allowed = f"{AUTO}, {', '.join(BACKENDS)}"
            allowed += "; or a network of your own, FILE.py:CLASS"
            hint = near_miss(settings.implementation, [AUTO, *BACKENDS], f"implementation is {allowed}")
            return settings, [f"implementation={settings.implementation} is not allowed: {hint}"]
        return backend.settled(settings), backend.refusals(settings)
    refused: list[str] = []
    for backend in _by_preference():
        if not backend.on_trial(settings):
            settled, refused = backend.settled(settings), backend.refusals(settings)
            if not refused:
                break
    return settled, refused


def passed_over(settings: Settings) -> list[str]:
    """What `auto` would have taken before the backend of these settings, if its library were installed."""
    chosen = backend_of(settings).preference or 0
    return [
        f"implementation=auto takes {settings.backend}: {absent}"
        for one in BACKENDS.values()
        if one.preference is not None and one.preference < chosen and (absent := one.absent())
    ]


def _by_preference() -> list[Backend]:
    found = [(one.preference, one) for one in BACKENDS.values() if one.preference is not None]
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def preferred(settings: Settings, task: Task) -> tuple[Settings, Trial] | None:
    """What `auto` comes to when the data are known: the settings with a backend that it prefers to the one that they
    have, and that has to try the data first; with what the trial showed, which refuses where the settings stay as they
    are."""
    backend = to_try(settings)
    if backend is None:
        return None
    settled, refused = backend.settled(settings), backend.refusals(settings)
    trial = Trial(refusals=refused) if refused else backend.tried(settled, task)
    return (settings if trial.refusals else settled), trial


def to_try(settings: Settings) -> Backend | None:
    """The backend that `preferred` tries."""
    own = backend_of(settings)
    for backend in _by_preference():
        if backend is own:
            return None
        if backend.on_trial(settings):
            return backend
    return None


def train(runs: Sequence[Run], load: Load, callback: Callback, *, workers: int = 1) -> list[Outcome]:
    """Train every run by its own backend, and return the outcomes in the order of the runs.

    Backends that train many runs side by side come first: their runs are over soon.
    """
    with _one_study:
        return _train(runs, load, callback, workers)


def _train(runs: Sequence[Run], load: Load, callback: Callback, workers: int) -> list[Outcome]:
    by_backend: dict[str, list[int]] = {}
    for number, run in enumerate(runs):
        by_backend.setdefault(run.settings.backend, []).append(number)
    outcomes: dict[int, Outcome] = {}
    for name in sorted(by_backend, key=lambda name: not backend_named(name).side_by_side):
        numbers = by_backend[name]
        found = backend_named(name).train([runs[number] for number in numbers], load, callback, workers=workers)
        outcomes |= dict(zip(numbers, found, strict=True))
    return [outcomes[number] for number in range(len(runs))]


def resumable(run: Run) -> bool:
    """Whether a run can go on from a checkpoint."""
    return backend_of(run.settings).resumable
