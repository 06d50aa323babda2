"""`paribus check` in a terminal: a line for each thing, and below it what departs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

if TYPE_CHECKING:
    from paribus.checking.result import Checked, CheckResult

_STYLES = {"right": "green", "departs": "bold red", "not checked": "dim"}


def check_table(found: CheckResult) -> RenderableType:
    """Thing, verdict, what it was taken for; tensor, how much and the likely reason of each departure."""
    width = max([len(one.name) for one in found.things] or [0])
    lines: list[RenderableType] = []
    for one in found.things:
        head = Text.assemble(
            (f"{one.name:{width}}", "bold"),
            "  ",
            (f"{one.verdict:11}", _STYLES[one.verdict]),
            "  ",
            (_taken(one), "dim"),
        )
        head.rstrip()
        lines.append(head)
        for departure in one.departures:
            lines.append(Padding(Text(f"{departure.tensor}: {departure.how}"), (0, 0, 0, 2)))
            if departure.reason:
                lines.append(Padding(Text(f"likely: {departure.reason}", style="yellow"), (0, 0, 0, 4)))
        lines += [Padding(Text(note, style="dim"), (0, 0, 0, 2)) for note in one.notes]
    lines += [Text(note, style="dim") for note in found.notes]
    wrong = sum(one.verdict == "departs" for one in found.things)
    left = sum(one.verdict == "not checked" for one in found.things)
    total = (
        f"{len(found.checked)} checked, {wrong} of them depart" if wrong else f"{len(found.checked)} checked, all right"
    )
    if not found.checked:
        total = "nothing was checked"
    lines += [Text(""), Text(total + (f"; {left} not checked" if left else ""), style="bold")]
    return Group(*lines)


def _taken(one: Checked) -> str:
    """What it was taken for, and the witness: "linear, within 3e-11 of central differences"."""
    if one.differences:
        words = " and ".join(
            f"{gap:.0e} of {witness}" if gap else f"0 of {witness}" for witness, gap in one.differences.items()
        )
        return f"{one.taken}, within {words}"
    return f"{one.taken}, by {one.decided_by}" if one.decided_by else one.taken
