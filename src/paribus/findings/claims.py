"""The verdict on a claim, from a study's records.

A claim holds where all of its conditions are supported: to be wrong, every one of them would have to be wrong (an
intersection-union test). It does not hold where one of them is refuted (see `conditions`). Else it is not shown; and
where the study has the arms or the figures of no condition, not tested.

Source: R. L. Berger, Multiparameter hypothesis testing and acceptance sampling (Technometrics 1982).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

import numpy as np

from paribus.findings.compared import may_not_show
from paribus.findings.conditions import Found, judge
from paribus.records.claims import Claim
from paribus.records.record import StudyRecord

UNTESTED = "not tested at this scale"
_ENDS_BEFORE = (
    "the study goes on until its pairs of arms are decided, not until its claims are: more seeds may show it, if their "
    "number is declared"
)
Answer = Literal["holds", "does not hold", "not shown", "not tested at this scale"]


@dataclass(frozen=True)
class Verdict:
    """On one claim. `id`: its name (`C1`); `reason`: a sentence with figures; `study`: that it rests on; `conditions`:
    what was found on each, the sentence in its parts; `reduced`: whether it is one at a smaller scale than the claim's;
    `notes`: what was changed when results were known, and what else readers have to know."""

    id: str
    claim: str
    answer: Answer
    reason: str
    _: KW_ONLY
    study: str | None = None
    conditions: Sequence[Found] = ()
    reduced: bool = False
    notes: Sequence[str] = ()

    @property
    def told(self) -> str:
        """The answer in words."""
        bare = "not tested" if self.answer == UNTESTED else self.answer
        return f"{bare} at this scale" if self.reduced else bare


def verdicts(*studies: StudyRecord) -> list[Verdict]:
    """On every claim that the studies have. One that several have rests on all of them: all must hold, one is enough to
    refute, and its conditions count together."""
    counts = Counter[str]()
    for study in studies:
        for claim in study.claims:
            counts[claim.id] += len(claim.conditions)
    return combined([verdict(claim, study, counts[claim.id]) for study in studies for claim in study.claims])


@np.errstate(over="ignore", invalid="ignore")
def verdict(claim: Claim, study: StudyRecord, conditions: int | None = None) -> Verdict:
    """On one claim, with what was found on each of its conditions. `conditions`: how many it has in all studies."""
    judged = [judge(one, study, conditions or len(claim.conditions)) for one in claim.conditions]
    answer, seeds = _answer(judged), min((one.seeds for one in judged), default=0)
    reason = "; ".join(one.told if one.answer != "untested" else f"not tested: {one.told}" for one in judged)
    return Verdict(
        id=claim.id,
        claim=claim.text,
        answer=answer,
        reason=reason,
        study=study.name,
        conditions=judged,
        reduced=claim.reduced,
        notes=[
            *changes(claim, study),
            *filter(None, [claim.note]),
            *([may_not_show(seeds)] if answer == "holds" else []),
            *([_ENDS_BEFORE] if answer == "not shown" and study.least is not None and seeds < len(study.seeds) else []),
        ],
    )


def changes(claim: Claim, study: StudyRecord) -> list[str]:
    """What was written on it when results were known: its conditions may have been chosen to fit them."""
    mine = [
        (one.runs, found.conditions) for one in study.claims_written for found in one.claims if found.id == claim.id
    ]
    since = next((i for i, (_, conditions) in enumerate(mine) if conditions == claim.conditions), None)
    if since is None or not mine[since][0]:
        return []
    runs = "1 run was" if mine[since][0] == 1 else f"{mine[since][0]} runs were"
    told = f"its conditions were written when {runs} recorded already"
    if not since:
        return [told]
    return [f"{told}; before: {'; '.join(one.told for one in mine[since - 1][1])}"]


def combined(found: Sequence[Verdict]) -> list[Verdict]:
    """Verdicts of several studies with one id as one, in the order of their first: all must hold, one is enough to
    refute."""
    together: dict[str, list[Verdict]] = {}
    for one in found:
        together.setdefault(one.id, []).append(one)
    return [_combine(parts) for parts in together.values()]


def _combine(parts: list[Verdict]) -> Verdict:
    if len(parts) == 1:
        return parts[0]
    answers = {one.answer for one in parts}
    answer: Answer = "not shown"
    if "does not hold" in answers:
        answer = "does not hold"
    elif len(answers) == 1:
        (answer,) = answers
    reason = ". ".join(f"{one.study}: {one.reason}" for one in parts)
    conditions = [replace(found, told=f"{one.study}: {found.told}") for one in parts for found in one.conditions]
    studies = ", ".join(str(one.study) for one in parts)
    return Verdict(
        id=parts[0].id,
        claim=parts[0].claim,
        answer=answer,
        reason=reason,
        study=studies,
        conditions=conditions,
        reduced=any(one.reduced for one in parts),
        notes=list(dict.fromkeys(note for one in parts for note in one.notes)),
    )


def _answer(found: Sequence[Found]) -> Answer:
    answers = {one.answer for one in found}
    if "refuted" in answers:
        return "does not hold"
    if answers == {"untested"}:
        return "not tested at this scale"
    return "holds" if answers == {"supported"} else "not shown"
