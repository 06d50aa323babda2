"""Part III in the loop: palindromes, the recurrent network in both hands, clipping, initial values of the state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from paribus import data
from paribus.backends import stepwise
from paribus.config.overrides import SettingsError
from paribus.models.initialisation import initial_values
from paribus.plan import Plan
from paribus.study.runner import prepare
from paribus.study.spec import request
from paribus.tasks import load
from tests.conftest import Recorder, drifts, final_weights, largest_drift, norm_gap, settings_of
from tests.helpers import make_learner

Fit = Callable[..., Recorder]


def test_the_reports_settings_are_the_defaults() -> None:
    flat = settings_of("task=palindrome").flat()
    assert {name: flat[name] for name in (
        "model", "model.hidden", "task.length", "task.encoding", "batch_size", "optimizer", "optimizer.lr", "clip",
        "steps_per_epoch", "epochs", "eval_every",
    )} == {
        "model": "rnn", "model.hidden": 128, "task.length": 10, "task.encoding": "scalar", "batch_size": 128,
        "optimizer": "rmsprop", "optimizer.lr": 0.001, "clip": 10.0, "steps_per_epoch": 100, "epochs": 50,
        "eval_every": "1",
    }  # fmt: skip


@pytest.mark.parametrize("length", [1, 2, 3, 5, 10, 1000])
def test_no_test_sequence_was_seen_in_training(length: int) -> None:
    words = "n_train=300 n_test=50" if length > 3 else ""
    task = load(settings_of(f"task=palindrome length={length} {words}"), 0)
    seen = {row.tobytes() for row in task.train.x}
    assert not seen & {row.tobytes() for row in task.test.x}
    assert (task.train.x[:, 0] == task.train.y).all()
    assert f"{10 ** ((length + 2) // 2):,} in all" in task.info.source
    if length > 1:  # the digits read are a palindrome's but for its last
        whole = np.concatenate([task.test.x, task.test.y[:, None]], axis=1)
        assert (whole == whole[:, ::-1]).all()
    if length in (2, 3):
        assert (task.info.train, task.info.test) == (86, 14)
        assert "tells 0.0 % of the test" in task.info.source


def test_validation_is_carved_off_without_an_overlap() -> None:
    task = load(settings_of("task=palindrome length=8 n_train=1000 n_test=100 validation=0.2"), 0)
    assert task.validation is not None
    parts = [{row.tobytes() for row in split.x} for split in task.splits.values()]
    assert [len(part) for part in parts] == [800, 200, 100]
    assert len(set.union(*parts)) == 1100


REFUSED = {
    "length=0": "task.length=0 is not allowed: length is a whole number from 1 to 1000",
    "length=-3": "task.length=-3 is not allowed",
    "length=1001": "task.length=1001 is not allowed",
    "encoding=binary": "task.encoding=binary is not allowed: encoding is scalar or onehot",
    "length=3 n_train=90 n_test=20": "90 training and 20 test palindromes of length=3 cannot be disjoint, for there are 100",
    "n_train=0": "task.n_train=0 is not allowed: n_train is auto, or a whole number from 1 to 1000000",
    "n_train=2000000": "task.n_train=2000000 is not allowed",
    "hidden=0": "model.hidden=0 is not allowed: hidden is a whole number above 0",
    "model=lstm implementation=numpy": "implementation=numpy has no lstm: it has mlp, cnn and rnn",
    "model=cnn": "model=cnn takes images, and an example of palindrome has shape (10,)",
    "recurrent=ones": "model.recurrent=ones is not allowed: recurrent is same, orthogonal or identity",
    "clip=-1": "clip=-1 is not allowed",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_is_refused_before_training(words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        prepare(request("palindrome", words.split(), compare=False, seeds=[0]))
    assert any(mistake.startswith(REFUSED[words]) for mistake in caught.value.mistakes), caught.value.mistakes


def test_an_image_is_no_sequence() -> None:
    own = {"task": [data(np.zeros((20, 1, 4, 4)), np.arange(20) % 2)]}
    asked = request("", ["model=rnn"], compare=False, seeds=[0], given=own)
    with pytest.raises(SettingsError, match="model=rnn takes sequences"):
        prepare(asked)


def test_an_overlap_is_meant_and_told() -> None:
    task = load(settings_of("task=palindrome length=2 overlap=true n_train=100 n_test=50"), 0)
    assert (task.info.train, task.info.test, task.info.overlap) == (100, 50, 50)


WORDS = [
    "task=palindrome epochs=1 precision=float64",
    "task=palindrome length=5 epochs=2 precision=float64 encoding=onehot recurrent=orthogonal hidden=17 batch_size=33",
    "task=palindrome length=3 epochs=3 precision=float64 optimizer=adam clip=0.1 sampler=shuffle steps_per_epoch=all",
    "task=palindrome length=30 epochs=1 precision=float64 recurrent=identity hidden=20 optimizer=sgd init=orthogonal",
    "task=palindrome length=1 epochs=1 precision=float64 hidden=1 batch_size=1 optimizer=sgd clip=none",
]


@pytest.mark.thinned(2)
@pytest.mark.parametrize("words", WORDS)
def test_both_hands_are_one_curve(fit: Fit, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """Within 10 times the drift that rounding causes, clipping's meters too."""
    hand, auto = (fit(f"{words} implementation={name}", seed=1) for name in ("numpy", "torch"))
    again = lambda: fit(f"{words} implementation=numpy", seed=1)  # noqa: E731
    moved, ordered = drifts(monkeypatch, stepwise, again, again)
    for read in (lambda run: np.array(run.curve("train_loss")), final_weights):
        drift = largest_drift(read, (hand, [*moved, *ordered]))
        assert np.abs(read(hand) - read(auto)).max() <= 10 * drift
    start = initial_values(
        {name: value.shape for name, value in hand.outcomes[0].weights.items()},
        settings_of(words).init,
        Plan(1),
        settings_of(words).model.recurrent,
    )
    assert norm_gap(final_weights(hand), np.concatenate([start[name].ravel() for name in sorted(start)])) > 1e-3


def test_the_loop_is_a_plain_pytorch_loop_that_clips_before_the_step(fit: Fit) -> None:
    """`nn.RNN`, with its gradients clipped after backward and before the step."""
    words = "task=palindrome epochs=1 steps_per_epoch=20 precision=float64 clip=0.05 optimizer=sgd lr=0.5 hidden=9"
    recorder = fit(f"{words} implementation=numpy eval_every=20steps", seed=2)
    settings = settings_of(f"{words} implementation=numpy")
    task, plan = load(settings, 2), Plan(2)
    start = {name: torch.from_numpy(value) for name, value in make_learner(settings, task, plan).weights().items()}
    cell, out = nn.RNN(1, 9, batch_first=True).double(), nn.Linear(9, 10).double()
    with torch.no_grad():
        for parameter, name in ((cell.weight_ih_l0, "w_hx"), (cell.weight_hh_l0, "w_hh"), (cell.bias_ih_l0, "b_h"),
                                (out.weight, "w_ph"), (out.bias, "b_o")):  # fmt: skip
            parameter.copy_(start[name])
        cell.bias_hh_l0.zero_()
    cell.bias_hh_l0.requires_grad_(requires_grad=False)
    trained = [one for one in (*cell.parameters(), *out.parameters()) if one.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.5)
    x, y = torch.from_numpy(task.train.x.astype(float))[..., None], torch.from_numpy(task.train.y.copy())
    norms = []
    for rows in torch.from_numpy(plan.draws(0, 1, 20 * 128, len(y))[0]).split(128):
        optimizer.zero_grad()
        nn.functional.cross_entropy(out(cell(x[rows])[0][:, -1]), y[rows]).backward()
        norms.append(nn.utils.clip_grad_norm_(trained, 0.05).item())
        optimizer.step()
    ours = recorder.outcomes[0].weights
    assert ours is not None
    np.testing.assert_allclose(ours["w_hh"], cell.weight_hh_l0.detach().numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours["w_ph"], out.weight.detach().numpy(), rtol=1e-9, atol=1e-12)
    assert recorder.rows[0].meters["gradient_norm"] == pytest.approx(np.mean(norms), rel=1e-9)
    assert recorder.rows[0].meters["clipped_share"] == np.mean(np.array(norms) > 0.05) > 0


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_default_initial_values_are_pytorchs(model: str) -> None:
    """U(-b, b) with b = 1 / sqrt(hidden) for everything, as `nn.RNN`, `nn.LSTM` and `nn.GRU` have it."""
    settings = settings_of(f"task=palindrome model={model} hidden=25 implementation=torch")
    weights = make_learner(settings, load(settings, 0), Plan(0)).weights()
    for name, value in weights.items():
        assert np.abs(value).max() <= 0.2, name
    values = np.concatenate([value.ravel() for value in weights.values()])
    assert np.abs(values).max() > 0.195
    assert values.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.05)


@pytest.mark.parametrize(
    ("model", "name", "gates"),
    [("rnn", "w_hh", 1), ("gru", "recurrent.weight_hh_l0", 3), ("lstm", "recurrent.weight_hh_l0", 4)],
)
def test_the_state_to_state_matrix_begins_orthogonal_or_as_identity_gate_by_gate(
    model: str, name: str, gates: int
) -> None:
    for kind in ("orthogonal", "identity"):
        settings = settings_of(f"task=palindrome model={model} hidden=13 recurrent={kind} implementation=torch")
        matrix = make_learner(settings, load(settings, 0), Plan(0)).weights()[name].reshape(gates, 13, 13)
        for gate in matrix:
            np.testing.assert_allclose(gate @ gate.T, np.eye(13), atol=1e-6)
        if kind == "identity":
            assert (matrix == np.eye(13)).all()
        else:
            assert all(np.abs(matrix[0] - gate).max() > 0.1 for gate in matrix[1:])


@pytest.mark.thinned(3)
@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
def test_each_learns_to_remember_three_digits(fit: Fit, model: str) -> None:
    run = fit(f"task=palindrome length=4 model={model} encoding=onehot hidden=32 epochs=4 lr=0.01 implementation=torch")
    assert run.rows[-1].metrics["test_accuracy"] > 0.9
    assert 0 <= run.rows[-1].meters["clipped_share"] <= 1


def test_two_digits_are_no_point_of_the_plane(fit: Fit) -> None:
    assert fit("task=palindrome length=2 epochs=1").outcomes[0].boundary is None
    assert fit("task=moons epochs=1").outcomes[0].boundary is not None
