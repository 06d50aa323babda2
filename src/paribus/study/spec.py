"""From a command to a request: what is checked without looking at data or disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paribus.config.overrides import SettingsError, near_miss
from paribus.config.user_code import UserDefined
from paribus.config.values import cores
from paribus.records.claims import Claim
from paribus.records.metrics import (
    JITTERS,
    MEASURED,
    METERS,
    TIMES,
    TO_TARGET,
    Metric,
    metric_named,
    selection_metric,
    split_of,
)
from paribus.records.record import Target
from paribus.study.arms import Design, design, parse_seeds
from paribus.study.names import default_name, folder_name
from paribus.study.tuning import Tune, make_tune

DEFAULT_METRIC = "test_accuracy"
KEEPABLE = frozenset({"weights", "predictions", "best"})
CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True)
class Request:
    """What a command asks for.

    `keep`: what records hold beside the curve (`weights`, `predictions`, `best`); `metrics`: the user's own, beside
    loss and accuracy, and `measured`: what each of them measures; `jobs`: how many runs train at once, None for one, or
    of those of the fused engine as many as there are cores; `timing`: each run alone in a process of its own, so that
    its seconds can be compared; `tune`: first choose values for each arm; `hidden_test`: the test split is not looked
    at; `checkpoint_seconds`: how often a long run's state is kept, to go on from after an interruption.
    """

    design: Design
    seeds: list[int]
    folder: Path
    name: str
    metric: str = DEFAULT_METRIC
    keep: frozenset[str] = frozenset()
    jobs: int | None = None
    timing: bool = False
    target: Target | None = None
    baseline: str | None = None
    margin: float | None = None
    command: str = ""
    tune: Tune | None = None
    hidden_test: bool = False
    metrics: tuple[UserDefined, ...] = ()
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    claims: tuple[Claim, ...] = ()
    measured: tuple[Metric, ...] = ()


@dataclass(frozen=True)
class Options:
    """A command's options as they were typed."""

    seeds: str = "3"
    name: str | None = None
    out: Path | None = None
    metric: str = DEFAULT_METRIC
    keep: str | None = None
    jobs: int | None = None
    timing: bool = False
    target: str | None = None
    baseline: str | None = None
    margin: float | None = None
    command: str = ""
    tune: Sequence[str] = ()
    budget: int | None = None
    tune_seeds: int = 3
    metrics: tuple[UserDefined, ...] = ()
    checkpoint_every: float = CHECKPOINT_SECONDS
    claims: tuple[Claim, ...] = ()
    measured: tuple[Metric, ...] = ()


def request(
    task: str,
    words: Sequence[str],
    options: Options,
    *,
    compare: bool,
    own: Mapping[str, Sequence[UserDefined | str]] | None = None,
) -> Request:
    """The request that a command makes; SettingsError with all of its mistakes. `own`: as for `design`."""

    def made() -> Design:
        found = design(task, words, own)
        if compare and len(found.arms) < 2:
            raise SettingsError(
                ["compare needs at least two arms: list values with a comma, as in lr=0.1,0.01, or use `paribus train`"]
            )
        if not compare and len(found.arms) > 1:
            vary = ", ".join(found.factors)
            raise SettingsError(
                [f"train takes one arm, this is {len(found.arms)} ({vary} vary): use `paribus compare`"]
            )
        return found

    tuned = [f"tune:{word}" for word in options.tune] + ([f"budget={options.budget}"] if options.budget else [])
    named = [f"{kind}={','.join(map(_named, things))}" for kind, things in (own or {}).items()]
    return make_request(made, default_name(task, [*named, *words, *tuned]), options)


def make_request(make_design: Callable[[], Design], default: str, options: Options) -> Request:
    """A request from its parts; SettingsError with what is wrong in any of them."""
    mistakes: list[str] = []
    made: Design | None = None
    numbers: list[int] = []
    try:
        made = make_design()
    except SettingsError as error:
        mistakes += error.mistakes
    try:
        numbers = parse_seeds(options.seeds)
    except SettingsError as error:
        mistakes += error.mistakes
    kept = frozenset(options.keep.split(",")) if options.keep else frozenset()
    if unknown := sorted(kept - KEEPABLE):
        mistakes.append(
            f"--keep {','.join(unknown)} is not allowed: allowed is weights, predictions, best, or some with a comma"
        )
    if not options.checkpoint_every > 0:
        mistakes.append(
            f"--checkpoint-every {options.checkpoint_every:g} is not allowed: it is a number of seconds above 0"
        )
    if options.jobs is not None and options.jobs < 1:
        mistakes.append(f"--jobs {options.jobs} is not allowed: jobs is a whole number above 0")
    if options.timing and (options.jobs or 1) > 1:
        mistakes.append(f"--jobs {options.jobs} and --timing exclude each other: a timed run has the machine to itself")
    if options.margin is not None and not (math.isfinite(options.margin) and options.margin > 0):
        mistakes.append(f"--margin {options.margin:g} is not allowed: margin is a finite number above 0")
    mine = {metric.name: metric for metric in options.measured}
    if options.margin is not None and options.margin >= 1 and metric_named(options.metric, mine).unit == "share":
        mistakes.append(
            f"--margin {options.margin:g} is not allowed: accuracies are shares from 0 to 1, and one point is 0.01"
        )
    target: Target | None = None
    try:
        target = None if options.target is None else Target.parse(options.target, mine)
    except ValueError:
        mistakes.append(f"--target {options.target} is not allowed: target is METRIC=VALUE, as in test_accuracy=0.9")
    if target is not None and target.direction is None and split_of(target.metric)[1] in mine:
        mistakes.append(no_direction(f"--target {target}", mine[split_of(target.metric)[1]]))
    if options.metric in TO_TARGET:
        mistakes.append(
            f"--metric {options.metric} cannot be the primary one: a run that never reaches the target has none. Give "
            "--target alone: it is judged by ranks, in which never is later than any epoch"
        )
    if options.metric in (*TIMES, *METERS) and not options.timing:
        mistakes.append(
            f"--metric {options.metric} needs --timing: it counts only of a run that had the machine to itself"
        )
    arms = [arm.name for arm in made.arms] if made else []
    if made and options.baseline is not None and options.baseline not in arms:
        mistakes.append(f"--baseline {options.baseline} is no arm: {near_miss(options.baseline, arms)}")
    jobs, threads = options.jobs or 1, max((arm.settings.threads for arm in made.arms), default=1) if made else 1
    if min(jobs, threads) > 1 and jobs * threads > cores():
        mistakes.append(
            f"--jobs {jobs} with threads={threads} asks for {jobs * threads} threads of {cores()} cores, "
            "which is several times slower than either alone: give threads=1, or no --jobs"
        )
    for claim in options.claims:
        for name in dict.fromkeys(name for one in claim.conditions for name in one.arms if made and name not in arms):
            mistakes.append(f"claim {claim.id} speaks of {name!r}, which is no arm: {near_miss(name, arms)}")
    tune: Tune | None = None
    if options.tune and made and numbers:
        try:
            metric = selection_metric(options.metric, mine)
            if metric.direction is None:
                raise SettingsError([no_direction("--tune", metric)])
            tune = make_tune(made, options.tune, options.budget, options.tune_seeds, numbers, metric)
        except SettingsError as error:
            mistakes += error.mistakes
    if not options.tune and options.budget is not None:
        mistakes.append(f"--budget {options.budget} has no effect without --tune: it is the number of candidates")
    taken = {"seconds", *MEASURED, *(split_of(name)[1] for name in JITTERS)}
    for own in options.metrics:
        if not own.name.isidentifier() or own.name in taken:
            mistakes.append(
                f"metric {own.name!r} is not allowed: a metric's name is one word, and not loss or accuracy"
            )
    if made is None or mistakes:
        raise SettingsError(mistakes)
    name = options.name if options.name is not None else default
    return Request(
        made, numbers, options.out if options.out is not None else Path("runs") / folder_name(name), name,
        options.metric, kept, options.jobs, options.timing, target, options.baseline, options.margin, options.command,
        tune, metrics=options.metrics, checkpoint_seconds=options.checkpoint_every,
        claims=options.claims, measured=options.measured,
    )  # fmt: skip


def no_direction(asked: str, metric: Metric) -> str:
    """What is wrong where the direction of the user's own metric matters and was not said."""
    name = split_of(metric.name)[1]
    return (
        f"{asked} needs to know which values of {name} are better: give "
        f'metrics={{"{name}": paribus.metric(f, lower=True)}} or higher=True'
    )


def _named(thing: UserDefined | str) -> str:
    return thing if isinstance(thing, str) else thing.name
