"""Scores from anywhere, as a CSV: columns `arm`, `seed`, and one or more metrics."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from paribus.config.overrides import SettingsError, near_miss

_KEYS = ("arm", "seed")
_MOST_MISTAKES = 10


@dataclass(frozen=True)
class Scores:
    """`values[metric][arm]` is aligned with `seeds`, None where the file has no score or an empty one."""

    seeds: list[str]
    values: dict[str, dict[str, list[float | None]]]


def read_scores(path: Path) -> Scores:
    """The scores in a CSV file; SettingsError with what is wrong with it, each with its line.

    An empty cell, `nan`, `na` or `null` is a missing score. A row that repeats an arm and seed, and text in a metric,
    are mistakes.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            return _scores(path, rows)
    except OSError as error:
        raise SettingsError([f"{path} cannot be read: {error.strerror}"]) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise SettingsError([f"{path} is not a CSV file: {error}"]) from None


def _scores(path: Path, rows: csv.DictReader[str]) -> Scores:
    names = [name.strip() for name in rows.fieldnames or []]
    rows.fieldnames = names
    if not names:
        raise SettingsError([f"{path} is empty: write the columns arm, seed and a metric, and a row for each score"])
    mistakes = [
        f"{path} has no column {key!r}: its columns are {', '.join(names)}; {near_miss(key, names)}"
        for key in _KEYS
        if key not in names
    ]
    metrics = [name for name in names if name not in _KEYS]
    if len(set(names)) < len(names):
        mistakes.append(f"{path} names a column twice: {', '.join(names)}")
    if "" in names:
        mistakes.append(f"{path} has a column without a name: is there a comma at the end of its first line?")
    if not metrics:
        mistakes.append(f"{path} has no metric: add a column beside arm and seed")
    if mistakes:
        raise SettingsError(mistakes)
    found: dict[tuple[str, str], dict[str, float | None]] = {}
    for row in rows:
        line = rows.line_num
        if None in row or None in row.values():
            mistakes.append(f"{path}, line {line}: {len(names)} columns are named, this row has another number")
            continue
        arm, seed = row["arm"].strip(), row["seed"].strip()
        if not arm or not seed:
            mistakes.append(f"{path}, line {line}: every row has an arm and a seed")
        elif (arm, seed) in found:
            mistakes.append(
                f"{path}, line {line}: arm {arm!r} with seed {seed} stands there already; each is scored once"
            )
        else:
            found[arm, seed] = {}
            for metric in metrics:
                try:
                    found[arm, seed][metric] = _score(row[metric])
                except ValueError:
                    mistakes.append(
                        f"{path}, line {line}: {metric}={row[metric]!r} is no number (nor empty, nan, na or null)"
                    )
    if not found and not mistakes:
        mistakes.append(f"{path} has no rows below its header")
    arms = list(dict.fromkeys(arm for arm, _ in found))
    seeds = list(dict.fromkeys(seed for _, seed in found))
    if not mistakes and len(arms) < 2:
        mistakes.append(f"{path} has one arm, {arms[0]!r}: a comparison needs two")
    if not mistakes and not any(all((arm, seed) in found for arm in arms[:2]) for seed in seeds) and len(arms) == 2:
        mistakes.append(f"{path}: {arms[0]!r} and {arms[1]!r} have no seed in common; scores are paired by seed")
    if mistakes:
        more = len(mistakes) - _MOST_MISTAKES
        raise SettingsError([*mistakes[:_MOST_MISTAKES], *([f"and {more} more"] if more > 0 else [])])
    return Scores(
        sorted(seeds, key=_seed_order),
        {
            metric: {
                arm: [found.get((arm, seed), {}).get(metric) for seed in sorted(seeds, key=_seed_order)] for arm in arms
            }
            for metric in metrics
        },
    )


def _score(text: str) -> float | None:
    if text.strip().lower() in ("", "nan", "null", "na"):
        return None
    value = float(text)
    if not math.isfinite(value) or "_" in text:  # Python reads 1_0 as 10
        raise ValueError
    return value


def _seed_order(seed: str) -> tuple[int, int, str]:
    return (0, int(seed), "") if seed.isdecimal() and len(seed) < 20 else (1, 0, seed)
