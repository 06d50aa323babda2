"""The global generators, for what is the user's own and draws from them."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.random import mtrand

_guard = threading.RLock()
"""There is one set of global generators for all threads."""


@contextmanager
def borrowed_generators(state: int) -> Iterator[None]:
    """PyTorch's, NumPy's and Python's global generators at a state of the plan's inside, and as they were after it."""
    with untouched_generators():
        set_generators(state)
        yield


@contextmanager
def untouched_generators() -> Iterator[None]:
    """All three as they were, when this ends."""
    with _guard, _as_they_were():
        yield


@contextmanager
def _as_they_were() -> Iterator[None]:
    python_state = random.getstate()
    try:
        with _another_numpy_generator(), untouched_torch_generator():
            yield
    finally:
        random.setstate(python_state)


@contextmanager
def untouched_torch_generator() -> Iterator[None]:
    """PyTorch's as it was, when this ends, where PyTorch is there."""
    torch = sys.modules.get("torch")
    torch_state = torch.random.get_rng_state() if torch is not None else None
    cuda_states = torch.cuda.get_rng_state_all() if torch is not None and torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        if torch is not None:
            torch.random.set_rng_state(torch_state)
            if cuda_states is not None:
                torch.cuda.set_rng_state_all(cuda_states)


@contextmanager
def _another_numpy_generator() -> Iterator[None]:
    """NumPy's global functions draw from a bit generator of ours, and the caller's is not touched."""
    theirs = mtrand.get_bit_generator()
    state: Any = np.random.get_state(legacy=False)  # noqa: NPY002 (it is the user's generator)
    ours = _spare.pop() if _spare else np.random.MT19937(0)
    mtrand.set_bit_generator(ours)
    try:
        yield
    finally:
        mtrand.set_bit_generator(theirs)
        if state["has_gauss"]:  # the second of a pair of normal numbers, which is lost with another bit generator
            np.random.set_state(state)  # noqa: NPY002
        _spare.append(ours)


_spare: list[np.random.MT19937] = []
"""Bit generators that nobody draws from now: to make one takes 80 us, more than many a metric."""


def set_generators(state: int) -> None:
    """All three at a state."""
    set_torch_generator(state)
    np.random.seed(state % 2**32)  # noqa: NPY002
    random.seed(state)


def set_torch_generator(state: int) -> None:
    """PyTorch's alone, where PyTorch is there."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    torch.default_generator.manual_seed(state)  # torch.manual_seed formats a stack trace for each absent device
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(state)


def other_states() -> tuple[Any, ...]:
    """Where NumPy's and Python's generators stand."""
    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    return random.getstate(), *(part.tobytes() if isinstance(part, np.ndarray) else part for part in numpy_state)
