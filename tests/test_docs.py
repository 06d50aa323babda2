"""The documents say what was found: tables are those of the published data, and links lead somewhere."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest

from paribus.checking.api import check_file
from paribus.findings.agreement import agreements
from paribus.records.claims import Claim
from paribus.study.reading import read

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


def test_the_tutorial_is_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Block by block; and what it writes is right as a file, too."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), re.DOTALL)
    scope: dict[str, object] = {"__name__": "mine"}
    for block in blocks:
        exec(block, scope)
    file = tmp_path / "mine.py"
    file.write_text("\n\n".join(block for block in blocks if "paribus" not in block), encoding="utf-8")
    found = check_file(str(file))
    assert found.right, str(found)
    assert [one.name for one in found.things] == [
        "Linear",
        "ReLU",
        "SoftMax",
        "CrossEntropy",
        "MLP",
        "Conv2d",
        "RNNCell",
    ]
    (pair,) = agreements(read(tmp_path / "runs" / "mine"))
    assert pair.gap is not None
    assert pair.gap < 1e-12
