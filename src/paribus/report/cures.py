"""What came of trying the cures of an arm, as every report tells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paribus.findings.cures import Cure
from paribus.findings.findings import Findings


@dataclass(frozen=True)
class Tried:
    """What came of the cures of one arm, the best first. `codes`: what was found with it; `refused`: a cure -> why it
    could not be tried; `findings`: of the study that tried them, in `folder`, None where none could be."""

    arm: str
    codes: tuple[str, ...]
    folder: Path
    cures: list[Cure]
    refused: dict[str, str]
    findings: Findings | None

    @property
    def told(self) -> str:
        """The verdict on each cure, in lines of text."""
        from paribus.report.terminal.cures import cures_text

        metric = self.findings.primary_metric if self.findings else None
        return cures_text(self.arm, self.codes, self.cures, self.refused, metric)

    def as_data(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {
            "arm": self.arm,
            "codes": list(self.codes),
            "folder": str(self.folder),
            "metric": self.findings.study.primary_metric if self.findings else None,
            "cures": [one.as_data() for one in self.cures],
            "left_out": [{"cure": name, "why": why} for name, why in self.refused.items()],
        }
