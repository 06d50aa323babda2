"""The documents say what was found: tables are those of the published data, and links lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_published_tables_are_those_of_the_data() -> None:
    publish = runpy.run_path(str(ROOT / "docs" / "publish.py"))
    for path, (name, table) in publish["TABLES"].items():
        assert publish["between"](path.read_text(encoding="utf-8"), name).group() == table()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target
