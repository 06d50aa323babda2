"""From a command to a request: what is checked without looking at data or disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from paribus.core.words import SettingsError
from paribus.study.arms import Design, design, parse_seeds
from paribus.study.runner import DEFAULT_METRIC, Request

KEEPABLE = frozenset({"weights", "predictions"})

_NAME_LENGTH = 80


def request(
    task: str,
    words: Sequence[str],
    seeds: str,
    name: str | None = None,
    out: Path | None = None,
    metric: str = DEFAULT_METRIC,
    keep: str | None = None,
    *,
    compare: bool,
    command: str = "",
) -> Request:
    """The request that a command makes; SettingsError with all of its mistakes."""
    mistakes: list[str] = []
    made: Design | None = None
    numbers: list[int] = []
    try:
        made = design(task, words)
    except SettingsError as error:
        mistakes += error.mistakes
    try:
        numbers = parse_seeds(seeds)
    except SettingsError as error:
        mistakes += error.mistakes
    kept = frozenset(keep.split(",")) if keep else frozenset()
    if unknown := sorted(kept - KEEPABLE):
        mistakes.append(
            f"--keep {','.join(unknown)} is not allowed: allowed is weights, predictions, or both with a comma"
        )
    if made and compare and len(made.arms) < 2:
        mistakes.append(
            "compare needs at least two arms: list values with a comma, as in lr=0.1,0.01, or use `paribus train`"
        )
    if made and not compare and len(made.arms) > 1:
        mistakes.append(
            f"train takes one arm, this is {len(made.arms)} ({', '.join(made.factors)} vary): use `paribus compare`"
        )
    if made is None or mistakes:
        raise SettingsError(mistakes)
    called = name if name is not None else default_name(task, words)
    folder = out if out is not None else Path("runs") / folder_name(called)
    return Request(made, numbers, folder, called, metric, kept, command)


def default_name(task: str, words: Sequence[str]) -> str:
    """A name that two commands share only if they ask for the same study.

    >>> default_name("moons", ["lr=0.1,0.01", "epochs=5"])
    'moons lr=0.1,0.01 epochs=5'
    """
    return " ".join([task, *words])


def folder_name(name: str) -> str:
    """A name that every file system takes: what it would not take becomes `-`, and what is cut or lost a short hash.

    >>> folder_name("moons lr=0.1,0.01"), folder_name("../学")
    ('moons-lr=0.1,0.01', 'study-c8bb12')
    """
    safe = re.sub(r"[^\w.,=+-]", "-", name, flags=re.ASCII).strip(".-")
    if safe and safe == name.replace(" ", "-") and len(safe) <= _NAME_LENGTH:
        return safe
    mark = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{safe[:_NAME_LENGTH] or 'study'}-{mark}"
