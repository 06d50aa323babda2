"""Paribus trains neural networks under matched conditions and says which differences are real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paribus import lightning, transformers
    from paribus.api import LoopRun, Scored, Study, compare, data, judge, metric, open, train  # noqa: A004 (as gzip.open)
    from paribus.checking.api import check

    __version__: str

__all__ = [
    "LoopRun", "Scored", "Study", "__version__", "check", "compare", "data", "judge", "lightning", "metric", "open",
    "train", "transformers",
]  # fmt: skip


def __dir__() -> list[str]:
    """For the help that an editor or a notebook gives: what there is, though it is imported late."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def __getattr__(name: str) -> Any:
    """Import late, so that `paribus --help` answers at once."""
    if name == "__version__":
        from importlib.metadata import version

        return version("paribus")
    if name in ("lightning", "transformers"):  # for loops of these libraries, which are not imported by that
        from importlib import import_module

        return import_module(f"paribus.{name}")
    if name == "check":
        from paribus.checking.api import check

        return check
    if name in __all__:
        from paribus import api

        return getattr(api, name)
    raise AttributeError(f"module 'paribus' has no attribute {name!r}")
