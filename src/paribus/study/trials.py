"""What the trial of each arm's settings showed before training, from where it is made to where it is recorded."""

from __future__ import annotations

from paribus.backends.base import Trial
from paribus.config.settings import Settings
from paribus.study.behaviour import record_behaviour
from paribus.study.migrations import canonical
from paribus.study.spec import StudySpec
from paribus.study.store import Store

_MOST = 1000

_shown: dict[str, Trial] = {}
"""The last trial of settings in this process: a tuned study tries them once, for three studies."""


def remember(settings: Settings, trial: Trial) -> None:
    """Keep what a trial showed, for `record`."""
    while len(_shown) >= _MOST:
        del _shown[next(iter(_shown))]
    _shown[canonical(settings.flat())] = trial


def record(store: Store, request: StudySpec) -> None:
    """Record what the trials of a study's arms showed; of other arms in the folder, what is recorded stays.

    Raises StoreError where the user's code behaves otherwise than when its runs were recorded.
    """
    found = {arm: _shown.get(arm.key) for arm in request.design.arms}
    trials = {arm: trial for arm, trial in found.items() if trial is not None}
    with store.transaction():
        behaviours = {arm: trial.behaviour for arm, trial in trials.items() if trial.behaviour is not None}
        record_behaviour(store, behaviours)
        if whys := store.by_arm("backends") | {arm.key: arm.why for arm in request.design.arms if arm.why}:
            store.set("backends", whys)
        told = store.by_arm("remarks") | {arm.key: one.remarks for arm, one in trials.items()}
        if any(told.values()):
            store.set("remarks", {settings: remarks for settings, remarks in told.items() if remarks})
