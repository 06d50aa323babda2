"""What several test files need."""

from __future__ import annotations

from paribus.backends.base import backend_of
from paribus.backends.stepwise import StepwiseBackend
from paribus.config.settings import Settings
from paribus.plan import Plan
from paribus.tasks import Task
from paribus.training.learner import Learner


def make_learner(settings: Settings, task: Task, plan: Plan) -> Learner:
    """The learner of a backend that takes one step at a time, at the plan's initial values."""
    backend = backend_of(settings)
    assert isinstance(backend, StepwiseBackend)
    return backend.make_learner(settings, task, plan)
