"""What the loop asks of an implementation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from paribus.core.plan import Indices


class Learner(Protocol):
    """A model with its optimizer and its data, in one implementation."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes, in the order of the model."""

    def load(self, values: Mapping[str, NDArray[np.floating]]) -> None:
        """Set the parameters."""

    def scale_lr(self, factor: float) -> None:
        """The learning rate of the steps that follow: the settings' times this."""

    def begin_epoch(self, batches: list[Indices]) -> None:
        """The epoch's batches, before its first step: where batches are made in another way than by index."""

    def step(self, examples: Indices, epoch: int) -> SupportsFloat:
        """One step of the optimizer on these training examples; the batch's mean loss before it.

        Gradients are clipped after backward and before the optimizer, where `clip` is set.
        """

    def evaluate(self, split: str) -> tuple[float, float]:
        """Mean loss and accuracy over a whole split, in evaluation mode."""

    def logits(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """The logits of each input, shape (inputs, classes), in evaluation mode."""

    def weights(self) -> dict[str, NDArray[np.floating]]:
        """Copies of the parameters."""
