"""Objects of a class whose constructor is read from its signature; ADAPTER is what helps where that fails."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from paribus.checking.differences import Array
from paribus.checking.inputs import FEATURES, HIDDEN, LOSSES, OF_NUMBERS, OUT, operation_of, shapes, size_for, values
from paribus.checking.isolation import Generators, UsersError, called
from paribus.checking.shapes.operation import ClassOperation, LossFunction, Operation, PairOperation, required
from paribus.handwritten import places as kept

Made = tuple[Operation, Callable[[int], dict[str, Any]]]


class NotBuiltError(Exception):
    """Why a thing cannot be checked, in one sentence, and what helps."""


def adapter(name: str) -> str:
    """The lines that help."""
    return f"say how it is made, in the same file: def paribus_check(): return {name}(...)"


def made(cls: type, name: str, op: str | None, generators: Generators) -> Any:
    """An object of a class: by its parameters' names, else by trying sizes. NotBuiltError where none can be made."""
    return next(all_made(cls, name, op, generators))


def all_made(cls: Any, name: str, op: str | None, generators: Generators) -> Iterator[Any]:
    """Objects of a class, or of a function that makes them, the likeliest first. NotBuiltError where there is none."""
    bare = isinstance(cls, type) and "__init__" not in {key for one in cls.__mro__[:-1] for key in vars(one)}
    wanted = [] if bare else required(cls)
    if wanted is None:
        wanted = []
    reasons, some = [], False
    sized = _sizes_with_defaults(cls) if op is None else []
    tries = [dict(zip(sized, one, strict=True)) for one in _network_arguments(sized)]
    by_place: list[tuple[list[Any], dict[str, Any]]] = [(one, {}) for one in _arguments(wanted, op)]
    for arguments, named in [*(([], one) for one in tries), *by_place]:
        generators.set_back()
        try:
            thing = called(cls, *arguments, **named)
        except UsersError as error:
            reasons.append(str(error))
            continue
        some = True
        yield thing
    if some:
        return
    what = f"{name}({', '.join(wanted)})" if wanted else f"{name}()"
    raise NotBuiltError(
        f"{what} cannot be made ({reasons[0] if reasons else 'its arguments are not known'}); {adapter(name)}"
    )


_NETWORK_SIZES: tuple[tuple[str, tuple[Any, ...]], ...] = (
    (r"sizes|dims|shape|architecture|^layers$|layer_?units|^units$|neurons", ([FEATURES, HIDDEN, OUT],)),
    (r"hidden|^h$|^h_?(dim|size|units)$|^n_?h$|width|middle", (HIDDEN, [HIDDEN])),
    (r"class|out|^n_?o$|^k$|^c$|^n_?y$|target", (OUT,)),
    (r"^n_?in|^in|input|feature|^n_?i$|^d$|^dim$|^n_?x$", (FEATURES,)),
    (r"scale|std|sigma", (0.5,)),
    (r"^(lr|eta|learning_?rate|alpha)$", (0.1,)),
    (r"activation|nonlinearity", ("relu", "tanh")),
)
"""What a network's constructor is given, by the names of its parameters; the first is the likeliest."""


def _network_arguments(names: list[str]) -> Iterator[list[Any]]:
    """Where a name says that there are hidden units, or a list of sizes."""
    several = [next((v for pattern, v in _NETWORK_SIZES if re.search(pattern, one.lower())), None) for one in names]
    if not any(re.search(pattern, one.lower()) for pattern, _ in _NETWORK_SIZES[:2] for one in names):
        return
    filled = [v or (size_for(n, None),) for n, v in zip(names, several, strict=True)]
    if all(one[0] is not None for one in filled):
        yield from map(list, product(*filled))


def _sizes_with_defaults(cls: type) -> list[str]:
    """The names of a network's sizes that have a default, as 784: small ones are checked sooner, and as well."""
    try:
        known = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return []
    sized = [
        one.name for one in known if isinstance(one.default, int | list | tuple) and not isinstance(one.default, bool)
    ]
    sized = [one for one in sized if any(re.search(pattern, one.lower()) for pattern, _ in _NETWORK_SIZES[:4])]
    return sized if any(re.search(pattern, one.lower()) for pattern, _ in _NETWORK_SIZES[:2] for one in sized) else []


def _arguments(names: list[str], op: str | None) -> Iterator[list[Any]]:
    if op is None:
        yield from _network_arguments(names)
    guessed = [size_for(name, op) for name in names]
    if all(one is not None for one in guessed):
        yield guessed
    sizes = [FEATURES, OUT, 2, 1, 1]
    yield [one if one is not None else sizes[min(i, 4)] for i, one in enumerate(guessed)]
    if len(names) == 1:
        yield [(OUT, FEATURES)]
    yield [one if one is not None else np.random.default_rng(0) for one in guessed]


def of_object(thing: Any, name: str, op: str | None, generators: Generators) -> Made:
    """An object with forward and backward, with inputs of a shape that it takes."""
    forward = getattr(thing, "forward", None) or thing
    wanted = required(forward)
    names = wanted or ["x"]
    if op not in LOSSES:  # what a loss holds, as weights of classes, has values that mean something
        _spread(kept.parameters(thing), kept.looks_learned(thing), op)
    operation = ClassOperation(thing, generators, _settings(thing))
    return operation, _fitting(operation, names, op, name)


def _settings(thing: object) -> dict[str, Any]:
    return {k.lstrip("_"): v for k, v in getattr(thing, "__dict__", {}).items() if isinstance(v, int | float)}


def _spread(params: dict[str, Array], declared: bool, op: str | None) -> None:  # noqa: FBT001
    """Other values than 0 and 1, so that nothing cancels."""
    rng = np.random.default_rng(11)
    for name, one in params.items():
        if name.lower().startswith(("running", "moving", "run_", "grad", "d_")) or not (declared or one.ndim):
            continue
        if not declared and not _learnable(name):
            continue
        one[...] = rng.uniform(0.4, 1.2, one.shape) * (1 if op and "norm" in op else rng.choice([-1, 1], one.shape))


def _learnable(name: str) -> bool:
    return name.lower() in {
        "w",
        "b",
        "weight",
        "bias",
        "weights",
        "biases",
        "gamma",
        "beta",
        "u",
        "v",
        "wx",
        "wh",
        "wxh",
        "whh",
        "bh",
        "kernel",
        "kernels",
        "filters",
    }


def _kinds(kinds: tuple[str, ...], shape: tuple[int, ...], inputs: int) -> tuple[str, ...]:
    """What a second input may be: of one number an example, a column of them comes first."""
    return kinds[:1] if inputs == 1 else ("column", *kinds) if shape == (1,) else kinds


def _fitting(operation: Operation, names: list[str], op: str | None, name: str) -> Callable[[int], dict[str, Any]]:
    """Inputs that forward takes: shapes and kinds of targets are tried."""
    kinds = ("numbers",) if op in OF_NUMBERS else ("classes", "onehot", "numbers")
    reasons = []
    for shape in shapes(op):
        for kind in _kinds(kinds, shape, len(names)):
            given = values(op, names, shape, 5, kind)
            try:
                y = operation.forward(given, operation.params)
            except UsersError as error:
                reasons.append(str(error))
                continue
            if isinstance(y, np.ndarray | np.floating | float | int) and np.asarray(y).dtype.kind in "fiu":
                return lambda batch, shape=shape, kind=kind: values(op, names, shape, batch, kind)  # type: ignore[misc]
            reasons.append(f"forward returns {type(y).__name__}")
    raise NotBuiltError(f"forward of {name} takes none of the inputs that were tried ({reasons[0]}); {adapter(name)}")


_WEIGHTS: dict[str | None, dict[str, tuple[int, ...]]] = {
    "linear": {"w": (FEATURES, OUT), "b": (OUT,)},
    "convolution": {"w": (OUT, 2, 3, 3), "b": (OUT,)},
    "rnn_step": {"wx": (OUT, FEATURES), "wh": (FEATURES, FEATURES), "b": (FEATURES,)},
    "norm": {"gamma": (FEATURES,), "beta": (FEATURES,)},
    "norm2": {"gamma": (2,), "beta": (2,)},
}
_GIVEN: dict[str, dict[str, Any]] = {
    "conv": {"stride": 1, "pad": 1, "padding": 1},
    "pool": {"pool_height": 2, "pool_width": 2, "stride": 2, "kernel": 2, "size": 2},
    "drop": {"mode": "train", "p": 0.6, "seed": 0, "dropout_param": None},
    "norm": {"mode": "train", "eps": 1e-5, "momentum": 0.9},
}


def of_pair(pair: tuple[Any, Any], name: str, op: str | None, generators: Generators) -> Made:
    """name_forward and name_backward: what is no x and no parameter by its name is a dict of settings, or a size."""
    names = required(pair[0]) or ["x"]
    reasons = []
    key = "norm2" if op == "batch_norm_2d" else "norm" if op and "norm" in op else op
    for turned in (False, True):
        params, given, inputs = dict[str, Array](), dict[str, Any](), list[str]()
        for one in names:
            shape = _shape_of(one, key)
            if shape is not None:
                rng = np.random.default_rng(len(params) + 1)
                shape = shape[::-1] if turned and len(shape) == 2 else shape
                low = 0.5 if key and "norm" in key else -1.0
                params[one] = rng.uniform(low, 1.5, shape)
            elif "param" in one or "config" in one or one in {"cfg", "kw", "opts"}:
                known: dict[str, Any] = next((v for k, v in _GIVEN.items() if op and k in op), {})
                given[one] = dict(known)
            elif inputs and (size := size_for(one, op)) is not None and not one.startswith(("h", "prev")):
                given[one] = size
            else:
                inputs.append(one)
        operation = PairOperation(pair, generators, params, {"given": given})
        try:
            return operation, _fitting(operation, inputs or ["x"], op, name)
        except NotBuiltError as error:
            reasons.append(error)
    raise reasons[0]


def _shape_of(name: str, key: str | None) -> tuple[int, ...] | None:
    known = _WEIGHTS.get(key, {})
    spelled = {
        "weight": "w",
        "weights": "w",
        "bias": "b",
        "biases": "b",
        "theta": "w",
        "kernel": "w",
        "wxh": "wx",
        "whh": "wh",
        "bh": "b",
        "scale": "gamma",
        "shift": "beta",
        "w_x": "wx",
        "w_h": "wh",
        "u": "wx",
        "filters": "w",
    }
    lower = name.lower()
    if key and "norm" in key:
        spelled |= {"w": "gamma", "b": "beta", "weight": "gamma", "bias": "beta"}
    return known.get(spelled.get(lower, lower))


def of_loss(function: Any, name: str, op: str | None, generators: Generators) -> Made:
    """A function of (z, y) that returns (loss, dz)."""
    names = required(function) or []
    operation = LossFunction(function, generators, {})
    return operation, _fitting(operation, names, op, name)


def operation_for(name: str, thing: Any) -> str | None:
    """By the name of the thing, or that of its class."""
    return operation_of(name) or operation_of(type(thing).__name__ if not callable(thing) else name)
