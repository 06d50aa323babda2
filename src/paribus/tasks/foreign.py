"""Arrays of other libraries as NumPy arrays; what cannot be taken as it is, is refused with the cure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def counted(number: int, one: str, several: str) -> str:
    """A number with its noun.

    >>> counted(1, "row", "rows"), counted(3, "row", "rows")
    ('1 row', '3 rows')
    """
    return f"{number} {one if number == 1 else several}"


def is_frame(x: Any) -> bool:
    """Whether this is a pandas frame."""
    return hasattr(x, "columns") and hasattr(x, "iloc")


def is_picture(x: Any) -> bool:
    """Whether this is an image of Pillow, whose arrays are (height, width) or (height, width, channels)."""
    return hasattr(x, "getbands") and hasattr(x, "convert")


def plain(values: Any, what: str) -> NDArray[Any]:
    """The values as a NumPy array, which may share their memory. `what` names them, as in "x of the data".

    Raises ValueError, with the cure, for tensors that need a conversion, sparse matrices, masked entries, frames of
    other libraries than pandas, palette images, and rows of different lengths.
    """
    if hasattr(values, "detach") and hasattr(values, "requires_grad"):
        return _of_tensor(values, what)
    if hasattr(values, "toarray") and hasattr(values, "nnz"):
        raise ValueError(
            f"{what} is a sparse matrix ({type(values).__name__}), a dense array is allowed: give .toarray()"
        )
    if hasattr(values, "to_pandas") and not hasattr(values, "iloc"):
        raise ValueError(f"{what} is a {_full_name(values)}, a pandas frame is allowed: give .to_pandas()")
    if is_picture(values) and values.mode == "P":
        raise ValueError(f'{what} is an image of palette numbers (mode P), colours are allowed: give .convert("RGB")')
    if isinstance(values, np.ma.MaskedArray):
        refuse_missing(np.ma.getmaskarray(values), what, "masked")
        return np.asarray(values.data)
    try:
        return np.asarray(values)
    except Exception as error:
        lengths = {len(one) for one in values if hasattr(one, "__len__")} if isinstance(values, list | tuple) else set()
        if len(lengths) > 1:
            raise ValueError(
                f"{what} has rows of different lengths, {sorted(lengths)[:3]}: every row has the same; fill or cut them"
            ) from None
        raise ValueError(
            f"{what} is no array ({_full_name(values)}; {type(error).__name__}: {error}): give a NumPy array"
        ) from None


def refuse_missing(
    missing: NDArray[np.bool_], what: str, kind: str = "missing or infinite", columns: list[str] | None = None
) -> None:
    """Raise a ValueError that says how many values are missing, and where the first stands."""
    if not missing.any():
        return
    place = np.argwhere(missing)[0]
    where = f"row {place[0]}"
    if len(place) == 2:
        where += f", column {columns[place[1]]!r}" if columns else f", column {place[1]}"
    count = counted(int(missing.sum()), "value that is", "values that are")
    raise ValueError(f"{what} has {count} {kind}, the first at {where}: fill or drop the rows that hold them")


def _of_tensor(tensor: Any, what: str) -> NDArray[Any]:
    layout, kind = str(tensor.layout).removeprefix("torch."), str(tensor.dtype).removeprefix("torch.")
    for wrong, given, allowed, cure in (
        (layout != "strided", f"is a {layout} tensor", "a dense one", ".to_dense()"),
        (tensor.requires_grad, "is a tensor that requires a gradient", "one that needs none", ".detach()"),
        (tensor.device.type != "cpu", f"is a tensor on the device {tensor.device}", "one on the CPU", ".cpu()"),
        (tensor.is_quantized, f"is a quantised tensor ({kind})", "one of numbers", ".dequantize()"),
    ):
        if wrong:
            raise ValueError(f"{what} {given}, {allowed} is allowed: give {cure}")
    try:
        found: NDArray[Any] = tensor.resolve_conj().resolve_neg().numpy()
    except TypeError:
        raise ValueError(f"{what} is a tensor of {kind}, float32 or float64 is allowed: give .float()") from None
    return found


def _full_name(thing: Any) -> str:
    return f"{type(thing).__module__.split('.')[0]}.{type(thing).__name__}".removeprefix("builtins.")
