"""The statistics of a study, for scores from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict, Unpack

from paribus.config.overrides import SettingsError, near_miss
from paribus.findings.compared import Difference, Lost, Values, seeds_with
from paribus.findings.differences import differences
from paribus.findings.power import seeds_needed_by, too_few
from paribus.findings.score_table import Table, read_table
from paribus.findings.scores import Asked, Scores, scores_of
from paribus.findings.stopping import Extended
from paribus.findings.summary import Summary, summarise
from paribus.findings.unpaired import unpaired_differences
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
    lower: bool | None = None

    @cached_property
    def summaries(self) -> Mapping[str, Mapping[str, Summary]]:
        """Metric -> arm -> its mean, spread and interval over the seeds."""
        return {
            metric: {arm: summarise(column) for arm, column in arms.items()}
            for metric, arms in self.scores.values.items()
        }


class Options(TypedDict, total=False):
    """What may be said beside the scores, and beside the primary `metric`, by default the first. `missing`: what a
    missing score is: the `worst` of all, for which `lower` has to say whether lower is better, or missing for a reason
    nothing to do with it (`at-random`), so that its seed is left out; where nobody says it, pairs that lack one are not
    judged; `looked`: whether scores came in, in the order of their seeds, as somebody saw fit; the rest as for `Asked`.
    """

    baseline: str | None
    margin: float | None
    missing: str | None
    lower: bool | None
    seed: str | None
    last: bool
    best: str | None
    unpaired: bool
    wide: bool
    looked: bool


def judge(path: Path, metric: str | None = None, *, arm: Sequence[str] = (), **options: Unpack[Options]) -> Judgement:
    """Read a table of scores and judge it; SettingsError with all that is wrong. `arm`: the columns that make an arm.
    Of other metrics than the primary one nobody says which way is better."""
    return judge_table(read_table(path), metric, arm=arm, **options)


def judge_table(
    table: Table, metric: str | None = None, *, arm: Sequence[str] = (), **options: Unpack[Options]
) -> Judgement:
    """As `judge`, of a table that is read."""
    baseline, margin, missing = options.get("baseline"), options.get("margin"), options.get("missing")
    lower, unpaired, path = options.get("lower"), options.get("unpaired", False), table.name
    asked = Asked(
        arm=arm,
        seed=options.get("seed"),
        metric=metric,
        last=options.get("last", False),
        best=options.get("best"),
        unpaired=unpaired,
        wide=options.get("wide", False),
    )
    scores = scores_of(table, asked)
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
    if unpaired and (missing == "worst" or options.get("looked")):
        mistakes.append("--unpaired goes with neither --missing worst nor --looked: these are for scores in pairs")
    if mistakes:
        raise SettingsError(mistakes)
    primary = metric or metrics[0]
    if unpaired:
        found = unpaired_differences(
            scores.values[primary], primary, baseline=baseline, margin=margin, missing_is_open=missing is None
        )
        return Judgement(name=Path(path).name, scores=scores, primary=primary, found=found, warnings=[], margin=margin)
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
            stopping=Extended() if options.get("looked") else None,
        )
    ]
    warnings, pairs, seeds = [], sum(one.metric == primary for one in found), len(scores.seeds)
    if pairs and too_few(seeds, pairs):
        warnings.append(f"{seeds_needed_by(pairs)}; there {'is' if seeds == 1 else 'are'} {seeds}")
    for arm in arms:
        gone = sum(value is None for value in scores.values[primary][arm])
        if gone:
            warnings.append(f"{arm}: {seeds_with(gone, len(scores.seeds))} no {primary}; its mean is over the others")
    return Judgement(
        name=Path(path).name,
        scores=scores,
        primary=primary,
        found=found,
        warnings=warnings,
        margin=margin,
        lower=lower,
    )


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
