"""The CNN in the loop: two hands, one trajectory; precision and decay against references."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import paribus
from paribus.backends import stepwise
from paribus.backends.dispatch import resolve, train
from paribus.backends.torch.optimizers import decoupled_decay, make_optimizer
from paribus.config.optimizers import Sgd
from paribus.config.overrides import SettingsError
from paribus.plan import Plan
from paribus.records.record import Outcome
from paribus.records.run import Run
from paribus.study.runner import prepare
from paribus.study.spec import keep_of, request
from paribus.tasks import load
from tests.conftest import Recorder, drifts, final_weights, largest_drift, norm_gap, settings_of
from tests.helpers import make_learner

Fit = Callable[..., Recorder]
DIGITS = "task=digits model=cnn width=0.125 precision=float64 lr=0.01"


def images(n: int = 60, shape: tuple[int, ...] = (3, 12, 10), kind: type = np.uint8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, *shape)).astype(kind), np.arange(n) % 4


@pytest.mark.slow
def test_both_hands_are_one_curve_over_twenty_epochs(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss, weights and running statistics within 10 times the drift that rounding causes."""
    words = f"{DIGITS} epochs=20 test_share=0.6 eval_every=5"
    hand, auto = (fit(f"{words} implementation={name}", seed=1) for name in ("numpy", "torch"))
    again = lambda: fit(f"{words} implementation=torch", seed=1)  # noqa: E731
    moved, ordered = drifts(monkeypatch, stepwise, again, again)
    statistics = [name for name in hand.outcomes[0].weights if "running" in name]
    assert len(statistics) == 16
    for read in (
        lambda run: np.array(run.curve("train_loss")),
        lambda run: np.array(run.curve("test_loss")),
        final_weights,
        lambda run: np.concatenate([run.outcomes[0].weights[name] for name in statistics]),
    ):
        drift = largest_drift(read, (auto, [*moved, *ordered]))
        assert np.abs(read(hand) - read(auto)).max() <= 10 * drift
    assert hand.curve("train_accuracy")[-1] > 0.95


def test_the_loop_is_a_plain_pytorch_loop(fit: Fit) -> None:
    """With modules of PyTorch's own, in train mode for steps and in eval mode for evaluations."""
    recorder = fit(f"{DIGITS} epochs=2 implementation=torch batch_size=100 momentum=0.9 label_smoothing=0.1", seed=2)
    settings = settings_of(f"{DIGITS} epochs=2 batch_size=100 momentum=0.9")
    task, plan = load(settings, 2), Plan(2)
    layers: list[nn.Module] = []
    channels = 1
    for row in [8, "pool", 16, "pool", 32, 32, "pool", 64, 64, "pool", 64, 64, "pool"]:
        if row == "pool":
            layers.append(nn.MaxPool2d(3, 2, 1))
        else:
            layers += [nn.Conv2d(channels, row, 3, padding=1), nn.BatchNorm2d(row), nn.ReLU()]
            channels = row
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 10)).double()
    start = list(make_learner(settings, task, plan).weights().items())
    trained = [value for name, value in start if "running" not in name]
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), trained, strict=True):
            parameter.copy_(torch.from_numpy(value))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.from_numpy(task.train.x.reshape(-1, 1, 8, 8)), torch.from_numpy(task.train.y.copy())
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    for epoch in range(2):
        for rows in torch.from_numpy(plan.permutations(epoch, 1, len(y))[0]).split(100):
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        theirs = nn.functional.cross_entropy(model(x), y).item()
    assert recorder.rows[-1].metrics["train_loss"] == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("memory", ["contiguous", "channels_last"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_every_precision_and_layout_learns_and_keeps_float32_weights(fit: Fit, precision: str, memory: str) -> None:
    words = f"task=digits model=cnn width=0.125 momentum=0.9 epochs=4 precision={precision} memory={memory}"
    run = fit(words)
    assert run.rows[-1].metrics["test_accuracy"] > 0.85
    assert final_weights(run).dtype == np.float32
    short = "epochs=1 steps_per_epoch=2"
    reference = fit(f"task=digits model=cnn width=0.125 momentum=0.9 {short} precision=float32")
    gap = abs(
        fit(f"{words} {short}".replace("epochs=4 ", "")).rows[0].metrics["train_loss"]
        - reference.rows[0].metrics["train_loss"]
    )
    assert gap < (1e-5 if precision == "float32" else 0.05)
    assert (gap > 0) == (precision == "bf16")


def test_bf16_computes_in_bfloat16() -> None:
    settings = settings_of("task=digits model=cnn width=0.125 precision=bf16")
    learner = make_learner(settings, load(settings, 0), Plan(0))
    seen = []
    learner.model.linear.register_forward_hook(lambda *arguments: seen.append(arguments[2].dtype))
    learner.step(np.arange(8), 0)
    learner.evaluate("test")
    assert set(seen) == {torch.bfloat16}
    assert {parameter.grad.dtype for parameter in learner.model.parameters()} == {torch.float32}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own, as it is imported
def test_a_compiled_model_follows_the_same_curve(fit: Fit) -> None:
    words = f"{DIGITS} epochs=1 steps_per_epoch=3"
    plain, compiled = fit(words), fit(f"{words} compile=true")
    if "compiler" in str(compiled.outcomes[0].error):
        pytest.skip(f"torch.compile needs a C++ compiler: {compiled.outcomes[0].error}")
    assert compiled.outcomes[0].error is None
    assert norm_gap(final_weights(compiled), final_weights(plain)) < 1e-12


def test_training_is_evaluated_on_as_many_examples_as_asked() -> None:
    for implementation in ("numpy", "torch"):
        settings = settings_of(f"{DIGITS} eval_train=50 implementation={implementation}")
        learner = make_learner(settings, load(settings, 0), Plan(0))
        logits = learner.logits(load(settings, 0).train.x[:50])
        y = load(settings, 0).train.y[:50]
        assert learner.evaluate("train").measured["accuracy"] == (logits.argmax(axis=1) == y).mean()


# --- what is refused ---


def mistakes(task: object, *words: str, keep: str | None = None) -> list[str]:
    own = {"task": [task]} if not isinstance(task, str) else None
    name = task if isinstance(task, str) else ""
    with pytest.raises(SettingsError) as caught:
        prepare(request(name, words, compare=False, seeds=[0], keep=keep_of(keep), given=own))
    return caught.value.mistakes


REFUSED = {
    ("moons", "model=cnn"): "model=cnn takes images, and an example of moons has shape (2,): take model=mlp",
    ("digits", "model=cnn", "batch_size=1"): "batch_size=1 leaves a batch of one example (1437 for training)",
    ("digits", "model=cnn", "batch_size=4"): "batch_size=4 leaves a batch of one example",  # 1437 = 359 x 4 + 1
    ("digits", "model=cnn", "implementation=fused"): "implementation=fused has no cnn: it has mlp",
    ("digits", "model=cnn", "width=0"): "model.width=0 is not allowed: width is a number above 0",
    ("digits", "model=cnn", "implementation=numpy", "flip=true"): "flip=true has no effect with implementation=numpy",
    ("digits", "model=cnn", "implementation=numpy", "precision=bf16"): "precision=bf16 has no effect with implementation=numpy",
    ("moons", "implementation=torch", "crop=2"): "crop has no effect on moons: an example has shape (2,), no image",
    ("digits", "model=cnn", "decay=weights"): "decay=weights has no effect with weight_decay=0",
    ("digits", "model=cnn", "decoupled=true"): "decoupled=true has no effect with weight_decay=0",
    ("digits", "model=mlp", "memory=channels_last"): "memory=channels_last has no effect with model=mlp",
    ("digits", "recipe=modern"): "recipe=modern has no effect with model=mlp: it is one for the cnn",
    ("digits", "model=cnn", "recipe=modem"): "recipe=modem is not allowed: recipe is none, report or modern",
    ("digits", "device=cuda", "implementation=fused"): "device=cuda has no effect with implementation=fused",
    ("digits", "threads=none"): "threads=none is not allowed: threads is a whole number from 1 to 1024, or all",
    ("digits", "label_smoothing=1"): "label_smoothing=1 is not allowed",
    ("digits", "model=cnn", "precision=float16"): "precision=float16 is not allowed: precision is float32, float64 or bf16",
    ("cifar10", "hidden=64x64"): "hidden has no effect with model=cnn: it is a setting of mlp",
    ("cifar10", "n_train=5"): "task.n_train=5 is not allowed: n_train is a whole number from 10 to 50000",
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_cannot_be_is_refused_before_training(words: tuple[str, ...]) -> None:
    assert any(mistake.startswith(REFUSED[words]) for mistake in mistakes(*words))


def test_a_batch_of_one_is_refused_only_where_a_norm_has_a_single_value() -> None:
    x, y = images(shape=(3, 32, 32))
    prepare(request("", ["model=cnn", "width=0.125", "batch_size=1"], compare=False, seeds=[0],
                    given={"task": [paribus.data(x, y)]}))  # fmt: skip
    prepare(request("digits", ["model=cnn", "batch_size=4", "steps_per_epoch=359"], compare=False, seeds=[0]))


def test_best_needs_something_to_be_best_on() -> None:
    assert mistakes("digits", "model=cnn", keep="best") == [
        "--keep best needs a validation split to be best on: give one, as in validation=0.1"
    ]


# --- bytes become numbers ---


def test_bytes_are_scaled_by_the_training_splits_channels() -> None:
    from paribus.tasks.task import _scale

    x, _ = images(n=40)
    scale = _scale(x, settings_of("task=cifar10 model=mlp").task)
    np.testing.assert_allclose(scale.mean.ravel(), x.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(scale.std.ravel(), x.std(axis=(0, 2, 3)), rtol=1e-12)
    plain = _scale(x, settings_of("task=cifar10 model=mlp normalise=false").task)
    assert (plain.mean == 0).all()
    assert (plain.std == 255).all()


# --- decay ---


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("decay", ["all", "weights"])
def test_decay_of_weights_alone_and_apart_from_the_gradient(decoupled: bool, decay: str) -> None:
    """Against PyTorch's own SGD and AdamW's way of shrinking, on weights and biases in two groups."""
    rng = np.random.default_rng(0)
    w, b = (torch.from_numpy(rng.standard_normal(shape)).requires_grad_() for shape in ((3, 4), (3,)))
    w2, b2 = (one.detach().clone().requires_grad_() for one in (w, b))
    chosen = Sgd(lr=0.1, momentum=0.9, weight_decay=0.3, decay=decay, decoupled=decoupled)  # type: ignore[arg-type]
    mine = make_optimizer(chosen, [w, b])
    inside = 0.0 if decoupled else 0.3
    theirs = torch.optim.SGD(
        [{"params": [w2], "weight_decay": inside}, {"params": [b2], "weight_decay": inside if decay == "all" else 0.0}],
        lr=0.1,
        momentum=0.9,
    )
    for _ in range(5):
        gradients = [torch.from_numpy(rng.standard_normal(one.shape)) for one in (w, b)]
        for one, other, gradient in zip((w, b), (w2, b2), gradients, strict=True):
            one.grad, other.grad = gradient.clone(), gradient.clone()
        if decoupled:
            decoupled_decay(mine, chosen)
            with torch.no_grad():
                w2 *= 1 - 0.1 * 0.3
                b2 *= 1 - 0.1 * 0.3 * (decay == "all")
        mine.step()
        theirs.step()
    for one, other in ((w, w2), (b, b2)):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    "extra",
    [
        "",
        "decoupled=true",
        "decay=weights",
        "decoupled=true decay=weights",
        "decay=weights optimizer=adamw",
        "decay=weights optimizer=adam label_smoothing=0.2",
        "label_smoothing=0.3",
    ],
)
def test_decay_and_smoothing_are_the_same_by_hand(fit: Fit, extra: str) -> None:
    words = f"task=digits model=mlp precision=float64 epochs=3 lr=0.01 weight_decay=0.1 {extra}"
    one, other = (fit(f"{words} implementation={name}") for name in ("numpy", "torch"))
    plain = fit("task=digits model=mlp precision=float64 epochs=3 lr=0.01 implementation=numpy")
    assert norm_gap(final_weights(one), final_weights(other)) < 1e-11
    assert norm_gap(final_weights(one), final_weights(plain)) > 1e-4


def test_own_images_of_bytes_train_and_are_predicted() -> None:
    x, y = images()
    outcomes: list[Outcome] = []
    settings = resolve({"task": paribus.data(x, y), "model": "cnn", "model.width": 0.125, "epochs": 1, "flip": True})
    outcomes += train(
        [Run(settings=settings, seed=0, keep=frozenset({"predictions"}))], lambda _: load(settings, 0), Recorder()
    )
    assert outcomes[0].predictions is not None
    assert len(outcomes[0].predictions) == 12
