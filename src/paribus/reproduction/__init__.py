"""The source report's experiments as study files, each with the claims that it tests, at three scales.

`full` is the report's own settings. `laptop` takes minutes on two cores and downloads nothing. `hour` is the most that
two cores do in about an hour: full where they can, CIFAR-10 with fewer images and channels where they cannot.
"""

from __future__ import annotations

from pathlib import Path

TITLE = "A course report again, with repeats ({} scale)"

SCALES = ("laptop", "hour", "full")

PARTS: dict[str, tuple[str, ...]] = {
    "part1": ("c1-moons", "c1-circles", "c1-blobs", "c2", "c3", "c4"),
    "part2": ("c5", "c6-c7", "c8-c9", "c10", "c11"),
    "part3": ("c12",),
}
"""The files of each part, in the order of the claims. `c6-tuned` goes beyond them."""

CLAIMS = tuple(f"c{number}" for number in range(1, 13))


CURED: dict[str, dict[str, tuple[str, ...]]] = {
    scale: {"c1-moons": ("PyTorch",), "c5": ("the report's MLP",), "c12": ("length 20",)} for scale in SCALES
}
"""Scale -> file -> arms whose cures are tried: what the report took for the model's fault, or its task's."""
CURED["laptop"]["c8-c9"] = ("0.01, constant",)  # elsewhere a cure is hours of convolutions


def files(asked: str | None, scale: str) -> list[Path]:
    """The study files of a part, of one claim, or all. What `hour` has no file for, it takes at full scale.

    >>> [path.stem for path in files("part3", "laptop")]
    ['c12']
    >>> [str(path.relative_to(path.parent.parent)) for path in files("c7", "hour") + files("c12", "hour")]
    ['hour/c6-c7.toml', 'full/c12.toml']
    """
    here = Path(__file__).parent
    names = [
        name
        for part, names in PARTS.items()
        for name in names
        if asked is None or asked == part or asked in name.split("-")
    ]
    return [path if (path := here / scale / f"{name}.toml").exists() else here / "full" / path.name for name in names]
