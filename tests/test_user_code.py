"""All else equal, whatever the user's code does: the same numbers every way, or a refusal."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import paribus
from paribus.backends.dispatch import resolve, train
from paribus.config.overrides import SettingsError
from paribus.config.user_code import user_defined
from paribus.config.user_copies import pack, unpack
from paribus.records.checkpoint import Checkpoint
from paribus.records.record import Status
from paribus.records.run import Run
from paribus.study.recorder import Recorder
from paribus.tasks import load
from tests.conftest import Recorder as Told
from tests.user_modules import DATA, WORDS, Habits, X, difference, drawn, losses, make, tame

ONE_HABIT = [
    Habits(in_place=True),
    Habits(keeps_inputs=True),
    Habits(torch_noise="always"),
    Habits(numpy_noise="training"),
    Habits(numpy_noise="evaluation"),
    Habits(python_noise="always"),
    Habits(counts="training"),
    Habits(counts="always"),
    Habits(appends="training"),
    Habits(buffer=True),
    Habits(own_generator=True),
    Habits(builds=True),
    Habits(keeps_mean="always"),
    Habits(keeps_mean="evaluation"),
    Habits(scales=True),
    Habits(late=True),
    Habits(late_mean=True),
    Habits(reads_state=True),
    Habits(reads_state=True, late=True),
    Habits(inner="always"),
    Habits(inner="training"),
    Habits(cached=True),
    Habits(once=True),
    Habits(process=True),
    Habits(process_late=True),
    Habits(holds=True, torch_noise="always"),
    Habits(holds=True, numpy_noise="training"),
    Habits(holds=True, python_noise="always"),
]


@pytest.mark.thinned(4)
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("habits", ONE_HABIT, ids=lambda one: str(one).partition("(")[2][:60])
def test_a_habit_changes_no_number(habits: Habits) -> None:
    try:
        assert difference(habits) is None
    except SettingsError as refused:
        assert habits.inner == "always"
        assert "evaluating it changes something outside of the module" in str(refused)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 24))])
def test_random_modules_come_to_the_same_every_way(seed: int) -> None:
    """More are tried by `python -m tests.user_modules 1000`."""
    try:
        assert difference(drawn(random.Random(100 + seed))) is None
    except SettingsError as refused:
        assert "model=net" in str(refused)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_who_changes_while_evaluated_and_diverges_began_again(tmp_path: Path) -> None:
    """There is no last evaluation that would show it."""

    class Diverging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.steps, self.looks = nn.Linear(4, 2), 0, 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.steps += self.training
            self.looks += not self.training and self.steps > 6
            out: torch.Tensor = self.last(x) * (1 + 0.1 * self.looks)
            return out * float("nan") if self.steps > 10 else out

    found = []
    for every in (1, 2):
        study = paribus.train(DATA, model={"net": Diverging}, eval_every=every, out=tmp_path / str(every), **WORDS)
        (run,) = study.record.arms[0].runs
        assert (run.status, run.attempt) == (Status.DIVERGED, 2)
        found.append(study.curves().query("epoch == 2")["test_loss"].tolist())
    assert found[0] == found[1]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_that_begins_again_in_a_worker_is_nobody_elses(tmp_path: Path) -> None:
    """Its first attempt is over while other runs wait for a worker: they are not given its evaluations."""
    arms = {"net": make(Habits(numpy_noise="evaluation")), "tame": tame}
    words = WORDS | {"seeds": 3, "eval_every": 1, "checkpoint_every": 0.02}
    found = []
    for jobs in (1, 2):
        study = paribus.compare(DATA, model=arms, jobs=jobs, out=tmp_path / str(jobs), **words)
        assert {run.attempt for run in study.record.arms[0].runs} == {2}
        assert len(study.curves()) == 2 * 3 * WORDS["epochs"]
        found.append(study.curves()[["arm", "seed", "step", "train_loss", "test_loss"]])
    assert found[0].equals(found[1])


@pytest.mark.parametrize(
    ("make_own", "draw"),
    [
        (lambda: random.Random(7), lambda own: own.random()),
        (lambda: np.random.RandomState(7), lambda own: own.random()),
        (lambda: torch.Generator().manual_seed(7), lambda own: torch.rand(1, generator=own).item()),
    ],
    ids=["python", "numpy", "torch"],
)
def test_a_generator_of_ones_own_is_copied_as_it_stands(make_own: Any, draw: Any) -> None:
    """It is not the global one, which every copy shares."""
    own = make_own()
    packed = pack(lambda: draw(own))
    assert packed is not None
    assert [unpack(packed)() for _ in range(2)] == [draw(make_own())] * 2


class Seldom(nn.Module):
    """Draws from NumPy's generator for one of the examples alone."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and (x[:, 0] == X[0, 0]).any():
            x = x * float(np.random.uniform(2, 3))  # noqa: NPY002
        return self.last(x)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_was_drawn_before_a_checkpoint_is_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it nothing draws, so that the end of the run would not tell."""
    words = {**WORDS, "epochs": 1, "batch_size": 2, "eval_every": "1steps", "checkpoint_every": 1e-9}
    study = paribus.train(DATA, model=Seldom, out=tmp_path / "whole", **words)
    assert study.record.arms[0].runs[0].attempt == 2  # it began again
    assert study.curves()["step"].tolist() == list(range(1, 25))  # with nothing of the first attempt
    whole = losses(study)
    before = Recorder.on_evaluation
    for stop in (6, 12, 18, 23):
        told: list[object] = []

        def dying(self: Recorder, run: Any, row: Any, told: list[object] = told, stop: int = stop) -> None:
            before(self, run, row)
            told.append(row)
            if len(told) == stop:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(Recorder, "on_evaluation", dying)
            with pytest.raises(KeyboardInterrupt):
                paribus.train(DATA, model=Seldom, out=tmp_path / str(stop), **words)
        assert losses(paribus.train(DATA, model=Seldom, out=tmp_path / str(stop), **words)) == whole


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_who_begins_again_takes_no_checkpoint_that_is_still_there(tmp_path: Path) -> None:
    """In another process the driver may write one of the first attempt's while the second begins."""

    class Writer(Told):
        def on_checkpoint(self, run: Run, checkpoint: Checkpoint) -> None:
            checkpoint.write(tmp_path / "c", run.identity())

    words = {"model": user_defined(Seldom), "epochs": 1, "batch_size": 2, "optimizer.lr": 0.1, "eval_every": "1steps"}
    settings = resolve({"task": DATA, **words})
    run = Run(settings=settings, seed=0, keep=frozenset({"weights"}))
    writing = replace(run, checkpoint=tmp_path / "c", checkpoint_seconds=1e-9)
    found = []
    for one, told in ((run, Told()), (writing, Writer())):
        train([one], lambda run: load(run.settings, run.seed), told)
        first, second = told.outcomes
        assert (first.begins_again, second.begins_again) == (True, False)
        assert [row.step for row in told.rows[-24:]] == list(range(1, 25))
        assert second.weights is not None
        found.append(np.concatenate([value.ravel() for value in second.weights.values()]))
    np.testing.assert_array_equal(*found)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_a_function_keeps_is_not_there_for_the_next_seed(tmp_path: Path) -> None:
    both = paribus.train(DATA, model=make(Habits(builds=True)), out=tmp_path / "both", **(WORDS | {"seeds": [0, 1]}))
    one = paribus.train(DATA, model=make(Habits(builds=True)), out=tmp_path / "one", **(WORDS | {"seeds": [1]}))
    assert both.table()["train_loss"].tolist()[1] == one.table()["train_loss"].tolist()[0]


@pytest.mark.parametrize("when", ["evaluation", "always"])
def test_what_counts_outside_while_it_is_evaluated_is_refused(tmp_path: Path, when: str) -> None:
    with pytest.raises(SettingsError, match="evaluating it changes something outside of the module"):
        paribus.train(DATA, model={"net": make(Habits(appends=when))}, out=tmp_path / "s", **WORDS)  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


def test_a_shared_submodule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="gives the same module twice"):
        paribus.train(DATA, model={"net": make(Habits(shares=True))}, out=tmp_path / "s", **WORDS)


def test_the_callers_generators_are_left_alone(tmp_path: Path) -> None:
    model = make(Habits(torch_noise="always", numpy_noise="always", python_noise="always"))
    torch.manual_seed(5)
    np.random.seed(6)  # noqa: NPY002
    random.seed(7)
    expected = (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random())  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(6)  # noqa: NPY002
    random.seed(7)
    paribus.train(DATA, model={"net": model}, out=tmp_path / "s", **WORDS)
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()) == expected  # noqa: NPY002


def test_a_metric_may_write_into_what_it_is_given(tmp_path: Path) -> None:
    def rude(y: np.ndarray, predicted: np.ndarray) -> float:
        y[:] = 0
        predicted[:] = 0
        return float(np.random.rand())  # noqa: NPY002

    def share(y: np.ndarray, predicted: np.ndarray) -> float:
        return float((y == predicted).mean())

    metrics = {"rude": rude, "share": share}
    both = paribus.train(DATA, model=tame, metrics=metrics, eval_every=2, out=tmp_path / "a", **WORDS)
    seldom = paribus.train(DATA, model=tame, metrics=metrics, eval_every=6, out=tmp_path / "b", **WORDS)
    table = both.table()
    assert table["test_share"].tolist() == table["test_accuracy"].tolist()
    assert losses(both, "tame") == losses(seldom, "tame")
    assert table["test_rude"].tolist() == seldom.table()["test_rude"].tolist()
    builtin = paribus.train("moons", metrics=metrics, epochs=4, eval_every=2, out=tmp_path / "c", seeds=2)
    assert builtin.table()["test_share"].tolist() == builtin.table()["test_accuracy"].tolist()


@pytest.mark.parametrize("counts", [False, True])
def test_what_cannot_be_copied_may_not_count_while_it_is_evaluated(tmp_path: Path, *, counts: bool) -> None:
    class Locked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.held = nn.Linear(4, 2), {"lock": threading.Lock(), "seen": [0]}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.held["seen"][0] += counts  # type: ignore[index]
            out: torch.Tensor = self.last(x)
            return out

    def train() -> paribus.Study:
        return paribus.train(DATA, model={"net": Locked}, eval_every=1, out=tmp_path / "s", **WORDS)

    if counts:
        with pytest.raises(SettingsError, match="it cannot be copied: count only while"):
            train()
    else:
        assert train().record.arms[0].runs[0].attempt == 1


REFUSED = {
    "a closure": (lambda: nn.Linear(4, 2), torch.optim.LBFGS, "needs a closure"),
    "sparse gradients": (lambda: nn.Linear(4, 2), torch.optim.SparseAdam, "takes sparse gradients alone"),
    "frozen": (
        lambda: nn.Linear(4, 2).requires_grad_(requires_grad=False),
        None,
        "no parameter of the module requires a gradient",
    ),
    "no parameters": (lambda: nn.Identity(), None, "has no parameters|cannot be trained"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_take_a_step_is_refused_before_training(tmp_path: Path, name: str) -> None:
    model, optimizer, told = REFUSED[name]
    with pytest.raises(SettingsError, match=told):
        paribus.train(DATA, model={"net": model}, optimizer=optimizer, out=tmp_path / "s", **{**WORDS, "lr": 0.1})
    assert not (tmp_path / "s").exists()


# --- what is kept where nobody looks at first -------------------------------------------------------------------------


class Halving(torch.optim.SGD):
    """Keeps a count that its state dictionary does not have."""

    _taken = 0

    def step(self, closure: Any = None) -> Any:
        self._taken += 1
        if self._taken % 5 == 0:
            with torch.no_grad():
                for group in self.param_groups:
                    for parameter in group["params"]:
                        parameter.mul_(0.5)
        return super().step(closure)


def with_a_hook(parameters: Any) -> torch.optim.Optimizer:
    """Counts in the closure of a hook."""
    optimizer, taken = torch.optim.SGD(parameters, lr=0.1), [0]

    def hook(*_: Any) -> None:
        taken[0] += 1
        if taken[0] % 5 == 0:
            with torch.no_grad():
                for parameter in optimizer.param_groups[0]["params"]:
                    parameter.mul_(0.5)

    optimizer.register_step_post_hook(hook)
    return optimizer


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "optimizer", [lambda parameters: Halving(parameters, lr=0.1), with_a_hook], ids=["own", "hook"]
)
def test_what_an_optimizer_keeps_to_itself_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: Any
) -> None:
    """A run that is killed comes to the same end: it begins again."""
    words = {**WORDS, "eval_every": 1, "checkpoint_every": 1e-9, "model": tame, "optimizer": {"halving": optimizer}}
    del words["lr"]
    whole = losses(paribus.train(DATA, out=tmp_path / "whole", **words))
    before, told = Recorder.on_evaluation, [0]

    def dying(self: Recorder, run: Any, row: Any) -> None:
        before(self, run, row)
        told[0] += 1
        if told[0] == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "on_evaluation", dying)
        with pytest.raises(KeyboardInterrupt):
            paribus.train(DATA, out=tmp_path / "killed", **words)
    assert losses(paribus.train(DATA, out=tmp_path / "killed", **words)) == whole
