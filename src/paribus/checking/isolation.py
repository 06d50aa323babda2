"""The same numbers at every call: generators are set back, and what a file prints or asks for is kept from us."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

FAILS = (Exception, SystemExit)


class Generators:
    """The generators of a file and the global ones, as they were when this was made."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        found = [one for one in names.values() if isinstance(one, np.random.Generator)]
        self._own = [(one.bit_generator, copy.deepcopy(one.bit_generator.state)) for one in found]
        self._legacy = [
            (one, copy.deepcopy(one.get_state())) for one in names.values() if isinstance(one, np.random.RandomState)
        ]

    def set_back(self) -> None:
        """As they were; the global ones are seeded."""
        for generator, state in self._own:
            generator.state = copy.deepcopy(state)
        for legacy, known in self._legacy:
            legacy.set_state(known)
        np.random.seed(0)  # noqa: NPY002 (what students use)
        random.seed(0)


@contextlib.contextmanager
def callers_generators() -> Iterator[None]:
    """The caller's global generators are given back, and numerical warnings are no news here."""
    import sys

    legacy, plain = np.random.get_state(), random.getstate()  # noqa: NPY002
    torch = sys.modules.get("torch")
    tensors, threads = (torch.get_rng_state(), torch.get_num_threads()) if torch is not None else (None, 1)
    if torch is not None:
        torch.set_num_threads(1)  # of tensors as small as these, threads take ten times as long
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        np.random.set_state(legacy)  # noqa: NPY002
        random.setstate(plain)
        if torch is not None:
            torch.set_rng_state(tensors)
            torch.set_num_threads(threads)
