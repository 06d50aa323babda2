"""What a network was like on its way, layer by layer: what a diagnosis looks at beside the curves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

NEIGHBOURS = 400
"""Of so many of the first training examples the nearest neighbours are looked for."""


@dataclass(frozen=True)
class Vitals:
    """A few looks at a run, each over the same first training examples: `epochs`, shape (looks,), of which the first
    is 0. Every other array has shape (looks, layers), or (looks,) where it is of the outputs.

    A layer is one that has weights; what it is given are the units of the layer before it, of the first the data.
    `weight`, `gradient`: root mean square of its weights, and of the loss's gradient with respect to them; `update`: of
    what a step moved them by, the mean over the steps since the look before. `spread`: sd over the examples of what it
    is given, the root mean square over units; `dead`: the share of those units that give every example the same;
    `saturated`: the share of values at an end of a bounded activation, NaN of others; `aligned`: mean |cosine| between
    the weights of two of its units.

    `loss` of the examples; `outputs`: sd over the examples of the outputs, the root mean square over these; `certain`:
    1 - entropy of the probabilities over that of an even guess; `one_class`: the share of the class that is predicted
    most; `noise`: the gradient noise scale, in examples, NaN where it cannot be told. `curvature`: d^2 L / da^2 along a
    unit step against the gradient of the layers' weights, of the first look, NaN of the others; no number where it was
    not measured, as in older records.

    `inputs`: of the data's features the largest |mean|, the largest and the smallest sd that is not 0. `neighbours`:
    how often a training example has the class of its nearest neighbour, and how often it would by chance.
    `names` holds the layers' names, joined by newlines, as bytes.

    Source of the noise scale: S. McCandlish et al., An empirical model of large-batch training (2018), appendix A.
    """

    epochs: Numbers
    names: NDArray[np.uint8]
    weight: Numbers
    gradient: Numbers
    update: Numbers
    spread: Numbers
    dead: Numbers
    saturated: Numbers
    aligned: Numbers
    loss: Numbers
    outputs: Numbers
    certain: Numbers
    one_class: Numbers
    noise: Numbers
    inputs: Numbers
    neighbours: Numbers
    curvature: Numbers = field(default_factory=lambda: np.zeros(0))

    @property
    def layers(self) -> list[str]:
        """The layers' names, the first first."""
        return self.names.tobytes().decode().split("\n") if len(self.names) else []
