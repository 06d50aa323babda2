"""TensorBoard itself, read through its HTTP interface while a run trains; and event files that follow the records."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from paribus.findings.findings import Findings, undecided
from paribus.records.record import Status
from paribus.report.tensorboard import Events, free_port, studies_under
from paribus.study.names import folder_name
from paribus.study.reading import read
from paribus.study.runner import carry_out
from tests.helpers import ask, runs


def scalars(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """What TensorBoard reads from event files: place -> tag -> (step, value)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for place in sorted({path.parent for path in folder.rglob("events.out*")}):
        accumulator = EventAccumulator(str(place), size_guidance={"scalars": 0})
        accumulator.Reload()
        tags = accumulator.Tags()["scalars"]
        found[place.relative_to(folder).as_posix()] = {
            tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in tags
        }
    return found


WORDS = "moons hidden=5,none epochs=12 eval_every=3 init=default"


def test_events_are_the_records(tmp_path: Path) -> None:
    study = carry_out(ask(tmp_path / "s", WORDS, "3"))
    events = Events(tmp_path / "s")
    events.sync(Findings.of(study))
    events.close()
    found = scalars(tmp_path / "s" / "events")
    curve = runs(study)["hidden=none", 1].curve
    assert [step for step, _ in found["hidden=none/seed-1"]["loss/train"]] == curve["step"].tolist()
    np.testing.assert_allclose([v for _, v in found["hidden=none/seed-1"]["accuracy/test"]], curve["test_accuracy"])
    every = np.stack([runs(study)["hidden=5", seed].curve["test_loss"] for seed in range(3)])
    np.testing.assert_allclose([v for _, v in found["hidden=5/mean"]["loss/test"]], every.mean(axis=0), rtol=1e-6)
    half = 4.302652729911275 * every.std(axis=0, ddof=1) / np.sqrt(3)  # t(0.975, 2)
    np.testing.assert_allclose([v for _, v in found["hidden=5/low"]["loss/test"]], every.mean(axis=0) - half, rtol=1e-5)
    assert set(found) == {
        f"hidden={h}/{p}" for h in ("5", "none") for p in ("seed-0", "seed-1", "seed-2", "mean", "low", "high")
    }


def test_events_written_twice_are_written_once(tmp_path: Path) -> None:
    asked = ask(tmp_path / "s", WORDS, "2")
    study = carry_out(asked)
    for _ in range(2):
        events = Events(tmp_path / "s")
        events.sync(Findings.of(study))
        events.sync(Findings.of(study))
        events.close()
    found = scalars(tmp_path / "s" / "events")
    assert all(len(points) == 4 for tags in found.values() for points in tags.values())


def test_a_run_made_again_replaces_its_events(tmp_path: Path) -> None:
    study = carry_out(ask(tmp_path / "s", WORDS, "1"))
    half = {name: values[:2] for name, values in study.arms[0].runs[0].curve.items()}
    killed = (
        study.arms[0].runs[0].__class__(**{**study.arms[0].runs[0].__dict__, "curve": half, "status": Status.RUNNING})
    )
    events = Events(tmp_path / "s")
    begun = study.__class__(
        **{**study.__dict__, "arms": [study.arms[0].__class__("hidden=5", study.arms[0].settings, [killed])]}
    )
    events.sync(Findings.of(begun))
    events.close()
    assert len(scalars(tmp_path / "s" / "events")["hidden=5/seed-0"]["loss/train"]) == 2
    events = Events(tmp_path / "s")
    events.sync(Findings.of(study))
    events.close()
    assert len(scalars(tmp_path / "s" / "events")["hidden=5/seed-0"]["loss/train"]) == 4


def eventually(ask_for: Callable[[], Any], seconds: float = 150) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := ask_for():
                return found
        except OSError:
            pass
        assert time.monotonic() < deadline, "nothing was served in time"
        time.sleep(0.3)


def served(address: str, path: str, body: dict[str, Any] | None = None) -> Any:
    content = json.dumps(body).encode() if body else None
    headers = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(f"{address}data/plugin/{path}", content, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_tensorboard_serves_a_run_while_it_trains(tmp_path: Path) -> None:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    folder = tmp_path / "runs" / "s"
    train = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "paribus",
            "train",
            "moons",
            "epochs=1000000",
            "implementation=numpy",
            "--out",
            str(folder),
            "--quiet",
        ],
        env=environment,
    )
    watch = None
    try:
        eventually(lambda: list(folder.rglob("events.out*")))
        watch = subprocess.Popen(
            [sys.executable, "-m", "paribus", "live", str(tmp_path / "runs")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
            start_new_session=True,
        )
        assert watch.stdout is not None
        said = [watch.stdout.readline() for _ in range(2)]
        address = re.search(r"http://localhost:\d+/", said[1])
        assert address, said
        at = address[0]
        run = "s/events/train/seed-0".replace("train/", f"{folder_of(folder)}/")
        tags = eventually(lambda: served(at, "scalars/tags").get(run))
        assert set(tags) >= {"loss/train", "accuracy/train", "loss/test", "accuracy/test"}
        query = f"scalars/scalars?run={run.replace('/', '%2F')}&tag=loss%2Ftrain"
        first = served(at, query)
        assert first[0][1] == 70
        eventually(lambda: len(served(at, query)) > len(first))
        assert eventually(lambda: served(at, "images/tags").get(run))
        groups = eventually(
            lambda: served(
                at,
                "hparams/session_groups",
                {
                    "experimentName": "",
                    "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
                    "colParams": [],
                    "startIndex": 0,
                    "sliceSize": 10,
                },
            ).get("sessionGroups")
        )
        assert groups[0]["hparams"]["optimizer.lr"] == 0.01
        assert runs(read(folder))["", 0].status is Status.RUNNING
        assert train.poll() is None
        for process in (train, watch):
            (os.killpg if process is watch else os.kill)(process.pid, signal.SIGINT)
            process.communicate(timeout=120)
    finally:
        for process in (train, watch):
            if process is not None and process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
                process.communicate()


def folder_of(folder: Path) -> str:
    (place,) = {path.parent.parent.name for path in folder.rglob("events.out*")}
    return place


def test_a_folder_without_a_study_cannot_be_watched(tmp_path: Path) -> None:
    assert studies_under(tmp_path) == []
    done = subprocess.run(
        [sys.executable, "-m", "paribus", "live", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "holds no study" in done.stderr


def test_a_taken_port_is_passed_over() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) > port


def test_nothing_is_put_into_a_folder_that_is_no_study_yet(tmp_path: Path) -> None:
    """Else a command killed in between would find its own folder taken."""
    follower = subprocess.Popen(
        [sys.executable, "-m", "paribus.report.tensorboard", str(tmp_path)], stdin=subprocess.PIPE
    )
    time.sleep(3)
    assert follower.poll() is None
    assert list(tmp_path.iterdir()) == []
    follower.communicate()
    assert follower.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_events_that_were_deleted_are_written_again(tmp_path: Path) -> None:
    study = carry_out(ask(tmp_path / "s", WORDS, "2"))
    for _ in range(2):
        events = Events(tmp_path / "s")
        events.sync(Findings.of(study))
        events.close()
        found = scalars(tmp_path / "s" / "events")
        assert len(found) == 2 * 5
        shutil.rmtree(tmp_path / "s" / "events" / "hidden=5")


def test_two_arms_never_share_a_folder(tmp_path: Path) -> None:
    study = carry_out(ask(tmp_path / "s", WORDS, "1"))
    named = [replace(arm, name=name) for arm, name in zip(study.arms, ("a b", "a-b"), strict=True)]
    events = Events(tmp_path / "s")
    events.sync(Findings.of(replace(study, arms=named)))
    events.close()
    assert len({path.parent for path in (tmp_path / "s" / "events").rglob("events.out*")}) == 2


def test_seeds_until_decided_are_told(tmp_path: Path) -> None:
    """After how many seeds each pair ended, and the band of arms that have as many as they took."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "s"
    study = carry_out(ask(folder, "moons optimizer=adam,sgd lr=0.01 epochs=3", "6..9"), undecided=undecided)
    found = Findings.of(study)
    assert found.decided is not None
    assert len(study.arms[0].runs) < 9
    events = Events(folder)
    events.sync(found)
    events.close()
    accumulator = EventAccumulator(str(folder / "events" / "decided"))
    accumulator.Reload()
    (tag,) = accumulator.Tags()["tensors"]
    (event,) = accumulator.Tensors(tag)
    assert event.tensor_proto.string_val[0].decode() == found.decided
    assert "instead of" in found.decided
    assert (folder / "events" / folder_name(study.arms[0].name) / "mean").is_dir()
