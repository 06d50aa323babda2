"""Update rules over several steps against those of PyTorch's documentation, and against common mistakes in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from paribus.checking.build import NotBuiltError, adapter
from paribus.checking.differences import Array
from paribus.checking.isolation import Generators, UsersError, called
from paribus.checking.result import DEPARTS, RIGHT, Checked, Departure
from paribus.checking.shapes.operation import required

STEPS, LR = 4, 0.1
Path = list[dict[str, Array]]
Rule = Callable[[Array, Array, dict[str, Any], int], Any]  # theta, g, state, t from 1 -> theta
_NAMES = (
    ("adamw", r"adamw"),
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


def start() -> tuple[dict[str, Array], list[dict[str, Array]]]:
    """Parameters, and a gradient for each step."""
    rng = np.random.default_rng(21)
    shapes = {"w": (3, 4), "b": (4,)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return params, [{n: 0.3 + rng.normal(size=s) for n, s in shapes.items()} for _ in range(STEPS)]


def follow(rule: Rule, *, shared: bool = False) -> Path:
    """Where a rule leads, step by step. `shared`: one state for all parameters."""
    params, slopes = start()
    states: dict[str, dict[str, Any]] = {name: {} for name in params}
    path = []
    for t, g in enumerate(slopes, 1):
        params = {n: rule(p, g[n], states["w" if shared else n], t) for n, p in params.items()}
        path.append(params)
    return path


def _sgd(k: float = 1.0) -> Rule:
    return lambda p, g, s, t: p - k * LR * g


def _momentum(
    m: float,
    *,
    inner: float = LR,
    outer: float = 1.0,
    damp: float = 1.0,
    keep: bool = True,
    sign: float = -1,
    look: bool = False,
) -> Rule:
    def rule(p: Array, g: Array, s: dict[str, Any], t: int) -> Any:
        v = m * s.get("v", 0.0) + damp * inner * g
        if keep:
            s["v"] = v
        return p + sign * outer * (m * v + damp * inner * g if look else v)

    return rule


def _velocity(m: float, inner: float, outer: float, *, stale: bool = False) -> Rule:
    def rule(p: Array, g: Array, s: dict[str, Any], t: int) -> Any:
        before = s.get("v", 0.0)
        s["v"] = m * before - inner * g
        return p + outer * (before if stale else s["v"])

    return rule


def _adam(b1: float, b2: float, eps: float = 1e-8, **wrong: Any) -> Rule:
    def rule(p: Array, g: Array, s: dict[str, Any], t: int) -> Any:
        if wrong.get("swapped"):
            one, two = b2, b1
        else:
            one, two = b1, b2
        m = one * s.get("m", 0.0) + (1 if wrong.get("undamped_m") else 1 - one) * g
        v = two * s.get("v", 0.0) + (1 if wrong.get("undamped_v") else 1 - two) * (
            np.abs(g) if wrong.get("unsquared") else g * g
        )
        s["m"], s["v"] = (m, v) if not wrong.get("forgets") else (0.0, 0.0)
        k = {"zero_t": t - 1, "late": t + 1}.get(wrong.get("t", ""), 1 if wrong.get("t") == "stuck" else t)
        mh = m / (1 - one**k) if not wrong.get("no_bias") and not wrong.get("no_bias_m") and k else m
        vh = v / (1 - two**k) if not wrong.get("no_bias") and not wrong.get("no_bias_v") and k else v
        root = vh if wrong.get("no_root") else np.sqrt(vh + eps) if wrong.get("eps_inside") else np.sqrt(vh) + eps
        return p - wrong.get("sign", 1) * LR * mh / root

    return rule


def _squares(
    decay: float, eps: float, *, root: bool = True, ema: bool = True, squared: bool = True, sign: float = 1
) -> Rule:
    def rule(p: Array, g: Array, s: dict[str, Any], t: int) -> Any:
        q = g * g if squared else np.abs(g)
        s["v"] = v = decay * s.get("v", 0.0) + (1 - decay) * q if ema else s.get("v", 0.0) + q
        return p - sign * LR * g / ((np.sqrt(v) if root else v) + eps)

    return rule


def right(rule: str) -> Iterator[tuple[str, Path]]:
    """What a rule may be, by the conventions of courses and of PyTorch."""
    if rule in {"sgd", "momentum", "nesterov"}:
        for m in (0.9, 0.5, 0.99, 0.8):
            if rule != "nesterov":
                yield f"momentum {m}", follow(_momentum(m))
                yield f"momentum {m}, as an average", follow(_momentum(m, damp=1 - m))
            yield f"Nesterov's momentum {m}", follow(_momentum(m, look=True))
        if rule == "sgd":
            yield "sgd", follow(_sgd())
    if rule in {"adam", "adamw"}:
        for b2 in (0.999, 0.99, 0.9):
            for eps in (1e-8, 1e-7, 1e-10, 1e-6):
                yield f"adam, beta2 {b2}", follow(_adam(0.9, b2, eps))
        yield "adam, eps inside the root", follow(_adam(0.9, 0.999, 1e-8, eps_inside=True))
    if rule == "rmsprop":
        for decay in (0.9, 0.99, 0.95):
            for eps in (1e-8, 1e-7, 1e-6):
                yield f"rmsprop, decay {decay}", follow(_squares(decay, eps))
    if rule == "adagrad":
        for eps in (1e-8, 1e-10, 1e-7, 1e-6):
            yield "adagrad", follow(_squares(1.0, eps, ema=False))


def wrong(rule: str) -> Iterator[tuple[Path, str, str]]:
    """Common mistakes."""
    yield follow(_sgd(-1)), "sign", "it goes up the gradient: subtract the step"
    yield follow(_sgd(1 / LR)), "learning-rate", "the learning rate is forgotten"
    yield follow(_sgd(LR)), "learning-rate", "the learning rate is multiplied in twice"
    for m in (0.9, 0.5):
        yield follow(_momentum(m, inner=1.0, sign=-1)), "learning-rate", "the learning rate is forgotten"
        yield follow(_momentum(m, sign=1)), "sign", "it goes up the gradient: subtract the velocity"
        yield follow(_momentum(m, outer=LR)), "learning-rate", "the learning rate is multiplied in twice"
        if rule in {"momentum", "nesterov"}:
            yield follow(_momentum(m, keep=False)), "state", "the velocity is not kept from step to step"
            yield (
                follow(_momentum(m), shared=True),
                "shared-state",
                "the parameters share one velocity: each wants its own",
            )
            yield (
                follow(_velocity(m, LR, -1)),
                "sign",
                "the sign of the velocity is wrong",
            )
            yield (
                follow(_velocity(m, LR, m)),
                "factor",
                "the step is the velocity times the momentum",
            )
            yield follow(_momentum(1 - m)), "swapped", "1 - momentum stands where momentum is meant"
            yield follow(_momentum(1.0)), "decay", "the velocity does not decay: it is not multiplied by the momentum"
            yield follow(_momentum(-m)), "sign", "the sign of the momentum is wrong"
            yield (
                follow(_velocity(m, 1.0, LR, stale=True)),
                "stale",
                "the step is made with the velocity of the step before",
            )
    if rule in {"momentum", "nesterov"}:
        yield follow(_sgd()), "state", "it is plain gradient descent: the velocity is not kept from step to step"
    if rule in {"adam", "adamw"}:
        for b2 in (0.999, 0.99):
            yield from _wrong_adams(b2)
    if rule in {"rmsprop", "adagrad"}:
        for decay in (0.9, 0.99):
            for ema in (True, False):
                yield follow(_squares(decay, 1e-8, ema=ema, root=False)), "root", "the square root is missing"
                yield follow(_squares(decay, 1e-8, ema=ema, sign=-1)), "sign", "it goes up the gradient"
                yield follow(_squares(decay, 1e-8, ema=ema, squared=False)), "square", "the gradient is not squared"
                yield follow(_squares(1 - decay, 1e-8, ema=ema)), "swapped", "decay and 1 - decay are exchanged"


def _wrong_adams(b2: float) -> Iterator[tuple[Path, str, str]]:
    for options, code, words in (
        ({"no_bias": True}, "bias-correction", "the correction of the bias, 1 - beta^t, is missing"),
        ({"no_bias_m": True}, "bias-correction", "the correction of the first moment, 1 - beta1^t, is missing"),
        ({"no_bias_v": True}, "bias-correction", "the correction of the second moment, 1 - beta2^t, is missing"),
        ({"no_root": True}, "root", "the square root of the second moment is missing"),
        ({"swapped": True}, "swapped", "beta1 and beta2 are exchanged"),
        ({"unsquared": True}, "square", "the second moment has the gradient without its square"),
        ({"t": "stuck"}, "step-count", "the step t stays 1: it is not counted up"),
        ({"t": "late"}, "step-count", "the step t begins at 2: it is counted up once too often"),
        ({"t": "zero_t"}, "step-count", "the step t begins at 0: it is counted up too late"),
        ({"sign": -1}, "sign", "it goes up the gradient: subtract the step"),
        ({"undamped_m": True}, "factor", "the factor 1 - beta1 is missing"),
        ({"undamped_v": True}, "factor", "the factor 1 - beta2 is missing"),
        ({"forgets": True}, "state", "the moments are not kept from step to step"),
    ):
        yield follow(_adam(0.9, b2, **options)), code, words
    yield follow(_adam(0.9, b2), shared=True), "shared-state", "the parameters share one state: each wants its own"
    plain = _adam(0.9, b2)
    yield follow(lambda p, g, s, t: p + (plain(p, g, s, t) - p) / LR), "learning-rate", "the learning rate is forgotten"

    def counted_for_each(p: Array, g: Array, s: dict[str, Any], t: int) -> Any:
        return plain(p, g, s, 2 * t - (p.ndim > 1))

    yield follow(counted_for_each), "step-count", "the step t is counted up for each parameter: once a step is meant"


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
        path.append({n: np.array(v) for n, v in zip(params, now, strict=True)})
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
        path.append({n: np.array(v) for n, v in zip(params, now, strict=True)})
    return path


def _signature(function: Any) -> list[str]:
    import inspect

    return list(inspect.signature(function).parameters)


def _close(a: Path, b: Path, tolerance: float) -> bool:
    return all(np.allclose(x[n], y[n], rtol=tolerance, atol=tolerance) for x, y in zip(a, b, strict=True) for n in x)


def check_rule(thing: Any, name: str, generators: Generators) -> Checked:
    """An update rule over four steps. NotBuiltError where it cannot be driven."""
    rule = rule_of(name) or "sgd"
    reasons = []
    for form in ("dict", "list") if isinstance(thing, type) else ("dict", "list", "array"):
        generators.set_back()
        try:
            path = (_of_class if isinstance(thing, type) else _of_function)(thing, form)
        except _WrittenError:
            why = Departure(
                tensor="the gradient",
                how="it has other numbers after a step",
                reason="the step changes the gradient in place: work on a copy",
                code="in-place",
            )
            return Checked(name=name, verdict=DEPARTS, taken=rule, departures=(why,))
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
        return _judged(path, rule, name)
    raise NotBuiltError(f"{name} takes no step as it was called ({reasons[0]}); {adapter(name)}")


def _judged(path: Path, rule: str, name: str) -> Checked:
    single = any(one.dtype == np.float32 for one in path[-1].values())
    tolerance = 1e-4 if single else 1e-6
    found = list(right(rule))
    notes = ("it computes in float32, though it was given float64",) if single else ()
    match = next((what for what, one in found if _close(path, one, tolerance)), None)
    if match is not None:
        return Checked(name=name, verdict=RIGHT, taken=match, notes=notes)
    begin = start()[0]
    best = min(found, key=lambda one: _gap(path, one[1]))
    why = next(((code, words) for one, code, words in wrong(rule) if _close(path, one, 1e-5)), None)
    if all(np.array_equal(path[-1][n], begin[n]) for n in begin):
        why = ("zero", "no parameter moves: the step is not written back, as theta -= ... on a name of its own")
    step = next((i for i, one in enumerate(path) if not _close([one], [best[1][i]], tolerance)), 0)
    which = next(n for n in begin if not np.allclose(path[step][n], best[1][step][n], rtol=tolerance, atol=tolerance))
    if why is None and step > 0:
        why = (
            "state",
            f"the first {step} step{'s are' if step > 1 else ' is'} right, the next is not: something that is kept between steps is wrong",
        )
    gap = float(np.abs(path[step][which] - best[1][step][which]).max())
    departure = Departure(
        tensor=f"parameter {which} after step {step + 1}",
        how=f"off by {gap:.3g}",
        reason=why and why[1],
        code=why and why[0],
    )
    return Checked(name=name, verdict=DEPARTS, taken=rule, departures=(departure,), notes=notes)


def _gap(a: Path, b: Path) -> float:
    total = sum(float(np.abs(x[n] - y[n]).sum()) for x, y in zip(a, b, strict=True) for n in x)
    return total if np.isfinite(total) else float("inf")
