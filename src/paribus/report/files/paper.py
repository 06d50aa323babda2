"""What a report or a paper takes: captions, figures and tables for LaTeX, a paragraph on methods, references."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paribus.report.files.captions import caption, differences_caption, results_caption
from paribus.report.files.latex import document, figure, tabular
from paribus.report.files.methods import methods
from paribus.report.files.prose import cited, in_latex, in_markdown
from paribus.report.files.references import bibliography
from paribus.report.files.units import headed, unit_of_difference, with_unit
from paribus.report.page.tables import Cell, Table, as_markdown, meters, results
from paribus.report.page.text import View, as_shown, p_text

_PACKAGES = ("booktabs", "graphicx")


def paper_files(view: View, figures: Sequence[str], label: str) -> Iterator[tuple[str, str]]:
    """Name and content of each file; none of a study without arms. `figures`: the names of those that were drawn;
    `label`: what the labels of this study begin with."""
    if not view.study.arms:
        return
    told = {name: caption(view, name) for name in figures}
    if told:
        yield "captions.md", "".join(f"**{name}.** {as_markdown(text)}\n\n" for name, text in told.items())
        drawn = (figure(f"{name}.pdf", text, f"{label}-{name}") for name, text in told.items())
        yield "figures.tex", document(drawn, ["graphicx"])
    for name, table, text in _tables(view):
        yield f"{name}.tex", document([tabular(table, text, f"{label}-{name}")], _PACKAGES)
    paragraphs = methods(view)
    sources = cited(paragraphs)
    listed = "".join(f"- {as_markdown(one.line)}\n" for one in sources)
    yield (
        "methods.md",
        "\n\n".join(map(in_markdown, paragraphs)) + "\n" + (f"\nReferences\n\n{listed}" if listed else ""),
    )
    yield "methods.tex", document(map(in_latex, paragraphs))
    if sources:
        yield "references.bib", bibliography(sources)


def _tables(view: View) -> Iterator[tuple[str, Table, str]]:
    """Name, table and caption of each."""
    findings = view.findings
    found = results(view, heading=headed)
    shown = [name for name in findings.names if headed(findings.metric(name)) in found.columns]
    yield "results", found, results_caption(view, shown)
    if view.found:
        yield "differences", differences(view), differences_caption(view)
    if (timed := meters(view, heading=headed)) is not None:
        shown = [name for name in findings.names if headed(findings.metric(name)) in timed.columns]
        yield "meters", timed, results_caption(view, shown)


def differences(view: View) -> Table:
    """Every pair on the primary metric, in the unit that people see."""
    metric, family = view.findings.primary_metric, len(view.found)
    rows = []
    for one in view.found:
        shown = [] if one.mean is None else as_shown(metric, one.mean, one.interval)
        mean = Cell(shown[0], one.mean) if shown else Cell("-")
        ends = [Cell(end, 0.0) for end in shown[1:]] or [Cell("-"), Cell("-")]
        verdict = one.verdict or ""
        if verdict in ("a higher", "b higher"):
            verdict = f"{view.labels[one.a if verdict == 'a higher' else one.b]} higher"
        p = one.p_adjusted
        adjusted = Cell("-") if p is None else Cell(p_text(p).removeprefix("p = ").removeprefix("p "), p)
        names = [Cell(view.labels[one.a]), Cell(view.labels[one.b])]
        rows.append([*names, mean, *ends, adjusted, Cell(str(one.pairs), one.pairs), Cell(verdict)])
    unit = unit_of_difference(metric)
    heads = [with_unit("a - b", unit), with_unit("low", unit), with_unit("high", unit)]
    what = "p (Holm)" if family > 1 else "p"
    return Table(["a", "b", *heads, what, f"{view.found[0].unit}s", "verdict"], rows, 2)
