"""The documents say what was found: tables are those of the published data, and links lead somewhere."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from paribus.checking.api import check_file
from paribus.config.overrides import all_settings
from paribus.config.registries import REGISTRIES
from paribus.config.values import format_value, plain_value
from paribus.findings.agreement import agreements
from paribus.records.claims import Claim
from paribus.study.reading import read
from tests.conftest import Called

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / ".github").glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_published_tables_are_those_of_the_data() -> None:
    publish = runpy.run_path(str(ROOT / "docs" / "publish.py"))
    for path, name, table in publish["TABLES"]:
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


def anchors(text: str) -> set[str]:
    """What a link can end in: headings as GitHub and the site name them."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+?)\s*$", plain, re.MULTILINE):
        name = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-")
        found.add(name)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link: its file, and its heading there."""
    text = path.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", text):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{target}#{anchor}"


def test_headings_are_named_as_on_github() -> None:
    text = "# A b, `c`: d\n```\n# no heading\n```\n## [Link](x.md) 2.0\n"
    assert anchors(text) == {"a-b-c-d", "link-20"}


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


def squeezed(text: str) -> list[str]:
    """Words of lines that are not empty: a page has no blanks at the ends of lines."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_the_first_page_shows_what_is_printed(tmp_path: Path, called: Called) -> None:
    blocks = re.findall(r"```\w*\n(.*?)```", (ROOT / "docs" / "start.md").read_text(encoding="utf-8"), re.DOTALL)
    (scores,) = [block for block in blocks if block.startswith("seed,")]
    (judged,) = [block for block in blocks if block.startswith("taken:")]
    (layer,) = [block for block in blocks if "class Linear" in block]
    (checked,) = [block for block in blocks if block.startswith("Linear ")]
    (tmp_path / "scores.csv").write_text(scores, encoding="utf-8")
    (tmp_path / "layer.py").write_text(layer, encoding="utf-8")
    assert squeezed(called("judge", "scores.csv").stdout)[1:] == squeezed(judged)  # the first line is the file's name
    # the witness is PyTorch where it is imported already
    told = " ".join(called("check", "layer.py").stdout.split()).replace("PyTorch's autograd", "central differences")
    assert told == " ".join(checked.split())


def site_pages() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "site_pages.py"))


def test_the_site_has_every_command_with_every_option() -> None:
    text = site_pages()["commands"]()
    for name in (
        "train",
        "compare",
        "run",
        "show",
        "diagnose",
        "report",
        "judge",
        "check",
        "live",
        "bench",
        "list",
        "data get",
    ):
        assert f"\n## paribus {name}\n" in text
    judge = text.partition("## paribus judge\n")[2].partition("\n## ")[0]
    for option in ("--metric", "--unpaired", "--lower`, `--higher", "--json"):
        assert f"`{option}`" in judge
    assert "--help" not in judge


def test_the_site_has_every_setting_with_what_is_allowed() -> None:
    text = site_pages()["settings"]()
    for full, owned in all_settings().items():
        owner, _, name = full.rpartition(".")
        if full in REGISTRIES:
            assert f"\n## {full}\n" in text
            continue
        for one, info in owned:
            called = "FILE" if one == "a table" else one
            part = text.partition(f"\n### {owner}={called}\n" if one else "\n## Of every run\n")[2].partition("\n## ")[
                0
            ]
            row = next(
                line
                for line in part.splitlines()
                if line.startswith(f"| `{name}={format_value(plain_value(info.default))}` |")
            )
            assert "Allowed: " in row


def test_links_between_the_projects_files_are_links_of_the_site() -> None:
    of_project = site_pages()["of_project"]
    assert "](plugins.md)" in of_project("CONTRIBUTING.md")
    assert "](security.md)" in of_project("CODE_OF_CONDUCT.md")


def test_the_site_lists_every_document_and_asks_no_other_server() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for path in (ROOT / "docs").rglob("*.md"):
        assert f": {path.relative_to(ROOT / 'docs').as_posix()}\n" in text, path
    assert "font: false" in text
    assert "http" not in text.partition("\n")[2]
