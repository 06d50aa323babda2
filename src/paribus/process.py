"""What a command owes to whoever started it: a pipe that is closed and a signal that ends it are answered in order."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

_ENDING = ("SIGTERM", "SIGHUP")


class Unheard:
    """A stream that nobody may be reading any more, as after `| head -1`: what is left to say is dropped then, and the
    work goes on to its end.

    >>> said = Unheard(io.StringIO())
    >>> said.write("heard")
    5
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As the stream does."""
        with self._dropped():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As the stream does."""
        with self._dropped():
            self._stream.flush()

    @contextlib.contextmanager
    def _dropped(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._drop()
        except OSError as error:
            if error.errno != errno.EIO:  # of a terminal that is gone
                raise
            self._drop()

    def _drop(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def listen() -> None:
    """Show what a terminal cannot show by another sign; outlive a closed pipe; end on SIGTERM and SIGHUP as on Ctrl-C:
    what trains beside is stopped, and what was recorded is kept. A signal that was ignored stays ignored (`nohup`)."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # it was closed: the next file that is opened would take its place, and its text
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", closefd=False))
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
        setattr(sys, name, Unheard(stream))
    if threading.current_thread() is threading.main_thread():
        for known in (getattr(signal, name, None) for name in _ENDING):
            if known is not None and signal.getsignal(known) is signal.SIG_DFL:
                signal.signal(known, _end)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def end_with(parent: int) -> None:
    """End this process when the one that started it is gone, however it went."""

    if os.name != "posix":  # a launcher stands between the two on Windows
        return

    def watch() -> None:
        while os.getppid() == parent:
            gone.wait(1.0)
        os._exit(1)

    gone = threading.Event()
    threading.Thread(target=watch, daemon=True).start()
