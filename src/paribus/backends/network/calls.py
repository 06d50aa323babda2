"""How a network of the user's is called: forward and backward, or a loss with its gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.handwritten.places import RESETS, put, reach

Array = NDArray[Any]

_SCORES = ("forward", "scores", "predict", "__call__")
_GRADIENTS = ("loss", "gradient", "gradients")


class NotUnderstoodError(Exception):
    """Why a network cannot be taken, in one sentence."""


@dataclass(frozen=True, kw_only=True)
class Calls:
    """`gives_loss`: the method of (x, y) that gives the gradients, where there is no backward. `scores`: the method
    that gives the outputs. `columns`: an example is a column; `onehot`: y is. `cache`: forward returns (outputs,
    cache), and backward takes both."""

    scores: str
    gives_loss: str | None = None
    columns: bool = False
    onehot: bool = False
    cache: bool = False

    @classmethod
    def of(cls, thing: Any) -> Calls:
        """By its methods. NotUnderstoodError for an object without them."""
        if _has(thing, "backward") and (
            name := next((one for one in ("forward", "__call__") if _has(thing, one)), None)
        ):
            return cls(scores=name)
        gives = next((one for one in _GRADIENTS if _has(thing, one) and _takes(thing, one, 2)), None)
        if gives is None:
            raise NotUnderstoodError(
                f"{type(thing).__name__} has neither forward(x) with backward(dout), nor loss(x, y) that gives the "
                "loss and the gradients"
            )
        if _takes(thing, gives, 1):  # as cs231n's loss(X, y=None)
            return cls(scores=gives, gives_loss=gives)
        if (name := next((one for one in _SCORES if _has(thing, one) and _takes(thing, one, 1)), None)) is None:
            raise NotUnderstoodError(
                f"{type(thing).__name__} has {gives}(x, y), and no forward(x) that gives the outputs"
            )
        return cls(scores=name, gives_loss=gives)

    def outputs(self, thing: Any, x: Array) -> tuple[Any, Any]:
        """What it gives for x (examples, inputs), as it is, and what it wants back beside the gradient."""
        found = getattr(thing, self.scores)(x.T if self.columns else x)
        if isinstance(found, tuple) and found:
            return found[0], found[1] if len(found) > 1 else None
        return found, None

    def backward(self, thing: Any, dy: Array, cache: Any) -> Any:
        """What its backward returns for dL/d(outputs) (examples, outputs)."""
        dout = dy.T if self.columns else dy
        return thing.backward(dout, cache) if self.cache else thing.backward(dout)

    def loss(self, thing: Any, x: Array, y: Array, classes: int) -> tuple[float | None, Any]:
        """The loss that it gives itself, None where it gives gradients alone, and what holds these."""
        assert self.gives_loss is not None
        target = np.eye(classes, dtype=x.dtype)[y] if self.onehot else y.copy()
        given = (x.T, target.T) if self.columns else (x, target)
        found = getattr(thing, self.gives_loss)(*given)
        if isinstance(found, tuple) and len(found) > 1 and np.ndim(found[0]) == 0:
            return float(found[0]), found[1:]
        return (float(found), None) if isinstance(found, float | np.floating) else (None, found)


def reset(thing: Any, holders: Mapping[str, tuple[Any, ...]]) -> None:
    """Set gradients to 0, where they add up until they are: by the network's own method, or, of parameters that are
    objects with `.grad`, by what an optimizer does. `holders`: the places of these."""
    method = next((name for name in RESETS if _has(thing, name)), None)
    if method is not None:
        getattr(thing, method)()
    for place in holders.values():
        grad = reach(thing, place)
        if isinstance(grad, np.ndarray):
            put(thing, place, np.zeros_like(grad))


def _has(thing: Any, name: str) -> bool:
    return callable(getattr(thing, name, None))


def _takes(thing: Any, name: str, count: int) -> bool:
    """Whether a method can be called with so many arguments."""
    method: Callable[..., Any] = getattr(thing, name)
    try:
        inspect.signature(method).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def takes_cache(thing: Any) -> bool:
    """Whether backward has to be given a second argument."""
    return not _takes(thing, "backward", 1) and _takes(thing, "backward", 2)
