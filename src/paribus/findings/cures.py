"""What proposed cures do: each beside the arm as it is, over paired seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from paribus.findings.compared import HIGHER, Difference
from paribus.findings.diagnosis import Diagnosis
from paribus.findings.findings import Findings
from paribus.records.record import StudyRecord

Answer = Literal["cured", "better", "no help", "worse", "not decided"]

_GOES_ON = "still-improving"
"""No fault of its own: a run that learns again may well be at it when its epochs are over."""


@dataclass(frozen=True)
class Proposed:
    """Settings to try, as words of a command, and the codes that they are to cure."""

    settings: Mapping[str, str]
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Cure:
    """What came of one. `gain`: the cure less the arm as it is, in the metric's unit, the mean over `seeds` paired
    seeds, with its `interval`; above 0 is higher. `left`: what is wrong with the cured arm; `why`: in words."""

    name: str
    settings: Mapping[str, str]
    codes: tuple[str, ...]
    answer: Answer
    why: str
    seeds: int
    gain: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    left: tuple[str, ...] = ()
    level: float | None = None

    def as_data(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {**vars(self), "settings": dict(self.settings)}


def cures(study: StudyRecord, proposed: Mapping[str, Proposed], before: Sequence[str]) -> list[Cure]:
    """The verdict on each, the best first. `study`: the arm as it is, its baseline, beside the cures, by their names in
    `proposed`; `before`: the codes of all that was found with the arm as it is.

    cured: the verdict is that it does better, and what it was for is not found any more, nor anything that was not
    found before, but that training could go on. better: so is the verdict, and something is found.
    """
    findings = Findings.of(study)
    after: dict[str, list[Diagnosis]] = {}
    for one in findings.diagnoses:
        after.setdefault(one.arm, []).append(one)
    pairs = {_cure_of(one, study.baseline): one for one in findings.primary}
    found = [
        _cure(findings, name, of, pairs[name], (after.get(name, []), before))
        for name, of in proposed.items()
        if name in pairs
    ]
    return sorted(found, key=lambda one: _rank(findings, one))


def _cure_of(pair: Difference, baseline: str | None) -> str:
    return pair.b if pair.a == baseline else pair.a


def _cure(
    findings: Findings, name: str, of: Proposed, pair: Difference, codes: tuple[Sequence[Diagnosis], Sequence[str]]
) -> Cure:
    found, before = codes
    often = [one for one in found if _counts(findings.study, one)]
    seldom = [f"{one.code} is found in {len(one.seeds)} of {one.of} runs" for one in found if one not in often]
    flip = pair.b == name
    mean, interval = pair.mean, pair.interval
    if flip:
        mean = None if mean is None else -mean
        interval = None if interval is None else (-interval[1], -interval[0])
    cure = Cure(
        name, of.settings, of.codes, "not decided", pair.note or "", pair.pairs, mean, interval, pair.p_adjusted,
        tuple(one.code for one in often), findings.summaries[name][findings.study.primary_metric].mean,
    )  # fmt: skip
    answer, why = _answer(findings, name, pair, cure, before)
    if answer in ("cured", "better"):
        why = "; ".join(filter(None, (why, *seldom)))
    return replace(cure, answer=answer, why=why)


def _counts(study: StudyRecord, found: Diagnosis) -> bool:
    """Whether it is of the cured arm, and not of a run or two: half of the runs show it, or the one that has looks,
    which is alone where layers tell."""
    return 2 * len(found.seeds) >= found.of or (found.layer is not None and found.seeds[0] == study.seeds[0])


def _answer(findings: Findings, name: str, pair: Difference, cure: Cure, before: Sequence[str]) -> tuple[Answer, str]:
    verdict, direction = pair.verdict, findings.primary_metric.direction
    if verdict in HIGHER:
        higher = (pair.a, pair.b)[HIGHER.index(verdict)] == name
        if direction is None:
            return "not decided", f"whether lower or higher {findings.primary_metric.words} is better is not known"
        if higher != (direction == "higher"):
            return "worse", ""
        remain = [code for code in cure.left if code in cure.codes]
        new = [code for code in cure.left if code not in before and code != _GOES_ON]
        if remain:
            return "better", f"{', '.join(remain)} is still found"
        if new:
            return "better", f"{', '.join(new)} is found instead"
        goes_on = f"{_GOES_ON} is found: more epochs may do better" if _GOES_ON in cure.left else ""
        return "cured", goes_on
    if verdict in ("equivalent", "no difference shown"):
        return "no help", pair.note or f"{verdict} after {pair.pairs} seeds"
    return "not decided", pair.note or str(verdict or "no seed is done")


def _rank(findings: Findings, one: Cure) -> tuple[bool, float, float]:
    """Those that help first, then by the mean difference, and where it is by ranks alone by what the cured arm
    reaches."""
    sign = -1.0 if findings.primary_metric.direction != "lower" else 1.0
    helps = one.answer in ("cured", "better")
    unknown = 0.0 if helps else math.inf  # one that diverges has no mean, and is no better than one that has
    gain = unknown if one.gain is None else sign * one.gain
    return not helps, gain, sign * one.level if one.level is not None else 0.0
