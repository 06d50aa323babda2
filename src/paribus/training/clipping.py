"""What clipping did: the gradient's norm before it, and how often it was over the limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Clipping:
    """Over the steps since the last evaluation. Norms may be tensors on a device: they are read with the meters. Of
    runs that are trained together, the limits and the norms are columns."""

    def __init__(self, limit: Any) -> None:
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

    def read_each(self, limits: Sequence[float | None]) -> list[dict[str, float]]:
        """As `read`, of runs that are trained together, each with its limit, or without one."""
        if self._limit is None or not self._steps:
            return [{} if one is None else {"gradient_norm": 0.0, "clipped_share": 0.0} for one in limits]
        steps = self._steps
        norms, clipped = self._norms.flatten().tolist(), self._clipped.flatten().tolist()
        self._norms, self._clipped, self._steps = 0.0, 0.0, 0
        return [
            {} if one is None else {"gradient_norm": norm / steps, "clipped_share": share / steps}
            for one, norm, share in zip(limits, norms, clipped, strict=True)
        ]

    def state(self) -> list[float]:
        """For a checkpoint."""
        return [float(self._norms), float(self._clipped), float(self._steps)]

    def restore(self, state: Any) -> None:
        """As `state` left it."""
        self._norms, self._clipped = float(state[0]), float(state[1])
        self._steps = int(state[2])
