"""From a command to a request: what is checked without looking at data or disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paribus.core.words import SettingsError
from paribus.study.arms import Design, design, parse_seeds

DEFAULT_METRIC = "test_accuracy"
KEEPABLE = frozenset({"weights", "predictions"})

_NAME_LENGTH = 80


@dataclass(frozen=True)
class Request:
    """What a command asks for.

    `keep`: what records hold beside the curves (`weights`, `predictions`); `jobs`: how many processes train at once;
    `timing`: each run alone in a process of its own, so that its seconds can be compared.
    """

    design: Design
    seeds: list[int]
    folder: Path
    name: str
    metric: str = DEFAULT_METRIC
    keep: frozenset[str] = frozenset()
    jobs: int = 1
    timing: bool = False
    command: str = ""


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
    jobs: int = 1,
    timing: bool = False,
    command: str = "",
) -> Request:
    """The request that a command makes; SettingsError with all of its mistakes."""

    def made() -> Design:
        found = design(task, words)
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

    called = name if name is not None else default_name(task, words)
    folder = out if out is not None else Path("runs") / folder_name(called)
    return make_request(made, seeds, called, folder, metric, keep, jobs, timing, command)


def make_request(
    make_design: Callable[[], Design],
    seeds: str,
    name: str,
    folder: Path,
    metric: str,
    keep: str | None,
    jobs: int,
    timing: bool,
    command: str,
) -> Request:
    """A request from its parts; SettingsError with what is wrong in any of them."""
    mistakes: list[str] = []
    made: Design | None = None
    numbers: list[int] = []
    try:
        made = make_design()
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
    if jobs < 1:
        mistakes.append(f"--jobs {jobs} is not allowed: jobs is a whole number above 0")
    if timing and jobs > 1:
        mistakes.append(f"--jobs {jobs} and --timing exclude each other: a timed run has the machine to itself")
    if made is None or mistakes:
        raise SettingsError(mistakes)
    return Request(made, numbers, folder, name, metric, kept, jobs, timing, command)


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
