"""Claims: what somebody concluded, the study that tests it, and the verdict that its findings give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Answer = Literal["holds", "does not hold", "not shown", "not tested at this scale"]


@dataclass(frozen=True)
class Verdict:
    """On one claim. `id`: its name (`C1`); `reason`: a sentence with figures; `study`: that it rests on."""

    id: str
    claim: str
    answer: Answer
    reason: str
    study: str | None = None
    figures: Mapping[str, float | str | None] = field(default_factory=dict)
