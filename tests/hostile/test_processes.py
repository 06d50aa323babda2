"""Commands whose surroundings give out: a closed pipe, a full disk, a signal, a process that is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from paribus.records.record import Status
from paribus.study.reading import read
from tests.helpers import ask, assert_same_curves, carry_out, command_of, statuses, wait_until

LONG = ["compare", "moons", "lr=0.1,0.2", "epochs=200000", "implementation=numpy", "--checkpoint-every", "0.1"]
SHORT = ["compare", "moons", "lr=0.1,0.2", "epochs=40", "eval_every=1", "--seeds", "6"]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "paribus", *words]


@contextmanager
def answered(name: str, how: signal.Handlers) -> Iterator[None]:
    """How a process that is started meanwhile answers a signal at first: `nohup` and background jobs have some ignored."""
    before = signal.signal(getattr(signal, name), how)
    try:
        yield
    finally:
        signal.signal(getattr(signal, name), before)


def started(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def nothing_is_left(processes: list[psutil.Process], folder: Path) -> None:
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert [command_of(one) for one in alive] == []
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("SIGTERM", []),
        ("SIGHUP", ["--jobs", "2"]),
        pytest.param("SIGTERM", ["--jobs", "2"], marks=pytest.mark.slow),
        pytest.param("SIGHUP", [], marks=pytest.mark.slow),
    ],
    ids=["alone", "workers", "term-workers", "hup-alone"],
)
def test_a_signal_ends_it_as_ctrl_c_does(tmp_path: Path, name: str, jobs: list[str]) -> None:
    """With 130, one line, what was recorded kept, and nothing that goes on beside it."""
    if not hasattr(signal, name):
        pytest.skip("no such signal here")
    with answered(name, signal.SIG_DFL):
        process = started(*LONG, *jobs, "--out", str(tmp_path / "s"))
    wait_until(lambda: Status.RUNNING in statuses(tmp_path / "s"), "a run")
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(getattr(signal, name))
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert said.rstrip().endswith("interrupted; the same command goes on with the runs that are missing")
    assert "Traceback" not in said
    nothing_is_left(children, tmp_path)
    assert Status.RUNNING not in statuses(tmp_path / "s")


@pytest.mark.slow
def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As `nohup` has it for SIGHUP."""
    words = ["compare", "moons", "lr=0.1,0.2", "epochs=400", "implementation=numpy", "--out", str(tmp_path / "s")]
    with answered("SIGHUP", signal.SIG_IGN):
        process = started(*words)
    wait_until(lambda: Status.RUNNING in statuses(tmp_path / "s"), "a run")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert set(statuses(tmp_path / "s")) == {Status.DONE}


def test_a_compiler_ends_with_who_started_it(tmp_path: Path) -> None:
    code = "import os, subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())])\nprint(child.pid, flush=True)\ntime.sleep(600)"
    child = "import sys, time; from paribus.process import end_with; end_with(int(sys.argv[1])); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", code, child], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    one = psutil.Process(int(parent.stdout.readline()))
    time.sleep(0.5)
    assert one.is_running()
    parent.kill()
    parent.communicate()
    try:
        nothing_is_left([one], tmp_path)
    finally:
        with suppress(psutil.NoSuchProcess):
            one.kill()


@pytest.mark.parametrize(
    "closed", ["reader", *(pytest.param(one, marks=pytest.mark.slow) for one in ("stdout", "all"))]
)
def test_who_hears_nothing_finds_everything_recorded(tmp_path: Path, closed: str) -> None:
    """`| head -1` and `>&-`: the work is done to its end, and no file takes the closed stream's place."""
    words = [*SHORT, "--out", str(tmp_path / "s")]
    if closed == "reader":
        process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        with process.stderr:
            said = process.stderr.read()
        assert (process.wait(), said) == (0, b"")
    else:
        how = ">&-" if closed == "stdout" else "<&- >&- 2>&-"
        line = f'exec "$@" {how}'
        done = subprocess.run(["sh", "-c", line, "sh", *command(*words)], capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "s" / "curves.png").exists()
    whole = carry_out(ask(tmp_path / "whole", " ".join(SHORT[1:5]), "6"))
    assert_same_curves(read(tmp_path / "s"), whole)


@pytest.fixture(
    params=[pytest.param(one, marks=pytest.mark.slow) for one in ("size=1m", "size=64k", "size=200k", "nr_inodes=20")]
    + ["nr_inodes=4"]
)
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk that is full soon."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(folder)], check=False)
    if done.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_one_sentence(full: Path, tmp_path: Path) -> None:
    """No traceback, exit status 2; what was recorded is kept, and goes on elsewhere to the same end."""
    words = ["compare", "moons", "lr=0.1,0.2", "epochs=300", "eval_every=1", "--seeds", "6"]
    done = subprocess.run(command(*words, "--out", str(full / "s")), capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stderr
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    if done.returncode:
        assert "paribus: " in done.stderr
    shutil.copytree(full / "s", tmp_path / "s")
    go_on = subprocess.run(command(*words, "--out", str(tmp_path / "s")), capture_output=True, text=True, check=False)
    assert go_on.returncode == 0, go_on.stderr
    assert_same_curves(read(tmp_path / "s"), carry_out(ask(tmp_path / "whole", " ".join(words[1:5]), "6")))
