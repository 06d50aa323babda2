"""The multilayer perceptron's activation, norm and skip, and the l1 penalty: by hand and compiled against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch

from paribus.backends.compatibility import model_mistakes
from paribus.backends.dispatch import train
from paribus.backends.fused_backend import _AT_ONCE
from paribus.backends.torch.optimizers import add_l1 as torch_add_l1
from paribus.byhand.activations import ACTIVATIONS
from paribus.byhand.mlp import Mlp
from paribus.byhand.norms import NORMS
from paribus.byhand.optimizers import add_l1
from paribus.config.models import Activation
from paribus.config.models import Mlp as MlpConfig
from paribus.config.overrides import SettingsError
from paribus.config.values import Initialisation
from paribus.fused import hidden
from paribus.fused.compile import loops_of
from paribus.fused.rows import BATCH
from paribus.models import mlp as torch_mlp
from paribus.models.initialisation import initial_values
from paribus.plan import Plan
from paribus.records.record import Status
from paribus.records.run import Run
from paribus.tasks import load
from tests.conftest import Recorder, final_weights, norm_gap, settings_of

FUNCTIONS = get_args(Activation)
KINDS = get_args(MlpConfig.model_fields["norm"].annotation)
SIZES = {"no hidden layer": [3, 4], "one unit": [2, 1, 2], "one layer": [5, 5, 2], "four layers": [5, 7, 7, 6, 6, 3]}
TOLERANCES = {"float64": 1e-10, "float32": 1e-4}


def test_every_value_has_an_entry_in_each_table() -> None:
    assert set(ACTIVATIONS) == set(torch_mlp.ACTIVATIONS) == set(FUNCTIONS)
    assert set(NORMS) == set(torch_mlp.NORMS) == set(KINDS) - {"none"}
    assert set(hidden.ACTIVATIONS) == set(FUNCTIONS)
    assert set(hidden.NORMS) == set(KINDS)


@pytest.mark.thinned(5)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("norm", KINDS)
@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize(("skip", "dropout"), [(False, 0.0), (True, 0.0), (True, 0.4)])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_gradients_are_autograds(
    sizes: list[int], norm: str, activation: str, skip: bool, dropout: float, dtype: str
) -> None:
    batches = [5] if norm == "batch" else [1, 5]  # no variance over one example
    for batch in batches:
        rng = np.random.default_rng(batch)
        options = {"activation": activation, "norm": norm, "skip": skip}
        hand = Mlp(sizes, dropout, np.dtype(dtype).type, **options)
        auto = torch_mlp.Mlp(sizes, dropout, getattr(torch, dtype), **options)
        assert list(hand.parameters) == [name for name, _ in auto.named_parameters()]
        shapes = {name: value.shape for name, value in hand.parameters.items()}
        values = initial_values(shapes, Initialisation("default"), Plan(1))
        for name in values:
            if name.startswith("norms."):  # a scale of 1 and a shift of 0 hide faults
                values[name] = values[name] + 0.5 * rng.standard_normal(values[name].shape)
        hand.load(values)
        for name, parameter in auto.named_parameters():
            parameter.data.copy_(torch.from_numpy(values[name]))
        x = rng.standard_normal((batch, sizes[0])).astype(dtype)
        upstream = rng.standard_normal((batch, sizes[-1])).astype(dtype)
        keep = [rng.random((batch, units)) >= dropout for units in sizes[1:-1]] if dropout else []
        logits = hand.forward(x, keep)
        theirs = auto(torch.from_numpy(x), [torch.from_numpy(mask) for mask in keep])
        theirs.backward(torch.from_numpy(upstream))
        gradients = hand.backward(upstream)
        assert norm_gap(logits, theirs.detach().numpy()) <= TOLERANCES[dtype]
        whole = [np.concatenate([g[name].ravel() for name in gradients]) for g in (gradients, grads(auto))]
        assert norm_gap(*whole) <= TOLERANCES[dtype]
        assert all(gradient.dtype == dtype for gradient in gradients.values())
        hand.train(training=False)
        auto.eval()
        assert norm_gap(hand.forward(x), auto(torch.from_numpy(x)).detach().numpy()) <= TOLERANCES[dtype]
        for name, buffer in hand.buffers.items():
            assert norm_gap(buffer, auto.get_buffer(name).numpy()) <= TOLERANCES[dtype], name


def grads(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: parameter.grad.numpy() for name, parameter in module.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("backend", ["numpy", "fused"])
@pytest.mark.parametrize(
    ("activation", "norm", "skip", "dropout"),
    [(FUNCTIONS[i % len(FUNCTIONS)], *rest) for i, rest in enumerate(product(KINDS, ["true", "false"], ["0", "0.3"]))],
)
def test_a_run_is_that_of_torch(
    fit: Callable[..., Recorder], backend: str, activation: str, norm: str, skip: str, dropout: str
) -> None:
    words = (
        "task=blobs n=150 features=5 centers=4 cluster_std=4 epochs=3 init=default hidden=7x7x4 lr=0.05 batch_size=32 "
        f"l1=0.003 clip=1 precision=float64 activation={activation} norm={norm} skip={skip} dropout={dropout}"
    )
    one, other = (fit(f"{words} implementation={name}") for name in (backend, "torch"))
    for metric in ("train_loss", "test_loss"):
        np.testing.assert_allclose(one.curve(metric), other.curve(metric), rtol=1e-10)
    mine, theirs = one.outcomes[0].weights, other.outcomes[0].weights
    assert mine is not None
    assert theirs is not None
    assert mine.keys() == theirs.keys()
    assert ("norms.0.running_var" in mine) == (norm == "batch")


NETWORKS = {
    "one unit": "features=5 hidden=1 batch_size=13",
    "a last batch of one": "features=5 hidden=5x5x3 batch_size=29",
    "four layers": "features=5 hidden=7x7x6x6 batch_size=13",
    "a wide first layer": "features=130 hidden=130x3 batch_size=128 epochs=2",
    "wide layers": "features=5 hidden=130x130x130 batch_size=37",
    "a batch in parts": "features=5 hidden=5x9x9 batch_size=270 epochs=2",
    "a wide one in parts": "features=130 hidden=130x130 batch_size=150 epochs=2",
}


@pytest.mark.thinned(5)
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("norm", KINDS)
@pytest.mark.parametrize(("skip", "dropout"), [(False, 0.0), (True, 0.0), (True, 0.4)])
@pytest.mark.parametrize("precision", TOLERANCES)
def test_the_compiled_loops_are_torch(network: str, norm: str, skip: bool, dropout: float, precision: str) -> None:
    """Every activation: all losses on the way, all weights and running statistics at the end."""
    if skip and "hidden=1 " in network:
        return
    if norm == "batch":  # at most 128 at once, and never a single one
        network = network.replace("=270", "=128").replace("=150", "=128").replace("=29", "=28")
    words = (
        f"task=blobs n=400 centers=4 cluster_std=6 init=default lr=0.01 l1=0.01 precision={precision} "
        f"norm={norm} skip={str(skip).lower()} dropout={dropout} {network}"
    )
    words += "" if "epochs=" in network else " epochs=1"
    found = []
    for backend in ("fused", "torch"):
        settings = [settings_of(f"{words} activation={one} implementation={backend}") for one in FUNCTIONS]
        runs = [Run(one, 1, frozenset({"weights"})) for one in settings]
        found.append(train(runs, lambda run: load(run.settings, run.seed), Recorder()))
    for activation, mine, theirs in zip(FUNCTIONS, *found, strict=True):
        assert mine.status is theirs.status is Status.DONE, (activation, mine.error, theirs.error)
        assert mine.weights is not None
        assert theirs.weights is not None
        assert mine.weights.keys() == theirs.weights.keys()
        assert all(value.dtype == precision for value in mine.weights.values())
        kinds = ("weight", "bias", "running_mean", "running_var")
        for kind in kinds if norm == "batch" else kinds[:2]:
            whole = [
                np.concatenate([one[name].ravel() for name in mine.weights if name.endswith(kind)])
                for one in (mine.weights, theirs.weights)
            ]
            assert norm_gap(*whole) <= TOLERANCES[precision], (activation, kind)


def test_batch_normalisation_in_parts_is_refused_and_auto_takes_torch() -> None:
    words = "task=moons hidden=5 norm=batch"
    assert _AT_ONCE == BATCH
    assert settings_of(f"{words} batch_size={BATCH}").implementation == "fused"
    assert settings_of(f"{words} batch_size={BATCH + 1}").implementation == "torch"
    assert settings_of(f"task=moons hidden=5 norm=layer batch_size={BATCH + 1}").implementation == "fused"
    with pytest.raises(SettingsError, match=f"norm=batch with batch_size=129: .* or batch_size={BATCH}"):
        settings_of(f"{words} batch_size={BATCH + 1} implementation=fused")


@pytest.mark.parametrize("words", ["", "activation=tanh norm=batch"])
def test_the_plain_network_has_loops_of_its_own(words: str) -> None:
    assert loops_of(settings_of(f"task=moons hidden=5 {words}")) == ("mlp_general" if words else "mlp")


def test_an_unknown_activation_fails_and_says_why(
    fit: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "task=moons epochs=1 hidden=5 activation=gelu precision=float64 implementation=fused"
    assert fit(words).outcomes[0].status is Status.DONE
    monkeypatch.setitem(hidden.ACTIVATIONS, "gelu", 99)
    (outcome,) = fit(words).outcomes
    assert outcome.status is Status.FAILED
    assert str(outcome.error).startswith("ValueError: the activation is not in the compiled engine")


@pytest.mark.parametrize("words", ["task=moons hidden=130x130", "task=palindrome length=3 model=rnn hidden=4"])
def test_l1_in_the_compiled_loops(fit: Callable[..., Recorder], words: str) -> None:
    """Also of weights that lie turned."""
    course = "epochs=1 sampler=replacement steps_per_epoch=20 lr=0.05 l1=0.01 init=default precision=float64"
    one, other = (fit(f"{words} {course} implementation={name}") for name in ("fused", "numpy"))
    assert norm_gap(final_weights(one), final_weights(other)) <= 1e-10
    without = fit(f"{words} {course.replace('l1=0.01', 'l1=0')} implementation=fused")
    assert norm_gap(final_weights(one), final_weights(without)) > 1e-4


def test_l1_is_the_gradient_of_the_sum_of_absolute_weights() -> None:
    rng = np.random.default_rng(0)
    values = {"w": rng.standard_normal((3, 4)), "b": rng.standard_normal(3), "k": rng.standard_normal((2, 1, 3, 3))}
    ours = {name: np.zeros_like(value) for name, value in values.items()}
    add_l1(ours, values, 0.3)
    leaves = {name: torch.from_numpy(value).requires_grad_() for name, value in values.items()}
    (0.3 * (leaves["w"].abs().sum() + leaves["k"].abs().sum()) + 0 * leaves["b"].sum()).backward()
    theirs = {name: leaf.grad.numpy().copy() for name, leaf in leaves.items() if leaf.grad is not None}
    for leaf in leaves.values():
        leaf.grad = None
    torch_add_l1(leaves.values(), 0.3)
    assert leaves["b"].grad is None
    for name, gradient in ours.items():
        np.testing.assert_array_equal(gradient, theirs[name])
        if name != "b":
            np.testing.assert_array_equal(gradient, leaves[name].grad.numpy())


def test_a_norm_begins_at_one_and_zero_and_moves_no_draw() -> None:
    plain, normed = (Mlp([5, 7, 6, 3], norm=norm) for norm in ("none", "batch"))
    for kind in ("default", "orthogonal"):
        first, second = (
            initial_values({k: v.shape for k, v in one.parameters.items()}, Initialisation(kind), Plan(3))
            for one in (plain, normed)
        )
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])
        for name in second.keys() - first.keys():
            assert (second[name] == float(name.endswith("weight"))).all()


@pytest.mark.parametrize("word", ["activation=tanh", "norm=layer", "skip=true"])
def test_without_a_hidden_layer_they_are_refused(word: str) -> None:
    with pytest.raises(SettingsError, match=f"{word} has no effect with hidden=none"):
        settings_of(f"task=moons hidden=none {word}")


def test_skip_needs_a_layer_of_one_size() -> None:
    for sizes, refused in (("20", True), ("20x10", True), ("20x20", False), ("2", False)):
        settings = settings_of(f"task=moons hidden={sizes} skip=true")
        found = model_mistakes(settings, load(settings, 0))
        assert any("skip=true has no effect" in one for one in found) == refused


def test_batch_normalisation_needs_two_examples() -> None:
    settings = settings_of("task=moons norm=batch batch_size=1")
    assert "a batch of one example" in model_mistakes(settings, load(settings, 0))[0]
