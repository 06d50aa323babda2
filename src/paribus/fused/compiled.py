"""How the loops are compiled, and where the result is kept."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

_FLAGS = {"reassoc", "contract", "nsz"}
"""Sums may be taken in another order and products fused; never `fastmath=True`, which assumes NaN and infinity away."""


def _sources() -> str:
    """A name for these very files: what they say, where they lie and when they were written.

    Numba looks for changes in a function's own file, not in those of what it calls, so all of them count. It also takes
    nothing that was compiled for a file elsewhere, or for one written at another time: two installations that shared a
    folder would each compile anew in every process, without a word, and in an order of their own.
    """
    digest = hashlib.sha256(f"{numba.__version__} {platform.python_version()}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        status = path.stat()
        digest.update(f"{path} {status.st_mtime_ns} {status.st_size}".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _folder() -> Path | None:
    """Where compiled code is kept, None where nothing can be written: then it is compiled anew in each process."""
    from platformdirs import user_cache_path

    chosen = (
        os.environ.get("PARIBUS_COMPILED")
        or Path(os.environ.get("PARIBUS_CACHE") or user_cache_path("paribus")) / "compiled"
    )
    folder = Path(chosen) / _sources()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


FOLDER = _folder()


def compiled(function: Function) -> Function:
    """Numba's compiler, without the interpreter's lock."""
    return cast(Function, _made(function, _FLAGS, cache=False))


def compiled_in_order(function: Function) -> Function:
    """As `compiled`, where the order of additions matters."""
    return cast(Function, _made(function, {"contract"}, cache=False))


def inlined(function: Function) -> Function:
    """Written into whatever calls it before that is compiled: a call within a loop keeps it from becoming vectors."""
    return cast(Function, numba.njit(inline="always")(function))


def entry(function: Any, folder: Path | None) -> Any:
    """A compiled function whose result, with all that it calls, is kept in a folder.

    What it calls is not kept by itself: code that is compiled around kept parts may differ in the order of a sum from
    code that was compiled as a whole, and with it the last bit of a record.
    """
    config: Any = numba.core.config  # its settings are made when it is imported
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder or "")
    try:
        return _made(function.py_func, _FLAGS, cache=folder is not None)
    finally:
        config.CACHE_DIR = before


def _made(function: Any, flags: set[str], cache: bool) -> Any:
    return numba.njit(cache=cache, nogil=True, error_model="numpy", fastmath=flags)(function)
