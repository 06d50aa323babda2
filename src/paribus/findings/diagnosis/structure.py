"""Faults that the trial before training found in a network, a loss or the targets, read from the remarks on an arm."""

from __future__ import annotations

from collections.abc import Callable

from paribus.findings.diagnosis.case import Case
from paribus.findings.diagnosis.symptoms import THRESHOLDS, Found
from paribus.records.structure import REGRESSION_AS_CLASSES, code_of, untagged

_WELL = "regression as classes: share of what guessing gets wrong that is right in the end, where all is well"


def remarked(code: str) -> Callable[[Case], Found | None]:
    """What shows a fault: that it was remarked before training. It is told whatever the run came to, as it can be known
    from the code alone."""

    def shows(case: Case) -> Found | None:
        told = next((one for one in case.remarks if code_of(one) == code), None)
        if told is None:
            return None
        whose, _, what = untagged(told).partition(": ")  # whose it is, the arm's name says
        return Found(what or whose)

    return shows


def regression_as_classes(case: Case) -> Found | None:
    """Codes of classes as numbers to predict; or the squared error of classes, of a run that learned badly: where it
    learns well, as it may (Hui and Belkin 2021), nothing is wrong."""
    found = remarked(REGRESSION_AS_CLASSES)(case)
    return found if found is None or not case.run.task.classes or not _answers_well(case) else None


def _answers_well(case: Case) -> bool:
    right = case.right("train")
    return not case.diverged and right is not None and right > THRESHOLDS[_WELL]
