"""The statistics of a study, for scores from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from paribus.config.overrides import SettingsError, near_miss
from paribus.findings.differences import Difference, differences
from paribus.findings.scores import Scores, read_scores
from paribus.findings.summary import Summary, summarise


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Scores and what they show. `warnings`: scores that are missing, and how many pairs that leaves."""

    name: str
    scores: Scores
    primary: str
    found: list[Difference]
    warnings: list[str]
    margin: float | None = None

    @cached_property
    def summaries(self) -> Mapping[str, Mapping[str, Summary]]:
        """Metric -> arm -> its mean, spread and interval over the seeds."""
        return {
            metric: {arm: summarise(column) for arm, column in arms.items()}
            for metric, arms in self.scores.values.items()
        }


def judge(path: Path, metric: str | None, baseline: str | None, margin: float | None) -> Judgement:
    """Read a CSV and judge it; SettingsError with all that is wrong. The primary metric is the first, or `metric`."""
    scores = read_scores(path)
    metrics, arms = list(scores.values), list(next(iter(scores.values.values())))
    mistakes = []
    if metric is not None and metric not in metrics:
        mistakes.append(f"--metric {metric} is no column of {path}: {near_miss(metric, metrics)}")
    if baseline is not None and baseline not in arms:
        mistakes.append(f"--baseline {baseline} is no arm of {path}: {near_miss(baseline, arms)}")
    if margin is not None and not 0 < margin < float("inf"):
        mistakes.append(f"--margin {margin:g} is not allowed: margin is a finite number above 0")
    if mistakes:
        raise SettingsError(mistakes)
    primary = metric or metrics[0]
    found = [
        one
        for name in (primary, *(name for name in metrics if name != primary))
        for one in differences(
            scores.values[name],
            name,
            primary=name == primary,
            baseline=baseline,
            margin=margin if name == primary else None,
        )
    ]
    warnings = []
    for arm in arms:
        missing = sum(value is None for value in scores.values[primary][arm])
        if missing:
            warnings.append(
                f"{arm}: {missing} of {len(scores.seeds)} seeds have no {primary}; its differences are over the others"
            )
    return Judgement(name=path.name, scores=scores, primary=primary, found=found, warnings=warnings, margin=margin)
