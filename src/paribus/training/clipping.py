"""What clipping did: the gradient's norm before it, and how often it was over the limit."""

from __future__ import annotations

from typing import Any


class Clipping:
    """Over the steps since the last evaluation. Norms may be tensors on a device: they are read with the meters."""

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._norms: Any = 0.0
        self._clipped: Any = 0.0
        self._steps = 0

    def add(self, norm: Any) -> None:
        """A step's norm before clipping."""
        self._norms = self._norms + norm
        self._clipped = self._clipped + (norm > self._limit) * 1.0
        self._steps += 1

    def read(self) -> dict[str, float]:
        """The mean norm and the share of steps clipped, since this was asked last; nothing without a limit."""
        if self._limit is None:
            return {}
        steps = max(self._steps, 1)
        found = {"gradient_norm": float(self._norms) / steps, "clipped_share": float(self._clipped) / steps}
        self._norms, self._clipped, self._steps = 0.0, 0.0, 0
        return found

    def state(self) -> list[float]:
        """For a checkpoint."""
        return [float(self._norms), float(self._clipped), float(self._steps)]

    def restore(self, state: Any) -> None:
        """As `state` left it."""
        self._norms, self._clipped = float(state[0]), float(state[1])
        self._steps = int(state[2])
