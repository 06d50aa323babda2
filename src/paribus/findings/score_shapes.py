"""Tables that are not written as a row for each arm and seed, turned into that: W&B's exports, a row for each arm, and
a column for each epoch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from paribus.config.overrides import SettingsError
from paribus.findings.score_options import Asked
from paribus.findings.score_table import Table

_WANDB = (
    "Name", "State", "Notes", "User", "Tags", "Created", "Runtime", "Sweep", "ID", "Group", "Job Type", "Updated",
    "Hostname", "GPU Type", "GPU Count", "Host", "Command", "Description", "Commit", "GitHub",
)  # fmt: skip
_CHART = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<end>__MIN|__MAX)?")
_RUN = re.compile(r"(?P<arm>.*?[^\W\d_])?[-_ /.]*(?:seed|run|s)?[-_ =]?(?P<seed>\d+)")
_SEED = re.compile(r"(?:seed|run|s)?[-_ =]?(\d+)", re.IGNORECASE)
_EPOCH = re.compile(r"(?P<metric>.*?)[-_ ./@]*(?P<axis>epoch|step|iteration)s?[-_ =]*(?P<number>\d+)", re.IGNORECASE)


def of_chart(table: Table) -> Table:
    """W&B's export of a chart has a column for each run and a row for each step: as a row for each run and step."""
    found = [(name, _CHART.fullmatch(name)) for name in table.columns[1:]]
    charts = [(name, match) for name, match in found if match and not match["end"]]
    if not charts or len(charts) + sum(bool(match and match["end"]) for _, match in found) < len(found):
        return table
    runs = {match["run"]: _RUN.fullmatch(match["run"]) for _, match in charts}
    unclear = [name for name, match in runs.items() if match is None or not match["arm"]]
    if unclear:
        raise SettingsError(
            [f"{table.name} is a chart of W&B, and the run {unclear[0]!r} names no arm and seed, as base-seed0 does"]
        )
    metrics = list(dict.fromkeys(match["metric"] for _, match in charts))
    rows, places = [], []
    steps = table.column(table.columns[0])
    for run, match in runs.items():
        assert match is not None
        columns = [
            table.column(f"{run} - {metric}") if f"{run} - {metric}" in table.columns else [""] * len(steps)
            for metric in metrics
        ]
        for step, place, *scores in zip(steps, table.places, *columns, strict=True):
            if any(map(table.is_number, scores)):
                rows.append([match["arm"], match["seed"], step, *scores])
                places.append(place)
    first = next(iter(runs))
    match = runs[first]
    assert match is not None
    told = f"W&B's chart of {', '.join(metrics)}: run {first} is taken for arm {match['arm']!r}, seed {match['seed']}"
    columns_now = ["arm", "seed", "step", *metrics]
    return replace(table, columns=columns_now, rows=rows, places=places, taken=(*table.taken, told))


def without_wandb(table: Table, kept: Sequence[str]) -> tuple[Table, bool]:
    """Of W&B's export of runs what it says of each run; what did not finish has no scores."""
    if not {"Name", "State", "Created"} <= set(table.columns):
        return table, False
    ended = [state.strip().lower() == "finished" for state in table.column("State")]
    rest = table.without([name for name in _WANDB if name in table.columns and name not in kept], "W&B's own")
    if not all(ended):
        told = f"{ended.count(False)} of {len(ended)} runs did not finish: their scores count as missing"
        words = {name for name in rest.columns if rest.is_text(name) or name in (*kept, "seed")}
        rows = [
            row if done else [cell if name in words else "" for name, cell in zip(rest.columns, row, strict=True)]
            for row, done in zip(rest.rows, ended, strict=True)
        ]
        rest = replace(rest, rows=rows, taken=(*rest.taken, told))
    return rest, True


def of_seed_columns(table: Table, arms: Sequence[str], seed: str | None, asked: Asked) -> Table:
    """A row for each arm and a column for each seed (`arm,0,1,2` or `arm,seed0,seed1`): as a row for each of both."""
    names = [name for name in table.columns if name not in arms]
    found = [_SEED.fullmatch(name) for name in names]
    if seed is not None or len(names) < 2 or not all(found):
        return table
    seeds = [match[1] for match in found if match]
    if len({int(one) for one in seeds}) < len(seeds):
        raise SettingsError([f"{table.name} has two columns for one seed: {', '.join(names)}"])
    told = f"a row for each arm and a column for each seed: {names[0]} is taken for seed {seeds[0]}"
    return _unfolded(table, arms, "seed", seeds, metrics={asked.metric or "score": names}, told=told)


def of_epoch_columns(table: Table, keys: Sequence[str], asked: Asked) -> Table:
    """A column for each epoch (`epoch1`, `val_loss_epoch1`): as a row for each run and epoch. An empty cell stays a
    missing score: whether a run ended there or broke down, a table does not say."""
    found = {
        name: match for name in table.columns if name not in keys and (match := _EPOCH.fullmatch(name)) is not None
    }
    if len(found) < 2:
        plain = [name for name in table.columns if name not in keys and name.isdecimal()]
        if len(plain) > 1 and asked.metric is None:
            raise SettingsError(
                [
                    f"{table.name} has columns that are numbers, {', '.join(plain[:4])}: call them epoch{plain[0]} and "
                    f"so on where they are epochs, or say {asked.option('metric', plain[0])} to judge one of them"
                ]
            )
        return table
    axis = next(iter(found.values()))["axis"].lower()
    numbers = sorted({int(match["number"]) for match in found.values()})
    metrics: dict[str, list[str]] = {}
    for match in found.values():
        metrics.setdefault(match["metric"] or asked.metric or "score", [])
    for metric, names in metrics.items():
        of = {int(m["number"]): name for name, m in found.items() if (m["metric"] or asked.metric or "score") == metric}
        names += [of.get(number, "") for number in numbers]
    told = f"a column for each {axis}, {numbers[0]} to {numbers[-1]}, of {', '.join(metrics)}"
    kept = [name for name in table.columns if name not in found]
    return _unfolded(table, kept, axis, list(map(str, numbers)), metrics=metrics, told=told)


def _unfolded(
    table: Table,
    kept: Sequence[str],
    new: str,
    values: Sequence[str],
    *,
    metrics: dict[str, list[str]],
    told: str,
) -> Table:
    """Each row as one for each of `values` in the column `new`; `metrics`: the column that each has it from."""
    place = {name: i for i, name in enumerate(table.columns)}
    rows = [
        [*(row[place[name]] for name in kept), value,
         *(row[place[names[i]]] if names[i] else "" for names in metrics.values())]
        for row in table.rows
        for i, value in enumerate(values)
    ]  # fmt: skip
    places = [where for where in table.places for _ in values]
    return replace(table, columns=[*kept, new, *metrics], rows=rows, places=places, taken=(*table.taken, told))
