"""The tables of a page and of files: results, meters, what was tried, differences, and what it takes to repeat."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from paribus.config.overrides import SettingsError
from paribus.config.values import Value, format_value
from paribus.findings.compared import Difference
from paribus.findings.findings import Findings
from paribus.findings.summary import Summary
from paribus.records.metrics import METERS, TO_TARGET, Metric
from paribus.records.record import ArmRecord, DatasetInfo, RunRecord, Status, StudyRecord
from paribus.report.page.text import View, count, listed
from paribus.report.terminal.tables import cell
from paribus.report.terminal.tuned import candidate_values
from paribus.study.toml import as_toml

Raw = str | float | int | None

_TIMED = ("seconds_per_epoch", "seconds_per_evaluation", *METERS)
_HIDDEN = {"executable"}  # a path on somebody's disk


@dataclass(frozen=True)
class Cell:
    """What a table shows, and the number that it is sorted by."""

    text: str
    value: float | None = None
    marked: bool = False


@dataclass(frozen=True)
class Table:
    """Columns and rows of cells. `words`: how many columns at the left are words."""

    columns: list[str]
    rows: list[list[Cell]]
    words: int = 1


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """What it takes to repeat a study; `why_not`: why no file repeats it."""

    commands: list[str]
    toml: str | None
    why_not: str
    facts: list[tuple[str, str]]
    surroundings: list[list[tuple[str, str]]] = field(default_factory=list)
    about: str = "Data, seeds, versions and machine"


Heading = Callable[[Metric], str]
"""What stands above a metric's column."""


def _label(metric: Metric) -> str:
    return metric.label


def results(
    view: View,
    arms: Sequence[ArmRecord] | None = None,
    *,
    heading: Heading = _label,
) -> Table:
    """A row for each arm, or for `arms`: runs done, and every metric that any has, mean ± half of its interval."""
    study = view.study
    found = view.findings.summaries
    # of epochs to a target the mean would be over the runs that reached it: a sentence tells of them all
    names = [name for name in ordered(view.findings) if name not in (*_TIMED, *TO_TARGET)]
    shown = [name for name in names if any(of[name].mean is not None for of in found.values())]
    factors = [] if study.named or len(study.factors) < 2 else study.factors
    rows = []
    for arm in study.arms if arms is None else arms:
        done = sum(run.status is Status.DONE for run in arm.runs)
        rows.append(
            [
                Cell(view.labels[arm.name]),
                *(_setting(arm, factor) for factor in factors),
                Cell(f"{done} of {len(study.seeds) if study.least is None else len(arm.runs)}", done),
                *(_measured(view.findings.metric(name), found[arm.name][name]) for name in shown),
            ]
        )
    heads = [
        "arm",
        *(factor.rpartition(".")[2] for factor in factors),
        "done",
        *(heading(view.findings.metric(name)) for name in shown),
    ]
    return Table(heads, rows, 1)


def ordered(findings: Findings) -> list[str]:
    """The metrics of a study, the primary one first, those of the test split next."""
    primary, measured = findings.study.primary_metric, findings.measured
    names = dict.fromkeys([primary, *measured] if measured else [])
    test_first = sorted(names, key=lambda name: (name != primary, not name.startswith("test")))
    return [*test_first, *(name for name in findings.names if name not in names)]


def meters(
    view: View,
    arms: Sequence[ArmRecord] | None = None,
    *,
    heading: Heading = _label,
) -> Table | None:
    """Times, memory and power of arms whose runs had the machine to themselves; None where none had."""
    found = view.findings.summaries
    shown = [name for name in _TIMED if any(name in of and of[name].mean is not None for of in found.values())]
    if not shown:
        return None
    columns = [view.findings.metric(name) for name in shown]
    rows = [
        [Cell(view.labels[arm.name]), *(_measured(metric, found[arm.name][metric.name]) for metric in columns)]
        for arm in (view.study.arms if arms is None else arms)
    ]
    return Table(["arm", *(heading(metric) for metric in columns)], rows)


def candidates(view: View) -> Table | None:
    """A row for each candidate of the tuning, a column for each arm; the chosen ones are marked."""
    tuning = view.study.tuning
    if tuning is None or not tuning.arms:
        return None
    names, metric = list(tuning.arms[0].chosen), view.findings.metric(tuning.metric)
    rows = []
    for tried in candidate_values(tuning):
        line = [Cell(format_value(tried[name]), _number(tried[name])) for name in names]
        for arm in tuning.arms:
            means = [one.mean for one in arm.candidates if one.values == tried]
            chosen = tried == arm.chosen
            told = ["did not end" if mean is None else metric.told(mean) for mean in means] or ["-"]
            line.append(Cell(told[0] + " (chosen)" * chosen, means[0] if means else None, chosen))
        rows.append(line)
    arms = [view.labels.get(arm.arm, arm.arm) or view.study.name for arm in tuning.arms]
    return Table([*(name.rpartition(".")[2] for name in names), *arms], rows, 0)


def chosen_in_repeats(view: View) -> Table | None:
    """A row for each repeat of the whole tuning, a column for each arm: the mean, and what it chose."""
    findings, tuning = view.findings, view.study.tuning
    if tuning is None or tuning.asked_repeats == 1:
        return None
    metric, rows = findings.primary_metric, []
    for number, one in enumerate(findings.repeats, 1):
        units, mine = one.unit(metric.name), one.study.tuning.arms if one.study.tuning else []
        line = [Cell(str(number), number)]
        for arm in mine:
            mean = units[arm.arm].mean if arm.arm in units else None
            reached = "not done" if mean is None else metric.told(mean)
            line.append(Cell(f"{reached} at {_overrides(arm.chosen)}", mean))
        rows.append(line)
    arms = [view.labels.get(arm.arm, arm.arm) or view.study.name for arm in tuning.arms]
    return Table(["repeat", *arms], rows)


def side_by_side(view: View) -> Table | None:
    """The primary metric of each arm at the shared value and at its own."""
    study, tuning = view.study, view.study.tuning
    if tuning is None or not tuning.arms:
        return None
    metric, others = view.findings.primary_metric, view.findings.shared
    own = {arm: of.get(metric.name) for arm, of in view.findings.summaries.items()}
    shared = {arm: of.get(metric.name) for arm, of in others.summaries.items()} if others else {}
    rows = [
        [
            Cell(view.labels.get(one.arm, one.arm) or study.name),
            _maybe(metric, shared.get(one.arm)),
            Cell(_overrides(one.chosen)),
            _maybe(metric, own.get(one.arm)),
        ]
        for one in tuning.arms
    ]
    at = _overrides(tuning.shared_values)
    return Table(["arm", f"{metric.label}, all at {at}", "own best", f"{metric.label}, each at its own"], rows)


def _overrides(values: Mapping[str, Value]) -> str:
    return " ".join(f"{name.rpartition('.')[2]}={format_value(value)}" for name, value in values.items())


def tuning_line(view: View) -> str:
    """How values were chosen."""
    tuning = view.study.tuning
    assert tuning is not None
    tried, metric = len(tuning.arms[0].candidates) if tuning.arms else 0, view.findings.metric(tuning.metric)
    given = f"was given the same {count(tried, 'candidate')}"
    if tuning.sampler is not None:
        given = f"had {count(tried, 'candidate')} of its own, which {tuning.sampler} proposed one after another"
    return (
        f"Every arm {given}. Chosen by {metric.words} on "
        f"{100 * tuning.validation:g} % of the training data, over {count(len(tuning.seeds), 'seed')} apart from the "
        "comparison's; then trained afresh."
    )


def differences_table(view: View) -> Table:
    """Every pair on the primary metric, with the numbers as they are."""
    rows = [
        [Cell(view.labels[one.a]), Cell(view.labels[one.b]), *_of_difference(one), Cell(one.verdict or "")]
        for one in view.found
    ]
    return Table(["a", "b", "a - b", "low", "high", "p (Holm)", "seeds", "verdict"], rows, 2)


def _of_difference(one: Difference) -> list[Cell]:
    low, high = one.interval or (None, None)
    numbers = (one.mean, low, high, one.p_adjusted)
    return [*(Cell("-" if n is None else f"{n:.4g}", n) for n in numbers), Cell(str(one.pairs), one.pairs)]


def _setting(arm: ArmRecord, factor: str) -> Cell:
    value = arm.settings.get(factor, "")
    return Cell(format_value(value), _number(value))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _maybe(metric: Metric, found: Summary | None) -> Cell:
    return Cell("-") if found is None else _measured(metric, found)


def _measured(metric: Metric, found: Summary) -> Cell:
    return Cell(cell(metric, found), found.mean)


# --- as CSV and Markdown ---------------------------------------------------------------------------------------------


def csv_text(rows: Iterable[Sequence[Raw]]) -> str:
    """Rows as CSV, numbers with all their digits, what is missing empty.

    >>> csv_text([["arm", "mean"], ["a, b", 0.5], ["c", None]])
    'arm,mean\\n"a, b",0.5\\nc,\\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["" if one is None else one for one in row] for row in rows])
    return text.getvalue()


def results_csv(view: View) -> str:
    """A row for each arm: its values of the factors, runs done, and of each metric mean and interval."""
    study = view.study
    found = view.findings.summaries
    names = ordered(view.findings)
    heads = ["arm", *study.factors, "done", "seeds"]
    rows: list[list[Raw]] = [[*heads, *(f"{name}{end}" for name in names for end in ("", "_low", "_high", "_n"))]]
    for arm in study.arms:
        done = sum(run.status is Status.DONE for run in arm.runs)
        line: list[Raw] = [
            arm.name,
            *(format_value(arm.settings.get(f, "")) for f in study.factors),
            done,
            len(study.seeds),
        ]
        for name in names:
            one = found[arm.name][name]
            line += [one.mean, *(one.ci95 or (None, None)), one.n]
        rows.append(line)
    return csv_text(rows)


def runs_csv(findings: Findings) -> str:
    """A row for each run: status, epochs, the hash of its plan, and every final metric."""
    study, names = findings.study, ordered(findings)
    heads = ["arm", *study.factors, "seed", "status", "epochs", "error", "plan", *names]
    rows: list[list[Raw]] = [list(heads)]
    for arm in study.arms:
        columns = findings.values[arm.name]
        final = {name: dict(zip(study.seeds, columns[name], strict=True)) for name in names}
        rows += [
            [
                arm.name, *(format_value(arm.settings.get(f, "")) for f in study.factors), run.seed, str(run.status),
                run.epochs, run.error, run.plan_hash, *(final[name].get(run.seed) for name in names),
            ]
            for run in arm.runs
        ]  # fmt: skip
    return csv_text(rows)


def differences_csv(found: Sequence[Difference]) -> str:
    """A row for each pair and metric, with everything that is known of it."""
    rows: list[list[Raw]] = []
    for one in found:
        flat: dict[str, Raw] = {}
        for key, value in one.as_data().items():
            if "ci95" in key or key == "interval":
                flat[f"{key}_low"], flat[f"{key}_high"] = value or (None, None)
            else:
                flat[key] = value
        rows += [list(flat), list(flat.values())] if not rows else [list(flat.values())]
    return csv_text(rows)


def markdown(table: Table) -> str:
    """A table as Markdown, in which text is text: no sign of it is taken for markup.

    >>> print(markdown(Table(["arm", "mean"], [[Cell("<b>|x"), Cell("0.5", 0.5)]])), end="")
    | arm | mean |
    |---|---:|
    | \\<b\\>\\|x | 0.5 |
    """
    rule = "|".join("---" if i < table.words else "---:" for i in range(len(table.columns)))
    lines = [
        " | ".join(map(as_markdown, line))
        for line in (table.columns, *([one.text for one in row] for row in table.rows))
    ]
    return (
        "".join(f"| {line} |\n" for line in lines[:1]) + f"|{rule}|\n" + "".join(f"| {line} |\n" for line in lines[1:])
    )


def as_markdown(text: str) -> str:
    """Text in one line, in which no sign is markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&!])", r"\\\1", " ".join(text.split()))


# --- to repeat it ----------------------------------------------------------------------------------------------------


def repeat(study: StudyRecord) -> Repeat:
    """Command, file, data, versions and machine, of the study and of what it was tuned by."""
    runs = [run for arm in study.arms for run in arm.runs]
    seen = {id(run.environment): run.environment for run in runs}
    commands = dict.fromkeys(str(one["command"]) for one in seen.values() if one.get("command"))
    toml, why_not = None, ""
    try:
        toml = as_toml(study)
    except SettingsError as error:
        why_not = " ".join(f"The study {mistake}." for mistake in error.mistakes)
    surroundings = list(dict.fromkeys(tuple(_flat(one)) for one in seen.values()))
    return Repeat(
        commands=list(commands),
        toml=toml,
        why_not=why_not,
        facts=_facts(study, runs),
        surroundings=[list(one) for one in surroundings if one],
    )


def _facts(study: StudyRecord, runs: Sequence[RunRecord]) -> list[tuple[str, str]]:
    facts = [("seeds", listed(study.seeds) or "none yet")]
    facts += [("backend", why) for why in dict.fromkeys(study.backends.values())]
    if study.tuning is not None:
        facts.append(("seeds of the tuning", listed(study.tuning.seeds)))
        facts += [
            (f"of repeat {one.tuning.repeat}", f"{listed(one.seeds)}; of its tuning {listed(one.tuning.seeds)}")
            for one in study.tuning.repeats
            if one.tuning is not None
        ]
    infos: dict[DatasetInfo, None] = dict.fromkeys(run.task for run in runs)
    if study.own_loop:
        infos = {info: None for info in infos if info.train}
        facts += [] if infos else [("data", "what the loop reads or makes itself: nothing of it is recorded")]
    for info in list(infos)[:8]:
        sizes = f"{info.train} training, {info.validation} validation and {info.test} test examples"
        shape = " x ".join(map(str, info.input_shape))
        kind = f"{info.classes} classes" if info.classes else "numbers to predict"
        facts += [
            (f"data: {info.name}", f"{sizes}, {kind}, inputs {shape}; {info.source}"),
            ("its fingerprint (SHA-256 of every split)", info.fingerprint),
            ("of the data before they were split", info.pool),
        ]
        if info.overlap:
            facts.append(("test examples that are training examples too", str(info.overlap)))
    if len(infos) > 8:
        facts.append(("further data", f"{len(infos) - 8} more splits; the records hold their fingerprints"))
    plans = {run.plan_hash for run in runs}
    if plans:
        some = ", ".join(sorted(plans)[:3]) + (", ..." if len(plans) > 3 else "")
        facts.append(("plans (SHA-256)", f"{len(plans)}: {some}; the CSV of the runs has each run's"))
    begun = sorted(run.started for run in runs if run.started > 0)
    if begun:
        days = list(dict.fromkeys(datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d") for at in (begun[0], begun[-1])))
        facts.append(("trained (UTC)", " to ".join(days)))
    return facts


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """`{"versions": {"torch": "2.6"}}` as `versions: torch` and `2.6`; without the command, which stands above."""
    for key, value in facts.items():
        if key in _HIDDEN or (key == "command" and not prefix) or value is None:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}: ")
        else:
            yield f"{prefix}{key}", str(value)
