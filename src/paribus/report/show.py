"""`paribus show --json`: the contract that scripts rely on."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from paribus.findings.agreement import agreements
from paribus.findings.claims import verdicts
from paribus.findings.confounders import confounders
from paribus.findings.judge import Judgement
from paribus.findings.study import all_differences, warnings
from paribus.findings.summary import summaries, summarise
from paribus.findings.targets import earlier, reached
from paribus.records.record import ArmRecord, StudyRecord

SCHEMA_VERSION = 1


def as_json(study: StudyRecord) -> dict[str, Any]:
    """The results of a study as plain values; what is missing or not finite is None."""
    contents: dict[str, Any] = finite({
        "schema_version": SCHEMA_VERSION,
        "study": {
            "name": study.name,
            "factors": study.factors,
            "seeds": study.seeds,
            "primary_metric": study.primary_metric,
            "baseline": study.baseline,
            "margin": study.margin,
            "timing": study.timing,
            "warnings": [*confounders(study), *warnings(study)],
            "tuning": _how_tuned(study),
        },
        "arms": [_arm(study, arm) for arm in study.arms],
        "agreements": [asdict(agreement) for agreement in agreements(study)],
        "targets": _targets(study),
        "differences": [asdict(found) for found in all_differences(study)],
        "tuning": [{**asdict(one), "at_edge": bool(one.edges)} for one in study.tuning.arms] if study.tuning else [],
        "shared": as_json(study.tuning.shared) if study.tuning and study.tuning.shared else None,
        "claims": [asdict(one) for one in verdicts(study)],
        "diagnoses": [],
    })  # fmt: skip
    return contents


def judgement_as_json(judged: Judgement) -> dict[str, Any]:
    """As `as_json`, as far as scores alone go."""
    arms = next(iter(judged.scores.values.values()))
    contents: dict[str, Any] = finite({
        "schema_version": SCHEMA_VERSION,
        "study": {
            "name": judged.name,
            "factors": [],
            "seeds": judged.scores.seeds,
            "primary_metric": judged.primary,
            "warnings": judged.warnings,
        },
        "arms": [
            {
                "name": arm,
                "metrics": {metric: asdict(summarise(values[arm])) for metric, values in judged.scores.values.items()},
            }
            for arm in arms
        ],
        "differences": [asdict(one) for one in judged.found],
    })  # fmt: skip
    return contents


def _how_tuned(study: StudyRecord) -> dict[str, Any] | None:
    """What `tuning` is the outcome of, and the value that all arms have in `shared`."""
    if study.tuning is None:
        return None
    names = ("metric", "seeds", "validation", "budget", "words", "given", "shared_values")
    return {name: getattr(study.tuning, name) for name in names}


def finite(value: Any) -> Any:
    """The same with None for every number that is not finite: JSON has none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _targets(study: StudyRecord) -> dict[str, Any] | None:
    if study.target is None:
        return None
    return {
        "metric": study.target.metric,
        "value": study.target.value,
        "arms": [asdict(one) for one in reached(study, study.target)],
        "pairs": [asdict(one) for one in earlier(study, study.target)],
    }


def _arm(study: StudyRecord, arm: ArmRecord) -> dict[str, Any]:
    return {
        "name": arm.name,
        "settings": dict(arm.settings),
        "task": _task(arm),
        "runs": [
            {
                "seed": run.seed,
                "status": str(run.status),
                "error": run.error,
                "epochs": run.epochs,
                "attempt": run.attempt,
            }
            for run in arm.runs
        ],
        "metrics": {name: asdict(summary) for name, summary in summaries(study, arm).items()},
    }


def _task(arm: ArmRecord) -> dict[str, Any] | None:
    """The arm's data. Where the seed deals the splits, the fingerprint is that of the data before they are dealt."""
    infos = list(dict.fromkeys(run.task for run in arm.runs))
    if not infos:
        return None
    info = infos[0]
    return {
        "name": info.name,
        "fingerprint": info.fingerprint if len(infos) == 1 and arm.settings["split"] == "fixed" else info.pool,
        "source": info.source,
        "train": info.train,
        "validation": info.validation,
        "test": info.test,
        "overlap": max(info.overlap for info in infos),
    }
