"""What each figure and table shows, in sentences that can stand below it: what is drawn, of how many seeds, and what a
bar is. All of it is read off the findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from paribus.findings.compared import Difference
from paribus.findings.stopping import Extended, UntilDecided
from paribus.findings.summary import Summary
from paribus.records.record import RunRecord, Status
from paribus.report.files.curves import MOST_LINES, drawn, full_name, in_the_plane
from paribus.report.files.intervals import intervals_told
from paribus.report.files.units import span, unit_of_difference, with_unit, words_of
from paribus.report.page.figures import MARKS, MOST_ROWS
from paribus.report.page.text import View, amount, count
from paribus.report.series import (
    LENGTH,
    MOST_PANELS,
    Panel,
    budgets,
    by_length,
    drawn_rows,
    gradients,
    panels,
    swept,
    tried,
)

_MOST_NUMBERED = 12
_SHAPES = {"circle": "filled circle", "circle-open": "open circle", "square": "square", "x-thin": "cross"}


def caption(view: View, name: str) -> str:
    """The caption of the figure of this name (`differences`); KeyError for a figure that there is not."""
    return " ".join(filter(None, CAPTIONS[name](view)))


# --- differences -----------------------------------------------------------------------------------------------------


def _differences(view: View) -> Iterable[str]:
    findings, metric, margin = view.findings, view.findings.primary_metric, view.study.margin
    there = [one for one in view.found if one.mean is not None]
    rows = there[:MOST_ROWS]
    what = with_unit(f"Differences in {metric.words}", unit_of_difference(metric))
    yield f"{what}: the arm named first less the other, mean over {_paired(rows)}."
    yield from intervals_told(rows, findings, view.labels)
    yield f"{_shapes(rows)}."
    if margin is not None:
        yield f"Shaded: within the margin of {amount(metric, margin, None)[0]}."
    if len(rows) < len(there):
        yield f"Drawn are the first {len(rows)} of {len(there)} pairs."
    if len(there) < len(view.found):
        left = len(view.found) - len(there)
        yield f"Not drawn: {count(left, 'pair')} without a mean difference."


def _paired(found: Sequence[Difference]) -> str:
    """How many seeds a mean difference is over."""
    unit = found[0].unit if found else "seed"
    return f"{span([one.pairs for one in found], unit)} that both have"


def _shapes(rows: Sequence[Difference]) -> str:
    kinds: dict[str, list[str]] = {}
    for verdict, (symbol, told) in MARKS.items():
        if any((one.verdict or "no difference shown") == verdict for one in rows):
            kinds.setdefault(_SHAPES[symbol], []).append(told)
    said = "; ".join(f"{shape}: {', '.join(dict.fromkeys(told))}" for shape, told in kinds.items())
    return said[:1].upper() + said[1:]


# --- curves ----------------------------------------------------------------------------------------------------------


def _curves(view: View) -> Iterable[str]:
    study, (splits, measured) = view.study, drawn(view.findings)
    names = [full_name(split, metric) for split in splits for metric in measured]
    lines = [[run for run in arm.runs[:MOST_LINES] if _has_any(run, names)] for arm in study.arms]
    where = (
        f", on {words_of([f'the {split}' for split in splits])} split{'s' * (len(splits) > 1)}" if any(splits) else ""
    )
    yield f"Learning curves over epochs of {words_of([name.replace('_', ' ') for name in measured])}{where}."
    yield f"One line for each seed, {span([len(of) for of in lines], 'seed')}{' for each arm' * (len(lines) > 1)}"
    yield "(no mean and no interval is drawn)."
    if any(len(arm.runs) > MOST_LINES for arm in study.arms):
        yield f"Of each arm the first {MOST_LINES} seeds are drawn."
    if len(study.arms) > 1:
        yield f"A colour and a dash for each arm; {view.labels[study.arms[0].name]} is drawn thicker."
    if short := sum(run.status in (Status.DIVERGED, Status.FAILED) for of in lines for run in of):
        yield f"{count(short, 'run')} diverged or failed: drawn as far as recorded."


def _has_any(run: RunRecord, names: Sequence[str]) -> bool:
    return any(len(run.curve.get(name, ())) for name in names)


# --- one run of each arm ---------------------------------------------------------------------------------------------


def _one_run(runs: Sequence[RunRecord], shown: int) -> str:
    """Which runs a figure of one run an arm shows."""
    seeds = sorted({run.seed for run in runs[:shown]})
    which = f"seed {seeds[0]}" if len(seeds) == 1 else "the seed stands above it"
    more = f"; drawn are the first {shown} of {len(runs)} arms" if len(runs) > shown else ""
    return f"One run of each arm, {which}: nothing is averaged{more}."


def _of_panels(view: View, has: Callable[[RunRecord], bool]) -> tuple[list[Panel], str]:
    found = panels(view.study, view.labels, has)
    return found[:MOST_PANELS], _one_run([one.run for one in found], MOST_PANELS)


def _boundary(view: View) -> Iterable[str]:
    runs = [run for _, run in in_the_plane(view.study)]
    yield "The data in the plane: filled marks are training examples, open ones test examples."
    bare = sum(run.boundary is None for run in runs[:MOST_PANELS])
    if bare < len(runs[:MOST_PANELS]):
        yield "Shaded: the class that the network predicts."
    if bare:
        yield f"{count(bare, 'arm')} {'has' if bare == 1 else 'have'} no prediction to draw."
    yield _one_run(runs, MOST_PANELS)


def _fits(view: View) -> Iterable[str]:
    shown, which = _of_panels(view, lambda run: run.pictures.fits is not None)
    found = [one.run.pictures.fits for one in shown if one.run.pictures.fits is not None]
    yield "What is predicted over the input, a line for each epoch that the legend names, the fainter the earlier."
    yield "Rings: test rows." + (" Dotted: the numbers without noise." if any(len(one.truth) for one in found) else "")
    yield which


def _residuals(view: View) -> Iterable[str]:
    shown, which = _of_panels(view, lambda run: run.pictures.residuals is not None)
    yield "Residuals, measured minus predicted, of test rows over the prediction, in the data's units."
    yield "Shaded: where the middle 90 % of the residuals of all test rows lie."
    found = [(one.run, one.run.pictures.residuals) for one in shown]
    yield drawn_rows([(len(of.rows), run.task.test) for run, of in found if of is not None])
    yield which


def _confusion(view: View) -> Iterable[str]:
    shown, which = _of_panels(view, lambda run: run.pictures.confusion is not None)
    found = [one.run.pictures.confusion for one in shown]
    numbers = any(of is not None and len(of) <= _MOST_NUMBERED for of in found)
    yield "Test examples of each class (rows) by the class they were taken for (columns)."
    yield "Colour: the square root of the share of the row." + " The numbers are counts." * numbers
    yield which


def _mistakes(view: View) -> Iterable[str]:
    yield "The test images whose wrong class each arm was surest of, a row for each arm: class, predicted class and"
    yield "the probability that was given to it."
    has = _of_panels(view, lambda run: run.pictures.mistakes is not None and len(run.pictures.mistakes.truth) > 0)
    yield has[1]


def _gradients(view: View) -> Iterable[str]:
    found = gradients(view.study, view.labels)
    yield "Norm of the gradient of the loss with respect to the state h(t) over t, the digit that was read, on a"
    yield "logarithmic axis. Dotted: before the first step; solid: after the last. Zeros are not drawn."
    yield _one_run([panel.run for panel, _ in found], MOST_PANELS)


# --- means over seeds ------------------------------------------------------------------------------------------------


def means_told(view: View, found: Sequence[Summary], bar: str) -> Iterable[str]:
    """What a mean over seeds and its interval are. `bar`: how the interval is drawn or written."""
    known = [one for one in found if one.mean is not None]
    with_interval = [one for one in known if one.ci95 is not None]
    if not known:
        yield "No run has a value yet."
        return
    yield f"Means over {span([one.n for one in known], 'seed')}{_of_those_done(view)}."
    if with_interval:
        yield f"{bar} 95 % interval of the mean (Student's t), of each mean alone."
        if view.findings.shared_examples:
            yield "Seeds share examples (split=by_seed), for which it is not corrected."
        if isinstance(view.findings.stopping, UntilDecided | Extended):
            yield "It is not adjusted for the looks at the study."
    if len(with_interval) < len(known):
        yield f"{count(len(known) - len(with_interval), 'mean')} of one seed without an interval."


def _of_those_done(view: View) -> str:
    runs = [run for arm in view.study.arms for run in arm.runs]
    return " (of runs that came to their end)" if any(run.status is not Status.DONE for run in runs) else ""


def _sweeps(view: View) -> Iterable[str]:
    findings, metric = view.findings, view.findings.primary_metric
    found = [(sweep, lines) for sweep, lines in swept(findings) if any(one.x for one in lines)]
    yield f"{_first_upper(metric.words)} over {words_of([sweep.name for sweep, _ in found])}."
    arms = [arm for sweep, _ in found for line in sweep.lines[:MOST_PANELS] for arm in line.arms]
    yield from means_told(view, [findings.summaries[arm][metric.name] for arm in arms], "Bars:")
    yield from _scaled(view)
    if any(len(lines) > MOST_PANELS for _, lines in found):
        yield f"Drawn are the first {MOST_PANELS} lines."
    if logs := [sweep.name for sweep, _ in found if sweep.log]:
        yield f"The axis of {words_of(logs)} is logarithmic."


def _lengths(view: View) -> Iterable[str]:
    findings, (name, _) = view.findings, by_length(view.findings)
    yield f"{_first_upper(findings.metric(name).words)} over the digits that are read."
    arms = [arm.name for arm in view.study.arms if LENGTH in arm.settings]
    found = [findings.summaries[arm].get(name) for arm in arms]
    yield from means_told(view, [one for one in found if one is not None], "Bars:")
    yield from _scaled(view, name)


def _scaled(view: View, name: str | None = None) -> Iterable[str]:
    metric = view.findings.metric(name or view.study.primary_metric)
    if metric.percent:
        yield "The axis shows shares, not percent."
    elif metric.unit:
        yield f"In {metric.unit}."


def _tuning(view: View) -> Iterable[str]:
    tuning, (name, found) = view.study.tuning, tried(view.study, view.labels)
    if tuning is None:
        return
    metric = view.findings.metric(tuning.metric)
    yield f"Tuning: mean {metric.words} of each value of {name.rpartition('.')[2]}, over"
    yield f"{count(len(tuning.seeds), 'seed')} apart from the comparison's; no interval is drawn. Large marks: chosen."
    gone = sum(one.mean is None for arm in tuning.arms for one in arm.candidates)
    if gone:
        yield f"Not drawn: {count(gone, 'candidate')} with a run that did not come to its end."
    if found and all(x > 0 for one in found for x in one.x):
        yield "The axis of the values is logarithmic."


def _budget(view: View) -> Iterable[str]:
    tuning = view.study.tuning
    if tuning is None or not budgets(view.findings, view.labels):
        return
    yield f"{view.findings.budget_told}: {view.findings.metric(tuning.metric).words}, each score the mean over"
    yield f"{count(len(tuning.seeds), 'seed')}. No interval is drawn."


CAPTIONS: Mapping[str, Callable[[View], Iterable[str]]] = {
    "differences": _differences,
    "curves": _curves,
    "boundary": _boundary,
    "fitted-curve": _fits,
    "residuals": _residuals,
    "confusion": _confusion,
    "mistakes": _mistakes,
    "sweeps": _sweeps,
    "lengths": _lengths,
    "gradients": _gradients,
    "tuning": _tuning,
    "budget": _budget,
}


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- tables ----------------------------------------------------------------------------------------------------------


def results_caption(view: View, names: Sequence[str]) -> str:
    """Of the table of results, or of times and memory. `names`: its metrics."""
    found = [of[name] for of in view.findings.summaries.values() for name in names if name in of]
    said = means_told(view, found, "After ±: half of the")
    return f"{view.study.name}: {' '.join(said)}"


def differences_caption(view: View) -> str:
    """Of the table of differences."""
    findings, found = view.findings, view.found
    family, metric, margin = len(found), findings.primary_metric, view.study.margin
    said = [f"{view.study.name}: differences in {metric.words}, a less b, over {_paired(found)}."]
    said += intervals_told(found, findings, view.labels)
    holm = f", after Holm's method over {family} pairs" if family > 1 else ""
    said.append(f"p: {findings.stopping.test}{holm}.")
    if ranks := sum(one.by_ranks for one in found):
        said.append(f"Without a mean, as runs were lost: {count(ranks, 'pair')}.")
    if margin is not None:
        said.append(f"Margin: {amount(metric, margin, None)[0]}.")
    notes: dict[str, list[str]] = {}
    for one in found:
        if one.note:
            notes.setdefault(one.note, []).append(f"{view.labels[one.a]} - {view.labels[one.b]}")
    for note, pairs in notes.items():
        said.append(f"{'All pairs' if len(pairs) == family > 1 else words_of(pairs)}: {note}.")
    return " ".join(said)
