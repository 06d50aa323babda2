"""A class for each step of a sequence: by hand, by autograd and by a plain loop; and what cannot have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import paribus
from paribus.backends.dispatch import resolve, train
from paribus.byhand.rnn import Rnn
from paribus.config.overrides import SettingsError
from paribus.config.user_code import UserDefined
from paribus.models.initialisation import initial_values
from paribus.models.rnn import Rnn as TorchRnn
from paribus.plan import Plan
from paribus.records.run import Run
from paribus.study.reading import read
from paribus.tasks import load
from tests.conftest import Recorder, final_weights


def echo(n: int = 60, steps: int = 5, inputs: int = 1, classes: int = 3) -> UserDefined:
    """The class of a step is that of the step before; of the first, 0."""
    rng = np.random.default_rng(1)
    codes = rng.choice(classes, (n, steps), p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    x = np.stack([codes + rng.normal(0, 0.1, codes.shape) for _ in range(inputs)], axis=-1)
    y = np.concatenate([np.zeros((n, 1), np.int64), codes[:, :-1]], axis=1)
    return paribus.data(x, y, kind="steps", name="echo")


class PerStep(nn.Module):
    """A user's own, with logits for each step."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.cell, self.out = nn.GRU(1, 6, batch_first=True), nn.Linear(6, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(self.cell(x)[0])
        return logits


class LastStep(PerStep):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, -1]


def ran(words: dict[str, Any], keep: frozenset[str] = frozenset({"weights"}), **more: Any) -> Recorder:
    settings, recorder = (
        resolve({"task": echo(), "epochs": 3, "batch_size": 16, "optimizer.lr": 0.1, **words}),
        Recorder(),
    )
    train([Run(settings, 2, keep, **more)], lambda _: load(settings, 2), recorder)
    return recorder


@given(
    st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.sampled_from(["float32", "float64"]),
    st.integers(0, 99),
)  # fmt: skip
def test_the_gradient_of_every_step_is_autograds(
    examples: int, steps: int, hidden: int, inputs: int, kind: str, seed: int
) -> None:
    """For a random upstream gradient at each step."""
    rng = np.random.default_rng(seed)
    hand = Rnn(inputs, hidden, 3, np.dtype(kind).type, every_step=True)
    auto = TorchRnn(inputs, hidden, 3, getattr(torch, kind), every_step=True)
    values = {name: rng.normal(size=value.shape).astype(kind) for name, value in hand.parameters.items()}
    hand.load(values)
    for name, parameter in auto.named_parameters():
        parameter.data = torch.from_numpy(values[name].copy())
    x, upstream = (rng.normal(size=(examples, steps, n)).astype(kind) for n in (inputs, 3))
    out = auto(torch.from_numpy(x))
    np.testing.assert_allclose(
        hand.forward(x),
        out.detach().numpy(),
        rtol=1e-4 if kind == "float32" else 1e-11,
        atol=1e-5 if kind == "float32" else 1e-12,
    )
    out.backward(torch.from_numpy(upstream))
    found = hand.backward(upstream)
    for name, parameter in auto.named_parameters():
        assert parameter.grad is not None
        theirs = parameter.grad.numpy()
        assert np.linalg.norm(found[name] - theirs) <= (3e-5 if kind == "float32" else 1e-11) * (
            1 + np.linalg.norm(theirs)
        )


SETTINGS: list[dict[str, Any]] = [
    {},
    {"class_weight": "balanced", "optimizer": "adam", "optimizer.lr": 0.01},
    {"label_smoothing": 0.1, "clip": 0.5, "validation": 0.3},
    {"batch_size": 1, "model.hidden": 1, "epochs": 1},
]


@pytest.mark.parametrize("words", SETTINGS)
def test_both_hands_are_one_curve(words: dict[str, Any]) -> None:
    one, other = (
        ran({"model": "rnn", "precision": "float64", "implementation": name, **words}) for name in ("numpy", "torch")
    )
    assert one.rows[0].metrics.keys() == other.rows[0].metrics.keys()
    for name in one.rows[0].metrics:
        np.testing.assert_allclose(one.curve(name), other.curve(name), rtol=1e-9, atol=1e-12, err_msg=name)
    gap = np.linalg.norm(final_weights(one) - final_weights(other))
    assert gap <= 1e-10 * np.linalg.norm(final_weights(one))


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_a_plain_loop_over_examples_and_steps(weighted: bool) -> None:
    """PyTorch's cross-entropy of (examples, classes, steps), with weights of classes that scikit-learn computes."""
    words = {"class_weight": "balanced"} if weighted else {}
    recorder = ran({"model": "rnn", "precision": "float64", "implementation": "torch", "model.hidden": 7, **words})
    task, plan = load(resolve({"task": echo()}), 2), Plan(2)
    model = TorchRnn(1, 7, 3, torch.float64, every_step=True)
    start = initial_values(
        {n: tuple(p.shape) for n, p in model.named_parameters()},
        resolve({"task": echo(), "model": "rnn"}).init,
        plan,
        "same",
    )
    for name, parameter in model.named_parameters():
        parameter.data = torch.from_numpy(start[name].copy())
    y = task.train.y
    weights = (
        torch.from_numpy(compute_class_weight("balanced", classes=np.arange(3), y=y.ravel())) if weighted else None
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, targets = torch.from_numpy(task.train.x.copy()).double(), torch.from_numpy(y.copy())
    for order in plan.permutations(0, 3, len(y)):
        for rows in torch.from_numpy(order).split(16):
            optimizer.zero_grad()
            cross_entropy(model(x[rows]).movedim(2, 1), targets[rows], weight=weights).backward()
            optimizer.step()
    theirs = np.concatenate([p.detach().numpy().ravel() for _, p in sorted(model.named_parameters())])
    np.testing.assert_allclose(final_weights(recorder), theirs, rtol=1e-9, atol=1e-12)
    with torch.no_grad():
        logits = model(torch.from_numpy(task.test.x.copy()).double())
    assert recorder.rows[-1].metrics["test_accuracy"] == pytest.approx((logits.argmax(2).numpy() == task.test.y).mean())
    assert recorder.rows[-1].metrics["test_loss"] == pytest.approx(
        cross_entropy(logits.movedim(2, 1), torch.from_numpy(task.test.y.copy())).item()
    )


def hits(y: Any, predicted: Any) -> float:
    return float(accuracy_score(y, predicted))


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru", PerStep])
def test_a_study_learns_what_came_a_step_before(model: Any, tmp_path: Path) -> None:
    """Metrics are of all steps, predictions have the shape of the targets."""
    study = paribus.compare(
        echo(n=200), model=model, optimizer=["sgd", "adam"], lr=0.03, epochs=25, batch_size=16, seeds=2, metrics={"hits": hits},
        keep="predictions", out=tmp_path / "s",
    )  # fmt: skip
    table = study.table()
    assert table.query("arm.str.contains('adam')")["test_accuracy"].min() > 0.85  # the largest class is half of all
    np.testing.assert_allclose(table["test_hits"], table["test_accuracy"])
    (counts,) = read(tmp_path / "s").class_counts.values()
    assert sum(counts["test"]) == 40 * 5


def test_predictions_have_the_shape_of_the_targets() -> None:
    recorder = ran({"model": "rnn", "implementation": "torch"}, keep=frozenset({"predictions"}))
    predicted, task = recorder.outcomes[0].predictions, load(resolve({"task": echo()}), 2)
    assert predicted is not None
    assert predicted.shape == task.test.y.shape
    assert (predicted == task.test.y).mean() == pytest.approx(recorder.rows[-1].metrics["test_accuracy"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"model": "mlp"}, "model=mlp predicts one class for an example, and echo has one for each of 5 steps: take model=rnn"),
        ({"model": "rnn", "implementation": "fused"}, "implementation=fused reads a sequence out after its last step"),
        ({"model": DecisionTreeClassifier()}, "predicts one class for an example, and echo has a class for each of 5 steps"),
        ({"model": LastStep}, "give an output of shape (48, 3), it has to be (48, 5, 3): a row for each example and each step"),
        ({"model": lambda: PerStep(4)}, "give an output of shape (48, 5, 4), it has to be (48, 5, 3)"),
    ],
)  # fmt: skip
def test_what_cannot_have_it_is_refused(words: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        paribus.train(echo(), seeds=1, out=tmp_path / "s", **words)
    assert said in str(raised.value)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ((6, 4), np.zeros((6, 3), int), "examples of shape (4,) and 3 labels each"),
        ((6, 4), np.zeros(6, int), "a label for each step, shape (examples, steps)"),
        ((6, 2, 4, 4), np.zeros((6, 2), int), "examples of shape (2, 4, 4) and 2 labels each"),
        ((2, 4), [[0, 1, 0, 1], [0, 1]], "rows of 2 to 4 labels: sequences are of one length"),
        ((2, 4), ["abab", "baba"], "holds one label a row"),
        ((2, 2), [[0.5, 1], [1, 0]], "holds 0.5, which is no class"),
        ((2, 2), [[None, 1], [1, 0]], "missing"),
    ],
)
def test_targets_that_are_none_are_refused(x: tuple[int, ...], y: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        paribus.data(np.random.default_rng(0).normal(size=x), y, kind="steps")


def test_the_way_to_it_is_told() -> None:
    with pytest.raises(ValueError, match='or kind="steps" where each step of a sequence has one'):
        paribus.data(np.zeros((6, 4)), np.arange(24).reshape(6, 4) % 3)


def test_labels_are_the_users_in_every_form() -> None:
    """Text, lists of lists, tensors, a data set of pairs, and a test split of its own."""
    x, y = np.random.default_rng(0).normal(size=(4, 3)), [list("aba"), list("bba"), list("aab"), list("bbb")]
    wanted = (np.array(y) == "b").astype(int)
    numbers = torch.from_numpy(wanted)
    for given_ in (paribus.data(x, y, kind="steps"), paribus.data(x, np.array(y), kind="steps")):
        assert given_.thing.labels == ("a", "b")
        assert (given_.thing.y == wanted).all()
    for given_ in (
        paribus.data(torch.from_numpy(x), numbers, kind="steps"),
        paribus.data([(x[i], numbers[i]) for i in range(4)], kind="steps"),
        paribus.data(x, numbers, test=(x[:2], numbers[:2]), kind="steps"),
    ):
        assert (given_.thing.y[:4] == wanted).all()
