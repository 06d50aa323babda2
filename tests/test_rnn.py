"""The recurrent networks: by hand against autograd, PyTorch's against each other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from paribus.backends.torch import TorchBackend
from paribus.byhand.layers import SoftmaxCrossEntropy
from paribus.byhand.rnn import Rnn
from paribus.models.rnn import Gru, Lstm, state_gradients
from paribus.models.rnn import Rnn as TorchRnn

CLASSES = 6
PRECISIONS = [("float64", 1e-10), ("float32", 3e-5)]
Values = dict[str, np.ndarray]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As runs have it; NumPy's and PyTorch's threads wait for each other where they share few cores."""
    with TorchBackend().threads(1):
        yield


def norm_gap(one: np.ndarray, other: np.ndarray) -> float:
    """|one - other| / |other|, norms over everything."""
    return float(np.linalg.norm(one - other)) / max(float(np.linalg.norm(other)), 1e-300)


def values_of(model: Rnn | nn.Module, rng: np.random.Generator, dtype: str = "float64", scale: float = 1.0) -> Values:
    """An ordinary scale, biases too: zeros would hide theirs."""
    shapes = (
        {name: value.shape for name, value in model.parameters.items()}
        if isinstance(model, Rnn)
        else {name: tuple(value.shape) for name, value in model.named_parameters()}
    )
    width = max(shape[-1] for shape in shapes.values())
    return {name: (scale / np.sqrt(width) * rng.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}


def load(model: nn.Module, values: Values) -> None:
    model.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()})


def stock(values: Values, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """`torch.nn.RNN`, whose two biases are (b_h, 0), and a `torch.nn.Linear`: the logits and where gradients will be."""
    hidden, inputs = values["w_hx"].shape
    recurrent = nn.RNN(inputs, hidden, nonlinearity="tanh", batch_first=True, dtype=x.dtype)
    linear = nn.Linear(hidden, CLASSES, dtype=x.dtype)
    places = {
        "w_hx": recurrent.weight_ih_l0, "w_hh": recurrent.weight_hh_l0, "b_h": recurrent.bias_ih_l0,
        "w_ph": linear.weight, "b_o": linear.bias,
    }  # fmt: skip
    with torch.no_grad():
        recurrent.bias_hh_l0.zero_()
        for name, place in places.items():
            place.copy_(torch.from_numpy(values[name]))
    return linear(recurrent(x)[0][:, -1]), places


def ours(values: Values, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    hidden, inputs = values["w_hx"].shape
    model = TorchRnn(inputs, hidden, CLASSES, x.dtype)
    load(model, values)
    return model(x), dict(model.named_parameters())


@pytest.mark.parametrize("length", [1, 2, 5, 30])
@pytest.mark.parametrize("hidden", [1, 7, 128])
@pytest.mark.parametrize("batch", [1, 5, 128])
@pytest.mark.parametrize("inputs", [1, 10])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_gradients_are_autograds(
    length: int, hidden: int, batch: int, inputs: int, dtype: str, tolerance: float
) -> None:
    rng = np.random.default_rng(hidden)
    hand = Rnn(inputs, hidden, CLASSES, np.dtype(dtype).type)
    values = values_of(hand, rng, dtype)
    hand.load(values)
    x = rng.standard_normal((batch, length, inputs)).astype(dtype)
    upstream = rng.standard_normal((batch, CLASSES)).astype(dtype)  # not all ones: those hide faults
    logits, gradients = hand.forward(x), hand.backward(upstream)
    for reference in (ours, stock):
        theirs, places = reference(values, torch.from_numpy(x))
        theirs.backward(torch.from_numpy(upstream))
        assert logits.dtype == dtype
        assert norm_gap(logits, theirs.detach().numpy()) <= tolerance
        assert list(gradients) == list(hand.parameters) == list(places)
        for name, place in places.items():
            assert gradients[name].dtype == dtype
            assert norm_gap(gradients[name], place.grad.numpy()) <= tolerance, name


def test_a_gradient_is_the_slope() -> None:
    """Central differences: an oracle that knows no formula."""
    rng = np.random.default_rng(0)
    hand, loss = Rnn(2, 3, CLASSES), SoftmaxCrossEntropy()
    values = values_of(hand, rng, scale=2.0)
    hand.load(values)
    x, y = rng.standard_normal((4, 5, 2)), rng.integers(0, CLASSES, 4)
    loss.forward(hand.forward(x), y)
    gradients = hand.backward(loss.backward())
    for name, parameter in hand.parameters.items():
        for at in np.ndindex(parameter.shape):
            ends = []
            for step in (1e-6, -1e-6):
                parameter[at] = values[name][at] + step
                ends.append(loss.forward(hand.forward(x), y))
            parameter[at] = values[name][at]
            assert gradients[name][at] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-8)


def test_values_are_copied_and_the_input_is_left_alone() -> None:
    rng = np.random.default_rng(1)
    hand = Rnn(1, 4, CLASSES, np.float32)
    values = values_of(hand, rng)
    parameters = dict(hand.parameters)
    hand.load(values)
    for name, parameter in hand.parameters.items():
        assert parameter is parameters[name]  # an optimizer holds it
        assert parameter.dtype == np.float32
        np.testing.assert_array_equal(parameter, values[name].astype(np.float32))
        assert not np.shares_memory(parameter, values[name])
    x, upstream = (
        rng.standard_normal((3, 5, 1)).astype(np.float32),
        rng.standard_normal((3, CLASSES)).astype(np.float32),
    )
    kept = x.copy(), upstream.copy()
    first = hand.forward(x), hand.backward(upstream)
    second = hand.forward(x), hand.backward(upstream)  # nothing is left over from before
    np.testing.assert_array_equal(first[0], second[0])
    for name in values:
        np.testing.assert_array_equal(first[1][name], second[1][name])
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(upstream, kept[1])


def by_cells(model: nn.Module, x: Tensor, y: Tensor) -> np.ndarray:
    """|dL/dh(t)|, from PyTorch's cell modules with `retain_grad`."""
    if isinstance(model, TorchRnn):
        inputs, hidden = model.w_hx.shape[1], model.w_hx.shape[0]
        cell: nn.RNNCellBase = nn.RNNCell(inputs, hidden, dtype=x.dtype)
        weights, read = [model.w_hx, model.w_hh, model.b_h, torch.zeros_like(model.b_h)], (model.w_ph, model.b_o)
    else:
        recurrent = model.recurrent
        kind = nn.LSTMCell if isinstance(model, Lstm) else nn.GRUCell
        cell = kind(recurrent.input_size, recurrent.hidden_size, dtype=x.dtype)
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        weights, read = [getattr(recurrent, name) for name in names], (model.linear.weight, model.linear.bias)
    with torch.no_grad():
        for place, value in zip((cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh), weights, strict=True):
            place.copy_(value)
    state, states = None, []
    for t in range(x.shape[1]):
        state = cell(x[:, t], state)
        states.append(state[0] if isinstance(state, tuple) else state)
        states[-1].retain_grad()
    cross_entropy(states[-1] @ read[0].T + read[1], y).backward()
    return np.array([np.sqrt((h.grad.double().numpy() ** 2).sum()) for h in states])


MODELS = [TorchRnn, Lstm, Gru]


def made(kind: Callable[..., nn.Module], inputs: int, dtype: str, scale: float = 1.5, seed: int = 2) -> nn.Module:
    model = kind(inputs, 7, CLASSES, dtype=getattr(torch, dtype))
    load(model, values_of(model, np.random.default_rng(seed), dtype, scale))
    return model


def batch(inputs: int, length: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(length)
    return rng.standard_normal((5, length, inputs)).astype(dtype), rng.integers(0, CLASSES, 5)


@pytest.mark.parametrize("length", [1, 2, 5, 30])
@pytest.mark.parametrize("inputs", [1, 10])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_the_probe_by_hand_is_autograds(length: int, inputs: int, dtype: str, tolerance: float) -> None:
    auto = made(TorchRnn, inputs, dtype)
    hand, loss = Rnn(inputs, 7, CLASSES, np.dtype(dtype).type), SoftmaxCrossEntropy()
    hand.load({name: value.detach().numpy() for name, value in auto.named_parameters()})
    x, y = batch(inputs, length, dtype)
    loss.forward(hand.forward(x), y)
    hand.backward(loss.backward())
    expected = by_cells(auto, torch.from_numpy(x), torch.from_numpy(y))
    for value in hand.parameters.values():
        value += 1  # an optimizer's step comes before anybody asks
    norms = hand.state_gradient_norms()
    assert norms.shape == (length,)
    np.testing.assert_allclose(norms, expected, rtol=tolerance)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("length", [1, 2, 5, 30])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_the_probe_counts_every_way_through_later_steps(
    kind: Callable[..., nn.Module], length: int, dtype: str, tolerance: float
) -> None:
    model = made(kind, 3, dtype)
    x, y = (torch.from_numpy(value) for value in batch(3, length, dtype))
    expected = by_cells(model, x, y)
    model.zero_grad()
    with torch.no_grad():  # as in evaluation
        norms = state_gradients(model, x, y)
    assert norms.shape == (length,)
    assert norms.dtype == np.float64
    np.testing.assert_allclose(norms, expected, rtol=tolerance)
    assert all(value.grad is None for value in model.parameters())


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("inputs", [1, 10])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_step_by_step_is_the_layer(kind: Callable[..., nn.Module], inputs: int, dtype: str, tolerance: float) -> None:
    """The states the probe looks at are those of the model that is trained: logits and gradients."""
    model = made(kind, inputs, dtype)
    x, y = (torch.from_numpy(value) for value in batch(inputs, 12, dtype))
    states = model.states(x)
    assert len(states) == 12
    found = []
    for logits in (model(x), model.read(states[-1])):
        model.zero_grad()
        cross_entropy(logits, y).backward()
        found.append([logits.detach().numpy(), *(value.grad.numpy().copy() for value in model.parameters())])
    for one, other in zip(*found, strict=True):
        assert norm_gap(one, other) <= tolerance


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_gradient_too_small_to_square_has_a_norm(dtype: str) -> None:
    """Each step takes a factor of 1e-6 off; 0 only where the numbers themselves end."""
    steps = 6 if dtype == "float32" else 50
    auto, hand = TorchRnn(1, 2, 10, getattr(torch, dtype)), Rnn(1, 2, 10, np.dtype(dtype).type)
    values = {name: np.zeros(value.shape, dtype) for name, value in hand.parameters.items()}
    values["w_hh"], values["w_ph"] = 1e-6 * np.eye(2, dtype=dtype), np.eye(10, 2, dtype=dtype)
    load(auto, values)
    hand.load(values)
    hand.forward(np.zeros((1, steps, 1), dtype))
    hand.backward(np.eye(1, 10, dtype=dtype))
    np.testing.assert_allclose(hand.state_gradient_norms(), 1e-6 ** np.arange(steps - 1.0, -1, -1), rtol=1e-5)
    probed = state_gradients(auto, torch.zeros(1, steps, 1, dtype=getattr(torch, dtype)), torch.tensor([0]))
    np.testing.assert_allclose(probed, np.hypot(0.9, 0.1) * 1e-6 ** np.arange(steps - 1.0, -1, -1), rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_no_number_is_told_as_it_is(bad: float) -> None:
    hand = Rnn(1, 2, 3)
    hand.forward(np.zeros((1, 2, 1)))
    hand.backward(np.zeros((1, 3)))
    assert hand.state_gradient_norms().tolist() == [0, 0]
    hand._dh_last = np.array([[1.0, bad]])
    np.testing.assert_array_equal(hand.state_gradient_norms(), [0, bad])


@pytest.mark.parametrize("kind", MODELS)
def test_building_one_draws_nothing(kind: Callable[..., nn.Module]) -> None:
    before = torch.random.get_rng_state()
    kind(1, 5, 10)
    assert torch.equal(before, torch.random.get_rng_state())


def test_names_and_shapes() -> None:
    hand = {name: value.shape for name, value in Rnn(3, 5, 10).parameters.items()}
    assert hand == {"w_hx": (5, 3), "w_hh": (5, 5), "b_h": (5,), "w_ph": (10, 5), "b_o": (10,)}
    auto = {name: tuple(value.shape) for name, value in TorchRnn(3, 5, 10).named_parameters()}
    assert list(auto.items()) == list(hand.items())
    for kind, gates in ((Lstm, 4), (Gru, 3)):
        shapes = {name: tuple(value.shape) for name, value in kind(3, 5, 10).named_parameters()}
        assert shapes == {
            "recurrent.weight_ih_l0": (gates * 5, 3), "recurrent.weight_hh_l0": (gates * 5, 5),
            "recurrent.bias_ih_l0": (gates * 5,), "recurrent.bias_hh_l0": (gates * 5,),
            "linear.weight": (10, 5), "linear.bias": (10,),
        }  # fmt: skip


def test_the_models_know_only_their_sizes() -> None:
    for kind in (Rnn, TorchRnn, Lstm, Gru):
        assert list(inspect.signature(kind).parameters) == ["inputs", "hidden", "classes", "dtype", "every_step"]
