"""What a multilayer perceptron consists of, as the engines lay it out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from paribus.config.models import Mlp as MlpConfig


@dataclass(frozen=True)
class Network:
    """Linear layers one after another, each hidden one followed by a norm, an activation and dropout.

    `sizes`: inputs, hidden layers, outputs. Of each hidden layer: `activations`, `norms` (names as in the settings of
    the mlp), and `skips`, whether its input is added to its output. `dropout`: of every hidden layer.


    >>> Network.of(MlpConfig(hidden=(5, 5), norm="layer", skip=True), inputs=3, outputs=2).skips
    (False, True)

    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    norms: tuple[str, ...]
    skips: tuple[bool, ...]
    dropout: float = 0.0

    @classmethod
    def of(cls, model: MlpConfig, inputs: int, outputs: int) -> Network:
        """That of the settings."""
        sizes, count = (inputs, *model.hidden, outputs), len(model.hidden)
        skips = tuple(model.skip and n_in == n_out for n_in, n_out in pairwise(sizes[:-1]))
        return cls(sizes, (model.activation,) * count, (model.norm,) * count, skips, model.dropout)

    @property
    def plain(self) -> bool:
        """Whether each hidden layer is a linear layer and a ReLU, and nothing else."""
        alike = {*self.activations} <= {"relu"} and {*self.norms} <= {"none"}
        return alike and not any(self.skips)

    def __str__(self) -> str:
        """Layer by layer.

        >>> print(Network.of(MlpConfig(hidden=(8, 8), norm="batch", skip=True), inputs=8, outputs=2))
        8 -> 8 batch norm relu + input -> 8 batch norm relu + input -> 2
        """
        parts = [str(self.sizes[0])]
        layers = zip(self.sizes[1:-1], self.norms, self.activations, self.skips, strict=True)
        for units, norm, activation, skip in layers:
            norms, skips = "" if norm == "none" else f" {norm} norm", " + input" if skip else ""
            parts.append(f"{units}{norms}{'' if activation == 'identity' else ' ' + activation}{skips}")
        return " -> ".join([*parts, str(self.sizes[-1])])
