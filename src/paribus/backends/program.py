"""Any program as a user's loop: it is started once a run, and says its numbers in lines of JSON or in a file.

    python train.py --lr {lr} --seed {seed}

`{seed}` is the run's seed, `{output}` a folder of its own; every other name in braces is a setting, and `{{name}}` is
that word in braces. No shell stands
between, unless it is asked for: a word with spaces or signs is one argument.
"""

from __future__ import annotations

import csv
import hashlib
import inspect
import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO, Any, ClassVar

from paribus.backends.loop_run import LoopError, LoopRun, ReturnedError
from paribus.backends.program_events import event_files, event_rows
from paribus.config.overrides import SettingsError
from paribus.config.user_code import UserDefined
from paribus.config.values import format_value

_PLACE = re.compile(r"(?<!\{)\{([A-Za-z_]\w*)\}(?!\})")
_ESCAPED = re.compile(r"\{(\{\w*\})\}")
_OURS = ("seed", "output")
_MOST_LINE = 2**16
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_MOST_KEPT = 2**20
"""Bytes of the output's beginning that are kept, and of its end."""

_TIMES = ("step", "epoch")
_SETTINGS = ("seed", "arm", "status", "attempt")
LOG = "output.txt"


@dataclass(frozen=True)
class Program:
    """A command line. `reads`: a file with the metrics, or a folder or a pattern of TensorBoard's event files, in which
    places are filled as in the command; `timeout`:
    seconds after which it is ended; `retries`: how often it is started again where it fails; `shell`: whether a shell
    reads it.

    >>> [name for name in Program("python train.py --lr {lr} --seed {seed}").__signature__.parameters]
    ['run', 'lr']
    """

    command: str
    reads: str | None = None
    timeout: float | None = None
    retries: int = 0
    shell: bool = False

    elsewhere: ClassVar[bool] = True
    """It runs in a process of its own: what it draws from is not seen."""

    @property
    def __signature__(self) -> inspect.Signature:
        """The settings are its parameters, so that it is looked at as a function is."""
        named = dict.fromkeys(_PLACE.findall(f"{self.command} {self.reads or ''}"))
        found = [inspect.Parameter("run", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        found += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in named if name not in _OURS]
        return inspect.Signature(found)

    def __call__(self, run: LoopRun, **settings: Any) -> dict[str, Any] | None:
        values = {**{name: format_value(one) for name, one in settings.items()}, "seed": str(run.seed)}
        if _PLACE.search(self.command.replace("{seed}", "")) or self.reads:
            values["output"] = str(run.output)
        path = None if self.reads is None else Path(_filled(self.reads, values))
        before = {} if path is None else {one: _seen(one) for one in (path, *(event_files(path) or ()))}
        output = self._carried_out(run, values)
        if path is not None:
            for row in _written(path, before, alone=not run.epochs):
                _log(run, row)
        if not run.epochs:
            hint = "; one that stands in the middle of a line is not read" if output.inside else ""
            raise ReturnedError(f'it said no metric: it has to print a line of JSON, as {{"val_loss": 0.5}}{hint}')
        return None

    def _carried_out(self, run: LoopRun, values: Mapping[str, str]) -> _Output:
        """Once, or again where it fails. What an attempt that failed has said and written is no part of the run."""
        for attempt in range(self.retries + 1):
            rows: list[dict[str, Any]] | None = [] if self.retries else None
            try:
                output = self._once(run, values, rows, last_try=attempt == self.retries)
            except _AgainError:
                shutil.rmtree(values["output"], ignore_errors=True) if "output" in values else None
                continue
            for row in rows or ():
                _log(run, row)
            return output
        raise AssertionError("the last attempt succeeds or raises")

    def _once(
        self, run: LoopRun, values: Mapping[str, str], rows: list[dict[str, Any]] | None, *, last_try: bool
    ) -> _Output:
        """`rows`: what it says is kept there, instead of being logged at once."""
        if "output" in values:
            Path(values["output"]).mkdir(parents=True, exist_ok=True)
        words: str | list[str]
        words = (
            _filled(self.command, {name: shlex.quote(one) for name, one in values.items()})
            if self.shell
            else [_filled(word, values) for word in shlex.split(self.command)]
        )
        threads = {name: str(run.threads) for name in _THREADS if name not in os.environ}
        environment = {**os.environ, **threads, "PARIBUS_SEED": str(run.seed), "PYTHONUNBUFFERED": "1"}
        try:
            process = subprocess.Popen(
                words, shell=self.shell, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=environment, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise LoopError(f"{words if self.shell else words[0]} cannot be started: {error.strerror}") from None
        assert process.stdout is not None
        assert process.stderr is not None
        output = _Output(process.stdout, process.stderr)
        try:
            self._follow(process, output, run, rows)
        finally:
            _end(process)
            output.close()
            _keep(run, output)
        if process.returncode:
            how = f"exit status {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
            if not last_try:
                raise _AgainError
            raise LoopError(f"it ended with {how}: {output.last_line or 'it printed nothing'}")
        return output

    def _follow(
        self,
        process: subprocess.Popen[bytes],
        output: _Output,
        run: LoopRun,
        rows: list[dict[str, Any]] | None,
    ) -> None:
        """Log what it says, until it ends or its time is over."""
        until = None if self.timeout is None else monotonic() + self.timeout
        while True:
            left = 0.2 if until is None else min(0.2, until - monotonic())
            if left <= 0:
                _end(process)
                raise LoopError(f"it took longer than {self.timeout:g} s, its time limit")
            for row in output.rows(left):
                _log(run, row) if rows is None else rows.append(row)
            if process.poll() is not None:
                output.join()
                for row in output.rows(0.0):
                    _log(run, row) if rows is None else rows.append(row)
                return


class _AgainError(Exception):
    """It failed, and may be started once more."""


class _Output:
    """What a program prints, read by threads: the rows of its standard output, and the beginning and the end of all.
    `inside`: whether a JSON object stood in the middle of a line."""

    def __init__(self, out: IO[bytes], errors: IO[bytes]) -> None:
        self._rows, self._lock = queue.SimpleQueue[dict[str, Any]](), threading.Lock()
        self.head, self.tail, self.size, self.inside = bytearray(), deque[bytes](), 0, False
        self._tail_size = 0
        self._last = {True: "", False: ""}  # of its standard output, and of its standard error
        self._pipes = (out, errors)
        self._threads = [
            threading.Thread(target=self._read, args=(pipe,), kwargs={"rows": pipe is out}, daemon=True)
            for pipe in self._pipes
        ]
        for thread in self._threads:
            thread.start()

    @property
    def last_line(self) -> str:
        """Of its standard error, where it said anything there: that is why it failed."""
        return self._last[False] or self._last[True]

    def rows(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Those that came in; waits so long for the first."""
        try:
            yield self._rows.get(timeout=seconds) if seconds > 0 else self._rows.get_nowait()
            while True:
                yield self._rows.get_nowait()
        except queue.Empty:
            return

    def join(self) -> None:
        """Wait for the rest. A child that it left may hold its output open for ever."""
        for thread in self._threads:
            thread.join(timeout=2.0)

    def close(self) -> None:
        """When it is over."""
        self.join()
        for thread, pipe in zip(self._threads, self._pipes, strict=True):
            if not thread.is_alive():
                pipe.close()

    def _read(self, pipe: IO[bytes], *, rows: bool) -> None:
        while line := pipe.readline(_MOST_LINE):
            with self._lock:
                self._keep(line)
            for part in line.decode("utf-8", "replace").split("\r"):  # a progress bar goes back to the line's beginning
                text = part.strip()
                self._last[rows] = text[:300] or self._last[rows]
                if rows and text.startswith("{") and (row := _numbers(text)):
                    self._rows.put(row)
                elif rows and "{" in text:
                    self.inside = True

    def _keep(self, line: bytes) -> None:
        self.size += len(line)
        if len(self.head) < _MOST_KEPT:
            self.head += line
            return
        self.tail.append(line)
        self._tail_size += len(line)
        while self._tail_size > _MOST_KEPT:
            self._tail_size -= len(self.tail.popleft())


def _seen(path: Path) -> tuple[int, int, int] | None:
    """What tells whether a file was written since."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _numbers(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return _plain(found) if isinstance(found, dict) else {}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a row; its seed and what else Paribus knows of it are left out."""
    return {
        name: one
        for name, one in row.items()
        if isinstance(one, int | float) and not isinstance(one, bool) and name not in _SETTINGS
    }


def _log(run: LoopRun, row: Mapping[str, Any]) -> None:
    metrics = {name: one for name, one in row.items() if name not in _TIMES}
    if metrics:
        run.log(epoch=row.get("epoch"), step=int(row["step"]) if "step" in row else None, **metrics)


def _written(path: Path, before: Mapping[Path, Any], *, alone: bool) -> Iterator[dict[str, Any]]:
    """What stands in the file, or in the event files, that were written since. `alone`: it printed no metric."""
    events = event_files(path)
    files = [one for one in ([path] if events is None else events) if _seen(one) not in (None, before.get(one))]
    if not files:
        what = "" if events is None else " TensorBoard's event files in"
        raise LoopError(f"it ended, and did not write{what} {path}, from which its metrics are to be read")
    if events is None:
        yield from _rows_of(path)
        return
    if not alone:
        raise LoopError(
            f"it printed metrics as lines of JSON, and wrote {files[0]}: leave --metrics-file out, or these"
        )
    for row in event_rows(files):
        yield _plain(row)


def _rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Of a file of JSON (one object, or a list of them), of lines of JSON, or of a table with a row for each point."""
    text = path.read_text("utf-8-sig")
    if path.suffix.lower() == ".csv":
        for line in csv.DictReader(text.splitlines()):
            yield _plain({name: _number(cell) for name, cell in line.items() if name is not None})
        return
    try:
        found = json.loads(text)
    except ValueError:
        for one in text.splitlines():
            yield _numbers(one)
        return
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, dict):
            yield _plain(one)


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return cell


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _ESCAPED.sub(r"\1", _PLACE.sub(lambda found: values.get(found[1], found[0]), text))


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started, whatever it listens to."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _keep(run: LoopRun, output: _Output) -> None:
    """What it printed, in the run's own folder."""
    if not output.size:
        return
    cut = output.size - len(output.head) - sum(map(len, output.tail))
    gap = f"\n... {cut:,} bytes are left out ...\n".encode() if cut else b""
    (run.output / LOG).write_bytes(bytes(output.head) + gap + b"".join(output.tail))


def program(given: Program, name: str = "command") -> UserDefined:
    """A command line as a loop. Its fingerprint covers the files that it names, as `train.py`. SettingsError for one
    without `{seed}`."""
    try:
        words = shlex.split(given.command)
    except ValueError as error:
        raise SettingsError([f"--command {given.command!r} is not allowed: {error}"]) from None
    if not words:
        raise SettingsError(["--command is empty: write a program's command line, as in python train.py --seed {seed}"])
    if "{seed}" not in given.command:
        raise SettingsError(
            [
                f"--command {given.command!r} has no {{seed}}: every run has a seed of its own, which the program "
                "has to be given, as in --seed {seed}"
            ]
        )
    digest = hashlib.sha256(json.dumps([given.command, given.reads, given.shell]).encode())
    for word in words:
        path = Path(word)
        if path.is_file() and path.stat().st_size < 2**24:
            digest.update(path.read_bytes())
    return UserDefined(name=name, fingerprint=digest.hexdigest(), thing=given)
