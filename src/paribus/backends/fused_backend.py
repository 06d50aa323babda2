"""The compiled engine: many runs at once, a thread each, no Python between their steps."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import ClassVar

from paribus.backends.base import Backend, Load
from paribus.config.models import Mlp
from paribus.config.settings import Settings, steps_in_epoch
from paribus.records.record import Outcome
from paribus.records.run import Callback, Run
from paribus.tasks import Task

_AT_ONCE = 128
"""Examples: `fused.rows.BATCH`, which is not read here, as its module takes half a second to import."""


class FusedBackend(Backend):
    """What it has it trains a hundred times as fast, so `auto` asks it first."""

    name: ClassVar[str] = "fused"
    preference: ClassVar[int | None] = 1
    models: ClassVar[tuple[str, ...] | None] = ("mlp", "rnn")
    features: ClassVar[frozenset[str]] = frozenset({"loss"})
    side_by_side: ClassVar[bool] = True
    in_threads: ClassVar[bool] = True

    def refusals(self, settings: Settings, task: Task | None = None) -> list[str]:
        """Also batch normalisation over more examples than the engine has at hand at once, losses of numbers to predict
        but for the mlp, a single output for two classes, and a class for each step."""
        found = super().refusals(settings, task)
        if settings.told_loss.kind == "binary":
            found.append(
                "loss=binary has no effect with implementation=fused: its networks have a logit for each class; take "
                "loss=cross_entropy, or implementation=torch"
            )
        if settings.told_loss.of_numbers and not isinstance(settings.model, Mlp):
            found.append(
                f"loss={settings.loss} has no effect with implementation=fused: it has it for model=mlp alone; take "
                "implementation=torch"
            )
        if settings.task.per_step:
            found.append(
                f"implementation=fused reads a sequence out after its last step, and {settings.task.name} has a class "
                "for each step: take implementation=torch"
            )
        if isinstance(settings.model, Mlp) and settings.model.norm == "batch" and settings.batch_size > _AT_ONCE:
            found.append(
                f"implementation=fused cannot have norm=batch with batch_size={settings.batch_size}: it takes a batch "
                f"in parts of {_AT_ONCE} examples, and the statistics are those of the whole batch; take "
                f"implementation=torch, or batch_size={_AT_ONCE}"
            )
        return found

    def train(self, runs: Sequence[Run], load: Load, callback: Callback, *, workers: int) -> list[Outcome]:
        """As many at once as there are workers, a thread each."""
        from paribus.backends.fused_runner import train_fused

        return train_fused(runs, load, callback, workers)

    def estimate(self, settings: Settings, task: Task) -> float:
        """From the first moments of a run."""
        from paribus.fused.compile import engine_of, loops_of, ready

        model = loops_of(settings)
        ready(settings.precision, lambda line: print(line, file=sys.stderr), model)
        with self.threads(1):
            engine = engine_of(model)(settings, task, 0, list(task.splits))
            engine.advance()
            state = engine.run[0]
        steps = settings.epochs * steps_in_epoch(settings, len(task.train))
        seconds = float(state["train_seconds"] + state["eval_seconds"])
        return seconds * steps / max(int(state["step"]), 1)
