"""Folders of runs that MLflow or TensorBoard wrote, as a table with a row for each run and step.

Which run is of which arm and seed is read off the runs' parameters or names. Where these do not say it clearly, the
folder is refused, with a run's name and the option that says it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from paribus.config.overrides import SettingsError, near_miss
from paribus.findings.event_files import event_folders, event_runs
from paribus.findings.logged import LoggedRun
from paribus.findings.mlruns import mlflow_folders, mlflow_runs
from paribus.findings.score_options import Asked
from paribus.findings.score_table import Table, read_table, shortened

_RECOGNISED = tuple(
    re.compile(text, re.IGNORECASE)
    for text in (
        r"(?P<arm>.+?)[-_./ ]*seed[-_=]?(?P<seed>\d+)",  # base-seed0, base/seed_0
        r"seed[-_=]?(?P<seed>\d+)[-_./ ]+(?P<arm>.+)",  # seed0/base
        r"(?P<arm>.*[^\W\d_].*)/(?P<seed>\d+)",  # base/0
    )
)
_SEED_PARAM = re.compile(r"(.*[._/ -])?seed", re.IGNORECASE)
_MOST_NAMED = 3
_TABLES = (".csv", ".tsv", ".txt")  # a path called so is a table, and a mistyped one is told so


def is_scores(path: Path) -> bool:
    """Whether a path is a table, or a folder of runs that MLflow or TensorBoard wrote; a study of Paribus is neither.

    >>> is_scores(Path("scores.csv")), is_scores(Path("runs/lr=0.1,0.01"))
    (True, False)
    """
    if not path.is_dir():
        return path.is_file() or path.suffix.lower() in _TABLES or str(path) == "-"
    return not _studies(path) and bool(mlflow_folders(path) or event_folders(path))


def read_scores(path: Path, asked: Asked) -> tuple[Table, Asked]:
    """The table that a file or folder holds, and how it is to be read; SettingsError for what holds none."""
    if not path.is_dir():
        if asked.pattern is not None:
            raise SettingsError([f"{_given(asked)} is for folders of runs, and {path} is none"])
        return read_table(path), asked
    if studies := _studies(path):
        raise SettingsError([f"{path} holds a study of Paribus: paribus show {studies[0]} has its verdicts"])
    if folders := mlflow_folders(path):
        runs, taken = mlflow_runs(path, folders, asked)
        return _mlflow_table(path, runs, taken, asked)
    if folders := event_folders(path):
        runs, taken = event_runs(path, folders)
        return _by_name(path, runs, taken, asked)
    raise SettingsError(
        [
            f"{path} is a folder that holds no scores: neither runs of MLflow (EXPERIMENT/RUN/meta.yaml) nor event "
            "files of TensorBoard (events.out.tfevents...) are in it"
        ]
    )


def _studies(path: Path) -> list[Path]:
    from paribus.study.store import FILE

    return [path] if (path / FILE).exists() else [one.parent for one in sorted(path.glob(f"*/{FILE}"))]


# --- which run is of which arm and seed ---


def _mlflow_table(path: Path, runs: list[LoggedRun], taken: list[str], asked: Asked) -> tuple[Table, Asked]:
    """By parameters and tags; by the runs' names where a pattern is given, or no parameter is a seed."""
    if asked.pattern is not None and not asked.arm:
        return _by_name(path, runs, taken, asked)
    params = list(dict.fromkeys(name for run in runs for name in run.params))
    labels = list(dict.fromkeys([*params, *(name for run in runs for name in run.tags)]))
    unknown = [name for name in (*asked.arm, *filter(None, [asked.seed])) if name not in labels]
    if unknown:
        raise SettingsError(
            [f"{path}: no run has a param or tag {name!r}: {near_miss(name, labels)}" for name in unknown]
        )
    seed = asked.seed or _seed_param(path, params, asked)
    named = None if seed is not None else _recognised([run.name for run in runs])
    if seed is None and named is None and not asked.unpaired:
        raise _unclear(path, runs, asked, f"no param is called seed, {asked.option('seed', 'PARAM')} names one")
    vary = [name for name in params if name != seed and not _SEED_PARAM.fullmatch(name) and _varies(name, runs)]
    if not asked.arm and not vary:
        if named is not None or _recognised([run.name for run in runs]) is not None:
            return _by_name(path, runs, taken, asked)
        raise SettingsError([f"{path}: no param but the seed differs; {asked.option('arm', 'TAG')} names a tag"])
    arms = list(asked.arm) or vary
    each = f"each of {' x '.join(arms)}" if len(arms) > 1 else f"the value of {arms[0]}"
    which = "" if asked.arm else " (the params that vary)" if len(arms) > 1 else " (the param that varies)"
    begun = [run for run in runs if not run.finished and not all(map(run.label, (*arms, *filter(None, [seed]))))]
    if begun:  # what it would have been, nobody knows
        taken = [*taken, f"left out: {_some(begun, 'run')} that did not finish, nor log what makes an arm"]
        named = named and [one for run, one in zip(runs, named, strict=True) if run not in begun]
        runs = [run for run in runs if run not in begun]
    keys = [
        (*(run.label(name) or "none" for name in arms), _seed_of(run, seed, i, named)) for i, run in enumerate(runs)
    ]
    if not asked.arm and max(Counter(key[:-1] for key in keys).values()) < 2:
        raise SettingsError(
            [
                f"{path}: by the params that vary, {', '.join(vary)}, each run is an arm of its own; "
                f"{asked.option('arm', 'PARAM,PARAM')} says which make an arm"
            ]
        )
    of_seed = f"the param {seed!r}" if seed else "in the run's name" if named else "none"
    told = f"MLflow's runs: an arm is {each}{which}, the seed is {of_seed}"
    return _table(path, runs, arms, keys, taken=[*taken, told], asked=asked)


def _varies(param: str, runs: Sequence[LoggedRun]) -> bool:
    """Whether runs that have it have different values: a run that has none was not given one, or broke down before."""
    return len({run.params[param] for run in runs if param in run.params}) > 1


def _seed_param(path: Path, params: Sequence[str], asked: Asked) -> str | None:
    found = [name for name in params if name.lower() == "seed"] or [p for p in params if _SEED_PARAM.fullmatch(p)]
    if len(found) > 1:
        raise SettingsError(
            [f"{path}: {' and '.join(found)} may be the seed; {asked.option('seed', found[0])} says it"]
        )
    return found[0] if found else None


def _seed_of(run: LoggedRun, seed: str | None, number: int, named: list[tuple[str, str]] | None) -> str:
    if seed is not None:
        return run.label(seed)
    return named[number][1] if named is not None else run.name


def _by_name(path: Path, runs: list[LoggedRun], taken: list[str], asked: Asked) -> tuple[Table, Asked]:
    """By the runs' names, as the pattern says or as all of them are clearly written."""
    names = [run.name for run in runs]
    if asked.pattern is None:
        found = _recognised(names)
        if found is None:
            raise _unclear(path, runs, asked)
        columns, keys, kept = ["arm"], [tuple(one) for one in found], runs
    else:
        columns, form = _compiled(asked)
        matches = [form.fullmatch(name) for name in names]
        kept = [run for run, match in zip(runs, matches, strict=True) if match]
        if not kept:
            raise SettingsError([f"{_given(asked)} fits no run of {path}: one is called {names[0]!r}"])
        if other := [run for run, match in zip(runs, matches, strict=True) if not match]:
            taken = [*taken, f"left out: {_some(other, 'run')} that the pattern does not fit"]
        keys = [
            (*(match[name] for name in columns), match["seed"] if "seed" in form.groupindex else match[0])
            for match in matches
            if match
        ]
    if wrong := [name for name in asked.arm if name not in columns]:
        raise SettingsError(
            [
                f"{path}: a run's name has no {wrong[0]!r}; {asked.option('pattern', '{' + wrong[0] + '}-seed{seed}')} "
                "would say where it stands"
            ]
        )
    first = ", ".join(f"{name} {value!r}" for name, value in zip(columns, keys[0], strict=False))
    told = f"run {kept[0].name} is taken for {first}, seed {keys[0][-1]}"
    return _table(path, kept, columns, keys, taken=[*taken, told], asked=asked)


def _recognised(names: Sequence[str]) -> list[tuple[str, str]] | None:
    """Arm and seed of each where all names are written in one of the clear ways, and in only one."""
    found = [
        [(match["arm"], match["seed"]) for match in matches if match]
        for form in _RECOGNISED
        if all(matches := [form.fullmatch(name) for name in names])
    ]
    return found[0] if len(found) == 1 else None


def _compiled(asked: Asked) -> tuple[list[str], re.Pattern[str]]:
    """The columns that a pattern names, without the seed, and the pattern as a regular expression: `{arm}` may hold
    slashes, another name none, `{seed}` is digits, `*` is anything."""
    text = asked.pattern or ""
    named = re.findall(r"\{(\w+)\}", text)
    columns = [name for name in named if name != "seed"]
    wrong = (
        "it names no arm" if not columns
        else "it has no {seed}" if "seed" not in named and not asked.unpaired
        else "it names one twice" if len(set(named)) < len(named)
        else next((f"{name!r} is no name" for name in named if not name.isidentifier()), "")
    )  # fmt: skip
    if wrong:
        allowed = "as in {arm}/seed{seed}, {optimizer}-{lr}/{seed} or {arm}-{seed}/*"
        raise SettingsError([f"{_given(asked)} is not allowed: {wrong}; a pattern is a run's name {allowed}"])
    parts = []
    for part in re.split(r"(\{\w+\}|\*)", text.strip("/")):
        name = part[1:-1] if part.startswith("{") and part.endswith("}") else ""
        of = {"seed": r"\d+", "arm": ".+"}.get(name, "[^/]+")
        parts.append(f"(?P<{name}>{of})" if name else ".*" if part == "*" else re.escape(part))
    return columns, re.compile("".join(parts))


def _given(asked: Asked) -> str:
    return asked.option("pattern", asked.pattern if asked.python else f"'{asked.pattern}'")


def _unclear(path: Path, runs: Sequence[LoggedRun], asked: Asked, why: str = "") -> SettingsError:
    """For a run whose name does not say it, with a pattern that would fit it."""
    name = next((run.name for run in runs if _recognised([run.name]) is None), runs[0].name)
    match = re.fullmatch(r"(.*?[^-_./ \d])([-_./ ]+)(\d+)(/.*)?", name)
    example = f"{{arm}}{match[2]}{{seed}}{'/*' if match[4] else ''}" if match else "{arm}-seed{seed}"
    spelled = asked.option("pattern", example if asked.python else f"'{example}'")
    because = f" ({why})" if why else ""
    return SettingsError(
        [f"{path}: it is not clear of which arm and seed the run {name!r} is{because}; {spelled} would say it"]
    )


# --- as a table ---


def _table(
    path: Path,
    runs: Sequence[LoggedRun],
    arms: Sequence[str],
    keys: Sequence[tuple[str, ...]],
    *,
    taken: Sequence[str],
    asked: Asked,
) -> tuple[Table, Asked]:
    """A row for each run and step, in which a metric has the value that was logged last."""
    _check_runs(path, runs, arms, keys, asked)
    metrics = _metrics(path, runs, asked)
    once = [name for name in metrics if all(len(run.metrics.get(name, ())) < 2 for run in runs)]
    curves = [name for name in metrics if name not in once]
    told = list(taken)
    if stopped := [run for run in runs if not run.finished]:
        told.append(f"{len(stopped)} of {len(runs)} runs did not finish: their scores count as missing")
    if endless := [run for run in runs if run.finished and run.ends_beyond_numbers(metrics)]:
        told.append(f"{_some(endless, 'run')} with infinite values: these count as missing")
    if curves:
        told += _horizons([run for run in runs if run.finished], curves)
    rows, places = [], []
    for run, key in zip(runs, keys, strict=True):
        for step, *values in _steps(run, curves, once):
            rows.append([*key, *([step] if curves else []), *values])
            places.append(f"run {run.name}")
    if once and curves:
        told.append(f"logged once a run, and taken at every step: {', '.join(once)}")
    columns = [*arms, "seed", *(["step"] if curves else []), *curves, *once]
    clash = [name for name, count in Counter(columns).items() if count > 1]
    if clash:
        raise SettingsError([f"{path}: {clash[0]!r} is the name of an arm's part and of a metric: rename one"])
    table = Table(str(path), columns, rows, places, tuple(told))
    if asked.arm:
        table = table.without([name for name in arms if name not in asked.arm], "no part of an arm")
    last = bool(curves) and asked.best is None
    return table, replace(asked, arm=tuple(asked.arm or arms), seed="seed", last=asked.last or last)


def _check_runs(
    path: Path, runs: Sequence[LoggedRun], arms: Sequence[str], keys: Sequence[tuple[str, ...]], asked: Asked
) -> None:
    seen: dict[tuple[str, ...], str] = {}
    mistakes = []
    for run, (*of, seed) in zip(runs, keys, strict=True):
        empty = [name for name, value in zip((*arms, "seed"), (*of, seed), strict=True) if not value]
        if empty:
            mistakes.append(f"{path}: run {run.name} has no {empty[0]!r}")
            continue
        kept = [value for name, value in zip(arms, of, strict=True) if not asked.arm or name in asked.arm]
        if (key := (*kept, seed)) in seen:
            mistakes.append(
                f"{path}: runs {seen[key]} and {run.name} are both of arm {' '.join(kept)!r} with seed {seed}: leave "
                f"one out, or {asked.option('arm', 'NAME,NAME')} names more that makes an arm"
            )
        seen[key] = run.name
    if mistakes:
        raise SettingsError(shortened(mistakes))


def _metrics(path: Path, runs: Sequence[LoggedRun], asked: Asked) -> list[str]:
    """The metrics, the one that is judged first: of several, in no order of anybody's, it has to be said."""
    names = sorted({name for run in runs for name in run.metrics})
    best = (asked.best or "").partition(":")[0] or None
    wanted = asked.metric or best
    if not names:
        raise SettingsError([f"{path}: no run has logged a number"])
    for option, name in (("metric", asked.metric), ("best", best)):
        if name is not None and name not in names:
            raise SettingsError([f"{asked.option(option, name)} is no metric of {path}: {near_miss(name, names)}"])
    if wanted is None and len(names) > 1:
        says = asked.option("metric", "NAME")
        raise SettingsError([f"{path} has {len(names)} metrics: {says} says which is judged: {', '.join(names)}"])
    return sorted(names, key=lambda name: name != wanted)


def _steps(run: LoggedRun, curves: Sequence[str], once: Sequence[str]) -> Iterable[list[str]]:
    """Step by step the values that were logged last, as text; of a run that did not finish one row of none."""
    if not run.finished:
        yield ["0", *[""] * (len(curves) + len(once))]
        return
    single = [_text(next(iter(run.metrics.get(name, {}).values()), None)) for name in once]
    now = dict.fromkeys(curves, "")
    for step in sorted({step for name in curves for step in run.metrics.get(name, ())}) or [0]:
        for name in curves:
            if step in (of := run.metrics.get(name, {})):
                now[name] = _text(of[step])
        yield [str(step), *now.values(), *single]


def _text(value: str | None) -> str:
    return "" if value is None else value if math.isfinite(float(value)) else "nan"


def _horizons(runs: Sequence[LoggedRun], curves: Sequence[str]) -> list[str]:
    """A run that ends early has another last value than the others: that is said."""
    ends = {run.name: max(run.metrics[curves[0]]) for run in runs if run.metrics.get(curves[0])}
    if len(set(ends.values())) < 2:
        return []
    most = Counter(ends.values()).most_common(1)[0][0]
    other = [f"{name} at {end}" for name, end in ends.items() if end != most]
    more = f" and {len(other) - _MOST_NAMED} more" if len(other) > _MOST_NAMED else ""
    return [f"runs end at different steps: {', '.join(other[:_MOST_NAMED])}{more}, most at {most}"]


def _some(runs: Sequence[LoggedRun], what: str) -> str:
    """`2 runs (a, b)`."""
    more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
    return f"{len(runs)} {what}{'s' * (len(runs) != 1)} ({', '.join(run.name for run in runs[:_MOST_NAMED])}{more})"
