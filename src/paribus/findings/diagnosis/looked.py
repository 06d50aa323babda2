"""How much of a study a diagnosis can look at, and what it leaves out."""

from __future__ import annotations

from dataclasses import dataclass

from paribus.findings.diagnosis import loops
from paribus.records.record import Status, StudyRecord


@dataclass(frozen=True)
class Looked:
    """`runs`: how many were looked at; `left_out`: what was not, in words."""

    runs: int
    left_out: tuple[str, ...]

    @property
    def told(self) -> str:
        """`3 runs looked at; not looked at: ...`."""
        runs = f"{self.runs} run{'s' * (self.runs != 1)} looked at"
        return f"{runs}; not looked at: {'; '.join(self.left_out)}" if self.left_out else runs


def looked(study: StudyRecord) -> Looked:
    """What of a study is looked at.

    >>> looked(StudyRecord(name="s", factors=[], seeds=[0], primary_metric="test_accuracy", arms=[])).told
    '0 runs looked at'
    """
    whole = sum(len(arm.runs) for arm in study.arms)
    if study.own_loop:
        return _at_loops(study, whole)
    networks = [arm for arm in study.arms if not arm.whole_fit]
    runs = [run for arm in networks for run in arm.runs]
    ended = [run for run in runs if run.status in (Status.DONE, Status.DIVERGED)]
    blind = [arm.name or study.name for arm in networks if not any(run.pictures.vitals is not None for run in arm.runs)]
    left_out = []
    if fitted := whole - len(runs):
        left_out.append(f"{_runs(fitted)} of estimators, which are fitted as a whole")
    if open_ := len(runs) - len(ended):
        left_out.append(f"{_runs(open_)} that failed or had not come to an end")
    if blind and ended:
        names = ", ".join(blind[:3]) + (f" and {len(blind) - 3} more" if len(blind) > 3 else "")
        left_out.append(f"the layers of {names}, of which no run has a record (their curves were)")
    return Looked(len(ended), tuple(left_out))


def _at_loops(study: StudyRecord, whole: int) -> Looked:
    """Of loops of the user's the losses that they logged are looked at."""
    ended = [run for arm in study.arms for run in arm.runs if run.status is Status.DONE]
    seen = sum(loops.read(run) is not None for run in ended)
    left_out = []
    if seen:
        left_out.append("the layers, of which a loop of your own records nothing (their losses were)")
    if blind := len(ended) - seen:
        left_out.append(f"{_runs(blind)} of a loop of your own that logged no {loops.TRAIN[0]} (or one below 0)")
    if open_ := whole - len(ended):
        left_out.append(f"{_runs(open_)} that failed or had not come to an end")
    return Looked(seen, tuple(left_out))


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"
