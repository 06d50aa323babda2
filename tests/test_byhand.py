"""The models by hand against PyTorch: gradients against autograd, updates against torch.optim."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from paribus.byhand.layers import Dropout, Linear, ReLU, SoftmaxCrossEntropy
from paribus.byhand.mlp import Mlp
from paribus.config.values import Initialisation
from paribus.models.initialisation import initial_values
from paribus.models.mlp import Mlp as TorchMlp
from paribus.plan import Plan
from tests.conftest import norm_gap

SIZES = {0: [3, 4], 1: [2, 20, 2], 4: [5, 7, 3, 6, 4, 3], "one unit": [2, 1, 2], "wide": [64, 64, 64, 10]}


def both(sizes: list[int], dropout: float, dtype: str, seed: int = 0) -> tuple[Mlp, TorchMlp]:
    hand = Mlp(sizes, dropout, np.dtype(dtype).type)
    auto = TorchMlp(sizes, dropout, getattr(torch, dtype))
    # An ordinary scale: with the report's 0.001 whole gradients would be under the tolerance.
    values = initial_values({k: v.shape for k, v in hand.parameters.items()}, Initialisation("default"), Plan(seed))
    hand.load(values)
    auto.load_state_dict({name: torch.from_numpy(value.astype(dtype)) for name, value in values.items()})
    return hand, auto


@pytest.mark.parametrize("sizes", SIZES.values(), ids=map(str, SIZES))
@pytest.mark.parametrize("batch", [1, 5, 128])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 3e-5)])
def test_gradients_are_autograds(sizes: list[int], batch: int, dropout: float, dtype: str, tolerance: float) -> None:
    rng = np.random.default_rng(batch)
    hand, auto = both(sizes, dropout, dtype)
    x = rng.standard_normal((batch, sizes[0])).astype(dtype)
    upstream = rng.standard_normal((batch, sizes[-1])).astype(dtype)  # not all ones: those hide faults
    keep = [rng.random((batch, units)) >= dropout for units in sizes[1:-1]] if dropout else []
    logits = hand.forward(x, keep)
    theirs = auto(torch.from_numpy(x), [torch.from_numpy(mask) for mask in keep])
    theirs.backward(torch.from_numpy(upstream))
    gradients = hand.backward(upstream)
    assert norm_gap(logits, theirs.detach().numpy()) <= tolerance
    assert set(gradients) == {name for name, _ in auto.named_parameters()}
    for name, parameter in auto.named_parameters():
        assert gradients[name].dtype == dtype
        assert norm_gap(gradients[name], parameter.grad.numpy()) <= tolerance, name


@pytest.mark.parametrize("layer", [Linear(np.ones((3, 4)) / 7, np.zeros(3)), ReLU(), Dropout(0.5)])
def test_the_gradient_of_a_layers_input_is_the_slope(layer: Linear | ReLU | Dropout) -> None:
    """Central differences: an oracle that knows no formula."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4))
    if isinstance(layer, Dropout):
        layer.keep = rng.random(x.shape) > 0.5
    dy = rng.standard_normal(layer.forward(x).shape)
    dx = layer.backward(dy)
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-6
        slope = ((layer.forward(x + step) - layer.forward(x - step)) * dy).sum() / 2e-6
        assert dx[at] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("batch", [1, 3, 50])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_loss_is_pytorchs(batch: int, scale: float) -> None:
    rng = np.random.default_rng(1)
    z, y = scale * rng.standard_normal((batch, 6)), rng.integers(0, 6, batch)
    loss = SoftmaxCrossEntropy()
    t = torch.from_numpy(z).requires_grad_()
    theirs = cross_entropy(t, torch.from_numpy(y))
    theirs.backward()
    assert loss.forward(z, y) == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(loss.backward(), t.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_dropout_does_nothing_in_evaluation() -> None:
    layer, x = Dropout(0.9), np.ones((3, 4))
    assert layer.forward(x) is x
    assert layer.backward(x) is x
