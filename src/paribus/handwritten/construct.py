"""How a network is made for sizes: what its constructor's parameters mean, by their names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_ROLES = (
    ("seed", r"^(random_)?seed$|^random_state$"),
    ("rng", r"^rng$|^(random_)?generator$"),
    ("hidden", r"hid|^h$|^units$|^n_units$"),
    ("outputs", r"^n?_?out|output|class|^out_|_out$|^k$|^c$|^nout$|labels"),
    ("inputs", r"^n?_?in$|^n?_?inputs?$|input|^in_|_in$|^d$|^nin$|features|^dim$"),
    (
        "sizes",
        r"sizes|^layers?(_dims?|_units)?$|dims$|^architecture$|^shape$|^topology$|^neurons$|^n?_?layers$|^nodes$",
    ),
)


def role_of(name: str) -> str | None:
    """What a parameter of a constructor means.

    >>> [role_of(one) for one in ("n_inputs", "hidden_dim", "num_classes", "layer_sizes", "input_size", "lr")]
    ['inputs', 'hidden', 'outputs', 'sizes', 'inputs', None]
    """
    return next((role for role, pattern in _ROLES if re.search(pattern, name.lower())), None)


def takes_sizes(function: Callable[..., Any]) -> bool:
    """Whether a class's or function's parameters tell that it makes a network for sizes."""
    roles = set(map(role_of, _parameters(function)))
    return "sizes" in roles or {"inputs", "hidden", "outputs"} <= roles


def attempts(function: Callable[..., Any], inputs: int, hidden: Sequence[int], outputs: int) -> Iterator[Arguments]:
    """What a class or function may be called with, to make a network of these sizes, the likeliest first.

    By the names of its parameters; then by their number: one is all sizes, three are inputs, hidden and outputs. Hidden
    layers are a list, of one layer also its number. What has another meaning keeps its default.

    >>> def mlp(n_inputs, n_hidden, n_classes, lr=0.1): ...
    >>> list(attempts(mlp, 2, [16], 3))[:2]
    [((2, [16], 3), {}), ((2, 16, 3), {})]
    """
    known, sizes = _parameters(function), [inputs, *hidden, outputs]
    fixed: dict[str | None, Any] = {"inputs": inputs, "outputs": outputs, "seed": 0}
    several_hidden = [list(hidden), *([hidden[0]] if len(hidden) == 1 else []), tuple(hidden)]
    seen = list[str]()
    for reading in _readings(known, with_hidden=bool(hidden)):
        choices = list(product(several_hidden, (sizes, tuple(sizes))))
        if "inputs" in reading.values():  # the layers after the inputs
            choices.append((several_hidden[0], sizes[1:]))
        for inner, whole in choices:
            one = _filled(known, reading, {**fixed, "hidden": inner, "sizes": whole})
            if one is not None and repr(one) not in seen:
                seen.append(repr(one))
                yield one
    if any(one.kind is one.VAR_POSITIONAL for one in _signature(function)):
        yield tuple(sizes), {}


def _readings(known: Mapping[str, inspect.Parameter], *, with_hidden: bool) -> Iterator[dict[str, str | None]]:
    """What the parameters that are given a value may mean: by their names, then by how many are required."""
    required = [name for name, one in known.items() if one.default is one.empty]
    roles = {name: role_of(name) for name in known}
    given = {
        name: role
        for name, role in roles.items()
        if name in required or role in ("inputs", "hidden", "outputs", "sizes")
    }
    yield given
    by_number = {1: ("sizes",), 3: ("inputs", "hidden", "outputs")} | (
        {} if with_hidden else {2: ("inputs", "outputs")}
    )
    if len(required) in by_number:
        yield {**given, **dict(zip(required, by_number[len(required)], strict=True))}


def _filled(
    known: Mapping[str, inspect.Parameter], reading: Mapping[str, str | None], values: Mapping[str | None, Any]
) -> Arguments | None:
    """The arguments, by place as far as that can be; None where one has no meaning."""
    if any(role not in values and role != "rng" for role in reading.values()):
        return None
    found = {name: np.random.default_rng(0) if role == "rng" else values[role] for name, role in reading.items()}
    by_place = [name for name in reading if known[name].kind is not inspect.Parameter.KEYWORD_ONLY]
    if list(known)[: len(by_place)] != by_place:
        return (), found
    return tuple(found[name] for name in by_place), {name: one for name, one in found.items() if name not in by_place}


def _signature(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    taken = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {one.name: one for one in _signature(function) if one.kind not in taken}
