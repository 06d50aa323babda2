"""What a page is told in JSON: short, finite, and text that neither HTML nor Plotly takes for anything but text."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable
from typing import Any

from paribus.report.show import finite

Number = float | int | None

# Plotly reads a little HTML in names and titles, entities in that, and a formula between two dollars.
_PLOTLY = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "\n": " ", "\r": " "})
# Within a <script> `</script>` and `<!--` are HTML's; the two separators end a line in old JavaScript.
_SCRIPT = str.maketrans({"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def literal(text: str, width: int | None = None, most: int = 4) -> str:
    """Text that Plotly shows as it stands, in at most `most` lines of `width` columns.

    >>> literal("<b>50 & more</b>")
    '&lt;b&gt;50 &amp; more&lt;/b&gt;'
    >>> literal("one two three", 8)
    'one two<br>three'
    """
    lines = [text] if width is None else folded(text, width, most)
    return "<br>".join(line.translate(_PLOTLY) for line in lines)


def folded(text: str, width: int, most: int) -> list[str]:
    """Lines of at most `width` columns, of which a Chinese sign takes two, broken at a blank where there is one; past
    the last line `...`.

    >>> folded("one two three", 8, 4), folded("\u5b66\u5b66\u5b66", 4, 4), folded("a b c", 1, 2)
    (['one two', 'three'], ['\u5b66\u5b66', '\u5b66'], ['a', 'b...'])
    """
    lines, line, wide = [], "", 0
    for sign in " ".join(text.split()):
        columns = 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        if wide + columns > width:
            head, blank, tail = line.rpartition(" ") if sign != " " else (line, "", "")
            lines.append(head if blank else line)
            line = tail if blank else ""
            wide = sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in line)
        line, wide = (line + sign, wide + columns) if line or sign != " " else ("", 0)
    lines.append(line)
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]}..."]


def to_json(value: Any) -> str:
    """JSON that can stand in a <script>; None for every number that is not finite.

    >>> to_json({"name": "</script>", "values": [0.5, float("nan")]})
    '{"name":"\\\\u003c/script>","values":[0.5,null]}'
    """
    text = json.dumps(finite(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.translate(_SCRIPT)


def short(value: float) -> Number:
    """Six significant digits, whole numbers without a point; None where it is not finite.

    >>> short(0.123456789), short(150.0), short(float("inf"))
    (0.123457, 150, None)
    """
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e6 else rounded


def shorten(values: Iterable[float]) -> list[Number]:
    """Each of them in six digits."""
    return [short(float(value)) for value in values]


class Columns:
    """Values that several traces share, each kept once: a trace holds a column's number instead of its values."""

    def __init__(self) -> None:
        self.columns: list[list[Number]] = []
        self._found: dict[tuple[Number, ...], int] = {}

    def add(self, values: Iterable[float]) -> int:
        """The number of the column that holds these values."""
        column = shorten(values)
        number = self._found.setdefault(tuple(column), len(self.columns))
        if number == len(self.columns):
            self.columns.append(column)
        return number
