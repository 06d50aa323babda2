"""What went wrong, in a terminal: a few lines under the results, and all of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from paribus.findings.diagnosis import Diagnosis
from paribus.findings.diagnosis.evidence import Evidence
from paribus.findings.findings import Findings
from paribus.report.diagnoses import commands, instead, runs_told

_MOST_SHOWN = 4
_BAR = 24
_DECADES = 2.0


def diagnosis_lines(findings: Findings) -> list[Text]:
    """Under the results: a sentence and a command for each of the first diagnoses; nothing where nothing is found."""
    found, lines = findings.diagnoses, list[Text]()
    for one in found[:_MOST_SHOWN]:
        lines.append(Text(f"{_arm(one)}{one.code} ({runs_told(one)}): {one.evidence}"))
        if made := commands(findings, one):
            lines.append(Text(f"  to try: {made[0]}", no_wrap=True, overflow="ignore"))
    if found:
        more = f"{len(found) - _MOST_SHOWN} more; " if len(found) > _MOST_SHOWN else ""
        lines.append(Text(f"{more}`paribus diagnose` on this folder says why{_who_cures(findings)}"))
    return lines


def _who_cures(findings: Findings) -> str:
    """Whether a command tries what may help, or only Python, which has what is the user's own; "" where nothing is to
    be tried, as of loops."""
    if any(commands(findings, one) for one in findings.diagnoses):
        return ", and with --cure tries what may help"
    return "; .cure() in Python tries what may help" if any(one.cures for one in findings.diagnoses) else ""


def diagnosis_text(findings: Findings) -> str:
    """All that was found, with what it rests on, its cause and what to try; or that nothing was found."""
    scope = findings.looked.told
    if not findings.diagnoses:
        return f"nothing found; {scope}\n"
    blocks = [_block(findings, one) for one in findings.diagnoses]
    return "\n".join([*("\n".join(block) + "\n" for block in blocks), f"{scope}\n"])


def _block(findings: Findings, one: Diagnosis) -> list[str]:
    where = [one.layer or "", "" if one.epoch is None else f"epoch {one.epoch:g}"]
    lines = [f"{_arm(one)}{one.code} ({runs_told(one)})", f"  evidence: {one.evidence}"]
    if any(where):
        lines.append(f"  where: {', '.join(filter(None, where))}")
    drawn = findings.evidence(one)
    if drawn is not None and drawn.by_layer:
        lines += [f"    {line}" for line in bars(drawn)]
    lines.append(f"  cause: {one.cause}")
    if one.source != "own":
        lines.append(f"  source: {one.source}")
    lines += [f"  to try: {what}" for what in commands(findings, one) or [instead(findings, one)]]
    return lines


def bars(of: Evidence) -> list[str]:
    """A quantity by layer as bars, on a logarithmic scale where sizes are compared.

    >>> print("\\n".join(bars(Evidence(["a", "b"], {"sd": [1.0, 0.01]}, "sd", log=True))))
    sd
      a  1     ########################
      b  0.01  #
    """
    lines = []
    width = max(len(str(name)) for name in of.x)
    for title, values in of.lines.items():
        shown = [f"{value:.2g}" if math.isfinite(value) else "-" for value in values]
        room = max(map(len, shown))
        lines.append(title)
        lengths = _lengths(values, log=of.log)
        lines += [
            f"  {name!s:<{width}}  {text:<{room}}  {'#' * length}".rstrip()
            for name, text, length in zip(of.x, shown, lengths, strict=True)
        ]
    return lines


def _lengths(values: Sequence[float], *, log: bool) -> list[int]:
    """How long each bar is. Of sizes the largest has the whole length; what is `_DECADES` smaller, or the smallest of
    all, one sign. Shares are of 1."""
    if not log:
        return [round(_BAR * value) if math.isfinite(value) else 0 for value in values]
    sizes = [math.log10(value) if math.isfinite(value) and value > 0 else None for value in values]
    known = [size for size in sizes if size is not None]
    if not known:
        return [0] * len(values)
    spread = max(max(known) - min(known), _DECADES)
    return [0 if size is None else 1 + round((_BAR - 1) * (1 + (size - max(known)) / spread)) for size in sizes]


def _arm(one: Diagnosis) -> str:
    return f"{one.arm}: " if one.arm else ""
