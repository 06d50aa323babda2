"""The findings of a study, from its records."""

from __future__ import annotations

from paribus.core.record import Status, StudyRecord
from paribus.findings.differences import Difference, differences
from paribus.findings.summary import DERIVED, metrics, values


def study_differences(
    study: StudyRecord, metric: str | None = None, *, baseline: str | None = None, margin: float | None = None
) -> list[Difference]:
    """Every pair of arms on one metric: the primary one, with verdicts, or another, without."""
    asked = metric or study.primary_metric
    arms = {arm.name: values(study, arm, asked) for arm in study.arms}
    return differences(arms, asked, primary=asked == study.primary_metric, baseline=baseline, margin=margin)


def all_differences(
    study: StudyRecord, *, baseline: str | None = None, margin: float | None = None
) -> list[Difference]:
    """On every metric, the primary one first."""
    names = [study.primary_metric, *(name for name in (*metrics(study), *DERIVED) if name != study.primary_metric)]
    return [found for name in names for found in study_differences(study, name, baseline=baseline, margin=margin)]


def warnings(study: StudyRecord) -> list[str]:
    """What has to be said before any difference: runs that are missing from it."""
    found = []
    for arm in study.arms:
        diverged = sum(run.status is Status.DIVERGED for run in arm.runs)
        if diverged:
            found.append(
                f"{diverged} of {len(arm.runs)} runs of {arm.name or study.name} diverged: its means and differences "
                "are over the seeds that did not, and flatter it"
            )
    return found
