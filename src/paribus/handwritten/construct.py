"""How a network is made for sizes: what its constructor's parameters mean, by their names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
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
    known = _parameters(function)
    required = [name for name, one in known.items() if one.default is one.empty]
    roles = {name: role_of(name) for name in known}
    fixed: dict[str | None, Any] = {"inputs": inputs, "outputs": outputs, "seed": 0}
    given = [name for name in known if name in required or roles[name] in ("inputs", "hidden", "outputs", "sizes")]
    several = any(one.kind is one.VAR_POSITIONAL for one in _signature(function))
    sizes = [inputs, *hidden, outputs]
    tried: list[Arguments] = []

    def filled(of: dict[str, str | None], inner: Any, whole: Any) -> Arguments | None:
        values: dict[str, Any] = {}
        for name in given:
            role = of[name]
            if role == "rng":
                values[name] = np.random.default_rng(0)
            elif role in ("hidden", "sizes"):
                values[name] = inner if role == "hidden" else whole
            elif role in fixed:
                values[name] = fixed[role]
            else:
                return None
        by_place = [name for name in given if known[name].kind is not inspect.Parameter.KEYWORD_ONLY]
        if list(known)[: len(by_place)] == by_place:
            rest = {name: value for name, value in values.items() if name not in by_place}
            return tuple(values[name] for name in by_place), rest
        return (), values

    inner = [list(hidden), *([hidden[0]] if len(hidden) == 1 else []), tuple(hidden)]
    readings = [roles]
    if len(required) == 1:
        readings.append({**roles, required[0]: "sizes"})
    if len(required) == 2 and not hidden:
        readings.append({**roles, **dict(zip(required, ("inputs", "outputs"), strict=True))})
    if len(required) == 3:
        readings.append({**roles, **dict(zip(required, ("inputs", "hidden", "outputs"), strict=True))})
    for reading in readings:
        if not hidden and "hidden" in reading.values() and "sizes" not in reading.values():
            choices: list[Any] = [[], ()]
        else:
            choices = inner
        for one in choices:
            for whole in (sizes, tuple(sizes)):
                found = filled(reading, one, whole)
                if found is not None:
                    tried.append(found)
        if "inputs" in reading.values() and "sizes" in reading.values():  # the layers after the inputs
            found = filled(reading, inner[0], sizes[1:])
            tried += [found] if found is not None else []
    if several:
        tried.append((tuple(sizes), {}))
    seen = list[str]()
    for one in tried:
        if repr(one) not in seen:
            seen.append(repr(one))
            yield one


def _signature(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    taken = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {one.name: one for one in _signature(function) if one.kind not in taken}
