"""The page's figures as PNG and SVG, its tables as CSV and Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from paribus.findings.claims import Verdict
from paribus.findings.findings import Findings
from paribus.records.files import replacing
from paribus.report.files.figures import figures, fonts
from paribus.report.page.tables import (
    Cell,
    Table,
    candidates,
    chosen_in_repeats,
    csv_text,
    differences_csv,
    differences_table,
    markdown,
    meters,
    repeat,
    results,
    results_csv,
    runs_csv,
    side_by_side,
)
from paribus.report.page.text import View
from paribus.study.names import folder_name

_DPI = 150


@np.errstate(over="ignore", invalid="ignore")
def write_files(studies: Sequence[Findings], folder: Path, verdicts: Sequence[Verdict] = ()) -> list[Path]:
    """Write every figure and table; the files that were written.

    One study goes into the folder itself, several each into a folder of its own there. Raises OSError where they
    cannot be written.

    >>> import tempfile
    >>> from paribus.records.record import StudyRecord
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = Findings.of(StudyRecord(name="s", factors=[], seeds=[0], primary_metric="test_accuracy", arms=[]))
    ...     [path.name for path in write_files([found], Path(folder))]
    ['results.csv', 'results.md', 'runs.csv']
    """
    written = []
    if verdicts:
        written += _table(folder / "verdicts", _verdicts(verdicts))
    for findings, place in zip(studies, _places(studies, folder), strict=True):
        place.mkdir(parents=True, exist_ok=True)
        view = View.of(findings)
        written += [_text(place / name, content) for name, content in _tables(view)]
        with fonts():
            for name, figure in figures(view):
                for kind, options in (("png", {"dpi": _DPI}), ("svg", {"metadata": {"Date": None}})):
                    path = place / f"{name}.{kind}"
                    with replacing(path) as part:
                        figure.savefig(part, format=kind, **options)
                    written.append(path)
    return written


def _places(studies: Sequence[Findings], folder: Path) -> Iterator[Path]:
    """A folder for each; names that would be one folder are numbered."""
    seen: dict[str, int] = {}
    for findings in studies:
        name = folder_name(findings.study.name)
        seen[name.lower()] = number = seen.get(name.lower(), 0) + 1
        yield folder if len(studies) == 1 else folder / (name if number == 1 else f"{name}-{number}")


def _tables(view: View) -> Iterator[tuple[str, str]]:
    study = view.study
    yield "results.csv", results_csv(view)
    yield "results.md", markdown(results(view))
    yield "runs.csv", runs_csv(view.findings)
    if view.found:
        yield "differences.csv", differences_csv(view.findings.differences)
        yield "differences.md", markdown(differences_table(view))
    for name, table in (
        ("meters", meters(view, view.study.arms)),
        ("candidates", candidates(view)),
        ("chosen", side_by_side(view)),
        ("repeats", chosen_in_repeats(view)),
    ):
        if table is not None:
            yield f"{name}.csv", _csv(table)
            yield f"{name}.md", markdown(table)
    toml = repeat(study).toml
    if toml is not None:
        yield "study.toml", toml


def _verdicts(verdicts: Sequence[Verdict]) -> Table:
    rows = [
        [Cell(text) for text in (one.id, one.claim, one.told, "; ".join([one.reason, *one.notes]), one.study or "")]
        for one in verdicts
    ]
    return Table(["id", "claim", "verdict", "because", "study"], rows, 5)


def _table(path: Path, table: Table) -> list[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return [_text(path.with_suffix(".csv"), _csv(table)), _text(path.with_suffix(".md"), markdown(table))]


def _csv(table: Table) -> str:
    rows = [[one.text if one.value is None else one.value for one in row] for row in table.rows]
    return csv_text([table.columns, *rows])


def _text(path: Path, content: str) -> Path:
    with replacing(path) as part:
        part.write_bytes(content.encode("utf-8", "replace"))
    return path
