"""PyTorch's autograd and optimizers in the loop. PyTorch is imported when something is trained, not before."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import ClassVar

from paribus.backends.base import Trial
from paribus.backends.stepwise import StepwiseBackend
from paribus.config.base import Config
from paribus.config.conflicts import OPTIONAL
from paribus.config.cuda import sees_cuda
from paribus.config.losses import UserLoss
from paribus.config.models import Mlp, UserModel
from paribus.config.optimizers import UserOptimizer
from paribus.config.settings import Settings
from paribus.plan import Plan
from paribus.tasks import Task
from paribus.training.learner import EVERY_CAUTION, Caution, Learner
from paribus.training.threads import torch_threads


class TorchBackend(StepwiseBackend):
    """It has everything; `auto` takes it where nothing faster can be had."""

    name: ClassVar[str] = "torch"
    preference: ClassVar[int | None] = 2
    needs: ClassVar[str | None] = "torch"
    features: ClassVar[frozenset[str]] = frozenset(OPTIONAL)
    user_code: ClassVar[frozenset[type[Config]]] = frozenset((UserLoss, UserModel, UserOptimizer))

    def settled(self, settings: Settings) -> Settings:
        """On a GPU where there is one, but for small perceptrons, whose steps are too short to send away."""
        if settings.device == "auto" and not isinstance(settings.model, Mlp) and sees_cuda():
            settings = settings.model_copy(update={"device": "cuda"})
        return super().settled(settings)

    def tried(self, settings: Settings, task: Task) -> Trial:
        """A module or optimizer of the user's own is made, and tried on as many examples as each batch has."""
        if not settings.runs_user_code:
            return Trial()
        from paribus.backends.torch.user_code import UserCodeLearner
        from paribus.backends.torch.user_trial import trial

        def make(copies: Settings) -> UserCodeLearner:
            learner = self.make_learner(copies, task, Plan(0), cautions=EVERY_CAUTION)
            assert isinstance(learner, UserCodeLearner)
            return learner

        return trial(settings, task, make)

    def learner(
        self, settings: Settings, task: Task, plan: Plan, *, cautions: frozenset[Caution] = frozenset()
    ) -> Learner:
        """PyTorch's module of the settings, or the user's own."""
        if settings.runs_user_code:
            from paribus.backends.torch.user_code import UserCodeLearner

            return UserCodeLearner(settings, task, plan, cautions=cautions)
        from paribus.backends.torch.learner import TorchLearner

        return TorchLearner(settings, task, plan)

    def threads(self, count: int) -> AbstractContextManager[None]:
        """PyTorch's own threads too."""
        return torch_threads(count)
