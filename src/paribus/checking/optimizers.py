"""Update rules over several steps: how they are driven, and what their path is compared with."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from paribus.checking.build import NotBuiltError, adapter
from paribus.checking.isolation import Generators, UsersError, called
from paribus.checking.result import DEPARTS, RIGHT, UNCHECKED, Checked, Departure
from paribus.checking.shapes.operation import required
from paribus.checking.update_rules import LR, Path, right, start, wrong

_NAMES = (
    ("adamw", r"adam_?w"),
    ("nadam", r"nadam"),
    ("radam", r"radam"),
    ("adamax", r"adamax"),
    ("adadelta", r"adadelta"),
    ("lion", r"\blion|^lion"),
    ("adam", r"adam"),
    ("rmsprop", r"rms"),
    ("adagrad", r"adagrad"),
    ("nesterov", r"nesterov|nag\b"),
    ("momentum", r"moment"),
    ("sgd", r"sgd|gradient_?descent|\bgd\b|step|update"),
)


def rule_of(name: str) -> str | None:
    """By its name: `SGDMomentum` is momentum."""
    spelled = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return next((rule for rule, pattern in _NAMES if re.search(pattern, spelled)), None)


def _values(name: str) -> Any:
    lower = name.lower()
    for pattern, value in (
        (r"^(lr|eta|learning_?rate|alpha|step_?size|rate)$", LR),
        (r"beta_?1|^b1$", 0.9),
        (r"beta_?2|^b2$", 0.999),
        (r"betas", (0.9, 0.999)),
        (r"eps", 1e-8),
        (r"moment|^mu$|^m$|rho|gamma|decay|^beta$", 0.9),
    ):
        if re.search(pattern, lower):
            return value
    return None


_PARAMS, _GRADS = (
    r"^(params?|parameters|theta|thetas|w|ws|weights?|p|x)$",
    r"^(grads?|gradients?|dw|dws|g|gs|dx|dtheta)$",
)


def _filled(names: list[str], params: Any, grads: Any) -> list[Any]:
    filled = []
    for name in names:
        if re.search(_PARAMS, name.lower()):
            filled.append(params)
        elif re.search(_GRADS, name.lower()):
            filled.append(grads)
        elif (value := _values(name)) is not None:
            filled.append(value)
        else:
            raise NotBuiltError(f"what {name} is, is not known")
    return filled


def _snapshot(params: Any, now: Any) -> dict[str, Any]:
    """The parameters by their names, copied."""
    found = {n: np.array(v) for n, v in zip(params, now, strict=False)}
    wrong_shape = next((n for n in params if n not in found or found[n].shape != np.shape(params[n])), None)
    if wrong_shape is not None:
        raise NotBuiltError(f"after a step parameter {wrong_shape} has another shape, or is not there")
    return found


def _of_class(cls: type, form: str) -> Path:
    """Steps of an optimizer, whose parameters are a dict or a list; given once, or at each step."""
    params, slopes = start()
    held: Any = params if form == "dict" else list(params.values())
    wanted = required(cls) or []
    lr = {} if any(_values(one) == LR for one in wanted) else _learning_rate(cls)
    optimizer = called(cls, *_filled(wanted, held, None), **lr)
    step = next(getattr(optimizer, one) for one in ("step", "update", "__call__", "apply") if hasattr(optimizer, one))
    path = []
    for g in slopes:
        given = {n: v.copy() for n, v in g.items()}
        slope = given if form == "dict" else list(given.values())
        returned = called(step, *_filled(required(step) or [], held, slope))
        if isinstance(returned, dict | list) and len(returned) == len(params):
            held = returned
        if any(not np.array_equal(given[n], g[n]) for n in g):
            raise _WrittenError
        now = held.values() if form == "dict" else held
        path.append(_snapshot(params, now))
    return path


def _learning_rate(thing: Any) -> dict[str, Any]:
    import inspect

    names = [
        n
        for n in inspect.signature(thing).parameters
        if n.lower() in {"lr", "eta", "learning_rate", "alpha", "step_size"}
    ]
    return {names[0]: LR} if names else {}


class _WrittenError(Exception):
    """The gradient has other numbers after the step."""


def _of_function(function: Any, form: str) -> Path:
    """step(params, grads, lr), in place or returned; sgd(w, dw, config) -> w, config."""
    params, slopes = start()
    names = required(function) or []
    configured = [n for n in _signature(function) if "config" in n or "state" in n or n in {"cache", "velocity"}]
    lr = {} if any(_values(n) == LR for n in names) else _learning_rate(function)
    plain = [n for n in names if n not in configured]
    if form == "array":
        states: dict[str, Any] = {n: {"learning_rate": LR, "lr": LR} if configured else None for n in params}
    else:
        states = {"all": {} if configured else None}
    held: Any = params if form in {"dict", "array"} else list(params.values())
    path = []
    for g in slopes:
        given = {n: v.copy() for n, v in g.items()}
        if form == "array":
            for n in params:
                returned = called(
                    function,
                    *_filled(plain, params[n], given[n]),
                    **lr,
                    **({configured[0]: states[n]} if configured else {}),
                )
                if isinstance(returned, tuple):
                    params[n], states[n] = returned[0], returned[1]
                elif isinstance(returned, np.ndarray):
                    params[n] = returned
        else:
            slope = given if form == "dict" else list(given.values())
            returned = called(
                function, *_filled(plain, held, slope), **lr, **({configured[0]: states["all"]} if configured else {})
            )
            first = returned[0] if isinstance(returned, tuple) else returned
            if isinstance(first, dict | list) and len(first) == len(params):
                held = first
        if any(not np.array_equal(given[n], g[n]) for n in g):
            raise _WrittenError
        now = params.values() if form == "array" else held.values() if form == "dict" else held
        path.append(_snapshot(params, now))
    return path


def _signature(function: Any) -> list[str]:
    import inspect

    return list(inspect.signature(function).parameters)


def _close(a: Path, b: Path, tolerance: float) -> bool:
    return all(np.allclose(x[n], y[n], rtol=tolerance, atol=tolerance) for x, y in zip(a, b, strict=True) for n in x)


def _driver_of(thing: Any) -> Any:
    if not isinstance(thing, type):
        return _of_function
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(thing, torch.optim.Optimizer):
        from paribus.checking.torch_rules import steps_of

        return lambda cls, form: called(steps_of, cls, {})
    return _of_class


def _own(thing: Any) -> dict[str, Any]:
    """Its constants by the defaults of its signature, as `weight_decay`."""
    import inspect

    try:
        known = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {one.name: one.default for one in known if isinstance(one.default, int | float | tuple)}


_COMMON = ("sgd", "momentum", "nesterov", "adam", "rmsprop", "adagrad")


def _known(rule: str | None, own: dict[str, Any]) -> list[tuple[str, Path]]:
    """What is right for a rule of this name; of another name, any of the common ones."""
    found = [one for known in ([rule] if rule else _COMMON) for one in right(known, own)]
    if rule is not None and (not found or "torch" in sys.modules):
        from paribus.checking.torch_rules import of_torch

        found += of_torch(rule, own)
    return found


def check_rule(thing: Any, name: str, generators: Generators) -> Checked:
    """An update rule over four steps. NotBuiltError where it cannot be driven."""
    rule = rule_of(name)
    reasons = []
    for form in ("dict", "list") if isinstance(thing, type) else ("dict", "list", "array"):
        generators.set_back()
        try:
            path = _driver_of(thing)(thing, form)
        except _WrittenError:
            why = Departure(
                tensor="the gradient",
                how="it has other numbers after a step",
                reason="the step changes the gradient in place: work on a copy",
                code="in-place",
            )
            return Checked(name=name, verdict=DEPARTS, taken=rule or "an update rule", departures=(why,))
        except (UsersError, NotBuiltError) as error:
            reasons.append(str(error))
            continue
        begin = start()[0]
        if (
            form != "array"
            and not isinstance(thing, type)
            and all(np.array_equal(path[-1][n], begin[n]) for n in begin)
        ):
            reasons.append("no parameter moves")
            continue
        return _judged(path, rule, name, _own(thing))
    raise NotBuiltError(f"{name} takes no step as it was called ({reasons[0]}); {adapter(name)}")


def _judged(path: Path, rule: str | None, name: str, own: dict[str, Any]) -> Checked:
    single = any(one.dtype == np.float32 for one in path[-1].values())
    tolerance = 1e-4 if single else 1e-6
    found = _known(rule, own)
    notes = ("it computes in float32, though it was given float64",) if single else ()
    match = next((what for what, one in found if _close(path, one, tolerance)), None)
    if match is not None:
        return Checked(name=name, verdict=RIGHT, taken=match, notes=notes)
    begin = start()[0]
    mistakes = (one for known in ([rule] if rule else _COMMON) for one in wrong(known))
    why = next(((code, words) for one, code, words in mistakes if _close(path, one, 1e-5)), None)
    if all(np.array_equal(path[-1][n], begin[n]) for n in begin):
        why = ("zero", "no parameter moves: the step is not written back, as theta -= ... on a name of its own")
    if not found or (rule is None and why is None):
        note = f"its steps are of no rule that is known: {', '.join(_COMMON)}; nor of PyTorch's {rule or name}"
        return Checked(name=name, verdict=UNCHECKED, notes=(*notes, note))
    return _departed(
        path, found, why, Checked(name=name, verdict=DEPARTS, taken=rule or "an update rule", notes=notes), tolerance
    )


def _departed(
    path: Path, found: list[tuple[str, Path]], why: tuple[str, str] | None, checked: Checked, tolerance: float
) -> Checked:
    """Where it leaves the nearest of those that are right."""
    begin, best = start()[0], min(found, key=lambda one: _gap(path, one[1]))
    step = next((i for i, one in enumerate(path) if not _close([one], [best[1][i]], tolerance)), 0)
    which = next(n for n in begin if not np.allclose(path[step][n], best[1][step][n], rtol=tolerance, atol=tolerance))
    if why is None and step > 0:
        are = "s are" if step > 1 else " is"
        words = f"the first {step} step{are} right, the next is not: something that is kept between steps is wrong"
        why = ("state", words)
    gap = float(np.abs(path[step][which] - best[1][step][which]).max())
    code, words_ = why or (None, None)
    tensor = f"parameter {which} after step {step + 1}"
    return replace(checked, departures=(Departure(tensor=tensor, how=f"off by {gap:.3g}", reason=words_, code=code),))


def _gap(a: Path, b: Path) -> float:
    total = sum(float(np.abs(x[n] - y[n]).sum()) for x, y in zip(a, b, strict=True) for n in x)
    return total if np.isfinite(total) else float("inf")
