"""A study as a TOML file: the same description as a command's words.

name = "moons"            # optional; the file's name
task = "moons"
seeds = 10                # or a list: [3, 5, 8]
metric = "test_accuracy"  # optional, as are timing = true, jobs = 2 and keep = ["weights"]

[settings]                # the same in every arm
epochs = 1500

[factors]                 # every combination of these is an arm
lr = [0.1, 0.01]

[tune]                    # optional: each arm at its own best value (as with budget = 20, tune_seeds = 3)
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
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from paribus.backends.dispatch import resolve
from paribus.config.overrides import SettingsError, full_name, near_miss
from paribus.config.values import format_overrides, format_value
from paribus.records.claims import Claim
from paribus.study.arms import Arm, Design, distinct
from paribus.study.spec import Options, Request, make_request

_MOST_BYTES = 1_000_000

# what a file may hold, the types each may have, and how a message names them
_KEYS: dict[str, tuple[tuple[type, ...], str]] = {
    "name": ((str,), "text"),
    "task": ((str,), "the name of a task"),
    "seeds": ((int, list), "a number of seeds or a list of them"),
    "metric": ((str,), "the name of a metric"),
    "target": ((str,), "METRIC=VALUE, as in test_accuracy=0.9"),
    "baseline": ((str,), "the name of an arm"),
    "margin": ((int, float), "a number"),
    "timing": ((bool,), "true or false"),
    "jobs": ((int,), "a whole number"),
    "budget": ((int,), "a whole number"),
    "tune_seeds": ((int,), "a whole number"),
    "keep": ((list,), 'a list of "weights", "predictions" and "best"'),
    "checkpoint_every": ((int, float), "a number of seconds"),
    "settings": ((dict,), "a table of settings"),
    "factors": ((dict,), "a table of settings, each with a list of values"),
    "tune": ((dict,), 'a table of settings, each with a range ("1e-5:1e-1:9") or a list of values'),
    "arms": ((list,), "tables, each with a name and settings"),
    "claims": ((list,), "tables, each with an id, a claim and conditions"),
}


def read_file(path: Path, out: Path | None = None, command: str = "", seeds: str | None = None) -> Request:
    """The request that a file describes, on other seeds if they are given; SettingsError with all that is wrong."""
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
        return _request(facts, path.stem, out, command, seeds)
    except SettingsError as error:
        raise SettingsError([f"{path}: {mistake}" for mistake in error.mistakes]) from None


def _request(facts: Mapping[str, Any], stem: str, out: Path | None, command: str, other: str | None) -> Request:
    mistakes = []
    for key, content in facts.items():
        if key not in _KEYS:
            mistakes.append(f"there is no key {key!r}: {near_miss(key, _KEYS)}")
        elif not isinstance(content, _KEYS[key][0]) or (isinstance(content, bool) and bool not in _KEYS[key][0]):
            mistakes.append(f"{key} = {_short(content)} is not allowed: {key} is {_KEYS[key][1]}")
    if "task" not in facts:
        mistakes.append('there is no task: write task = "moons"')
    if mistakes:
        raise SettingsError(mistakes)
    seeds = facts.get("seeds", 3)
    options = Options(
        seeds=other or (f"{','.join(map(str, seeds))}," if isinstance(seeds, list) else str(seeds)),
        out=out,
        keep=",".join(map(str, facts.get("keep", []))) or None,
        command=command,
        tune=_tune(facts.get("tune", {})),
        claims=_claims(facts.get("claims", [])),
        **{
            key: facts[key]
            for key in (
                "name",
                "metric",
                "jobs",
                "timing",
                "target",
                "baseline",
                "margin",
                "budget",
                "tune_seeds",
                "checkpoint_every",
            )
            if key in facts
        },
    )
    return make_request(lambda: _design(facts), stem, options)


def _claims(tables: Sequence[Any]) -> tuple[Claim, ...]:
    try:
        return tuple(Claim.of(one) for one in tables)
    except ValueError as error:
        raise SettingsError([str(error)]) from None


def _tune(table: Mapping[str, Any]) -> list[str]:
    """The words of `--tune`."""
    words = []
    for key, value in _flattened(table).items():
        listed = value if isinstance(value, list) else [value]
        if not listed or not all(isinstance(one, str | int | float | bool) for one in listed):
            raise SettingsError([f"tune: {key} = {_short(value)} is not allowed: write a range or a list of values"])
        words.append(f"{key}={','.join(format_value(one) for one in listed)}")
    return words


def _design(facts: Mapping[str, Any]) -> Design:
    mistakes: list[str] = []
    shared = _settings(facts.get("settings", {}), "settings", mistakes)
    grid: dict[str, list[Any]] = {}
    for key, listed in _flattened(facts.get("factors", {})).items():
        if not isinstance(listed, list) or not listed:
            mistakes.append(
                f"factors: {key} = {_short(listed)} is not allowed: write a list, as in {key} = [0.1, 0.01]"
            )
        else:
            grid |= dict.fromkeys(_settings({key: listed[0]}, "factors", mistakes), listed)
    tables = facts.get("arms", [{}])
    arms: list[Arm] = []
    given = {*shared, *grid}
    for i, table in enumerate(tables):
        if not isinstance(table, dict) or ("arms" in facts and not isinstance(table.get("name"), str)):
            mistakes.append(f'arms: number {i + 1} has no name: write name = "..."')
            continue
        own = _settings({key: value for key, value in table.items() if key != "name"}, f"arm {i + 1}", mistakes)
        given |= own.keys()
        mistakes += [f"arm {i + 1}: {name} is its own and a factor; give it once" for name in own.keys() & grid.keys()]
        for combination in product(*grid.values()):
            chosen = dict(zip(grid, combination, strict=True))
            try:
                settings = resolve({"task": facts["task"], **shared, **own, **chosen})
            except SettingsError as error:
                mistakes += error.mistakes
                continue
            flat = settings.flat()
            parts = [table.get("name", ""), format_overrides({key: flat[key] for key in grid})]
            arms.append(Arm(" ".join(filter(None, parts)), settings))
    if mistakes:
        raise SettingsError(mistakes)
    names = [arm.name for arm in arms]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError([f"arms: {', '.join(map(repr, repeated))} is given more than once"])
    distinct(arms)
    spelled = _spelled_out(arms) if "arms" in facts and not grid else None
    if spelled is not None:
        return Design(spelled, arms, given=frozenset(given))
    factors = [*grid, *(key for key in _varying(arms) if key not in grid)]
    return Design(factors, arms, "arms" in facts, frozenset(given))


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
