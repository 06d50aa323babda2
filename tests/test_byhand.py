"""The models by hand against PyTorch: gradients against autograd, updates against torch.optim."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from paribus.backends.torch.optimizers import OPTIMIZERS as TORCH
from paribus.backends.torch.optimizers import lean
from paribus.byhand.layers import Dropout, Linear, ReLU, SoftmaxCrossEntropy
from paribus.byhand.mlp import Mlp
from paribus.byhand.optimizers import OPTIMIZERS as HAND
from paribus.byhand.optimizers import clip_by_global_norm
from paribus.config.optimizers import OPTIMIZERS
from paribus.config.overrides import SettingsError, build
from paribus.config.schedules import Schedule
from paribus.config.values import Initialisation
from paribus.models.initialisation import initial_values
from paribus.models.mlp import Mlp as TorchMlp
from paribus.plan import Plan
from tests.conftest import norm_gap

SIZES = {0: [3, 4], 1: [2, 20, 2], 4: [5, 7, 3, 6, 4, 3], "one unit": [2, 1, 2], "wide": [64, 64, 64, 10]}


def both(sizes: list[int], dropout: float, dtype: str, seed: int = 0) -> tuple[Mlp, TorchMlp]:
    hand = Mlp(sizes, dropout, np.dtype(dtype).type)
    auto = TorchMlp(sizes, dropout, getattr(torch, dtype))
    # An ordinary scale: with the report's 0.001 whole gradients would be under the tolerance.
    values = initial_values({k: v.shape for k, v in hand.parameters.items()}, Initialisation("default"), Plan(seed))
    hand.load(values)
    auto.load_state_dict({name: torch.from_numpy(value.astype(dtype)) for name, value in values.items()})
    return hand, auto


@pytest.mark.parametrize("sizes", SIZES.values(), ids=map(str, SIZES))
@pytest.mark.parametrize("batch", [1, 5, 128])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 3e-5)])
def test_gradients_are_autograds(sizes: list[int], batch: int, dropout: float, dtype: str, tolerance: float) -> None:
    rng = np.random.default_rng(batch)
    hand, auto = both(sizes, dropout, dtype)
    x = rng.standard_normal((batch, sizes[0])).astype(dtype)
    upstream = rng.standard_normal((batch, sizes[-1])).astype(dtype)  # not all ones: those hide faults
    keep = [rng.random((batch, units)) >= dropout for units in sizes[1:-1]] if dropout else []
    logits = hand.forward(x, keep)
    theirs = auto(torch.from_numpy(x), [torch.from_numpy(mask) for mask in keep])
    theirs.backward(torch.from_numpy(upstream))
    gradients = hand.backward(upstream)
    assert norm_gap(logits, theirs.detach().numpy()) <= tolerance
    assert set(gradients) == {name for name, _ in auto.named_parameters()}
    for name, parameter in auto.named_parameters():
        assert gradients[name].dtype == dtype
        assert norm_gap(gradients[name], parameter.grad.numpy()) <= tolerance, name


@pytest.mark.parametrize("layer", [Linear(np.ones((3, 4)) / 7, np.zeros(3)), ReLU(), Dropout(0.5)])
def test_the_gradient_of_a_layers_input_is_the_slope(layer: Linear | ReLU | Dropout) -> None:
    """Central differences: an oracle that knows no formula."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4))
    if isinstance(layer, Dropout):
        layer.keep = rng.random(x.shape) > 0.5
    dy = rng.standard_normal(layer.forward(x).shape)
    dx = layer.backward(dy)
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-6
        slope = ((layer.forward(x + step) - layer.forward(x - step)) * dy).sum() / 2e-6
        assert dx[at] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("batch", [1, 3, 50])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_loss_is_pytorchs(batch: int, scale: float) -> None:
    rng = np.random.default_rng(1)
    z, y = scale * rng.standard_normal((batch, 6)), rng.integers(0, 6, batch)
    loss = SoftmaxCrossEntropy()
    t = torch.from_numpy(z).requires_grad_()
    theirs = cross_entropy(t, torch.from_numpy(y))
    theirs.backward()
    assert loss.forward(z, y) == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(loss.backward(), t.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_dropout_does_nothing_in_evaluation() -> None:
    layer, x = Dropout(0.9), np.ones((3, 4))
    assert layer.forward(x) is x
    assert layer.backward(x) is x


STEPS_IN_EPOCH, EPOCHS = 8, 25  # 200 steps

OPTIMIZER_SETTINGS: dict[str, st.SearchStrategy[dict[str, float | bool]]] = {
    "sgd": st.one_of(
        st.fixed_dictionaries({"momentum": st.floats(0, 0.99), "dampening": st.floats(0, 0.9)}),
        st.fixed_dictionaries({"momentum": st.floats(0.1, 0.99), "nesterov": st.just(True)}),
        st.just({}),
    ),
    "adam": st.fixed_dictionaries(
        {"beta1": st.floats(0, 0.99), "beta2": st.floats(0.5, 0.9999), "eps": st.sampled_from([1e-8, 1e-3])}
    ),
    "rmsprop": st.fixed_dictionaries({
        "alpha": st.floats(0.5, 0.999), "eps": st.sampled_from([1e-8, 1e-3]), "momentum": st.sampled_from([0.0, 0.5, 0.95]),
    }) | st.fixed_dictionaries({  # at other alphas v - a^2 is a small difference of large numbers, in both alike
        "alpha": st.just(0.99), "centered": st.just(True), "momentum": st.sampled_from([0.0, 0.9]),
    }),
}  # fmt: skip
OPTIMIZER_SETTINGS["adamw"] = OPTIMIZER_SETTINGS["adam"]

SCHEDULE_WORDS = [
    "constant", "multistep:3+11:0.1", "cosine", "cosine:0.25", "onecycle", "onecycle:0.6", "warmup:5", "warmup:13steps",
    "warmup:2:cosine", "warmup:4:multistep:10:0.5",
]  # fmt: skip


def their_schedule(word: str, optimizer: torch.optim.Optimizer, lr: float) -> tuple[object | None, object | None]:
    """PyTorch's schedulers for a word: those stepped after each step and after each epoch."""
    s = torch.optim.lr_scheduler
    kind, *rest = word.split(":")
    match kind:
        case "multistep":
            return None, s.MultiStepLR(optimizer, [int(m) for m in rest[0].split("+")], gamma=float(rest[1]))
        case "cosine":
            return None, s.CosineAnnealingLR(optimizer, EPOCHS, eta_min=lr * float(rest[0] if rest else 0))
        case "onecycle":
            share = float(rest[0]) if rest else 0.3
            total = STEPS_IN_EPOCH * EPOCHS
            return s.OneCycleLR(optimizer, lr, total_steps=total, pct_start=share, cycle_momentum=False), None
        case "warmup":
            n = int(rest[0].removesuffix("steps")) * (1 if rest[0].endswith("steps") else STEPS_IN_EPOCH)
            warm = s.LinearLR(optimizer, start_factor=1 / n, end_factor=1.0, total_iters=n - 1)
            return warm, their_schedule(":".join(rest[1:]), optimizer, lr)[1] if len(rest) > 1 else None
    return None, None


@pytest.mark.parametrize("word", SCHEDULE_WORDS)
def test_a_schedule_gives_pytorchs_rates(word: str) -> None:
    if word == "warmup:2:cosine":
        pytest.skip("PyTorch's CosineAnnealingLR is recursive: it cannot be multiplied with another; see the next test")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    by_step, by_epoch = their_schedule(word, optimizer, 0.1)
    schedule = Schedule.parse(word)
    assert Schedule.parse(str(schedule)) == schedule
    for step in range(STEPS_IN_EPOCH * EPOCHS):
        mine = 0.1 * schedule.factor(step, STEPS_IN_EPOCH, EPOCHS)
        assert mine == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), step
        optimizer.step()
        if by_step:
            by_step.step()
        if by_epoch and step % STEPS_IN_EPOCH == STEPS_IN_EPOCH - 1:
            by_epoch.step()


def test_a_warm_up_multiplies_what_it_leads_into() -> None:
    warm, cosine, both = (Schedule.parse(word) for word in ("warmup:2", "cosine", "warmup:2:cosine"))
    for step in range(STEPS_IN_EPOCH * EPOCHS):
        at = (step, STEPS_IN_EPOCH, EPOCHS)
        assert both.factor(*at) == warm.factor(*at) * cosine.factor(*at)


def test_every_optimizer_is_everywhere() -> None:
    assert set(OPTIMIZERS) == set(HAND) == set(TORCH) == set(OPTIMIZER_SETTINGS)
    assert {word.split(":")[0] for word in SCHEDULE_WORDS} == set(Schedule.KINDS)


@pytest.mark.parametrize("clip", [None, 0.5, 1e6])
@pytest.mark.parametrize("name", OPTIMIZERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_optimizer_moves_as_torch_optim_does(name: str, clip: float | None, data: st.DataObject) -> None:
    """200 steps under any schedule: the whole update, norm-wise to 1e-11."""
    chosen = data.draw(OPTIMIZER_SETTINGS[name])
    if chosen.get("nesterov") is None and name == "sgd" and not chosen.get("momentum"):
        chosen = {}
    word = data.draw(st.sampled_from(SCHEDULE_WORDS))
    decay = data.draw(st.sampled_from([0.0, 1e-4, 0.1]))
    lr = data.draw(st.floats(1e-4, 0.3 if name == "sgd" else 0.03))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    words = {f"optimizer.{key}": value for key, value in {**chosen, "lr": lr, "weight_decay": decay}.items()}
    asked = build({"task": "moons", "optimizer": name, **words}).optimizer

    start = {"w": rng.standard_normal((4, 3)), "b": rng.standard_normal(4)}
    mine = {key: value.copy() for key, value in start.items()}
    theirs = {key: torch.from_numpy(value.copy()).requires_grad_() for key, value in start.items()}
    hand = HAND[name](mine, **asked.model_dump(exclude={"name"}))
    kind, arguments = TORCH[name]
    apart = {"decay", "decoupled"}  # not PyTorch's: see the tests of decay
    reference = kind(
        theirs.values(), **arguments(asked.model_dump(exclude={"name", *apart}))
    )  # the stock class, not the lean one
    schedule = Schedule.parse(word)
    for step in range(STEPS_IN_EPOCH * EPOCHS):
        hand.lr = reference.param_groups[0]["lr"] = lr * schedule.factor(step, STEPS_IN_EPOCH, EPOCHS)
        # a slope towards 0 with noise: bounded, and exercising every state
        noise = {key: rng.standard_normal(value.shape) for key, value in start.items()}
        gradients = {key: noise[key] + 0.1 * mine[key] for key in start}
        for key, parameter in theirs.items():
            parameter.grad = torch.from_numpy(noise[key]) + 0.1 * parameter.detach()
        if clip is not None:
            norm = clip_by_global_norm(gradients, clip)
            assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs.values(), clip).item(), rel=1e-9)
        hand.step(gradients)
        reference.step()
    update = np.concatenate([(mine[key] - start[key]).ravel() for key in start])
    reference_update = np.concatenate([(theirs[key].detach().numpy() - start[key]).ravel() for key in start])
    assert norm_gap(update, reference_update) <= 1e-11


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("value", [-0.1, float("nan"), 1.5])
def test_what_pytorch_refuses_is_refused(name: str, value: float) -> None:
    """Each setting at each of these values: where PyTorch raises, so do the settings, before anything is trained."""
    kind, arguments = TORCH[name]
    fields = [field for field in OPTIMIZERS[name].model_fields if field not in ("name", "decay", "decoupled")]
    defaults = OPTIMIZERS[name]().model_dump(exclude={"name", "decay", "decoupled"})
    for field in fields:
        if isinstance(defaults[field], bool):
            continue
        try:
            kind([torch.zeros(1, requires_grad=True)], **arguments({**defaults, field: value}))
        except ValueError:
            with pytest.raises(SettingsError, match=f"optimizer.{field}={value} is not allowed"):
                build({"task": "moons", "optimizer": name, f"optimizer.{field}": value})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_lean_optimizer_is_pytorchs_own(name: str) -> None:
    """Bit for bit."""
    ends = []
    kind, arguments = TORCH[name]
    chosen = arguments(OPTIMIZERS[name](weight_decay=0.1).model_dump(exclude={"name", "decay", "decoupled"}))
    for make in (kind, lean(kind)):
        w = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4).requires_grad_()
        optimizer = make([w], **chosen)
        for _ in range(20):
            optimizer.zero_grad()
            (w.sin() * w).sum().backward()
            optimizer.step()
        ends.append(w.detach())
    assert torch.equal(*ends)
