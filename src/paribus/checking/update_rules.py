"""Update rules by the formulas of PyTorch's documentation, and common mistakes in them, as paths of parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from paribus.checking.differences import Array

STEPS, LR = 4, 0.1
Path = list[dict[str, Array]]
Rule = Callable[[Array, Array, dict[str, Any], int], Any]  # theta, g, state, t from 1 -> theta


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


def _decoupled(rule: Rule, decay: float) -> Rule:
    return lambda p, g, s, t: rule(p * (1 - LR * decay), g, s, t)


def _lion(b1: float, b2: float) -> Rule:
    def rule(p: Array, g: Array, s: dict[str, Any], t: int) -> Any:
        m = s.get("m", np.zeros_like(g))
        s["m"] = b2 * m + (1 - b2) * g
        return p - LR * np.sign(b1 * m + (1 - b1) * g)

    return rule


def right(rule: str, own: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """What a rule may be, by the conventions of courses and of PyTorch. `own`: constants of the rule that is checked."""
    if rule in {"sgd", "momentum", "nesterov"}:
        for m in (0.9, 0.5, 0.99, 0.8):
            if rule != "nesterov":
                yield f"momentum {m}", follow(_momentum(m))
                yield f"momentum {m}, as an average", follow(_momentum(m, damp=1 - m))
            yield f"Nesterov's momentum {m}", follow(_momentum(m, look=True))
        if rule == "sgd":
            yield "sgd", follow(_sgd())
    if rule == "adamw":
        for decay in dict.fromkeys((own.get("weight_decay", 0.01), 0.01, 0.1)):
            for b2 in (0.999, 0.99):
                yield f"adamw, decay {decay}", follow(_decoupled(_adam(0.9, b2), decay))
    if rule == "lion":
        for b2 in (0.99, 0.999):
            yield f"lion, beta2 {b2}", follow(_lion(0.9, b2))
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
    if rule == "adamw":
        for decay in (0.01, 0.1):
            plain = _adam(0.9, 0.999)
            coupled = follow(lambda p, g, s, t, decay=decay, plain=plain: plain(p, g + decay * p, s, t))  # type: ignore[misc]
            yield (
                coupled,
                "decay",
                "the decay is added to the gradient, as in Adam: AdamW shrinks the parameters themselves",
            )
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
