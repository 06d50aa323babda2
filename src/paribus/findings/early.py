"""Early stopping: how far the runs of an arm went, and which evaluation their scores are of."""

from __future__ import annotations

from collections.abc import Sequence

from paribus.records.record import RunRecord, Status, StudyRecord


def stopped_early(study: StudyRecord) -> list[str]:
    """A sentence for each arm with early stopping."""
    found = []
    for arm in study.arms:
        runs = [run for run in arm.runs if run.status is Status.DONE and run.reported_by is not None and run.curve]
        if not runs or runs[0].reported_by is None:
            continue
        most = float(arm.settings["epochs"])
        early = [run for run in runs if run.curve["epoch"][-1] < most]
        which = _epochs(runs, [run.reported for run in runs])
        ended = f", {_epochs(early, [-1] * len(early))}" if early else ""
        found.append(
            f"{arm.name or study.name}: early stopping ended {len(early)} of {len(runs)} runs before epoch {most:g}"
            f"{ended}; "
            f"the scores are those of the evaluation with the best {runs[0].reported_by.words}, {which}"
        )
    return found


def _epochs(runs: Sequence[RunRecord], places: Sequence[int]) -> str:
    """`at epoch 3`, or `at epochs 3 to 7`."""
    at = [float(run.curve["epoch"][place]) for run, place in zip(runs, places, strict=True)]
    return f"at epoch {at[0]:g}" if min(at) == max(at) else f"at epochs {min(at):g} to {max(at):g}"
