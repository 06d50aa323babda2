"""The source report's convolutional network in PyTorch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from paribus.config.architecture import (
    KERNEL,
    NORM_EPS,
    NORM_MOMENTUM,
    PADDING,
    POOL_STRIDE,
    cnn_layers,
)
from paribus.models.mlp import Linear


class Convolution(nn.Conv2d):
    """`torch.nn.Conv2d` whose parameters are left unset: building one draws nothing from the global generator."""

    def reset_parameters(self) -> None:
        """The plan sets them."""


class Block(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.convolution = Convolution(channels_in, channels_out, KERNEL, padding=PADDING, dtype=dtype)
        self.norm = nn.BatchNorm2d(channels_out, NORM_EPS, NORM_MOMENTUM, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """x (examples, channels_in, height, width) -> (examples, channels_out, height, width)."""
        return torch.relu(self.norm(self.convolution(x)))


class Cnn(nn.Module):
    """The table of `config.architecture`: blocks of convolution, batch normalisation, ReLU; max pools; a linear layer.

    `image`: (channels, height, width). The parameters are unset until they are loaded, but for the batch norms, whose
    scale is 1 and shift 0.

    >>> Cnn((1, 8, 8), classes=10, width=0.125)(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self, image: tuple[int, int, int], classes: int, width: float = 1.0, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        layers = list(cnn_layers(image, width))
        self.pooled = [layer.kind == "pool" for layer in layers]
        self.blocks = nn.ModuleList(
            Block(layer.channels_in, layer.output[0], dtype) for layer in layers if layer.kind == "conv"
        )
        self.linear = Linear(math.prod(layers[-1].output), classes, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (examples, classes) for x (examples, channels, height, width)."""
        blocks = iter(self.blocks)
        for pool in self.pooled:
            x = max_pool2d(x, KERNEL, POOL_STRIDE, PADDING) if pool else next(blocks)(x)
        logits: Tensor = self.linear(x.flatten(1))
        return logits
