"""The recurrent network by hand, with backpropagation through time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from paribus.byhand.layers import Array

_AT_ONCE = 20_000
"""Steps of sequences that are evaluated at once."""


class Rnn:
    """h(t) = tanh(W_hx x(t) + W_hh h(t-1) + b_h) for t = 1, ..., T, from h(0) = 0;  o = W_ph h(T) + b_o, the logits.

    Parameters: `w_hx` (hidden, inputs), `w_hh` (hidden, hidden), `b_h` (hidden,), `w_ph` (classes, hidden), `b_o`
    (classes,), at 0 until they are loaded. The loss L is taken from o alone, once, after the last step. With
    `every_step` there is an o(t) = W_ph h(t) + b_o for each t, and L is taken from all of them.

    Backward, with a row for each example and z(t) for the argument of tanh, from dL/do:

        dW_ph   = do^T h(T),   db_o = sum over examples of do
        dh(T)   = do W_ph
        dz(t)   = dh(t) (1 - h(t)^2)                     tanh' = 1 - tanh^2, unit by unit
        dh(t-1) = dz(t) W_hh                             all of dL/dh(t-1): L meets it through h(t) only
        dW_hx   = sum over t of dz(t)^T x(t)             the same weights at each step: their gradients add up
        dW_hh   = sum over t of dz(t)^T h(t-1)
        db_h    = sum over t and examples of dz(t)

    With `every_step`, dW_ph and db_o are sums over t too, and dh(t-1) = dz(t) W_hh + do(t-1) W_ph.

    Every h(t) and dz(t) is kept: 2 T examples hidden numbers.

    Source: P. J. Werbos, Backpropagation through time: what it does and how to do it (Proc. IEEE 1990).

    >>> model = Rnn(inputs=1, hidden=3, classes=10)
    >>> {name: value.shape for name, value in model.parameters.items()}
    {'w_hx': (3, 1), 'w_hh': (3, 3), 'b_h': (3,), 'w_ph': (10, 3), 'b_o': (10,)}
    >>> model.forward(np.ones((5, 4, 1))).shape
    (5, 10)
    >>> Rnn(inputs=1, hidden=3, classes=10, every_step=True).forward(np.ones((5, 4, 1))).shape
    (5, 4, 10)
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        classes: int,
        dtype: type[np.floating] = np.float64,
        *,
        every_step: bool = False,
    ) -> None:
        self._every = every_step
        shapes = {
            "w_hx": (hidden, inputs),
            "w_hh": (hidden, hidden),
            "b_h": (hidden,),
            "w_ph": (classes, hidden),
            "b_o": (classes,),
        }
        self.parameters: dict[str, Array] = {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
        self.buffers: dict[str, Array] = {}
        self.dropped: tuple[int, ...] = ()

    def train(self, *, training: bool = True) -> None:
        """It computes the same in training and in evaluation."""

    def load(self, values: Mapping[str, Array]) -> None:
        """Copy values into the parameters, in place, rounded to their type."""
        for name, parameter in self.parameters.items():
            parameter[...] = values[name]

    def forward(self, x: Array, keep: Sequence[NDArray[np.bool_]] = ()) -> Array:  # noqa: ARG002 (nothing is dropped)
        """Logits (examples, classes) for x (examples, T, inputs); with `every_step` (examples, T, classes)."""
        w_hx, w_hh, b_h, w_ph, b_o = self.parameters.values()
        self._x = np.ascontiguousarray(x.swapaxes(0, 1))  # (T, examples, inputs): a step's rows lie together
        steps, examples, _ = self._x.shape
        h = np.zeros((steps + 1, examples, len(b_h)), b_h.dtype)
        # W_hx x(t) + b_h for all steps at once, where h(t) will stand
        np.add(_rows(self._x) @ w_hx.T, b_h, out=_rows(h[1:]))
        carried = np.empty_like(h[0])
        for before, now in pairwise(h):
            now += np.matmul(before, w_hh.T, out=carried)
            np.tanh(now, out=now)
        self._h = h
        read = h[1:].swapaxes(0, 1) if self._every else h[-1]
        logits: Array = read @ w_ph.T + b_o
        return logits

    def backward(self, dlogits: Array) -> dict[str, Array]:
        """dL/d(parameter) for every parameter, from dL/do of the last `forward`, of the shape of its logits."""
        w_hh, w_ph = self.parameters["w_hh"], self.parameters["w_ph"]
        before, h = self._h[:-1], self._h[1:]
        dz = np.empty_like(h)
        # where nothing is read out before the last step, h(t) is felt through h(t+1) alone
        felt = dlogits.swapaxes(0, 1) if self._every else dlogits[None]
        read = h if self._every else h[-1:]
        self._dh_last = dh = felt[-1] @ w_ph
        for t in range(len(h) - 1, -1, -1):
            np.multiply(dh, 1 - h[t] * h[t], out=dz[t])
            dh = dz[t] @ w_hh
            if self._every and t > 0:
                dh += felt[t - 1] @ w_ph
        self._dz, self._w_hh = dz, w_hh.copy()
        return {
            "w_hx": _rows(dz).T @ _rows(self._x),
            "w_hh": _rows(dz).T @ _rows(before),
            "b_h": _rows(dz).sum(axis=0),
            "w_ph": _rows(np.ascontiguousarray(felt)).T @ _rows(read),
            "b_o": felt.sum(axis=(0, 1)),
        }

    def at_once(self, x: Array) -> int:
        """As many sequences as have 20,000 steps together."""
        return max(1, _AT_ONCE // int(x.shape[1]))

    def state_gradient_norms(self) -> NDArray[np.float64]:
        """|dL/dh(t)| for t = 1, ..., T, of the last `backward`, shape (T,): how far back the loss is felt.

        The root of the sum over examples and units of the squares. L is a mean over examples, and so each example's
        part in it is 1 / examples. Squares are taken of float64 numbers scaled to 1: those of a gradient of 1e-30 are
        no float32 numbers.

        >>> model = Rnn(inputs=1, hidden=1, classes=1)
        >>> model.load({name: np.full(value.shape, 0.5) for name, value in model.parameters.items()})
        >>> _ = model.forward(np.zeros((1, 3, 1))), model.backward(np.ones((1, 1)))
        >>> model.state_gradient_norms().round(3).tolist()
        [0.042, 0.138, 0.5]
        """
        return np.array([*(_norm(dz @ self._w_hh) for dz in self._dz[1:]), _norm(self._dh_last)])


def _rows(a: Array) -> Array:
    """(T, examples, n) -> (T examples, n), the same memory."""
    return a.reshape(-1, a.shape[-1])


def _norm(a: Array) -> float:
    largest = float(np.abs(a).max())
    if not 0 < largest < np.inf:
        return largest
    return largest * float(np.linalg.norm(a.astype(np.float64) / largest))
