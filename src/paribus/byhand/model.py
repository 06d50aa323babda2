"""What every model by hand does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from paribus.byhand.layers import Array


class Model(Protocol):
    """A network: logits forward, gradients of its parameters backward.

    `parameters` are learned; `buffers` are kept with them but not learned, as running statistics; `dropped`: the units
    of each layer that `forward` takes a mask for.
    """

    parameters: dict[str, Array]
    buffers: dict[str, Array]
    dropped: tuple[int, ...]

    def load(self, values: Mapping[str, Array]) -> None:
        """Copy values into the parameters, in place, rounded to their type."""

    def train(self, *, training: bool = True) -> None:
        """Compute as in training (as a new model does), or as in evaluation."""

    def forward(self, x: Array, keep: Sequence[NDArray[np.bool_]] = ()) -> Array:
        """Logits (examples, classes). `keep`: while training with dropout, a mask for each layer of `dropped`."""

    def backward(self, dlogits: Array) -> dict[str, Array]:
        """dL/d(parameter) for every parameter, from dL/d(logits) of the last `forward`."""

    def at_once(self, x: Array) -> int:
        """How many of the examples x are to be evaluated at once, so that what the layers keep fits in memory."""
