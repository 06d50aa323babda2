"""`paribus bench`: from words to a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from paribus.bench.clock import Bench, bench
from paribus.bench.contestants import CONTESTANTS, PEERS
from paribus.config.overrides import SettingsError
from paribus.config.settings import Settings
from paribus.study.arms import design
from paribus.tasks import load

_TASK = "moons"
# An ordinary initialisation, so that every contestant learns the task in the epochs that are timed.
_WORDS = {"init": "init=default", "epochs": "epochs=200"}
SUPPORTED: dict[str, tuple[object, ...]] = {
    name: (value,)
    for name, value in {
        "model": "mlp", "model.dropout": 0.0, "model.activation": "relu", "model.norm": "none", "model.skip": False,
        "optimizer": "sgd", "optimizer.momentum": 0.0, "optimizer.weight_decay": 0.0, "sampler": "shuffle",
        "steps_per_epoch": "all", "schedule": "constant", "clip": "none", "l1": 0.0, "validation": 0.0,
        "init": "default", "precision": "float32", "loader": "indexed", "threads": 1, "loss": "cross_entropy",
        "label_smoothing": 0.0, "class_weight": "none", "patience": "none",
    }.items()
}  # fmt: skip
"""What every contestant has of these settings; each of them has all values of the others."""


@dataclass(frozen=True)
class Result:
    """What `paribus bench` found."""

    settings: Settings
    rounds: int
    found: Bench
    missing: list[str]

    @property
    def all_learned(self) -> bool:
        """Whether every contestant learned the task; a time of one that did not says nothing."""
        return all(timing.learned for timing in self.found.timings)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema_version": 1,
            "settings": self.settings.flat(),
            "rounds": self.rounds,
            "microseconds_floor": self.found.floor,
            "flops_a_step": self.found.flops,
            "matrix_product_gflops": self.found.rate / 1e9,
            "contestants": [asdict(timing) for timing in self.found.timings],
        }

    def table(self) -> RenderableType:
        """For a terminal."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in ("way", "us a\nstep", "times\nas fast", "least to\nmost", "over\nfloor", "test\naccuracy %"):
            table.add_column(column, justify="left" if column == "way" else "right")
        for timing in self.found.timings:
            accuracy = f"{100 * timing.accuracy:.1f}" + ("" if timing.learned else " NOT LEARNED")
            low, high = timing.ratios
            table.add_row(
                Text(timing.name),
                f"{timing.microseconds:.1f}",
                f"{timing.ratio:.2f}",
                f"{low:.2f} - {high:.2f}",
                f"{timing.microseconds / self.found.floor:.3g} x",
                accuracy,
            )
        s = self.settings
        lines: list[RenderableType] = [
            Text(
                f"{s.task.name}, {s.epochs} epochs at batch {s.batch_size} with evaluation, 1 thread, "
                f"{self.rounds} rounds interleaved, medians",
                style="bold",
            ),
            table,
            Text(
                f"floor: {self.found.flops:,} FLOPs a step over {self.found.rate / 1e9:.1f} GFLOP/s (PyTorch's 64 x 64 "
                f"matrix product) = {self.found.floor:.2f} us"
            ),
        ]
        if self.missing:
            lines.append(Text(f"not installed: {', '.join(self.missing)} (pip install 'paribus[peers]')"))
        return Group(*lines)


def settings_to_time(words: Sequence[str], allowed: Mapping[str, tuple[object, ...]]) -> Settings:
    """The one arm that the words ask for; SettingsError where a setting is not among those allowed."""
    named = [word for word in words if "=" not in word]
    task = named[0] if named else _TASK
    given = [word for word in words if word not in named[:1]]
    settled = {word.partition("=")[0] for word in given}
    made = design(task, [*given, *(word for key, word in _WORDS.items() if key not in settled)])
    settings = made.arms[0].network
    flat = settings.flat()
    mistakes = [
        f"{key.rpartition('.')[2]}={flat[key]} cannot be timed: not every contestant has it; allowed is "
        f"{' or '.join(map(str, values))}"
        for key, values in allowed.items()
        if flat.get(key, values[0]) not in values
    ]
    if len(made.arms) > 1:
        mistakes.append(f"bench takes one arm, this is {len(made.arms)} ({', '.join(made.factors)} vary)")
    if settings.eval_every.unit == "steps" or settings.epochs == 0 or settings.epochs % settings.eval_every.count:
        mistakes.append(
            f"epochs={settings.epochs} and eval_every={settings.eval_every} cannot be timed: epochs is a multiple of "
            "eval_every above 0, in epochs"
        )
    if mistakes:
        raise SettingsError(mistakes)
    return settings


def run_bench(words: Sequence[str], rounds: int, *, peers: bool, console: Console) -> Result:
    """Time every contestant on what the words ask for; SettingsError where not all of them can do it."""
    settings = settings_to_time(words, SUPPORTED)
    asked = [*CONTESTANTS, *(PEERS if peers else ())]
    with console.status("") as status:
        found = bench(
            [contestant for contestant in asked if contestant.installed],
            settings,
            load(settings, 0),
            rounds,
            status.update,
        )
    return Result(settings, rounds, found, [contestant.name for contestant in asked if not contestant.installed])
