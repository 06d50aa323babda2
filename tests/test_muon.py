"""Muon: which matrices are its own, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from paribus.backends.torch.optimizers import orthogonalised as orthogonalised_by_torch
from paribus.byhand.optimizers import orthogonalised
from paribus.config.optimizers import hidden_matrices
from tests.conftest import Recorder, final_weights, norm_gap, settings_of
from tests.test_optimizers import ByHand, ByTorch, claiming

Fit = Callable[..., Recorder]


@pytest.mark.parametrize(
    "words",
    [
        "task=digits epochs=1 hidden=300x200x9 batch_size=300 lr=0.01",  # the second layer lies turned
        "task=digits epochs=1 hidden=40x500x30 batch_size=400 nesterov=false clip=1 weight_decay=0.1",
        "task=palindrome model=rnn n_train=320 n_test=150 epochs=2 steps_per_epoch=2 hidden=9 length=5",
    ],
)
def test_muon_in_the_compiled_engine(fit: Fit, words: str) -> None:
    runs = [
        fit(f"{words} init=default optimizer=muon precision=float64 implementation={b}", 3) for b in claiming("muon")
    ]
    for other in runs[1:]:
        assert norm_gap(final_weights(other), final_weights(runs[0])) <= 1e-9


def test_hidden_matrices_are_those_between_the_first_and_the_last() -> None:
    for shapes, hidden in (
        ([], []),
        ([(2, 3), (2,)], []),
        ([(4, 2), (4,), (3, 4), (3,)], []),
        ([(4, 2), (4, 4), (4,), (3, 4), (3,)], [1]),
        ([(8, 3, 3, 3), (8,), (9, 8, 3, 3), (9,), (7, 9, 3, 3), (5, 7)], [2, 4]),
    ):
        assert [place for place, matrix in enumerate(hidden_matrices(shapes)) if matrix] == hidden


def test_kernels_are_matrices_of_as_many_rows_as_outputs() -> None:
    """As in https://github.com/KellerJordan/Muon, whose factor of the rate is then that of a kernel's own axes."""
    rng = np.random.default_rng(1)
    shapes = {"a": (4, 2, 3, 3), "b": (6, 4, 3, 3), "c": (3, 6)}
    start = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    gradients = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    chosen = settings_of("task=moons hidden=5x5 optimizer=muon lr=0.1 momentum=0 nesterov=false implementation=torch")
    u, s, vt = np.linalg.svd(gradients["b"].reshape(6, -1), full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    wanted = start["b"] - 0.1 * (u @ np.diag(s) @ vt).reshape(shapes["b"])
    for mover in (ByHand(chosen, start), ByTorch(chosen, start)):
        mover.step(gradients, 1.0)
        np.testing.assert_allclose(mover.parameters["b"], wanted, rtol=1e-10)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 8), (8, 5), (20, 20)])
def test_newton_schulz_maps_singular_values_by_its_polynomial(shape: tuple[int, int]) -> None:
    """And leaves the singular vectors as they are."""
    m = np.random.default_rng(2).standard_normal(shape)
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    wanted = u @ np.diag(s) @ vt
    assert norm_gap(orthogonalised(m), wanted) <= 1e-10
    assert norm_gap(orthogonalised_by_torch(torch.from_numpy(m)).numpy(), wanted) <= 1e-10
    assert not orthogonalised(np.zeros(shape)).any()
    assert np.isnan(orthogonalised(np.full(shape, np.nan))).all()
