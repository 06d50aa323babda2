"""`--dry-run`: what a command would do, without doing it."""

from __future__ import annotations

import math
from collections import Counter
from time import monotonic

from paribus.backends.base import backend_of
from paribus.config.values import cores
from paribus.records.expected import Expected, ExpectedArm
from paribus.study.runner import prepare
from paribus.study.spec import StudySpec
from paribus.tasks import load

_SECONDS = 10.0
"""For which arms are timed, one after another; those that are left take as long as the last."""


def expected(request: StudySpec) -> Expected:
    """Every arm; a few steps of those with missing runs are timed, nothing is written.

    Of many arms only the first are timed."""
    work = prepare(request)
    arms, total = [], 0.0
    counts = Counter(id(arm) for arm, _ in work.missing)
    until, last = monotonic() + _SECONDS, None
    for arm in request.design.arms:
        missing = counts[id(arm)]
        backend = backend_of(arm.settings)
        seconds = last if missing else None  # of many arms not all are timed
        if missing and not backend.own_loop and (last is None or monotonic() < until):
            timed = backend.estimate(arm.network, load(arm.network, request.seeds[0]))
            last = seconds = None if math.isnan(timed) else timed
        arms.append(ExpectedArm(arm.name, missing, seconds))
        at_once = cores() if backend.in_threads and not request.timing else 1
        if not backend.side_by_side or backend.in_threads:
            at_once = request.jobs or at_once
        total += missing * (seconds or 0.0) / at_once
    return Expected(
        name=request.name,
        arms=arms,
        seeds=len(request.seeds),
        notes=list(dict.fromkeys([*(arm.why for arm in request.design.arms if arm.why), *work.notes])),
        seconds=total,
        at_most=work.at_most,
    )
