"""What is wrong with the runs of a study: every arm, by the table of symptoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paribus.findings.diagnosis import loops
from paribus.findings.diagnosis.case import Case
from paribus.findings.diagnosis.symptoms import Found
from paribus.findings.diagnosis.table import TABLE, Change, Symptom
from paribus.records.record import WRONG_GRADIENT, ArmRecord, RunRecord, Status, StudyRecord


@dataclass(frozen=True)
class Diagnosis:
    """One thing that is wrong with an arm. `seeds`: of the runs that show it, the one with looks first; `of`: how many
    runs there are; `layer` and `epoch`: where, and when it shows, None where it is nowhere in particular; `cures`:
    settings to try, the likeliest first."""

    arm: str
    code: str
    evidence: str
    cause: str
    cures: Sequence[Change]
    source: str
    seeds: Sequence[int]
    of: int
    layer: str | None = None
    epoch: float | None = None

    @property
    def told(self) -> str:
        """One sentence of what, where and why."""
        runs = f"seed {self.seeds[0]}" if len(self.seeds) == 1 else f"{len(self.seeds)} of {self.of} runs"
        return f"{self.code} ({runs}): {self.evidence}. {self.cause[0].upper()}{self.cause[1:]}"


@np.errstate(all="ignore")
def diagnose(study: StudyRecord) -> list[Diagnosis]:
    """Every arm's diagnoses, the deepest cause first; of loops of the user's what their losses tell, and none of
    estimators, of whose networks nothing is known.

    A symptom that another one explains is not told beside it.

    >>> diagnose(StudyRecord(name="s", factors=[], seeds=[0], primary_metric="test_accuracy", arms=[]))
    []
    """
    if study.own_loop:
        return [one for arm in study.arms for one in _of_loop(arm)]
    return [one for arm in study.arms if not arm.whole_fit for one in _of_arm(study, arm)]


def _of_arm(study: StudyRecord, arm: ArmRecord) -> list[Diagnosis]:
    cases = [
        Case(arm.settings, run, study.class_counts.get(run.task.fingerprint, {}), study.remarks.get(arm.name, ()))
        for run in arm.runs
        if run.status in (Status.DONE, Status.DIVERGED)
    ]
    cases.sort(key=lambda case: case.vitals is None)  # the one with looks first
    if cases and (said := [one for one in study.remarks.get(arm.name, ()) if WRONG_GRADIENT in one]):
        return [_wrong_gradient(arm, said[0], [case.run.seed for case in cases])]
    return _by_table(arm, cases, TABLE)


def _of_loop(arm: ArmRecord) -> list[Diagnosis]:
    done = [run for run in arm.runs if run.status is Status.DONE]
    read = [(run, one) for run in done if (one := loops.read(run)) is not None]
    cases = [Case(arm.settings, one, {}) for _, one in read]
    known = [symptom for symptom in TABLE if symptom.code in loops.ADVICE]
    return [*_held_out_alone(arm, [run for run, _ in read]), *_by_table(arm, cases, known)]


def _held_out_alone(arm: ArmRecord, logged: Sequence[RunRecord]) -> list[Diagnosis]:
    """What a run that Paribus trains cannot show: it ends where an evaluation is no number."""
    shown = [(run.seed, found) for run in logged if (found := loops.held_out_alone(run)) is not None]
    if not shown:
        return []
    return [
        Diagnosis(
            arm=arm.name,
            code=loops.HELD_OUT_ALONE,
            evidence=shown[0][1].evidence,
            cause="the evaluation, or what it is given, is at fault: training went on with weights that are numbers",
            cures=[],
            source="own",
            seeds=[seed for seed, _ in shown],
            of=len(logged),
            epoch=shown[0][1].epoch,
        )
    ]


def _by_table(arm: ArmRecord, cases: Sequence[Case], table: Sequence[Symptom]) -> list[Diagnosis]:
    """What some runs of an arm show. A symptom that another one explains is left out."""
    found: list[Diagnosis] = []
    explained: set[str] = set()
    for symptom in table:
        if symptom.code in explained or (symptom.alone and found):
            continue
        shown = [(case, what) for case in cases if (what := symptom.shows(case)) is not None]
        if not shown:
            continue
        explained.update(symptom.explains)
        found.append(_told(arm, symptom, shown, len(cases)))
    return found


def _wrong_gradient(arm: ArmRecord, said: str, seeds: Sequence[int]) -> Diagnosis:
    """What the trial before training found of a network by hand: nothing else is told of it, until that is mended."""
    return Diagnosis(
        arm=arm.name,
        code="wrong-gradient",
        evidence=said,
        cause="its backward does not give the derivative of its forward: mend that first",
        cures=[],
        source="central differences",
        seeds=seeds,
        of=len(seeds),
    )


def _told(arm: ArmRecord, symptom: Symptom, shown: Sequence[tuple[Case, Found]], of: int) -> Diagnosis:
    case, what = shown[0]
    return Diagnosis(
        arm=arm.name,
        code=symptom.code,
        evidence=what.evidence,
        cause=symptom.cause,
        cures=_other(symptom.cures(case), arm),
        source=symptom.source,
        seeds=[one.run.seed for one, _ in shown],
        of=of,
        layer=what.layer,
        epoch=what.epoch,
    )


def _other(cures: Sequence[Change], arm: ArmRecord) -> list[Change]:
    """Those that change a setting that the arm has."""
    return [
        cure
        for cure in cures
        if any(str(arm.settings.get(name)) != value for name, value in cure.items())
        and all(name in arm.settings for name in cure)
    ]
