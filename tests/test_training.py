"""The loop: one trajectory for every implementation, and nothing that measuring changes."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from paribus.backends import stepwise
from paribus.backends.dispatch import train
from paribus.backends.numpy_backend import NumpyBackend
from paribus.backends.torch import TorchBackend
from paribus.config.optimizers import OPTIMIZERS
from paribus.plan import Plan
from paribus.records.record import Status
from paribus.records.run import Run
from paribus.tasks import load
from paribus.training import sampling
from tests.conftest import Recorder, drifts, final_weights, largest_drift, settings_of
from tests.helpers import make_learner

Fit = Callable[..., Recorder]
IMPLEMENTATIONS = ("numpy", "torch", "fused")

SAME = [
    "task=moons epochs=40 precision=float64",
    "task=moons epochs=40 precision=float64 init=default momentum=0.9 nesterov=true weight_decay=0.01",
    "task=circles epochs=20 precision=float64 init=xavier_normal dropout=0.3 hidden=9x5 momentum=0.5 dampening=0.2",
    "task=digits epochs=3 precision=float64 hidden=64x64x64x64 lr=0.05 dropout=0.2",
    "task=digits epochs=2 precision=float64 hidden=none batch_size=1 lr=0.01 eval_every=500steps",
    "task=blobs epochs=30 precision=float64 hidden=1 sampler=replacement steps_per_epoch=1 init=kaiming_uniform",
    "task=moons epochs=30 precision=float64 batch_size=5000 init=orthogonal validation=0.2",
    "task=moons epochs=10 precision=float64 init=default loader=dataloader dropout=0.2 schedule=onecycle",
    "task=digits epochs=4 precision=float64 clip=0.5 momentum=0.9 schedule=multistep:1+3:0.1",
    "task=moons epochs=9 precision=float64 init=default schedule=warmup:10steps:cosine clip=0.1",
]


def variants(words: str) -> list[str]:
    """The same run by every implementation; a loader is torch's alone."""
    plain = words.replace("loader=dataloader ", "")
    return [f"{plain} implementation=numpy", f"{words} implementation=torch", f"{plain} implementation=fused"]


@pytest.mark.parametrize("words", SAME)
def test_all_implementations_are_one_trajectory(fit: Fit, words: str) -> None:
    one, *others = (fit(variant, seed=3) for variant in variants(words))
    settings = settings_of(variants(words)[0])
    learner = make_learner(settings, load(settings, 3), Plan(3))
    start = np.concatenate([value.ravel() for _, value in sorted(learner.weights().items())])
    update = final_weights(one) - start
    assert np.linalg.norm(update) > 1e-6
    for other in others:
        assert np.linalg.norm(update - (final_weights(other) - start)) <= 1e-11 * np.linalg.norm(update)
        for metric in one.rows[0].metrics:
            np.testing.assert_allclose(one.curve(metric), other.curve(metric), atol=1e-12, rtol=0, err_msg=metric)
        assert [row.step for row in one.rows] == [row.step for row in other.rows]


@pytest.mark.parametrize("word", ["onecycle", "warmup:9steps", "multistep:2+4:0.1", "constant"])
def test_the_loop_is_a_plain_pytorch_loop_with_pytorchs_schedule(fit: Fit, word: str) -> None:
    """An independent loop: PyTorch's modules, optimizer and scheduler, on the plan's batches."""
    recorder = fit(
        f"task=moons epochs=6 precision=float64 init=default lr=0.3 schedule={word} implementation=numpy", seed=2
    )
    settings = settings_of("task=moons epochs=6 init=default precision=float64 implementation=numpy")
    task, plan = load(settings, 2), Plan(2)
    model = torch.nn.Sequential(torch.nn.Linear(2, 20), torch.nn.ReLU(), torch.nn.Linear(20, 2)).double()
    start = make_learner(settings, task, plan).weights()
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), start.values(), strict=True):
            parameter.copy_(torch.from_numpy(value))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    schedulers = torch.optim.lr_scheduler
    by_step = {
        "onecycle": lambda: schedulers.OneCycleLR(optimizer, 0.3, total_steps=6 * 7, cycle_momentum=False),
        "warmup:9steps": lambda: schedulers.LinearLR(optimizer, start_factor=1 / 9, total_iters=8),
    }.get(word, lambda: None)()
    by_epoch = schedulers.MultiStepLR(optimizer, [2, 4], gamma=0.1) if word.startswith("multi") else None
    x, y = torch.from_numpy(task.train.x.copy()), torch.from_numpy(task.train.y.copy())
    for order in plan.permutations(0, 6, 800):
        for rows in torch.from_numpy(order).split(128):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            if by_step:
                by_step.step()
        if by_epoch:
            by_epoch.step()
    ends = dict(zip(start, model.parameters(), strict=True))
    theirs = np.concatenate([ends[name].detach().numpy().ravel() for name in sorted(start)])
    begin = np.concatenate([start[name].ravel() for name in sorted(start)])
    assert np.linalg.norm(final_weights(recorder) - theirs) <= 1e-11 * np.linalg.norm(theirs - begin)


@pytest.mark.thinned(4)
@pytest.mark.parametrize("task", ["moons", "circles", "blobs"])
@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name != "lion"])
def test_curves_part_no_faster_than_rounding_makes_them(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, optimizer: str, task: str
) -> None:
    """Within 10 times the drift that rounding causes in the same test, in the initial values or at every step, the
    largest of six ways: a run takes up some directions and damps others. (Lion moves by the sign of a number alone: a
    last bit that turns one is a whole step, on one backend or another; `test_optimizers` has its trajectory.)"""
    hidden = "hidden=20x20" if optimizer == "muon" else ""
    words = f"task={task} optimizer={optimizer} {hidden} epochs=150 precision=float64"
    one, *others = (fit(f"{words} implementation={name}", seed=1) for name in IMPLEMENTATIONS)
    again = lambda: fit(f"{words} implementation=numpy", seed=1)  # noqa: E731
    moved, ordered = drifts(monkeypatch, stepwise, again, again)
    assert not any(np.array_equal(final_weights(one), final_weights(run)) for run in (*moved, *ordered))
    loss = np.array(one.curve("train_loss"))
    drift = largest_drift(lambda run: np.array(run.curve("train_loss")), (one, [*moved, *ordered]))
    for other in others:
        assert np.abs(np.array(other.curve("train_loss")) - loss).max() <= 10 * drift


@pytest.mark.parametrize("words", SAME[:2])
def test_float32_agrees_to_its_own_rounding(fit: Fit, words: str) -> None:
    words = words.replace("float64", "float32")
    one, *others = (fit(f"{words} implementation={name}", seed=3) for name in IMPLEMENTATIONS)
    assert final_weights(one).dtype == np.float32
    for other in others:
        np.testing.assert_allclose(one.curve("train_loss"), other.curve("train_loss"), atol=3e-6, rtol=0)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_how_often_it_is_evaluated_changes_nothing(fit: Fit, implementation: str) -> None:
    words = f"task=moons epochs=20 init=default dropout=0.2 implementation={implementation}"
    often, seldom, steps = (fit(f"{words} eval_every={every}") for every in ("1", "10", "35steps"))
    by_step = {row.step: row.metrics for row in often.rows}
    for row in (*seldom.rows, *steps.rows):
        assert by_step[row.step] == row.metrics
    assert (final_weights(often) == final_weights(seldom)).all()
    assert [row.epoch for row in seldom.rows] == [10, 20]
    assert [row.step for row in steps.rows] == [35, 70, 105, 140]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_what_ran_before_changes_nothing(fit: Fit, implementation: str) -> None:
    words = f"task=moons epochs=5 init=default dropout=0.2 implementation={implementation}"
    alone = fit(words, seed=7)
    settings, among = settings_of(words), Recorder()
    train(
        [Run(settings=settings, seed=seed, keep=frozenset({"weights"})) for seed in (1, 7, 2)],
        lambda _: load(settings, 0),
        among,
    )
    rows = len(alone.rows)
    assert [row.metrics for row in alone.rows] == [row.metrics for row in among.rows[rows : 2 * rows]]


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "torch loader=dataloader"])
def test_no_global_generator_is_touched(fit: Fit, implementation: str) -> None:
    import rich.style  # noqa: F401 (scikit-learn imports it, and it draws as it is imported: paribus.api sees to that)

    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    torch.set_num_threads(2)
    fit(f"task=moons epochs=2 dropout=0.5 sampler=replacement init=orthogonal implementation={implementation}")
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    assert before == after
    assert torch.get_num_threads() == 2


def test_threads_are_those_asked_for_inside_and_those_before_it_after() -> None:
    from threadpoolctl import threadpool_info

    torch.set_num_threads(2)
    with TorchBackend().threads(1):
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_hidden_test_split_is_not_looked_at(implementation: str) -> None:
    settings = settings_of(f"task=moons validation=0.2 epochs=2 init=default implementation={implementation}")
    told = Recorder()
    keep = frozenset({"predictions"})
    train([Run(settings=settings, seed=0, keep=keep, hidden_test=True)], lambda _: load(settings, 0), told)
    splits = {name.partition("_")[0] for row in told.rows for name in row.metrics}
    assert splits == {"train", "validation"}
    assert told.outcomes[0].predictions is None
    assert told.outcomes[0].boundary is None


def test_seed_0_is_a_seed(fit: Fit) -> None:
    words = "task=moons epochs=2 init=default"
    assert fit(words, seed=0).curve("train_loss") == fit(words, seed=0).curve("train_loss")
    assert fit(words, seed=0).curve("train_loss") != fit(words, seed=1).curve("train_loss")


def test_no_epochs_is_one_evaluation(fit: Fit) -> None:
    recorder = fit("task=moons epochs=0 init=default")
    assert [(row.step, row.epoch) for row in recorder.rows] == [(0, 0)]
    assert recorder.outcomes[0].status is Status.DONE


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("words", "epoch", "rows"), [("lr=1e30", 0, 0), ("lr=100 momentum=2", None, None)])
def test_a_loss_that_is_not_finite_ends_the_run(
    fit: Fit, implementation: str, words: str, epoch: int | None, rows: int | None
) -> None:
    recorder = fit(f"task=moons epochs=900 eval_every=1 init=default {words} implementation={implementation}")
    (outcome,) = recorder.outcomes
    assert outcome.status is Status.DIVERGED
    assert outcome.error is not None
    assert outcome.error.startswith(f"in epoch {outcome.epochs + 1}: ")
    assert len(recorder.rows) == outcome.epochs
    assert np.isfinite([list(row.metrics.values()) for row in recorder.rows]).all()
    if epoch is not None:
        assert (outcome.epochs, len(recorder.rows)) == (epoch, rows)
    else:
        assert 0 < outcome.epochs < 900


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_divergence_is_seen_between_evaluations(fit: Fit, implementation: str) -> None:
    words = f"task=moons epochs=900 eval_every=900 init=default lr=100 momentum=2 implementation={implementation}"
    (outcome,) = fit(words).outcomes
    assert outcome.status is Status.DIVERGED
    assert 0 < outcome.epochs < 800
    assert "a loss by step" in str(outcome.error)


def test_an_exception_ends_its_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, recorder = settings_of("task=moons epochs=3 implementation=numpy"), Recorder()
    made = NumpyBackend.learner
    calls = iter([made, None, made])

    def sometimes(*arguments: object, **named: object) -> object:
        make = next(calls)
        if make is None:
            raise MemoryError("no room")
        return make(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(NumpyBackend, "learner", sometimes)
    train([Run(settings=settings, seed=seed) for seed in (0, 1, 2)], lambda _: load(settings, 0), recorder)
    assert [outcome.status for outcome in recorder.outcomes] == ["done", "failed", "done"]
    assert str(recorder.outcomes[1].error).startswith("MemoryError: no room (")


def test_what_is_kept(fit: Fit) -> None:
    outcome = fit("task=moons epochs=2", keep=("predictions",)).outcomes[0]
    assert outcome.weights is None
    assert outcome.predictions is not None
    assert outcome.predictions.shape == (200,)
    assert outcome.boundary is not None
    assert outcome.boundary.classes.shape == (120, 120)
    assert fit("task=digits epochs=1 hidden=none").outcomes[0].boundary is None


class TestSampling:
    def test_an_epoch_takes_each_example_once(self) -> None:
        settings = settings_of("task=moons epochs=3 batch_size=128")
        for batches in sampling.epochs(settings, Plan(0), 800):
            assert [len(batch) for batch in batches] == [128] * 6 + [32]
            assert (np.sort(np.concatenate(batches)) == np.arange(800)).all()

    def test_batch_sizes_cut_the_same_order(self) -> None:
        orders = [
            np.concatenate(next(sampling.epochs(settings_of(f"task=moons batch_size={size}"), Plan(0), 800)))
            for size in (1, 32, 5000)
        ]
        assert (orders[0] == orders[1]).all()
        assert (orders[0] == orders[2]).all()

    def test_one_step_is_the_first_batch(self) -> None:
        one = settings_of("task=moons steps_per_epoch=1 epochs=2")
        everything = settings_of("task=moons epochs=2")
        for short, whole in zip(
            sampling.epochs(one, Plan(0), 800), sampling.epochs(everything, Plan(0), 800), strict=True
        ):
            assert len(short) == 1
            assert (short[0] == whole[0]).all()

    def test_repeats_are_repeats(self) -> None:
        settings = settings_of("task=moons sampler=replacement epochs=2")
        first, second = sampling.epochs(settings, Plan(0), 800)
        assert [len(batch) for batch in first] == [128] * 6 + [32]
        drawn = np.concatenate(first)
        assert 0.55 < len(np.unique(drawn)) / 800 < 0.72  # 1 - 1/e = 0.632
        assert (drawn != np.concatenate(second)).any()

    @pytest.mark.parametrize("sampler", ["shuffle", "replacement"])
    def test_chunks_do_not_show(self, monkeypatch: pytest.MonkeyPatch, sampler: str) -> None:
        settings = settings_of(f"task=moons epochs=7 batch_size=100 sampler={sampler}")
        whole = [np.concatenate(batches) for batches in sampling.epochs(settings, Plan(0), 800)]
        monkeypatch.setattr(sampling, "_EXAMPLES_AT_ONCE", 1700)
        parts = [np.concatenate(batches) for batches in sampling.epochs(settings, Plan(0), 800)]
        assert np.array_equal(whole, parts)

    def test_more_steps_than_there_are(self) -> None:
        words = "task=moons steps_per_epoch=8"
        assert "800 training examples in batches of 128 make 7" in str(sampling.mistake(settings_of(words), 800))
        assert sampling.mistake(settings_of(f"{words} sampler=replacement"), 800) is None


def test_training_imports_neither_dynamo_nor_scikit_learn() -> None:
    """Each takes a second, as long as PyTorch itself."""
    code = """
import sys
from tests.conftest import Recorder, settings_of
from paribus.tasks import load
from paribus.backends.dispatch import train
from paribus.records.run import Run
settings = settings_of("task=moons epochs=1 implementation=torch")
recorder = Recorder()
train([Run(settings, 0)], lambda _: load(settings, 0), recorder)
assert recorder.outcomes[0].status == "done", recorder.outcomes
print(*[name for name in ("torch._dynamo", "sympy", "sklearn", "pandas", "matplotlib") if name in sys.modules])
"""
    load(settings_of("task=moons"), 0)  # made by now, as by any earlier command
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
