"""What an interval of a difference is, in words: that of a table, and the bar of a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paribus.findings.compared import Difference
from paribus.findings.findings import Findings
from paribus.findings.power import ALPHA
from paribus.findings.resplit import Resplit
from paribus.findings.stopping import Extended, Stopping, UntilDecided
from paribus.report.files.units import words_of


def kinds_of_interval(found: Sequence[Difference], family: int, stopping: Stopping) -> dict[str, list[Difference]]:
    """What an interval is -> the differences that have such a one."""
    kinds: dict[str, list[Difference]] = {}
    for one in found:
        if one.interval is not None and one.interval_of is not None:
            kinds.setdefault(_told(one.interval_of, family, stopping), []).append(one)
    return kinds


def intervals_told(
    found: Sequence[Difference], findings: Findings, labels: Mapping[str, str], stopping: Stopping | None = None
) -> list[str]:
    """Sentences: what the intervals are, of which pairs where they are several things, and how many have none.

    `stopping`: how the test was made, if not as for the study's seeds.
    """
    kinds = kinds_of_interval(found, len(findings.primary), findings.stopping if stopping is None else stopping)
    often = sorted(kinds, key=lambda kind: -len(kinds[kind]))
    said = [f"Intervals: {often[0]}."] if often else []
    for kind in often[1:]:
        pairs = words_of([f"{labels[one.a]} - {labels[one.b]}" for one in kinds[kind]])
        said.append(f"Of {pairs}: {kind}.")
    without = sum(one.interval is None for one in found)
    if without and often:
        said.append(f"{_pairs(without)} no interval.")
    elif without:
        said.append("No pair has an interval.")
    return said


def _pairs(count: int) -> str:
    return "1 pair has" if count == 1 else f"{count} pairs have"


def _told(of: str, family: int, stopping: Stopping) -> str:
    """One kind of interval. `family`: of how many pairs."""
    together = "" if family == 1 else f" for all {family} pairs at once (level 1 - {ALPHA:g}/{family} each)"
    alone = "" if family == 1 else ", at the level at which Holm's method tested the pair"
    looked = ", at the level of the look after which the pair ended or stands"
    if of == "equivalence":
        level = f"{100 * (1 - 2 * ALPHA):g} %" if family == 1 else f"level 1 - {2 * ALPHA:g}/{family}"
        kind = "e-process" if isinstance(stopping, Extended) else "two one-sided t tests"
        corrected = ", with the correction for shared examples" if isinstance(stopping, Resplit) else ""
        return f"those of the {kind} that decide equivalence ({level})" + (
            looked if isinstance(stopping, UntilDecided) else corrected
        )
    if of == "e-process":
        return f"95 % intervals of the e-process{alone}"
    if of == "sign flips":
        wider = " or of the sign-flip test, whichever reaches farther" if isinstance(stopping, Resplit) else ""
        return f"95 % intervals of the {stopping.test}{wider}{alone}"
    student = "Student's t for the mean difference"
    if isinstance(stopping, Resplit):
        student = f"the {stopping.test}"
    if isinstance(stopping, UntilDecided):
        student += looked
    return f"95 % intervals{together if of == 't' else ''} by {student}{alone if of == 't of the pair' else ''}"
