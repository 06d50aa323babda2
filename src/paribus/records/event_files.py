"""The numbers in TensorBoard's event files, read without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FILES = "*tfevents*"
"""What event files are called."""

SPLITS = ("train", "training", "validation", "val", "valid", "test", "eval")
"""A folder called so belongs to the run that it is in, as Keras writes it."""


def scalars(files: list[Path]) -> dict[str, dict[int, str]]:
    """Of the files of one run, in their order: tag -> step -> value, as text in as many digits as it has. What a later
    file begins again, the earlier one does not tell any more."""
    merged: dict[str, dict[int, str]] = {}
    for file in files:
        found: dict[str, dict[int, str]] = {}
        for tag, step, value in _values(file):
            found.setdefault(tag, {})[step] = value
        for tag, of in found.items():
            before = {step: value for step, value in merged.get(tag, {}).items() if step < min(of)}
            merged[tag] = before | of
    return merged


def _values(file: Path) -> Iterator[tuple[str, int, str]]:
    """Each number of an event file: its tag, its step and its value as text, in as many digits as it has."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    for event in LegacyEventFileLoader(str(file)).Load():
        for one in event.summary.value:
            kind = one.WhichOneof("value")
            if kind == "simple_value":
                yield one.tag, event.step, str(np.float32(one.simple_value))
            elif kind == "tensor" and (number := _number(make_ndarray, one.tensor)) is not None:
                yield one.tag, event.step, number


def _number(make_ndarray: Any, tensor: Any) -> str | None:
    """A tensor that is one number."""
    if any(dim.size != 1 for dim in tensor.tensor_shape.dim):
        return None
    try:
        array = make_ndarray(tensor)
    except (TypeError, ValueError):  # a kind that NumPy has not
        return None
    return str(array.reshape(())[()]) if array.size == 1 and array.dtype.kind in "fiu" else None
