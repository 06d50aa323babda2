"""A pool: all examples of a task, before they are split; and a cache of those that scikit-learn makes."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.extras import need

Targets = NDArray[Any]
"""Classes, int64, or numbers to predict, float64; shape (examples,), or (examples, steps) of a class for each step."""

Arrays = tuple[NDArray[np.float64], Targets]


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Examples in their original order: inputs (n, *input_shape), classes (n,), or float64 numbers to predict, of which
    `classes` is 0. The last `test` are the test split;
    with 0 it has yet to be drawn. Images may be bytes: `Task.floats` makes numbers of them, with `normalise` by each
    channel's mean and standard deviation. `encoding`: how digits are given to a network. `labels`: what the user's own
    data call class 0, 1, ...; empty where nobody named them; `remark`: what there is to say of how they were taken.

    Of a table x has no columns: `encode` makes them, fitted on the training rows that it is given, and `identity` is
    the fingerprint of the columns as they are. `remarks`: what has to be said of the data beside any result;
    `function`: the numbers to predict of inputs, without noise, where it is known."""

    x: NDArray[np.floating] | NDArray[np.uint8]
    y: Targets
    classes: int
    source: str
    test: int = 0
    normalise: bool = False
    encoding: str | None = None
    labels: tuple[Any, ...] = ()
    remark: str = ""
    encode: Callable[[NDArray[np.int64]], Encoded] | None = None
    identity: str = ""
    remarks: tuple[str, ...] = ()
    function: Callable[[NDArray[np.floating] | NDArray[np.uint8]], NDArray[np.float64]] | None = None


@dataclass(frozen=True)
class Encoded:
    """Columns of a table as inputs, shape (n, inputs): `amounts[i]`: whether input i is an amount, to be standardised,
    or a 0 or 1 that stands for something; `lines`: what was done with each column, in sentences."""

    x: NDArray[np.float64]
    amounts: NDArray[np.bool_]
    lines: tuple[str, ...]


def cached(call: str, make: Callable[[], Arrays]) -> Pool:
    """The arrays of a scikit-learn call, from the cache folder where they are, else made and kept there.

    Importing `sklearn.datasets` takes a second, more than most toy runs train for. A file is named by the call and
    scikit-learn's version and holds its own checksum; one that cannot be read is made again, and a folder that cannot
    be written is no error.
    """
    need(call.partition("(")[0], "sklearn")
    source = f"scikit-learn {version('scikit-learn')}: {call}"
    path = _folder() / f"{hashlib.sha256(source.encode()).hexdigest()[:24]}.npz"
    arrays = _read(path)
    if arrays is None:
        x, y = make()
        targets: Targets = np.ascontiguousarray(y, dtype=np.float64 if y.dtype.kind == "f" else np.int64)
        arrays = np.ascontiguousarray(x, dtype=np.float64), targets
        _write(path, *arrays)
    x, y = arrays
    x.flags.writeable = y.flags.writeable = False
    return Pool(x=x, y=y, classes=0 if y.dtype.kind == "f" else int(y.max()) + 1, source=source)


def fingerprint(*arrays: NDArray[np.generic]) -> str:
    """SHA-256 of arrays: type, shape and bytes of each, in little-endian order.

    >>> fingerprint(np.zeros(2))[:12], fingerprint(np.zeros((2, 1)))[:12]
    ('cdead7b1f559', '5daf164bb0ff')
    """
    digest = hashlib.sha256()
    for array in arrays:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{little.dtype.str}{little.shape}".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()


def _folder() -> Path:
    from platformdirs import user_cache_path

    return Path(os.environ.get("PARIBUS_CACHE") or user_cache_path("paribus")) / "pools"


def _checksum(x: NDArray[np.float64], y: Targets) -> str:
    return hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()


def _read(path: Path) -> Arrays | None:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            x, y, checksum = file["x"], file["y"], str(file["checksum"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return (x, y) if checksum == _checksum(x, y) else None


def _write(path: Path, x: NDArray[np.float64], y: Targets) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            np.savez(file, x=x, y=y, checksum=np.array(_checksum(x, y)))
        Path(file.name).replace(path)
    except OSError:
        return
