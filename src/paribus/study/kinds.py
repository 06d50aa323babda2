"""Values that were read from a database, each of the kind that it should be; `WrongError` where it is none."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.values import Value
from paribus.plan import MAX_SEED
from paribus.records.metrics import MEASURED, OF_NUMBERS, Metric
from paribus.records.record import Boundary, Fits, Pictures, Residuals
from paribus.records.vitals import Vitals

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


def for_terminal(told: str) -> str:
    """Lines that do nothing to a terminal, whatever they quote: an error's text may be anything.

    >>> for_terminal("red: \\x1b[31m") == "red: \\ufffd[31m"
    True
    """
    return _MOVING.sub("\ufffd", told.encode("utf-8", "replace").decode())


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


def words(value: object) -> dict[str, str]:
    return {plain(key): plain(one) for key, one in mapping(value).items()}


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
    # of classes they are what this version says they are; the loss of numbers to predict is another thing
    return {name: metric for name, metric in found.items() if name not in MEASURED or metric == OF_NUMBERS.get(name)}


def points_in_plane(arrays: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    for split in ("train", "test"):
        x, y = shaped(arrays[f"{split}_x"], 2), shaped(arrays[f"{split}_y"], 1)
        if x.shape != (len(y), 2):
            raise WrongError(f"{x.shape} points in the plane have {len(y)} classes")
        if not np.isfinite(x).all() or not ((y >= 0) & (y < 2**31) & (y == np.floor(y))).all():
            raise WrongError("points in the plane lie nowhere, or their classes are no whole numbers")
    return arrays


def boundary(arrays: Mapping[str, NDArray[Any]]) -> Boundary:
    return Boundary(_extent(arrays["extent"]), _classes(arrays["classes"], 2))


def pictures(found: Pictures) -> Pictures:
    """What a page draws, each array of the shape and the type that it has to have."""
    frames, mistakes, gradients = found.frames, found.mistakes, found.state_gradients
    if frames is not None:
        _extent(frames.extent), _finite(shaped(frames.epochs, 1))
        if len(_classes(frames.classes, 3)) != len(frames.epochs):
            raise WrongError(f"{len(frames.epochs)} frames have {len(frames.classes)} pictures")
    if found.confusion is not None:
        counts = _whole(shaped(found.confusion, 2))
        if counts.shape[0] != counts.shape[1]:
            raise WrongError(f"a confusion of classes has the shape {counts.shape}")
    if mistakes is not None:
        images = shaped(mistakes.images, 4)
        columns = (_whole(mistakes.truth), _whole(mistakes.predicted), _numbers(mistakes.probability))
        if images.dtype != np.uint8 or not all(images.shape[1:]):
            raise WrongError(f"images have the type {images.dtype} and the shape {images.shape}")
        if any(shaped(one, 1).shape != (len(images),) for one in columns):
            raise WrongError(f"{len(images)} images have as many classes and probabilities")
    if gradients is not None and shaped(_numbers(gradients), 2).shape[0] != 2:
        raise WrongError(f"gradients before and after have the shape {gradients.shape}")
    if found.vitals is not None:
        _vitals(found.vitals)
    if found.residuals is not None:
        _residuals(found.residuals)
    if found.fits is not None:
        _fits(found.fits)
    return found


def _residuals(found: Residuals) -> None:
    """Predictions need not be finite; rows and what was measured are."""
    drawn = (_whole(found.rows), _numbers(found.predicted), _finite(found.measured))
    if any(shaped(one, 1).shape != found.rows.shape for one in drawn) or _numbers(found.middle).shape != (2,):
        raise WrongError(f"residuals have the shapes {[one.shape for one in (*drawn, found.middle)]}")


def _fits(found: Fits) -> None:
    """Predictions need not be finite; inputs and what was measured are."""
    x, epochs, predicted = _finite(shaped(found.x, 1)), _finite(shaped(found.epochs, 1)), _numbers(found.predicted)
    if not len(epochs) or not len(x) or predicted.shape != (len(epochs), len(x)):
        raise WrongError(f"fits at {len(epochs)} epochs and {len(x)} inputs have the shape {predicted.shape}")
    if _finite(shaped(found.rows_x, 1)).shape != _finite(shaped(found.rows_y, 1)).shape:
        raise WrongError(f"{len(found.rows_x)} inputs have {len(found.rows_y)} numbers")
    if shaped(_numbers(found.truth), 1).shape not in (x.shape, (0,)):
        raise WrongError(f"{len(x)} inputs have {len(found.truth)} numbers without noise")


def _vitals(found: Vitals) -> None:
    """Looks and layers of one number."""
    looks, layers = len(_finite(shaped(found.epochs, 1))), len(found.layers)
    of_outputs = {"loss", "outputs", "certain", "one_class", "noise"}
    for name, array in vars(found).items():
        if name == "names":
            wanted: tuple[int, ...] = array.shape if array.dtype == np.uint8 and array.ndim == 1 else ()
        elif name in ("inputs", "neighbours"):
            wanted = (3,) if name == "inputs" else (2,)
        elif name == "curvature":  # older records have none
            wanted = (looks,) if len(array) else (0,)
        else:
            wanted = (looks,) if name == "epochs" or name in of_outputs else (looks, layers)
        if _numbers(array).shape != wanted:
            raise WrongError(f"{name} of {looks} looks at {layers} layers has the shape {array.shape}")


def _extent(array: NDArray[Any]) -> NDArray[Any]:
    if _finite(array).shape != (4,):
        raise WrongError(f"the ends of an area have the shape {array.shape}")
    return array


def _classes(array: NDArray[Any], dimensions: int) -> NDArray[Any]:
    if array.dtype != np.uint8 or not all(shaped(array, dimensions).shape[-2:]):
        raise WrongError(f"classes in the plane have the type {array.dtype} and the shape {array.shape}")
    return array


def _finite(array: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(_numbers(array)).all():
        raise WrongError("numbers that have to be finite are not")
    return array


def _numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Of a run that diverged they need not be finite."""
    if array.dtype.kind not in "fiu":
        raise WrongError(f"numbers have the type {array.dtype}")
    return array


def _whole(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "iu" or (array < 0).any():
        raise WrongError("numbers that have to be whole and not below 0 are not")
    return array


def shaped(array: NDArray[Any], dimensions: int) -> NDArray[Any]:
    if array.ndim != dimensions:
        raise WrongError(f"an array has the shape {array.shape}")
    return array
