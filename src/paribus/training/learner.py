"""What the loop asks of an implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, SupportsFloat, get_args

import numpy as np
from numpy.typing import NDArray

from paribus.plan import Indices
from paribus.tasks.pool import Targets
from paribus.tasks.task import Inputs
from paribus.training.vitals import Look, Moves


@dataclass(frozen=True)
class Scores:
    """What an evaluation finds of a split: mean loss, and what is `measured` beside it (`accuracy`; of numbers to
    predict `rmse`, `mae`, `r2`), over a part of the training data with `eval_train`.

    `logits`: gives those of the whole split, which metrics of the user's own ask for.
    """

    loss: float
    measured: Mapping[str, float]
    logits: Callable[[], NDArray[np.floating]] = field(compare=False)


Caution = Literal["generators", "evaluation", "checkpoint"]
"""What a run does for code that it cannot trust: NumPy's and Python's generators are set at each step; every evaluation
is one of a copy; no checkpoint is gone on from. One does not bring the other: a module may look at where a generator
stands."""

EVERY_CAUTION: frozenset[Caution] = frozenset(get_args(Caution))


class Trained(Protocol):
    """What is asked of a model on its way, whoever moves it."""

    def evaluate(self, split: str) -> Scores:
        """How well a split is predicted, in evaluation mode."""

    def logits(self, x: Inputs) -> NDArray[np.floating]:
        """The outputs for each input, in evaluation mode: logits (inputs, classes), or scaled numbers (inputs, 1). Of a
        class for each step: a row for each step of each input."""

    def weights(self) -> dict[str, NDArray[np.floating]]:
        """Copies of the parameters, and of what else a model keeps, as running statistics."""

    def clipping(self) -> Mapping[str, float]:
        """What clipping did since this was asked last: `Clipping.read`."""

    def state(self) -> bytes:
        """Model and optimizer as they stand between two steps."""

    def restore(self, state: bytes) -> None:
        """As `state` left them, to the last bit."""

    def doubt(self) -> str | None:
        """Why a run that goes on from `state` may end elsewhere than one in one piece; None where it will not."""

    def watches_generators(self) -> bool:
        """Whether `confirm` raises where anybody has drawn from NumPy's or Python's global generator."""

    def confirm(self) -> None:
        """At the end of a run, and before a checkpoint. Raises BeginAgain where what it did was not what the plan
        says."""


class Learner(Trained, Protocol):
    """A model with its optimizer and its data, in one implementation."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes, in the order of the model."""

    def load(self, values: Mapping[str, NDArray[np.floating]]) -> None:
        """Set the parameters."""

    def scale_lr(self, factor: float) -> None:
        """The learning rate of the steps that follow: the settings' times this."""

    def begin_epoch(self, epoch: int, batches: list[Indices]) -> None:
        """The batches of an epoch that are to come, before the first of them."""

    def step(self, examples: Indices, epoch: int) -> SupportsFloat:
        """One step of the optimizer on these training examples; the batch's mean loss before it.

        Gradients are clipped after backward and before the optimizer, where `clip` is set.
        """

    def look(self, x: Inputs, y: Targets, moved: Moves) -> Look | None:
        """At its layers over examples: see `vitals.LookAt`. None of models that are known by their weights."""

    def known_by_weights(self) -> bool:
        """Whether the model that the settings name has these outputs at these weights, so that a look may compute them
        by hand."""


class BeginAgain(Exception):  # noqa: N818 (an event of a run, not its error)
    """A run has to be trained again, with more care in one thing. Its text says why."""

    def __init__(self, reason: str, caution: Caution) -> None:
        super().__init__(reason)
        self.caution = caution
