"""What has to be said of a study before any difference."""

from __future__ import annotations

from collections import Counter

from paribus.records.record import Status, StudyRecord

_MOST_DAMAGES = 3


def warnings(study: StudyRecord) -> list[str]:
    """What of the record is damaged, runs that are missing from the differences, and a target that nobody can judge."""
    found = []
    if study.damages:
        more = f"; and {len(study.damages) - _MOST_DAMAGES} more" if len(study.damages) > _MOST_DAMAGES else ""
        found.append(
            f"The record is damaged, and what follows is without it: {'; '.join(study.damages[:_MOST_DAMAGES])}{more}. "
            "`paribus show RUNS --repair` leaves it out of the record too, so that it is trained again"
        )
    for arm in study.arms:
        diverged = sum(run.status is Status.DIVERGED for run in arm.runs)
        if diverged:
            left = ": its means are over the seeds that did not, and flatter it" if diverged < len(arm.runs) else ""
            found.append(f"{diverged} of {len(arm.runs)} runs of {arm.name or study.name} diverged{left}")
    if study.target is not None and study.target.direction is None:
        found.append(
            f"Nothing is said of the target {study.target}: the record does not tell whether lower or higher is "
            "better. The same call with paribus.metric(..., lower=True) or higher=True records it"
        )
    return found


def troubles(study: StudyRecord) -> list[str]:
    """A line for each arm and status other than done."""
    lines = []
    for arm in study.arms:
        statuses = Counter(run.status for run in arm.runs if run.status is not Status.DONE)
        for status, count in statuses.items():
            first = next(run for run in arm.runs if run.status is status)
            runs = "1 run" if count == 1 else f"{count} runs"
            reason = f": {first.error}" if first.error else ""
            lines.append(
                f"{arm.name or study.name}: {runs} {status} (seed {first.seed}{', ...' * (count > 1)}){reason}"
            )
    return lines
