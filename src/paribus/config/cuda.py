"""Whether there is a GPU that PyTorch can use, without importing PyTorch, which takes a second."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path


@lru_cache(maxsize=1)
def sees_cuda() -> bool:
    """Whether the CUDA driver finds a device, and PyTorch was built for CUDA.

    Source: CUDA driver API, `cuInit` and `cuDeviceGetCount`.

    >>> sees_cuda() in (True, False)
    True
    """
    return _devices() > 0 and _built_for_cuda()


def _devices() -> int:
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def _built_for_cuda() -> bool:
    found = find_spec("torch")
    if found is None or found.origin is None:
        return False
    return any((Path(found.origin).parent / "lib").glob("*torch_cuda*"))
