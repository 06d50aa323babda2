"""The convolutional network by hand against PyTorch: layers, gradients, running statistics, the report's table."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn.functional import cross_entropy

from paribus.byhand.cnn import Cnn
from paribus.byhand.convolution import BatchNorm2d, Conv2d, Flatten, MaxPool2d
from paribus.byhand.layers import Layer, ReLU, SoftmaxCrossEntropy
from paribus.byhand.optimizers import Sgd
from paribus.models.cnn import Cnn as TorchCnn
from tests.conftest import norm_gap

PRECISIONS = [("float64", 1e-10), ("float32", 3e-5)]
SHAPES = [(1, 1, 1, 1), (1, 3, 4, 4), (5, 2, 7, 5), (33, 4, 2, 3), (2, 3, 32, 32)]

Image = tuple[int, int, int]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Arrays as small as these gain nothing from a second thread, and on a busy machine wait for it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


def assert_same_layer(hand: Layer, auto: nn.Module, x: np.ndarray, tolerance: float) -> None:
    """Output, dL/dx and every gradient, from a random dL/dy; nothing that was given is changed."""
    rng = np.random.default_rng(x.size)
    t = torch.from_numpy(x.copy()).requires_grad_()
    theirs = auto(t)
    dy = rng.standard_normal(theirs.shape).astype(x.dtype)
    theirs.backward(torch.from_numpy(dy.copy()))
    given = x.copy(), dy.copy()
    y, dx = hand.forward(x), hand.backward(dy)
    np.testing.assert_array_equal(given[0], x)
    np.testing.assert_array_equal(given[1], dy)
    found = {"y": y, "dx": dx, **hand.gradients}
    expected = {"y": theirs.detach(), "dx": t.grad, **{name: p.grad for name, p in auto.named_parameters()}}
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].dtype == x.dtype
        assert found[name].shape == tuple(value.shape)
        assert norm_gap(found[name], value.numpy()) <= tolerance, name


def learnable(layer: nn.Module, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random values for parameters and buffers, set in PyTorch's layer too."""
    values = {name: np.abs(rng.standard_normal(tuple(v.shape))) + 0.1 for name, v in layer.state_dict().items()}
    values.pop("num_batches_tracked", None)
    values = {name: (v if name == "running_var" else v - 0.8).astype(dtype_of(layer)) for name, v in values.items()}
    layer.load_state_dict({name: torch.from_numpy(v.copy()) for name, v in values.items()}, strict=False)
    return values


def dtype_of(module: nn.Module) -> str:
    return str(next(module.parameters()).dtype).removeprefix("torch.")


def fitting(windows: list[tuple[int, ...]]) -> list[tuple[object, ...]]:
    """Each of (kernel, ..., padding) with each shape into which at least one such window fits."""
    return [(*w, shape) for w in windows for shape in SHAPES if min(shape[2:]) + 2 * w[-1] >= w[0]]


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(
    ("kernel", "padding", "shape"), fitting([(3, 1), (3, 0), (3, 2), (1, 0), (5, 2), (2, 1)]), ids=str
)
def test_a_convolution_is_pytorchs(
    kernel: int, padding: int, shape: tuple[int, ...], dtype: str, tolerance: float
) -> None:
    rng = np.random.default_rng(kernel)
    auto = nn.Conv2d(shape[1], 6, kernel, padding=padding, dtype=getattr(torch, dtype))
    hand = Conv2d(**learnable(auto, rng), padding=padding)
    assert_same_layer(hand, auto, rng.standard_normal(shape).astype(dtype), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "shape"),
    fitting([(3, 2, 1), (3, 1, 1), (2, 2, 0), (2, 3, 1), (4, 1, 2)]),
    ids=str,
)
@pytest.mark.parametrize("values", ["normal", "negative", "ties", "mostly 0", "all equal"])
def test_a_max_pool_is_pytorchs(
    values: str, kernel: int, stride: int, padding: int, shape: tuple[int, ...], dtype: str, tolerance: float
) -> None:
    """Negative ones show the padding, which must not win; equal ones show who wins."""
    rng = np.random.default_rng(stride)
    x = rng.standard_normal(shape)
    x = {
        "normal": x,
        "negative": -np.abs(x) - 1,
        "ties": rng.integers(-2, 2, shape),
        "mostly 0": np.maximum(np.round(x), 0),
        "all equal": np.full(shape, -3.0),
    }[values].astype(dtype)
    assert_same_layer(MaxPool2d(kernel, stride, padding), nn.MaxPool2d(kernel, stride, padding), x, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(
    ("training", "shape"), [(mode, shape) for mode in (True, False) for shape in SHAPES[mode:]], ids=str
)  # in training without (1, 1, 1, 1), which is refused
@pytest.mark.parametrize(("momentum", "eps"), [(0.1, 1e-5), (0.7, 0.3)])
def test_a_batch_norm_is_pytorchs(
    momentum: float, eps: float, training: bool, shape: tuple[int, ...], dtype: str, tolerance: float
) -> None:
    rng = np.random.default_rng(7)
    auto = nn.BatchNorm2d(shape[1], eps, momentum, dtype=getattr(torch, dtype)).train(training)
    hand = BatchNorm2d(**learnable(auto, rng), momentum=momentum, eps=eps)
    hand.training = training
    before = {name: (value, value.copy()) for name, value in hand.buffers.items()}
    assert_same_layer(hand, auto, (2 + 3 * rng.standard_normal(shape)).astype(dtype), tolerance)
    for name, (same, start) in before.items():
        assert hand.buffers[name] is same  # in place
        assert norm_gap(same, dict(auto.named_buffers())[name].numpy()) <= tolerance / 100
        assert np.array_equal(same, start) is not training


def test_backward_is_of_the_last_forward() -> None:
    """Whatever the mode is by then."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 5, 3, 4, 4))
    layer = BatchNorm2d(np.ones(3), np.zeros(3), np.zeros(3), np.ones(3))
    layer.forward(x)
    expected = layer.backward(dy)
    layer.forward(x)
    layer.training = False
    np.testing.assert_array_equal(layer.backward(dy), expected)


def test_one_value_in_a_channel_is_refused_in_training_as_pytorch_does() -> None:
    x = np.ones((1, 3, 1, 1))
    layer = BatchNorm2d(np.ones(3), np.zeros(3), np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        nn.BatchNorm2d(3, dtype=torch.float64)(torch.from_numpy(x))
    with pytest.raises(ValueError, match=r"\(1, 3, 1, 1\) has too few values in a channel for a variance, 1: train on"):
        layer.forward(x)
    assert layer.buffers["running_mean"].tolist() == [0, 0, 0]
    layer.training = False
    assert layer.forward(x).shape == x.shape


def test_flattened_images_are_pytorchs() -> None:
    x = np.random.default_rng(0).standard_normal((5, 3, 2, 4))
    assert_same_layer(Flatten(), nn.Flatten(), x, 0)
    assert_same_layer(Flatten(), nn.Flatten(), np.asfortranarray(x), 0)


@pytest.mark.parametrize("padding", [-1, 3])
def test_padding_out_of_range_is_refused(padding: int) -> None:
    with pytest.raises(ValueError, match=f"padding={padding} is not allowed: 0 to 2"):
        Conv2d(np.ones((1, 1, 3, 3)), np.zeros(1), padding)
    with pytest.raises(ValueError, match=f"padding={padding} is not allowed: 0 to 1"):
        MaxPool2d(3, 2, padding)


def pair(image: Image, dtype: str, *, training: bool = True, seed: int = 0) -> tuple[Cnn, TorchCnn]:
    """Both models, with the same random parameters and running statistics."""
    rng = np.random.default_rng(seed)
    hand = Cnn(image, 10, 0.125, np.dtype(dtype).type)
    auto = TorchCnn(image, 10, 0.125, getattr(torch, dtype)).train(training)
    hand.train(training=training)
    # Kaiming's scale, fan-in, where there is one: signals neither die nor grow
    values = {
        name: rng.standard_normal(v.shape) * (math.sqrt(2 / math.prod(v.shape[1:])) if v.ndim > 1 else 0.3)
        for name, v in hand.parameters.items()
    }
    values |= {name: 1 + v for name, v in values.items() if name.endswith("norm.weight")}
    hand.load(values)
    for name, buffer in hand.buffers.items():
        buffer[...] = rng.uniform(0.5, 2, buffer.shape) if name.endswith("var") else rng.standard_normal(buffer.shape)
    state = {name: torch.from_numpy(v.copy()) for name, v in (hand.parameters | hand.buffers).items()}
    assert not auto.load_state_dict(state, strict=False).unexpected_keys
    return hand, auto


def assert_same_gradients(found: dict[str, np.ndarray], auto: TorchCnn, tolerance: float) -> None:
    assert list(found) == [name for name, _ in auto.named_parameters()]
    theirs = {name: parameter.grad.numpy() for name, parameter in auto.named_parameters()}
    for name, gradient in theirs.items():
        # While training, a batch norm takes the bias before it away: its derivative is 0, and what stands there is
        # rounding, small beside the kernels'.
        vanishes = auto.training and name.endswith("convolution.bias")
        beside = theirs[name.replace("bias", "weight")] if vanishes else gradient
        assert found[name].dtype == gradient.dtype
        assert found[name].shape == gradient.shape
        assert norm_gap(found[name], gradient, beside) <= tolerance, name


CASES = [
    *((image, batch, True) for image in [(1, 8, 8), (2, 7, 5)] for batch in [5, 33]),
    ((1, 17, 18), 1, True),  # one example, but more than a pixel of it at every convolution
    ((3, 32, 32), 2, True),
    *((image, batch, False) for image in [(1, 8, 8), (2, 7, 5)] for batch in [1, 5, 33]),
    ((3, 32, 32), 2, False),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(("image", "batch", "training"), CASES)
def test_the_whole_models_gradients_are_autograds(
    image: Image, batch: int, training: bool, dtype: str, tolerance: float
) -> None:
    rng = np.random.default_rng(batch)
    hand, auto = pair(image, dtype, training=training)
    x = rng.standard_normal((batch, *image)).astype(dtype)
    upstream = rng.standard_normal((batch, 10)).astype(dtype)
    given = x.copy(), upstream.copy()
    logits = hand.forward(x)
    gradients = hand.backward(upstream)
    np.testing.assert_array_equal(given[0], x)
    np.testing.assert_array_equal(given[1], upstream)
    theirs = auto(torch.from_numpy(x))
    theirs.backward(torch.from_numpy(upstream))
    assert norm_gap(logits, theirs.detach().numpy()) <= tolerance
    assert_same_gradients(gradients, auto, tolerance)


@pytest.mark.parametrize("image", [(1, 8, 8), (2, 7, 5)])
def test_running_statistics_follow_pytorchs_and_evaluation_reads_them(image: Image) -> None:
    rng = np.random.default_rng(3)
    hand, auto = pair(image, "float64")
    loss, step = SoftmaxCrossEntropy(), Sgd(hand.parameters, lr=0.05, momentum=0.9)
    their_step = torch.optim.SGD(auto.parameters(), lr=0.05, momentum=0.9)
    for _ in range(6):
        x, y = rng.standard_normal((20, *image)), rng.integers(0, 10, 20)
        loss.forward(hand.forward(x), y)
        step.step(hand.backward(loss.backward()))
        their_step.zero_grad()
        cross_entropy(auto(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        their_step.step()
    theirs = dict(auto.named_buffers())
    for name, buffer in hand.buffers.items():
        assert norm_gap(buffer, theirs[name].numpy()) <= 1e-12, name
    hand.train(training=False)
    auto.eval()
    before, x = copy.deepcopy(hand.buffers), rng.standard_normal((33, *image))
    logits = hand.forward(x)
    assert norm_gap(logits, auto(torch.from_numpy(x)).detach().numpy()) <= 1e-11
    assert norm_gap(hand.forward(x[:1]), logits[:1]) <= 1e-13  # of itself alone
    for name, buffer in hand.buffers.items():
        np.testing.assert_array_equal(buffer, before[name])


def test_parameters_and_buffers_are_pytorchs_in_name_shape_order_and_start() -> None:
    image = (3, 32, 32)
    hand, auto = Cnn(image, 10, 0.125, np.float32), TorchCnn(image, 10, 0.125)
    for mine, theirs in ((hand.parameters, auto.named_parameters()), (hand.buffers, auto.named_buffers())):
        expected = {name: v for name, v in theirs if not name.endswith("num_batches_tracked")}
        assert [(name, v.shape, str(v.dtype)) for name, v in mine.items()] == [
            (name, tuple(v.shape), "float32") for name, v in expected.items()
        ]
        for name, value in mine.items():
            if "norm" in name:  # the others are unset until they are loaded
                np.testing.assert_array_equal(value, expected[name].detach().numpy())


def test_values_are_loaded_in_place_and_rounded() -> None:
    model = Cnn((1, 8, 8), 10, 0.125, np.float32)
    parameters = dict(model.parameters)
    model.load({name: np.full(value.shape, 0.1) for name, value in parameters.items()})
    for name, value in model.parameters.items():
        assert value is parameters[name]
        assert (value == np.float32(0.1)).all()
    assert not np.allclose(model.forward(np.ones((2, 1, 8, 8), np.float32)), 0)  # the layers read them
    with pytest.raises(KeyError, match=r"linear\.bias"):
        model.load({name: value for name, value in parameters.items() if name != "linear.bias"})


@pytest.mark.parametrize("shape", [(5, 64), (5, 2, 8, 8), (5, 1, 16, 16), (1, 8, 8)], ids=str)
def test_other_images_are_refused(shape: tuple[int, ...]) -> None:
    """16 x 16 would go through unseen: a pool leaves a single pixel of it too."""
    with pytest.raises(ValueError, match=r"x has shape \(.*\): this model takes \(examples, 1, 8, 8\)"):
        Cnn((1, 8, 8), 10, 0.125).forward(np.zeros(shape))


# The source report's table: channels in (None: a max pool), output.
REPORT: list[tuple[int | None, Image]] = [
    (3, (64, 32, 32)), (None, (64, 16, 16)),
    (64, (128, 16, 16)), (None, (128, 8, 8)),
    (128, (256, 8, 8)), (256, (256, 8, 8)), (None, (256, 4, 4)),
    (256, (512, 4, 4)), (512, (512, 4, 4)), (None, (512, 2, 2)),
    (512, (512, 2, 2)), (512, (512, 2, 2)), (None, (512, 1, 1)),
]  # fmt: skip


def test_shapes_and_number_of_parameters_are_the_reports() -> None:
    hand = Cnn((3, 32, 32), 10, dtype=np.float32)
    with torch.device("meta"):  # shapes without numbers
        auto = TorchCnn((3, 32, 32), 10)
    convolutions = [(n_in, output[0]) for n_in, output in REPORT if n_in is not None]
    counted = sum(3 * 3 * n_in * out + out + 2 * out for n_in, out in convolutions) + 512 * 10 + 10
    assert counted == 9_231_114
    assert sum(value.size for value in hand.parameters.values()) == counted
    assert sum(parameter.numel() for parameter in auto.parameters()) == counted

    x, seen = np.zeros((2, 3, 32, 32), np.float32), []
    for layer in hand.layers:
        x = layer.forward(x)
        if isinstance(layer, ReLU | MaxPool2d):
            seen.append(x.shape)
    assert seen == [(2, *output) for _, output in REPORT]
    assert x.shape == (2, 10)

    passed: list[tuple[tuple[int, ...], ...]] = []  # into and out of each of PyTorch's modules
    for module in [*auto.blocks, auto.linear]:
        module.register_forward_hook(lambda _, x, y: passed.append((tuple(x[0].shape[1:]), tuple(y.shape[1:]))))
    auto(torch.empty(2, 3, 32, 32, device="meta"))
    before = [(3, 32, 32), *(output for _, output in REPORT)]
    rows = [(into, output) for into, (n_in, output) in zip(before, REPORT, strict=False) if n_in is not None]
    assert passed == [*rows, ((512,), (10,))]
