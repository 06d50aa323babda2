"""Many runs in one computation of PyTorch's, by `torch.func`. PyTorch is imported when something is trained."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import ClassVar

from paribus.backends.base import Backend, Load, Trial
from paribus.backends.torch import TorchBackend
from paribus.config.base import Config
from paribus.config.models import UserModel
from paribus.config.settings import Settings, evaluations, steps_in_epoch
from paribus.records.record import Outcome
from paribus.records.run import Callback, Run
from paribus.tasks import Task
from paribus.training.threads import torch_threads

_TORCH = TorchBackend()


class StackedBackend(Backend):
    """Seeds and arms of one structure, side by side in each operation. It is taken by its name alone.

    Its numbers are those of `torch` to rounding, and depend, to rounding, on how many runs go together. Runs leave no
    checkpoints; what is interrupted begins again.
    """

    name: ClassVar[str] = "stacked"
    optimizers: ClassVar[tuple[str, ...] | None] = ("sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam", "lion")
    features: ClassVar[frozenset[str]] = frozenset({
        "loss", "label_smoothing", "optimizer.decay", "optimizer.decoupled", "eval_train", "device", "threads",
    })  # fmt: skip
    user_code: ClassVar[frozenset[type[Config]]] = frozenset((UserModel,))
    side_by_side: ClassVar[bool] = True

    def settled(self, settings: Settings) -> Settings:
        """On the device that `torch` takes."""
        return super().settled(_TORCH.settled(settings))

    def tried(self, settings: Settings, task: Task) -> Trial:
        """A module of the user's own is tried by itself, then two runs of it together, beside the same two alone."""
        if not settings.runs_user_code:
            return Trial()
        alone = _TORCH.tried(settings, task)
        if alone.refusals:
            return alone
        from paribus.backends.stacked.trial import refusals

        found = refusals(settings, task)
        return Trial(refusals=found) if found else alone

    def threads(self, count: int) -> AbstractContextManager[None]:
        """PyTorch's own threads too."""
        return torch_threads(count)

    def train(self, runs: Sequence[Run], load: Load, callback: Callback, *, workers: int) -> list[Outcome]:  # noqa: ARG002
        """A stack after another, however many workers there are."""
        from paribus.backends.stacked.runner import train_stacked

        return train_stacked(runs, load, callback, self.threads)

    def estimate(self, settings: Settings, task: Task) -> float:
        """One run's share in a full stack, from a few timed steps and one evaluation."""
        from paribus.backends.stacked.trial import timed

        with self.threads(settings.threads):
            step, evaluation = timed(settings, task)
        steps = settings.epochs * steps_in_epoch(settings, len(task.train))
        return steps * step + evaluations(settings, len(task.train)) * evaluation
