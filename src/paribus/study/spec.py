"""A study as one typed value: the command line, a file and Python all build it. It looks at neither data nor disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError, ValidationInfo, field_validator

from paribus.config.overrides import Listed, Mistakes, SettingsError, near_miss
from paribus.config.user_code import UserDefined
from paribus.config.values import Value, cores, format_value, plain_number, told_as
from paribus.execution.choice import is_local, mistake
from paribus.records.claims import Claim
from paribus.records.metrics import (
    JITTERS,
    MEASURED,
    METERS,
    OF_NUMBERS,
    PRIMARY,
    TIMES,
    TO_TARGET,
    Metric,
    metric_named,
    selection_metric,
    split_of,
)
from paribus.records.record import Target
from paribus.study import kinds
from paribus.study.arms import Design, Given, checked_seeds, design
from paribus.study.names import called, default_name, folder_name, tasks_of
from paribus.study.table_metrics import NAME as RECALL
from paribus.study.table_metrics import recall_of
from paribus.study.tuning import Tune, TuneOptions, make_tune

T = TypeVar("T")

KEEPABLE = frozenset({"weights", "predictions", "best"})
CHECKPOINT_SECONDS = 120.0
_KEEP = "allowed is weights, predictions, best, or some with a comma"


class StudySpec(BaseModel):
    """What a study is: its arms and seeds, where its records go, and how its runs are carried out and judged.

    `keep`: what records hold beside the curve (`weights`, `predictions`, `best`); `metrics`: the user's own, beside
    loss and accuracy, and `measured`: what each of them measures; `jobs`: how many runs train at once, None for one, or
    of those of the fused engine as many as there are cores; `timing`: each run alone in a process of its own, so that
    its seconds can be compared; `tune`: first choose values for each arm; `hidden_test`: the test split is not looked
    at; `checkpoint_seconds`: how often a long run's state is kept, to go on from after an interruption; `fresh`:
    what the folder holds is set aside, and all is trained anew; `timeout`: a run that takes more seconds is ended, and
    failed; `least`: after so many seeds the study may be decided,
    and then ends, None where all are trained.

    `executor`: where runs are carried out, as text (`execution.choice`) or an object; None in this process, or in
    `jobs` of this machine.

    A field's check may use the fields above it.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    design: InstanceOf[Design]
    seeds: list[int] = Field(description="seeds is a list of whole numbers")
    folder: Path = Field(description="out is a path")
    name: str = Field(description="name is text")
    metrics: tuple[InstanceOf[UserDefined], ...] = ()
    measured: tuple[InstanceOf[Metric], ...] = ()
    timing: bool = Field(default=False, description="timing is true or false")
    metric: str = Field(default=PRIMARY[0], description="metric is the name of a metric")
    keep: frozenset[str] = Field(default=frozenset(), description="keep is names with a comma, or a list of them")
    jobs: int | None = Field(default=None, gt=0, description="jobs is a whole number above 0")
    target: InstanceOf[Target] | None = Field(default=None, description="target is METRIC=VALUE")
    baseline: str | None = Field(default=None, description="baseline is the name of an arm")
    margin: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="margin is a finite number above 0"
    )
    command: str = ""
    tune: InstanceOf[Tune] | None = None
    hidden_test: bool = False
    checkpoint_seconds: float = Field(default=CHECKPOINT_SECONDS, gt=0, description="it is a number of seconds above 0")
    fresh: bool = Field(default=False, description="fresh is true or false")
    claims: tuple[InstanceOf[Claim], ...] = ()
    timeout: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="timeout is a number of seconds above 0"
    )
    least: int | None = Field(default=None, description="the least number of seeds is a whole number")
    executor: Any = None

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: list[int]) -> list[int]:
        return checked_seeds(seeds)

    @field_validator("metrics")
    @classmethod
    def _metrics(cls, metrics: tuple[UserDefined, ...], info: ValidationInfo) -> tuple[UserDefined, ...]:
        made: Design | None = info.data.get("design")
        numbers = any(one.task.regression for one in made.networks) if made else False
        taken = {"seconds", *MEASURED, *(split_of(name)[1] for name in JITTERS)}
        return _unless(
            metrics,
            [
                *(
                    f"metric {one.name!r} is not allowed: a metric's name is one word, and not loss or accuracy"
                    for one in metrics
                    if not one.name.isidentifier() or one.name in taken
                ),
                *(
                    f"metric {one.name!r} is not allowed: {one.name} of numbers to predict is measured already; give "
                    "yours another name"
                    for one in metrics
                    if one.name in OF_NUMBERS and one.name not in taken and numbers
                ),
            ],
        )

    @field_validator("metric")
    @classmethod
    def _metric(cls, metric: str, info: ValidationInfo) -> str:
        mistakes = []
        made: Design | None = info.data.get("design")
        losses = dict.fromkeys(told_as(str(one.told_loss)) for one in made.networks) if made else {}
        if split_of(metric)[1] == "loss" and len(losses) > 1:
            shared = f", as --metric {PRIMARY[1]}" if "cross_entropy" not in losses else ""
            mistakes.append(
                f"--metric {metric} compares losses that are different things ({', '.join(losses)}): give one that all "
                f"arms share{shared}"
            )
        if metric in TO_TARGET:
            mistakes.append(
                f"--metric {metric} cannot be the primary one: a run that never reaches the target has none. Give "
                "--target alone: it is judged by ranks, in which never is later than any epoch"
            )
        if metric in (*TIMES, *METERS) and not info.data.get("timing"):
            mistakes.append(f"--metric {metric} needs --timing: it counts only of a run that had the machine to itself")
        return _unless(metric, mistakes)

    @field_validator("keep")
    @classmethod
    def _keep(cls, keep: frozenset[str]) -> frozenset[str]:
        unknown = sorted(keep - KEEPABLE)
        return _unless(keep, [f"--keep {','.join(unknown)} is not allowed: {_KEEP}"] if unknown else [])

    @field_validator("jobs")
    @classmethod
    def _jobs(cls, jobs: int | None, info: ValidationInfo) -> int | None:
        mistakes = []
        if info.data.get("timing") and (jobs or 1) > 1:
            mistakes.append(f"--jobs {jobs} and --timing exclude each other: a timed run has the machine to itself")
        made: Design | None = info.data.get("design")
        threads = max((arm.settings.threads for arm in made.arms), default=1) if made else 1
        if min(jobs or 1, threads) > 1 and (jobs or 1) * threads > cores():
            mistakes.append(
                f"--jobs {jobs} with threads={threads} asks for {(jobs or 1) * threads} threads of {cores()} cores, "
                "which is several times slower than either alone: give threads=1, or no --jobs"
            )
        return _unless(jobs, mistakes)

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if not name.strip():
            raise SettingsError([f"--name {name!r} is blank: a study's name has a sign that can be seen"])
        try:
            name.encode()
        except UnicodeEncodeError:
            raise SettingsError(["--name is no text in this terminal's encoding: write it in UTF-8"]) from None
        return name

    @field_validator("design")
    @classmethod
    def _design(cls, design: Design) -> Design:
        blank = [arm.name for arm in design.arms if not arm.name.strip()]
        if blank and len(design.arms) > 1:
            raise SettingsError([f"an arm has the name {blank[0]!r}: give it one with a sign that can be seen"])
        if unseen := [arm.name for arm in design.arms if kinds.plain(arm.name) != arm.name]:
            raise SettingsError([f"the name {unseen[0]!r} of an arm has a control character: take it out"])
        return design

    @field_validator("target")
    @classmethod
    def _target(cls, target: Target | None, info: ValidationInfo) -> Target | None:
        mine = own_metrics(info.data.get("measured", ()))
        what = split_of(target.metric)[1] if target is not None else ""
        if target is not None and target.direction is None and what in mine:
            raise SettingsError([no_direction(f"--target {target}", mine[what])])
        return target

    @field_validator("baseline")
    @classmethod
    def _baseline(cls, baseline: str | None, info: ValidationInfo) -> str | None:
        arms = _arms(info)
        if not arms or baseline is None or baseline in arms:
            return baseline
        made: Design = info.data["design"]
        labels = made.apart_from_tasks  # of several tasks, each has its own
        named = baseline if baseline in labels else made.named_by(baseline)
        if named is None:
            raise SettingsError([f"--baseline {baseline} is no arm: {near_miss(baseline, [*arms, *labels])}"])
        return str(named)

    @field_validator("margin")
    @classmethod
    def _margin(cls, margin: float | None, info: ValidationInfo) -> float | None:
        primary = metric_named(info.data.get("metric", ""), own_metrics(info.data.get("measured", ())))
        if margin is not None and margin >= 1 and primary.unit == "share":
            raise SettingsError(
                [f"--margin {margin:g} is not allowed: accuracies are shares from 0 to 1, and one point is 0.01"]
            )
        return margin

    @field_validator("target")
    @classmethod
    def _target_is_a_share(cls, target: Target | None, info: ValidationInfo) -> Target | None:
        own = own_metrics(info.data.get("measured", ()))
        if target is not None and metric_named(target.metric, own).unit == "share" and not 0 <= target.value <= 1:
            raise SettingsError([f"--target {target} is not allowed: accuracies are shares from 0 to 1, 95 % is 0.95"])
        return target

    @field_validator("claims")
    @classmethod
    def _claims(cls, claims: tuple[Claim, ...], info: ValidationInfo) -> tuple[Claim, ...]:
        arms, own = _arms(info), own_metrics(info.data.get("measured", ()))
        shares = [
            f"claim {claim.id}: {key} = {value:g} of {one.metric} is not allowed: accuracies are shares from 0 to 1"
            for claim in claims
            for one in claim.conditions
            if metric_named(one.metric, own).unit == "share"
            for key, value in (
                ("at_least", one.at_least),
                ("at_most", one.at_most),
                ("by", one.by),
                ("margin", one.margin),
            )
            if value is not None and not -1 <= value <= 1
        ]
        if shares:
            raise SettingsError(shares)
        return _unless(
            claims,
            (
                f"claim {claim.id} speaks of {name!r}, which is no arm: {near_miss(name, arms)}"
                for claim in claims
                for name in dict.fromkeys(name for one in claim.conditions for name in one.arms)
                if arms and name not in arms
            ),
        )

    @field_validator("least")
    @classmethod
    def _least(cls, least: int | None, info: ValidationInfo) -> int | None:
        most, made = len(info.data.get("seeds", ())), info.data.get("design")
        if least is not None and made and any(arm.settings.split == "by_seed" for arm in made.arms):
            raise SettingsError(
                [
                    f"--seeds {least}..{most} and split=by_seed exclude each other: seeds that share examples are not "
                    f"independent, as a test of seeds until decided needs; take split=fixed, or --seeds {most}"
                ]
            )
        if least is not None and len(_arms(info)) == 1:
            raise SettingsError(
                [f"--seeds {least}..{most} is for two arms or more: it ends when their differences are decided"]
            )
        return least

    @field_validator("executor")
    @classmethod
    def _executor(cls, executor: Any, info: ValidationInfo) -> Any:
        if executor is None:
            return None
        mistakes, jobs, timeout = [], info.data.get("jobs"), info.data.get("timeout")
        if wrong := mistake(executor):
            mistakes.append(wrong)
        if info.data.get("timing"):
            mistakes.append(
                "--timing and --executor exclude each other: seconds are compared of runs that had one and the same "
                "machine to themselves; leave one of them out"
            )
        if jobs is not None and not is_local(executor):
            mistakes.append(
                f"--jobs {jobs} has no effect with this --executor, which has as many workers as it was given; leave "
                "it out, or take --executor dask:local"
            )
        if timeout is not None:
            mistakes.append(
                f"--timeout {timeout:g} cannot be had with --executor: a process of another program's is not Paribus's "
                "to end; set the limit there, as SLURM's --time, or leave it out"
            )
        return _unless(executor, mistakes)

    def replaced(self, **changes: Any) -> StudySpec:
        """The same study but for these fields, checked again."""
        given = {**{name: getattr(self, name) for name in StudySpec.model_fields}, **changes}
        try:
            return StudySpec(**given)
        except ValidationError as error:
            raise SettingsError(_explained(error, given)) from None


class PlainOptions(TypedDict, total=False):
    """What may be given beside arms and seeds, and is of one type wherever it comes from. `budget` and
    `tune_seeds`: how many candidates are drawn, and on how many seeds values are chosen; `tune_repeats`: how often the
    whole tuning is done; `tune_sampler`: who proposes candidates."""

    name: str | None
    metric: str | None
    jobs: int | None
    timing: bool
    baseline: str | None
    margin: float | None
    budget: int | None
    tune_seeds: int
    tune_repeats: int
    tune_sampler: str | None
    checkpoint_seconds: float
    fresh: bool
    timeout: float | None
    executor: Any


class StudyOptions(PlainOptions, total=False):
    """All that may be given. `out`: the folder; `tune`: settings and their candidates, or a range of them as text."""

    command: str
    out: Path | None
    keep: frozenset[str]
    target: Target | None
    tune: Sequence[Listed[Value]]
    metrics: tuple[UserDefined, ...]
    measured: tuple[Metric, ...]
    claims: tuple[Claim, ...]


def keep_of(given: object) -> frozenset[str]:
    """What is kept, from text as on the command line (`weights,best`) or names; SettingsError for anything else.

    >>> sorted(keep_of("weights,best")), keep_of(["weights"]), keep_of(None)
    (['best', 'weights'], frozenset({'weights'}), frozenset())
    """
    if isinstance(given, str):
        return frozenset(given.split(",")) if given else frozenset()
    if isinstance(given, Iterable) or given is None:
        names = list(given or ())
        if all(isinstance(name, str) for name in names):
            return frozenset(names)
    raise SettingsError([f"--keep {given!r} is not allowed: {_KEEP}"])


def target_of(text: str, measured: Iterable[Metric] = ()) -> Target:
    """From `test_accuracy=0.9`. `measured`: the user's own metrics."""
    try:
        return Target.parse(text, own_metrics(measured))
    except ValueError:
        column = "" if "=" in text else f"; the column of a table that is to be predicted is a setting: target={text}"
        column += f", in Python data(FILE, target={text!r})" if column else ""
        raise SettingsError(
            [f"--target {text} is not allowed: target is METRIC=VALUE, as in test_accuracy=0.9{column}"]
        ) from None


def request(
    task: str,
    words: Sequence[str],
    *,
    compare: bool,
    seeds: Sequence[int] | None,
    given: Mapping[str, Sequence[Given]] | None = None,
    mistakes: Iterable[str] = (),
    **options: Unpack[StudyOptions],
) -> StudySpec:
    """The study that a task's name and settings describe. `given`: as for `design`; the rest as for `make_request`.

    >>> spec = request("moons", ["lr=0.1,0.01"], compare=True, seeds=[3, 5], jobs=1)
    >>> len(spec.design.arms), spec.seeds, spec.name
    (2, [3, 5], 'moons lr=0.1,0.01')
    """

    def made() -> Design:
        found = design(task, words, given)
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

    tuned = [f"tune:{key}={','.join(map(format_value, values))}" for key, values in options.get("tune", ())]
    budget = [f"budget={options['budget']}"] if options.get("budget") else []
    budget += [f"tune_sampler={options['tune_sampler']}"] if options.get("tune_sampler") else []
    named = [
        f"{key}={','.join(called(_named(one)) if key == 'task' else _named(one) for one in values)}"
        for key, values in (given or {}).items()
    ]
    default = default_name(",".join(map(called, tasks_of(task))), [*named, *words, *tuned, *budget])
    return make_request(made, default, seeds=seeds, mistakes=mistakes, **options)


def loop_request(
    make_design: Callable[[], Design],
    default: str,
    *,
    seeds: Sequence[int] | None,
    compare: bool = True,
    mistakes: Iterable[str] = (),
    **options: Unpack[StudyOptions],
) -> StudySpec:
    """The study of a loop of the user's own. `default`: its name; the rest as for `make_request`."""

    keep = options.get("keep")
    asked = {
        "--tune": options.get("tune"),
        f"--keep {','.join(sorted(keep or ()))}": keep,
        f"--target {options.get('target')}": options.get("target"),
        "metrics": options.get("metrics"),
    }
    refused = [
        f"{what} is for networks that Paribus trains: a loop of your own reports what is to be known of it, by "
        "run.log(...) or what it returns"
        for what, given in asked.items()
        if given
    ]
    if options.get("metric") is None:
        refused.append("metric is missing: name the number that your loop reports and is judged by, as in val_loss")
    mistakes, options["tune"] = [*mistakes, *refused], ()

    def made() -> Design:
        found = make_design()
        if compare and len(found.arms) < 2:
            raise SettingsError(["compare needs at least two arms: list values, as in lr=0.1,0.01, or use `train`"])
        if not compare and len(found.arms) > 1:
            raise SettingsError([f"train takes one arm, this is {len(found.arms)}: use `compare`"])
        return found

    return make_request(made, default, seeds=seeds, mistakes=mistakes, **options)


def make_request(
    make_design: Callable[[], Design],
    default: str,
    *,
    seeds: Sequence[int] | None,
    mistakes: Iterable[str] = (),
    **options: Unpack[StudyOptions],
) -> StudySpec:
    """A study from its parts; SettingsError with what is wrong in any of them.

    `seeds`: None where what was given is none, which stands in `mistakes`: those that were found in reading text, to be
    said with the others. `default`: the study's name where none is given.
    """
    found = Mistakes(mistakes)
    given: dict[str, Any] = {option: plain_number(value) for option, value in options.items()}
    tune, wanted = given.pop("tune", ()), _tune_options(given)
    with found.noted():
        given["design"] = make_design()
    if "design" in given:
        _add_recall(given)
    of_numbers = [one.task.regression for one in given["design"].networks] if "design" in given else []
    numbers = bool(of_numbers) and all(of_numbers)
    if any(of_numbers):
        given |= _of_numbers(given, alone=numbers)
    if given.get("metric") is None and any(of_numbers) and not numbers:
        found.append(
            "tasks with classes and with numbers to predict have neither accuracy nor rmse in common: make a study "
            "of each, or give a --metric of your own that all have"
        )
    if given.get("metric") is None:
        given["metric"] = PRIMARY[numbers]
    if seeds is not None:
        given |= {"seeds": list(seeds), "least": getattr(seeds, "least", None)}
    if tune and "design" in given and seeds is not None:
        mine = own_metrics(given.get("measured", ()))
        with found.noted():
            metric = selection_metric(str(given["metric"]), mine, regression=numbers)
            if metric.direction is None:
                raise SettingsError([no_direction("--tune", metric)])
            given["tune"] = make_tune(given["design"], tune, wanted, compared=seeds, metric=metric)
    if not tune:
        found += [
            f"--{option} {value} has no effect without --tune: it is {what}"
            for option, value, what in (
                ("budget", wanted.budget, "the number of candidates"),
                ("sampler", wanted.sampler, "who proposes candidates"),
                ("tune-repeats", None if wanted.repeats == 1 else wanted.repeats, "how often the whole tuning is done"),
            )
            if value is not None
        ]
    given["name"] = name = default if given.get("name") is None else given["name"]
    folder = given.pop("out", None)
    given["folder"] = Path("runs") / folder_name(str(name)) if folder is None else folder
    try:
        spec = StudySpec(**given)
    except ValidationError as error:
        if not found and not _explained(error, given):
            raise  # a part is missing, and nothing says why
        raise SettingsError([*found, *_explained(error, given)]) from None
    if found:
        raise SettingsError(found)
    return spec


def _tune_options(given: dict[str, Any]) -> TuneOptions:
    """Taken out of what is given; what is not given has its default."""
    names = {"budget": "budget", "seeds": "tune_seeds", "repeats": "tune_repeats", "sampler": "tune_sampler"}
    return TuneOptions(**{name: given.pop(option) for name, option in names.items() if option in given})


def _add_recall(given: dict[str, Any]) -> None:
    """Of a table, recall of its rarest class is measured too, unless the user has a metric of that name."""
    found = recall_of(given["design"])
    if found is None or any(one.name == RECALL for one in given.get("metrics", ())):
        return
    function, metric = found
    given["metrics"] = (*given.get("metrics", ()), function)
    given["measured"] = (*given.get("measured", ()), metric)
    target: Target | None = given.get("target")
    if target is not None and split_of(target.metric)[1] == RECALL and target.direction is None:
        given["target"] = replace(target, direction=metric.direction)


def _of_numbers(given: Mapping[str, Any], *, alone: bool) -> dict[str, Any]:
    """What is measured of numbers to predict, and a target of one of these with its direction. `alone`: no task has
    classes."""
    built_in = tuple(one for one in OF_NUMBERS.values() if alone or one.name not in MEASURED)
    found: dict[str, Any] = {"measured": (*built_in, *given.get("measured", ()))}
    if isinstance(target := given.get("target"), Target) and target.direction is None:
        found["target"] = Target.parse(str(target), own_metrics(found["measured"]))
    return found


def own_metrics(measured: Iterable[Metric]) -> dict[str, Metric]:
    """The user's own metrics by name."""
    return {metric.name: metric for metric in measured}


def no_direction(asked: str, metric: Metric) -> str:
    """What is wrong where the direction of the user's own metric matters and was not said."""
    name = split_of(metric.name)[1]
    return (
        f"{asked} needs to know which values of {name} are better: give "
        f'metrics={{"{name}": paribus.metric(f, lower=True)}} or higher=True'
    )


def _explained(error: ValidationError, given: Mapping[str, Any]) -> list[str]:
    """A study's mistakes in words. A field that is missing is one whose own mistakes are known already."""
    lines: list[str] = []
    for problem in error.errors():
        field = str(problem["loc"][0])
        cause = problem.get("ctx", {}).get("error")
        if isinstance(cause, SettingsError):
            lines += cause.mistakes
        elif problem["type"] != "missing":
            option = {"folder": "out", "checkpoint_seconds": "checkpoint-every"}.get(field, field)
            value = given[field]
            shown = f"{value:g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)
            lines.append(f"--{option} {shown} is not allowed: {StudySpec.model_fields[field].description}")
    return lines


def _arms(info: ValidationInfo) -> list[str]:
    made: Design | None = info.data.get("design")
    return [arm.name for arm in made.arms] if made else []


def _unless(value: T, mistakes: Iterable[str]) -> T:
    if found := list(mistakes):
        raise SettingsError(found)
    return value


def _named(thing: Given) -> str:
    return thing.name if isinstance(thing, UserDefined) else format_value(thing)
