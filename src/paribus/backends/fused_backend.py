"""The compiled engine: many runs at once, a thread each, no Python between their steps."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import ClassVar

from paribus.backends.base import Backend, Load, Trial
from paribus.backends.torch import TorchBackend
from paribus.config.base import Config
from paribus.config.models import Mlp, UserModel
from paribus.config.settings import Settings, steps_in_epoch
from paribus.records.record import Outcome
from paribus.records.run import Callback, Run
from paribus.tasks import Task
from paribus.training.threads import blas_threads, torch_threads

_AT_ONCE = 128
"""Examples: `fused.rows.BATCH`, which is not read here, as its module takes half a second to import."""


class FusedBackend(Backend):
    """What it has it trains a hundred times as fast, so `auto` asks it first. Of the user's modules it has those
    that are a perceptron, which a trial on the data shows."""

    name: ClassVar[str] = "fused"
    preference: ClassVar[int | None] = 1
    needs: ClassVar[str | None] = "numba"
    models: ClassVar[tuple[str, ...] | None] = ("mlp", "rnn")
    features: ClassVar[frozenset[str]] = frozenset({"loss"})
    user_code: ClassVar[frozenset[type[Config]]] = frozenset((UserModel,))
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
        if settings.told_loss.of_numbers and not isinstance(settings.model, Mlp | UserModel):
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

    def on_trial(self, settings: Settings) -> bool:
        """A module of the user's own."""
        return type(settings.model) is UserModel

    def tried(self, settings: Settings, task: Task) -> Trial:
        """A module of the user's own is tried by PyTorch, then proven to be a perceptron of the engine."""
        if not self.on_trial(settings):
            return Trial()
        alone = TorchBackend().tried(settings, task)
        if alone.refusals:
            return alone
        from paribus.backends.fused_runner import loops
        from paribus.backends.lowering.prove import prove
        from paribus.backends.lowering.run import lowered
        from paribus.backends.lowering.trace import NotLowered

        lowered.cache_clear()  # a function may read what has changed since, as a file
        try:
            _ready(loops(settings, lambda: task), settings.precision)
            with self.threads(1):
                found = prove(settings, task)
        except NotLowered as error:
            what = f"implementation=fused cannot train model={settings.model.name}: {error}"
            return Trial(refusals=[f"{what}; take implementation=torch, or auto"])
        return replace(alone, found=str(found))

    def threads(self, count: int) -> AbstractContextManager[None]:
        """PyTorch's own threads too, where it is there."""
        return torch_threads(count) if "torch" in sys.modules else blas_threads(count)

    def train(self, runs: Sequence[Run], load: Load, callback: Callback, *, workers: int) -> list[Outcome]:
        """As many at once as there are workers, a thread each."""
        from paribus.backends.fused_runner import train_fused

        return train_fused(runs, load, callback, workers)

    def estimate(self, settings: Settings, task: Task) -> float:
        """From the first moments of a run."""
        from paribus.backends.fused_runner import begun, loops

        _ready(loops(settings, lambda: task), settings.precision)
        with self.threads(1):
            engine = begun(settings, task, 0, list(task.splits)).engine
            engine.advance()
            state = engine.run[0]
        steps = settings.epochs * steps_in_epoch(settings, len(task.train))
        seconds = float(state["train_seconds"] + state["eval_seconds"])
        return seconds * steps / max(int(state["step"]), 1)


def _ready(model: str, precision: str) -> None:
    from paribus.fused.compile import ready

    ready(precision, lambda line: print(line, file=sys.stderr), model)
