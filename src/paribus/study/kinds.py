"""Values that were read from a database, each of the kind that it should be; `WrongError` where it is none."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from paribus.config.values import Value
from paribus.plan import MAX_SEED
from paribus.records.metrics import MEASURED, Metric

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MOVING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # without tab and new lines, which a name may have


class WrongError(ValueError):
    """What a row holds is not what is recorded there."""


def text(value: object) -> str:
    if not isinstance(value, str):
        raise WrongError(f"{value!r:.60} is no text")
    value.encode()  # half a character is none
    return value


def without_controls(told: str) -> str:
    """A line that can be shown, whatever it quotes."""
    return _CONTROL.sub("\ufffd", told.encode("utf-8", "replace").decode())


def plain(value: object) -> str:
    """Text without control characters, which would write elsewhere in a terminal."""
    return _MOVING.sub("\ufffd", text(value))


def items(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise WrongError(f"{value!r:.60} is no list")
    return value


def texts(value: object) -> list[str]:
    return list(map(plain, items(value)))


def mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongError(f"{value!r:.60} is no table")
    return value


def truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise WrongError(f"{value!r:.60} is neither true nor false")
    return value


def whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise WrongError(f"{value!r:.60} is no whole number from 0 up")
    return value


def number(value: object, *, finite: bool = True) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or (finite and not math.isfinite(value)):
        raise WrongError(f"{value!r:.60} is no finite number")
    return value


def seeds(value: object) -> list[int]:
    found = list(map(whole, items(value)))
    if any(one > MAX_SEED for one in found):
        raise WrongError(f"a seed is at most {MAX_SEED}")
    return found


def one_of(value: object, names: Sequence[str]) -> str:
    if (name := plain(value)) not in names:
        raise WrongError(f"there is no arm {value!r:.60}")
    return name


def flat_settings(value: object) -> dict[str, Value]:
    """Settings under their full names."""
    flat = mapping(value)
    for name, one in flat.items():
        if not isinstance(one, bool | int | float | str):
            raise WrongError(f"the setting {name!r:.60} is {one!r:.60}")
        text(name)
        if isinstance(one, str):
            plain(one)
    return flat


def measured_metrics(value: object) -> dict[str, Metric]:
    found = {name: Metric.of(name, mapping(facts)) for name, facts in mapping(value).items()}
    for metric in found.values():
        if metric.direction not in ("lower", "higher", None):
            raise WrongError(f"{metric.direction!r:.60} is no direction")
        plain(metric.name), plain(metric.unit), metric.told(0.5), metric.title
    return {name: metric for name, metric in found.items() if name not in MEASURED}


def points_in_plane(arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    for split in ("train", "test"):
        x, y = shaped(arrays[f"{split}_x"], 2), shaped(arrays[f"{split}_y"], 1)
        if x.shape != (len(y), 2):
            raise WrongError(f"{x.shape} points in the plane have {len(y)} classes")
    return arrays


def shaped(array: NDArray[Any], dimensions: int) -> NDArray[Any]:
    if array.ndim != dimensions:
        raise WrongError(f"an array has the shape {array.shape}")
    return array
