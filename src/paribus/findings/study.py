"""The findings of a study, from its records."""

from __future__ import annotations

from paribus.findings.differences import Difference, differences
from paribus.findings.summary import derived_metrics, metrics, values
from paribus.records.record import Status, StudyRecord


def study_differences(study: StudyRecord, metric: str | None = None) -> list[Difference]:
    """Every pair of arms, or all against the baseline, on one metric: the primary one, with verdicts, or another,
    without."""
    asked = metric or study.primary_metric
    arms = {arm.name: values(study, arm, asked) for arm in study.arms}
    primary = asked == study.primary_metric
    return differences(arms, asked, primary=primary, baseline=study.baseline, margin=study.margin if primary else None)


def all_differences(study: StudyRecord) -> list[Difference]:
    """On every metric, the primary one first."""
    # Epochs to a target are judged by ranks (`targets.earlier`): a difference would be over those that reached it only.
    derived = [name for name in derived_metrics(study) if not name.endswith("_to_target")]
    names = dict.fromkeys([study.primary_metric, *metrics(study), *derived])
    return [found for name in names for found in study_differences(study, name)]


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
