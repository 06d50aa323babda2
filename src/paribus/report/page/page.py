"""`paribus report`: studies as one HTML file that opens without a network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from paribus.config.values import format_overrides
from paribus.extras import need
from paribus.findings.claims import Verdict
from paribus.findings.findings import Findings
from paribus.findings.judge import Judgement
from paribus.records.files import replacing
from paribus.records.record import RunRecord, StudyRecord
from paribus.report.cures import Tried
from paribus.report.page.curves import (
    MOST_ARMS,
    MOST_LINES,
    Figure,
    arm_keys,
    curve_figures,
    most_points,
)
from paribus.report.page.diagnoses import cured, left_out, wrongs
from paribus.report.page.figures import (
    as_spec,
    boundaries,
    budget,
    class_keys,
    confusions,
    data_uri,
    forest,
    lengths,
    state_gradients,
    tuned,
)
from paribus.report.page.figures_over import sweep_figures, task_figures
from paribus.report.page.figures_regression import fit_figures, residual_figures
from paribus.report.page.json import Columns, to_json
from paribus.report.page.lead import lead
from paribus.report.page.parts import Group, Mistake, Section, Tuning
from paribus.report.page.scores import effect_groups, section_of_scores
from paribus.report.page.tables import (
    candidates,
    chosen_in_repeats,
    differences_csv,
    meters,
    repeat,
    results,
    results_csv,
    runs_csv,
    side_by_side,
    tuning_line,
)
from paribus.report.page.text import FOOTNOTE, View, answers, count, of_repeats, tally
from paribus.report.series import MOST_PANELS, Panel, mistake_png, panels
from paribus.report.terminal.tables import PLUS_MINUS, best_told, shown_arms
from paribus.study.names import folder_name

_MOST_SENTENCES = (12, 6)  # of one study, and of each of several; the others unfold
_MOST_HIDDEN = 200
_MOST_CSV = 400_000  # characters, of a study's tables together: a page is to have less than a megabyte of its own
_LEAST_ROW = 50


def write_page(
    studies: Sequence[Findings | Judgement],
    out: Path,
    verdicts: Sequence[Verdict] = (),
    title: str | None = None,
    *,
    cures: Sequence[Sequence[Tried]] = (),
) -> Path:
    """Write the page of studies, or of judged scores, and return where it is. `title`: by default
    the study's name, or how many there are; `cures`: of each study those that were tried.

    Raises OSError where `out` cannot be written.

    >>> import tempfile
    >>> from paribus.records.record import StudyRecord
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = Findings.of(StudyRecord(name="<b>", factors=[], seeds=[0], primary_metric="test_accuracy", arms=[]))
    ...     page = write_page([found], Path(folder) / "page.html")
    ...     "<h1>&lt;b&gt;</h1>" in page.read_text(encoding="utf-8")
    True
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    # a name from a command line may hold what is no text
    content = page(studies, verdicts, title, cures=cures).encode("utf-8", "replace")
    with replacing(out) as part:
        part.write_bytes(content)
    return out


@np.errstate(over="ignore", invalid="ignore")
def page(
    studies: Sequence[Findings | Judgement],
    verdicts: Sequence[Verdict] = (),
    title: str | None = None,
    *,
    cures: Sequence[Sequence[Tried]] = (),
) -> str:
    """The page as text."""
    need("the page", "jinja2", "plotly", "PIL")
    most = most_points([one for one in studies if isinstance(one, Findings)])
    sections = [
        _section(f"s{i}", one, most, tried) if isinstance(one, Findings) else section_of_scores(f"s{i}", one)
        for i, (one, tried) in enumerate(zip(studies, cures or [()] * len(studies), strict=True))
    ]
    named = title or (sections[0].name if len(studies) == 1 else f"{len(studies)} studies")
    scripts = {"plotly": _plotly(), "page": _template("page.js")}
    html: str = (
        environment()
        .get_template("page.html")
        .render(
            title=named,
            sections=sections,
            verdicts=verdicts,
            tally=tally(verdicts) if verdicts else "",
            links={section.name: section.id for section in sections},
            css=_template("page.css"),
            scripts=scripts,
            policy=" ".join(f"'sha256-{_sha256(script)}'" for script in scripts.values()),
            version=version("paribus"),
            most_sentences=_MOST_SENTENCES[len(sections) > 1],
            most_hidden=_MOST_HIDDEN,
            plus_minus=PLUS_MINUS,
            # where verdicts are the answer, each study's sentences stand with the study
            folded=len(sections) > 1 and bool(verdicts),
            footnote=FOOTNOTE if any(section.compared for section in sections) else "",
        )
    )
    return html


def _section(id_: str, findings: Findings, most: int, tried: Sequence[Tried]) -> Section:
    study, view, columns = findings.study, View.of(findings), Columns()
    labels = dict(view.labels)
    before = [*_differences(view), *_curves(findings, labels, columns, most)]
    after = list(_pictures(findings, labels, columns))
    tuning = _tuning(view)
    groups = [*before, *after, *(tuning.figures if tuning else [])]
    wrong = wrongs(findings, labels)
    drawn = [figure for group in groups for figure in group.figures] + [one.figure for one in wrong if one.figure]
    csv, without = _csv(view)
    payload = {
        "columns": columns.columns,
        "figures": {figure.name: as_spec(figure) for figure in drawn},
        "csv": csv,
    }
    about, said = f"{count(len(study.arms), 'arm')}, {findings.seeds_told}", answers(view)
    arms = shown_arms(findings)
    some_arms = f"Here are {best_told(findings, len(arms))}." if len(arms) < len(study.arms) else ""
    return Section(
        id=id_,
        name=study.name,
        about=about,
        answers=said,
        compared=bool(view.found),
        before=before,
        table=results(view, arms),
        meters=meters(view, arms),
        after=after,
        mistakes=list(_mistakes(study, labels)),
        tuning=tuning,
        repeat=repeat(study),
        payload=to_json(payload),
        file=folder_name(study.name),
        wrong=wrong,
        wrong_left_out=left_out(findings),
        cured=cured(tried, labels),
        lead=lead(view, sum(len(one.notes) for one in said)),
        some_arms=some_arms,
        csv_left_out=without,
    )


def _csv(view: View) -> tuple[dict[str, str], dict[str, str]]:
    """The tables that can be downloaded, by name, as far as there is room for them; and of the others what they are."""
    runs = sum(len(arm.runs) for arm in view.study.arms)
    tables: dict[str, tuple[int, str, Callable[[], str]]] = {
        "results": (len(view.study.arms), f"the results of {len(view.study.arms):,} arms", lambda: results_csv(view)),
        "differences": (len(view.found), f"{len(view.found):,} differences", lambda: differences_csv(view.found)),
        "runs": (runs, f"{runs:,} runs", lambda: runs_csv(view.findings)),
    }
    held, without, room = dict[str, str](), dict[str, str](), _MOST_CSV
    for name, (rows, what, made) in tables.items():
        text = made() if rows * _LEAST_ROW <= room else None  # a hundred thousand rows are not made in vain
        if text is None or len(text) > room:
            without[name] = what
        else:
            held[name], room = text, room - len(text)
    return {name: held[name] for name in ("results", "runs", "differences") if name in held}, without


def _differences(view: View) -> Iterator[Group]:
    tuning, pairs = view.study.tuning, view.pairs
    for swept in sweep_figures(view):
        title = f"Over {swept.layout['xaxis']['title']['text']}"
        yield Group(title=title, note=swept.caption, figures=[swept], legend=swept.legend)
    several = task_figures(view)
    if several:
        note = "Each mark is a mean difference, its line the interval that the verdict goes with."
        legend = list(dict.fromkeys(key for one in several for key in one.legend))
        yield Group(title="Differences on each task", note=note, figures=several, legend=legend)
    if tuning is None:
        yield from effect_groups(view.findings.effects, pairs.metric, pairs.margin)
    figure = None if several else forest(pairs)
    own = "Differences, each at its own best" if tuning else "Differences"
    if figure is not None:
        yield Group(title=own, note=figure.caption, figures=[figure], legend=figure.legend)
    elif not several and any(one.by_ranks for one in view.found):
        yield Group(title=own, note="All pairs are judged by ranks, which have no mean to draw.", figures=[])
    over = forest(of_repeats(view).pairs)
    if over is not None and tuning:
        yield Group(
            title=f"Differences over {tuning.asked_repeats} repeats of the whole tuning",
            note=over.caption,
            figures=[replace(over, name="repeats")],
            legend=over.legend,
        )
    if tuning and view.findings.shared:
        shared = forest(View.of(view.findings.shared).pairs)
        if shared is not None:
            named = Figure(
                name="shared",
                caption=shared.caption,
                label=shared.label,
                data=shared.data,
                layout=shared.layout,
                facts=shared.facts,
            )
            yield Group(
                title=f"Differences, all at {format_overrides(tuning.shared_values)}",
                note=named.caption,
                figures=[named],
                legend=shared.legend,
            )


def _curves(findings: Findings, labels: dict[str, str], columns: Columns, most: int) -> Iterator[Group]:
    study, figures = findings.study, curve_figures(findings, labels, columns, most)
    if not figures:
        return
    runs = sum(len(arm.runs) for arm in study.arms)
    note = "Thin: one line a seed."
    if len(study.seeds) > 1:
        note += " Thick, with its band: the mean and its 95 % interval (Student's t) at each evaluation, over the runs "
        note += "that are done."
    if runs > MOST_LINES:
        note += f" The first {MOST_LINES} of {runs} runs are drawn as lines, all of them count in the bands."
    if len(shown_arms(findings)) < len(study.arms):
        note += f" Drawn are {best_told(findings, MOST_ARMS)}."
    elif len(study.arms) > MOST_ARMS:
        note += f" The first {MOST_ARMS} of {len(study.arms)} arms."
    longest = max((len(run.curve.get("step", ())) for arm in study.arms for run in arm.runs), default=0)
    if longest > most:
        note += f" Of {longest} evaluations at most {most} points a line are drawn, among them the least and greatest."
    splits = len({figure.name.partition("_")[0] for figure in figures})
    yield Group(
        title="Curves", note=note, figures=figures, legend=arm_keys(findings, labels), tools=True, columns=splits
    )


def _pictures(findings: Findings, labels: dict[str, str], columns: Columns) -> Iterator[Group]:
    study = findings.study
    planes = boundaries(study, labels, columns)
    if planes:
        shown = next(iter(panels(study, labels, lambda run: run.points is not None)))
        note = "Filled: training examples; open: test examples; shaded: the class that is predicted there."
        epochs = sorted({float(one["epoch"]) for plane in planes for one in plane.facts["frames"]})
        yield Group(
            title="Data and decision boundary",
            note=note + _some(study, planes),
            figures=planes,
            legend=class_keys(shown.run),
            tools=False,
            epochs=epochs,
        )
    matrices = confusions(study, labels)
    if matrices:
        note = (
            "How many test examples of each class (a row) were taken for which (a column); the fuller the colour, the "
            "larger the share."
        )
        yield Group(title="Confusion", note=note + _some(study, matrices), figures=matrices)
    curves, note, legend = fit_figures(study, labels, columns)
    if curves:
        yield Group(title="Fitted curve", note=note + _some(study, curves), figures=curves, legend=legend)
    left, note = residual_figures(study, labels)
    if left:
        yield Group(title="Residuals", note=note + _some(study, left), figures=left)
    by_length = lengths(findings)
    if by_length is not None:
        yield Group(title="Accuracy by length", note=by_length.caption, figures=[by_length], legend=by_length.legend)
    through = state_gradients(study, labels)
    if through is not None:
        yield Group(title="Gradient through time", note=through.caption, figures=[through], legend=through.legend)


def _some(study: StudyRecord, shown: Sequence[object]) -> str:
    return f" The first {len(shown)} of {len(study.arms)} arms." if len(shown) == MOST_PANELS < len(study.arms) else ""


def _mistakes(study: StudyRecord, labels: dict[str, str]) -> Iterator[tuple[str, list[Mistake]]]:
    """Of each arm the test images whose wrong class it was surest of."""
    found = panels(study, labels, _has_mistakes)
    for panel in found[:MOST_PANELS]:
        yield f"{panel.label}, seed {panel.run.seed}", list(_pictured(panel))


def _has_mistakes(run: RunRecord) -> bool:
    return run.pictures.mistakes is not None and len(run.pictures.mistakes.truth) > 0


def _pictured(panel: Panel) -> Iterator[Mistake]:
    mistakes = panel.run.pictures.mistakes
    assert mistakes is not None
    told = zip(mistakes.truth.tolist(), mistakes.predicted.tolist(), mistakes.probability.tolist(), strict=True)
    for k, (truth, predicted, probability) in enumerate(told):
        yield Mistake(
            data_uri(mistake_png(mistakes, k)),
            f"{truth} taken for {predicted}, {100 * probability:.1f} %",
            f"test image of class {truth}, taken for class {predicted} with probability {probability:.3f}",
        )


def _tuning(view: View) -> Tuning | None:
    tried, chosen = candidates(view), side_by_side(view)
    if tried is None or chosen is None:
        return None
    figures = {
        "What was tried": tuned(view.findings, dict(view.labels)),
        "What another budget would give": budget(view.findings, dict(view.labels)),
    }
    groups = [
        Group(title=title, note=figure.caption, figures=[figure], legend=figure.legend)
        for title, figure in figures.items()
        if figure is not None
    ]
    return Tuning(tuning_line(view), chosen, tried, groups, chosen_in_repeats(view))


# --- the file --------------------------------------------------------------------------------------------------------


@cache
def environment() -> Any:
    """The templates of pages; every text in them is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("paribus.report.page", "template"),
        autoescape=True,  # every text on the page is the user's until shown otherwise
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _template(name: str) -> str:
    return (files("paribus.report.page") / "template" / name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _sha256(script: str) -> str:
    """What the page's policy calls a script that it may run: any other, it may not."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
