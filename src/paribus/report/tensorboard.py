"""TensorBoard event files, made from the records by one background writer.

The writer is a process of its own that reads the store every two seconds: training never waits for it. Events are
derived: where they are missing or behind, they are written again from the records, and nothing is lost with them.

    FOLDER/events/ARM/seed-0           scalars as they come, settings and how the run ended (HParams), pictures
    FOLDER/events/ARM/mean, low, high  once all of an arm's runs have come so far: the mean over seeds and its 95 % band
    FOLDER/events/decided              of seeds until decided: after how many pairs ended, and what that saved (text)

`python -m paribus.report.tensorboard FOLDER` follows a study until its standard input is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from paribus.extras import installed, need
from paribus.findings.findings import Findings
from paribus.records.files import leads_out, replacing
from paribus.records.metrics import METERS, split_of
from paribus.records.record import ArmRecord, RunRecord, Status
from paribus.report.files.curves import arm_picture
from paribus.report.files.regression import run_pictures
from paribus.study.names import folder_name
from paribus.study.reading import read
from paribus.study.store import FILE, StoreError

if TYPE_CHECKING:
    from tensorboard.summary.writer.record_writer import RecordWriter

EVENTS = "events"
LIVE_RUNS = 50
"""Larger studies get their events on demand, by `paribus live`."""

_SECONDS = 2.0
_STATE = "written.json"
DECIDED = "decided"


class LinkError(StoreError):
    """A study's folder holds a link that leads out of it, where something is to be written."""


class Events:
    """The event files of one study, brought up to its records by each `sync`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._events = folder, folder / EVENTS
        self._state_file = self._events / _STATE
        self._files: dict[Path, RecordWriter] = {}
        self._rows: dict[str, int] = self._read_state()  # what stands in the files of a run that was done: kept
        self._begun: dict[str, int] = {}  # what this writer wrote
        self._decided = ""

    def sync(self, findings: Findings) -> None:
        """Write what the records have and the event files have not."""
        study, tags = findings.study, _tags(findings)
        taken: set[str] = set()
        for arm in study.arms:
            name = folder_name(arm.name or study.name)
            while name.lower() in taken:  # two names may be one to a file system
                name += "+"
            taken.add(name.lower())
            place = self._events / name
            for run in arm.runs:
                self._sync_run(arm, run, place / f"seed-{run.seed}", tags=tags, called=arm.name or study.name)
            self._sync_band(findings, arm, place, tags)
        if findings.decided is not None and findings.decided != self._decided:
            self._decided = findings.decided
            self._fresh(self._events / DECIDED)
            self._write(self._events / DECIDED, 0, time.time(), _text("seeds until decided", findings.decided))
        for file in self._files.values():
            file.flush()
        self._events.mkdir(exist_ok=True)
        with replacing(self._state_file) as part:
            part.write_text(json.dumps(self._rows), encoding="utf-8")

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files.values():
            file.close()

    def _sync_run(self, arm: ArmRecord, run: RunRecord, place: Path, *, tags: Mapping[str, str], called: str) -> None:
        key = f"{place.relative_to(self._events).as_posix()} attempt {run.attempt}"
        rows = len(run.curve.get("step", ()))
        ended = run.status is not Status.RUNNING
        if key not in self._begun:
            if self._rows.get(key) == rows and ended and place.is_dir():
                return  # written whole by an earlier writer
            self._fresh(place)
            self._write(place, 0, run.started, _session_start(arm, run))
            self._picture(arm, run, place, called, step=0, done=False)
            self._begun[key] = 0
        for i in range(self._begun[key], rows):
            seconds = run.curve["train_seconds"][i] + run.curve["eval_seconds"][i]
            scalars = {tag: float(run.curve[name][i]) for name, tag in tags.items() if name in run.curve}
            self._write(place, int(run.curve["step"][i]), run.started + float(seconds), _scalars(scalars))
        self._begun[key] = rows
        if ended and place in self._files:
            self._picture(arm, run, place, called, step=int(run.curve["step"][-1]) if rows else 0, done=True)
            self._write(place, 0, time.time(), _session_end(run))
            self._files.pop(place).close()
            self._rows[key] = rows

    def _sync_band(self, findings: Findings, arm: ArmRecord, place: Path, tags: Mapping[str, str]) -> None:
        """Mean, and the ends of its 95 % interval, at the evaluations that every run of the arm has come to."""
        runs = [run for run in arm.runs if run.status in (Status.RUNNING, Status.DONE)]
        # of seeds until decided an arm has as many as it took
        if len(runs) < 2 or len(arm.runs) < (findings.study.least or len(findings.study.seeds)):
            return
        rows = min(len(run.curve.get("step", ())) for run in runs)
        key = f"{place.relative_to(self._events).as_posix()} band of {len(runs)}"
        if key not in self._begun:
            whole = all(run.status is Status.DONE for run in runs)
            if self._rows.get(key) == rows and whole and (place / "mean").is_dir():
                return
            for name in ("mean", "low", "high"):
                self._fresh(place / name)
            self._begun[key] = 0
        for i in range(self._begun[key], rows):
            band: dict[str, dict[str, float]] = {"mean": {}, "low": {}, "high": {}}
            for name, tag in tags.items():
                if all(name in run.curve for run in runs):
                    found = findings.at_evaluation(runs, name, i)
                    if found.mean is None or found.ci95 is None:  # a metric that is not defined there
                        continue
                    band["mean"][tag], (band["low"][tag], band["high"][tag]) = found.mean, found.ci95
            for name, scalars in band.items():
                self._write(place / name, int(runs[0].curve["step"][i]), runs[0].started + i, _scalars(scalars))
        self._begun[key] = rows
        if all(run.status is Status.DONE for run in runs):
            self._rows[key] = rows
            for name in ("mean", "low", "high"):
                if place / name in self._files:
                    self._files.pop(place / name).close()

    def _picture(self, arm: ArmRecord, run: RunRecord, place: Path, called: str, *, step: int, done: bool) -> None:
        """Of the arm's first run: the data as the run begins, and its decision boundary when it is done; of numbers to
        predict, when it is done, residuals and fitted curve."""
        if run is not arm.runs[0]:
            return
        content = arm_picture(called, run)
        if content is not None:
            self._write(place, step, time.time(), _image("data and decision boundary", content))
        for title, png in run_pictures(called, run) if done else ():
            self._write(place, step, time.time(), _image(title, png))

    def _fresh(self, place: Path) -> None:
        if place in self._files:
            self._files.pop(place).close()
        self._must_lie_inside(place)
        shutil.rmtree(place, ignore_errors=True)

    def _must_lie_inside(self, place: Path) -> None:
        """In a folder that was received, a link may lead to what is not to be written, or removed."""
        if leads_out(place, self._folder):
            raise LinkError(
                f"{place} leads out of the study's folder, by a link: remove the link to have events written"
            )

    def _write(self, place: Path, step: int, wall_time: float, summary: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        file = self._files.get(place)
        if file is None:
            self._must_lie_inside(place)
            self._events.mkdir(exist_ok=True)  # of a folder that is not there any more none is made
            place.mkdir(parents=True, exist_ok=True)
            stream = (place / f"events.out.tfevents.{time.time():.6f}.paribus").open("ab")
            file = self._files[place] = RecordWriter(stream)
            file.write(Event(wall_time=wall_time, file_version="brain.Event:2").SerializeToString())
        file.write(Event(wall_time=wall_time, step=step, summary=summary).SerializeToString())

    def _read_state(self) -> dict[str, int]:
        try:
            state: dict[str, int] = json.loads(self._state_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return state


def _tags(findings: Findings) -> dict[str, str]:
    """A curve's column -> its name in TensorBoard, which groups by what stands before the slash."""
    tags = {
        name: f"{what}/{split}" if split else what for name in findings.measured for split, what in [split_of(name)]
    }
    recorded = {column for arm in findings.study.arms for run in arm.runs for column in run.curve}
    metered = {name: f"meters/{name}" for name in METERS if name in recorded}
    if metered:
        metered |= {"train_seconds": "seconds/train", "eval_seconds": "seconds/evaluation"}
    return tags | metered


def _text(tag: str, text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    content = TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=shape)
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    return Summary(value=[Summary.Value(tag=tag, tensor=content, metadata=metadata)])


def _scalars(values: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])


def _image(tag: str, png: bytes) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=tag, image=image)])


def _session_start(arm: ArmRecord, run: RunRecord) -> Any:
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    return hparams_pb(
        {**arm.settings, "seed": run.seed}, trial_id=f"{arm.name} seed {run.seed}", start_time_secs=run.started
    )


def _session_end(run: RunRecord) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_SUCCESS if run.status is Status.DONE else api_pb2.STATUS_FAILURE
    ended = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    described = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=ended))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=described, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])


def follow(folder: Path) -> None:
    """Keep a study's event files up to its records until standard input is closed, as it is when the driver is gone.

    Returns at once where another writer is at it.
    """
    ended = threading.Event()
    threading.Thread(target=_wait_for_end_of_input, args=(ended,), daemon=True).start()
    while not (folder / FILE).is_file():  # until then the folder is no study's: nothing is put into it
        if ended.wait(_SECONDS / 10):
            return
    (folder / EVENTS).mkdir(exist_ok=True)
    guard = FileLock(folder / EVENTS / ".lock")
    try:
        guard.acquire(timeout=0)
    except Timeout:
        return
    if hasattr(os, "nice"):
        os.nice(10)  # training comes first
    events = Events(folder)
    try:
        last = False
        while not last:
            last = ended.wait(_SECONDS)  # and once more after the end
            try:
                events.sync(Findings.of(read(folder)))
            except LinkError as error:
                sys.exit(str(error))
            except StoreError:  # nothing is recorded yet
                continue
            except FileNotFoundError:
                if folder.is_dir():
                    raise
                return  # it was removed or renamed: who carries the study out says so
    finally:
        try:
            events.close()
        finally:
            guard.release()


def _wait_for_end_of_input(ended: threading.Event) -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    ended.set()


class Follower:
    """The writer in its own process, for as long as the block lasts and until it has written the rest."""

    def __init__(self, folder: Path, runs: int) -> None:
        self._folder, self._wanted = folder, 0 < runs <= LIVE_RUNS and installed("tensorboard")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Follower:
        if self._wanted:
            # -P: a file in the current folder that is called as a library's is not taken for it
            command = [sys.executable, "-P", "-m", "paribus.report.tensorboard", str(self._folder)]
            self._process = subprocess.Popen(  # out of the terminal's reach: Ctrl-C is the driver's to answer
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()


_BOARD = """
import sys
from paribus.process import end_with
end_with(int(sys.argv.pop(1)))
from tensorboard.main import run_main
run_main()
"""
"""TensorBoard, which ends when whoever started it is gone."""


def studies_under(folder: Path) -> list[Path]:
    """The folder itself, or those in it, that hold a study."""
    return [path for path in (folder, *sorted(folder.glob("*/"))) if (path / FILE).is_file()]


def serve(folder: Path, port: int, say: Callable[[str], None]) -> int:
    """Bring the events of every study under the folder up to date, and run TensorBoard on it until it ends."""
    need("paribus live", "tensorboard")
    studies = studies_under(folder)
    if not studies:
        raise StoreError(f"{folder} holds no study: there is no {FILE} in it or in its folders")
    with contextlib.ExitStack() as following:
        for study in studies:
            say(f"events of {study}")
            following.enter_context(Follower(study, runs=1))  # asked for: however many runs there are
        port = free_port(port)
        say(f"TensorBoard: http://localhost:{port}/ (Ctrl-C ends it)")
        command = [sys.executable, "-P", "-c", _BOARD, str(os.getpid()), "--logdir", str(folder), "--port", str(port)]
        board = subprocess.Popen([*command, "--reload_interval", "2"])
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            return board.wait()
        finally:
            board.terminate()
            board.wait()


def free_port(port: int) -> int:
    """The first free port from this one on."""
    for candidate in range(port, port + 100):
        with socket.socket() as trial:
            if trial.connect_ex(("localhost", candidate)) != 0:
                return candidate
    raise StoreError(f"--port {port}: it and the 99 after it are in use; choose another")


if __name__ == "__main__":
    try:
        follow(Path(sys.argv[1]))
    except OSError as error:  # a full disk: the study goes on without its events
        sys.exit(f"paribus: events for TensorBoard cannot be written: {error.strerror or error}; the study is recorded")
