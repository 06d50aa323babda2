"""The caller's global generators."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import mtrand

from paribus.training.randomness import borrowed_generators

DRAWS: dict[str, Callable[[], Any]] = {
    "normal": np.random.normal,  # NumPy keeps the second of a pair
    "uniform": np.random.random,
    "seed": lambda: np.random.seed(3),  # noqa: NPY002 (it is what users write)
    "python": random.random,
    "gauss": lambda: random.gauss(0, 1),  # as Python does
    "torch": lambda: torch.randn(1).item(),
}

drawn = st.lists(st.sampled_from(sorted(DRAWS)), max_size=4)


@contextmanager
def numpys_own_afterwards() -> Iterator[None]:
    before = mtrand.get_bit_generator()
    try:
        yield
    finally:
        mtrand.set_bit_generator(before)


def begin(own: type[np.random.BitGenerator], before: Sequence[str]) -> None:
    mtrand.set_bit_generator(own(5))
    if own is np.random.MT19937:
        np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    torch.manual_seed(5)
    for name in before:
        if name != "seed" or own is np.random.MT19937:
            DRAWS[name]()


def followed() -> list[float]:
    return [DRAWS[name]() for name in ("normal", "normal", "uniform", "gauss", "python", "torch")]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([np.random.MT19937, np.random.PCG64]), drawn, drawn, drawn, drawn)
def test_nobody_sees_what_is_drawn_on_borrowed_generators(
    own: type[np.random.BitGenerator], before: list[str], outer: list[str], inner: list[str], last: list[str]
) -> None:
    """Whatever the caller drew before, also where one borrows in what another has borrowed."""
    with numpys_own_afterwards():
        begin(own, before)
        expected = followed()
        begin(own, before)
        theirs = mtrand.get_bit_generator()
        with borrowed_generators(1):
            alone = [DRAWS[name]() for name in (*outer, *last)]
        with borrowed_generators(1):
            among = [DRAWS[name]() for name in outer]
            for _ in range(2):
                with borrowed_generators(2):
                    first = [DRAWS[name]() for name in inner]
                with borrowed_generators(2):
                    assert [DRAWS[name]() for name in inner] == first
            among += [DRAWS[name]() for name in last]
        assert among == alone
        assert mtrand.get_bit_generator() is theirs
        assert followed() == expected
