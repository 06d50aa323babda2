"""The global generators, for what is the user's own and draws from them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from paribus.config.settings import Settings
from paribus.plan import Plan


@contextmanager
def global_randomness(plan: Plan, settings: Settings) -> Iterator[None]:
    """PyTorch's, NumPy's and Python's global generators at a state of the plan's inside, and as they were after it.

    Where the settings hold a user's module or optimizer; nothing else that is trained draws from them.
    """
    if not settings.user_defined_parts().keys() & {"model", "optimizer"}:
        yield
        return
    import torch

    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 (it is the user's generator)
    with torch.random.fork_rng():
        try:
            (state,) = plan.generator_states(0, 1)
            torch.manual_seed(state)
            np.random.seed(state % 2**32)  # noqa: NPY002
            random.seed(state)
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)
