"""How many threads the arithmetic takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@contextmanager
def threads(implementation: str, count: int) -> Iterator[None]:
    """`count` threads for an implementation's arithmetic inside the block, as many as before after it."""
    # NumPy's too, which makes the initial values for all
    with _pools(len(sys.modules)).limit(limits=count, user_api="blas"):
        if implementation != "torch":
            yield
            return
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _pools(modules: int) -> ThreadpoolController:  # noqa: ARG001
    """The libraries that have threads; looked for again, which takes milliseconds, when a module was imported since."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
