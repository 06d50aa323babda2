"""`paribus bench --runs N`: from words to a table."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from paribus.bench.command import SUPPORTED, settings_to_time
from paribus.bench.many.clock import ManyTiming, many
from paribus.bench.many.contestants import MANY
from paribus.config.overrides import SettingsError
from paribus.config.settings import Settings
from paribus.tasks import load

_FREE = ("sampler", "steps_per_epoch", "clip")
"""What these contestants have beside what those of one run have."""
_ALLOWED: dict[str, tuple[object, ...]] = {
    **{key: value for key, value in SUPPORTED.items() if key not in _FREE},
    "model": ("mlp", "rnn"), "optimizer": ("sgd", "rmsprop"), "optimizer.centered": (False,),
}  # fmt: skip


@dataclass(frozen=True)
class ManyResult:
    """What `paribus bench --runs N` found. `left_out`: who took no part, and why."""

    settings: Settings
    runs: int
    rounds: int
    timings: list[ManyTiming]
    left_out: list[str]

    @property
    def all_learned(self) -> bool:
        """Whether every contestant learned the task, on the mean of its runs."""
        return all(timing.learned for timing in self.timings)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema_version": 1,
            "settings": self.settings.flat(),
            "processor": processor(),
            "threads": self.settings.threads,
            "runs": self.runs,
            "rounds": self.rounds,
            "contestants": [asdict(timing) for timing in self.timings],
            "left_out": self.left_out,
        }

    def table(self) -> RenderableType:
        """For a terminal."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        columns = (
            "way", "runs", "us a step\nand run", "processor\nus", "times as\nfast as loop", "least to\nmost",
            "time over\nfused's", "first\ncall, s", "test accuracy %\nmean (least)",
        )  # fmt: skip
        for column in columns:
            table.add_column(column, justify="left" if column == "way" else "right")
        for timing in self.timings:
            middle, least, most = timing.speedup
            accuracy = f"{100 * timing.accuracy:.1f} ({100 * timing.least_accuracy:.1f})"
            table.add_row(
                Text(timing.name),
                str(timing.runs),
                f"{timing.microseconds:.1f}",
                f"{timing.processor_microseconds:.1f}",
                f"{middle:.2f}",
                f"{least:.2f} - {most:.2f}",
                f"{timing.of_fused[0]:.2f}",
                f"{timing.first_seconds:.1f}",
                accuracy if timing.learned else f"{accuracy} NOT LEARNED",
            )
        s = self.settings
        head = (
            f"{s.task.name}, {self.runs} runs of {s.epochs} epochs at batch {s.batch_size} with evaluation, "
            f"{s.threads} thread, {processor()}, {self.rounds} rounds interleaved, medians"
        )
        notes = "ratios are of the processor's time; first call: what it takes more than the second (compilation)"
        lines: list[RenderableType] = [Text(head, style="bold"), table, Text(notes)]
        return Group(*lines, *(Text(f"left out: {why}") for why in self.left_out))


def processor() -> str:
    """The processor's name, as the system tells it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":  # ARM has none
                return value.strip()
    return platform.processor() or platform.machine()


def run_many(words: Sequence[str], runs: int, rounds: int, *, peers: bool, console: Console) -> ManyResult:
    """Time every contestant of many runs on what the words ask for; SettingsError where they cannot do it."""
    settings = settings_to_time(words, _ALLOWED)
    if (settings.sampler == "replacement") != (settings.steps_per_epoch != "all"):
        raise SettingsError(
            [
                f"sampler={settings.sampler} with steps_per_epoch={settings.steps_per_epoch} cannot be timed: allowed "
                "are sampler=shuffle with steps_per_epoch=all, and sampler=replacement with a number of steps"
            ]
        )
    left_out, chosen = [], []
    for one in MANY:
        refusal = one.refusal(settings)
        if one.needs is not None and not peers:
            continue
        if not one.installed:
            left_out.append(f"{one.name} is not installed (pip install 'paribus[peers]')")
        elif refusal is not None:
            left_out.append(refusal)
        else:
            chosen.append(one)
    with console.status("") as status:
        timings = many(chosen, settings, load(settings, 0), runs=runs, rounds=rounds, say=status.update)
    return ManyResult(settings, runs, rounds, timings, left_out)
