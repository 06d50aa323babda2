"""Initial values: the families of torch.nn.init, from the plan's draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from paribus.config.values import Initialisation
from paribus.models.initialisation import WEIGHTS, initial_values
from paribus.plan import Plan

SHAPE = (120, 90)
THEIRS = {
    "normal": lambda w: torch.nn.init.normal_(w, std=0.02),
    "default": lambda w: torch.nn.init.kaiming_uniform_(w, a=math.sqrt(5)),
    "xavier_normal": torch.nn.init.xavier_normal_,
    "xavier_uniform": torch.nn.init.xavier_uniform_,
    "kaiming_normal": lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "kaiming_uniform": lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "orthogonal": torch.nn.init.orthogonal_,
    "he_fan_out": lambda w: (
        torch.nn.init.xavier_normal_(w)
        if w.dim() == 2
        else torch.nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")
    ),
}


def init_of(kind: str) -> Initialisation:
    return Initialisation(kind, 0.02 if kind == "normal" else None)


def test_every_spelling_has_its_values() -> None:
    assert set(WEIGHTS) == set(Initialisation.KINDS) == set(THEIRS)


@pytest.mark.parametrize("kind", Initialisation.KINDS)
@pytest.mark.parametrize("shape", [SHAPE, SHAPE[::-1], (8, 3, 20, 20)])
def test_the_distribution_is_pytorchs(kind: str, shape: tuple[int, ...]) -> None:
    mine = initial_values({"w": shape, "b": shape[:1]}, init_of(kind), Plan(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = THEIRS[kind](torch.empty(shape, dtype=torch.float64)).numpy()
    assert mine["w"].shape == shape
    assert mine["w"].std() == pytest.approx(theirs.std(), rel=0.03)
    assert ks_2samp(mine["w"].ravel(), theirs.ravel()).pvalue > 1e-3
    if kind == "default":
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        assert 0.5 * bound < np.abs(mine["b"]).max() <= bound
    else:
        assert (mine["b"] == 0).all()


@pytest.mark.parametrize("shape", [(5, 12), (12, 5), (7, 7), (1, 4), (6, 2, 3)])
def test_orthogonal_is_orthogonal(shape: tuple[int, ...]) -> None:
    w = initial_values({"w": shape}, Initialisation("orthogonal"), Plan(1))["w"].reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, np.eye(min(w.shape)), atol=1e-12)


def test_scales_share_their_draws() -> None:
    shapes = {"0.weight": (6, 4), "0.bias": (6,), "1.weight": (3, 6)}
    small, large = (initial_values(shapes, Initialisation("normal", std), Plan(2)) for std in (0.001, 1.0))
    np.testing.assert_allclose(small["1.weight"] * 1000, large["1.weight"], rtol=1e-12)
    uniform = initial_values(shapes, Initialisation("xavier_uniform"), Plan(2))["1.weight"]
    assert (np.argsort(uniform.ravel()) == np.argsort(large["1.weight"].ravel())).all()


def test_tensors_differ() -> None:
    values = initial_values({"a": (5, 5), "b": (5, 5)}, Initialisation("normal", 1.0), Plan(0))
    assert not np.isin(values["a"], values["b"]).any()
