"""What belongs to the whole process, for code that is the user's own: the same in every process, and given back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from paribus.training.randomness import borrowed_generators


@contextmanager
def isolated(state: int) -> Iterator[None]:
    """The global generators at a state of the plan's, and the settings of the process as a new process has them: what
    PyTorch takes for a new tensor's type, whether it keeps gradients. NumPy is silent about what is not finite: others
    look for that. All of it, the environment's variables and the current folder are as they were when this ends.

    >>> import torch
    >>> with isolated(0):
    ...     os.environ["MINE"] = "1"
    ...     torch.set_default_dtype(torch.float64)
    >>> "MINE" in os.environ, torch.get_default_dtype()
    (False, torch.float32)
    """
    with borrowed_generators(state), _environment(), np.errstate(all="ignore"), _torch():
        yield


def process_settings() -> tuple[Any, ...]:
    """What code may have set for the whole process."""
    torch = sys.modules.get("torch")
    of_torch = () if torch is None else (torch.get_default_dtype(), torch.is_grad_enabled())
    return _variables(), _folder(), np.geterr(), *of_torch


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_LIBRARIES)}


_LIBRARIES = ("CUDA_", "JAX_", "KMP_", "MKL_", "NUMBA_", "OMP_", "PYTORCH_", "TORCH", "TRITON_", "XLA_")
"""How names of variables begin that libraries set for themselves, when they are first imported or used."""


def _folder() -> Path | None:
    try:
        return Path.cwd()
    except FileNotFoundError:  # it was removed: there is nowhere to go back to
        return None


@contextmanager
def _environment() -> Iterator[None]:
    variables, folder = _variables(), _folder()
    try:
        yield
    finally:
        after = _variables()
        if after != variables:
            for name in after.keys() - variables.keys():
                del os.environ[name]
            os.environ.update(variables)
        if folder is not None:
            os.chdir(folder)


@contextmanager
def _torch() -> Iterator[None]:
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))  # and gradients are kept, whatever the caller has set
        stack.enter_context(torch.amp.autocast("cpu", enabled=False))
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
