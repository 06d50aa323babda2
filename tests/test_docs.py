"""The documents say what was found: tables are those of the published data, and links lead somewhere."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest

from paribus.records.claims import Claim

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_published_tables_are_those_of_the_data() -> None:
    publish = runpy.run_path(str(ROOT / "docs" / "publish.py"))
    for path, (name, table) in publish["TABLES"].items():
        assert publish["between"](path.read_text(encoding="utf-8"), name).group() == table()


def test_the_conditions_that_are_shown_are_allowed() -> None:
    text = (ROOT / "docs" / "user-code.md").read_text(encoding="utf-8")
    shown = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "metric" in block]
    conditions = [
        one for facts in shown for one in facts.get("conditions", facts.get("claims", [{}])[0].get("conditions"))
    ]
    assert len(conditions) > 6
    for one in conditions:
        Claim.of({"id": "C", "claim": "c", "conditions": [one]})


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_the_examples_of_check_run() -> None:
    text = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    scope: dict[str, object] = {"__name__": "notebook"}
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(block, scope)
