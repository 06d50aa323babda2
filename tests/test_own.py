"""The user's own data, modules, optimizers and metrics: paired as the built-in ones are, and refused in plain words."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_weights
from sklearn.metrics import f1_score, log_loss, precision_score
from torch import nn
from torch.nn.functional import cross_entropy

import paribus
from paribus.backends.torch import TorchBackend
from paribus.config.overrides import SettingsError
from paribus.config.settings import Settings
from paribus.config.user_code import code_fingerprint, user_defined
from paribus.findings.findings import Findings
from paribus.plan import Plan
from paribus.records.metrics import METERS
from paribus.study.store import Store, StoreError
from paribus.study.toml import as_toml
from paribus.tasks.task import Task, load
from tests.conftest import settings_of
from tests.helpers import assert_same_curves

ROOT = Path(__file__).resolve().parent.parent


def arrays(n: int = 61, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 3))
    return x, (x[:, 0] + 0.3 * generator.normal(size=n) > 0).astype(int)


def noisy() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.4), nn.Linear(6, 2))


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))


TASK = paribus.data(*arrays(), name="mine")
SMALL: dict[str, Any] = {"epochs": 3, "batch_size": 16, "lr": 0.1, "test_share": 0.25}


def test_the_readmes_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    (example,) = [block for block in blocks if "paribus.data(" in block]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    exec(example, names)
    study = names["study"]
    assert [arm.name for arm in study.record.arms] == ["model=plain", "model=dropout", "model=batch_norm"]
    assert (study.table()["status"] == "done").all()
    assert study.table()["test_accuracy"].mean() > 0.93
    assert {"test_recall", "train_recall"} <= set(study.table().columns)


# --- pairing ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_arms_that_differ_in_name_alone_are_one(tmp_path: Path) -> None:
    study = paribus.compare(
        TASK, model={"a": noisy, "b": noisy}, seeds=2, out=tmp_path / "s", keep=["weights"], **SMALL
    )
    a, b = study.record.arms
    for one, other in zip(a.runs, b.runs, strict=True):
        for name in one.curve:
            if not name.endswith("_seconds") and name not in METERS:
                np.testing.assert_array_equal(one.curve[name], other.curve[name])
    assert not np.array_equal(a.runs[0].curve["test_loss"], a.runs[1].curve["test_loss"])
    found = Findings.of(study.record).primary
    assert found[0].mean == 0
    # alone, and in another process
    alone = paribus.train(TASK, model={"b": noisy}, seeds=[1], out=tmp_path / "t", **SMALL)
    np.testing.assert_array_equal(alone.record.arms[0].runs[0].curve["test_loss"], b.runs[1].curve["test_loss"])
    other = paribus.compare(TASK, model={"a": noisy, "b": noisy}, seeds=2, jobs=2, out=tmp_path / "u", **SMALL)
    assert_same_curves(other.record, study.record)


def test_modules_that_draw_alike_begin_alike(tmp_path: Path) -> None:
    study = paribus.compare(
        TASK, model=[plain, noisy], seeds=1, keep=["weights"], out=tmp_path / "s", **{**SMALL, "epochs": 0}
    )
    store = Store.open(study.folder)
    begun = [load_weights(store.artifact(f"model={name}", 0, "weights") or b"") for name in ("plain", "noisy")]
    store.close()
    np.testing.assert_array_equal(begun[0]["0.weight"], begun[1]["0.weight"])
    np.testing.assert_array_equal(begun[0]["2.weight"], begun[1]["4.weight"])
    assert begun[1]["1.running_var"].tolist() == [1] * 6


def test_global_random_state_is_neither_read_nor_changed(tmp_path: Path) -> None:
    def drawing() -> nn.Module:
        module = plain()
        with torch.no_grad():
            module[0].bias[0] = float(np.random.rand()) + random.random()  # type: ignore[index, operator]  # noqa: NPY002
        return module

    studies = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index, union-attr]  # noqa: NPY002
        studies.append(paribus.train(TASK, model={"d": drawing}, seeds=2, out=tmp_path / str(seed), **SMALL))
        assert torch.equal(torch.get_rng_state(), before[0])
        np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]  # noqa: NPY002
        assert random.getstate() == before[2]
    assert_same_curves(studies[0].record, studies[1].record)


DOORS = """
import random

import numpy as np
import torch

import paribus


def states():
    return random.getstate(), *(str(part) for part in np.random.get_state()), torch.get_rng_state().tolist()


if __name__ == "__main__":
    before = states()
    for task in ("moons", "digits"):
        study = paribus.compare(task, seeds=2, lr=[0.01, 0.1], epochs=1, implementation=["numpy", "torch"])
        study.table(), study.curves(), study.differences(), study.warnings, study.plot(), study._repr_html_()
        print(study)
        paribus.open(study.folder)
        assert states() == before
"""


def test_what_is_imported_late_draws_nothing_of_the_callers(tmp_path: Path) -> None:
    """In a process of its own: a library is imported once."""
    (tmp_path / "doors.py").write_text(DOORS, encoding="utf-8")
    words = [sys.executable, "doors.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_module_is_trained_as_a_loop_written_apart_trains_it(tmp_path: Path) -> None:
    """Epochs, batches, schedule, clipping, evaluation mode, running statistics: against PyTorch alone."""
    words = (
        "sampler=shuffle batch_size=16 epochs=4 lr=0.2 momentum=0.9 schedule=multistep:2:0.1 clip=0.5 precision=float64"
    )
    settings = {key: value for key, _, value in (word.partition("=") for word in words.split())}
    study = paribus.train(
        TASK, model={"noisy": noisy}, optimizer="sgd", seeds=[5], out=tmp_path / "s", standardise=True, **settings
    )
    task = load(settings_of("task=moons").model_copy(update={"task": study_task(standardise=True)}), 5)
    plan = Plan(5)
    torch.manual_seed(plan.generator_states(0, 1)[0])
    module = noisy().double()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.2, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2], 0.1)
    x, y = torch.from_numpy(task.train.x).double(), torch.from_numpy(task.train.y.copy())
    step, losses = 0, []
    for epoch in range(4):
        for rows in torch.from_numpy(plan.permutations(epoch, 1, len(y))[0]).split(16):
            step += 1
            torch.manual_seed(plan.generator_states(step, 1)[0])
            optimizer.zero_grad()
            cross_entropy(module(x[rows]), y[rows]).backward()
            nn.utils.clip_grad_norm_(module.parameters(), 0.5)
            optimizer.step()
        scheduler.step()
        module.eval()
        with torch.no_grad():
            losses.append(
                cross_entropy(
                    module(torch.from_numpy(task.test.x).double()), torch.from_numpy(task.test.y.copy())
                ).item()
            )
        module.train()
    np.testing.assert_allclose(study.record.arms[0].runs[0].curve["test_loss"], losses, rtol=1e-12)


def study_task(**settings: Any) -> Any:
    from paribus.config.tasks import UserData

    return UserData(name="mine", arrays=TASK, **settings)


# --- optimizers ------------------------------------------------------------------------------------------------------


def test_an_optimizer_of_ones_own_takes_rates_schedules_and_tuning(tmp_path: Path) -> None:
    common: dict[str, Any] = {"epochs": 4, "schedule": "multistep:2:0.1", "seeds": 1, "batch_size": 16}
    mine = paribus.compare(TASK, optimizer=torch.optim.SGD, lr=[0.1, 0.01], out=tmp_path / "a", **common)
    theirs = paribus.compare(
        TASK, optimizer="sgd", lr=[0.1, 0.01], implementation="torch", out=tmp_path / "b", **common
    )
    assert [arm.name for arm in mine.record.arms] == [arm.name for arm in theirs.record.arms] == ["lr=0.1", "lr=0.01"]
    assert_same_curves(mine.record, theirs.record)

    def groups(parameters: Any) -> torch.optim.Optimizer:
        first, *others = parameters
        return torch.optim.SGD([{"params": [first], "lr": 0.0}, {"params": others, "lr": 0.1}])

    study = paribus.train(TASK, optimizer={"frozen": groups}, keep=["weights"], out=tmp_path / "c", **common)
    still = paribus.train(
        TASK,
        optimizer={"frozen": groups},
        keep=["weights"],
        out=tmp_path / "d",
        **{**common, "epochs": 0, "schedule": "constant"},
    )
    stores = [Store.open(one.folder) for one in (study, still)]
    ended, begun = (load_weights(store.artifact("", 0, "weights") or b"") for store in stores)
    for store in stores:
        store.close()
    np.testing.assert_array_equal(ended["linears.0.weight"], begun["linears.0.weight"])
    assert not np.array_equal(ended["linears.1.weight"], begun["linears.1.weight"])

    tuned = paribus.compare(
        TASK,
        model=[plain, noisy],
        optimizer=torch.optim.NAdam,
        tune={"lr": [1e-9, 0.02]},
        tune_seeds=1,
        seeds=2,
        epochs=10,
        out=tmp_path / "e",
        batch_size=16,
    )
    assert set(tuned.tuning().query("chosen")["optimizer.lr"]) == {0.02}
    assert tuned.shared is not None
    assert len(tuned.shared.table()) == 4


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_metrics_are_scikit_learns_on_every_split(tmp_path: Path) -> None:
    def surprise(classes: Any, probabilities: Any) -> float:
        return log_loss(classes, probabilities)

    study = paribus.compare(
        TASK,
        lr=[0.1, 1.0],
        seeds=2,
        epochs=3,
        eval_every=1,
        validation=0.2,
        metric="test_f1",
        keep=["predictions"],
        metrics={"f1": f1_score, "surprise": surprise, "hopeless": lambda y, predicted: float("nan")},
        out=tmp_path / "s",
    )
    table = study.table()
    assert (table["status"] == "done").all()
    task = load(settings_of("task=moons").model_copy(update={"task": study_task()}), 0)
    run = study.record.arms[0].runs[1]
    store = Store.open(study.folder)
    content = store.artifact("lr=0.1", 1, "predictions")
    store.close()
    from paribus.study.packing import unpack

    assert run.final("test_f1") == f1_score(task.test.y, unpack(content or b"")["predictions"])
    np.testing.assert_allclose(run.curve["validation_surprise"], run.curve["validation_loss"], rtol=1e-5)
    assert run.final("test_hopeless") is None
    assert next(iter(study.differences()["metric"])) == "test_f1"
    assert study.differences("test_f1")["verdict"].notna().all()
    assert "f1" in str(study)
    assert study.plot() is not None


# --- what is refused before anything is trained ----------------------------------------------------------------------


def broken() -> nn.Module:
    raise RuntimeError("no such file")


SHARED = plain()


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        return self.layer(x), 0


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "three logits": ({"model": {"m": lambda: nn.Linear(3, 3)}}, "give an output of shape (16, 3), it has to be (16, 2)"),
    "wrong inputs": ({"model": {"m": lambda: nn.Linear(4, 2)}}, "model=m cannot be trained on a batch of 16 (batch_size=16, 36 examples): RuntimeError"),
    "no module": ({"model": {"m": lambda: 3}}, "its function gave int, not an nn.Module"),
    "one module for all": ({"model": {"m": lambda: SHARED}}, "model=m gives the same module twice: every run needs one of its own"),
    "a tuple": ({"model": {"m": Two}}, "it gives tuple, not a tensor of logits"),
    "an optimizer already made": ({"optimizer": torch.optim.SGD(plain().parameters())}, "as in lambda parameters, lr: Adam(parameters, lr=lr)"),
    "tune as text": ({"tune": "lr=1:2:3"}, "tune is str, it has to be a dict"),
    "metrics as a function": ({"metrics": f1_score}, "metrics is function, it has to be a dict"),
    "target as a dict": ({"target": {"test_accuracy": 0.9}}, "target is dict, it has to be text"),
    "a margin in percent": ({"model": [plain, noisy], "margin": 1.0}, "--margin 1 is not allowed: accuracies are shares"),
    "a module already made": ({"model": plain()}, "model=Sequential is not allowed: model is a name, or a function that makes it anew"),
    "a number": ({"model": 3}, "model=int is not allowed"),
    "its own error": ({"model": broken}, "model=broken cannot be trained: RuntimeError: no such file"),
    "a batch of one": ({"model": noisy, "batch_size": 7}, "model=noisy cannot be trained on a batch of 1 (batch_size=7, 36 examples): ValueError: Expected more than 1 value per channel"),
    "no optimizer": ({"optimizer": {"o": lambda parameters: None}}, "optimizer=o cannot be trained: TypeError: its function gave NoneType"),
    "a rate it does not take": ({"optimizer": {"o": lambda parameters: torch.optim.SGD(parameters)}, "lr": 0.1}, "lr=0.1 has no effect with optimizer=o"),
    "another's setting": ({"model": plain, "hidden": 5}, "hidden has no effect with model=plain: it is a setting of mlp"),
    "by hand": ({"model": plain, "implementation": "numpy"}, "implementation=numpy cannot take model=plain"),
    "a name that is taken": ({"model": {"mlp": plain}}, "model 'mlp' is built in: give your own another name"),
    "two of one name": ({"model": [lambda: nn.Linear(3, 2), lambda: nn.Linear(3, 2, bias=False)]}, "model=own names two different arms"),
    "a metric that fails": ({"metrics": {"f": lambda y: 1.0}}, "metric f cannot be computed: TypeError"),
    "a metric of many": ({"metrics": {"f": lambda y, p: np.zeros(2)}}, "metric f cannot be computed: TypeError"),
    "a metric's name": ({"metrics": {"loss": f1_score}}, "metric 'loss' is not allowed"),
    "a metric of two words": ({"metrics": {"f one": f1_score}}, "metric 'f one' is not allowed"),
    "not for more classes": ({"metrics": {"precision": partial(precision_score, pos_label=7)}}, "metric precision cannot be computed: ValueError: pos_label=7"),
    "no such metric": ({"metric": "test_f2"}, "--metric test_f2 is not measured: allowed is train_accuracy"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "answer"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_is_refused_before(tmp_path: Path, words: dict[str, Any], answer: str) -> None:
    task = paribus.data(*arrays(46), name="mine")
    settings = {"epochs": 3, "batch_size": 16, **words}
    run = paribus.compare if isinstance(words.get("model"), list) else paribus.train
    with pytest.raises(SettingsError) as caught:
        run(task, out=tmp_path / "s", **settings)
    assert answer in str(caught.value)
    assert not (tmp_path / "s").exists()


def test_failed_runs_are_told_of(tmp_path: Path) -> None:
    class Breaks(nn.Module):
        """After some steps, which no trial sees."""

        def __init__(self) -> None:
            super().__init__()
            self.linear, self.steps = nn.Linear(3, 2), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.steps += 1
            if self.steps > 20:
                raise TypeError("broken")
            return self.linear(x)

    with pytest.warns(UserWarning, match=r"1 of 1 runs of s failed; the first: TypeError"):
        study = paribus.train(TASK, model=Breaks, name="s", out=tmp_path / "s", **{**SMALL, "epochs": 9})
    assert repr(study) == "<Study 's': 1 arm, 1 seed>"
    with pytest.raises(SettingsError, match="there is no metric 'accuracy': did you mean 'test_accuracy'"):
        study.differences("accuracy")


def test_values_may_be_arrays(tmp_path: Path) -> None:
    study = paribus.compare(
        "moons", lr=np.logspace(-2, -1, 2), hidden=[[3, 2], [4]], epochs=np.int64(1), seeds=1, out=tmp_path / "s"
    )  # type: ignore[arg-type]
    assert [arm.name for arm in study.record.arms] == [
        f"lr={lr} hidden={h}" for lr in (0.01, 0.1) for h in ("3x2", "4")
    ]


def test_no_own_thing_is_taken_for_a_word(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"a task is a name or paribus.data\(...\), not ndarray"):
        paribus.train(arrays(), out=tmp_path / "s")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="there is no model 'plain'"):
        paribus.train(TASK, model="plain", out=tmp_path / "s")


# --- the same study --------------------------------------------------------------------------------------------------


def test_a_changed_function_is_another_study(tmp_path: Path) -> None:
    first = paribus.train(TASK, model={"m": lambda: nn.Linear(3, 2)}, seeds=1, out=tmp_path / "s", **SMALL)
    again = paribus.train(TASK, model={"m": lambda: nn.Linear(3, 2)}, seeds=2, out=tmp_path / "s", **SMALL)
    assert [run.attempt for run in again.record.arms[0].runs] == [1, 1]
    assert again.record.arms[0].settings["model.factory"] == first.record.arms[0].settings["model.factory"]
    with pytest.raises(StoreError, match="the model changed since it was recorded on "):
        paribus.train(TASK, model={"m": lambda: nn.Linear(3, 2, bias=False)}, seeds=2, out=tmp_path / "s", **SMALL)
    with pytest.raises(StoreError, match=r"metrics \(none of your own there, f1 \w+ here\)"):
        paribus.train(TASK, model={"m": lambda: nn.Linear(3, 2)}, metrics={"f1": f1_score}, out=tmp_path / "s", **SMALL)
    with pytest.raises(SettingsError, match="holds what is your own in Python"):
        as_toml(again.record)
    other = paribus.data(*arrays(seed=3), name="mine")
    with pytest.raises(StoreError, match="the task changed since it was recorded on "):
        paribus.train(other, model={"m": lambda: nn.Linear(3, 2)}, seeds=2, out=tmp_path / "s", **SMALL)


class Net(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


class Twice(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * self.layer(x)


def helper(width: int) -> nn.Module:
    return Net(width)


def test_a_fingerprint_tells_functions_apart() -> None:
    def closed(width: int) -> Callable[[], nn.Module]:
        return lambda: Net(width)

    scale = 2
    things: list[Any] = [
        Net, Twice, helper, partial(helper, 3), partial(helper, 4), closed(3), closed(4), lambda: Net(), lambda: Twice(),
        lambda: helper(3), lambda width=3: Net(width), lambda width=4: Net(width), lambda *, width=3: Net(width),
        lambda: [Net(one) for one in (3, 4)], lambda: [Net(one) for one in (3, 5)], lambda: Net(scale), Net(3).forward,
    ]  # fmt: skip
    prints = [code_fingerprint(one) for one in things]
    assert len(set(prints)) == len(prints)
    assert prints == [code_fingerprint(one) for one in things]
    assert code_fingerprint(closed(3)) == code_fingerprint(closed(3))
    assert user_defined(closed(3)).name == "own"
    assert user_defined(Net).name == "Net"


SCRIPT = """
import numpy as np, paribus
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
    def forward(self, x):
        return self.layer(x)
x = np.random.default_rng(0).normal(size=(40, 3))
study = paribus.compare(paribus.data(x, x[:, 0] > 0), model={"net": Net, "other": lambda: Net()}, epochs=2, seeds=2, jobs=2,
    metrics={"share": lambda y, predicted: predicted.mean()}, out="s")
print(len(study.table()), set(study.table()["status"]), study.table()["test_share"].notna().all())
"""


@pytest.mark.slow
def test_a_plain_script_may_use_several_processes(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "4 {'done'} True"


def test_a_stage_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check builds and tries the user's module: once before each stage, not again under the lock."""
    from paribus.study import runner, stages

    seen, check = [], runner.check

    def counted(request: runner.StudySpec, *more: Any, **named: Any) -> Any:
        seen.append(request)
        return check(request, *more, **named)

    for module in (runner, stages):
        monkeypatch.setattr(module, "check", counted)
    paribus.train("moons", epochs=1, implementation="numpy", out=tmp_path / "s")
    assert len(seen) == 1


def test_a_module_is_tried_once_for_each_of_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a tuned study too, which is three studies after one another."""
    seen, tried = [], TorchBackend.tried

    def counted(self: TorchBackend, settings: Settings, task: Task) -> list[str]:
        seen.append(settings)
        return tried(self, settings, task)

    monkeypatch.setattr(TorchBackend, "tried", counted)
    tune = {"lr": [1e-9, 0.02]}
    words: dict[str, Any] = {"epochs": 10, "batch_size": 16, "implementation": "torch"}
    study = paribus.train(TASK, model=plain, tune=tune, tune_seeds=1, out=tmp_path / "s", **words)
    assert len(seen) == len({*seen})
    # each candidate on training data without those of validation, and on all of them the first and the chosen one
    assert study.tuning().query("chosen")["optimizer.lr"].tolist() == [0.02]
    assert [(one.validation, one.flat()["optimizer.lr"]) for one in seen] == [
        (0.0, 1e-9),
        (0.2, 1e-9),
        (0.2, 0.02),
        (0.0, 0.02),
    ]


def test_what_the_last_stage_refuses_is_refused_before_any_tuning(tmp_path: Path) -> None:
    """45 training examples leave a batch of one, too few for batch normalisation; the 36 of tuning do not."""
    with pytest.raises(SettingsError, match="on a batch of 1"):
        paribus.train(
            TASK,
            model=noisy,
            tune={"lr": [0.01, 0.02]},
            tune_seeds=1,
            out=tmp_path / "s",
            batch_size=11,
            test_share=0.25,
        )
    assert not (tmp_path / "s").exists()
