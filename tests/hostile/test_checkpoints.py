"""Checkpoints that a disk has damaged, that outlived what was recorded, or that cannot be read back."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import paribus
from paribus.backends.numpy_backend import NumpyLearner
from paribus.records.record import Evaluation, StudyRecord
from paribus.records.run import Callback, Run
from paribus.study.packing import pack, unpack
from paribus.study.recorder import Recorder
from paribus.study.resuming import CHECKPOINTS
from paribus.study.runner import carry_out, prepare
from paribus.study.spec import StudySpec
from tests.helpers import ask, assert_same_curves, edited
from tests.hostile import damaged, tries

WORDS = "moons implementation=numpy lr=0.1,0.2 epochs=6 eval_every=2 validation=0.2 schedule=plateau:0.5:1"


def asked(folder: Path) -> StudySpec:
    return ask(folder, WORDS, "1", keep="best").replaced(checkpoint_seconds=1e-9)


class InterruptedAt(Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_evaluation(self, run: Run, row: Evaluation) -> None:
        if row.epoch >= self.epoch:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose first run stands at its second evaluation."""
    folder = tmp_path_factory.mktemp("killed") / "s"
    with pytest.raises(KeyboardInterrupt):
        carry_out(asked(folder), [InterruptedAt(4)])
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return carry_out(asked(tmp_path_factory.mktemp("whole") / "s"))


def copy_of(killed: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A folder of its own, and the checkpoint in it."""
    folder = tmp_path / "s"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(killed, folder)
    (path,) = (folder / CHECKPOINTS).glob("*.checkpoint")
    return folder, path


def test_an_undamaged_one_is_gone_on_from(killed: Path, whole: StudyRecord, tmp_path: Path) -> None:
    folder, _ = copy_of(killed, tmp_path)
    assert any("goes on from its last checkpoint" in note for note in prepare(asked(folder)).notes)
    assert_same_curves(carry_out(asked(folder)), whole)


def test_no_damage_to_a_checkpoint_bends_a_curve(killed: Path, whole: StudyRecord, tmp_path: Path) -> None:
    """Whatever is damaged: the run begins again, in a sentence, and its curve is the undisturbed one."""
    for source in tries(15):
        folder, path = copy_of(killed, tmp_path)
        path.write_bytes(damaged(path.read_bytes(), source))
        (note,) = (note for note in prepare(asked(folder)).notes if "had not come to an end" in note)
        assert "of its last checkpoint, it is damaged" in note
        assert "trained again from the start" in note
        assert_same_curves(carry_out(asked(folder)), whole)


def lose_the_curve(folder: Path, source: random.Random) -> None:
    """What was written last is lost: the end of the curve, or the whole attempt."""
    with edited(folder) as database:
        ((run, columns),) = database.execute("SELECT run, columns FROM chunks").fetchall()
        curve = unpack(columns)
        keep = source.randrange(len(curve["step"]))
        database.execute("DELETE FROM chunks")
        if keep:
            packed = pack({name: values[:keep] for name, values in curve.items()})
            database.execute("INSERT INTO chunks VALUES (?, 0, ?)", (run, packed))
        elif source.random() < 0.5:
            database.execute("DELETE FROM runs")


def test_a_checkpoint_counts_only_beside_its_curve(killed: Path, whole: StudyRecord, tmp_path: Path) -> None:
    """As after a loss of power, which the file survived and what the database wrote last did not."""
    for source in tries(6):
        folder, _ = copy_of(killed, tmp_path)
        lose_the_curve(folder, source)
        assert_same_curves(carry_out(asked(folder)), whole)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 2))


def sgd(parameters: Any) -> torch.optim.Optimizer:
    """Its rate is one of NumPy's numbers, which PyTorch reads back from no file that it does not trust."""
    return torch.optim.SGD(parameters, lr=0.1, weight_decay=np.float64(0.01))


def study_of(folder: Path) -> StudyRecord:
    words = {"epochs": 6, "eval_every": 2, "seeds": 1, "out": folder, "checkpoint_every": 1e-9}
    return paribus.train("moons", model={"net": net}, optimizer={"mine": sgd}, **words).record


def test_numbers_of_numpys_in_an_optimizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, recorded = study_of(tmp_path / "whole"), Recorder.on_evaluation

    def interrupted(self: Recorder, run: Run, row: Evaluation) -> None:
        recorded(self, run, row)
        InterruptedAt(4).on_evaluation(run, row)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_evaluation", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study_of(tmp_path / "s")
    assert list((tmp_path / "s" / CHECKPOINTS).iterdir())
    assert_same_curves(study_of(tmp_path / "s"), whole)


def test_what_cannot_be_read_back_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a checkpoint of another version of a library: the run does not fail for ever."""
    folder = tmp_path / "s"
    with pytest.raises(KeyboardInterrupt):
        carry_out(asked(folder), [InterruptedAt(4)])
    said = list[str]()

    class Hearing(Callback):
        def on_message(self, line: str) -> None:
            said.append(line)

    def restore(self: object, state: bytes) -> None:
        raise RuntimeError("of another version")

    monkeypatch.setattr(NumpyLearner, "restore", restore)
    study = carry_out(asked(folder), [Hearing()])
    assert said == ["seed 0: its checkpoint cannot be read back (RuntimeError: of another version): begun again"]
    assert_same_curves(study, carry_out(asked(tmp_path / "whole")))


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError(), RuntimeError("CUDA out of memory")])
def test_a_checkpoint_that_cannot_be_read_now_is_kept(
    killed: Path, whole: StudyRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Nothing is wrong with it: the run fails, and goes on the next time."""
    folder, path = copy_of(killed, tmp_path)

    def restore(self: object, state: bytes) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(NumpyLearner, "restore", restore)
        study = carry_out(asked(folder))
    assert "failed" in [run.status for arm in study.arms for run in arm.runs]
    assert path.exists()
    assert_same_curves(carry_out(asked(folder)), whole)
