"""Real studies with seeds until decided beside the same at all 40: seeds, seconds of the whole command, verdicts.

    python benchmarks/until_decided.py digits        # Adam, SGD and RMSprop at their tuned rates: a minute and a half
    python benchmarks/until_decided.py c6            # claim C6's network at laptop scale: 8 minutes on one core
    python benchmarks/until_decided.py c6 --rounds 3

Each is trained as `paribus run` trains it, in a folder that is thrown away, with and without a margin of a point; of 40
seeds the same runs are judged twice. They take turns, and who is first changes from round to round; of the rounds the
middle time counts. Processor seconds are those of the command and all that it started: a busy machine changes them less
than the seconds on the clock.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import paribus

MARGIN = 0.01
"""A point of accuracy."""

UNTIL, FIXED = '"6..40"', "40"
"""As a study's file has them."""

DIGITS = """
name = "digits, each optimizer at its tuned rate"
task = "digits"
seeds = 40

[settings]
epochs = 60

[[arms]]
name = "Adam"
optimizer = "adam"
lr = 0.0316

[[arms]]
name = "SGD"
optimizer = "sgd"
lr = 1.0

[[arms]]
name = "RMSprop"
optimizer = "rmsprop"
lr = 0.00316
"""
"""The rates that docs/tuning.md finds."""


def c6() -> str:
    """C6's study at laptop scale, one run at a time."""
    path = Path(paribus.__file__).parent / "reproduction" / "laptop" / "c6-c7.toml"
    return re.sub(r"^jobs = .*$", "jobs = 1", path.read_text(), flags=re.MULTILINE)


def written(study: str, seeds: str, margin: float | None) -> str:
    """The study's file with other seeds, and with a margin."""
    lines = f"seeds = {seeds}" + ("" if margin is None else f"\nmargin = {margin:g}")
    text, count = re.subn(r"^seeds = .*$", lines, study, flags=re.MULTILINE)
    assert count == 1, "the study's file names its seeds once"
    return text


@dataclass(frozen=True)
class Lap:
    """Seconds on the clock, processor seconds, and for each margin what `--json` says."""

    seconds: float
    processor: float
    found: dict[float | None, dict[str, Any]]


def lap(study: str, seeds: str, margins: Sequence[float | None]) -> Lap:
    """The first of the margins is timed; for others the same runs are judged again."""
    with tempfile.TemporaryDirectory() as folder:
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
        found = {margins[0]: carried_out(written(study, seeds, margins[0]), Path(folder))}
        seconds, after = perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        found |= {margin: carried_out(written(study, seeds, margin), Path(folder)) for margin in margins[1:]}
    return Lap(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, found)


def carried_out(text: str, folder: Path) -> dict[str, Any]:
    """What `paribus run` says of this file."""
    file = folder / "study.toml"
    file.write_text(text)
    words = [sys.executable, "-m", "paribus", "run", str(file), "--out", str(folder / "study"), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def told(found: dict[str, Any]) -> str:
    """The verdict of each pair on the primary metric, after how many seeds, and that on each claim."""
    pairs = [one for one in found["differences"] if one["metric"] == found["study"]["primary_metric"]]
    said = []
    for one in pairs:
        verdict = {"a higher": f"{one['a']} higher", "b higher": f"{one['b']} higher"}.get(
            one["verdict"], one["verdict"]
        )
        said.append(f"{one['a']}, {one['b']}: {verdict} ({one['pairs']})")
    return "; ".join([*said, *(f"{one['id']} {one['answer']}" for one in found["claims"])])


def main(study: str, rounds: int) -> None:
    """The table."""
    laps: dict[tuple[str, float | None], list[Lap]] = {}
    for turn in range(rounds):
        ways = [(UNTIL, [None]), (FIXED, [None, MARGIN]), (UNTIL, [MARGIN])]
        for seeds, margins in ways[:: 1 if turn % 2 == 0 else -1]:
            one = lap(study, seeds, margins)
            for margin in margins:
                laps.setdefault((seeds, margin), []).append(one)
    print("| margin | seeds | runs | seconds | processor seconds | verdicts (seeds) |\n|---|---|---|---|---|---|")
    for margin in (None, MARGIN):
        for seeds in (UNTIL, FIXED):
            of = laps[seeds, margin]
            found = of[0].found[margin]
            assert all(told(one.found[margin]) == told(found) for one in of), "the same command says something else"
            cells = (
                "none" if margin is None else f"{margin:g}",
                seeds.strip('"'),
                str(sum(len(arm["runs"]) for arm in found["arms"])),
                f"{median(one.seconds for one in of):.0f}",
                f"{median(one.processor for one in of):.0f}",
                told(found),
            )
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=("digits", "c6"))
    parser.add_argument("--rounds", type=int, default=None, help="by default 3 of digits, 1 of c6")
    given = parser.parse_args()
    main(DIGITS if given.study == "digits" else c6(), given.rounds or (3 if given.study == "digits" else 1))
