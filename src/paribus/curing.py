"""Trying cures: for each arm with a diagnosis the cures that it names, beside the arm as it is, over paired seeds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from paribus.config.overrides import SettingsError
from paribus.config.values import format_overrides
from paribus.findings.cures import Proposed, cures
from paribus.findings.diagnosis import Diagnosis
from paribus.findings.findings import Findings
from paribus.records.record import ArmRecord, StudyRecord
from paribus.report.cures import Tried
from paribus.study.cures import cures_folder, cures_request
from paribus.study.reading import read
from paribus.study.spec import StudySpec
from paribus.study.store import FILE
from paribus.study.words import SEEDS

Train = Callable[[StudySpec], StudyRecord]
"""Trains what is missing of a study, and returns all that its folder holds."""


def try_cures(
    findings: Findings,
    folder: Path,
    train: Train,
    *,
    seeds: str | None = None,
    began: StudySpec | None = None,
    command: str = "python",
    arms: Collection[str] | None = None,
) -> Iterator[Tried]:
    """Each arm that has a cure to try, after its cures are trained, in `folder`/cures/ARM. The study itself stays as it
    is.

    `arms`: of which cures are tried, all without; `seeds`: until it is decided, `6..20`, or a number; without it those
    that the arm's cures began with, else 6..20; `began`: the study as Python began it. Raises SettingsError for an arm
    that cannot be made again, before anything is trained.
    """
    study, todo = findings.study, []
    for arm in study.arms:
        found = _found(findings, arm)
        proposed = _proposed(found)
        if not proposed or (arms is not None and arm.name not in arms):
            continue
        place = cures_folder(folder, arm.name)
        changes = {name: one.settings for name, one in proposed.items()}
        before = read(place) if (place / FILE).exists() else None
        over = seeds or (_seeds_of(before) if before else SEEDS)
        spec, refused = cures_request(study, arm, changes, place, seeds=over, began=began, command=command)
        if spec is not None and before is not None:
            _must_go_on(before, spec, over)
        todo.append((arm.name, tuple(one.code for one in found), place, proposed, spec, refused))
    for name, codes, place, proposed, spec, refused in todo:
        tried = Findings.of(train(spec)) if spec is not None else None
        told = cures(tried.study, proposed, codes) if tried else []
        yield Tried(name, codes, place, told, refused, tried)


def recorded(findings: Findings, folder: Path) -> list[Tried]:
    """What came of the cures that were tried before, in `folder`/cures; nothing is trained. Of an arm whose diagnosis
    names none of them any more there is nothing.

    Raises StoreError for a study of cures that cannot be read.
    """
    told = []
    for arm in findings.study.arms:
        found, place = _found(findings, arm), cures_folder(folder, arm.name)
        if not (place / FILE).exists():
            continue
        tried, codes = Findings.of(read(place)), tuple(one.code for one in found)
        if verdicts := cures(tried.study, _proposed(found), codes):
            told.append(Tried(arm.name, codes, place, verdicts, {}, tried))
    return told


def _found(findings: Findings, arm: ArmRecord) -> list[Diagnosis]:
    return [one for one in findings.diagnoses if one.arm == arm.name]


def _seeds_of(before: StudyRecord) -> str:
    """Over which seeds cures were tried, as `--seeds` has it."""
    return f"{before.least}..{len(before.seeds)}" if before.least else str(len(before.seeds))


def _must_go_on(before: StudyRecord, spec: StudySpec, seeds: str) -> None:
    """SettingsError where the cures were tried over other seeds."""
    if (list(before.seeds), before.least) != (list(spec.seeds), spec.least):
        theirs = _seeds_of(before)
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
