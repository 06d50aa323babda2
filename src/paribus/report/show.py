"""`paribus show --json`: the contract that scripts rely on."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from paribus.findings.findings import Findings
from paribus.findings.judge import Judgement
from paribus.records.record import ArmRecord, RunRecord, Tuning
from paribus.report.diagnoses import diagnosis_as_data

SCHEMA_VERSION = 1


def as_json(findings: Findings) -> dict[str, Any]:
    """The results of a study as plain values; what is missing or not finite is None."""
    study = findings.study
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
            "stopping": None if study.least is None else {"least": study.least, "most": len(study.seeds)},
            "looks": list(study.looks),
            "warnings": [*findings.edges, *findings.confounders, *findings.warnings],
            "early_stopping": findings.stopped_early,
            "tuning": _how_tuned(findings),
        },
        "metrics": _metrics(findings),
        "arms": [_arm(findings, arm) for arm in study.arms],
        "agreements": [asdict(agreement) for agreement in findings.agreements],
        "targets": _targets(findings),
        "differences": [found.as_data() for found in findings.differences],
        "effects": [found.as_data() for found in findings.effects],
        "tasks": [found.as_data() for found in findings.over_tasks],
        "sweeps": [found.as_data() for found in findings.sweeps],
        "tuning": [{**asdict(one), "at_edge": bool(one.edges)} for one in study.tuning.arms] if study.tuning else [],
        "shared": as_json(findings.shared) if findings.shared else None,
        "claims": [asdict(one) for one in findings.verdicts],
        "diagnoses": [diagnosis_as_data(findings, one) for one in findings.diagnoses],
    })  # fmt: skip
    return contents


def judgement_as_json(judged: Judgement) -> dict[str, Any]:
    """As `as_json`, as far as scores alone go."""
    arms = next(iter(judged.scores.values.values()))
    contents: dict[str, Any] = finite({
        "schema_version": SCHEMA_VERSION,
        "study": {
            "name": judged.name,
            "factors": list(judged.scores.factors),
            "seeds": [_number(seed) for seed in judged.scores.seeds],
            "primary_metric": judged.primary,
            "warnings": judged.warnings,
            "taken": list(judged.scores.taken),
        },
        "arms": [
            {
                "name": arm,
                "metrics": {metric: asdict(of[arm]) for metric, of in judged.summaries.items()},
            }
            for arm in arms
        ],
        "differences": [one.as_data() for one in judged.found],
        "effects": [one.as_data() for one in judged.effects],
    })  # fmt: skip
    return contents


def _number(seed: str) -> int | str:
    """A seed that is a whole number as one, as a study's are."""
    return int(seed) if seed.isdecimal() and len(seed) < 19 else seed


def _how_tuned(findings: Findings) -> dict[str, Any] | None:
    """What `tuning` is the outcome of, and the value that all arms have in `shared`; what another budget would give,
    and what repeats of the whole tuning show."""
    tuning = findings.study.tuning
    if tuning is None:
        return None
    names = ("metric", "seeds", "validation", "budget", "words", "given", "shared_values", "sampler", "repeat")
    return {
        **{name: getattr(tuning, name) for name in names},
        "expected_best": {
            "told": findings.budget_told,
            "arms": [asdict(one) for one in findings.budget_curves],
        },
        "repeats": None if tuning.asked_repeats == 1 else _repeats(findings, tuning),
    }


def _repeats(findings: Findings, tuning: Tuning) -> dict[str, Any]:
    """What each arm chose and came to in each repeat, and how arms differ that are tuned like this."""
    metric = findings.study.primary_metric
    return {
        "asked": tuning.asked_repeats,
        "done": findings.whole_repeats,
        "notes": findings.of_repeats,
        "looks": list(tuning.looks),
        "chosen": [{"arm": one.arm, "values": one.values, "told": one.told} for one in findings.choices],
        "repeats": [
            {
                "repeat": one.study.tuning.repeat if one.study.tuning else 1,
                "seeds": one.study.seeds,
                "arms": [{"arm": arm, "mean": unit.mean, "lost": unit.lost} for arm, unit in one.unit(metric).items()],
            }
            for one in findings.repeats
        ],
        "differences": [one.as_data() for one in findings.over_repeats],
    }


def finite(value: Any) -> Any:
    """The same with None for every number that is not finite: JSON has none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _metrics(findings: Findings) -> dict[str, Any]:
    """Of each metric which values are better (`higher`, `lower`, None where that is not known) and its unit."""
    found = map(findings.metric, dict.fromkeys([findings.study.primary_metric, *findings.names]))
    return {one.name: {"direction": one.direction, "unit": one.unit} for one in found}


def _targets(findings: Findings) -> dict[str, Any] | None:
    target = findings.study.target
    if target is None:
        return None
    return {
        "metric": target.metric,
        "value": target.value,
        "direction": target.direction,
        "arms": [asdict(one) for one in findings.reached],
        "pairs": [asdict(one) for one in findings.earlier],
    }


def _arm(findings: Findings, arm: ArmRecord) -> dict[str, Any]:
    return {
        "name": arm.name,
        "settings": dict(arm.settings),
        "backend": findings.study.backends.get(arm.name),
        "task": _task(arm),
        "runs": [
            {
                "seed": run.seed,
                "status": str(run.status),
                "error": run.error,
                "epochs": run.epochs,
                "attempt": run.attempt,
                **_reported(run),
            }
            for run in arm.runs
        ],
        "metrics": {name: asdict(findings.summaries[arm.name][name]) for name in findings.names},
    }


def _reported(run: RunRecord) -> dict[str, float]:
    """With early stopping, the epoch whose scores are the run's."""
    if run.reported_by is None or not run.curve:
        return {}
    return {"reported_epoch": float(run.curve["epoch"][run.reported])}


def _task(arm: ArmRecord) -> dict[str, Any] | None:
    """The arm's data. Where the seed deals the splits, the fingerprint is that of the data before they are dealt."""
    infos = list(dict.fromkeys(run.task for run in arm.runs))
    if not infos:
        return None
    info = infos[0]
    return {
        "name": info.name,
        "fingerprint": info.fingerprint
        if len(infos) == 1 and arm.settings.get("split", "fixed") == "fixed"
        else info.pool,
        "source": info.source,
        "train": info.train,
        "validation": info.validation,
        "test": info.test,
        "overlap": max(info.overlap for info in infos),
    }
