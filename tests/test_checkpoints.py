"""Long runs: killed in the middle, they go on from their last checkpoint to the same end, bit for bit."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load as load_weights
from torch import nn

import paribus
from paribus.backends.dispatch import resolve, train
from paribus.config.user_code import user_defined
from paribus.records.checkpoint import Best, Checkpoint, CheckpointError
from paribus.records.record import Evaluation, Outcome, Status
from paribus.records.run import Callback, Run
from paribus.study.reading import read
from paribus.study.runner import CHECKPOINTS, carry_out, prepare
from paribus.study.spec import StudySpec, request
from paribus.study.store import Store
from paribus.tasks import load
from tests.conftest import Recorder, final_weights, settings_of
from tests.helpers import assert_same_curves, kill, runs, wait_until

RUNS = {
    "by hand": "task=moons implementation=numpy optimizer=adam init=default dropout=0.2 hidden=9x5 epochs=6",
    "momentum by hand": "task=moons implementation=numpy momentum=0.9 schedule=onecycle epochs=6 sampler=replacement",
    "centered by hand": "task=moons implementation=numpy optimizer=rmsprop centered=true momentum=0.5 epochs=6",
    "torch": "task=moons implementation=torch optimizer=rmsprop momentum=0.9 centered=true dropout=0.3 epochs=6",
    "dataloader": "task=moons implementation=torch loader=dataloader momentum=0.9 epochs=6 schedule=multistep:2:0.1",
    "cnn by hand": "task=digits model=cnn implementation=numpy width=0.125 momentum=0.9 epochs=2 batch_size=300",
    "cnn": "task=digits model=cnn width=0.125 optimizer=adam epochs=2 batch_size=300 flip=true crop=1 schedule=onecycle",
    "bf16": "task=digits model=cnn width=0.125 recipe=modern epochs=2 batch_size=300 validation=0.1 eval_train=100",
}


class Keeper(Recorder):
    """Writes every checkpoint; ends the run as if it were killed after some of them."""

    def __init__(self, path: Path, survive: int) -> None:
        super().__init__()
        self.path, self.survive, self.steps = path, survive, list[int]()

    def on_checkpoint(self, run: Run, checkpoint: Checkpoint) -> None:
        checkpoint.write(self.path, run.identity())
        self.steps.append(checkpoint.step)
        if len(self.steps) == self.survive:
            raise KeyboardInterrupt


@pytest.mark.thinned(5)
@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("after", [1, 4, 9])
def test_a_run_goes_on_to_the_same_weights(tmp_path: Path, words: str, after: int) -> None:
    """From within an epoch and from its end: curves, weights and statistics to the last bit."""
    settings = settings_of(words)
    task, keep = load(settings, 3), frozenset({"weights"} | ({"best"} if settings.validation else set()))
    whole = Recorder()
    train([Run(settings=settings, seed=3, keep=keep)], lambda _: task, whole)
    run = Run(
        settings=settings, seed=3, keep=keep, checkpoint=tmp_path / "c", checkpoint_seconds=1e-9
    )  # after every step
    keeper = Keeper(tmp_path / "c", after)
    with pytest.raises(KeyboardInterrupt):
        train([run], lambda _: task, keeper)
    assert keeper.steps == list(range(1, after + 1)) or "bf16" in words or "cnn" in words
    rest = Recorder()
    train([replace(run, checkpoint_seconds=0.0)], lambda _: task, rest)
    np.testing.assert_array_equal(final_weights(rest), final_weights(whole))
    told = [*(row for row in keeper.rows if row.step <= keeper.steps[-1]), *rest.rows]
    assert [row.step for row in told] == [row.step for row in whole.rows]
    assert [row.metrics for row in told] == [row.metrics for row in whole.rows]
    seconds = [row.train_seconds for row in told]
    assert seconds == sorted(seconds)
    if settings.validation:
        assert rest.outcomes[0].best.step == whole.outcomes[0].best.step
        for name, value in whole.outcomes[0].best.weights.items():
            np.testing.assert_array_equal(rest.outcomes[0].best.weights[name], value)


def test_a_module_of_ones_own_goes_on_with_the_same_noise(tmp_path: Path) -> None:
    def noisy() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 2))

    settings = resolve({"task": "moons", "model": user_defined(noisy), "epochs": 3, "optimizer.momentum": 0.9})
    task, whole = load(settings, 0), Recorder()
    train([Run(settings=settings, seed=0, keep=frozenset({"weights"}))], lambda _: task, whole)
    run = Run(
        settings=settings, seed=0, keep=frozenset({"weights"}), checkpoint=tmp_path / "c", checkpoint_seconds=1e-9
    )
    with pytest.raises(KeyboardInterrupt):
        train([run], lambda _: task, Keeper(tmp_path / "c", 10))
    rest = Recorder()
    train([run], lambda _: task, rest)
    np.testing.assert_array_equal(final_weights(rest), final_weights(whole))


# --- in a study ---


WORDS = ["digits", "model=cnn", "width=0.125", "epochs=4", "momentum=0.9", "lr=0.01,0.05"]


def ask(folder: Path, words: list[str] = WORDS, **options: object) -> StudySpec:
    task, *rest = words
    return request(task, rest, compare=True, seeds=range(2), out=folder, checkpoint_seconds=0.05, **options)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_study_goes_on_from_its_checkpoints(tmp_path: Path, jobs: int) -> None:
    command = [sys.executable, "-m", "paribus", "compare", *WORDS, "--seeds", "2", "--out", str(tmp_path / "s"),
               "--checkpoint-every", "0.05", "--jobs", str(jobs), "--quiet"]  # fmt: skip
    folder = tmp_path / "s" / CHECKPOINTS

    def written() -> dict[Path, int]:
        found = {}
        for path in folder.glob("*.checkpoint"):
            with contextlib.suppress(FileNotFoundError):  # of a run that has just ended
                found[path] = path.stat().st_mtime_ns
        return found

    for _ in range(2):
        before = written()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(lambda before=before: any(before.get(one) != at for one, at in written().items()), "a checkpoint")
        kill(process.pid, tmp_path / "s")
        assert process.wait() == -signal.SIGKILL
    notes = prepare(ask(tmp_path / "s")).notes
    assert any("goes on from its last checkpoint" in note for note in notes)
    for name in (".a.checkpoint.0123456789abcdef.part", "a.part"):  # the second is an older version's
        (folder / name).write_text("half")  # as who is killed while it writes leaves one
    study = carry_out(ask(tmp_path / "s"))
    whole = carry_out(ask(tmp_path / "whole"))
    assert_same_curves(study, whole)
    assert {run.attempt for run in runs(study).values()} & {2, 3}
    assert not list((tmp_path / "s" / CHECKPOINTS).glob("*"))  # what is done needs none


def test_what_a_checkpoint_is_not(tmp_path: Path) -> None:
    """Damaged, or another run's: the run begins again, and its record says so by its whole curve."""
    checkpoint = Checkpoint(
        step=7,
        train_seconds=1.5,
        eval_seconds=0.5,
        learner=b"state" * 100,
        probes=b"frames" * 9,
        keeps_best=True,
        best=Best(5, 0.9, 0.1, {"w": np.arange(3.0)}),
    )
    path = tmp_path / "c"
    checkpoint.write(path, "me")
    found = Checkpoint.read(path, "me")
    assert found is not None
    assert (found.step, found.train_seconds, found.eval_seconds, found.learner) == (7, 1.5, 0.5, b"state" * 100)
    assert (found.probes, found.keeps_best) == (b"frames" * 9, True)
    assert found.best is not None
    assert (found.best.step, found.best.weights["w"].tolist()) == (5, [0, 1, 2])
    assert Checkpoint.read(path, "another") is None
    assert Checkpoint.read(tmp_path / "none", "me") is None
    whole = path.read_bytes()
    for content in (
        whole[:-1],
        whole.replace(b"state", b"stale", 1),
        whole.replace(b'"step": 7', b'"step": 6'),
        b"",
        b"\n",
        b"[]\n",
        b"{}\n",
    ):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged"):
            Checkpoint.read(path, "me")


def test_a_damaged_checkpoint_is_no_beginning(tmp_path: Path) -> None:
    class Interrupting(Callback):
        def on_evaluation(self, run: Run, row: Evaluation) -> None:
            if row.epoch == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(ask(tmp_path / "s"), [Interrupting()])
    (path,) = (tmp_path / "s" / CHECKPOINTS).glob("*.checkpoint")
    path.write_bytes(path.read_bytes()[:-1])
    notes = prepare(ask(tmp_path / "s")).notes
    assert any("of its last checkpoint, it is damaged" in note and "again from the start" in note for note in notes)
    assert_same_curves(carry_out(ask(tmp_path / "s")), carry_out(ask(tmp_path / "whole")))


def interrupted_at(epoch: float) -> Callback:
    """Ends the first run as if it were killed, after this epoch."""

    class Interrupting(Callback):
        def on_evaluation(self, run: Run, row: Evaluation) -> None:
            if row.epoch == epoch:
                raise KeyboardInterrupt

    return Interrupting()


def test_evaluations_after_the_last_checkpoint_are_made_again(tmp_path: Path) -> None:
    """And stand in the curve once."""
    words = ["moons", "implementation=numpy", "epochs=9", "eval_every=1", "lr=0.1,0.2"]
    asked = [ask(tmp_path / name, words).replaced(seeds=[0], checkpoint_seconds=1e-9) for name in ("killed", "whole")]
    folder, kept = tmp_path / "killed" / CHECKPOINTS, list[bytes]()

    class Interrupting(Callback):
        def on_evaluation(self, run: Run, row: Evaluation) -> None:
            kept.extend(path.read_bytes() for path in folder.glob("*.checkpoint"))
            if row.epoch == 6:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(asked[0], [Interrupting()])
    (path,) = folder.glob("*.checkpoint")
    path.write_bytes(kept[1])  # the disk took no later one
    assert_same_curves(carry_out(asked[0]), carry_out(asked[1]))
    assert runs(read(tmp_path / "killed"))["lr=0.1", 0].curve["epoch"].tolist() == list(range(1, 10))


@pytest.mark.thinned(2)
@pytest.mark.parametrize("implementation", ["numpy", "torch"])
def test_a_resumed_run_keeps_the_frames_before(tmp_path: Path, implementation: str) -> None:
    """Its page shows the decision boundary on its whole way, as that of a run in one piece."""
    words = ["moons", f"implementation={implementation}", "epochs=60", "eval_every=3", "lr=0.1,0.2"]
    asked = [ask(tmp_path / name, words).replaced(seeds=[0], checkpoint_seconds=1e-9) for name in ("killed", "whole")]
    with pytest.raises(KeyboardInterrupt):
        carry_out(asked[0], [interrupted_at(45)])
    frames = [runs(carry_out(one))["lr=0.1", 0].pictures.frames for one in asked]
    assert frames[0] is not None
    assert frames[1] is not None
    np.testing.assert_array_equal(frames[0].epochs, frames[1].epochs)
    np.testing.assert_array_equal(frames[0].classes, frames[1].classes)


# --- best on validation data ---


def test_the_best_of_a_run_is_looked_for_from_its_beginning(tmp_path: Path) -> None:
    """`keep=best` that is asked for only when a run goes on: its checkpoint holds no weights of the evaluations before,
    and so it begins again."""
    words = ["digits", "implementation=numpy", "epochs=12", "validation=0.3", "lr=0.5,0.6", "momentum=0.95"]
    asked = [ask(tmp_path / name, words).replaced(seeds=[0], checkpoint_seconds=1e-9) for name in ("killed", "whole")]
    with pytest.raises(KeyboardInterrupt):
        carry_out(asked[0], [interrupted_at(10)])
    asked = [one.replaced(keep=frozenset({"best"})) for one in asked]
    assert any("trained again from the start" in note for note in prepare(asked[0]).notes)
    found = []
    for one in asked:
        carry_out(one)
        store = Store.open(one.folder)
        found.append(store.artifact("lr=0.5", 0, "best"))
        store.close()
    assert found[0] is not None
    assert found[0] == found[1]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_of_equal_accuracies_the_lower_loss_is_better_and_of_equals_the_first(seen: list[tuple[int, int]]) -> None:
    best: Best | None = None
    for step, (accuracy, loss) in enumerate(seen):
        metrics = {"validation_accuracy": accuracy / 4, "validation_loss": float(loss)}
        best = Best.of(best, step, metrics, lambda step=step: {"w": np.array([step])})
    assert best is not None
    first = min(range(len(seen)), key=lambda step: (-seen[step][0], seen[step][1], step))
    assert (best.step, best.weights["w"].tolist()) == (first, [first])


@pytest.mark.parametrize("implementation", ["numpy", "torch", "fused"])
def test_the_best_weights_are_those_of_the_best_evaluation(tmp_path: Path, implementation: str) -> None:
    words = f"digits implementation={implementation} epochs=6 validation=0.3 lr=0.5 momentum=0.9"
    task, *rest = words.split()
    asked = request(task, rest, compare=False, seeds=[0], out=tmp_path / "s", keep=frozenset({"best"}))
    run = runs(carry_out(asked))["", 0]
    accuracy, loss = run.curve["validation_accuracy"], run.curve["validation_loss"]
    at = max(range(len(accuracy)), key=lambda i: (accuracy[i], -loss[i]))
    store = Store.open(tmp_path / "s")
    content = store.artifact("", 0, "best")
    store.close()
    settings = settings_of(f"task={words}")
    short = settings.model_copy(update={"epochs": at + 1})
    outcomes: list[Outcome] = train(
        [Run(settings=short, seed=0, keep=frozenset({"weights"}))], lambda _: load(short, 0), Recorder()
    )
    assert outcomes[0].status is Status.DONE
    assert content is not None
    for name, value in load_weights(content).items():
        np.testing.assert_array_equal(value, outcomes[0].weights[name])
    shown = paribus.open(tmp_path / "s").table()
    assert shown["best_test_accuracy"][0] == run.curve["test_accuracy"][accuracy.argmax()]
