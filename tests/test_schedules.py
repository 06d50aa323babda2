"""Every schedule against `torch.optim.lr_scheduler`, over many epochs; and the plateau, which has a state."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from paribus.backends.dispatch import train
from paribus.config.overrides import SettingsError
from paribus.config.schedules import SCHEDULES, Plateau, PlateauState, Schedule
from paribus.plan import Plan
from paribus.records.checkpoint import Checkpoint
from paribus.records.run import Run
from paribus.report.terminal.listing import listing
from paribus.tasks import load
from tests.conftest import Recorder, final_weights, norm_gap, settings_of
from tests.helpers import make_learner
from tests.test_checkpoints import Keeper

Fit = Callable[..., Recorder]

STEPS_IN_EPOCH, EPOCHS = 8, 25  # 200 steps

SCHEDULE_WORDS = [
    "constant", "multistep:3+11:0.1", "cosine", "cosine:0.25", "onecycle", "onecycle:0.6", "warmup:5", "warmup:13steps",
    "warmup:2:cosine", "warmup:4:multistep:10:0.5", "step:4:0.3", "step:1:0.9", "exponential:0.8", "exponential:1",
    "linear", "linear:0.2", "linear:1", "polynomial:2", "polynomial:0.5", "warmup:3:step:2:0.5",
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
        case "step":
            return None, s.StepLR(optimizer, int(rest[0]), gamma=float(rest[1]))
        case "exponential":
            return None, s.ExponentialLR(optimizer, float(rest[0]))
        case "linear":
            floor = float(rest[0]) if rest else 0.0
            return None, s.LinearLR(optimizer, start_factor=1.0, end_factor=floor, total_iters=EPOCHS)
        case "polynomial":
            return None, s.PolynomialLR(optimizer, EPOCHS, power=float(rest[0]))
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
        assert mine == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15), step
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


# --- the table ------------------------------------------------------------------------------------------------------


def test_every_schedule_has_all_its_parts() -> None:
    """Words to compare here, but for the plateau, which has tests of its own; and a line in the list."""
    assert {word.split(":")[0] for word in SCHEDULE_WORDS} | {"plateau"} == set(SCHEDULES)
    for kind, schedule in SCHEDULES.items():
        assert schedule.kind == kind
        assert schedule.allowed.startswith(kind)
        assert schedule.meaning
        for word in schedule.examples:
            assert isinstance(Schedule.parse(word), schedule)
    shown = {cell for column in listing("schedules").columns for cell in map(str, column.cells)}
    assert shown == {text for one in SCHEDULES.values() for text in (", ".join(one.examples), one.meaning)}


@pytest.mark.parametrize("word", [*SCHEDULE_WORDS, "plateau:0.1:10", "warmup:2:plateau:0.5:0"])
def test_a_schedule_is_read_as_it_is_written(word: str) -> None:
    schedule = Schedule.parse(word)
    assert Schedule.parse(str(schedule)) == schedule == Schedule.parse(schedule)
    assert hash(schedule) == hash(Schedule.parse(str(schedule)))


@pytest.mark.parametrize("word", SCHEDULE_WORDS)
def test_only_what_says_so_changes_within_an_epoch(word: str) -> None:
    schedule = Schedule.parse(word)
    factors = np.array([schedule.factor(step, STEPS_IN_EPOCH, EPOCHS) for step in range(STEPS_IN_EPOCH * EPOCHS)])
    epochs = factors.reshape(EPOCHS, STEPS_IN_EPOCH)
    assert schedule.changes_within_epochs() == bool((epochs != epochs[:, :1]).any())


@pytest.mark.parametrize("word", [
    "constan", "constant:1", "multistep", "multistep:3", "multistep:0:0.1", "multistep:3+2:0.1", "multistep:3:2", "step", "step:3",
    "step:0:0.1", "step:1.5:0.1", "step:3:0", "step:3:2", "step:3:nan", "exponential", "exponential:0", "exponential:2",
    "linear:2", "linear:-1", "linear:0:1", "polynomial", "polynomial:0", "polynomial:inf", "polynomial:nan",
    "polynomial:x", "cosine:2", "onecycle:0", "plateau", "plateau:0.1", "plateau:1:3", "plateau:0:3", "plateau:0.1:-1",
    "plateau:0.1:1.5", "plateau:nan:1", "warmup", "warmup:0", "warmup:2:constant", "warmup:2:warmup:2", "warmup:2:", "Step:3:0.1",
])  # fmt: skip
def test_a_word_that_is_none(word: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (what is said is the settings' own)
        Schedule.parse(word)
    with pytest.raises(SettingsError, match="is not allowed: schedule is constant, multistep"):
        settings_of(f"task=moons schedule={word}")


CONFLICTS = {
    "step:50:0.1": "schedule=step:50:0.1 has no effect with epochs=50: its first step, after epoch 50, is never reached",
    "multistep:80:0.1": "schedule=multistep:80:0.1 has no effect with epochs=50: its first milestone, 80, is never reached",
    "warmup:51": "schedule=warmup:51 does not end within epochs=50: warm up for fewer epochs",
    "warmup:2:step:60:0.1": "schedule=warmup:2:step:60:0.1 has no effect with epochs=50: its first step, after epoch 60",
    "plateau:0.1:3": "schedule=plateau:0.1:3 follows the validation loss, and validation=0 leaves no validation split: give "
    "it a share of the training data, as in validation=0.2",
    "warmup:3:plateau:0.1:3": "schedule=warmup:3:plateau:0.1:3 follows the validation loss",
}


@pytest.mark.parametrize(("word", "answer"), CONFLICTS.items(), ids=CONFLICTS)
def test_what_contradicts_itself_is_said(word: str, answer: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(f"task=moons epochs=50 schedule={word}")
    (only,) = caught.value.mistakes
    assert only.startswith(answer)


# --- plateau --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patience", [0, 1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_a_plateau_is_pytorchs(patience: int, seed: int) -> None:
    """On losses that fall, rise, stand still and fall by less than the threshold."""
    rng = np.random.default_rng(seed)
    losses = 3 * np.exp(-np.arange(60) / 9) + 0.05 * rng.standard_normal(60)
    losses[20:26] = losses[20] * (1 - 3e-5 * np.arange(6))
    losses[40:44] = losses[39]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e3)  # PyTorch leaves out changes below 1e-8
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=patience)
    schedule, state, factors = Plateau(0.5, patience), PlateauState(), set()
    for loss in losses.tolist():
        theirs.step(loss)
        state = schedule.after(state, loss)
        assert 1e3 * state.factor == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        factors.add(state.factor)
    assert len(factors) > 2


PLATEAU = "task=moons n=200 noise=0.4 epochs=40 precision=float64 init=default lr=4 validation=0.3"


@pytest.mark.thinned(3)
@pytest.mark.parametrize("every", ["1", "3", "2steps"])
def test_the_rate_follows_the_validation_loss(fit: Fit, every: str) -> None:
    """A plain PyTorch loop with ReduceLROnPlateau, on the plan's batches, evaluated as often."""
    words = f"{PLATEAU} batch_size=32 schedule=plateau:0.3:1 eval_every={every}"
    chosen = settings_of(f"{words} implementation=torch")
    task, plan = load(chosen, 2), Plan(2)
    start = make_learner(chosen, task, plan).weights()
    model = torch.nn.Sequential(torch.nn.Linear(2, 20), torch.nn.ReLU(), torch.nn.Linear(20, 2)).double()
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), start.values(), strict=True):
            parameter.copy_(torch.from_numpy(value))
    optimizer = torch.optim.SGD(model.parameters(), lr=4.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=1)
    data = {name: tuple(map(torch.tensor, (split.x, split.y))) for name, split in task.splits.items()}
    (x, y), losses, step = data["train"], [], 0
    interval = chosen.eval_every.in_steps(-(-len(x) // 32))
    for order in plan.permutations(0, 40, len(x)):
        for rows in torch.from_numpy(order).split(32):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            step += 1
            if step % interval == 0:
                with torch.no_grad():
                    losses.append(
                        torch.nn.functional.cross_entropy(model(data["validation"][0]), data["validation"][1]).item()
                    )
                scheduler.step(losses[-1])
    assert optimizer.param_groups[0]["lr"] <= 4 * 0.3**2 * 1.01  # it was reduced, more than once
    ends = dict(zip(start, model.parameters(), strict=True))
    theirs = np.concatenate([ends[name].detach().numpy().ravel() for name in sorted(start)])
    begin = np.concatenate([start[name].ravel() for name in sorted(start)])
    for name in ("numpy", "torch", "fused"):
        recorder = fit(f"{words} implementation={name}", seed=2)
        assert norm_gap(final_weights(recorder) - begin, theirs - begin) <= 1e-7, name  # lr=4 lets rounding grow
        np.testing.assert_allclose(recorder.curve("validation_loss")[: len(losses)], losses, rtol=1e-6)


@pytest.mark.parametrize(
    "words",
    ["schedule=warmup:3:plateau:0.5:0 lr=0.5", "schedule=warmup:5steps:plateau:0.1:0 optimizer=adam lr=0.3 hidden=8x8"],
)
def test_a_warm_up_leads_into_a_plateau_on_every_backend(fit: Fit, words: str) -> None:
    words = f"{PLATEAU.replace('lr=4', '')} eval_every=1 {words}"  # at a rate that lets no rounding grow
    runs = [fit(f"{words} implementation={name}", seed=1) for name in ("numpy", "torch", "fused")]
    plain = fit(re.sub(r":plateau:[\d.]+:\d", "", f"{words} implementation=numpy"), seed=1)
    for other in runs[1:]:
        assert norm_gap(final_weights(other), final_weights(runs[0])) <= 1e-10
    assert norm_gap(final_weights(plain), final_weights(runs[0])) > 1e-3


@pytest.mark.thinned(5)
@pytest.mark.parametrize("after", [1, 6, 33, 34, 35, 70])
@pytest.mark.parametrize("implementation", ["numpy", "torch"])
def test_a_plateau_goes_on_from_a_checkpoint(tmp_path: Path, implementation: str, after: int) -> None:
    """To the last bit; from a step right after a reduction, and from within an epoch, too."""
    chosen = settings_of(
        f"{PLATEAU} batch_size=64 schedule=warmup:2:plateau:0.5:1 eval_every=2steps implementation={implementation}"
    )
    task, keep, whole, rest = load(chosen, 1), frozenset({"weights"}), Recorder(), Recorder()
    train([Run(settings=chosen, seed=1, keep=keep)], lambda _: task, whole)
    run = Run(settings=chosen, seed=1, keep=keep, checkpoint=tmp_path / "c", checkpoint_seconds=1e-9)
    with pytest.raises(KeyboardInterrupt):
        train([run], lambda _: task, Keeper(tmp_path / "c", after))
    found = Checkpoint.read(tmp_path / "c", run.identity())
    assert found is not None
    assert found.step > 0
    assert found.plateau is not None
    assert found.plateau.factor < 1 or after < 70
    train([run], lambda _: task, rest)
    assert len(rest.rows) == len(whole.rows) - after // 2
    np.testing.assert_array_equal(final_weights(rest), final_weights(whole))
