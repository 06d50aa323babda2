"""`--dry-run`: what a command would do, without doing it."""

from __future__ import annotations

from dataclasses import dataclass

from paribus.core.values import cores
from paribus.study.request import Request
from paribus.study.runner import prepare
from paribus.tasks import load
from paribus.training.estimate import estimate


@dataclass(frozen=True)
class ExpectedArm:
    """An arm: how many of its runs are missing, and how many seconds each will take, None where none is missing."""

    arm: str
    missing: int
    seconds: float | None


@dataclass(frozen=True)
class Expected:
    """A stage: its arms, what there is to say of it, and its seconds, with its jobs side by side."""

    name: str
    arms: list[ExpectedArm]
    seeds: int
    notes: list[str]
    seconds: float


def expected(request: Request) -> Expected:
    """Every arm; a few steps of those with missing runs are timed, nothing is written."""
    work = prepare(request)
    arms, total = [], 0.0
    for arm in request.design.arms:
        missing = sum(one is arm for one, _ in work.missing)
        seconds = estimate(arm.settings, load(arm.settings, request.seeds[0])) if missing else None
        arms.append(ExpectedArm(arm.name, missing, seconds))
        at_once = cores() if arm.settings.implementation == "fused" and not request.timing else 1
        total += missing * (seconds or 0.0) / (request.jobs or at_once)
    return Expected(request.name, arms, len(request.seeds), work.notes, total)
