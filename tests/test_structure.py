"""Faults of a network's structure, of a loss and of targets, which are known before training: found where they are, named
in a remark and a diagnosis, and told of nothing that is right."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import paribus
from paribus.backends.torch import loss_trial
from paribus.backends.torch.ends import End, end_of, remark
from paribus.backends.torch.losses import both_logits
from paribus.findings.diagnosis import diagnose
from paribus.records.structure import STRUCTURE, code_of, tagged, untagged
from paribus.study.reading import read
from paribus.tasks.labels import codes_as_numbers

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(160, 3)).astype(np.float32)
CLASSES = paribus.data(X, (X[:, 0] > 0.1).astype(int), name="two")
NUMBERS = paribus.data(X, X[:, 0] + 0.1 * X[:, 1], name="amounts")
SMALL: dict[str, Any] = {"epochs": 3, "batch_size": 16, "lr": 0.1, "seeds": 1}

Act = Callable[[Tensor], Tensor]
MODULES: dict[str, tuple[nn.Module, Act]] = {
    "ReLU": (nn.ReLU(), torch.relu),
    "Hardtanh or ReLU6": (nn.ReLU6(), functional.relu6),
    "tanh": (nn.Tanh(), torch.tanh),
    "sigmoid": (nn.Sigmoid(), torch.sigmoid),
    "Hardsigmoid": (nn.Hardsigmoid(), functional.hardsigmoid),
    "softmax": (nn.Softmax(dim=1), lambda z: z.softmax(dim=1)),
    "softplus": (nn.Softplus(), functional.softplus),
    "log-sigmoid": (nn.LogSigmoid(), functional.logsigmoid),
    "exp": (nn.ELU(), torch.exp),
    "ELU": (nn.SELU(), functional.selu),
    "GELU": (nn.GELU(), functional.gelu),
    "SiLU": (nn.SiLU(), functional.silu),
    "Mish": (nn.Mish(), functional.mish),
}
"""An end -> PyTorch's module and its function; `exp` has no module."""


def network(*parts: nn.Module) -> Callable[[], nn.Module]:
    """Every run needs a module of its own."""
    return lambda: copy.deepcopy(nn.Sequential(nn.Linear(3, 6), nn.ReLU(), *parts))


# --- what stands on the outputs ---


@given(
    name=st.sampled_from([*MODULES]),
    seed=st.integers(0, 2**16),
    width=st.integers(1, 4),
    scale=st.sampled_from([1.0, 50.0]),
)
def test_an_activation_is_seen_and_its_outputs_lie_where_it_says(
    name: str, seed: int, width: int, scale: float
) -> None:
    torch.manual_seed(seed)
    found = MODULES[name][1](scale * nn.Linear(3, width)(torch.randn(40, 3)))
    end = end_of(found)
    assert end is not None
    assert end.name == name
    assert ((found >= end.low - 1e-6) & (found <= end.high + 1e-6)).all()


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"exp"}))
def test_a_module_is_seen_as_its_function_is(name: str) -> None:
    module, function = MODULES[name]
    z = nn.Linear(3, 2)(torch.randn(5, 3))
    assert end_of(module(z)) == end_of(function(z)) is not None


@pytest.mark.parametrize(
    ("tail", "wanted"),
    [
        (lambda z: torch.relu(z[:, :, None]).squeeze(2), "ReLU"),
        (lambda z: torch.relu(z)[:, 0], "ReLU"),
        (lambda z: torch.relu(z.view(20, 2)).reshape(20, 2, 1).flatten(1), "ReLU"),
        (lambda z: functional.dropout(torch.relu(z), 0.5), "dropout"),
        (lambda z: functional.dropout(torch.tanh(z), 0.2)[:, None], "dropout"),
        (functional.relu_, "ReLU"),
        (lambda z: torch.relu(3 * z), "ReLU"),
        (lambda z: both_logits(torch.sigmoid(z[:, 0])), "sigmoid"),
    ],
)
def test_it_is_seen_through_changes_of_shape(tail: Act, wanted: str) -> None:
    torch.manual_seed(0)
    end = end_of(tail(nn.Linear(3, 2)(torch.randn(20, 3))))
    assert end is not None
    assert end.name == wanted


@pytest.mark.parametrize(
    "found",
    [
        lambda z: z,
        lambda z: 3 * z,  # a temperature
        lambda z: z * torch.tensor([[0.0, 2.0], [1.0, 5.0]]).repeat(4, 1),  # a mask that is no dropout
        lambda z: functional.leaky_relu(z),
        lambda z: z.log_softmax(dim=1),
        lambda z: z - z.mean(dim=1, keepdim=True),
        lambda z: functional.layer_norm(z, (2,)),
        lambda z: 10 * torch.tanh(z / 10),
        lambda z: torch.relu(z) + z,
    ],
)
def test_what_is_no_activation_on_outputs(found: Act) -> None:
    assert end_of(found(nn.Linear(3, 2)(torch.randn(8, 3)))) is None


def test_a_relu_before_a_mean_over_an_image_is_none_on_the_outputs() -> None:
    images = torch.relu(nn.Conv2d(1, 4, 3)(torch.randn(2, 1, 8, 8)))
    assert end_of(images.mean(dim=(2, 3))) is None
    assert end_of(images) == End("ReLU", 0.0)


@given(target=st.floats(-3, 3), p=st.floats(0.05, 0.9))
def test_a_dropout_makes_the_squared_error_least_nearer_to_0(target: float, p: float) -> None:
    """The reason of the remark: the expectation of (z m / (1 - p) - y)^2 over m, which is 1 with probability 1 - p."""
    z = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    expected = (1 - p) * (z / (1 - p) - target) ** 2 + p * target**2
    (slope,) = torch.autograd.grad(expected, z, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, z)
    assert (-slope / curvature).item() == pytest.approx((1 - p) * target)
    said = remark(End("dropout", dropout=True), classes=0, binary=False, targets=np.zeros(9))
    assert said is not None
    assert code_of(said) == "activation-on-outputs"


@given(classes=st.integers(2, 20), name=st.sampled_from(["tanh", "sigmoid", "Hardsigmoid", "softmax"]))
def test_the_least_loss_is_that_of_pytorch(classes: int, name: str) -> None:
    low, high = (-1.0, 1.0) if name == "tanh" else (0.0, 1.0)
    best = torch.full((1, classes), low, dtype=torch.float64)
    best[0, 0] = high
    least = functional.cross_entropy(best, torch.tensor([0])).item()
    said = remark(End(name, low, high), classes=classes, binary=False, targets=np.zeros(0))
    assert said is not None
    assert f"never falls below {least:.3g}" in said


@given(
    low=st.sampled_from([-math.inf, -1.0, 0.0]),
    high=st.sampled_from([0.0, 0.7, 1.0, math.inf]),
    seed=st.integers(0, 99),
)
def test_of_numbers_it_is_told_where_targets_lie_out_of_reach(low: float, high: float, seed: int) -> None:
    targets = np.random.default_rng(seed).normal(size=200)
    beyond = np.mean([not low <= one <= high for one in targets])
    said = remark(End("an end", low, high), classes=0, binary=False, targets=targets)
    assert (said is not None) == (beyond > 0.05)
    assert said is None or f"{beyond:.0%} of the training targets" in said


FAULTY: list[tuple[str, Any, dict[str, Any], str]] = [
    ("softmax-before-loss", CLASSES, {"model": network(nn.Linear(6, 2), nn.Softmax(dim=1))}, "taken twice"),
    ("softmax-before-loss", CLASSES, {"model": network(nn.Linear(6, 2), nn.Sigmoid())}, "a sigmoid stands on the outputs"),
    ("softmax-before-loss", CLASSES, {"model": network(nn.Linear(6, 1), nn.Sigmoid()), "loss": "binary"}, "takes a sigmoid"),
    ("softmax-before-loss", CLASSES, {"model": network(nn.Linear(6, 1), nn.Softmax(dim=1)), "loss": "binary"}, "is 1 for every"),
    ("activation-on-outputs", CLASSES, {"model": network(nn.Linear(6, 2), nn.ReLU())}, "a ReLU stands on the logits"),
    ("activation-on-outputs", CLASSES, {"model": network(nn.Linear(6, 1), nn.ReLU()), "loss": "binary"}, "between 0.5 and 1"),
    ("activation-on-outputs", CLASSES, {"model": network(nn.Linear(6, 2), nn.Tanh())}, "never falls below 0.127"),
    ("activation-on-outputs", NUMBERS, {"model": network(nn.Linear(6, 1), nn.Dropout(0.5))}, "a dropout stands on the output"),
    ("activation-on-outputs", NUMBERS, {"model": network(nn.Linear(6, 1), nn.ReLU())}, "of the training targets"),
    ("activation-on-outputs", NUMBERS, {"model": network(nn.Linear(6, 1), nn.Tanh())}, "between -1 and 1"),
    ("activation-on-outputs", NUMBERS, {"model": network(nn.Linear(6, 1), nn.Softmax(dim=1))}, "1 for every input"),
    ("regression-as-classes", paribus.data(X, (X[:, 0] > 0).astype(float), name="two", kind="regression"), {}, "are 0, 1 and no"),
    ("summed-loss", CLASSES, {"loss": lambda z, y: functional.cross_entropy(z, y, reduction="sum")}, "a sum over the batch"),
    ("flipped-loss", CLASSES, {"loss": lambda z, y: -functional.cross_entropy(z, y)}, "turn its sign"),
    ("broadcast-loss", NUMBERS, {"loss": lambda z, y: (z[:, None] - y).square().mean()}, "(n, n)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "task", "words", "said"), FAULTY, ids=[f"{i}-{one[0]}" for i, one in enumerate(FAULTY)]
)
def test_it_is_recorded_and_diagnosed_from_the_record_alone(
    code: str, task: Any, words: dict[str, Any], said: str, tmp_path: Path
) -> None:
    paribus.train(task, out=tmp_path / "s", **SMALL, **words)
    record = read(tmp_path / "s")
    ((told,),) = record.remarks.values()
    assert said in told
    assert code_of(told) == code
    found = {one.code: one for one in diagnose(record)}
    assert untagged(told).endswith(f": {found[code].evidence}")
    assert said in found[code].evidence


def of_probabilities(p: Tensor, y: Tensor) -> Tensor:
    return functional.binary_cross_entropy(p, functional.one_hot(y, 2).to(p.dtype))


RIGHT: list[tuple[Any, dict[str, Any]]] = [
    (CLASSES, {"model": network(nn.Linear(6, 2))}),
    (CLASSES, {"model": network(nn.Dropout(0.5), nn.Linear(6, 2))}),
    (CLASSES, {"model": network(nn.Linear(6, 2), nn.LogSoftmax(dim=1))}),
    (CLASSES, {"model": network(nn.Linear(6, 2), nn.BatchNorm1d(2))}),
    (CLASSES, {"model": network(nn.Linear(6, 2), nn.Dropout(0.5))}),
    (CLASSES, {"model": network(nn.Linear(6, 1)), "loss": "binary"}),
    (CLASSES, {"model": network(nn.Linear(6, 2), nn.Softmax(dim=1)), "loss": nn.NLLLoss()}),
    (CLASSES, {"model": network(nn.Linear(6, 2), nn.Sigmoid()), "loss": of_probabilities}),
    (NUMBERS, {"model": network(nn.Linear(6, 1))}),
    (NUMBERS, {"model": network(nn.Linear(6, 1), nn.LeakyReLU())}),
    (NUMBERS, {"model": network(nn.Linear(6, 1)), "loss": nn.HuberLoss()}),
]


@pytest.mark.parametrize(("task", "words"), RIGHT)
def test_nothing_is_said_of_what_is_right(task: Any, words: dict[str, Any], tmp_path: Path) -> None:
    told = paribus.train(task, out=tmp_path / "s", **SMALL, **words).record.remarks
    assert [code_of(line) for lines in told.values() for line in lines if code_of(line)] == []


# --- what a loss does ---

OF_CLASSES: list[Callable[..., nn.Module]] = [nn.CrossEntropyLoss, nn.MultiMarginLoss]
OF_NUMBERS: list[Callable[..., nn.Module]] = [nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss]


def of_pairs(loss: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda z, y: loss(z[:, 0], y)


def codes(
    loss: Callable[[Tensor, Tensor], Tensor], classes: int, dtype: torch.dtype = torch.float32
) -> list[str | None]:
    return [code_of(one) for one in loss_trial.remarks(loss, classes, dtype, CPU)]


@given(
    kind=st.sampled_from([*OF_CLASSES, *OF_NUMBERS]), reduction=st.sampled_from(["mean", "sum"]),
    factor=st.sampled_from([1.0, 0.01, 7.0, 1000.0]), classes=st.integers(2, 10), dtype=st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
@tried(deadline=None)
def test_pytorchs_losses_are_means_or_sums_as_they_are_told(
    kind: Callable[..., nn.Module], reduction: str, factor: float, classes: int, dtype: torch.dtype
) -> None:
    numbers = kind in OF_NUMBERS
    made = of_pairs(kind(reduction=reduction)) if numbers else kind(reduction=reduction)
    wanted = ["summed-loss"] * (reduction == "sum")
    assert codes(lambda z, y: factor * made(z, y), 0 if numbers else classes, dtype) == wanted
    assert codes(lambda z, y: -factor * made(z, y), 0 if numbers else classes, dtype) == ["flipped-loss", *wanted]


def focal(z: Tensor, y: Tensor) -> Tensor:
    logs = functional.log_softmax(z, dim=1)[torch.arange(len(y)), y]
    return -((1 - logs.exp()) ** 2 * logs).mean()


RIGHT_LOSSES: list[tuple[Callable[[Tensor, Tensor], Tensor], int]] = [
    (focal, 3),
    (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.2])), 3),
    (nn.CrossEntropyLoss(label_smoothing=0.3), 3),
    (lambda z, y: functional.cross_entropy(z, y) + 0.1 * z.square().mean(), 3),
    (lambda z, y: torch.where(y > z[:, 0], 0.9 * (y - z[:, 0]), 0.1 * (z[:, 0] - y)).mean(), 0),
    (lambda z, y: (z[:, 0] - y).cosh().log().mean(), 0),
    (lambda z, y: functional.cross_entropy(z + torch.randn_like(z), y), 3),  # it draws: nothing is known of it
    (lambda z, y: functional.cross_entropy(z, y).detach().requires_grad_() * 0, 3),
]


@pytest.mark.parametrize(("loss", "classes"), RIGHT_LOSSES)
def test_a_loss_that_is_right_is_left_alone(loss: Callable[[Tensor, Tensor], Tensor], classes: int) -> None:
    assert codes(loss, classes) == []


@pytest.mark.parametrize("measure", [functional.mse_loss, functional.l1_loss])
@pytest.mark.parametrize("probability", [lambda z: z, lambda z: z.softmax(1), torch.sigmoid])
@pytest.mark.parametrize("classes", [2, 10])
def test_an_error_of_numbers_between_classes(measure: Any, probability: Act, classes: int) -> None:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        found: Tensor = 3 * measure(probability(z), functional.one_hot(y, classes).to(z.dtype))
        return found

    assert codes(loss, classes) == ["regression-as-classes"]


@given(seed=st.integers(0, 2**16), rows=st.integers(5, 30))
def test_every_output_with_every_target_is_the_same_for_any_pairs(seed: int, rows: int) -> None:
    """The property that the test rests on, against PyTorch's own broadcasting."""
    torch.manual_seed(seed)
    z, y = torch.randn(rows, 1, dtype=torch.float64), torch.randn(rows, dtype=torch.float64)
    one, other = ((z - y[order]).square().mean() for order in (torch.arange(rows), torch.randperm(rows)))
    assert torch.allclose(one, other)
    assert codes(lambda z, y: (z - y).square().mean(), 0) == ["broadcast-loss"]


def test_whatever_a_loss_raises_nothing_is_said() -> None:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        raise RuntimeError("only for batches of 16")

    assert codes(loss, 3) == codes(loss, 0) == []


# --- targets ---


@given(classes=st.integers(2, 10), seed=st.integers(0, 999), each=st.integers(10, 40))
def test_codes_of_classes_are_known_in_any_order(classes: int, seed: int, each: int) -> None:
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), each)).astype(float)
    assert codes_as_numbers(y) == tuple(range(classes))


@pytest.mark.parametrize(
    "y",
    [
        np.repeat([1.0, 2, 3, 4, 5], 40),  # marks
        np.repeat([0.0, 1, 3], 40),  # a gap
        np.repeat([0.0, 0.5, 1], 40),
        np.random.default_rng(0).poisson(1.0, 400).astype(float),  # counts
        np.repeat([0.0, 1, 2, 3], [200, 120, 50, 15]),  # counts that are all frequent
        np.repeat(np.arange(11.0), 40),
        np.array([0.0, 1.0] * 5 + [2.0]),
        np.zeros(100),
    ],
)
def test_other_numbers_are_no_codes(y: Any) -> None:
    assert codes_as_numbers(y) == ()


@given(st.sampled_from(STRUCTURE), st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_a_code_comes_back_from_a_remark(code: str, text: str) -> None:
    assert code_of(tagged(code, text)) == code
    assert untagged(tagged(code, text)) == text
