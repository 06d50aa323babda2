"""docs/explained.md: its numbers are those of the script that draws its pictures, and the pictures are that script's."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent / "docs"
LARGEST = 60_000  # bytes: a small picture


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[str]]:
    """Of each picture the phrases of the text that have numbers."""
    script: dict[str, Any] = runpy.run_path(str(DOCS / "images" / "explained.py"))
    return {name: facts for name, _, facts in script["drawn"]()}


def sections() -> dict[str, tuple[str, str]]:
    """A picture's name -> its section as one line of text, and its alternative text."""
    found = {}
    for part in (DOCS / "explained.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        ((alternative, name),) = re.findall(r"!\[([^]]*)\]\(images/explained-([\w-]+)\.svg\)", part)
        text = re.sub(r"!\[.*|\]\([^)]*\)", "", part)
        found[name] = (" ".join(text.split()), alternative)
    return found


def test_every_number_of_the_text_is_the_scripts(drawn: dict[str, list[str]]) -> None:
    assert sections().keys() == drawn.keys()
    for name, (text, _) in sections().items():
        for fact in sorted(drawn[name], key=len, reverse=True):
            assert fact in text, f"{name}: {fact}"
            text = text.replace(fact, "")
        assert re.findall(r"\d[\d.,]*", text) == [], f"{name}: a number that the script does not know"


def test_every_picture_is_the_scripts(drawn: dict[str, list[str]]) -> None:
    assert {path.stem for path in (DOCS / "images").glob("explained-*.svg")} == {f"explained-{name}" for name in drawn}
    for name, facts in drawn.items():
        picture = (DOCS / "images" / f"explained-{name}.svg").read_text(encoding="utf-8")
        (described,) = re.findall(r"<dc:description>(.*?)</dc:description>", picture, re.DOTALL)
        assert described == "; ".join(facts), name
        assert len(picture) < LARGEST


def test_every_picture_is_told_in_words() -> None:
    for name, (_, alternative) in sections().items():
        assert len(alternative.split()) > 8, name
