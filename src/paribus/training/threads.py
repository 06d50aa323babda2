"""How many threads the arithmetic of NumPy and of compiled libraries takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """`count` threads for BLAS inside the block, as many as before after it: it makes the initial values of every
    backend."""
    with _pools(len(sys.modules)).limit(limits=count, user_api="blas"):
        yield


@contextmanager
def all_threads(count: int) -> Iterator[None]:
    """`count` threads for BLAS and OpenMP inside the block, as many as before after it."""
    with _pools(len(sys.modules)).limit(limits=count):
        yield


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """`count` threads for BLAS and for PyTorch's own arithmetic inside the block, as many as before after it."""
    import torch

    before = torch.get_num_threads()
    with blas_threads(count):
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
