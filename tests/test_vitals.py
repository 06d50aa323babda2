"""Looks at a network on its way: they change nothing, are the same from every backend, and are what autograd says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import paribus
from paribus.backends.dispatch import resolve, train
from paribus.backends.torch.look import look
from paribus.config.user_code import user_defined
from paribus.models.initialisation import initial_values
from paribus.plan import Plan
from paribus.records.record import Status
from paribus.records.run import Run
from paribus.records.vitals import Vitals
from paribus.study.reading import read
from paribus.tasks import load
from paribus.training.isolation import isolated
from paribus.training.vitals import Layer, Looks, aligned, by_hand, noise_scale
from tests.conftest import Recorder, final_weights, settings_of


class Net(nn.Module):
    """A user's own, with all that draws, counts or keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 2))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        logits: Tensor = self.body(x)
        return logits


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.act = nn.Linear(2, 6), nn.Linear(6, 2), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.two(self.act(self.one(x)))
        return logits


def ran(settings: Any, *, pictures: bool = True, seed: int = 3) -> Recorder:
    recorder = Recorder()
    run = Run(settings, seed, frozenset({"weights"}), pictures=pictures)
    train([run], lambda _: load(settings, seed), recorder)
    return recorder


def vitals_of(recorder: Recorder) -> Vitals:
    found = recorder.outcomes[0].pictures.vitals
    assert found is not None
    return found


WORDS = [
    "task=moons hidden=6x6 dropout=0.2 epochs=4",
    "task=palindrome length=4 hidden=8 epochs=2 n_train=640",
    "task=digits model=cnn width=0.03125 epochs=1 n=300",
    "task=palindrome length=4 model=gru hidden=8 epochs=2 n_train=640",
    "task=diabetes hidden=5 epochs=3",
]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("implementation", ["numpy", "torch", "fused", "stacked"])
def test_looking_changes_nothing(words: str, implementation: str) -> None:
    try:
        settings = settings_of(f"{words.replace(' n=300', '')} implementation={implementation}")
    except paribus.config.overrides.SettingsError:
        pytest.skip("it has no such model")
    looked, plain = (ran(settings, pictures=wanted) for wanted in (True, False))
    np.testing.assert_array_equal(final_weights(looked), final_weights(plain))
    assert looked.curve("test_loss") == plain.curve("test_loss")
    assert plain.outcomes[0].pictures.vitals is None


def test_looking_changes_nothing_of_a_users_module() -> None:
    settings = resolve({"task": "moons", "model": user_defined(Net), "epochs": 4})
    looked, plain = (ran(settings, pictures=wanted) for wanted in (True, False))
    np.testing.assert_array_equal(final_weights(looked), final_weights(plain))
    found = vitals_of(looked)
    assert found.layers == ["body.0", "body.4"]
    assert np.isfinite(found.gradient).all()


class Quiet(Net):
    """It counts nothing, so that many runs of it can go together."""

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.body(x)
        return logits


def test_a_users_module_is_looked_at_among_others_as_alone() -> None:
    """Of several runs in a stack one is looked at, by its own weights; no number of any changes."""

    def together(*, pictures: bool) -> Recorder:
        settings = resolve({**values, "implementation": "stacked"})
        runs = [Run(settings, seed, frozenset({"weights"}), pictures=pictures and seed == 3) for seed in (1, 3, 5)]
        recorder = Recorder()
        train(runs, lambda run: load(settings, run.seed), recorder)
        return recorder

    values = {"task": "moons", "model": user_defined(Quiet), "epochs": 4, "precision": "float64", "optimizer": "sgd"}
    looked, plain = together(pictures=True), together(pictures=False)
    for mine, other in zip(looked.outcomes, plain.outcomes, strict=True):
        assert mine.weights is not None
        assert other.weights is not None
        for name, value in mine.weights.items():
            np.testing.assert_array_equal(value, other.weights[name])
    assert [one.pictures.vitals is None for one in looked.outcomes] == [True, False, True]
    found, alone = (
        looked.outcomes[1].pictures.vitals,
        vitals_of(ran(resolve({**values, "implementation": "torch"}))),
    )
    assert found is not None
    assert found.layers == alone.layers == ["body.0", "body.4"]
    for name, value in vars(alone).items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-6, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("words", [*WORDS[:2], WORDS[4]])
def test_all_backends_look_alike(words: str) -> None:
    one, *others = (
        vitals_of(ran(settings_of(f"{words} precision=float64 implementation={name}")))
        for name in ("numpy", "torch", "fused", "stacked")
    )
    for other in others:
        assert one.layers == other.layers
        for name, value in vars(one).items():
            np.testing.assert_allclose(value, getattr(other, name), rtol=1e-6, atol=1e-12, err_msg=name)


def test_a_module_is_looked_at_as_its_twin_by_hand() -> None:
    settings = settings_of("task=moons hidden=6 activation=sigmoid precision=float64")
    task, module = load(settings, 0), Plain().double()
    weights = {
        f"linears.{i}.{key}": getattr(layer, key).detach().numpy()
        for i, layer in enumerate((module.one, module.two))
        for key in ("weight", "bias")
    }
    x, y = task.train.x[:50], task.train.y[:50]
    mine = by_hand(settings, task, weights, x, y)
    assert mine is not None
    theirs = look(
        module, torch.from_numpy(x.copy()).double(), lambda z: z,
        lambda z: nn.functional.cross_entropy(z, torch.from_numpy(y.copy())),
    )  # fmt: skip
    assert [layer.name for layer in theirs.layers] == ["one", "two"]
    assert mine.loss == pytest.approx(theirs.loss, rel=1e-12)
    for one, other in zip(mine.layers, theirs.layers, strict=True):
        np.testing.assert_allclose(one.gradient, other.gradient, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(one.weight, other.weight)
        assert one.inputs is not None
        assert other.inputs is not None
        np.testing.assert_allclose(one.inputs, other.inputs, rtol=1e-9)
        assert one.bounded == other.bounded


def test_what_a_convolution_is_given_are_its_channels() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(2 * 4, 3))
    with torch.no_grad():
        module[0].weight[1] = 0  # type: ignore[index]
        module[0].bias[1] = -1  # type: ignore[index]
    found = look(module, torch.randn(5, 3, 6, 6), lambda z: z, lambda z: z.square().mean())
    assert [None if one.inputs is None else one.inputs.shape for one in found.layers] == [(180, 3), (80, 4), (5, 8)]
    assert found.layers[1].inputs is not None
    assert (np.ptp(found.layers[1].inputs, axis=0) == 0).tolist() == [False, True, False, False]


def hessian_along(model: nn.Module, weights: list[nn.Parameter], x: Tensor, y: Tensor) -> float:
    """u^T H u by autograd, u along the gradient of the layers' weights."""
    gradients = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), weights, create_graph=True)
    size = sum(g.square().sum() for g in gradients).sqrt()
    along = sum((g * (g / size).detach()).sum() for g in gradients)
    twice = torch.autograd.grad(along, weights)
    return float(sum((h * (g / size).detach()).sum() for h, g in zip(twice, gradients, strict=True)))


class Smooth(nn.Module):
    """Curved as far as a look goes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 9), nn.Tanh(), nn.Linear(9, 5), nn.GELU(), nn.Linear(5, 2))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.body(x)
        return logits


@pytest.mark.parametrize("implementation", ["numpy", "torch", "fused"])
def test_the_curvature_is_autograd_s(implementation: str) -> None:
    words = f"hidden=9x5 activation=tanh init=xavier_normal epochs=2 implementation={implementation}"
    settings = settings_of(f"task=moons {words} eval_every=1")
    found = vitals_of(ran(settings))
    task = load(settings, 3)
    model = nn.Sequential(nn.Linear(2, 9), nn.Tanh(), nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    values = initial_values({name: tuple(one.shape) for name, one in model.named_parameters()}, settings.init, Plan(3))
    model.load_state_dict({name: torch.from_numpy(one) for name, one in values.items()})
    x, y = torch.from_numpy(task.train.x[:64].astype(np.float64)), torch.from_numpy(task.train.y[:64])
    weights = [one for one in model.parameters() if one.ndim > 1]
    assert found.curvature[0] == pytest.approx(hessian_along(model, weights, x, y), rel=0.02)
    assert np.isnan(found.curvature[1:]).all()


def test_the_curvature_of_a_users_module_is_autograd_s() -> None:
    settings = resolve({"task": "moons", "model": user_defined(Smooth), "epochs": 1, "precision": "float64"})
    found = vitals_of(ran(settings))
    (state,) = Plan(3).generator_states(0, 1)
    with isolated(state):
        model = Smooth().double()
    task = load(settings, 3)
    x, y = torch.from_numpy(task.train.x[:32].astype(np.float64)), torch.from_numpy(task.train.y[:32])
    weights = [one for one in model.parameters() if one.ndim > 1]
    assert found.curvature[0] == pytest.approx(hessian_along(model, weights, x, y), rel=0.02)


def test_the_noise_scale_is_that_of_the_examples_gradients() -> None:
    """Of a gradient far above its noise it is trace(covariance) / |G|^2; of many examples it is told closely."""
    rng, half, spread = np.random.default_rng(0), 4000, np.array([1.0, 2.0, 0.5])
    mean, found = np.array([5.0, -3.0, 1.0]), []
    for _ in range(400):
        gradients = mean + rng.normal(0, spread, (2, half, 3)).mean(axis=1)
        parts = tuple(Layer("w", np.zeros(3), one, None) for one in gradients)
        found.append(noise_scale([parts], [gradients.mean(axis=0)], half))
    assert np.mean(found) == pytest.approx((spread**2).sum() / (mean**2).sum(), rel=0.15)


def test_units_that_are_alike_are_aligned() -> None:
    assert aligned(np.tile(np.arange(4.0), (5, 1))) == 1
    assert aligned(np.random.default_rng(0).normal(size=(50, 1000))) < 0.05


def test_it_is_recorded_and_read_again_also_of_a_run_that_diverged(tmp_path: Path) -> None:
    paribus.compare("moons", lr=[0.1, 1e30], epochs=4, seeds=2, init="default", out=tmp_path / "s")
    good, bad = read(tmp_path / "s").arms
    assert bad.runs[0].status is Status.DIVERGED
    for arm in (good, bad):
        found = arm.runs[0].pictures.vitals
        assert found is not None
        assert found.epochs[0] == 0
        assert found.layers == ["linears.0", "linears.1"]
        assert found.weight.shape == (len(found.epochs), 2)
    assert good.runs[1].pictures.vitals is None  # one seed of each arm


def test_a_run_that_goes_on_has_the_looks_of_one_in_one_piece() -> None:
    settings = settings_of("task=moons hidden=6 epochs=6 implementation=numpy")
    task = load(settings, 0)
    weights = [
        {
            "linears.0.weight": np.full((6, 2), i),
            "linears.0.bias": np.zeros(6),
            "linears.1.weight": np.full((2, 6), i * i),
            "linears.1.bias": np.zeros(2),
        }
        for i in (1.0, 2.0, 4.0)
    ]
    whole = Looks(settings, task, lambda: weights[0], None)
    parts = whole
    for i, epoch in enumerate((0.0, 1.0, 2.0)):
        whole._weights = lambda i=i: weights[i]  # type: ignore[misc]
        whole.take(epoch)
        if i == 1:
            state = whole.state()
            parts = Looks(settings, task, lambda: weights[2], None)
            parts.restore(state)
    parts.take(2.0)
    one, other = whole.vitals(), parts.vitals()
    assert one is not None
    assert other is not None
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
    assert np.isfinite(one.update[1:]).all()


def test_a_model_that_nothing_can_look_at_has_none() -> None:
    settings = settings_of("task=digits model=cnn width=0.03125")
    looks = Looks(settings, load(settings, 0), dict, None)
    looks.take(0.0)
    assert looks.vitals() is None
