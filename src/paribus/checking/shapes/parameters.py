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


def layers(thing: object) -> dict[str, Any]:
    """The layers that it holds, by where they lie: `layers[0]`, `hidden`. A layer has forward and backward.

    >>> class Layer:
    ...     forward = backward = print
    >>> class Network:
    ...     def __init__(self):
    ...         self.hidden, self.rest = Layer(), [Layer()]
    >>> list(layers(Network()))
    ['hidden', 'rest[0]']
    """
    found: dict[str, Any] = {}
    for name, held in _attributes(thing).items():
        several: dict[str, Any] = {name: held}
        if isinstance(held, Mapping):
            several = {f"{name}[{key!r}]": one for key, one in held.items()}
        elif isinstance(held, list | tuple):
            several = {f"{name}[{i}]": one for i, one in enumerate(held)}
        for where, one in several.items():
            layer = callable(getattr(one, "forward", None)) and callable(getattr(one, "backward", None))
            if layer and not isinstance(one, type) and one is not thing and all(one is not v for v in found.values()):
                found[where] = one
    return found


def parameters(thing: object) -> dict[str, Array]:
    """The arrays that it learns, as they lie in it, and those of its layers; of attributes those that are no cache."""
    found = _items(thing, _PARAMS)
    if found is None:
        found = {name: one for name, one in _attributes(thing).items() if not name.startswith("_")}
    held = {name: _held(one) for name, one in found.items()}
    own = {name: one for name, one in held.items() if one is not None}
    for where, layer in layers(thing).items():
        for name, one in parameters(layer).items():
            if all(one is not known for known in own.values()):
                own[f"{where}.{name}"] = one
    return own


def _attributes(thing: object) -> dict[str, Any]:
    return dict(vars(thing)) if hasattr(thing, "__dict__") else {}


def spelled(grads: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Those of a dict of gradients, by the names of the parameters: under `W` or `dW`, `grad_W`, ..."""
    found: dict[str, Any] = {}
    for name in names:
        forms = [name, *(form.format(one) for one in (name, name.lower()) for form in _SPELLED)]
        key = next((one for one in forms if one in grads), None)
        if key is not None:
            found[name] = grads[key]
    return found


def gradients(thing: object, names: list[str]) -> dict[str, Any]:
    """What it and its layers hold as the gradients of those parameters, by their names: only those that are found."""
    params, grads = _items(thing, _PARAMS), _items(thing, _GRADS)
    found: dict[str, Any] = {}
    if grads is not None:
        found = spelled(grads, names)
        keys = list(grads)
        if len(keys) == len(names):
            found |= {
                n: grads[k] for n, k in zip(names, keys, strict=True) if n not in found and k.split("[")[0] in _GRADS
            }
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
    for where, layer in layers(thing).items():
        inner = [name.removeprefix(f"{where}.") for name in names if name.startswith(f"{where}.") and name not in found]
        found |= {f"{where}.{name}": one for name, one in gradients(layer, inner).items()} if inner else {}
    return found


def is_gradient(name: str, params: Mapping[str, Array]) -> bool:
    """Whether an attribute holds, by its name and shape, the gradient of another: `dW` beside `W`."""
    return any(
        name in {form.format(one) for form in _SPELLED} | {form.format(one.lower()) for form in _SPELLED}
        and params[name].shape == value.shape
        for one, value in params.items()
        if one != name
    )


def looks_learned(thing: object) -> bool:
    """Whether it, or each of its layers that has parameters, says by a dict or list of them what it learns."""
    inner = [one for one in layers(thing).values() if parameters(one)]
    return _items(thing, _PARAMS) is not None or (bool(inner) and all(map(looks_learned, inner)))
