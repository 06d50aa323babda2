"""The source report's experiments as study files, at its own settings (`full`) and reduced (`laptop`), each with the
claims that it tests."""

from __future__ import annotations

from pathlib import Path

SCALES = ("laptop", "full")

PARTS: dict[str, tuple[str, ...]] = {
    "part1": ("c1-moons", "c1-circles", "c1-blobs", "c2", "c3", "c4"),
    "part2": ("c5", "c6-c7", "c8-c9", "c10", "c11"),
    "part3": ("c12",),
}
"""The files of each part, in the order of the claims. `c6-tuned` goes beyond them."""


def files(part: str | None, scale: str) -> list[Path]:
    """The study files of one part, or of all.

    >>> [path.stem for path in files("part3", "laptop")]
    ['c12']
    """
    here = Path(__file__).parent / scale
    return [here / f"{name}.toml" for key, names in PARTS.items() if part in (None, key) for name in names]
