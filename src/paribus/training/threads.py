"""How many threads the arithmetic takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def threads(implementation: str, count: int) -> Iterator[None]:
    """`count` threads for an implementation's arithmetic inside the block, as many as before after it."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(count, user_api="blas"):  # of NumPy, which makes the initial values for all
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
