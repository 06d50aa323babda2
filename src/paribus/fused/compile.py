"""The first compile of the loops, which takes a while and is told of.

It is done once for an installation, a model and a precision, in a process of its own that does nothing else, and every
process then loads the result: so all of them run the same code, to the last bit.

    python -m paribus.fused.compile mlp float32 FOLDER PARENT
"""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock

from paribus.config.models import Mlp
from paribus.config.overrides import build
from paribus.config.settings import Settings
from paribus.fused.compiled import FOLDER, WHY_NOT
from paribus.fused.engine import Engine
from paribus.fused.network import Network
from paribus.process import end_with
from paribus.records.record import DatasetInfo
from paribus.tasks.task import Split, Task

_done: set[tuple[str, str]] = set()
_guard = threading.Lock()

_CALLED = {
    "mlp": "training loops",
    "mlp_general": "training loops with any activation, norms, skips and losses",
    "rnn": "recurrent training loops",
}
_SUMS = "SHA256SUMS"
_LASTS = {"mlp": "half a minute", "mlp_general": "a minute", "rnn": "half a minute"}


def loops_of(settings: Settings, network: Network | None = None) -> str:
    """Which loops train these settings: those of the model, or `mlp_general` for a perceptron that is not plain.
    `network`: what a perceptron consists of that the settings do not tell."""
    model = settings.model
    if network is not None:
        return "mlp" if network.plain and not settings.told_loss.of_numbers else "mlp_general"
    if isinstance(model, Mlp) and settings.told_loss.of_numbers:
        return "mlp_general"
    if not isinstance(model, Mlp) or not model.hidden:
        return model.name
    plain = model.activation == "relu" and model.norm == "none" and not model.skip
    return "mlp" if plain else "mlp_general"


def engine_of(model: str) -> type[Engine]:
    """The engine of a model, or of `loops_of`."""
    if model == "rnn":
        from paribus.fused.rnn_engine import Rnn

        return Rnn
    if model == "mlp_general":
        from paribus.fused.mlp_general_engine import GeneralMlp

        return GeneralMlp
    from paribus.fused import engine

    return engine.Mlp


def ready(precision: str, say: Callable[[str], None], model: str = "mlp") -> None:
    """Compile a model's loops for a precision, or load them where this installation did that before."""
    with _guard:
        if (model, precision) in _done:
            return
        folder = FOLDER and FOLDER / f"{model}-{precision}"
        what = f"compiling the {_CALLED[model]} for {precision}"
        if folder is None:
            say(f"{what}, as {WHY_NOT}: about {_LASTS[model]}")
        elif not whole(folder):
            try:
                _compile_once(model, precision, folder, lambda how: say(f"{what}, {how}: about {_LASTS[model]}"))
            except OSError as error:  # a full disk
                say(f"{what} in this process, as it cannot be kept ({error.strerror or error}): about {_LASTS[model]}")
                folder = None
        engine_of(model).use(precision, folder)
        _try_out(model, precision)
        if folder is not None and (missed := engine_of(model).compiled_here(precision)):
            say(f"{what} in this process, as Numba does not take {', '.join(missed)} from {folder}: remove that folder")
        _done.add((model, precision))


def _compile_once(model: str, precision: str, folder: Path, say: Callable[[str], None]) -> None:
    with FileLock(f"{folder}.lock"):  # whoever comes second waits, and finds it done
        if not whole(folder):
            say("again, as what is kept is damaged" if folder.exists() else "this once")
            shutil.rmtree(folder, ignore_errors=True)
            _compile(model, precision, folder)


def whole(folder: Path) -> bool:
    """Whether a folder holds what was compiled into it, to the last bit."""
    try:
        return (folder / _SUMS).read_bytes() == _sums(folder)
    except OSError:
        return False


def _sums(folder: Path) -> bytes:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _SUMS)
    hashes = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return "".join(f"{found}  {name}\n" for name, found in hashes.items()).encode()


def _compile(model: str, precision: str, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    # -P: a file in this folder that is called as one of Numba's modules is not taken for it
    command = [sys.executable, "-P", "-m", "paribus.fused.compile", model, precision, str(part), str(os.getpid())]
    # the same order of sets in every process, and so the same code
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # what a compiler says may be in the machine's own encoding
            check=False,
            env=environment,
        )
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            raise OSError(f"the process that compiles ended with {done.returncode}: {last[-300:]}")
        (part / _SUMS).write_bytes(_sums(part))
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _try_out(model: str, precision: str) -> None:
    """Every loop once."""
    x, y = np.zeros((2, 1)), np.array([0, 1])
    info = DatasetInfo(
        name="none",
        fingerprint="none",
        pool="none",
        source="none",
        classes=2,
        input_shape=(1,),
        train=2,
        validation=0,
        test=2,
        overlap=0,
    )
    task = Task(Split(x, y), None, Split(x, y), info)
    words = {"task": "moons", "model": model, "precision": precision, "model.hidden": 1, "implementation": "torch"}
    if model == "mlp_general":
        words |= {"model": "mlp", "model.activation": "tanh"}
    for epochs in (1, 0):
        run = engine_of(model)(build({**words, "epochs": epochs}), task, 0, ["train", "test"])
        run.advance()
        run.logits(x)


if __name__ == "__main__":
    end_with(int(sys.argv[4]))  # whoever waits for it may be killed
    gc.disable()  # what a compiler makes it keeps: looking for what it does not costs a tenth of the time
    engine_of(sys.argv[1]).use(sys.argv[2], Path(sys.argv[3]))
    _try_out(sys.argv[1], sys.argv[2])
