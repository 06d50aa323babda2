"""Planted mistakes and correct variants, as source text: `cases` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """`codes`: the reasons that are right for it; none for a correct variant."""

    name: str
    codes: tuple[str, ...]
    source: str


def cases(file: str) -> list[Case]:
    """Those of a file, `tuned_mistakes.txt`."""
    found = []
    for part in (_HERE / file).read_text(encoding="utf-8").split("#== ")[1:]:
        head, _, body = part.partition("\n")
        name, _, codes = head.partition(" | ")
        found.append(Case(name, tuple(codes.split(",")) if codes else (), "import numpy as np\n" + body))
    return found
