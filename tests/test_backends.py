"""The contract of backends: one registry, mixed runs, refusals that each backend makes by itself."""

from __future__ import annotations

import numpy as np
import pytest

from paribus.backends.base import BACKENDS, Backend, register
from paribus.backends.dispatch import choose, resolve, train
from paribus.config.conflicts import OPTIONAL, beyond
from paribus.config.models import MODELS
from paribus.config.optimizers import OPTIMIZERS
from paribus.config.overrides import SettingsError, build
from paribus.config.settings import Settings
from paribus.config.values import Loss
from paribus.records.record import Outcome, Status
from paribus.records.run import Callback, Run
from paribus.tasks import Task, load
from tests.conftest import Recorder, settings_of

TASK_OF = {"mlp": "moons", "cnn": "digits", "rnn": "palindrome", "lstm": "palindrome", "gru": "palindrome"}
SMALL = {
    "cnn": {"model.width": 0.125},
    "rnn": {"model.hidden": 3},
    "lstm": {"model.hidden": 3},
    "gru": {"model.hidden": 3},
}


def small(model: str, **more: object) -> dict[str, object]:
    """A run of a moment."""
    task = TASK_OF[model]
    length = {"task.length": 3} if task == "palindrome" else {}
    steps = {"steps_per_epoch": 1, "sampler": "replacement", "batch_size": 8, "epochs": 1, "eval_every": 1}
    return {"task": task, "model": model, **length, **SMALL.get(model, {}), **steps, **more}


@pytest.mark.parametrize(
    "order", [("fused", "torch", "numpy"), ("torch", "numpy", "fused"), ("numpy", "fused", "torch")]
)
def test_runs_of_several_backends_are_trained_together(order: tuple[str, ...]) -> None:
    """Each by its own, with the outcomes in the order of the runs, as if each were alone."""
    settings = [settings_of(f"task=moons epochs=2 implementation={name}") for name in order]
    runs = [Run(settings=one, seed=seed, keep=frozenset({"weights"})) for seed, one in enumerate(settings)]
    together = train(runs, lambda run: load(run.settings, run.seed), Recorder())
    assert [outcome.status for outcome in together] == [Status.DONE] * 3
    for run, outcome in zip(runs, together, strict=True):
        (alone,) = train([run], lambda run: load(run.settings, run.seed), Recorder())
        for name, value in (alone.weights or {}).items():
            np.testing.assert_array_equal((outcome.weights or {})[name], value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", MODELS)
def test_a_backend_trains_every_model_that_it_claims_and_refuses_the_others(backend: str, model: str) -> None:
    values = small(model, implementation=backend)
    mine = BACKENDS[backend].models
    if mine is not None and model not in mine:
        with pytest.raises(SettingsError, match=f"implementation={backend} has no {model}: it has "):
            resolve(values)
        return
    settings = resolve(values)
    (outcome,) = train([Run(settings=settings, seed=0)], lambda _: load(settings, 0), Recorder())
    assert outcome.status is Status.DONE, outcome.error


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_backend_trains_with_every_optimizer_that_it_claims(backend: str, optimizer: str) -> None:
    mine = BACKENDS[backend].optimizers
    values = small("mlp", implementation=backend, optimizer=optimizer, epochs=3, **{"model.hidden": "5x5x5"})
    if mine is not None and optimizer not in mine:
        with pytest.raises(SettingsError, match=f"implementation={backend} has no {optimizer}: it has "):
            resolve(values)
        return
    settings = resolve(values)
    (outcome,) = train([Run(settings=settings, seed=0)], lambda _: load(settings, 0), Recorder())
    assert outcome.status is Status.DONE, outcome.error


LOSSES = {
    "cross_entropy": "moons", "binary": "circles", "mse": "sine", "mae": "sine", "huber": "friedman", "quantile:0.9": "diabetes",
}  # fmt: skip


@pytest.mark.parametrize("backend", [name for name, one in BACKENDS.items() if one.models != ()])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", ["mlp", "rnn"])
def test_a_backend_minimises_every_loss_that_it_claims(backend: str, loss: str, model: str) -> None:
    task = LOSSES[loss] if model == "mlp" or loss != "cross_entropy" else "palindrome"
    values = small(model, implementation=backend, loss=loss, epochs=2)
    values |= {"task": task}
    values = {name: value for name, value in values.items() if name != "task.length" or task == "palindrome"}
    one = BACKENDS[backend]
    if loss != "cross_entropy" and ("loss" not in one.features or one.refusals(build(values))):
        with pytest.raises(SettingsError, match=rf"loss={loss} has no effect with implementation={backend}: "):
            resolve(values)
        assert resolve({**values, "implementation": "auto"}).implementation != backend
        return
    settings = resolve(values)
    (outcome,) = train([Run(settings=settings, seed=0)], lambda _: load(settings, 0), Recorder())
    assert outcome.status is Status.DONE, outcome.error


def test_every_kind_of_loss_is_tried_here() -> None:
    assert {loss.partition(":")[0] for loss in LOSSES} == {*Loss.OF_CLASSES, *Loss.OF_NUMBERS}


UNCOMMON = {
    "loader": "dataloader", "precision": "bf16", "label_smoothing": 0.1, "optimizer.decay": "weights",
    "loss": "mse", "class_weight": "balanced", "patience": 2, "optimizer.decoupled": True, "eval_train": 50, "flip": True, "crop": 1, "cutout": 2, "memory": "channels_last",
    "compile": True, "device": "cuda", "threads": 2,
}  # fmt: skip


def test_every_optional_setting_has_a_value_here() -> None:
    assert UNCOMMON.keys() == OPTIONAL.keys()
    assert all(beyond(name, value) for name, value in UNCOMMON.items())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_setting_is_refused_by_who_lacks_it_and_auto_finds_who_has_it(backend: str, name: str) -> None:
    model = "cnn" if name in ("flip", "crop", "cutout", "memory") else "mlp"
    decay = {"optimizer.weight_decay": 0.1} if name.startswith("optimizer.") else {}
    layers = {"model.hidden": "5x5"} if model == "mlp" else {}
    values = small(model, **{name: UNCOMMON[name], **decay, **layers})
    values |= {"task": "sine"} if name == "loss" else {"validation": 0.2} if name == "patience" else {}
    refused = BACKENDS[backend].refusals(build(values))
    short = name.rpartition(".")[2]
    assert any(line.startswith(f"{short}=") for line in refused) == (name not in BACKENDS[backend].features)
    assert name in BACKENDS[resolve(values).implementation].features


def test_auto_takes_the_first_that_refuses_nothing() -> None:
    """Another backend, registered by somebody else, takes part as those that come with Paribus do."""

    class Picky(Backend):
        name = "picky"
        preference = 0
        models = ("mlp",)

        def train(self, runs: object, load: object, callback: Callback, *, workers: int) -> list[Outcome]:
            return []

        def estimate(self, settings: Settings, task: Task) -> float:
            return 0.0

    before = dict(BACKENDS)
    try:
        register(Picky())
        assert choose(build({"task": "moons"}))[0].implementation == "picky"
        assert choose(build({"task": "digits", "model": "cnn"}))[0].implementation == "torch"
        with pytest.raises(SettingsError, match="implementation=picky has no cnn: it has mlp"):
            resolve({"task": "digits", "model": "cnn", "implementation": "picky"})
    finally:
        BACKENDS.clear()
        BACKENDS.update(before)
    with pytest.raises(SettingsError, match="implementation=picky is not allowed: "):
        resolve({"task": "moons", "implementation": "picky"})
