"""What came of trying cures, in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paribus.findings.cures import Cure
from paribus.records.metrics import Metric
from paribus.report.page.text import amount, count, p_text


def cures_text(
    arm: str, codes: Sequence[str], found: Sequence[Cure], left_out: Mapping[str, str], metric: Metric | None
) -> str:
    """The verdict on each cure of an arm, the best first, with its interval; and what could not be tried."""
    named = f"{arm}: " if arm else ""
    lines = [f"{named}cures of {', '.join(codes)}, beside the arm as it is, over paired seeds"]
    if metric is not None:
        lines += [f"  {number}. {_line(one, metric)}" for number, one in enumerate(found, 1)]
    lines += [f"  left out: {name}: {why}" for name, why in left_out.items()]
    return "\n".join(lines) + "\n"


def _line(one: Cure, metric: Metric) -> str:
    return f"{one.name}: {one.answer}; {cure_words(one, metric)}"


def cure_words(one: Cure, metric: Metric) -> str:
    """What a verdict on a cure rests on: the change of the metric with its interval, p, seeds, and what is said
    beside."""
    parts = []
    if one.gain is not None:
        by, low_high = amount(metric, one.gain, one.interval)
        inside = f" ({low_high})" if low_high else ""
        parts.append(f"{metric.words} changes by {'+' * (one.gain > 0)}{by}{inside}")
    elif one.level is not None and one.answer in ("cured", "better", "worse"):
        parts.append(f"by ranks, as runs diverged or failed; of the others {metric.words} {metric.told(one.level)}")
    if one.p is not None:
        parts.append(p_text(one.p))
    if one.seeds:
        parts.append(count(one.seeds, "seed"))
    return "; ".join(filter(None, (", ".join(parts), one.why)))
