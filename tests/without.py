"""Paribus as in an environment without some libraries: `python without.py NAME... -- WORDS` is `paribus WORDS`, and
`python without.py NAME... -c CODE` runs code."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, DistributionFinder
from types import ModuleType


class Without(MetaPathFinder):
    """Finds what the finders before it found, but for some libraries and what is in them."""

    def __init__(self, names: Sequence[str], finders: Sequence[MetaPathFinder]) -> None:
        self._names, self._finders = {*names}, finders

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in self._names:
            return None
        found = (finder.find_spec(fullname, path, target) for finder in self._finders)
        return next((one for one in found if one is not None), None)

    def find_distributions(self, context: DistributionFinder.Context) -> Iterator[Distribution]:
        for finder in self._finders:
            if hasattr(finder, "find_distributions"):
                yield from (one for one in finder.find_distributions(context) if one.name not in self._names)


if __name__ == "__main__":
    split = next(i for i, word in enumerate(sys.argv) if word in ("--", "-c"))
    sys.meta_path[:] = [Without(sys.argv[1:split], list(sys.meta_path))]
    if sys.argv[split] == "-c":
        exec(sys.argv[split + 1], {"__name__": "__main__"})
    else:
        sys.argv = ["paribus", *sys.argv[split + 1 :]]
        from paribus.cli import main

        main()
