"""What a check found, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

RIGHT, DEPARTS, UNCHECKED = "right", "departs", "not checked"


@dataclass(frozen=True, kw_only=True)
class Departure:
    """What is wrong first: `tensor` ("gradient of the input x"), `how` in numbers, `reason` in words, if one is known."""

    tensor: str
    how: str
    reason: str | None = None
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One thing: its verdict, what it was taken for, what departs, and what is worth knowing without being wrong.

    `decided_by`: "PyTorch's autograd" or "central differences"; `differences`: of what is right, the largest difference
    from each that was asked, as a share of the largest number of its tensor. `curves`: of a network, the
    loss at each step, its own and that of its PyTorch twin.
    """

    name: str
    verdict: str
    taken: str = ""
    decided_by: str = ""
    differences: Mapping[str, float] = field(default_factory=dict)
    departures: tuple[Departure, ...] = ()
    notes: tuple[str, ...] = ()
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """All that was found in a file, or of a thing."""

    source: str
    things: tuple[Checked, ...]
    notes: tuple[str, ...] = ()

    @property
    def checked(self) -> tuple[Checked, ...]:
        """Those with a verdict."""
        return tuple(one for one in self.things if one.verdict != UNCHECKED)

    @property
    def right(self) -> bool:
        """Whether something was checked and nothing departs."""
        return bool(self.checked) and all(one.verdict == RIGHT for one in self.checked)

    @property
    def status(self) -> int:
        """0 right, 1 something departs, 2 nothing was checked."""
        return 2 if not self.checked else 0 if self.right else 1

    def as_data(self) -> dict[str, Any]:
        """For `--json`: the same for the same file.

        >>> CheckResult(source="mine.py", things=(Checked(name="ReLU", verdict=RIGHT),)).as_data()["right"]
        True
        """
        return {
            "schema_version": 1,
            "source": self.source,
            "right": self.right,
            "things": [asdict(one) for one in self.things],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        from io import StringIO

        from rich.console import Console

        from paribus.checking.table import check_table

        text = StringIO()
        Console(file=text, width=100, color_system=None).print(check_table(self))
        return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())

    __repr__ = __str__
