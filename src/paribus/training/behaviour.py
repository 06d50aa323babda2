"""What is the user's own, known by what it does: values that a probe sees, rounded and hashed."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paribus.training.metrics import PROBABILITIES, softmax

_BITS = 20
"""Of a number's mantissa: 6 significant digits, so that two machines that differ in the last bits agree."""

_MOST = 2**20
"""Values of an array that are hashed one by one; of a larger one, every k-th, and the sums of all."""

_STATE = 20_241
"""The state of all generators in a probe."""

_EXAMPLES = 64


class Digest:
    """SHA-256 of named arrays, rounded.

    >>> def hashed(*values): return Digest().add("x", values).hex()
    >>> hashed(0.1, 2.0) == hashed(0.1 + 1e-12, 2.0), hashed(0.1, 2.0) == hashed(0.1001, 2.0)
    (True, False)
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, name: str, values: ArrayLike) -> Digest:
        """An array of numbers under a name."""
        array = np.asarray(values)
        self._hash.update(f"{name} {array.shape} {array.dtype.kind};".encode())
        flat = array.reshape(-1)
        if flat.size > _MOST:
            numbers = flat.astype(np.float64)
            self._hash.update(_rounded(np.array([numbers.sum(), np.abs(numbers).sum()])))
            flat = flat[:: -(-flat.size // _MOST)]
        self._hash.update(_rounded(flat) if flat.dtype.kind in "fc" else flat.astype(str).tobytes())
        return self

    def say(self, text: str) -> Digest:
        """A text."""
        self._hash.update(f"{len(text)}:{text}".encode())
        return self

    def hex(self) -> str:
        """The hash so far."""
        return self._hash.hexdigest()


def _rounded(values: NDArray[Any]) -> bytes:
    if values.dtype.kind == "c":
        return _rounded(values.real) + _rounded(values.imag)
    mantissa, exponent = np.frexp(values.astype(np.float64))
    finite = np.isfinite(mantissa)
    whole = np.rint(np.where(finite, mantissa, 0.0) * 2**_BITS).astype(np.int64)
    carried = np.abs(whole) == 2**_BITS  # 0.9999999 is 1
    exponent = np.where(whole == 0, 0, exponent + carried)
    whole[carried] //= 2
    odd = np.where(finite, 0, np.where(np.isnan(mantissa), 1, np.where(mantissa > 0, 2, 3)))
    return b"".join(part.astype(np.int32).tobytes() for part in (whole, exponent, odd))


@contextlib.contextmanager
def probe_generators() -> Iterator[Callable[[], None]]:
    """Sets PyTorch's (where it is imported), NumPy's and Python's generators to one state inside, and back after it.

    Gives a function that sets them to that state once more.
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 (the user's generator)
    torch = sys.modules.get("torch")

    def begin() -> None:
        np.random.seed(_STATE)  # noqa: NPY002
        random.seed(_STATE)
        if torch is not None:
            torch.manual_seed(_STATE)

    with torch.random.fork_rng() if torch is not None else contextlib.nullcontext():
        try:
            begin()
            yield begin
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


def probe_labels(size: int, classes: int) -> NDArray[np.int64]:
    """Classes of probe examples, each as often as the others, the first ones once more where it does not divide."""
    return np.arange(size, dtype=np.int64) % classes


def metric_behaviour(metric: Callable[..., Any], classes: int) -> str:
    """SHA-256 of a metric's values on fixed classes: all right, one wrong, a third wrong, all of one class.

    Predictions come as training gives them: classes, or probabilities where the second parameter is called so. What the
    metric raises on a prediction is part of what it does.

    >>> def accuracy(y, predicted): return (y == predicted).mean()
    >>> def errors(y, predicted): return (y != predicted).mean()
    >>> metric_behaviour(accuracy, 3) == metric_behaviour(accuracy, 3) != metric_behaviour(errors, 3)
    True
    """
    y = probe_labels(max(_EXAMPLES, classes), classes)
    wrong = [np.zeros(len(y), bool), np.arange(len(y)) == 0, np.arange(len(y)) % 3 == 0]
    predictions = [*(np.where(one, (y + 1) % classes, y) for one in wrong), np.zeros_like(y)]
    by_probability = list(inspect.signature(metric).parameters)[1:2] == [PROBABILITIES]
    noise = np.random.Generator(np.random.Philox(_STATE)).normal(size=(len(y), classes))
    digest = Digest()
    with probe_generators() as begin:
        for predicted in predictions:
            begin()
            logits = 4.0 * (predicted[:, None] == np.arange(classes)) + noise
            given = softmax(logits) if by_probability else predicted.copy()
            try:
                digest.add("value", float(metric(y.copy(), given)))
            except Exception as error:  # a metric may be undefined there, as an area under a curve with one class
                digest.say(type(error).__name__)
    return digest.hex()
