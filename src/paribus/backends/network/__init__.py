"""A network that the user wrote by hand in NumPy, as a backend: its parameters begin at the plan's initial values, and
its forward and backward take the place of the house's."""

from __future__ import annotations

from typing import ClassVar

from paribus.backends.base import Trial
from paribus.backends.stepwise import StepwiseBackend
from paribus.config.base import Config
from paribus.config.implementations import UserImplementation
from paribus.config.models import Mlp
from paribus.config.settings import Settings
from paribus.config.values import format_value, plain_value
from paribus.plan import Plan
from paribus.tasks import Task
from paribus.training.learner import Caution, Learner


class NetworkBackend(StepwiseBackend):
    """It stands for `implementation` where that is the user's own, and never for a name."""

    name: ClassVar[str] = UserImplementation.backend
    models: ClassVar[tuple[str, ...] | None] = ("mlp",)
    user_code: ClassVar[frozenset[type[Config]]] = frozenset({UserImplementation})
    by_name: ClassVar[bool] = False
    features: ClassVar[frozenset[str]] = frozenset({
        "label_smoothing", "loss", "class_weight", "patience", "optimizer.decay", "optimizer.decoupled", "eval_train",
        "threads",
    })  # fmt: skip

    def refusals(self, settings: Settings, task: Task | None = None) -> list[str]:
        """Also what the user's network has no part for, and a class for each step."""
        found = [
            line.replace(f"implementation={self.name}", f"implementation={settings.implementation_name}")
            for line in super().refusals(settings)
        ]
        if isinstance(settings.model, Mlp):
            for name, neutral in (("dropout", 0), ("norm", "none"), ("skip", False)):
                value = getattr(settings.model, name)
                if value != neutral:
                    found.append(
                        f"{name}={format_value(plain_value(value))} has no effect with "
                        f"implementation={settings.implementation_name}, which is a network of your own, of "
                        "linear layers and activations: leave it out"
                    )
        if settings.task.per_step:
            found.append(
                f"implementation={settings.implementation_name} predicts one class for an example, and "
                f"{settings.task.name} has a class for each step: take implementation=torch with model=rnn, lstm or gru"
            )
        return [*found, *([] if task is None or found else self.tried(settings, task).refusals)]

    def settled(self, settings: Settings) -> Settings:
        """The user's own stays."""
        device = "cpu" if settings.device == "auto" else settings.device
        return settings.model_copy(update={"device": device})

    def tried(self, settings: Settings, task: Task) -> Trial:
        """It is made, read, and tried on as many examples as each batch has."""
        from paribus.backends.network.learner import NetworkLearner
        from paribus.backends.network.trial import trial

        def make(copies: Settings) -> NetworkLearner:
            learner = self.make_learner(copies, task, Plan(0))
            assert isinstance(learner, NetworkLearner)
            return learner

        return trial(settings, task, make)

    def learner(
        self,
        settings: Settings,
        task: Task,
        plan: Plan,
        *,
        cautions: frozenset[Caution] = frozenset(),  # noqa: ARG002 (it takes every care at each step)
    ) -> Learner:
        """The user's network, made for the settings."""
        from paribus.backends.network.learner import NetworkLearner

        return NetworkLearner(settings, task, plan)
