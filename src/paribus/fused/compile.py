"""The first compile of the loops, which takes a while and is told of.

It is done once for a machine and a precision, in a process of its own that does nothing else, and every process then
loads the result: so all of them run the same code, to the last bit.

    python -m paribus.fused.compile float32 FOLDER
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock

from paribus.core.record import TaskCard
from paribus.core.words import build
from paribus.fused import engine
from paribus.fused.compiled import FOLDER
from paribus.tasks.task import Split, Task

_done: set[str] = set()
_guard = threading.Lock()


def ready(precision: str, say: Callable[[str], None]) -> None:
    """Compile the loops for a precision, or load them where that was done before on this machine."""
    with _guard:
        if precision in _done:
            return
        folder = FOLDER and FOLDER / precision
        if folder is None:
            say(f"compiling the training loops for {precision}, as no cache folder can be written: about 15 s")
        elif not folder.is_dir():
            with FileLock(f"{folder}.lock"):  # whoever comes second waits, and finds it done
                if not folder.is_dir():
                    say(f"compiling the training loops for {precision}, this once: about 15 s")
                    _compile(precision, folder)
        engine.use(precision, folder)
        _try_out(precision)
        _done.add(precision)


def _compile(precision: str, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    # -P: a file in this folder that is called as one of Numba's modules is not taken for it
    command = [sys.executable, "-P", "-m", "paribus.fused.compile", precision, str(part)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the training loops could not be compiled: {done.stderr[-2000:]}")
    part.rename(folder)


def _try_out(precision: str) -> None:
    """Every loop once."""
    x, y = np.zeros((2, 1)), np.array([0, 1])
    task = Task(Split(x, y), None, Split(x, y), TaskCard("none", "none", "none", "none", 2, (1,), 2, 0, 2, 0))
    words = {"task": "moons", "precision": precision, "model.hidden": 1, "implementation": "fused"}
    for epochs in (1, 0):
        run = engine.Mlp(build({**words, "epochs": epochs}), task, 0, ["train", "test"])
        run.advance()
        run.logits(x)


if __name__ == "__main__":
    engine.use(sys.argv[1], Path(sys.argv[2]))
    _try_out(sys.argv[1])
