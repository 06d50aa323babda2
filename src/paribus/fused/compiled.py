"""How the loops are compiled, and where the result is kept."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

_CALLED = "compiled-2"
"""The folder of an older version, `compiled`, was not kept from others."""

_FLAGS = {"reassoc", "contract", "nsz"}
"""Sums may be taken in another order and products fused; never `fastmath=True`, which assumes NaN and infinity away."""


def _sources() -> str:
    """A name for these very files: what they say, where they lie and when they were written.

    Numba looks for changes in a function's own file, not in those of what it calls, so all of them count. It also takes
    nothing that was compiled for a file elsewhere, or for one written at another time: two installations that shared a
    folder would each compile anew in every process, without a word, and in an order of their own. The same holds for
    another processor, as in a home that several machines share, and for other versions of Numba and NumPy.
    """
    import llvmlite
    from llvmlite import binding

    processor = f"{binding.get_host_cpu_name()} {sorted(binding.get_host_cpu_features().items())}"
    versions = (numba.__version__, llvmlite.__version__, np.__version__, platform.python_version(), sys.platform)
    digest = hashlib.sha256(f"{versions} {processor}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        status = path.stat()
        digest.update(f"{path} {status.st_mtime_ns} {status.st_size}".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _folder() -> tuple[Path | None, str]:
    """Where compiled code is kept; None, and why, where there is no such place: then it is compiled anew in each
    process. What is read from it is run, so that nobody else may be able to write there."""
    from platformdirs import user_cache_path

    given = os.environ.get("PARIBUS_COMPILED")
    base = Path(given or Path(os.environ.get("PARIBUS_CACHE") or user_cache_path("paribus")) / _CALLED)
    folder = base / _sources()
    try:
        for missing in reversed([path for path in (base, *base.parents) if not path.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        for path in (base, folder):
            path.mkdir(mode=0o700, exist_ok=True)
            if mistrusted(path):
                return None, f"{path} is not yours alone to write: chmod go-w, or PARIBUS_COMPILED=FOLDER for another"
        with tempfile.TemporaryFile(dir=folder):
            return folder, ""
    except OSError as error:
        return None, f"no cache folder can be written ({error.strerror}: {base})"


def mistrusted(folder: Path) -> bool:
    """Whether a folder belongs to somebody else, or others may write in it. Windows has no such bits: there it lies in
    the user's own profile."""
    if os.name != "posix":
        return False
    status = folder.stat()
    return status.st_uid != os.geteuid() or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


FOLDER, WHY_NOT = _folder()


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
