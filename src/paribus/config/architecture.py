"""The source report's convolutional network as a table: what PyTorch's model and the one by hand are both made from.

Thirteen layers: the numbers are output channels of a convolution (3x3, stride 1, padding 1, then batch normalisation
and ReLU), `pool` is a max pool (3x3, stride 2, padding 1); a linear layer from what is left to the classes follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

KERNEL, PADDING, POOL_STRIDE = 3, 1, 2
NORM_MOMENTUM, NORM_EPS = 0.1, 1e-5

CNN: tuple[int | Literal["pool"], ...] = (
    64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool",
)  # fmt: skip


@dataclass(frozen=True)
class CnnLayer:
    """A row of the table. `output`: (channels, height, width)."""

    kind: Literal["conv", "pool"]
    channels_in: int
    output: tuple[int, int, int]


def output_size(size: int, stride: int) -> int:
    """Pixels along a side after a layer: floor((H + 2 p - k) / s + 1).

    >>> output_size(32, stride=1), output_size(32, stride=2), output_size(1, stride=2)
    (32, 16, 1)
    """
    return (size + 2 * PADDING - KERNEL) // stride + 1


def cnn_layers(image: tuple[int, int, int], width: float) -> Iterator[CnnLayer]:
    """The table's rows for images (channels, height, width), every number of channels times `width`, at least 1.

    A pool of a single pixel leaves it as it is, so that small images go through too.

    >>> [layer.output for layer in cnn_layers((3, 32, 32), width=1.0)][-1]
    (512, 1, 1)
    >>> [layer.output for layer in cnn_layers((1, 8, 8), width=0.125)][:3]
    [(8, 8, 8), (8, 4, 4), (16, 4, 4)]
    """
    channels, rows, columns = image
    for row in CNN:
        stride = POOL_STRIDE if row == "pool" else 1
        after = channels if row == "pool" else max(1, round(row * width))
        rows, columns = output_size(rows, stride), output_size(columns, stride)
        yield CnnLayer("pool" if row == "pool" else "conv", channels, (after, rows, columns))
        channels = after
