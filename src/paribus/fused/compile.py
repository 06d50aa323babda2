"""The first compile of the loops, which takes a while and is told of."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from paribus.core.record import TaskCard
from paribus.core.words import build
from paribus.fused.compiled import FOLDER
from paribus.fused.engine import Mlp
from paribus.tasks.task import Split, Task

_done: set[str] = set()
_guard = threading.Lock()


def ready(precision: str, say: Callable[[str], None]) -> None:
    """Compile the loops for a precision, or load them where that was done before on this machine."""
    with _guard:
        if precision in _done:
            return
        mark = FOLDER / f"{precision}.ready" if FOLDER else None
        if mark is None or not mark.exists():
            kept = "this once" if FOLDER else "in each process, as no cache folder can be written"
            say(f"compiling the training loops for {precision}, {kept}: about 15 s")
        _try_out(precision)
        _done.add(precision)
        if mark is not None:
            mark.touch()


def _try_out(precision: str) -> None:
    """Every loop once."""
    x, y = np.zeros((2, 1)), np.array([0, 1])
    card = TaskCard("none", "none", "none", "none", 2, (1,), 2, 0, 2, 0)
    task = Task(Split(x, y), None, Split(x, y), card)
    words = {"task": "moons", "precision": precision, "epochs": 1, "model.hidden": 1, "implementation": "fused"}
    engine = Mlp(build(words), task, 0, ["train", "test"])
    engine.advance()
    engine.logits(x)
