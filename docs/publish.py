"""Publish what `paribus reproduce` found: the page, the verdicts as data, and the tables made from them.

    paribus reproduce --scale laptop        # runs/reproduction-laptop
    paribus reproduce --scale hour          # runs/reproduction-hour
    python docs/publish.py                  # from those two into docs/reproduction and the README

The tables stand between `<!-- NAME -->` and `<!-- /NAME -->`; a test compares them with the data beside the page.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from paribus.curing import recorded
from paribus.findings.claims import Verdict, verdicts
from paribus.findings.findings import Findings
from paribus.report.files.files import write_files
from paribus.report.page.page import write_page
from paribus.reproduction import TITLE
from paribus.study.reading import read_all

DOCS = Path(__file__).parent
PUBLISHED = DOCS / "reproduction"
FIGURES = {"C12": ("lengths.png", "reproduction.png"), "C10": ("differences.png", "batch-sizes.png")}


def publish(scale: str, found: Sequence[Verdict]) -> None:
    """Verdicts as data, in the claims' order: id, claim, verdict, because, study."""
    with (PUBLISHED / f"verdicts-{scale}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "claim", "verdict", "because", "study"])
        for one in sorted(found, key=lambda one: int(re.findall(r"\d+", one.id)[0])):
            writer.writerow([one.id, one.claim, one.told, "; ".join([one.reason, *one.notes]), one.study])


def answers(scale: str) -> list[dict[str, str]]:
    """The published verdicts of a scale."""
    with (PUBLISHED / f"verdicts-{scale}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def short_table() -> str:
    """Claim by claim, the verdict at both scales."""
    hour = {row["id"]: row["verdict"] for row in answers("hour")}
    rows = [(f"**{row['id']}** {row['claim']}", row["verdict"], hour[row["id"]]) for row in answers("laptop")]
    return _markdown(("claim", "laptop: minutes", "hour: larger"), rows)


_SHOWN = ("C3", "C4", "C5", "C5, initial values", "C12")
"""What the first page shows: enough to see what comes of claims that were drawn from single runs."""


def few_rows() -> str:
    """The verdicts at both scales on a few of the claims."""
    hour = {row["id"]: row["verdict"] for row in answers("hour")}
    rows = [(row["claim"], row["verdict"], hour[row["id"]]) for row in answers("laptop") if row["id"] in _SHOWN]
    return _markdown(("what the report concluded", "laptop: minutes", "hour: larger"), rows)


def long_table() -> str:
    """Claim by claim at the larger scale, with the figures."""
    rows = [(f"**{row['id']}** {row['claim']}", row["verdict"], row["because"]) for row in answers("hour")]
    return _markdown(("claim", "verdict", "because"), rows)


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


TABLES = (
    (DOCS.parent / "README.md", "verdicts", few_rows),
    (PUBLISHED / "README.md", "verdicts", short_table),
    (PUBLISHED / "README.md", "reasons", long_table),
)


def between(text: str, name: str) -> re.Match[str]:
    """What stands between a name's marks; ValueError where they are missing."""
    found = re.search(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", text, flags=re.DOTALL)
    if found is None:
        raise ValueError(f"there are no marks <!-- {name} --> and <!-- /{name} -->")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs"), help="the folder of both")
    runs = parser.parse_args().runs
    studies = {scale: read_all([runs / f"reproduction-{scale}"]) for scale in ("laptop", "hour")}
    found = {scale: verdicts(*of.values()) for scale, of in studies.items()}
    for scale, of in found.items():
        publish(scale, of)
    hour = list(map(Findings.of, studies["hour"].values()))
    cures = list(map(recorded, hour, studies["hour"]))
    write_page(hour, PUBLISHED / "report.html", found["hour"], TITLE.format("hour"), cures=cures)
    for one in hour:
        made, name = FIGURES.get(one.study.name.partition(" ")[0], ("", ""))
        if made:
            with tempfile.TemporaryDirectory() as folder:
                write_files([one], Path(folder))
                shutil.copy(Path(folder) / made, DOCS / "images" / name)
    for path, name, table in TABLES:
        text = path.read_text(encoding="utf-8")
        place = between(text, name)
        path.write_text(text[: place.start()] + table() + text[place.end() :], encoding="utf-8")


if __name__ == "__main__":
    main()
