"""Killed at random, or without power: the records are those of a study that nobody disturbed.

`PARIBUS_HOSTILE_SECONDS` says for how long; `python -m tests.hostile.test_kills 500` does it 500 times over 200 runs.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

import paribus
from paribus.records.record import Status, StudyRecord
from paribus.study.reading import read
from paribus.study.resuming import CHECKPOINTS
from paribus.study.store import FILE
from tests.helpers import assert_same_curves, runs, statuses
from tests.hostile import tries

SEEDS = 3


class Net(nn.Module):
    """Noise, a running statistic and a counter: everything that a checkpoint has to hold."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 2)
        )
        self.register_buffer("seen", nn.Parameter().new_zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += 1
        out: Tensor = self.layers(x) * (1 + 0.001 * self.seen)
        return out


def narrow() -> nn.Module:
    return Net(4)


def wide() -> nn.Module:
    return Net(9)


def study_in(folder: Path, seeds: int) -> StudyRecord:
    words: dict[str, Any] = {"epochs": 4, "eval_every": 1, "checkpoint_every": 1e-9, "batch_size": 200}
    return paribus.compare("moons", model={"narrow": narrow, "wide": wide}, seeds=seeds, out=folder, **words).record


def _disturbed(folder: Path, seeds: int, after: float) -> None:
    threading.Timer(after, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
    study_in(folder, seeds)
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(folder: Path, seeds: int, after: float) -> None:
    """The study in a process of its own, killed so many seconds after it began."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.hostile.test_kills", "paribus.backends.torch.user_code", "torch.optim"])
    process = context.Process(target=_disturbed, args=(folder, seeds, after))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def lose_power(folder: Path, source: random.Random) -> None:
    """What the database wrote last never came to the disk: its log is cut off anywhere, or torn, while checkpoints and
    files that were renamed survive; or a checkpoint did not, and an older one stands there."""
    log = folder / f"{FILE}-wal"
    if not log.exists():
        return
    content = log.read_bytes()
    keep = source.randrange(len(content) + 1)
    lost = len(content) - keep
    log.write_bytes(content[:keep] + (bytes(lost) if source.random() < 0.5 else b""))
    (folder / f"{FILE}-shm").unlink(missing_ok=True)
    if source.random() < 0.3:
        for path in (folder / CHECKPOINTS).glob("*"):
            path.unlink()


def disturb(folder: Path, seeds: int, source: random.Random) -> None:
    kill_at(folder, seeds, source.choice((0.01, 0.05, 0.1, 0.2, 0.5)) * (0.5 + source.random()))
    if source.random() < 0.5:
        lose_power(folder, source)


def assert_nothing_recorded_is_wrong(folder: Path, whole: StudyRecord) -> None:
    """What stands there meanwhile: done runs are done, curves are the beginnings of what they will be."""
    if not statuses(folder):
        return
    found = read(folder)
    assert found.damages == ()
    for key, run in runs(found).items():
        theirs = runs(whole)[key].curve["train_loss"]
        if run.curve:
            assert run.curve["train_loss"].tolist() == theirs[: len(run.curve["train_loss"])].tolist()
        if run.status is Status.DONE:
            assert len(run.curve["train_loss"]) == len(theirs)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_kills_and_losses_of_power_change_nothing(tmp_path: Path) -> None:
    whole, folder = study_in(tmp_path / "whole", SEEDS), tmp_path / "s"
    for source in tries(3):
        disturb(folder, SEEDS, source)
        assert_nothing_recorded_is_wrong(folder, whole)
        if statuses(folder).count(Status.DONE) == 2 * SEEDS:
            assert_same_curves(study_in(folder, SEEDS), whole)
            shutil.rmtree(folder)
    assert_same_curves(study_in(folder, SEEDS), whole)
    assert not list((folder / CHECKPOINTS).iterdir())


if __name__ == "__main__":
    many, begun, finished = int(sys.argv[1]), time.monotonic(), 0
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "s"
        undisturbed = study_in(Path(scratch) / "whole", 100)
        for number in range(many):
            disturb(place, 100, random.Random(number))
            assert_nothing_recorded_is_wrong(place, undisturbed)
            if statuses(place).count(Status.DONE) == 200:
                assert_same_curves(study_in(place, 100), undisturbed)
                finished += 1
                shutil.rmtree(place)
        assert_same_curves(study_in(place, 100), undisturbed)
    seconds = time.monotonic() - begun
    print(
        f"{many} kills, half of them with a loss of power, over a study of 200 runs, which came to its end "
        f"{finished + 1} times: records equal to an undisturbed one; {seconds:.0f} s"
    )
