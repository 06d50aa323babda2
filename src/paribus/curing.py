"""Trying cures: for each arm with a diagnosis the cures that it names, beside the arm as it is, over paired seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paribus.config.overrides import SettingsError
from paribus.config.values import format_overrides
from paribus.findings.cures import Cure, Proposed, cures
from paribus.findings.diagnosis import Diagnosis
from paribus.findings.findings import Findings
from paribus.records.record import StudyRecord
from paribus.study.cures import cures_folder, cures_request
from paribus.study.reading import read
from paribus.study.spec import StudySpec
from paribus.study.store import FILE
from paribus.study.words import SEEDS

Train = Callable[[StudySpec], StudyRecord]
"""Trains what is missing of a study, and returns all that its folder holds."""


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


def try_cures(
    findings: Findings,
    folder: Path,
    train: Train,
    *,
    seeds: str = SEEDS,
    began: StudySpec | None = None,
    command: str = "python",
) -> Iterator[Tried]:
    """Each arm that has a cure to try, after its cures are trained, in `folder`/cures/ARM. The study itself stays as it
    is.

    `seeds`: until it is decided, `6..20`, or a number; `began`: the study as Python began it. Raises SettingsError for
    an arm that cannot be made again, before anything is trained.
    """
    study, todo = findings.study, []
    for arm in study.arms:
        found = [one for one in findings.diagnoses if one.arm == arm.name]
        proposed = _proposed(found)
        if not proposed:
            continue
        place = cures_folder(folder, arm.name)
        changes = {name: one.settings for name, one in proposed.items()}
        spec, refused = cures_request(study, arm, changes, place, seeds=seeds, began=began, command=command)
        if spec is not None and (place / FILE).exists():
            _must_go_on(read(place), spec, seeds)
        todo.append((arm.name, tuple(one.code for one in found), place, proposed, spec, refused))
    for name, codes, place, proposed, spec, refused in todo:
        tried = Findings.of(train(spec)) if spec is not None else None
        told = cures(tried.study, proposed, codes) if tried else []
        yield Tried(name, codes, place, told, refused, tried)


def _must_go_on(before: StudyRecord, spec: StudySpec, seeds: str) -> None:
    """SettingsError where the cures were tried over other seeds."""
    if (list(before.seeds), before.least) != (list(spec.seeds), spec.least):
        theirs = f"{before.least}..{len(before.seeds)}" if before.least else str(len(before.seeds))
        raise SettingsError(
            [
                f"--seeds {seeds} is not how {spec.folder} began: it holds cures over {theirs} seeds; give --seeds "
                f"{theirs} to see them, or to go on, or remove that folder to train them anew"
            ]
        )


def _proposed(found: Sequence[Diagnosis]) -> dict[str, Proposed]:
    """Every cure of an arm once, by its settings in words."""
    codes: dict[str, list[str]] = {}
    settings = {}
    for one in found:
        for change in one.cures:
            name = format_overrides(change)
            settings[name] = change
            codes.setdefault(name, []).append(one.code)
    return {name: Proposed(change, tuple(dict.fromkeys(codes[name]))) for name, change in settings.items()}
