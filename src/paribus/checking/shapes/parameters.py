"""Where an object keeps its parameters and their gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np

from paribus.checking.differences import Array

_PARAMS = ("params", "parameters", "_params", "_parameters", "weights")
_GRADS = ("grads", "gradients", "_grads", "_gradients", "grad", "dparams", "d_params")
_SPELLED = ("d{}", "d_{}", "grad_{}", "{}_grad", "{}_gradient", "grad{}", "g_{}", "{}grad", "del{}", "delta_{}")


def is_array(value: object) -> TypeGuard[Array]:
    """An array of real numbers, of one number at least."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size > 0


def _items(thing: object, names: tuple[str, ...]) -> dict[str, Any] | None:
    """The first dict or list of those names, as a dict."""
    for name in names:
        found = getattr(thing, name, None)
        if callable(found) and not isinstance(found, Mapping):
            continue
        if isinstance(found, Mapping):
            return dict(found)
        if isinstance(found, list | tuple) and found:
            return {f"{name}[{i}]": one for i, one in enumerate(found)}
    return None


def _held(value: object) -> Array | None:
    """The array itself, or that of an object with .data or .value and .grad."""
    if is_array(value):
        return value
    for name in ("data", "value"):
        inner = getattr(value, name, None)
        if hasattr(value, "grad") and is_array(inner):
            return inner
    return None


def parameters(thing: object) -> dict[str, Array]:
    """The arrays that it learns, as they lie in it; of attributes those that are no cache (see `with_gradient`)."""
    found = _items(thing, _PARAMS)
    if found is None:
        found = {name: one for name, one in _attributes(thing).items() if not name.startswith("_")}
    held = {name: _held(one) for name, one in found.items()}
    return {name: one for name, one in held.items() if one is not None}


def _attributes(thing: object) -> dict[str, Any]:
    return dict(vars(thing)) if hasattr(thing, "__dict__") else {}


def gradients(thing: object, names: list[str]) -> dict[str, Any]:
    """What it holds as the gradients of those parameters, by their names: only those that are found."""
    params, grads = _items(thing, _PARAMS), _items(thing, _GRADS)
    found: dict[str, Any] = {}
    if grads is not None:
        keys = list(grads)
        for i, name in enumerate(names):
            spelled = [
                name,
                *(form.format(name) for form in _SPELLED),
                *(form.format(name.lower()) for form in _SPELLED),
            ]
            key = next((one for one in spelled if one in grads), None)
            if key is None and len(keys) == len(names) and keys[i].split("[")[0] in _GRADS:
                key = keys[i]
            if key is not None:
                found[name] = grads[key]
    held = _attributes(thing)
    for name in names:
        if name in found:
            continue
        one = params[name] if params and name in params else held.get(name)
        if _held(one) is not None and not is_array(one):
            found[name] = one.grad  # type: ignore[union-attr]
            continue
        for form in _SPELLED:
            spelled_by = next((key for key in (form.format(name), form.format(name.lower())) if key in held), None)
            if spelled_by is not None and spelled_by != name:
                found[name] = held[spelled_by]
                break
    return found


def looks_learned(thing: object) -> bool:
    """Whether it says by a dict or list of parameters what it learns."""
    return _items(thing, _PARAMS) is not None
