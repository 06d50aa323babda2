"""The engine of a multilayer perceptron with any activation, norms, skips and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from paribus.config.settings import Settings
from paribus.fused import layout, mlp_general
from paribus.fused.engine import Mlp, laid_out, linear_shapes
from paribus.fused.hidden import ACTIVATIONS, BATCH_NORM, NORMS
from paribus.fused.network import Network
from paribus.fused.rows import BATCH, ROW
from paribus.tasks import Task


class GeneralMlp(Mlp):
    """As `Mlp`, whatever a hidden layer is made of; it has the running statistics of batch normalisation too."""

    model: ClassVar = "mlp_general"
    loops: ClassVar = mlp_general
    targets: ClassVar[np.dtype[Any]] = np.dtype(np.float64)

    def __init__(
        self, settings: Settings, task: Task, seed: int, splits: Sequence[str], network: Network | None = None
    ) -> None:
        super().__init__(settings, task, seed, splits, network)
        if (self.layout[:-1, layout.NORM] == BATCH_NORM).any() and self.run[0]["batch"] > BATCH:
            raise ValueError(f"batch normalisation over a batch of more than {BATCH} examples is not in this engine")
        self._s[self.layout[0, layout.ONES] : self.layout[0, layout.CARRIED]] = 1
        self._buffers: dict[str, NDArray[Any]] = {}
        for i, row in enumerate(self.layout[:-1]):
            if row[layout.NORM] == BATCH_NORM:
                at, units = int(row[layout.STATISTICS]), int(row[layout.N_OUT])
                self._buffers[f"norms.{i}.running_mean"] = self._s[at : at + units]
                self._buffers[f"norms.{i}.running_var"] = self._s[at + units : at + 2 * units]
                self._s[at + units : at + 2 * units] = 1

    def load_statistics(self, values: Mapping[str, NDArray[np.floating]]) -> None:
        """Set the running statistics of batch normalisation."""
        for name, value in values.items():
            self._buffers[name][:] = value

    def weights(self) -> dict[str, NDArray[np.floating]]:
        """Copies of the parameters and of the running statistics."""
        return super().weights() | {name: buffer.copy() for name, buffer in self._buffers.items()}

    def _laid_out(self, network: Network) -> tuple[NDArray[np.int64], int]:
        linear, end = laid_out(network.sizes)
        rows = np.zeros((len(linear), layout.COLUMNS), np.int64)
        rows[:, : linear.shape[1]] = linear
        parameters = int(linear[-1, layout.BIAS] + linear[-1, layout.N_OUT])
        widest = max(network.sizes[1:-1], default=0) * ROW
        rows[:, layout.ONES], rows[:, layout.CARRIED] = end, end + widest
        end += 2 * widest
        for row, activation, norm, skip in zip(rows, network.activations, network.norms, network.skips, strict=False):
            units = int(row[layout.N_OUT])
            row[layout.ACTIVATION], row[layout.NORM], row[layout.SKIP] = ACTIVATIONS[activation], NORMS[norm], skip
            row[layout.SLOPE], row[layout.NORMAL], row[layout.ROOM] = end, end + units * ROW, end + 2 * units * ROW
            row[layout.STATISTICS] = end + (2 * units + 3) * ROW
            end += (2 * units + 3 + -(-3 * units // ROW)) * ROW
            if norm != "none":
                row[layout.SCALE], row[layout.SHIFT] = parameters, parameters + units
                parameters += 2 * units
        return rows, end

    def _shapes_of(self, network: Network) -> dict[str, tuple[int, ...]]:
        shapes = linear_shapes(network.sizes)
        for i, (units, norm) in enumerate(zip(network.sizes[1:-1], network.norms, strict=True)):
            if norm != "none":  # after all linears, as in the other backends
                shapes[f"norms.{i}.weight"] = shapes[f"norms.{i}.bias"] = (units,)
        return shapes

    def _into(self, x: NDArray[Any], out: NDArray[Any]) -> None:
        self._loops["logits"](self.layout, self.p, self._s, x, self._wide, out, self._exponents)
