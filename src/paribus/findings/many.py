"""Which pairs of very many arms are judged: a thousand arms make 499,500, and nobody reads them.

The others count as if their p were 1, and the family stays that of all pairs. So it does not matter that the results
say which are judged: Holm's method holds its level for any p-values that are no less than the true ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paribus.findings.compared import Values
from paribus.findings.tasks import Tasks, pairs_of
from paribus.records.metrics import Metric
from paribus.records.record import StudyRecord

MOST_PAIRS = 1000
"""Up to so many, of 45 arms, every one is judged. Also up to so many interactions, and pairs of a sweep's lines."""


@dataclass(frozen=True)
class Asked:
    """The pairs that are judged, how many there are in all, and what there is to say where those are not the same."""

    pairs: list[tuple[str, str]]
    family: int
    told: str = ""


def asked(study: StudyRecord, columns: Mapping[str, Values], metric: Metric) -> Asked:
    """All pairs that a study compares; of more than 1,000 those with the arm that is best. `columns`: one score for
    each seed of each arm, on the `metric` by which it is best."""
    arms = len(study.arms)
    family = arms * (arms - 1) // 2
    # against a baseline there are few; seeds until decided are asked of the same pairs at every look
    named = study.baseline in columns or study.least is not None or Tasks.of(study) is not None
    if family <= MOST_PAIRS or named:
        pairs = pairs_of(study)
        return Asked(pairs, len(pairs))
    best = ranked_arms(columns, metric)[0]
    way = "lowest" if metric.direction == "lower" else "highest"
    told = (
        f"{arms:,} arms make {family:,} pairs. Judged are the {arms - 1:,} of {best}, whose mean {metric.words} is "
        f"{way}; as the results chose it, p and intervals allow for all {family:,}. Of two other arms nothing is said: "
        "--baseline ARM, chosen without these results, compares all with one arm, and allows for its pairs alone"
    )
    return Asked([(best, arm.name) for arm in study.arms if arm.name != best], family, told)


def ranked_arms(columns: Mapping[str, Values], metric: Metric) -> list[str]:
    """The arms from the best mean to the worst; those with fewer scores come after, as a mean over the runs that did
    not diverge flatters. Without a direction the highest is the first.

    >>> ranked_arms({"a": [1.0, 2.0], "b": [9.0, None], "c": [2.0, 2.0]}, Metric("test_accuracy", "higher"))
    ['c', 'a', 'b']
    """
    sign = 1.0 if metric.direction == "lower" else -1.0

    def place(arm: str) -> tuple[int, float]:
        known = [one for one in columns[arm] if one is not None]
        return -len(known), sign * (sum(known) / len(known) if known else 0.0)

    return sorted(columns, key=place)


def too_many(what: Sequence[object] | int) -> bool:
    """Whether so many are not judged one by one."""
    return (what if isinstance(what, int) else len(what)) > MOST_PAIRS
