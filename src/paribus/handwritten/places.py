"""Where an object keeps its parameters and their gradients: in dicts, lists or attributes, in its layers, nested.

A place is the way from an object to an array, so that it is the same in a copy of the object, and finds the array that
stands there now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Step = tuple[str, Any]
"""`("attribute", "W")` or `("item", 0)`."""

Place = tuple[Step, ...]

_PARAMS = ("params", "parameters", "_params", "_parameters", "weights")
_GRADS = ("grads", "gradients", "_grads", "_gradients", "grad", "dparams", "d_params")
_SPELLED = ("d{}", "d_{}", "grad_{}", "{}_grad", "{}_gradient", "grad{}", "g_{}", "{}grad", "del{}", "delta_{}")
_BESIDE = ("data", "value")
"""Of an object that stands for one parameter: its array, beside `grad`."""

RESETS = ("zero_grad", "zero_grads", "reset_grad", "clear_grad")
"""Methods that set gradients to 0, where they add up over calls."""


def is_array(value: object) -> TypeGuard[Array]:
    """An array of real numbers, of one number at least."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size > 0


def reach(thing: Any, place: Place) -> Any:
    """What stands at a place."""
    for kind, key in place:
        thing = getattr(thing, key) if kind == "attribute" else thing[key]
    return thing


def put(thing: Any, place: Place, value: Any) -> None:
    """Put something there. TypeError or AttributeError where nothing can be put, as into a tuple."""
    (kind, key), holder = place[-1], reach(thing, place[:-1])
    if kind == "attribute":
        setattr(holder, key, value)
    else:
        holder[key] = value


def spelled(place: Place) -> str:
    """As code writes it, without the object.

    >>> spelled((("attribute", "layers"), ("item", 0), ("attribute", "params"), ("item", "W")))
    "layers[0].params['W']"
    """
    parts = (f".{key}" if kind == "attribute" else f"[{key!r}]" for kind, key in place)
    return "".join(parts).removeprefix(".")


def parameters(thing: object) -> dict[str, Array]:
    """The arrays that it learns, as they lie in it, by name; of attributes those that are no cache (see
    `gradient_places`)."""
    return {name: reach(thing, place) for name, place in places(thing).items()}


def gradients(thing: object, names: Sequence[str]) -> dict[str, Any]:
    """What it holds as the gradients of those parameters, by their names: only those that are found."""
    known = places(thing)
    mine = {name: known[name] for name in names if name in known}
    return {name: reach(thing, place) for name, place in gradient_places(thing, mine).items()}


def looks_learned(thing: object) -> bool:
    """Whether it, or each of its layers that has parameters, says by a dict or list of them what it learns."""
    inner = [one for one in layers(thing).values() if parameters(one)]
    return _container(thing, _PARAMS) is not None or (bool(inner) and all(map(looks_learned, inner)))


def is_gradient(name: str, params: Mapping[str, Array]) -> bool:
    """Whether an attribute holds, by its name and shape, the gradient of another of the same layer: `dW` beside `W`.

    >>> held = {"one.W": np.ones((2, 2)), "one.dW": np.ones((2, 2)), "dW": np.ones((2, 2))}
    >>> is_gradient("one.dW", held), is_gradient("one.W", held), is_gradient("dW", held)
    (True, False, False)
    """
    layer, _, bare = name.rpartition(".")
    beside = [one.rpartition(".") for one in params if one != name]
    return any(
        owner == layer and bare in _spellings(short) and params[name].shape == params[f"{owner}{dot}{short}"].shape
        for owner, dot, short in beside
    )


def named_gradients(grads: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those of a dict of gradients, by the names of the parameters: under `W` or `dW`, `grad_W`, ..."""
    found: dict[str, Any] = {}
    for name in names:
        key = next((one for one in (name, *_spellings(name)) if one in grads), None)
        if key is not None:
            found[name] = grads[key]
    return found


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
    for name, held in attributes(thing).items():
        here: Place = (("attribute", name),)
        several = [(here, held)]
        if isinstance(held, Mapping | list | tuple):
            several = [((*here, ("item", key)), one) for key, one in _items(held)]
        for place, one in several:
            layer = callable(getattr(one, "forward", None)) and callable(getattr(one, "backward", None))
            if layer and not isinstance(one, type) and one is not thing and all(one is not v for v in found.values()):
                found[spelled(place)] = one
    return found


def places(thing: object) -> dict[str, Place]:
    """The place of each array that it may learn, its own first, then those of its layers.

    What stands in a dict or list that is called `params` or the like is called by its key alone, of layers after their
    place.

    >>> from types import SimpleNamespace
    >>> layer = SimpleNamespace(params={"W": np.ones((2, 2)), "b": np.ones(2)})
    >>> list(places(layer)), list(places(SimpleNamespace(layers=[layer])))
    (['W', 'b'], ['layers[0].W', 'layers[0].b'])
    """
    found: dict[str, Place] = {}
    for owner in _owners(thing, (), set()):
        before = spelled(owner)
        for name, place in _own_places(reach(thing, owner)).items():
            found[f"{before}.{name}" if before else name] = (*owner, *place)
    return found


def gradient_places(thing: object, known: Mapping[str, Place]) -> dict[str, Place]:
    """Where the gradients of parameters stand, by the same names; those that are not found are missing."""
    found: dict[str, Place] = {}
    of_owner: dict[Place, list[str]] = {}
    for name, place in known.items():
        of_owner.setdefault(_owner_of(thing, place), []).append(name)
    for owner, names in of_owner.items():
        holder = reach(thing, owner)
        for i, name in enumerate(names):
            place = known[name][len(owner) :]
            mine = next(_gradient_of(holder, place, i, len(names)), None)
            if mine is not None:
                found[name] = (*owner, *mine)
    return found


def in_returned(returned: Any, known: Mapping[str, Array]) -> dict[str, Place]:
    """Where in what was returned the gradients stand: by the keys of a dict, else by their shapes, in order."""
    found: dict[str, Place] = {}
    arrays = list(_returned(returned, ()))
    for name, array in known.items():
        own = name.rpartition(".")[2]
        spellings = {own, name, *(form.format(own) for form in ("d{}", "grad_{}", "d_{}", "grad{}"))}
        keyed = [place for place, one in arrays if place and place[-1][1] in spellings]
        fits = keyed or [place for place, one in arrays if one.shape == array.shape and place not in found.values()]
        if fits:
            found[name] = fits[0]
    return found


def _returned(thing: Any, place: Place) -> Iterator[tuple[Place, Array]]:
    if isinstance(thing, np.ndarray):
        yield place, thing
    elif isinstance(thing, Mapping | list | tuple):
        for key, one in thing.items() if isinstance(thing, Mapping) else enumerate(thing):
            yield from _returned(one, (*place, ("item", key)))


def float_arrays(thing: object) -> Iterator[tuple[Place, Array]]:
    """Every array of real numbers that an object holds, in attributes, dicts and lists, as deep as they go."""
    yield from _arrays(thing, (), set())


def attributes(thing: object) -> dict[str, Any]:
    """What an object holds, by name; nothing of functions, classes and what a library made."""
    if isinstance(thing, type) or (callable(thing) and type(thing).__name__ in _FUNCTIONS):
        return {}
    found = dict(vars(thing)) if hasattr(thing, "__dict__") else {}
    for one in type(thing).__mro__:
        slots = one.__dict__.get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        found |= {name: getattr(thing, name) for name in names if not name.startswith("__") and hasattr(thing, name)}
    return found


_FUNCTIONS = {"function", "method", "builtin_function_or_method", "module", "ufunc", "partial"}


def _is_object(value: object) -> bool:
    """Whether it may be a layer: an object with attributes, of a class that a user wrote."""
    if isinstance(value, np.ndarray | np.generic | str | bytes | int | float | complex | Mapping | list | tuple | None):
        return False
    kind: Any = type(value)
    return not _of_a_library(kind) and bool(attributes(value))


@cache
def _of_a_library(kind: Any) -> bool:
    from paribus.config.identity.library import is_library_class

    return kind.__module__ != "types" and is_library_class(kind)


def _container(thing: object, names: Sequence[str]) -> str | None:
    """The first of those names that is a dict or list."""
    for name in names:
        found = getattr(thing, name, None)
        if isinstance(found, Mapping) or (isinstance(found, list | tuple) and found):
            return name
    return None


def _items(holder: Any) -> Iterator[tuple[Any, Any]]:
    yield from holder.items() if isinstance(holder, Mapping) else enumerate(holder)


def _beside(value: object) -> str | None:
    """The attribute that holds the array of an object with `grad`."""
    if isinstance(value, np.ndarray) or not hasattr(value, "grad"):
        return None
    return next((name for name in _BESIDE if is_array(getattr(value, name, None))), None)


def _own_places(owner: object) -> dict[str, Place]:
    """Those of one object, without its layers."""
    name = _container(owner, _PARAMS)
    if name is not None and (declared := dict(_listed(getattr(owner, name), (("attribute", name),)))):
        mapping = isinstance(getattr(owner, name), Mapping)
        if mapping or name != "weights":
            return {_called(place, mapping=mapping): place for place in declared.values()}
    found: dict[str, Place] = {}
    for key, value in attributes(owner).items():
        place: Place = (("attribute", key),)
        if isinstance(value, list | tuple | Mapping):
            found |= _listed(value, place)
        elif key.startswith("_"):
            continue
        elif is_array(value):
            found[key] = place
        elif (inner := _beside(value)) is not None:
            found[key] = (*place, ("attribute", inner))
    return found


def _called(place: Place, *, mapping: bool) -> str:
    """`params['W']` as W, `params[0]` as it is; of an object that holds the array the object."""
    bare = place[:-1] if place[-1][0] == "attribute" else place
    return spelled(bare) if not mapping else str(bare[1][1]) + spelled(bare[2:])


def _listed(holder: Any, place: Place) -> dict[str, Place]:
    """The arrays in a dict or list, and in those that it holds."""
    found: dict[str, Place] = {}
    for key, value in _items(holder):
        here = (*place, ("item", key))
        if is_array(value):
            found[spelled(here)] = here
        elif isinstance(value, list | tuple | Mapping):
            found |= _listed(value, here)
        elif (inner := _beside(value)) is not None:
            found[spelled(here)] = (*here, ("attribute", inner))
    return found


def _owners(thing: object, place: Place, seen: set[int]) -> Iterator[Place]:
    """The object itself, and those in it that may be layers, in the order of its attributes."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    yield place
    if (name := _container(thing, _PARAMS)) is not None and _listed(getattr(thing, name), ()) and name != "weights":
        return
    for key, value in attributes(thing).items():
        yield from _inside(value, (*place, ("attribute", key)), seen)


def _inside(value: object, place: Place, seen: set[int]) -> Iterator[Place]:
    if isinstance(value, Mapping | list | tuple):
        if id(value) not in seen:
            seen.add(id(value))
            for key, one in _items(value):
                yield from _inside(one, (*place, ("item", key)), seen)
    elif _is_object(value) and _beside(value) is None:
        yield from _owners(value, place, seen)


def _owner_of(thing: object, place: Place) -> Place:
    """The object that a parameter belongs to: the last on the way that is one, and no parameter itself."""
    for length in range(len(place) - 1, 0, -1):
        holder = reach(thing, place[:length])
        if _is_object(holder) and _beside(holder) is None:
            return place[:length]
    return ()


def _gradient_of(owner: object, place: Place, number: int, count: int) -> Iterator[Place]:
    """Where the gradient of an owner's parameter may stand, the likeliest first. `number`: its place among `count`."""
    if place[-1][0] == "attribute" and len(place) > 1 and _beside(reach(owner, place[:-1])) is not None:
        yield (*place[:-1], ("attribute", "grad"))
        return
    (_, first), rest = place[0], place[1:]
    name = rest[-1][1] if rest else first
    if (grads := _container(owner, _GRADS)) is not None:
        home = (("attribute", grads),)
        keys = [key for key, _ in _items(getattr(owner, grads))]
        wanted = [*([rest[0][1]] if len(rest) == 1 else []), *_spellings(name)] if isinstance(name, str) else []
        if first in _PARAMS and len(rest) == 1:
            wanted = [rest[0][1], *wanted]
        key = next((one for one in wanted if one in keys), None)
        if key is not None:
            yield (*home, ("item", key))
        elif len(rest) > 1 and _there(owner, (*home, *rest)):
            yield (*home, *rest)
        elif not isinstance(getattr(owner, grads), Mapping) and len(keys) == count:
            yield (*home, ("item", keys[number]))
    for other in _spellings(str(first)):
        if _there(owner, (("attribute", other), *rest)):
            yield (("attribute", other), *rest)
    if isinstance(name, str) and rest:
        for other in _spellings(name):  # in the same dict, or as an attribute
            if _there(owner, (*place[:-1], ("item", other))):
                yield (*place[:-1], ("item", other))
            elif other in attributes(owner):
                yield (("attribute", other),)


def _spellings(name: str) -> list[str]:
    """What the gradient of a parameter may be called; `weights` has also `dW`."""
    short = {"weights": "W", "weight": "W", "biases": "b", "bias": "b"}.get(name)
    forms = [name, name.lower(), *([short, short.lower()] if short else [])]
    found = (form.format(one) for one in forms for form in _SPELLED)
    return [one for one in dict.fromkeys([*found, *(f"nabla_{one}" for one in forms)]) if one != name]


def _there(thing: object, place: Place) -> bool:
    try:
        reach(thing, place)
    except (AttributeError, KeyError, IndexError, TypeError):
        return False
    return True


def _arrays(value: object, place: Place, seen: set[int]) -> Iterator[tuple[Place, Array]]:
    if is_array(value):
        yield place, value
        return
    if id(value) in seen:
        return
    if isinstance(value, Mapping | list | tuple):
        seen.add(id(value))
        for key, one in _items(value):
            yield from _arrays(one, (*place, ("item", key)), seen)
    elif _is_object(value):
        seen.add(id(value))
        for name, one in attributes(value).items():
            yield from _arrays(one, (*place, ("attribute", name)), seen)


def bare_name(name: str) -> str:
    """A parameter's own name, in small letters, without its place and number.

    >>> bare_name("layers[0].W"), bare_name("W1"), bare_name("biases[1]"), bare_name("params['b2']")
    ('w', 'w', 'biases', 'b')
    """
    last = re.sub(r"\[\d+\]$", "", name).rpartition(".")[2]
    quoted = re.search(r"\['([^']*)'\]$", last)
    return (quoted[1] if quoted else last).rstrip("0123456789").rstrip("_").lower()
