"""Arrays of a record as bytes, and back: curves, predictions, weights and pictures."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.records.record import Curve, Evaluation, Fits, Frames, Mistakes, Outcome, Pictures, Residuals
from paribus.records.vitals import Vitals

_MOST_HEAD = 2**20
"""Bytes of a first line, which names columns."""


def curve_columns(rows: Sequence[Evaluation]) -> Curve:
    """Evaluations as arrays, one of each number."""
    columns = {
        name: [getattr(row, name) for row in rows] for name in ("step", "epoch", "train_seconds", "eval_seconds")
    }
    # a user's loop may report other metrics each time
    names = dict.fromkeys(metric for row in rows for metric in row.metrics)
    columns |= {metric: [row.metrics.get(metric, math.nan) for row in rows] for metric in names}
    columns |= {meter: [row.meters[meter] for row in rows] for meter in rows[0].meters}
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}


def joined(chunks: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Chunks of a curve one after another; NaN where one lacks a column of another.

    >>> joined([{"step": np.array([1.0]), "a": np.array([2.0])}, {"step": np.array([2.0])}])
    {'step': array([1., 2.]), 'a': array([ 2., nan])}
    """
    if len(chunks) == 1:
        return dict(chunks[0])
    names = dict.fromkeys(name for chunk in chunks for name in chunk)
    sizes = [len(next(iter(chunk.values()), ())) for chunk in chunks]
    return {
        name: np.concatenate([chunk.get(name, np.full(n, np.nan)) for chunk, n in zip(chunks, sizes, strict=True)])
        for name in names
    }


def pack(columns: Mapping[str, NDArray[np.generic]]) -> bytes:
    """A JSON line of names, types and shapes, then the bytes of the arrays, compressed. Bytes of equal weight stand
    together, which halves the size of smooth columns."""
    head, body = [], []
    for name, array in columns.items():
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        head.append([name, little.dtype.str, little.shape])
        body.append(little.reshape(-1, 1).view(np.uint8).T.tobytes())
    return zlib.compress(json.dumps(head).encode() + b"\n" + b"".join(body), 6)


def _size(described: list[tuple[str, str, list[int]]]) -> int:
    return sum(math.prod(shape) * np.dtype(kind).itemsize for _, kind, shape in described)


def _described(head: bytes) -> list[tuple[str, str, list[int]]]:
    """Names, types and shapes, as the first line has them: of the curves of a study mostly the same."""
    return _short_described(head) if len(head) <= _SHORT_HEAD else _read_head(head)


def _read_head(head: bytes) -> list[tuple[str, str, list[int]]]:
    found = json.loads(head)
    for one in found if isinstance(found, list) else [None]:
        match one:
            case [str(), str(kind), [*shape]] if _KINDS.fullmatch(kind) and all(
                type(n) is int and n >= 0 for n in shape
            ):
                continue
        raise ValueError(f"{one!r:.80} describes no array")
    return [(name, kind, shape) for name, kind, shape in found]


_KINDS = re.compile(r"\|b1|[<|][iu][1248]|<f[248]")
_SHORT_HEAD = 2000
_short_described = lru_cache(64)(_read_head)


def unpack(blob: bytes, allow: Callable[[int], None] | None = None) -> dict[str, NDArray[Any]]:
    """What `pack` packed. No more is unpacked than the first line says that there is: a few bytes may be those of
    gigabytes. `allow`: is told how many these are before they are unpacked, and raises where they are too many.
    ValueError for anything else than what `pack` makes.

    >>> unpack(pack({"loss": np.array([2.0, 1.5])}))
    {'loss': array([2. , 1.5])}
    """
    stream = zlib.decompressobj()
    try:
        head, _, body = stream.decompress(blob, _MOST_HEAD).partition(b"\n")
        described = _described(head)
        size = _size(described)
        if allow is not None:
            allow(size)
        if not stream.eof:
            body += stream.decompress(stream.unconsumed_tail, max(size - len(body), 0) + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not stream.eof or stream.unused_data or len(body) != size:
        raise ValueError("it holds not as much as it says")
    return _arrays(described, body)


def _arrays(described: list[tuple[str, str, list[int]]], body: bytes) -> dict[str, NDArray[Any]]:
    if len({(kind, *shape) for _, kind, shape in described}) == 1:  # columns alike, as of a curve: all in one go
        _, kind, shape = described[0]
        dtype = np.dtype(kind)
        cube = np.frombuffer(body, np.uint8).reshape(len(described), dtype.itemsize, -1)
        whole = np.ascontiguousarray(cube.transpose(0, 2, 1)).view(dtype).reshape(len(described), *shape)
        return {name: whole[i] for i, (name, _, _) in enumerate(described)}
    columns, offset = {}, 0
    for name, kind, shape in described:
        dtype = np.dtype(kind)
        size = math.prod(shape) * dtype.itemsize
        planes = np.frombuffer(body, np.uint8, size, offset).reshape(dtype.itemsize, -1)
        columns[name] = np.ascontiguousarray(planes.T).view(dtype).reshape(shape)
        offset += size
    return columns


def artifacts(outcome: Outcome) -> dict[str, bytes]:
    """What is kept of a run beside its curve, each under its kind."""
    contents: dict[str, bytes] = {}
    if outcome.weights is not None:
        from safetensors.numpy import save

        contents["weights"] = save(dict(outcome.weights))
    if outcome.predictions is not None:
        contents["predictions"] = pack({"predictions": outcome.predictions})
    if outcome.best is not None:
        from safetensors.numpy import save

        contents["best"] = save(dict(outcome.best.weights), {"step": str(outcome.best.step)})
    if shown := pack_pictures(outcome.pictures):
        contents["pictures"] = pack(shown)
    if outcome.boundary is not None:
        contents["boundary"] = pack(asdict(outcome.boundary))
    return contents


def pack_pictures(pictures: Pictures) -> dict[str, NDArray[Any]]:
    """Arrays by name, `frames.epochs`; none where there is nothing to show."""
    found: dict[str, NDArray[Any]] = {}
    for part in fields(pictures):
        value = getattr(pictures, part.name)
        if isinstance(value, np.ndarray):
            found[part.name] = value
        elif value is not None:
            found |= {f"{part.name}.{name}": array for name, array in asdict(value).items()}
    return found


def unpack_pictures(arrays: Mapping[str, NDArray[Any]]) -> Pictures:
    """What `pack_pictures` packed."""
    kinds: dict[str, Any] = {
        "frames": Frames,
        "mistakes": Mistakes,
        "residuals": Residuals,
        "fits": Fits,
        "vitals": Vitals,
    }
    parts: dict[str, dict[str, NDArray[Any]]] = {part: {} for part in kinds}
    for key, array in arrays.items():
        part, _, name = key.partition(".")
        if name:
            parts[part][name] = array
    made = {part: kinds[part](**values) for part, values in parts.items() if values}
    whole: dict[str, Any] = {name: arrays[name] for name in ("confusion", "state_gradients") if name in arrays}
    return Pictures(**made, **whole)
