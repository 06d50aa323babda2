"""`--dry-run`: what a command would do, without doing it."""

from __future__ import annotations

from dataclasses import dataclass

from paribus.study.request import Request
from paribus.study.runner import Work
from paribus.tasks import load
from paribus.training.estimate import estimate


@dataclass(frozen=True)
class Expected:
    """An arm: how many of its runs are missing, and how many seconds each will take, None where none is missing."""

    arm: str
    missing: int
    seconds: float | None


def expected(request: Request, work: Work) -> list[Expected]:
    """Every arm; a few steps of those with missing runs are timed, nothing is written."""
    found = []
    for arm in request.design.arms:
        missing = sum(one is arm for one, _ in work.missing)
        seconds = estimate(arm.settings, load(arm.settings, request.seeds[0])) if missing else None
        found.append(Expected(arm.name, missing, seconds))
    return found


def total_seconds(request: Request, found: list[Expected]) -> float:
    """Of the whole command, with its jobs side by side."""
    return sum(one.missing * (one.seconds or 0.0) for one in found) / request.jobs
