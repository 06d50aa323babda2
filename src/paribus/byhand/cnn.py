"""The source report's convolutional network by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from paribus.byhand.convolution import BatchNorm2d, Conv2d, Flatten, MaxPool2d
from paribus.byhand.layers import Array, Layer, Linear, ReLU
from paribus.config.architecture import KERNEL, NORM_EPS, NORM_MOMENTUM, PADDING, POOL_STRIDE, cnn_layers

_AT_ONCE = 1000
"""Images that are evaluated at once."""


class Cnn:
    """The table of `config.architecture`: blocks of convolution, batch normalisation, ReLU; max pools; a linear layer.

    `image`: (channels, height, width). Parameters and buffers (the running statistics) are named as in the PyTorch
    model: `blocks.0.convolution.weight`, ..., `linear.bias`; `blocks.0.norm.running_mean`, ... The parameters are 0
    until they are loaded, but for the scales of the batch norms, which are 1.

    Backward runs the same layers in the opposite order; each turns dL/d(output) into dL/d(input) (the chain rule).

    >>> model = Cnn((1, 8, 8), classes=10, width=0.125)
    >>> {name: value.shape for name, value in list(model.parameters.items())[:3]}
    {'blocks.0.convolution.weight': (8, 1, 3, 3), 'blocks.0.convolution.bias': (8,), 'blocks.0.norm.weight': (8,)}
    >>> model.forward(np.zeros((5, 1, 8, 8))).shape
    (5, 10)
    """

    def __init__(
        self, image: tuple[int, int, int], classes: int, width: float = 1.0, dtype: type[np.floating] = np.float64
    ) -> None:
        self.image = image
        self.dropped: tuple[int, ...] = ()
        self.layers: list[Layer] = []
        self.named: dict[str, Layer] = {}  # those with parameters
        self.convolutions: list[Conv2d] = []
        self.norms: list[BatchNorm2d] = []
        table = list(cnn_layers(image, width))
        for row in table:
            if row.kind == "pool":
                self.layers.append(MaxPool2d(KERNEL, POOL_STRIDE, PADDING))
            else:
                self._append_block(row.channels_in, row.output[0], dtype)
        features = math.prod(table[-1].output)
        self.named["linear"] = Linear(np.zeros((classes, features), dtype), np.zeros(classes, dtype))
        self.layers += [Flatten(), self.named["linear"]]
        self.parameters: dict[str, Array] = {
            f"{name}.{key}": value for name, layer in self.named.items() for key, value in layer.parameters.items()
        }
        self.buffers: dict[str, Array] = {
            f"blocks.{i}.norm.{key}": value for i, norm in enumerate(self.norms) for key, value in norm.buffers.items()
        }

    def _append_block(self, channels_in: int, channels_out: int, dtype: type[np.floating]) -> None:
        block, out = f"blocks.{len(self.norms)}", channels_out
        weight, bias = np.zeros((out, channels_in, KERNEL, KERNEL), dtype), np.zeros(out, dtype)
        convolution = Conv2d(weight, bias, PADDING)
        scale, shift = np.ones(out, dtype), np.zeros(out, dtype)
        running_mean, running_var = np.zeros(out, dtype), np.ones(out, dtype)
        norm = BatchNorm2d(scale, shift, running_mean, running_var, momentum=NORM_MOMENTUM, eps=NORM_EPS)
        self.convolutions.append(convolution)
        self.norms.append(norm)
        self.named[f"{block}.convolution"], self.named[f"{block}.norm"] = convolution, norm
        self.layers += [convolution, norm, ReLU()]

    def train(self, *, training: bool = True) -> None:
        """Normalise with the batch's statistics (as a new model does), or with the running ones."""
        for norm in self.norms:
            norm.training = training

    def load(self, values: Mapping[str, Array]) -> None:
        """Copy values into the parameters, in place, rounded to their type."""
        for name, parameter in self.parameters.items():
            parameter[...] = values[name]

    def forward(self, x: Array, keep: Sequence[NDArray[np.bool_]] = ()) -> Array:  # noqa: ARG002 (nothing is dropped)
        """Logits (examples, classes) for x (examples, channels, height, width).

        Raises ValueError for images of another shape than the model's, and while training on one example where a
        convolution sees a single pixel (see `BatchNorm2d`).
        """
        if x.shape[1:] != self.image:
            raise ValueError(
                f"x has shape {x.shape}: this model takes (examples, {', '.join(map(str, self.image))}), "
                "channels, height and width"
            )
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dlogits: Array) -> dict[str, Array]:
        """dL/d(parameter) for every parameter, from dL/d(logits) of the last `forward`."""
        for layer in reversed(self.layers[1:]):
            dlogits = layer.backward(dlogits)
        self.convolutions[0].backward_to_parameters(dlogits)
        return {
            f"{name}.{key}": gradient for name, layer in self.named.items() for key, gradient in layer.gradients.items()
        }

    def at_once(self, x: Array) -> int:  # noqa: ARG002 (as many of all images)
        """A thousand images."""
        return _AT_ONCE
