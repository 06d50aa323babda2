"""Scalars that remember how they were made (as micrograd's Value): every operation they have, by differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from paribus.checking.isolation import UsersError, called
from paribus.checking.result import DEPARTS, RIGHT, Checked, Departure

_OPERATIONS: tuple[tuple[str, str, Callable[[Any, Any], Any]], ...] = (
    ("a + b", "__add__", lambda a, b: a + b),
    ("a * b", "__mul__", lambda a, b: a * b),
    ("a - b", "__sub__", lambda a, b: a - b),
    ("-a", "__neg__", lambda a, b: -a),
    ("a / b", "__truediv__", lambda a, b: a / b),
    ("a ** 3", "__pow__", lambda a, b: a**3),
    ("3 * a", "__rmul__", lambda a, b: 3 * a),
    ("3 - a", "__rsub__", lambda a, b: 3 - a),
    ("tanh", "tanh", lambda a, b: a.tanh()),
    ("relu", "relu", lambda a, b: a.relu() + b.relu()),
    ("exp", "exp", lambda a, b: a.exp()),
    ("log", "log", lambda a, b: a.log()),
    ("sigmoid", "sigmoid", lambda a, b: a.sigmoid()),
    ("a + a (used twice)", "__add__", lambda a, b: a + a),
    ("a * b + a (used twice)", "__mul__", lambda a, b: a * b + a),
    ("(a * b) * (a * b) (a chain)", "__mul__", lambda a, b: _squared(a * b)),
)


def _squared(c: Any) -> Any:
    return c * c


def check_scalar(cls: type, name: str) -> Checked:
    """Each operation at two points; the gradient of each operand."""
    found, notes = list[Departure](), list[str]()
    for what, method, f in _OPERATIONS:
        if not hasattr(cls, method):
            continue
        try:
            found += list(_departures(cls, what, f))[:1]
        except UsersError as error:
            notes.append(f"{what} was not checked: it raises {error}")
    return Checked(
        name=name,
        verdict=DEPARTS if found else RIGHT,
        taken="a scalar with gradients",
        departures=tuple(found[:4]),
        notes=tuple(notes),
    )


def _departures(cls: type, what: str, f: Callable[[Any, Any], Any]) -> Iterator[Departure]:
    x, y, h = 0.7, -1.3, 1e-6

    def value(a: float, b: float) -> float:
        return float(called(lambda: f(cls(a), cls(b)).data))

    a, b = called(cls, x), called(cls, y)
    called(lambda: f(a, b).backward())
    for operand, node, true in (
        ("a", a, (value(x + h, y) - value(x - h, y)) / (2 * h)),
        ("b", b, (value(x, y + h) - value(x, y - h)) / (2 * h)),
    ):
        mine = called(lambda node=node: float(node.grad))
        if abs(mine - true) > 1e-5 * max(1.0, abs(true)):
            why = None
            if "twice" in what or "chain" in what:
                why = (
                    "accumulated",
                    "a value that is used twice gets the gradient of one use alone: += where = stands, or the order of backward",
                )
            elif abs(mine + true) < 1e-5:
                why = ("sign", "the sign is wrong: it is -1 times the right one")
            elif mine == 0:
                why = ("zero", "it gets no gradient")
            yield Departure(
                tensor=f"{what}: gradient of {operand}",
                how=f"it is {mine:.4g}, it should be {true:.4g}",
                reason=why and why[1],
                code=why and why[0],
            )
