"""The import of CIFAR-10: downloads, what is written and what an end in the middle leaves, and the command."""

from __future__ import annotations

import errno
import functools
import gc
import http.server
import io
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from rich.console import Console
from typer.testing import CliRunner

from paribus import cli
from paribus.report.terminal.progress import DownloadBar
from paribus.tasks import cifar10
from paribus.tasks.cifar10 import DataError, get, stored
from tests import cifar10_copies
from tests.cifar10_copies import HTML, IMAGES, TINY, N, Recorder, batches, contents, official, packed, put, refused

home, made = cifar10_copies.home, cifar10_copies.made

# Downloads


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An address, and the folder that is served there; a file named *.short is promised longer than it is."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

        def send_header(self, keyword: str, value: str) -> None:
            longer = keyword == "Content-Length" and self.path.endswith(".short")
            super().send_header(keyword, str(int(value) + 1000) if longer else value)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}/", folder
        serving.shutdown()
        thread.join()


def test_a_download_is_imported_and_shown(made: Path, server: tuple[str, Path], home: Path) -> None:
    url, served = server
    archive = packed(batches(made, "binary")).rename(served / "a.tar.gz")
    said, bar = list[str](), Recorder()
    get(None, said.append, bar, official(archive, url=url + "a.tar.gz"))
    np.testing.assert_array_equal(stored().images, IMAGES)
    assert stored().original is True
    assert contents(home) == {"cifar10"}
    assert {path.name for path in (home / "cifar10").iterdir()} == {"images.npy", "labels.npy", "card.json"}
    assert said == [f"downloading {url}a.tar.gz (170 MB)", "reading it"]
    size = archive.stat().st_size
    assert ("close", size) in bar.calls
    before = bar.calls[: bar.calls.index(("reset", 0))]
    assert sum(n for _, n in before) >= size  # pooch counts whole chunks
    assert bar.total == 6 * N


@pytest.mark.parametrize("what", ["page", "python archive", "short", "none"])
def test_a_download_of_something_else(what: str, made: Path, server: tuple[str, Path]) -> None:
    url, served = server
    archive = packed(batches(made, "binary"))
    known = official(archive, url=f"{url}a.{what}")
    if what == "page":
        put(served / "a.page", HTML)
        expected = f"{url}a.page is a web page (it begins with b'<!DOCTYPE html>'): expected cifar-10-binary.tar.gz"
    elif what == "python archive":  # official, and not what was asked for
        other = packed(batches(made, "python2")).rename(served / "a.python archive")
        known = official(archive, other, url=f"{url}a.python%20archive")
        expected = f"{url}a.python%20archive is another file: expected cifar-10-binary.tar.gz"
    elif what == "short":
        archive.rename(served / "a.short")
        expected = f"{url}a.short cannot be downloaded: "
    else:
        expected = f"{url}a.none cannot be downloaded: 404 Client Error: File not found"
    assert refused(None, known).startswith(expected)
    gc.collect()  # a connection that was left open says so now


def test_no_network() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = refused(None, replace(TINY, url=f"http://127.0.0.1:{port}/a.tar.gz"))
    assert message == (
        f"http://127.0.0.1:{port}/a.tar.gz cannot be downloaded: [Errno {errno.ECONNREFUSED}] Connection refused; "
        "a copy from elsewhere is imported with `paribus data get cifar10 --from PATH`"
    )


# Writing


def test_a_disk_that_takes_no_more(made: Path, home: Path) -> None:
    source = batches(made, "binary")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, usual[1]))  # the images take 368,640 bytes
    try:
        message = refused(source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert message == (
        f"{home} cannot be written: File too large; nothing was imported. PARIBUS_DATA=FOLDER names another folder for data"
    )
    get(source, [].append, None, TINY)
    assert len(stored().images) == 6 * N


@pytest.mark.parametrize("inner", ["", "inner"])
def test_a_data_folder_that_cannot_be(inner: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIBUS_DATA", str(put(tmp_path / "file", b"") / inner))
    with pytest.raises(DataError, match=r"file.* cannot be written: .*PARIBUS_DATA=FOLDER names another"):
        get(batches(made, "binary"), [].append, None, TINY)


def test_a_folder_that_may_not_be_written(made: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = batches(made, "binary")

    def forbidden(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "replace", forbidden)
    assert f"{home / 'cifar10.part-'}{os.getpid()} cannot be written: Permission denied" in refused(source)


def test_ctrl_c_leaves_nothing(made: Path, home: Path) -> None:
    def interrupt() -> None:
        assert contents(home) == {f"cifar10.part-{os.getpid()}"}
        raise KeyboardInterrupt

    bar = Recorder(interrupt)
    with pytest.raises(KeyboardInterrupt):
        get(batches(made, "binary"), [].append, bar, TINY)
    assert contents(home) == set()
    assert bar.calls[-1][0] == "close"


def test_after_a_kill_the_next_import_starts_clean(made: Path, home: Path) -> None:
    source = batches(made, "binary")
    script = f"""
import os, time
from dataclasses import replace
from pathlib import Path
from paribus.tasks.cifar10 import OFFICIAL, get
def stop(_):
    print("writing", flush=True)
    time.sleep(60)
os.fsync = stop
get(Path({str(source)!r}), lambda line: None, None, replace(OFFICIAL, batch={N}))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        os.kill(child.pid, signal.SIGKILL)
    left = home / f"cifar10.part-{child.pid}"
    assert (left / "images.npy").stat().st_size > 0
    with pytest.raises(DataError, match="cifar10 is not on this machine"):
        stored()
    get(source, [].append, None, TINY)
    assert contents(home) == {"cifar10"}
    np.testing.assert_array_equal(stored().images, IMAGES)


def test_one_import_at_a_time(made: Path, home: Path) -> None:
    home.mkdir()
    said, waiting = list[str](), threading.Event()

    def say(line: str) -> None:
        said.append(line)
        waiting.set()

    source = batches(made, "binary")
    with FileLock(home / "cifar10.lock"):
        thread = threading.Thread(target=get, args=(source, say, None, TINY))
        thread.start()
        assert waiting.wait(10)
        assert contents(home) == set()
    thread.join(10)
    assert said == ["another import is under way: waiting for it to end", f"reading {source}"]
    assert len(stored().labels) == 6 * N


# The command


@pytest.fixture
def tiny_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "get", functools.partial(get, official=TINY))


@pytest.mark.usefixtures("tiny_command")
def test_the_command_says_where_and_what(made: Path, home: Path) -> None:
    source = batches(made, "binary")
    done = CliRunner().invoke(cli.app, ["data", "get", "cifar10", "--from", str(source)])
    assert done.exit_code == 0, done.output
    line = f"cifar10 is in {home / 'cifar10'}: CIFAR-10, binary batches from a folder: whether the pixels are the original's is not known\n"
    assert done.stdout == line
    assert done.stderr == f"reading {source}\n"
    again = CliRunner().invoke(cli.app, ["data", "get", "cifar10", "--from", str(source)])
    assert (again.exit_code, again.stdout) == (0, line)
    assert "is there already, and whole; to replace it, delete that folder" in again.stderr
    quiet = CliRunner().invoke(cli.app, ["data", "get", "cifar10", "--from", str(source), "--quiet"])
    assert (quiet.exit_code, quiet.output) == (0, "")


@pytest.mark.usefixtures("tiny_command")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["imagenet"], "paribus: there are no data 'imagenet' to get: there is cifar10\n"),
        (["cifar100"], "paribus: there are no data 'cifar100' to get: did you mean 'cifar10'?\n"),
        (
            ["cifar10", "--from", "/nowhere"],
            "paribus: /nowhere does not exist: expected an archive or a folder of CIFAR-10\n",
        ),
    ],
)
def test_the_command_refuses(words: list[str], said: str) -> None:
    done = CliRunner().invoke(cli.app, ["data", "get", *words])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.endswith(said)


def test_the_command_interrupted_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cifar10, "get", interrupted)
    done = CliRunner().invoke(cli.app, ["data", "get", "cifar10"])
    assert (done.exit_code, done.stderr) == (130, "interrupted; nothing was imported\n")


def test_the_bar_is_drawn_and_can_be_used_again() -> None:
    drawn = io.StringIO()
    bar = DownloadBar(Console(file=drawn, force_terminal=True, width=80))
    for total, chunks in ((0, 0), (1000, 4), (300, 3)):  # as pooch does with an empty file and another
        bar.total = total
        for _ in range(chunks):
            bar.update(total / chunks)
        bar.reset()
        bar.update(total)
        bar.close()
        bar.close()
    assert drawn.getvalue().count("100%") >= 2
