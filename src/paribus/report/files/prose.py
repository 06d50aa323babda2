"""Sentences that cite, as Markdown and as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paribus.report.files.latex import escaped, plain
from paribus.report.files.references import Source
from paribus.report.page.tables import as_markdown

Sentence = Sequence[str | Source]
"""Text, and sources where they are cited."""

Paragraph = Sequence[Sentence]


def cited(paragraphs: Iterable[Paragraph]) -> list[Source]:
    """Every source, in the order in which it is first cited."""
    parts = [part for paragraph in paragraphs for sentence in paragraph for part in sentence]
    return list(dict.fromkeys(part for part in parts if isinstance(part, Source)))


def in_markdown(paragraph: Paragraph) -> str:
    """With author and year in brackets."""
    said = [
        "".join(f" ({part.called})" if isinstance(part, Source) else part for part in sentence)
        for sentence in paragraph
    ]
    return as_markdown(" ".join(said))


def in_latex(paragraph: Paragraph) -> str:
    r"""With `\cite`, a sentence a line."""
    return "".join(
        "".join(f"~\\cite{{{part.key}}}" if isinstance(part, Source) else _escaped(part) for part in sentence) + "\n"
        for sentence in paragraph
    )


def _escaped(text: str) -> str:
    """A part of a sentence: the spaces at its ends are those between parts."""
    before, after = " " * text.startswith(" "), " " * text.endswith(" ")
    return before + escaped(text) + after if plain(text) else before
