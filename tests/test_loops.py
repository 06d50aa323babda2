"""A training loop of the user's own as an arm: a function, and any program."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from typer.testing import CliRunner

import paribus
from paribus.cli import app
from paribus.config.loops import LoopSettings, read_argument
from paribus.config.overrides import SettingsError
from paribus.config.user_code import user_defined
from paribus.findings.findings import Findings
from paribus.plan import Plan
from paribus.records.record import Status
from paribus.records.run import Run
from paribus.report.page.page import page
from paribus.report.show import as_json
from paribus.study.loops import loop_design
from paribus.study.packing import joined
from paribus.study.reading import read
from paribus.study.store import StoreError


def curve(run: Any, idea: str, lr: float = 0.1) -> dict[str, float]:
    """A curve of five points; the new idea is better by far."""
    draws = run.generator("noise")
    value = 1.0
    for epoch in range(5):
        value *= (0.8 if idea == "new" else 0.9) + lr * draws.normal() / 10
        run.log(epoch=epoch + 1, val_loss=value)
    return {"test_mse": value**2}


def compared(loop: Callable[..., Any], folder: Path, **more: Any) -> paribus.api.Study:
    return paribus.compare(
        loop, **{"idea": ["base", "new"], "seeds": 8, "metric": "test_mse", "lower": True, "out": folder, **more}
    )  # type: ignore[no-any-return]


def test_a_loop_is_an_arm_like_any_other(tmp_path: Path) -> None:
    study = compared(curve, tmp_path / "s")
    (row,) = study.differences("test_mse").to_dict("records")
    assert (row["a"], row["b"], row["verdict"]) == ("idea=base", "idea=new", "a higher")
    assert "new lower, which is better" in str(study)
    frame = study.curves()
    assert list(frame.columns) == [
        "arm",
        "seed",
        "step",
        "epoch",
        "train_seconds",
        "eval_seconds",
        "val_loss",
        "test_mse",
    ]
    one = frame[(frame["arm"] == "idea=new") & (frame["seed"] == 3)]
    assert one["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert one["test_mse"].isna().tolist() == [True] * 4 + [False]
    draws, value = paribus.LoopRun(seed=3).generator("noise"), 1.0
    for _ in range(5):
        value *= 0.8 + 0.1 * draws.normal() / 10
    assert one["val_loss"].iloc[-1] == value
    assert one["test_mse"].iloc[-1] == value**2
    contents = as_json(study.findings)
    json.dumps(contents, allow_nan=False)
    assert contents["metrics"]["test_mse"] == {"direction": "lower", "unit": ""}
    assert contents["arms"][0]["settings"]["loop.lr"] == 0.1
    html = page([study.findings])
    assert "val loss" in html
    again = compared(curve, tmp_path / "s", seeds=9)
    assert [len(arm.runs) for arm in again.record.arms] == [9, 9]
    assert [run.attempt for arm in again.record.arms for run in arm.runs] == [1] * 18


def test_what_a_loop_calls_its_metrics_is_taken_as_it_is(tmp_path: Path) -> None:
    """Its accuracy may be percent: nothing is multiplied by 100."""

    def train(seed: int, idea: str) -> dict[str, float]:
        return {"test_accuracy": 90.0 + seed % 3 + (idea == "new")}

    study = compared(train, tmp_path / "s", metric="test_accuracy", lower=False, higher=True)
    assert study.record.metric("test_accuracy").told(91.0) == "91.0000"
    assert study.record.metric("test_accuracy").direction == "higher"
    assert study.record.metric("train_accuracy").told(91.0) == "91.0000"
    assert study.record.metric("val_loss").direction is None


def test_a_loop_may_have_seeds_until_decided(tmp_path: Path) -> None:
    study = compared(curve, tmp_path / "s", seeds="6..12")
    assert len(study.record.arms[0].runs) < 12
    assert study.findings.primary[0].ended == "found"


def test_the_plan_is_the_same_in_every_arm(tmp_path: Path) -> None:
    seen: dict[tuple[str, int], Any] = {}

    def train(run: Any, idea: str) -> float:
        orders = [batch.tolist() for epoch in range(2) for batch in run.batches(epoch, size=4, n=10)]
        assert [len(one) for one in orders] == [4, 4, 2] * 2
        weights = run.initial((3, 2)), run.initial((2,))
        return float(np.sum(weights[0]) + orders[0][0] + (idea == "new"))

    study = compared(train, tmp_path / "s", metric="score")
    d = study.table().pivot(index="seed", columns="arm", values="score")
    assert ((d["idea=new"] - d["idea=base"]).round(9) == 1.0).all()
    plan, run = Plan(5), paribus.LoopRun(seed=5)
    assert np.array_equal(run.order(3, 10), plan.permutations(3, 1, 10)[0])
    assert np.array_equal(run.initial((3, 2)), plan.normals(0, (3, 2)))
    assert np.array_equal(run.initial((2,)), plan.normals(1, (2,)))
    assert run.generator("a").normal() != run.generator("b").normal()
    assert seen == {}


def test_data_that_are_given_beside(tmp_path: Path) -> None:
    def train(run: Any, idea: str) -> float:
        (first, *_) = run.batches(0, size=16)
        return float(run.data.train.x[first].sum() + len(run.data.test) + (idea == "new"))

    study = compared(train, tmp_path / "s", metric="score", data="moons")
    assert study.record.arms[0].runs[0].task.train == 800
    assert study.record.arms[0].settings["data"] == "moons"


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (
            "plan",
            "paired by the plan, from which it takes batches or initial values; the same seed twice gave the same",
        ),
        ("torch", "paired by the global generators, which are set from the seed; the same seed twice gave the same"),
        ("seed", "paired by the seed alone, which it is given: it draws from neither the plan nor a global generator"),
        ("unseeded", "the same seed twice gave test_mse "),
    ],
)
def test_how_far_runs_are_paired_is_tried(kind: str, told: str, tmp_path: Path) -> None:
    def train(run: Any, idea: str) -> dict[str, float]:
        draw = {
            "plan": lambda: run.generator().normal(),
            "torch": lambda: torch.randn(()).item(),
            "seed": lambda: np.random.default_rng(run.seed).normal(),
            "unseeded": lambda: np.random.default_rng().normal(),
        }[kind]()
        return {"test_mse": draw + (idea == "new")}

    study = compared(train, tmp_path / "s")
    found = [line for line in study.warnings() if "seed" in line]
    assert len(found) == 1 + (kind == "unseeded")  # of each arm two other numbers
    assert all(told in remark for remark in found)
    assert all(("not paired" in remark) == (kind == "unseeded") for remark in found)


def test_a_run_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    kept: list[int] = []
    folder = Path.cwd()

    def train(run: Any, idea: str) -> float:
        kept.append(run.seed)
        os.environ["LEFT"] = "1"
        os.chdir("/")
        torch.manual_seed(0)
        return float(len(kept)) + (idea == "new") * run.generator().normal()

    before = torch.random.get_rng_state()
    study = compared(train, tmp_path / "s", metric="score")
    assert (study.table()[study.table()["arm"] == "idea=base"]["score"] == 1.0).all()
    assert kept == []
    assert Path.cwd() == folder
    assert "LEFT" not in os.environ
    assert torch.equal(before, torch.random.get_rng_state())


def left(run: Any, idea: str) -> dict[str, float]:
    return {}


BAD: dict[str, tuple[Callable[..., Any], Status, str]] = {
    "nothing": (
        lambda: None,
        Status.FAILED,
        "it returned nothing and logged nothing: a loop returns a dict of numbers",
    ),
    "a tuple": (lambda: ({"test_mse": 1.0}, []), Status.FAILED, "it returned tuple: a loop returns a dict of numbers"),
    "a list": (lambda: {"test_mse": [1.0]}, Status.FAILED, "test_mse is list, and a metric is a number"),
    "NaN": (lambda: {"test_mse": float("nan")}, Status.DIVERGED, "test_mse is nan"),
    "infinity": (lambda: {"test_mse": np.float32("inf")}, Status.DIVERGED, "test_mse is inf"),
    "another metric": (lambda: {"mse": 1.0}, Status.FAILED, "it reported mse and no test_mse, which is judged"),
    "an error": (lambda: 1 / 0, Status.FAILED, "ZeroDivisionError: division by zero"),
    "an exit": (lambda: sys.exit(3), Status.FAILED, "SystemExit: 3"),
    "a name": (lambda: {"step": 1.0}, Status.FAILED, "'step' is no metric's name"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_run_says_why_and_the_others_go_on(kind: str, tmp_path: Path) -> None:
    what, status, told = BAD[kind]

    def train(run: Any, idea: str) -> Any:
        if idea == "new" and run.seed == 1:
            return what()
        return {"test_mse": run.generator().normal()}

    with pytest.warns(UserWarning, match="1 of 6 runs") if status is Status.FAILED else _nothing():
        study = compared(train, tmp_path / "s", seeds=3)
    runs = {(arm.name, run.seed): run for arm in study.record.arms for run in arm.runs}
    bad = runs.pop(("idea=new", 1))
    assert (bad.status, (bad.error or "")[: len(told)]) == (status, told)
    assert {run.status for run in runs.values()} == {Status.DONE}


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def test_a_metric_that_no_run_reports_costs_one_run(tmp_path: Path) -> None:
    calls = tmp_path / "calls"

    def train(seed: int, idea: str) -> dict[str, float]:
        with calls.open("a") as file:
            file.write("x")
        return {"rmse": seed + (idea == "new") * 0.5}

    with pytest.warns(UserWarning, match="it reported rmse and no test_mse"):
        compared(train, tmp_path / "s")
    assert calls.read_text() == "x"
    study = compared(train, tmp_path / "s", metric="rmse")
    assert {run.status for arm in study.record.arms for run in arm.runs} == {Status.DONE}


def test_the_same_call_tries_again_what_was_missing(tmp_path: Path) -> None:
    """In one process, as in a notebook: what the loop reads has changed since."""
    name = tmp_path / "name"
    name.write_text("rmse")

    def train(seed: int, idea: str) -> dict[str, float]:
        return {name.read_text(): seed + (idea == "new") * 0.5}

    with pytest.warns(UserWarning, match="it reported rmse and no test_mse"):
        compared(train, tmp_path / "s")
    name.write_text("test_mse")
    study = compared(train, tmp_path / "s")
    assert {run.status for arm in study.record.arms for run in arm.runs} == {Status.DONE}


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda run, lr: {}, "needs idea|has no parameter 'idea'"),
        (lambda idea: {}, "has no parameter called run or seed"),
        (lambda run, idea, width: {}, "needs width, which has no default"),
    ],
)
def test_what_a_loop_takes_is_known_before_it_is_called(call: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        compared(call, tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("more", [{"keep": "weights"}, {"target": "test_mse=0.1"}, {"tune": {"lr": [0.1, 0.2]}}])
def test_what_paribus_does_in_its_own_loop_alone_is_refused(more: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is for networks that Paribus trains: a loop of your own reports"):
        compared(curve, tmp_path / "s", **more)


def test_several_loops_are_arms(tmp_path: Path) -> None:
    def first(seed: int) -> float:
        return float(np.sin(seed))

    def second(seed: int) -> float:
        return float(np.sin(seed)) + 1.0 + 0.1 * np.cos(seed)

    study = paribus.compare([first, second], seeds=8, metric="score", higher=True, out=tmp_path / "s")
    assert [arm.name for arm in study.record.arms] == ["loop=first", "loop=second"]
    assert study.findings.primary[0].verdict == "b higher"
    with pytest.raises(SettingsError, match="two loops have the name first"):
        paribus.compare([first, first], seeds=8, metric="score", out=tmp_path / "t")


def test_a_loop_that_changed_is_another_study(tmp_path: Path) -> None:
    def made(by: float) -> Callable[..., Any]:
        def train(seed: int, idea: str) -> dict[str, float]:
            return {"test_mse": by * seed + (idea == "new")}

        return train

    compared(made(1.0), tmp_path / "s")
    compared(made(1.0), tmp_path / "s", seeds=9)
    with pytest.raises(StoreError, match=r"the loop of arm 'idea=base' changed since it was recorded"):
        compared(made(2.0), tmp_path / "s")


def test_a_loop_goes_on_from_what_it_saved(tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    stop.write_text("")

    def train(run: Any, idea: str) -> dict[str, float]:
        state = run.load() or {"epoch": 0, "x": np.ones(3), "t": torch.zeros(2)}
        draws = run.generator().normal(size=6)
        for epoch in range(state["epoch"], 6):
            state = {"epoch": epoch + 1, "x": state["x"] * (1 + 0.1 * draws[epoch]), "t": state["t"] + epoch}
            run.log(epoch=epoch + 1, val_loss=float(state["x"].sum()))
            run.save(state)
            if epoch == 3 and run.seed == 1 and idea == "new" and stop.exists():
                raise KeyboardInterrupt
        return {"test_mse": float(state["x"][0]) + float(state["t"].sum()) + (idea == "new")}

    with pytest.raises(KeyboardInterrupt):
        compared(train, tmp_path / "s", seeds=3)
    stop.unlink()
    study = compared(train, tmp_path / "s", seeds=3)
    whole = compared(train, tmp_path / "t", seeds=3)
    assert not list((tmp_path / "s" / "checkpoints").glob("*"))
    columns = ["arm", "seed", "step", "epoch", "val_loss", "test_mse"]
    assert study.curves()[columns].equals(whole.curves()[columns])
    runs = {(arm.name, run.seed): run for arm in study.record.arms for run in arm.runs}
    assert runs["idea=new", 1].attempt == 2


def test_a_loop_that_does_not_load_begins_again(tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    stop.write_text("")

    def train(run: Any, idea: str) -> dict[str, float]:
        for epoch in range(4):
            run.log(epoch=epoch + 1, val_loss=float(epoch))
            run.save({"epoch": epoch})
            if epoch == 2 and stop.exists():
                raise KeyboardInterrupt
        return {"test_mse": run.generator().normal() + (idea == "new")}

    with pytest.raises(KeyboardInterrupt):
        compared(train, tmp_path / "s", seeds=2)
    stop.unlink()
    study = compared(train, tmp_path / "s", seeds=2)
    assert study.curves().groupby(["arm", "seed"]).size().tolist() == [4] * 4


def test_ctrl_c_that_a_loop_answers_by_an_exit_ends_the_study(tmp_path: Path) -> None:
    """As Lightning does, which ignores the next one too. An exit of another reason is a run that failed."""
    before = signal.getsignal(signal.SIGINT)

    def train(seed: int, idea: str) -> float:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            sys.exit(1)

    with pytest.raises(KeyboardInterrupt):
        compared(train, tmp_path / "s", seeds=2, metric="score")
    assert signal.getsignal(signal.SIGINT) is before
    runs = [run for arm in read(tmp_path / "s").arms for run in arm.runs]
    assert [run.status for run in runs] == [Status.INTERRUPTED]

    def ends(seed: int, idea: str) -> float:
        sys.exit(3)

    with pytest.warns(UserWarning, match="SystemExit: 3"):
        compared(ends, tmp_path / "t", seeds=2, metric="score")


def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    def train(run: Any, idea: str) -> float:
        run.save({"function": Path("x")})
        return 1.0

    with pytest.warns(UserWarning, match="what cannot be kept"):
        compared(train, tmp_path / "s", seeds=2, metric="score")


def test_chunks_of_a_curve_may_have_other_columns() -> None:
    found = joined([{"step": np.array([1.0, 2.0]), "a": np.ones(2)}, {"step": np.array([3.0]), "b": np.ones(1)}])
    assert found["step"].tolist() == [1, 2, 3]
    assert np.isnan(found["a"]).tolist() == [False, False, True]
    assert np.isnan(found["b"]).tolist() == [True, True, False]


def test_steps_go_up() -> None:
    run = paribus.LoopRun(seed=0)
    run.log(step=5, loss=1.0)
    for step in (4, 5):
        with pytest.raises(ValueError, match="comes after step 5"):
            run.log(step=step, loss=1.0)


def test_numbers_of_one_step_are_one_point(tmp_path: Path) -> None:
    def train(run: Any, idea: str) -> None:
        run.log(step=0, val_loss=9.0)
        for step in range(1, 4):
            run.log(step=step, epoch=step / 2, train_loss=3.0 / step)
            run.log(step=step, epoch=step / 2, val_loss=4.0 / step)

    study = compared(train, tmp_path / "s", seeds=2, metric="val_loss")
    one = study.curves().query("seed == 1 and arm == 'idea=new'")
    assert one["step"].tolist() == [0, 1, 2, 3]
    assert one["epoch"].tolist() == [0, 0.5, 1.0, 1.5]
    assert one["val_loss"].tolist() == [9.0, 4.0, 2.0, 4.0 / 3]
    assert one["train_loss"].tolist()[1:] == [3.0, 1.5, 1.0]


# --- in other processes ---

LOOPS = """
import os, signal, sys, time

def train(run, kind, idea="base"):
    bad = run.seed == 1
    if kind == "sleeps" and bad:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if kind == "forks" and bad:
        os.fork()
    if kind == "prints" and bad:
        sys.stdout.write("x" * 10_000_000)
    if kind == "dies" and bad:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"test_mse": run.generator().normal() + (idea == "new")}
"""


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("sleeps", "failed", "it took longer than 2 s, its time limit"),
        ("dies", "failed", "its process died (signal 9) 2 times"),
        ("forks", "done", None),
        ("prints", "done", None),
    ],
)
def test_bad_loops_in_processes(kind: str, status: str, told: str | None, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loops.py").write_text(LOOPS)
    words = ["compare", "loops.py:train", f"kind={kind}", "idea=base,new", "--seeds", "2", "--metric", "test_mse"]
    if kind == "sleeps":
        words += ["--timeout", "2"]
    elif kind == "dies":
        words += ["--jobs", "2"]
    result = CliRunner().invoke(app, [*words, "--lower", "--out", "s", "--quiet"])
    assert result.exit_code == (0 if status == "done" else 3), result.output
    runs = {(arm.name, run.seed): run for arm in read(Path("s")).arms for run in arm.runs}
    assert len(runs) == 4
    assert all(run.status is Status.DONE for (_, seed), run in runs.items() if seed == 0)
    assert {(str(run.status), run.error) for (_, seed), run in runs.items() if seed == 1} == {(status, told)}


def test_jobs_give_the_same_numbers(tmp_path: Path) -> None:
    one = compared(curve, tmp_path / "one", seeds=3)
    two = compared(curve, tmp_path / "two", seeds=3, jobs=2)
    columns = ["arm", "seed", "step", "epoch", "val_loss", "test_mse"]
    key = ["arm", "seed", "step"]
    assert (
        one.curves()[columns]
        .sort_values(key)
        .reset_index(drop=True)
        .equals(two.curves()[columns].sort_values(key).reset_index(drop=True))
    )


# --- from the command line ---


def test_a_function_in_a_file(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "import helper_of_mine\ndef main(seed, lr, on=False):\n    return {'val_loss': helper_of_mine.f(seed, lr) + on}\n"
    )
    Path("helper_of_mine.py").write_text("def f(seed, lr):\n    return lr * (1 + seed % 3)\n")
    words = ["compare", "mine.py:main", "lr=0.1,0.5", "on=true", "--seeds", "8", "--metric", "val_loss", "--lower"]
    result = CliRunner().invoke(app, [*words, "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [arm["settings"]["loop.lr"] for arm in found["arms"]] == [0.1, 0.5]
    assert found["arms"][0]["settings"]["loop.on"] is True
    assert found["differences"][0]["verdict"] == "b higher"
    for word, told in (
        ("mine.py", "say which function trains, as in mine.py:main"),
        ("mine.py:other", "mine.py has no function other: it has main"),
        ("none.py:main", "there is no file none.py"),
    ):
        result = CliRunner().invoke(app, ["compare", word, "lr=0.1,0.5", "--metric", "val_loss"])
        assert result.exit_code == 2
        assert told in result.output.replace("\n", " ")
    result = CliRunner().invoke(app, ["compare", "moons", "lr=0.1,0.5", "--lower"])
    assert "--lower: for a loop of your own alone" in result.output.replace("\n", " ")


SCRIPT = """
import argparse, json, sys
p = argparse.ArgumentParser()
p.add_argument("--seed", type=int); p.add_argument("--lr", type=float); p.add_argument("--out")
a = p.parse_args()
print("begins")
for epoch in range(3):
    print(json.dumps({"epoch": epoch + 1, "val_loss": a.lr * (1 + a.seed % 3) / (epoch + 1), "name": "x"}))
if a.seed == 1 and a.lr == 0.5:
    sys.exit("it is broken")
if a.out:
    open(a.out + "/metrics.json", "w").write(json.dumps({"test_mse": a.lr}))
"""


def test_any_program(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(SCRIPT)
    line = f"{sys.executable} train.py --lr {{lr}} --seed {{seed}} --out {{output}}"
    words = ["compare", "--command", line, "lr=0.1,0.5", "--seeds", "3", "--lower", "--out", "s"]
    result = CliRunner().invoke(app, [*words, "--metric", "test_mse", "--metrics-file", "{output}/metrics.json"])
    assert result.exit_code == 3
    runs = {(arm.name, run.seed): run for arm in read(Path("s")).arms for run in arm.runs}
    assert runs["lr=0.5", 1].status is Status.FAILED
    assert runs["lr=0.5", 1].error == "it ended with exit status 1: it is broken"
    good = runs["lr=0.1", 2]
    assert good.curve["epoch"].tolist() == [1, 2, 3, 3] or good.curve["epoch"][:3].tolist() == [1, 2, 3]
    assert good.final("test_mse") == 0.1
    assert good.final("val_loss") == pytest.approx(0.1)
    assert "begins" in Path("s/output/lr=0.1/seed-2/output.txt").read_text()
    assert "paired by the seed, which the program is given" in result.output.replace("\n", " ")
    Path("train.py").write_text(SCRIPT + "\n# changed\n")
    result = CliRunner().invoke(app, [*words, "--metric", "test_mse", "--metrics-file", "{output}/metrics.json"])
    assert result.exit_code == 2
    assert "changed since it was recorded" in result.output.replace("\n", " ")


PROGRAMS = {
    "sleeps": "import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    "prints": "import sys; [sys.stdout.write('y' * 1000 + chr(10)) for _ in range(20000)]; print('{\"val_loss\": 1.5}')",
    "leaves a child": "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print('{\"val_loss\": 1.5}')",
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_bad_programs(kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.py").write_text(
        f"import sys\nif sys.argv[1] == '1':\n    {PROGRAMS[kind]}\nelse:\n    print('{{\"val_loss\": 0.5}}')\n"
    )
    line = f"{sys.executable} bad.py {{seed}}"
    words = ["train", "--command", line, "--seeds", "2", "--metric", "val_loss", "--out", "s", "--timeout", "3"]
    result = CliRunner().invoke(app, words)
    runs = {run.seed: run for arm in read(Path("s")).arms for run in arm.runs}
    assert runs[0].final("val_loss") == 0.5
    if kind == "sleeps":
        assert (result.exit_code, runs[1].error) == (3, "it took longer than 3 s, its time limit")
    else:
        assert runs[1].final("val_loss") == 1.5
    for path in Path("s/output").rglob("output.txt"):
        assert path.stat().st_size < 3 * 2**20


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("python train.py --lr {lr}", "has no {seed}"),
        ("", "is empty"),
        ("python 'x --seed {seed}", "No closing quotation"),
        ("nobody-has-this {seed}", "nobody-has-this cannot be started"),
    ],
)
def test_a_command_that_cannot_be(line: str, told: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--command", line, "--metric", "x", "--out", str(tmp_path / "s")])
    assert result.exit_code in (2, 3)
    assert told in result.output.replace("\n", " ")


def test_words_of_a_command_get_the_type_of_their_default() -> None:
    assert [read_argument("1", one) for one in (0.5, 3, "a", None)] == [1.0, 1, "1", 1]
    assert read_argument("[1]", None) == "[1]"
    loop = user_defined(lambda seed, clip=None: seed, "f")
    (arm,) = loop_design([loop], {"clip": ["none"]}).arms
    assert isinstance(arm.settings, LoopSettings)
    assert arm.settings.arguments == (("clip", "none"),)
    assert Run(arm.settings, 0).user_loop is arm.settings


@pytest.mark.parametrize("inside", ["output", "output/idea=base", "output/idea=base/seed-0"])
def test_a_link_out_of_the_output_is_not_followed(inside: str, tmp_path: Path) -> None:
    """Of a folder that was received."""
    study = compared(curve, tmp_path / "s", seeds=2)
    (tmp_path / "elsewhere").mkdir()
    link = study.folder / inside
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="leads out of the study's folder"):
        compared(curve, tmp_path / "s", seeds=3)


def test_findings_know_the_loop(tmp_path: Path) -> None:
    study = compared(curve, tmp_path / "s", lr=[0.1, 0.2, 0.4], idea=["base"])
    assert [one.name for one in Findings.of(study.record).sweeps] == ["lr"]


# --- what breakers found ---


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([[64, 64], [32]], "is list"),
        ([abs], "is builtin_function_or_method"),
        ([{"a": 1}], "is dict"),
        ([float("nan"), 1.0], "a finite number"),
        ([None, "z"], "is no default of curve"),
        (["1", 1], "names two different arms"),
        ([np.array([1, 2])], "is list"),
    ],
)
def test_arguments_that_no_record_holds_are_refused(values: list[Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        compared(curve, tmp_path / "s", lr=values)
    assert not (tmp_path / "s").exists()


def test_arguments_come_as_they_were_given(tmp_path: Path) -> None:
    def train(seed: int, idea: str, x: Any = None) -> float:
        kind = {str: 1.0, int: 2.0, float: 3.0, bool: 4.0, type(None): 5.0}[type(x)]
        return kind + 10 * (idea == "a,b")

    study = paribus.compare(
        train, idea=["a,b", "c"], x=["q", 2, 0.5, True, None], seeds=2, metric="score", out=tmp_path / "s"
    )
    assert sorted(study.table()["score"].unique()) == [1, 2, 3, 4, 5, 11, 12, 13, 14, 15]
    with pytest.raises(SettingsError, match="is no default of train"):
        compared(train_with_word, tmp_path / "t", idea=[None, "b"])


def train_with_word(seed: int, idea: str = "a") -> float:
    return float(len(idea) + seed)


def test_numpys_numbers_are_numbers(tmp_path: Path) -> None:
    def train(seed: int, idea: str, width: int) -> float:
        return float(width) + (idea == "new")

    study = compared(train, tmp_path / "s", metric="score", width=np.array([16, 32]))
    assert [arm.settings["loop.width"] for arm in study.record.arms] == [16, 32, 16, 32]


def test_what_a_loop_leaves_behind_reports_no_more(tmp_path: Path) -> None:
    import threading

    told: list[str] = []

    def train(run: Any, idea: str) -> float:
        def later() -> None:
            try:
                run.log(score=100.0)
            except ValueError as error:
                told.append(str(error))

        thread = threading.Thread(target=later)
        thread.start()
        thread.join()
        return float(run.seed) + (idea == "new")

    study = compared(train, tmp_path / "s", metric="score", seeds=2)
    assert sorted(study.table()["score"]) == [0, 1, 1, 2]
    run = paribus.LoopRun(seed=0)
    refused: list[str] = []

    def elsewhere() -> None:
        try:
            run.log(score=1.0)
        except ValueError as error:
            refused.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert refused == ["run.log is called from another thread: call it from the one that the loop runs in"]
    run.over()
    with pytest.raises(ValueError, match="when the loop had returned"):
        run.log(score=1.0)


def test_a_loop_that_forks_leaves_one_process(tmp_path: Path) -> None:
    lines = tmp_path / "lines"

    def train(run: Any, idea: str) -> float:
        child = os.fork()
        return 1.0 + (idea == "new") if child else 2.0

    compared(train, tmp_path / "s", metric="score", seeds=2)
    with lines.open("a") as file:
        file.write("x")
    time.sleep(0.5)
    assert lines.read_text() == "x"


def test_threads_are_the_loops_own_and_given_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()

    def train(run: Any, idea: str) -> float:
        return float(torch.get_num_threads()) + (idea == "new")

    study = compared(train, tmp_path / "s", metric="score", seeds=2)
    assert sorted(study.table()["score"].unique()) == [1, 2]
    assert torch.get_num_threads() == before


def test_nan_of_another_metric_is_a_missing_value(tmp_path: Path) -> None:
    def train(seed: int, idea: str) -> dict[str, float]:
        return {"test_mse": seed + (idea == "new") * 1.5, "other": float("nan")}

    study = compared(train, tmp_path / "s", seeds=2)
    assert {run.status for arm in study.record.arms for run in arm.runs} == {Status.DONE}


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ({"arm": 1.0}, "'arm' is no metric's name"),
        ({"loss": np.ones(3)}, r"loss has the shape \(3,\)"),
        ({"epoch": float("nan"), "loss": 1.0}, "an epoch is a finite number"),
    ],
)
def test_what_cannot_be_logged(metrics: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        paribus.LoopRun(seed=0).log(**metrics)


def test_numbers_of_any_library_are_metrics() -> None:
    rows: list[Any] = []
    run = paribus.LoopRun(0, None, rows.append)
    run.log(a=np.float32(1.5), b=torch.tensor([2.5]), c=np.array(3), d=True + 1)
    run.end({"val/loss": 4})
    assert rows[-1].metrics == {"a": 1.5, "b": 2.5, "c": 3.0, "d": 2.0, "val_loss": 4.0}


async def coroutine(run: Any, idea: str) -> float:
    return 1.0


def generator(run: Any, idea: str) -> Any:
    yield 1.0


def by_place(run: Any, idea: str, /) -> float:
    return 1.0


def taken(run: Any, idea: str, task: int = 1) -> float:
    return float(task)


@pytest.mark.parametrize(
    ("loop", "told"),
    [
        (coroutine, "is a coroutine"),
        (generator, "is a generator"),
        (by_place, "by place alone"),
        (taken, "has a parameter task, which paribus.compare has itself"),
    ],
)
def test_functions_that_are_no_loops(loop: Callable[..., Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        compared(loop, tmp_path / "s", metric="score")


TALK = """
import json, sys
kind, seed = sys.argv[1], int(sys.argv[2])
if kind == "bar":
    for e in range(3):
        sys.stderr.write("\\r50%|##"); sys.stderr.flush()
        print(json.dumps({"epoch": e + 1, "m": 10.0 * (e + 1)}), flush=True)
if kind == "return":
    sys.stdout.write("50%\\r" + json.dumps({"m": 30.0}) + "\\n")
if kind == "inside":
    print("INFO", json.dumps({"m": 30.0}))
if kind == "braces":
    print(json.dumps({"m": 30.0 if sys.argv[3] == "{lit}" else 0.0}))
"""


@pytest.mark.parametrize("kind", ["bar", "return", "inside", "braces"])
def test_what_programs_say(kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("talk.py").write_text(TALK)
    words = [
        "train",
        "--command",
        f"{sys.executable} talk.py {kind} {{seed}} {{{{lit}}}}",
        "--metric",
        "m",
        "--out",
        "s",
    ]
    result = CliRunner().invoke(app, [*words, "--seeds", "1"])
    (run,) = read(Path("s")).arms[0].runs
    if kind == "inside":
        assert result.exit_code == 3
        assert run.error == (
            'it said no metric: it has to print a line of JSON, as {"val_loss": 0.5}; one that stands in the middle of a '
            "line is not read"
        )
    else:
        assert run.final("m") == 30.0


def test_a_file_of_metrics_is_this_runs(tmp_path: Path, monkeypatch: Any) -> None:
    """One that another run left says nothing of it; what a failed attempt said is no part of the run."""
    monkeypatch.chdir(tmp_path)
    Path("once.py").write_text("import sys\nif sys.argv[1] == '0':\n    open('m.json', 'w').write('{\"m\": 1}')\n")
    words = ["train", "--command", f"{sys.executable} once.py {{seed}}", "--metric", "m", "--metrics-file", "m.json"]
    CliRunner().invoke(app, [*words, "--out", "s", "--seeds", "2"])
    first, second = read(Path("s")).arms[0].runs
    assert first.final("m") == 1.0
    assert second.error == "it ended, and did not write m.json, from which its metrics are to be read"
    Path("tries.py").write_text(
        "import os, sys\nn = len(os.listdir('.'))\nopen(f't{n}', 'w')\nprint('{\"m\": %d}' % n)\nsys.exit(len([f for f in os.listdir('.') if f[0] == 't' and f[1:].isdigit()]) < 3)\n"
    )
    words = [
        "train",
        "--command",
        f"{sys.executable} tries.py {{seed}}",
        "--metric",
        "m",
        "--retries",
        "3",
        "--out",
        "t",
    ]
    CliRunner().invoke(app, [*words, "--seeds", "1"])
    (run,) = read(Path("t")).arms[0].runs
    assert (run.status, len(run.curve["m"])) == (Status.DONE, 1)


def write_events(folder: Path, seed: int, kind: str) -> None:
    for split in {"splits": ("train", "validation"), "two": ("a", "b")}.get(kind, (".",)):
        writer = EventFileWriter(str(folder / split))
        for step in (10, 20, 30):
            values = {"val/loss": 0.5 * (1 + seed) / step, "epoch": step / 10}
            if kind != "nothing":
                found = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
                writer.add_event(Event(step=step, wall_time=1.0, summary=Summary(value=found)))
        writer.close()


WRITES_EVENTS = """
import shutil, sys
shutil.copytree(f"made/{sys.argv[1]}", sys.argv[2], dirs_exist_ok=True)
if sys.argv[3] == "printed":
    print('{"val_loss": 1.0}')
"""


@pytest.mark.parametrize("kind", ["one", "pattern", "splits", "two", "printed", "nothing", "old"])
def test_a_program_may_write_event_files(kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("events.py").write_text(WRITES_EVENTS)
    for seed in (0, 1):
        write_events(Path("made") / str(seed), seed, kind)
    line = f"{sys.executable} events.py {{seed}} {{output}} {kind}"
    metric = "validation_val_loss" if kind == "splits" else "val_loss"
    reads = "{output}/*tfevents*" if kind == "pattern" else "{output}"
    if kind == "old":  # of another run: it is not read
        assert [*Path("made").rglob("*tfevents*")]
        line, reads = f"{sys.executable} -c pass {{seed}}", "made"
    words = ["train", "--command", line, "--metric", metric, "--lower", "--metrics-file", reads, "--out", "s"]
    result = CliRunner().invoke(app, [*words, "--seeds", "2" if kind == "one" else "1", "--quiet"])
    (arm,) = read(Path("s")).arms
    told = {
        "two": "val_loss is in ",
        "printed": "it printed metrics as lines of JSON, and wrote ",
        "nothing": "it said no metric",
        "old": "it ended, and did not write TensorBoard's event files in ",
    }
    if kind in told:
        assert result.exit_code == 3
        assert str(arm.runs[0].error).startswith(told[kind])
        return
    assert result.exit_code == 0, result.output
    for run in arm.runs:
        assert run.curve["step"].tolist() == [10, 20, 30]
        expected = [float(str(np.float32(0.5 * (1 + run.seed) / step))) for step in (10, 20, 30)]
        assert run.curve[metric].tolist() == expected
        if kind != "splits":
            assert run.curve["epoch"].tolist() == [1, 2, 3]
