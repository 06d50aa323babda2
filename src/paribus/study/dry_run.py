"""`--dry-run`: what a command would do, without doing it."""

from __future__ import annotations

from paribus.backends.base import backend_of
from paribus.config.values import cores
from paribus.records.expected import Expected, ExpectedArm
from paribus.study.runner import prepare
from paribus.study.spec import StudySpec
from paribus.tasks import load


def expected(request: StudySpec) -> Expected:
    """Every arm; a few steps of those with missing runs are timed, nothing is written."""
    work = prepare(request)
    arms, total = [], 0.0
    for arm in request.design.arms:
        missing = sum(one is arm for one, _ in work.missing)
        backend = backend_of(arm.settings)
        seconds = backend.estimate(arm.settings, load(arm.settings, request.seeds[0])) if missing else None
        arms.append(ExpectedArm(arm.name, missing, seconds))
        at_once = cores() if backend.side_by_side and not request.timing else 1
        total += missing * (seconds or 0.0) / (request.jobs or at_once)
    return Expected(name=request.name, arms=arms, seeds=len(request.seeds), notes=work.notes, seconds=total)
