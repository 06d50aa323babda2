"""Optimizers against `torch.optim` with settings of all kinds: what they do, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paribus.backends.torch.optimizers import OPTIMIZERS as TORCH
from paribus.backends.torch.optimizers import lean
from paribus.byhand.optimizers import OPTIMIZERS as HAND
from paribus.byhand.optimizers import clip_by_global_norm
from paribus.config.optimizers import OPTIMIZERS
from paribus.config.overrides import SettingsError, build
from tests.conftest import norm_gap
from tests.test_schedules import EPOCHS, SCHEDULE_WORDS, STEPS_IN_EPOCH, Fit, Schedule

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
"""Hypothesis draws from these; the rows of `test_optimizers` are for all optimizers."""


@pytest.mark.thinned(2)
@pytest.mark.parametrize("name", OPTIMIZER_SETTINGS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_optimizer_moves_as_torch_optim_does_whatever_its_settings(name: str, data: st.DataObject) -> None:
    """200 steps under any schedule: the whole update, norm-wise to 1e-11."""
    chosen = data.draw(OPTIMIZER_SETTINGS[name])
    if chosen.get("nesterov") is None and name == "sgd" and not chosen.get("momentum"):
        chosen = {}
    word = data.draw(st.sampled_from(SCHEDULE_WORDS))
    decay = data.draw(st.sampled_from([0.0, 1e-4, 0.1]))
    clip = data.draw(st.sampled_from([None, 0.5, 1e6]))
    lr = data.draw(st.floats(1e-4, 0.3 if name == "sgd" else 0.03))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    words = {f"optimizer.{key}": value for key, value in {**chosen, "lr": lr, "weight_decay": decay}.items()}
    made = build({"task": "moons", "optimizer": name, **words}).optimizer

    start = {"w": rng.standard_normal((4, 3)), "b": rng.standard_normal(4)}
    mine = {key: value.copy() for key, value in start.items()}
    theirs = {key: torch.from_numpy(value.copy()).requires_grad_() for key, value in start.items()}
    hand = HAND[name](mine, **made.model_dump(exclude={"name"}))
    kind, arguments = TORCH[name].kind, TORCH[name].arguments
    reference = kind(
        theirs.values(), **arguments(made.model_dump(exclude={"name", "decay"}))
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
    kind, arguments = TORCH[name].kind, TORCH[name].arguments
    fields = [field for field in OPTIMIZERS[name].model_fields if field not in ("name", "decay")]
    defaults = OPTIMIZERS[name]().model_dump(exclude={"name", "decay"})
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
    kind, arguments = TORCH[name].kind, TORCH[name].arguments
    chosen = arguments(OPTIMIZERS[name](weight_decay=0.1).model_dump(exclude={"name", "decay"}))
    for make in (kind, lean(kind)):
        w = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4).requires_grad_()
        optimizer = make([w], **chosen)
        for _ in range(20):
            optimizer.zero_grad()
            (w.sin() * w).sum().backward()
            optimizer.step()
        ends.append(w.detach())
    assert torch.equal(*ends)


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "rmsprop centered=true"])
@pytest.mark.parametrize("beyond", [1e-16, 1e-12])
def test_a_decay_next_to_1_loses_nothing(fit: Fit, name: str, beyond: float) -> None:
    """The compiler may not regroup b v + (1 - b) g^2, which was 0.2 % of the loss off."""
    decay = "alpha" if name.startswith("rmsprop") else "beta2"
    words = f"task=moons optimizer={name} optimizer.{decay}={1 - beyond!r} precision=float64 epochs=10"
    found = [fit(f"{words} implementation={one}", seed=0).curve("train_loss")[-1] for one in ("fused", "torch")]
    assert found[0] == pytest.approx(found[1], rel=1e-11)
