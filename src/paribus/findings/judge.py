"""The statistics of a study, for scores from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypedDict, Unpack

from paribus.config.overrides import SettingsError, near_miss
from paribus.findings.compared import Difference, Lost, Values, seeds_with
from paribus.findings.differences import differences
from paribus.findings.factors import Crossed, FactorEffect, factor_effects
from paribus.findings.power import least_seeds, seeds_needed_by, too_few
from paribus.findings.score_folders import read_scores
from paribus.findings.score_options import Asked
from paribus.findings.score_table import Table
from paribus.findings.scores import Scores, scores_of
from paribus.findings.stopping import Extended
from paribus.findings.summary import Summary, summarise
from paribus.findings.unpaired import unpaired_differences
from paribus.records.metrics import Direction, Format, Metric

MISSING = ("worst", "at-random")


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Scores and what they show. `warnings`: scores that are missing, and how many pairs that leaves; `effects`: of
    each column that makes an arm, where every combination of their values is there; `command`: what repeats it, where
    that was one."""

    name: str
    scores: Scores
    primary: str
    found: list[Difference]
    warnings: list[str]
    effects: list[FactorEffect] = field(default_factory=list)
    baseline: str | None = None
    margin: float | None = None
    lower: bool | None = None
    command: str = ""

    @property
    def on_primary(self) -> list[Difference]:
        """The differences on the primary metric."""
        return [one for one in self.found if one.metric == self.primary]

    @property
    def least_seeds(self) -> int:
        """How many seeds it takes before any pair on the primary metric could be told apart."""
        return least_seeds(len(self.on_primary))

    @property
    def metric(self) -> Metric:
        """The primary metric, in the unit of the scores: what that is, nobody said."""
        direction: Direction | None = None if self.lower is None else "lower" if self.lower else "higher"
        return Metric(self.primary, direction, format=Format(places=5))

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
    pattern: str | None


def judge(
    path: Path,
    metric: str | None = None,
    *,
    arm: Sequence[str] = (),
    python: bool = False,
    **options: Unpack[Options],
) -> Judgement:
    """Read a table of scores, or a folder of MLflow's or TensorBoard's, and judge it; SettingsError with all that is
    wrong. `arm`: the columns that make an arm; `python`: whether messages name arguments instead of options. Of other
    metrics than the primary one nobody says which way is better."""
    asked = _asked(metric, arm, python, options)
    table, asked = read_scores(path, asked)
    return _judged(table, asked, options)


def judge_table(
    table: Table,
    metric: str | None = None,
    *,
    arm: Sequence[str] = (),
    python: bool = False,
    **options: Unpack[Options],
) -> Judgement:
    """As `judge`, of a table that is read."""
    asked = _asked(metric, arm, python, options)
    if asked.pattern is not None:
        raise SettingsError([f"{asked.option('pattern', asked.pattern)} is for folders of runs: a table has columns"])
    return _judged(table, asked, options)


def _asked(metric: str | None, arm: Sequence[str], python: bool, options: Options) -> Asked:  # noqa: FBT001
    return Asked(
        arm=arm,
        seed=options.get("seed"),
        metric=metric,
        last=options.get("last", False),
        best=options.get("best"),
        unpaired=options.get("unpaired", False),
        wide=options.get("wide", False),
        pattern=options.get("pattern"),
        python=python,
    )


def _judged(table: Table, asked: Asked, options: Options) -> Judgement:
    scores = scores_of(table, asked)
    given = options.get("baseline")
    baseline = None if given is None else same_arm(given, scores.arms)
    _check(table.name, scores, asked, options, baseline)
    primary = asked.metric or next(iter(scores.values))
    margin, missing, lower = options.get("margin"), options.get("missing"), options.get("lower")
    if asked.unpaired:
        unknown = f"{asked.option('missing', 'at-random')} leaves them out"
        found = unpaired_differences(
            scores.values[primary], primary, baseline=baseline, margin=margin, unknown=None if missing else unknown
        )
        effects: list[FactorEffect] = []
    else:
        stopping = Extended() if options.get("looked") else None
        lost = {
            name: _lost(of, missing, asked, lower=lower if name == primary else None)
            for name, of in scores.values.items()
        }
        found = [
            one
            for name in (primary, *(name for name in scores.values if name != primary))
            for one in differences(
                scores.values[name],
                name,
                primary=name == primary,
                baseline=baseline,
                margin=margin if name == primary else None,
                lost=lost[name],
                stopping=stopping,
            )
        ]
        crossed = Crossed.whole(scores.factors, {cell: arm for arm, cell in scores.cells.items()})
        effects = (
            []
            if crossed is None
            else factor_effects(
                crossed, scores.values[primary], primary, lost=lost[primary], margin=margin, stopping=stopping
            )
        )
    return Judgement(
        name=Path(table.name).name,
        scores=scores,
        primary=primary,
        found=found,
        warnings=_warnings(scores, primary, found, asked, factors=bool(effects)),
        effects=effects,
        baseline=baseline,
        margin=margin,
        lower=lower,
    )


def same_arm(given: str, arms: Sequence[str]) -> str:
    """The arm that is meant: its name, or the same numbers written otherwise; else what was given.

    >>> same_arm("dropout=0", ["dropout=0.0", "dropout=0.5"]), same_arm("0.50", ["dropout=0.0", "dropout=0.5"])
    ('dropout=0.0', 'dropout=0.5')
    """
    if given in arms:
        return given
    meant = [arm for arm in arms if _alike(given.split(), arm.split())]
    return meant[0] if len(meant) == 1 else given


def _alike(given: Sequence[str], arm: Sequence[str]) -> bool:
    def same(one: str, other: str) -> bool:
        name, _, value = one.rpartition("=")
        known, _, number = other.rpartition("=")
        try:
            return name in ("", known) and (value == number or float(value) == float(number))
        except ValueError:
            return False

    return len(given) == len(arm) and all(map(same, given, arm))


def _check(name: str, scores: Scores, asked: Asked, options: Options, baseline: str | None) -> None:
    metrics, arms, option = list(scores.values), scores.arms, asked.option
    margin, missing = options.get("margin"), options.get("missing")
    mistakes = []
    if asked.metric is not None and asked.metric not in metrics:
        mistakes.append(f"{option('metric', asked.metric)} is no column of {name}: {near_miss(asked.metric, metrics)}")
    if baseline is not None and baseline not in arms:
        mistakes.append(f"{option('baseline', baseline)} is no arm of {name}: {near_miss(baseline, arms)}")
    if margin is not None and not 0 < margin < float("inf"):
        mistakes.append(f"{option('margin', margin)} is not allowed: margin is a finite number above 0")
    if missing is not None and missing not in MISSING:
        mistakes.append(f"{option('missing', missing)} is not allowed: {near_miss(missing, MISSING)}")
    worst = option("missing", "worst")
    if missing == "worst" and options.get("lower") is None:
        mistakes.append(f"{worst} needs to know which scores are better: add {option('lower')} or {option('higher')}")
    if asked.unpaired and (missing == "worst" or options.get("looked")):
        mistakes.append(
            f"{option('unpaired')} goes with neither {worst} nor {option('looked')}: these are for scores in pairs"
        )
    if mistakes:
        raise SettingsError(mistakes)


def _warnings(scores: Scores, primary: str, found: Sequence[Difference], asked: Asked, *, factors: bool) -> list[str]:
    warnings, pairs, seeds = [], sum(one.metric == primary for one in found), len(scores.seeds)
    if not asked.unpaired and pairs and too_few(seeds, pairs):
        warnings.append(f"{seeds_needed_by(pairs)}; there {'is' if seeds == 1 else 'are'} {seeds}")
    if scores.factors and not factors:
        each = " x ".join(scores.factors)
        why = "the scores are unpaired" if asked.unpaired else f"not every combination of {each} is there"
        warnings.append(f"no effect of a factor is told, as {why}: pairs of arms alone are")
    for arm, column in scores.values[primary].items() if not asked.unpaired else ():
        gone = sum(value is None for value in column)
        if gone:
            warnings.append(f"{arm}: {seeds_with(gone, seeds)} no {primary}; its mean is over the others")
    return warnings


def _lost(columns: Mapping[str, Values], missing: str | None, asked: Asked, *, lower: bool | None) -> Lost | None:
    """The scores that are missing, and what they count as."""
    if missing == "at-random":
        return None
    gone = {arm: [one is None for one in of] for arm, of in columns.items()}
    direction: Direction | None = None if missing is None or lower is None else "lower" if lower else "higher"
    option = asked.option
    unknown = (
        f"nobody said why: {option('missing', 'worst')} counts it as the worst (add {option('lower')} where lower "
        f"scores are better, else {option('higher')}), {option('missing', 'at-random')} leaves its seed out"
    )
    return Lost(gone, direction, told="no score of one arm", unknown=unknown, both="both arms have no score")
