r"""Text, tables and figures as LaTeX, in which every name is text: no sign of it is taken for a command."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from paribus.report.page.tables import Cell, Table

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}",
    '"': r"{\char34}",  # babel makes it a command of its own
    "[": "{[}", "]": "{]}", "*": "{*}",  # after the end of a row they would belong to it
    "-": "{-}", "'": "{'}", ",": "{,}", "?": "{?}", "!": "{!}",  # two of them make another sign
    "–": r"\textendash{}", "—": r"\textemdash{}", "‘": r"\textquoteleft{}", "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}", "”": r"\textquotedblright{}", "…": r"\ldots{}", "•": r"\textbullet{}",
    "µ": r"\ensuremath{\mu}", "±": r"\ensuremath{\pm}", "×": r"\ensuremath{\times}", "÷": r"\ensuremath{\div}",
    "−": r"\ensuremath{-}", "·": r"\ensuremath{\cdot}", "°": r"\ensuremath{{}^{\circ}}", "¬": r"\ensuremath{\neg}",
    "¹": r"\ensuremath{{}^{1}}", "²": r"\ensuremath{{}^{2}}", "³": r"\ensuremath{{}^{3}}",
    "≤": r"\ensuremath{\leq}", "≥": r"\ensuremath{\geq}", "≠": r"\ensuremath{\neq}", "≈": r"\ensuremath{\approx}",
    "→": r"\ensuremath{\rightarrow}", "∞": r"\ensuremath{\infty}", "√": r"\ensuremath{\surd}",
    "∂": r"\ensuremath{\partial}", "∇": r"\ensuremath{\nabla}", "∑": r"\ensuremath{\sum}", "€": r"\texteuro{}",
}  # fmt: skip
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi . pi rho . sigma tau upsilon phi chi psi "
    "omega"
)
_SIGNS |= {chr(0x3B1 + i): rf"\ensuremath{{\{name}}}" for i, name in enumerate(_GREEK.split()) if name != "."}
_SIGNS |= {chr(0x391 + i): rf"\ensuremath{{\{name}}}" for i, name in (
    (2, "Gamma"), (3, "Delta"), (7, "Theta"), (10, "Lambda"), (13, "Xi"), (15, "Pi"), (18, "Sigma"), (20, "Upsilon"),
    (21, "Phi"), (23, "Psi"), (24, "Omega"),
)}  # fmt: skip
_PAIRED = "-',?!"
_LAST_LATIN = 0x17F  # up to here pdfLaTeX has its accents

FITS = r"\ifdim\width>\linewidth\linewidth\else\width\fi"
"""A width: that of the text, for what is wider."""


def plain(text: str) -> str:
    """Text in one line, without control signs, which LaTeX does not know; accents joined to their letters."""
    whole = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    return " ".join("".join(sign if sign.isprintable() else " " for sign in whole).split())


def escaped(text: str) -> str:
    r"""Text as LaTeX.

    A sign that joins another of its kind (`--`, `''`) stands in braces there. Of scripts other than Latin and Greek the
    letters stay as they are, which XeLaTeX and LuaLaTeX read.

    >>> print(escaped("R&D: 5 % of $x_1$, lr–µ"))
    R\&D: 5 \% of \$x\_1\$, lr\textendash{}\ensuremath{\mu}
    >>> print(escaped("--seeds [a]"))
    {-}{-}seeds {[}a{]}
    """
    line = plain(text)
    found = []
    for i, sign in enumerate(line):
        around = line[max(i - 1, 0) : i] + line[i + 1 : i + 2]
        joins = sign not in _PAIRED or any(one in _PAIRED + "`" for one in around)
        found.append(_SIGNS.get(sign, sign) if joins else sign)
    return "".join(found)


def foreign(text: str) -> list[str]:
    """The signs of a finished file that pdfLaTeX has no letter for, as code points.

    >>> foreign("é, 学")
    ['U+5B66']
    """
    return [f"U+{ord(sign):04X}" for sign in sorted({*text}) if ord(sign) > _LAST_LATIN]


def document(parts: Iterable[str], packages: Sequence[str] = ()) -> str:
    """A file to `\\input`, with what it needs in a comment before."""
    body = "\n".join(parts)
    head = [f"% Needs \\usepackage{{{name}}}.\n" for name in packages]
    if found := foreign(body):
        some = ", ".join(found[:8]) + ", ..." * (len(found) > 8)
        head.append(f"% Has signs for XeLaTeX or LuaLaTeX, with a font that has them: {some}.\n")
    return "".join(head) + body


def figure(file: str, caption: str, label: str) -> str:
    """A figure with its caption, no wider than the text."""
    return (
        "\\begin{figure}[tbp]\n  \\centering\n"
        f"  \\resizebox{{{FITS}}}{{!}}{{\\includegraphics{{{file}}}}}\n"
        f"  \\caption{{{escaped(caption)}}}\n  \\label{{fig:{label}}}\n\\end{{figure}}\n"
    )


def tabular(table: Table, caption: str, label: str) -> str:
    """A table with rules of booktabs and its caption, no wider than the text."""
    numbers = [any(row[i].value is not None for row in table.rows) for i in range(len(table.columns))]
    columns = "".join("r" if number and i >= table.words else "l" for i, number in enumerate(numbers))
    rows = [" & ".join(map(_cell, row)) for row in table.rows]
    lines = [" & ".join(map(escaped, table.columns)), *rows]
    head, *body = [f"      {line} \\\\\n" for line in lines]
    return (
        "\\begin{table}[tbp]\n  \\centering\n"
        f"  \\caption{{{escaped(caption)}}}\n  \\label{{tab:{label}}}\n"
        f"  \\resizebox{{{FITS}}}{{!}}{{%\n    \\begin{{tabular}}{{{columns}}}\n"
        f"      \\toprule\n{head}      \\midrule\n{''.join(body)}      \\bottomrule\n"
        "    \\end{tabular}%\n  }\n\\end{table}\n"
    )


def _cell(cell: Cell) -> str:
    """What is missing is a dash, and what stands before a number its sign."""
    if cell.text == "-":
        return r"\textendash{}"
    text = cell.text if cell.value is None else cell.text.replace(" ±", " ± ")
    negative = cell.value is not None and text.startswith("-")
    written = r"\ensuremath{-}" + escaped(text[1:]) if negative else escaped(text)
    return written if written.strip() else "{}"  # no row begins with its ampersand
