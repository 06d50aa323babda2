"""A study as a TOML file: the same description as a command's words.

name = "moons"            # optional; the file's name
task = "moons"
seeds = 10                # or a list: [3, 5, 8], or until all is decided: "6..40"
metric = "test_accuracy"  # optional, as are timing = true, jobs = 2, keep = ["weights"]
executor = "dask:local"   # optional: where runs are carried out (execution/choice.py)

[settings]                # the same in every arm
epochs = 1500

[factors]                 # every combination of these is an arm
lr = [0.1, 0.01]

[tune]                    # optional: each arm at its own best value; with budget and tune_seeds, _repeats, _sampler
lr = "1e-5:1e-1:9"

[[arms]]                  # instead of factors, or as well: arms by name
name = "the report's NumPy"
sampler = "replacement"

[[claims]]                # optional: what was concluded, to be judged (records/claims.py lists the kinds of condition)
id = "C1"
claim = "0.1 is better than 0.01"
[[claims.conditions]]
metric = "test_accuracy"
higher = "lr=0.1"
lower = "lr=0.01"
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from paribus.backends.dispatch import resolve
from paribus.config.overrides import Listed, Mistakes, SettingsError, full_name, near_miss
from paribus.config.plugins import brought
from paribus.config.registries import REGISTRIES
from paribus.config.values import Value, format_overrides, listed_values
from paribus.records.claims import Claim
from paribus.study.arms import RANGE, Arm, Design, Given, distinct, left_open, seeds_of
from paribus.study.named import implementation
from paribus.study.spec import StudySpec, make_request, target_of
from paribus.tasks.table import opened

_MOST_BYTES = 1_000_000

Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]


class StudyFile(BaseModel):
    """What a file may hold; each key's description is what a message says of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task: str = Field(description="the name of a task")
    name: str | None = Field(None, description="text")
    seeds: Whole | list[Whole] | Annotated[str, Field(pattern=RANGE)] = Field(
        3, description="a number of seeds or a list of them, or as in 6..40"
    )
    metric: str | None = Field(None, description="the name of a metric")
    target: str | None = Field(None, description="METRIC=VALUE, as in test_accuracy=0.9")
    baseline: str | None = Field(None, description="the name of an arm")
    margin: Number | None = Field(None, description="a number")
    timing: bool | None = Field(None, description="true or false")
    jobs: Whole | None = Field(None, description="a whole number")
    executor: str | None = Field(None, description="dask:local, dask:tcp://HOST:PORT or dask:FILE, a scheduler file")
    budget: Whole | None = Field(None, description="a whole number")
    tune_seeds: Whole | None = Field(None, description="a whole number")
    tune_repeats: Whole | None = Field(None, description="a whole number")
    tune_sampler: str | None = Field(None, description="the name of a sampler")
    keep: list[str] = Field([], description='a list of "weights", "predictions" and "best"')
    checkpoint_every: Number | None = Field(None, description="a number of seconds")
    settings: dict[str, Any] = Field({}, description="a table of settings")
    factors: dict[str, Any] = Field({}, description="a table of settings, each with a list of values")
    tune: dict[str, Any] = Field(
        {}, description='a table of settings, each with a range ("1e-5:1e-1:9") or a list of values'
    )
    arms: list[Any] | None = Field(None, description="tables, each with a name and settings")
    claims: list[Any] = Field([], description="tables, each with an id, a claim and conditions")
    reduced: bool = Field(default=False, description="true or false")

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> StudyFile:
        """A file's keys and values, checked; SettingsError with every mistake."""
        try:
            return cls(**facts)
        except ValidationError as error:
            raise SettingsError(_mistake(problem, facts) for problem in error.errors()) from None


def read_file(path: Path, out: Path | None = None, command: str = "", seeds: Sequence[int] | None = None) -> StudySpec:
    """The study that a file describes, on other seeds if they are given; SettingsError with all that is wrong."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SettingsError([f"{path} has {path.stat().st_size} bytes: a study file has at most {_MOST_BYTES}"])
        text = path.read_bytes()
    except OSError as error:
        raise SettingsError([f"{path} cannot be read: {error.strerror}"]) from None
    try:
        facts = tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, too deep, or a number of thousands of digits
        raise SettingsError([f"{path} is not TOML: {str(error)[:200]}"]) from None
    try:
        return _spec(StudyFile.read(facts), path, out=out, command=command, other=seeds)
    except SettingsError as error:
        raise SettingsError([f"{path}: {mistake}" for mistake in error.mistakes]) from None


def _spec(file: StudyFile, path: Path, *, out: Path | None, command: str, other: Sequence[int] | None) -> StudySpec:
    mistakes = Mistakes()
    seeds, claims = other, list[Claim]()
    given: dict[str, Any] = {
        option: value for key, option in _OPTIONS.items() if (value := getattr(file, key)) is not None
    }
    if other is None:
        with mistakes.noted():
            seeds = seeds_of(file.seeds)
    if file.target is not None:
        with mistakes.noted():
            given["target"] = target_of(file.target)
    with mistakes.noted():
        given["tune"] = _tune(file.tune)
    for table in file.claims:
        with mistakes.noted():
            whole = {"reduced": file.reduced, **table} if isinstance(table, dict) and file.reduced else table
            claims.append(Claim.of(whole))
    return make_request(
        lambda: _design(file, opened(file.task, path.parent), path.parent),
        path.stem,
        seeds=seeds,
        mistakes=mistakes,
        out=out,
        command=command,
        keep=frozenset(file.keep),
        claims=tuple(claims),
        **given,
    )


_OPTIONS = {
    **{
        key: key
        for key in ("name", "metric", "jobs", "executor", "timing", "baseline", "margin", "budget", "tune_seeds")
    },
    "tune_repeats": "tune_repeats",
    "tune_sampler": "tune_sampler",
    "checkpoint_every": "checkpoint_seconds",
}
"""Keys that are options of a study as they stand, and what those are called there."""


def _mistake(problem: ErrorDetails, facts: Mapping[str, Any]) -> str:
    key = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return f"there is no key {key!r}: {near_miss(key, StudyFile.model_fields)}"
    if problem["type"] == "missing":
        return 'there is no task: write task = "moons"'
    return f"{key} = {_short(facts[key])} is not allowed: {key} is {StudyFile.model_fields[key].description}"


def _tune(table: Mapping[str, Any]) -> list[Listed[Value]]:
    """Settings and their candidates, or a range of them."""
    found: list[Listed[Value]] = []
    mistakes = []
    for key, value in _flattened(table).items():
        listed = value if isinstance(value, list) else [value]
        if listed and all(isinstance(one, str | int | float | bool) for one in listed):
            found.append((key, listed_values(listed)))
        else:
            mistakes.append(f"tune: {key} = {_short(value)} is not allowed: write a range or a list of values")
    if mistakes:
        raise SettingsError(mistakes)
    return found


def _design(file: StudyFile, task: Given, folder: Path) -> Design:
    mistakes: list[str] = []
    shared = _settings(file.settings, "settings", mistakes)
    grid: dict[str, list[Any]] = {}
    for key, listed in _flattened(file.factors).items():
        if not isinstance(listed, list) or not listed:
            mistakes.append(
                f"factors: {key} = {_short(listed)} is not allowed: write a list, as in {key} = [0.1, 0.01]"
            )
        else:
            grid |= dict.fromkeys(_settings({key: listed[0]}, "factors", mistakes), listed)
    tables = [{}] if file.arms is None else file.arms
    arms: list[Arm] = []
    read = cache(partial(implementation, beside=folder))  # once, so that arms share one
    given = {*shared, *grid}
    for i, table in enumerate(tables):
        if not isinstance(table, dict) or (file.arms is not None and not isinstance(table.get("name"), str)):
            mistakes.append(f'arms: number {i + 1} has no name: write name = "..."')
            continue
        own = _settings({key: value for key, value in table.items() if key != "name"}, f"arm {i + 1}", mistakes)
        given |= own.keys()
        mistakes += [f"arm {i + 1}: {name} is its own and a factor; give it once" for name in own.keys() & grid.keys()]
        for combination in product(*grid.values()):
            chosen = dict(zip(grid, combination, strict=True))
            try:
                values = {"task": task, **shared, **own, **chosen}
                if "implementation" in values:
                    values["implementation"] = read(values["implementation"])
                values |= {kind: brought(kind, values[kind]) for kind in REGISTRIES if kind in values}
                settings = resolve(values)
            except SettingsError as error:
                mistakes += error.mistakes
                continue
            flat = settings.flat()
            parts = [table.get("name", ""), format_overrides({key: flat[key] for key in grid})]
            arms.append(Arm(" ".join(filter(None, parts)), settings, left_open(values)))
    if mistakes:
        raise SettingsError(mistakes)
    names = [arm.name for arm in arms]
    if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
        raise SettingsError([f"arms: {', '.join(map(repr, repeated))} is given more than once"])
    distinct(arms)
    spelled = _spelled_out(arms) if file.arms is not None and not grid else None
    if spelled is not None:
        return Design(spelled, arms, given=frozenset(given))
    factors = [*grid, *(key for key in _varying(arms) if key not in grid)]
    return Design(factors, arms, named=file.arms is not None, given=frozenset(given))


def _spelled_out(arms: Sequence[Arm]) -> list[str] | None:
    """The factors, where every arm's name is nothing but its values of them, as a command makes names."""
    try:
        factors = [full_name(word.partition("=")[0]) for word in arms[0].name.split(" ")]
    except SettingsError:
        return None
    flats = [arm.settings.flat() for arm in arms]
    for arm, flat in zip(arms, flats, strict=True):
        if arm.name != format_overrides({name: flat[name] for name in factors if name in flat}):
            return None
    return factors


def _settings(table: Mapping[str, Any], where: str, mistakes: list[str]) -> dict[str, Any]:
    """Full names and values; `[settings.optimizer] lr = 0.1` is `optimizer.lr = 0.1`."""
    found: dict[str, Any] = {}
    for key, value in _flattened(table).items():
        if not isinstance(value, str | int | float | bool):
            mistakes.append(
                f"{where}: {key} = {_short(value)} is not allowed: a setting is text, a number, true or false"
            )
            continue
        try:
            name = full_name(key)
        except SettingsError as error:
            mistakes += [f"{where}: {mistake}" for mistake in error.mistakes]
            continue
        if name in found or (name == "task" and where == "settings"):
            mistakes.append(f"{where}: {name} is given twice")
        found[name] = value
    return found


def _flattened(table: Mapping[str, Any]) -> dict[str, Any]:
    """`{"optimizer": {"lr": 1}}` as `{"optimizer.lr": 1}`, as deep as it goes."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= (
            _flattened({f"{key}.{inner}": deep for inner, deep in value.items()})
            if isinstance(value, dict)
            else {key: value}
        )
    return flat


def _varying(arms: Sequence[Arm]) -> list[str]:
    flats = [arm.settings.flat() for arm in arms]
    keys = dict.fromkeys(key for flat in flats for key in flat)
    return [key for key in keys if len({flat.get(key) for flat in flats}) > 1]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
