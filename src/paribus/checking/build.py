"""Objects of a class whose constructor is read from its signature; ADAPTER is what helps where that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from paribus.checking.differences import Array
from paribus.checking.inputs import FEATURES, OUT, operation_of, shapes, size_for, values
from paribus.checking.isolation import FAILS, Generators
from paribus.checking.shapes.operation import ClassOperation, LossFunction, Operation, PairOperation, required
from paribus.config.user_errors import told
from paribus.handwritten import places as kept

Made = tuple[Operation, Callable[[int], dict[str, Any]]]


class NotBuiltError(Exception):
    """Why a thing cannot be checked, in one sentence, and what helps."""


def adapter(name: str) -> str:
    """The lines that help."""
    return f"say how it is made, in the same file: def paribus_check(): return {name}(...)"


def made(cls: Any, name: str, op: str | None, generators: Generators) -> Any:
    """An object of a class: by its parameters' names, else by trying sizes."""
    written = not isinstance(cls, type) or "__init__" in {key for one in cls.__mro__[:-1] for key in vars(one)}
    wanted = required(cls) if written else []
    if wanted is None:
        wanted = []
    reasons = []
    for arguments in _arguments(wanted, op):
        generators.set_back()
        try:
            return cls(*arguments)
        except FAILS as error:
            reasons.append(told(error))
    what = f"{name}({', '.join(wanted)})" if wanted else f"{name}()"
    raise NotBuiltError(
        f"{what} cannot be made ({reasons[0] if reasons else 'its arguments are not known'}); {adapter(name)}"
    )


def _arguments(names: list[str], op: str | None) -> Iterator[list[Any]]:
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
    _spread(kept.parameters(thing), kept.looks_learned(thing), op)
    operation = ClassOperation(thing, generators, _settings(thing))
    return operation, _fitting(operation, names, op, name)


def _settings(thing: object) -> dict[str, Any]:
    return {k.lstrip("_"): v for k, v in getattr(thing, "__dict__", {}).items() if isinstance(v, int | float)}


def _spread(params: dict[str, Array], declared: bool, op: str | None) -> None:  # noqa: FBT001
    """Other values than 0 and 1, so that nothing cancels."""
    rng = np.random.default_rng(11)
    for name, one in params.items():
        bare = kept.bare_name(name)
        if bare.startswith(("running", "moving", "run_", "grad", "d_")) or not (declared or one.ndim):
            continue
        if not declared and not _learnable(bare):
            continue
        one[...] = rng.uniform(0.4, 1.2, one.shape) * (1 if op and "norm" in op else rng.choice([-1, 1], one.shape))


def _learnable(name: str) -> bool:
    return name in {
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
    kinds = ("classes", "onehot", "numbers") if op != "mean_squared" else ("numbers",)
    reasons = []
    for shape in shapes(op):
        for kind in _kinds(kinds, shape, len(names)):
            try:
                given = values(op, names, shape, 5, kind)
                y = operation.forward(given, operation.params)
            except FAILS as error:
                reasons.append(told(error))
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
