"""What a run takes: seconds, images a second, memory; on a GPU what its sampler saw."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from pathlib import Path
from time import sleep
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import paribus
from paribus.backends.dispatch import resolve
from paribus.backends.stacked import stack
from paribus.backends.stacked.stack import Stack
from paribus.findings.findings import Findings
from paribus.findings.summary import values
from paribus.records.checkpoint import Checkpoint
from paribus.records.metrics import METERS
from paribus.records.record import Evaluation
from paribus.report.show import as_json
from paribus.study.runner import carry_out
from paribus.study.spec import request
from paribus.tasks import load
from paribus.training import meters
from paribus.training.learner import Scores
from paribus.training.loop import Clock, Watch
from paribus.training.meters import Meters, Sampler, peak_memory_mb


class Card:
    """A GPU that is busy half of the time at 100 W, or does not tell."""

    def __init__(self, *, tells: bool = True) -> None:
        self.tells, self.open = tells, True

    def utilisation(self) -> float:
        if not self.tells:
            raise OSError("not supported")
        return 0.5

    def power(self) -> float:
        return 100.0

    def close(self) -> None:
        self.open = False


def test_a_gpu_is_sampled_in_time_not_in_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock of its own, which stands at 8 s, 9 s and 12 s, and then stops."""
    moments, done = iter([8.0, 9.0, 12.0]), threading.Event()

    class Uneven(Card):
        samples = 0

        def utilisation(self) -> float:
            self.samples += 1
            return 0.9 if self.samples == 1 else 0.1

        def power(self) -> float:
            return 200.0 if self.samples == 1 else 40.0

    def clock() -> float:
        moment = next(moments, None)
        if moment is None:  # both samples have been counted, and no time passes any more
            done.set()
        return moment or 12.0

    monkeypatch.setattr(meters, "monotonic", clock)
    card = Uneven()
    sampler = Sampler(card, seconds=0.005)
    assert done.wait(60)
    found = sampler.read()
    sampler.close()
    assert found["gpu_utilisation"] == pytest.approx((1 * 0.9 + 3 * 0.1) / 4)
    assert found["gpu_power_w"] == pytest.approx((1 * 200 + 3 * 40) / 4)
    assert found["gpu_energy_j"] == pytest.approx(1 * 200 + 3 * 40)
    assert not card.open


def test_a_card_that_does_not_tell_has_no_figure() -> None:
    sampler = Sampler(Card(tells=False), seconds=0.005)
    sleep(0.1)
    assert all(math.isnan(value) for value in sampler.read().values())
    assert sampler.read().keys() == {"gpu_utilisation", "gpu_power_w", "gpu_energy_j"}
    sampler.close()


def test_the_cpus_meters_are_memory_alone() -> None:
    taken = Meters("cpu")
    assert taken.read().keys() == {"peak_memory_mb"}
    taken.close()


def test_peak_memory_is_the_most_that_was_resident() -> None:
    """Of a process of its own, beside what the system says of it."""
    code = (
        "import numpy as np, psutil\n"
        "from paribus.training.meters import peak_memory_mb\n"
        "before = peak_memory_mb()\n"
        "there = np.ones(2**23)\n"  # 64 MiB
        "now = psutil.Process().memory_info().rss / 2**20\n"
        "del there\n"
        "print(before, now, peak_memory_mb())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, now, peak = map(float, done.stdout.split())
    assert peak >= before + 60
    assert peak == pytest.approx(now, rel=0.05)
    assert before < 0.9 * peak_memory_mb() or before < 200  # and nothing of the process that started it
    assert peak_memory_mb() > 0


def test_a_timed_study_has_them_and_another_has_nulls(tmp_path: Path) -> None:
    words = ["model=cnn", "width=0.125", "batch_size=128,512", "epochs=2"]
    timed, plain = (
        carry_out(request("digits", words, compare=True, seeds=[0], out=tmp_path / name, timing=timing))
        for name, timing in (("timed", True), ("plain", False))
    )
    arms = as_json(Findings.of(timed))["arms"]
    for arm, run in zip(arms, (arm.runs[0] for arm in timed.arms), strict=True):
        found = {name: summary["mean"] for name, summary in arm["metrics"].items()}
        assert found["examples_per_second"] == pytest.approx(1437 / found["seconds_per_epoch"])
        assert found["seconds_per_evaluation"] == pytest.approx(run.curve["eval_seconds"][-1] / 2)
        assert found["peak_memory_mb"] > 100
        assert not {name for name in found if name.startswith("gpu")}
    assert {"examples_per_second", "peak_memory_mb"} <= plain.arms[0].runs[0].curve.keys()  # seen, not compared
    assert not set(as_json(Findings.of(plain))["arms"][0]["metrics"]) & {*METERS, "seconds_per_evaluation"}
    table = paribus.open(tmp_path / "timed").table()
    assert (table["examples_per_second"] > 0).all()


def test_tensorboard_shows_them(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from paribus.report.tensorboard import Events

    study = carry_out(request("digits", ["model=cnn", "width=0.125", "epochs=2"], compare=False, seeds=[0], out=tmp_path / "s"))  # fmt: skip
    events = Events(tmp_path / "s")
    events.sync(Findings.of(study))
    events.close()
    (place,) = (path for path in (tmp_path / "s" / "events").rglob("seed-0"))
    found = EventAccumulator(str(place)).Reload()
    tags = set(found.Tags()["scalars"])
    assert {"meters/examples_per_second", "meters/peak_memory_mb", "seconds/train", "seconds/evaluation"} <= tags
    assert [event.step for event in found.Scalars("meters/examples_per_second")] == [12, 24]


def test_what_was_not_timed_has_no_value_of_a_meter(tmp_path: Path) -> None:
    """Its curve holds what the meters read; beside other runs it says nothing of speed."""
    study = carry_out(
        request("moons", ["epochs=2", "implementation=numpy"], compare=False, seeds=[0], out=tmp_path / "s")
    )
    (arm,) = study.arms
    read = [name for name in METERS if name in arm.runs[0].curve]
    assert read
    assert [values(study, arm, name) for name in read] == [[None]] * len(read)


class Cuda:
    """What a card does, on a clock of its own: kernels are asked for at once, and take a second each when waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.asked, self.peak = 0.0, 0, 0
        for name, stand_in in {
            "synchronize": self.wait,
            "max_memory_allocated": lambda: self.peak * 2**20,
            "max_memory_reserved": lambda: 2 * self.peak * 2**20,
            "reset_peak_memory_stats": lambda: setattr(self, "peak", 0),
            "current_device": lambda: 0,
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)
        monkeypatch.setattr(meters, "Nvml", lambda _: Card())

    def ask(self, megabytes: int) -> None:
        self.asked += 1
        self.peak = max(self.peak, megabytes)

    def wait(self) -> None:
        self.now += self.asked
        self.asked = 0


@pytest.mark.parametrize("save", [False, True])
def test_what_a_card_was_asked_for_in_training_is_trainings_time_and_memory(
    monkeypatch: pytest.MonkeyPatch, save: bool
) -> None:
    card = Cuda(monkeypatch)

    class Learner:
        """Steps ask for a kernel each, and an evaluation for one with more memory, which it waits for."""

        def evaluate(self, _: str) -> Scores:
            card.ask(900)
            card.wait()
            return Scores(1.0, {}, lambda: np.zeros((1, 1)))

        def clipping(self) -> dict[str, float]:
            return {}

        def confirm(self) -> None: ...
        def doubt(self) -> None: ...
        def state(self) -> bytes:
            return b""

    rows: list[Evaluation] = []
    saved: list[Checkpoint] = []
    taken = Meters("cuda")
    watch = Watch(
        evaluated=rows.append, splits=["test"], probes=SimpleNamespace(look=lambda _: None, state=lambda: b""),  # type: ignore[arg-type]
        metrics=[], meters=taken.read, pause=taken.pause, go_on=taken.go_on, save=saved.append,  # type: ignore[arg-type]
    )  # fmt: skip
    settings = resolve({"task": "moons", "implementation": "torch"})
    clock = Clock(watch, load(settings, 0), Learner(), settings, now=lambda: card.now)  # type: ignore[arg-type]
    for megabytes in (100, 300, 200):
        for _ in range(4):
            card.ask(megabytes)
        if save:
            clock.save(1)
        clock.evaluate(1)
    taken.close()
    assert [row.train_seconds for row in rows] == [4, 8, 12]
    assert [row.eval_seconds for row in rows] == [1, 2, 3]
    assert [row.meters["gpu_allocated_mb"] for row in rows] == [100, 300, 300]
    assert [row.meters["gpu_reserved_mb"] for row in rows] == [200, 600, 600]
    assert [one.train_seconds for one in saved] == ([4, 8, 12] if save else [])


def test_a_stacks_steps_are_waited_for_before_it_is_evaluated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On the processor, where nothing has to be waited for: that it would be."""
    told: list[str] = []
    scores = Stack.scores
    monkeypatch.setattr(stack, "synchronise", lambda device: told.append(f"waits for {device}"))
    monkeypatch.setattr(Stack, "scores", lambda self, split: (told.append(split), scores(self, split))[1])
    monkeypatch.setattr(Meters, "pause", lambda _: told.append("pause"))
    monkeypatch.setattr(Meters, "go_on", lambda _: told.append("go on"))
    paribus.train("moons", implementation="stacked", init="default", epochs=2, seeds=2, out=tmp_path / "s")
    assert told[-5:] == ["waits for cpu", "pause", "train", "test", "go on"]
