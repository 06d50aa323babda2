"""Scores from anywhere: a row for each arm and seed, a column for each arm, W&B's exports, or a row for each epoch.

What was taken for what is said, and nothing is guessed that is not: where it is not clear the table is refused in a
sentence that says which option makes it clear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from paribus.config.overrides import SettingsError, near_miss
from paribus.findings.score_options import Asked
from paribus.findings.score_shapes import of_chart, of_epoch_columns, of_seed_columns, without_wandb
from paribus.findings.score_table import Table, shortened

_EPOCHS = ("epoch", "epochs", "step", "iteration", "_step", "global_step", "trainer/global_step")
_SIGNED = re.compile(r"\s*[-+]?\d[\d.,' ]*%?\s*")
_OTHERS = re.compile(
    r"((train|val|valid|validation|test|eval)[-_/ ].*)|(.*[-_/ ])?(acc|accuracy|loss|f1|auc|ap|precision|recall|mse|"
    r"mae|rmse|r2|error|score|perplexity|ppl|bleu|lr|rate|epochs?|steps?|iterations?|batch([-_ ]size)?|width|depth|"
    r"hidden|layers|dropout|momentum|decay|time|seconds|runtime|memory|params|id)",
    re.IGNORECASE,
)
"""Names of metrics and settings: a column called so is no arm."""

_LOWER, _HIGHER = ("loss", "error", "mse", "mae", "rmse", "perplexity"), ("accuracy", "acc", "auc", "f1", "r2")


@dataclass(frozen=True)
class Scores:
    """`values[metric][arm]` is aligned with `seeds`, None where the table has no score or an empty one; of unpaired
    scores it is just in their order. `taken`: what was taken for what, in sentences; `factors`: the columns that
    together make an arm, and of each arm its values of them in `cells`, where there are several."""

    seeds: list[str]
    values: dict[str, dict[str, list[float | None]]]
    taken: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    cells: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def arms(self) -> list[str]:
        """The arms, in their order."""
        return list(next(iter(self.values.values()), {}))


def scores_of(table: Table, asked: Asked) -> Scores:
    """The scores in a table; SettingsError with what is wrong with it, each with its place.

    An empty cell, `nan`, `na`, `none` or `null` is a missing score. A row that repeats an arm and seed, and text among
    a metric's numbers, are mistakes.
    """
    _must_have(table, [*asked.arm, *filter(None, [asked.seed])])
    table = _in_small_letters(table)
    if not table.rows:
        raise SettingsError([f"{table.name} has no rows below its header"])
    table = of_chart(table) if not asked.arm and "arm" not in table.columns else table
    table, arms = _arms(table, asked)
    seed = asked.seed or ("seed" if "seed" in table.columns else None)
    if not arms:
        return _checked(table, _wide(table, seed, asked), asked)
    if not asked.unpaired:
        table = of_seed_columns(table, arms, seed, asked)
        seed = seed or ("seed" if "seed" in table.columns else None)
    if seed is None and not asked.unpaired:
        raise SettingsError(
            [
                f"{table.name} has no column 'seed'{_columns(table)}; {asked.option('seed', 'NAME')} says which it "
                f"is, and {asked.option('unpaired')} that runs of different arms have nothing in common"
            ]
        )
    table = of_epoch_columns(table, [*arms, *filter(None, [seed])], asked)
    return _checked(table, _long(table, arms, seed, asked), asked)


# --- which column is what ---


def _in_small_letters(table: Table) -> Table:
    """Columns `Arm` and `SEED` are taken for `arm` and `seed`."""
    named = {
        name: name.lower()
        for name in table.columns
        if name.lower() in ("arm", "seed") and name.lower() not in table.columns
    }
    told = [f"{name!r} is taken for {small!r}" for name, small in named.items()]
    columns = [named.get(name, name) for name in table.columns]
    return replace(table, columns=columns, taken=(*table.taken, *told)) if named else table


def _meant(name: str, names: Sequence[str]) -> str:
    guess = near_miss(name, names)
    return f"; {guess}" if guess.startswith("did you mean") else ""


def _columns(table: Table) -> str:
    return f": its columns are {', '.join(table.columns)}"


def _must_have(table: Table, names: Sequence[str]) -> None:
    missing = [
        f"{table.name} has no column {name!r}{_columns(table)}{_meant(name, table.columns)}"
        for name in names
        if name not in table.columns
    ]
    if missing:
        raise SettingsError(missing)


def _arms(table: Table, asked: Asked) -> tuple[Table, list[str]]:
    """The columns that say which arm a row is of; none in a table that has a column for each arm."""
    if asked.arm:
        return without_wandb(table, [*asked.arm, *filter(None, [asked.seed])])[0], list(asked.arm)
    if "arm" in table.columns:
        return table, ["arm"]
    table, exported = without_wandb(table, [*filter(None, [asked.seed])])
    words = [name for name in table.columns if table.is_text(name)]
    if not words:
        return table, []
    if exported and len(words) == 1:
        told = f"{words[0]!r} is taken for the arm, as the one column of words"
        return replace(table, taken=(*table.taken, told)), words
    raise SettingsError([f"{table.name} has no column 'arm'{_columns(table)}; {_says_which(asked)}"])


def _says_which(asked: Asked) -> str:
    return f"{asked.option('arm', 'NAME')} says which it is"


# --- tables of each shape ---


def _wide(table: Table, seed: str | None, asked: Asked) -> Scores:
    """A column for each arm."""
    arms = [name for name in table.columns if name != seed]
    others = [name for name in arms if _OTHERS.fullmatch(name)]
    if not asked.wide and (others or (seed is not None and len(set(table.column(seed))) < len(table.rows))):
        raise SettingsError(
            [
                f"{table.name} has no column 'arm'{_columns(table)}; {_says_which(asked)}, or "
                f"{asked.option('wide')} that each column is an arm"
            ]
        )
    if len(arms) < 2:
        raise SettingsError(
            [
                f"{table.name} has no column 'arm'{_columns(table)}; write columns arm, "
                "seed and a metric, or a column for each of two arms or more"
            ]
        )
    _must_be_numbers(table, arms)
    pairs = "by their row" if seed is None else f"by {seed!r}"
    told = f"a column for each arm: {', '.join(arms)}; scores are paired {pairs}"
    seeds = list(map(str, range(len(table.rows)))) if seed is None else _seeds(table, seed)[0]
    _must_be_once(table, [("", one) for one in seeds], asked)
    order = sorted(range(len(seeds)), key=lambda i: _seed_order(seeds[i]))
    metric = asked.metric or "score"
    values = {arm: [table.number(table.column(arm)[i]) for i in order] for arm in arms}
    return Scores([seeds[i] for i in order], {metric: values}, (*table.taken, told))


def _long(table: Table, arms: list[str], seed: str | None, asked: Asked) -> Scores:
    """A row for each arm and seed; or for each epoch of them, of which one counts."""
    names = [one.strip() for one in table.column(arms[0])]
    seeds, told = _seeds(table, seed) if seed is not None else (list(map(str, range(len(table.rows)))), None)
    table = replace(table, taken=(*table.taken, *filter(None, [told])))
    keys = [*arms, *filter(None, [seed])]
    parts = [_parts(table, name) for name in arms]
    empty = [
        f"{table.name}, {place}: every row has an arm and a seed"
        for name, one, place in zip(names, seeds, table.places, strict=True)
        if not name or not one
    ]
    if empty:
        raise SettingsError(shortened(empty))
    cells = list(zip(*parts, strict=True))
    runs = list(zip(map(" ".join, cells), seeds, strict=True))
    words = [name for name in table.columns if name not in keys and table.is_text(name)]
    if words and len(set(runs)) < len(runs):
        wider = list(zip(*parts, *(_parts(table, name) for name in words), strict=True))
        together = list(zip(map(" ".join, wider), seeds, strict=True))
        if len(set(together)) > len(set(runs)):
            runs, cells, arms = together, wider, [*arms, *words]
            keys, words = [*keys, *words], []
    of_arms = dict(zip((arm for arm, _ in runs), cells, strict=True))
    signs = [
        f"{table.name}, {place}: {name}={text!r} is no number: write it without signs for percent and thousands"
        for name in words
        for text, place in list(zip(table.column(name), table.places, strict=True))[:1]
        if _SIGNED.fullmatch(text)
    ]
    if signs:
        raise SettingsError(signs)
    table = table.without(words, "words")
    metrics = [name for name in table.columns if name not in keys]
    epoch = next((name for name in metrics if name.lower() in _EPOCHS), None)
    if epoch is not None and len(set(runs)) < len(runs):
        table, runs = _of_epochs(table, runs, epoch, asked)
        metrics = [name for name in metrics if name != epoch]
    elif epoch is not None and len(metrics) > 1 and epoch != asked.metric:
        table = table.without([epoch], "one row a run")
        metrics = [name for name in metrics if name != epoch]
    _must_be_once(table, runs, asked)
    same = [name for name in metrics if len(set(table.column(name))) == 1 < len(table.rows)]
    if len(same) < len(metrics):
        table, metrics = table.without(same, "the same in every row"), [name for name in metrics if name not in same]
    if not metrics:
        raise SettingsError([f"{table.name} has no metric: add a column of numbers beside {', '.join(keys)}"])
    _must_be_numbers(table, metrics)
    found = _aligned(table, runs, metrics, asked)
    if len(arms) < 2:
        return found
    plain = {
        arm: tuple(part.removeprefix(f"{name}=") for name, part in zip(arms, of_arms[arm], strict=True))
        for arm in found.arms
    }
    each = f"an arm is each of {' x '.join(arms)}"
    taken = found.taken if any(each in line for line in found.taken) else (*found.taken, each)
    return replace(found, taken=taken, factors=tuple(arms), cells=plain)


def _parts(table: Table, name: str) -> list[str]:
    """What a column says of each row's arm: numbers with the column's name, as in `lr=0.1`, words as they are."""
    cells = [one.strip() for one in table.column(name)]
    numbers = name != "arm" and all(map(table.is_number, cells))
    return [f"{name}={one}" for one in cells] if numbers else cells


def _aligned(table: Table, runs: list[tuple[str, str]], metrics: list[str], asked: Asked) -> Scores:
    arms = list(dict.fromkeys(arm for arm, _ in runs))
    rows = dict(zip(runs, table.rows, strict=True))
    places = {metric: table.columns.index(metric) for metric in metrics}
    if asked.unpaired:
        values = {
            metric: {arm: [table.number(rows[run][place]) for run in runs if run[0] == arm] for arm in arms}
            for metric, place in places.items()
        }
        return Scores([], values, (*table.taken, "unpaired: no run of an arm belongs to one of another"))
    seeds = sorted({seed for _, seed in runs}, key=_seed_order)
    if len(arms) == 2 and not any(all((arm, seed) in rows for arm in arms) for seed in seeds):
        raise SettingsError(
            [
                f"{table.name}: {arms[0]!r} and {arms[1]!r} have no seed in common; scores are paired by seed, or "
                f"{asked.option('unpaired')} says that they are not"
            ]
        )
    values = {
        metric: {
            arm: [table.number(rows[arm, seed][place]) if (arm, seed) in rows else None for seed in seeds]
            for arm in arms
        }
        for metric, place in places.items()
    }
    return Scores(seeds, values, table.taken)


def _of_epochs(
    table: Table, runs: list[tuple[str, str]], epoch: str, asked: Asked
) -> tuple[Table, list[tuple[str, str]]]:
    """Of each run the row that counts."""
    if not asked.last and asked.best is None:
        arm, seed = next(run for run in runs if runs.count(run) > 1)
        many = runs.count((arm, seed))
        raise SettingsError(
            [
                f"{table.name}: arm {arm!r} with seed {seed} has {many} rows, one for each {epoch}: "
                f"{asked.option('last')} takes the last one, {asked.option('best', 'METRIC')} that with its best value"
            ]
        )
    at = [(arm, f"{seed} at {epoch} {one}") for (arm, seed), one in zip(runs, table.column(epoch), strict=True)]
    _must_be_once(table, at, asked)
    order = [table.number(one) or 0.0 for one in table.column(epoch)]
    if asked.best is not None:
        name, lower = _direction(table, asked)
        scores = [table.number(one) for one in table.column(name)]
        order = [float("-inf") if one is None else -one if lower else one for one in scores]
        told = f"of each run the row with the {'lowest' if lower else 'highest'} {name} counts"
    else:
        told = f"of each run the last {epoch} counts"
    chosen: dict[tuple[str, str], int] = {}
    for i, run in enumerate(runs):
        if run not in chosen or order[i] > order[chosen[run]]:
            chosen[run] = i
    kept = list(chosen.values())
    table = replace(
        table,
        rows=[table.rows[i] for i in kept],
        places=[table.places[i] for i in kept],
        taken=(*table.taken, told),
    )
    return table, list(chosen)


def _direction(table: Table, asked: Asked) -> tuple[str, bool]:
    """The metric of `--best`, and whether lower is better: `val_loss`, or `mine:lower`."""
    text = asked.best or ""
    name, _, said = text.partition(":")
    _must_have(table, [name])
    if said not in ("", "lower", "higher"):
        allowed = "best is METRIC, METRIC:lower or METRIC:higher"
        raise SettingsError([f"{asked.option('best', text)} is not allowed: {allowed}"])
    if said or name.lower().endswith((*_LOWER, *_HIGHER)):
        return name, said == "lower" or (not said and name.lower().endswith(_LOWER))
    ways = " or ".join(asked.option("best", f"{name}:{way}") for way in ("lower", "higher"))
    raise SettingsError([f"{asked.option('best', name)} needs to know which values are better: {ways}"])


def _seeds(table: Table, name: str) -> tuple[list[str], str | None]:
    """Seeds as they are, whole numbers in one form; and what there is to say of that."""
    given = [one.strip() for one in table.column(name)]
    plain = [
        re.sub(r"^0+(?=\d)", "", re.sub(r"\.0+$", "", one)) if one.replace(".", "").isdecimal() else one
        for one in given
    ]
    other = next(((a, b) for a, b in zip(given, plain, strict=True) if a != b), None)
    return plain, f"seeds are whole numbers: {other[0]} is {other[1]}" if other else None


# --- what is wrong ---


def _must_be_once(table: Table, runs: list[tuple[str, str]], asked: Asked) -> None:
    seen: set[tuple[str, str]] = set()
    mistakes, several = [], asked.option("arm", "NAME,NAME")
    hint = f"; {several} names several columns that make an arm together"
    for (arm, seed), place in zip(runs, table.places, strict=True):
        if (arm, seed) in seen:
            what = f"arm {arm!r} with seed {seed}" if arm else f"seed {seed}"
            mistakes.append(f"{table.name}, {place}: {what} stands there already; each is scored once{hint}")
        seen.add((arm, seed))
    if mistakes:
        raise SettingsError(shortened(mistakes))


def _must_be_numbers(table: Table, metrics: Sequence[str]) -> None:
    mistakes = [
        f"{table.name}, {place}: {metric}={text!r} is no number (nor empty, nan, na or null)"
        for metric in metrics
        for text, place in zip(table.column(metric), table.places, strict=True)
        if not table.is_number(text) and not _is_missing(table, text)
    ]
    if mistakes:
        raise SettingsError(shortened(mistakes))


def _is_missing(table: Table, text: str) -> bool:
    try:
        return table.number(text) is None
    except ValueError:
        return False


def _checked(table: Table, found: Scores, asked: Asked) -> Scores:
    first: Mapping[str, Sequence[float | None]] = next(iter(found.values.values()), {})
    if not table.rows:
        raise SettingsError([f"{table.name} has no rows below its header"])
    if len(first) < 2:
        raise SettingsError([f"{table.name} has one arm, {next(iter(first))!r}: a comparison needs two"])
    best = asked.best.partition(":")[0] if asked.best else None
    if asked.metric is None and best in found.values:
        rest = {name: of for name, of in found.values.items() if name != best}
        return replace(found, values={best: found.values[best], **rest}, taken=(*found.taken, f"judged is {best}"))
    if asked.metric is None and len(found.values) > 1:
        other = asked.option("metric", "NAME")
        told = f"judged is {next(iter(found.values))}, the first of {len(found.values)} metrics: {other} judges another"
        return replace(found, taken=(*found.taken, told))
    return found


def _seed_order(seed: str) -> tuple[int, int, str]:
    return (0, int(seed), "") if seed.isdecimal() and len(seed) < 20 else (1, 0, seed)
