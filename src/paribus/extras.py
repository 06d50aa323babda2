"""Libraries that are installed on demand: which extra of the package brings each, and how their absence is told.

The core reads, judges and checks without them: every import of one of these stands where it is needed, in a function or
in a module that is imported by one.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

EXTRAS = {
    "distributed": "dask",
    "jinja2": "report",
    "lightning": "lightning",
    "llvmlite": "fused",
    "matplotlib": "report",
    "numba": "fused",
    "optuna": "optuna",
    "pandas": "report",
    "PIL": "report",
    "plotly": "report",
    "pooch": "train",
    "pyarrow": "train",
    "pynvml": "train",
    "pytorch_lightning": "lightning",
    "sklearn": "train",
    "tensorboard": "train",
    "torch": "torch",
    "transformers": "transformers",
}
"""By the name that is imported: the extra that installs it."""

_CALLED = {
    "PIL": "Pillow",
    "distributed": "Dask",
    "jinja2": "Jinja2",
    "matplotlib": "Matplotlib",
    "numba": "Numba",
    "optuna": "Optuna",
    "plotly": "Plotly",
    "sklearn": "scikit-learn",
    "tensorboard": "TensorBoard",
    "torch": "PyTorch",
}


class NotInstalledError(ModuleNotFoundError):
    """A library that an extra brings is not there: the message says which to install."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows (IPython's name for it)."""
        return [f"{type(self).__name__}: {self}"]


def installed(module: str) -> bool:
    """Whether a library is there; it is not imported by that.

    >>> installed("numpy"), installed("no_such_library")
    (True, False)
    """
    if module in sys.modules:
        return sys.modules[module] is not None
    return find_spec(module) is not None


def not_installed(what: str, module: str) -> str:
    """The sentence that says what needs a library that is not there, and how to get it.

    >>> not_installed("implementation=fused", "numba")
    'implementation=fused needs Numba, which is not installed: pip install "paribus[fused]"'
    """
    called = _CALLED.get(module, module)
    return f'{what} needs {called}, which is not installed: pip install "paribus[{EXTRAS[module]}]"'


def need(what: str, *modules: str) -> None:
    """NotInstalledError where one of the libraries that `what` needs is not there.

    >>> need("a table", "numpy")
    """
    for module in modules:
        if not installed(module):
            raise NotInstalledError(not_installed(what, module), name=module)


def explained(error: ModuleNotFoundError, what: str) -> str | None:
    """What to tell of a failed import; None where it is of no library that an extra brings.

    >>> explained(ModuleNotFoundError("no", name="numba.core"), "paribus bench")
    'paribus bench needs Numba, which is not installed: pip install "paribus[fused]"'
    >>> explained(ModuleNotFoundError("no", name="my_helpers"), "paribus bench")
    """
    if isinstance(error, NotInstalledError):
        return str(error)
    module = str(error.name).partition(".")[0]
    return not_installed(what, module) if module in EXTRAS else None
