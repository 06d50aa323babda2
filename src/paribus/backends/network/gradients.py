"""Whether a network's gradients are those of the loss of its outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from paribus.backends.network.adapted import Adapted
from paribus.byhand.layers import Array
from paribus.byhand.losses import CrossEntropyOfProbabilities, Loss, make_loss
from paribus.config.values import Loss as LossConfig

_STEP, _TOLERANCE = 1e-5, 1e-4
_STEP_32, _TOLERANCE_32 = 1e-2, 5e-2


def loss_of(told_loss: LossConfig, adapted: Adapted) -> Loss:
    """The loss of what the network gives."""
    return CrossEntropyOfProbabilities() if adapted.reading.softmax == "inside" else make_loss(told_loss)


def wrong_gradients(adapted: Adapted, loss: Loss, x: Array, y: Any) -> dict[str, float]:
    """The user's arrays whose gradient is not that of the loss, and how far off it is: by central differences along a
    random direction of each."""
    rng = np.random.default_rng(3)
    gradients = gradients_of(adapted, loss, x, y)
    gradients = gradients_of(adapted, loss, x, y)  # the second time: they must not add up
    single = "float32" in adapted.found
    step, tolerance = (_STEP_32, _TOLERANCE_32) if single else (_STEP, _TOLERANCE)
    found: dict[str, float] = {}
    for name, theta in adapted.parameters.items():
        along, before = rng.normal(size=theta.shape), theta.copy()
        ends = []
        for sign in (1, -1):
            theta[...] = before + sign * step * along
            ends.append(loss.forward(adapted.evaluated(x), y))
        theta[...] = before
        true, mine = (ends[0] - ends[1]) / (2 * step), float((gradients[name] * along).sum())
        far = abs(mine - true) / max(abs(true), 1e-3)
        if not far < tolerance:
            found[adapted.reading.parameters[name][0].name] = far
    return found


def gradients_of(adapted: Adapted, loss: Loss, x: Array, y: Any) -> dict[str, Array]:
    """Of one batch."""
    if adapted.reading.calls.gives_loss is not None:
        return adapted.loss(x.copy(), y)[1]
    loss.forward(adapted.forward(x.copy()), y)
    return adapted.backward(loss.backward())
