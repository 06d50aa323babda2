"""The statistics of a study, for scores from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from paribus.config.overrides import SettingsError, near_miss
from paribus.findings.differences import Difference, Lost, Values, differences, seeds_with
from paribus.findings.power import seeds_needed_by, too_few
from paribus.findings.scores import Scores, read_scores
from paribus.findings.summary import Summary, summarise
from paribus.records.metrics import Direction

MISSING = ("worst", "at-random")


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


def judge(
    path: Path,
    metric: str | None = None,
    *,
    baseline: str | None = None,
    margin: float | None = None,
    missing: str | None = None,
    lower: bool | None = None,
) -> Judgement:
    """Read a CSV and judge it; SettingsError with all that is wrong. The primary metric is the first, or `metric`.

    `missing`: what a missing score is: the `worst` of all, for which `lower` has to say whether lower is better, or
    missing for a reason that has nothing to do with it (`at-random`), so that its seed is left out. Where nobody says
    it, pairs that lack one are not judged. Of other metrics than the primary one nobody says which way is better.
    """
    scores = read_scores(path)
    metrics, arms = list(scores.values), list(next(iter(scores.values.values())))
    mistakes = []
    if metric is not None and metric not in metrics:
        mistakes.append(f"--metric {metric} is no column of {path}: {near_miss(metric, metrics)}")
    if baseline is not None and baseline not in arms:
        mistakes.append(f"--baseline {baseline} is no arm of {path}: {near_miss(baseline, arms)}")
    if margin is not None and not 0 < margin < float("inf"):
        mistakes.append(f"--margin {margin:g} is not allowed: margin is a finite number above 0")
    if missing is not None and missing not in MISSING:
        mistakes.append(f"--missing {missing} is not allowed: {near_miss(missing, MISSING)}")
    if missing == "worst" and lower is None:
        mistakes.append("--missing worst needs to know which scores are better: add --lower or --higher")
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
            lost=_lost(scores.values[name], missing, lower=lower if name == primary else None),
        )
    ]
    warnings, pairs, seeds = [], sum(one.metric == primary for one in found), len(scores.seeds)
    if pairs and too_few(seeds, pairs):
        warnings.append(f"{seeds_needed_by(pairs)}; there {'is' if seeds == 1 else 'are'} {seeds}")
    for arm in arms:
        gone = sum(value is None for value in scores.values[primary][arm])
        if gone:
            warnings.append(f"{arm}: {seeds_with(gone, len(scores.seeds))} no {primary}; its mean is over the others")
    return Judgement(name=path.name, scores=scores, primary=primary, found=found, warnings=warnings, margin=margin)


def _lost(columns: Mapping[str, Values], missing: str | None, *, lower: bool | None) -> Lost | None:
    """The scores that are missing, and what they count as."""
    if missing == "at-random":
        return None
    gone = {arm: [one is None for one in of] for arm, of in columns.items()}
    direction: Direction | None = None if missing is None or lower is None else "lower" if lower else "higher"
    unknown = (
        "nobody said why: --missing worst counts it as the worst (add --lower where lower scores are better, else "
        "--higher), --missing at-random leaves its seed out"
    )
    return Lost(gone, direction, told="no score of one arm", unknown=unknown, both="both arms have no score")
