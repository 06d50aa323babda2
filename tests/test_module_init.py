"""`init` of a module of the user's own: its layers get the plan's values, all else stays as the module set it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import paribus
from paribus.backends.dispatch import resolve
from paribus.backends.torch.initial import draw_over
from paribus.config.overrides import SettingsError
from paribus.config.user_code import user_defined
from paribus.config.values import Initialisation
from paribus.models.initialisation import WEIGHTS, initial_values
from paribus.plan import Plan

KINDS = sorted(set(WEIGHTS) - {"default", "normal"})


class Mixed(nn.Module):
    """Layers of many kinds, with initial values that show who set them."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 4)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.cell = nn.LSTM(4, 3)
        self.out = nn.Linear(3, 2, bias=False)
        self.scale = nn.Parameter(torch.full((3,), 7.0))
        for parameter in self.parameters():
            nn.init.constant_(parameter, 7.0)


def values_of(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: one.detach().numpy().copy() for name, one in module.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**31))
def test_a_chain_of_layers_has_the_values_of_the_house_s_network(kind: str, seed: int) -> None:
    module, init = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)), Initialisation(kind)
    draw_over(module, init, Plan(seed))
    expected = initial_values({name: tuple(one.shape) for name, one in module.named_parameters()}, init, Plan(seed))
    for name, value in values_of(module).items():
        np.testing.assert_array_equal(value, expected[name].astype(np.float32))


def test_what_is_no_weight_of_a_layer_stays_as_the_module_set_it() -> None:
    module = Mixed()
    draw_over(module, Initialisation("kaiming_normal"), Plan(0))
    found = values_of(module)
    kept = {"words.weight", "norm.weight", "norm.bias", "scale", "cell.bias_ih_l0", "cell.bias_hh_l0"}
    assert {name for name, value in found.items() if (value == 7).all()} == kept
    assert not found["conv.bias"].any()
    assert found["conv.weight"].std() == pytest.approx(math.sqrt(2 / 27), rel=0.3)


def test_a_run_begins_with_them_and_by_default_with_its_own() -> None:
    """Whatever the task's own runs begin with: moons' have the report's values."""
    made = {}
    for init in (None, "kaiming_normal", "default"):
        words = {"model": user_defined(ones), "task": "moons", **({"init": init} if init else {})}
        made[init] = resolve(words).init.kind
    assert made == {None: "default", "kaiming_normal": "kaiming_normal", "default": "default"}
    study = paribus.compare("moons", model=ones, init=["default", "kaiming_normal"], epochs=20, lr=0.5, seeds=6)
    own, drawn = (arm.runs[0].curve["train_loss"][-1] for arm in study.record.arms)
    assert drawn < own - 0.01, "units that are all alike learn less"


def ones() -> nn.Module:
    layers = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    for parameter in layers.parameters():
        nn.init.constant_(parameter, 0.1)
    return layers


class Lonely(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (Lonely, "it has no layer with weights for init=kaiming_normal: leave it out"),
        (lambda: nn.Sequential(nn.LazyLinear(2)), "has no size before its first input"),
    ],
)
def test_a_module_without_such_layers_is_refused_before_it_is_trained(factory: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        paribus.train("moons", model=factory, init="kaiming_normal", epochs=1)
