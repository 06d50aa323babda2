"""What a study shows, in sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from paribus.config.values import format_overrides
from paribus.findings.claims import Verdict
from paribus.findings.compared import HIGHER, Difference
from paribus.findings.factors import FactorEffect
from paribus.findings.findings import Findings
from paribus.records.metrics import Metric
from paribus.records.record import StudyRecord, Tuning
from paribus.report.terminal.over import SWEEPS, TASKS, sweep_lines, task_lines
from paribus.report.terminal.tables import EFFECTS, agreement_line, arm_label, interaction_lines, target_lines
from paribus.report.terminal.tuned import AT_CHOSEN, OF_TUNED

_OF: Mapping[str | None, str] = {
    "t of the pair": ", of this pair alone",
    "sign flips": ", of the sign-flip test",
    "permutation": ", of the permutation test",
    "equivalence": ", of the two one-sided tests",
    "e-process": ", of the e-process",
}
_ORDER = (
    *HIGHER, "equivalent", "no difference shown", "not decided yet", "too few seeds", "not judged",
)  # fmt: skip
_SMALLEST_P = 1e-4
FOOTNOTE = (
    "A difference is that of the arm named first less the other, over the same seeds. In brackets its 95 % interval, "
    "of all under one heading at once; p is of the sign-flip test, after Holm over these. Too few seeds: "
    "whatever they had shown, p could not have come to 0.05."
)


@dataclass(frozen=True)
class Pairs:
    """Differences on one metric, how their sides are called in few words, and the margin that they are judged by."""

    found: list[Difference]
    labels: Mapping[str, str]
    metric: Metric
    margin: float | None

    @classmethod
    def of_effects(cls, effects: Sequence[FactorEffect], kind: str, metric: Metric, margin: float | None) -> Pairs:
        """The effects of factors, of one kind, as differences."""
        found = [one.difference for one in effects if one.kind == kind]
        return cls(ranked(found), {name: name for one in found for name in (one.a, one.b)}, metric, margin)

    @property
    def sentences(self) -> list[str]:
        """Each of them in plain words."""
        return [sentence(one, self.labels, self.metric, self.margin) for one in self.found]


@dataclass(frozen=True)
class View:
    """The findings of a study, how its arms are called in few words, and the differences on its primary metric."""

    findings: Findings
    labels: Mapping[str, str]
    found: list[Difference]

    @classmethod
    def of(cls, findings: Findings) -> View:
        """What there is to say of a study; differences only of several arms on several seeds."""
        study = findings.study
        several = len(study.arms) > 1 and len(study.seeds) > 1
        return cls(findings, arm_labels(study), ranked(findings.primary) if several else [])

    @property
    def study(self) -> StudyRecord:
        """The study's record."""
        return self.findings.study

    @property
    def pairs(self) -> Pairs:
        """Its differences as they are shown."""
        return Pairs(self.found, self.labels, self.findings.primary_metric, self.study.margin)


@dataclass(frozen=True)
class Answer:
    """What a study shows. `title`: which of its two comparisons, of a tuned one; `notes`: what has to be said before;
    `more`: what else there is to say; `taken`: of scores from elsewhere what was taken for what."""

    title: str
    notes: list[str]
    sentences: list[str]
    more: list[str]
    taken: Sequence[str] = ()


def arm_labels(study: StudyRecord) -> dict[str, str]:
    """Arm -> what a sentence calls it: its value where that is a word of its own (`adam`), else its name (`lr=0.1`)."""
    values = [arm_label(study, arm) for arm in study.arms]
    words = len(study.factors) == 1 and all(
        value[:1].isalpha() and value not in ("true", "false", "none") for value in values
    )
    if study.named or not words or len({*values}) < len(values):
        return {arm.name: arm.name or study.name for arm in study.arms}
    return {arm.name: value for arm, value in zip(study.arms, values, strict=True)}


def ranked(found: Sequence[Difference]) -> list[Difference]:
    """Those that are shown first, and of one verdict the largest."""
    return sorted(found, key=lambda one: (_ORDER.index(one.verdict) if one.verdict else 9, -abs(one.mean or 0)))


def amount(metric: Metric, value: float, low_high: tuple[float, float] | None) -> tuple[str, str]:
    """A difference and its interval in the metric's unit, with the digits that half the interval warrants.

    >>> from paribus.records.metrics import metric_named
    >>> accuracy, loss = metric_named("test_accuracy"), metric_named("test_loss")
    >>> amount(accuracy, 0.7761, (0.7464, 0.8058)), amount(loss, 0.5, None)
    (('77.6 points', '74.6 to 80.6'), ('0.5', ''))
    """
    written = as_shown(metric, value, low_high)
    named = metric.format.difference
    if named == "points" and written[0] in ("1", "-1"):
        named = "point"
    return f"{written[0]} {named}".strip(), " to ".join(written[1:])


def as_shown(metric: Metric, value: float, low_high: tuple[float, float] | None) -> list[str]:
    """The same numbers without their unit: the difference, and the ends of its interval where it has one."""
    by = metric.format.scale
    numbers = [by * one for one in (value, *(low_high or ()))]
    half = None if low_high is None else by * (low_high[1] - low_high[0]) / 2
    if half and 1e-6 < half < 1e6 and abs(by * value) < 1e6:
        places = max(1 - math.floor(math.log10(5 * half)), 1)
        # an end just below 0 is not to read -0.0
        more = next((n for n in range(3) if all(round(one, places + n) or not one for one in numbers)), 0)
        return [f"{round(one, places + more) + 0.0:.{places + more}f}" for one in numbers]
    return [f"{one:.3g}" for one in numbers]


def p_text(p: float | None) -> str:
    """`p = 0.002`; below 0.0001 only that."""
    if p is None:
        return "no p"
    return f"p < {_SMALLEST_P:.4f}" if p < _SMALLEST_P else f"p = {p:.2g}"


def count(number: int, thing: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {thing}{'s' * (number != 1)}"


def named(label: str) -> str:
    """An arm's name in a sentence, in quotes where it has commas of its own.

    >>> named("adam"), named("0.01, decays")
    ('adam', '“0.01, decays”')
    """
    return f"“{label}”" if ", " in label else label


def sentence(one: Difference, labels: Mapping[str, str], metric: Metric, margin: float | None = None) -> str:
    """A difference on the primary metric, in plain words; the arm that is higher comes first."""
    a, b, mean, interval = named(labels[one.a]), named(labels[one.b]), one.mean, one.interval
    where, seeds = f"in {metric.words}", count(one.pairs, one.unit)
    note = f"; {one.note}" if one.note else ""
    if one.unpaired and one.verdict != "not judged":
        seeds, note = one.note, ""
    if mean is None and not one.by_ranks:
        if one.note:
            return f"{a} and {b} are not judged {where}{note}."
        return f"{a} and {b} have no {one.unit} in common that is done: nothing can be said of them {where}."
    backwards = one.verdict == "b higher" if one.by_ranks or mean is None else mean < 0
    if backwards:
        a, b, mean = b, a, None if mean is None else -mean
        interval = None if interval is None else (-interval[1], -interval[0])
    by, low_high = amount(metric, mean, interval) if mean is not None else ("no mean", "")
    inside = f" ({low_high}{_OF.get(one.interval_of, '')})" if low_high else ""
    found = f"{by}{inside}, {p_text(one.p_adjusted)}, {seeds}"
    if one.verdict in HIGHER:
        # by ranks: what the means are of the runs that are left says nothing of the others
        by_much = f", {p_text(one.p_adjusted)}" if one.by_ranks else f" by {found}"
        if metric.direction == "lower":
            return f"{b} is lower than {a} {where}{by_much}, which is better{note}."
        return f"{a} is higher than {b} {where}{by_much}{note}."
    if one.verdict == "not decided yet":
        return f"It is not decided yet between {a} and {b} {where}: {by}, {seeds}{note}."
    needed = ""
    if (one.seeds_needed or 0) > one.pairs:
        needed = f"; {one.seeds_needed} would find the margin with 80 % power"
    if one.verdict == "equivalent":
        within = amount(metric, margin, None)[0] if margin is not None else "the margin"
        return f"{a} and {b} are equivalent {where}, within {within}: {by}{inside}, {seeds}{note}."
    if one.verdict == "too few seeds":
        return f"Too few {one.unit}s to tell {a} from {b} {where}: {by}{inside}, {seeds}{needed}{note}."
    if one.verdict == "not judged":
        return f"{a} and {b} are not judged {where}{note}."
    return f"No difference is shown between {a} and {b} {where}: {found}{needed}{note}."


def answers(view: View) -> list[Answer]:
    """What a study shows; of a tuned one, each arm at its own best, what its repeats show, and then all at the shared
    value."""
    tuning = view.study.tuning
    if tuning is None:
        effects, pairs = view.findings.effects, view.pairs
        before = [*_beyond_pairs(view), *of_factors(effects, pairs.metric, pairs.margin)]
        last = _answer(view, "Each pair" if before else "")
        if not before:
            return [last]
        # what has to be said before any difference stands before the first of them
        return [replace(before[0], notes=last.notes), *before[1:], replace(last, notes=[])]
    if not tuning.arms:
        return [Answer("", ["No values are chosen yet: the same command goes on with the tuning."], [], [])]
    own = _answer(view, "Each at its own best")
    repeated = tuning.asked_repeats > 1
    more = [*([AT_CHOSEN] if repeated else []), *own.more]
    own = Answer(own.title, [*view.findings.edges, *own.notes], own.sentences, more)
    found = [own, *([_over_repeats(view, tuning)] if repeated else [])]
    if view.findings.shared is not None:
        found.append(_answer(View.of(view.findings.shared), f"All at {format_overrides(tuning.shared_values)}"))
    return found


def of_repeats(view: View) -> View:
    """The differences over repeats of the whole tuning."""
    return View(view.findings, view.labels, ranked(view.findings.over_repeats))


def _over_repeats(view: View, tuning: Tuning) -> Answer:
    found, findings = of_repeats(view), view.findings
    said = [sentence(one, view.labels, findings.primary_metric, view.study.margin) for one in found.found]
    chosen = [f"{view.labels.get(one.arm, one.arm) or view.study.name} chose {one.told}." for one in findings.choices]
    title = f"Over {tuning.asked_repeats} repeats of the whole tuning"
    return Answer(title, findings.of_repeats, said, [OF_TUNED, *chosen])


def of_factors(effects: Sequence[FactorEffect], metric: Metric, margin: float | None) -> list[Answer]:
    """What each factor does, and which two interact, before what each arm does."""
    answers = []
    for kind, about in EFFECTS.items():
        of = Pairs.of_effects(effects, kind, metric, margin)
        if of.found:
            said = of.sentences if kind == "main effect" else interaction_lines(effects, metric)
            answers.append(Answer(about, [], said, []))
    return answers


def _beyond_pairs(view: View) -> list[Answer]:
    """What is told over several tasks, and over the values of a factor."""
    told = ((TASKS, task_lines(view.findings)), (SWEEPS, sweep_lines(view.findings)))
    return [Answer(title, [], [f"{line}." for line in lines], []) for title, lines in told if lines]


def _answer(view: View, title: str) -> Answer:
    findings = view.findings
    sentences = [*too_few_lines(view.found, findings.least_seeds), *view.pairs.sentences] or _levels(view)
    more = [f"{findings.decided}."] if findings.decided else []
    more += [agreement_line(one) for one in findings.agreements]
    if lines := target_lines(findings):
        head, *rest = map(str.strip, lines)
        more.append(f"{head} {'; '.join(rest)}.")
    return Answer(title, findings.notes, sentences, more)


def too_few_lines(found: Sequence[Difference], needed: int) -> list[str]:
    """One sentence before many of the same kind. `needed`: seeds that it takes at least."""
    least = [one for one in found if one.verdict == "too few seeds"]
    if len(least) < 2 or len(least) < len(found):
        return []
    return [
        f"Too few seeds for all {len(found)} pairs: whatever {count(least[0].pairs, 'seed')} had shown, p could not "
        f"have come to 0.05. It takes at least {needed}."
    ]


def _levels(view: View) -> list[str]:
    """Where there is nothing to compare: what each arm reached."""
    study, metric = view.study, view.findings.primary_metric
    mark = " %" if metric.percent else ""
    said = []
    for arm in study.arms:
        reached = view.findings.summaries[arm.name].get(metric.name)
        if reached is None or reached.mean is None:
            said.append(f"{view.labels[arm.name]}: no run has a {metric.words}.")
            continue
        half = "" if reached.ci95 is None else f" ± {metric.told(reached.ci95[1] - reached.mean)}"
        level = f"{metric.told(reached.mean)}{half}{mark}"
        said.append(f"{view.labels[arm.name]}: {metric.words} {level}, {count(reached.n, 'seed')}.")
    if len(study.arms) > 1:
        said.append("One seed: nothing can be said of differences between arms.")
    return said or ["No run is recorded."]


def tally(verdicts: Sequence[Verdict]) -> str:
    """How many claims hold.

    >>> tally([Verdict("C1", "...", "holds", "..."), Verdict("C2", "...", "not shown", "...")])
    'Of 2 claims, 1 holds, 1 is not shown.'
    """
    of = Counter(str(verdict.answer) for verdict in verdicts)
    said = {
        "holds": ("holds", "hold"),
        "does not hold": ("does not hold", "do not hold"),
        "not shown": ("is not shown", "are not shown"),
        "not tested at this scale": ("is not tested at this scale", "are not tested at this scale"),
    }
    parts = [f"{of[answer]} {many if of[answer] > 1 else one}" for answer, (one, many) in said.items() if of[answer]]
    return f"Of {count(len(verdicts), 'claim')}, {', '.join(parts)}."


def listed(numbers: Sequence[int]) -> str:
    """Seeds in few words.

    >>> listed([0, 1, 2, 3]), listed([3, 5, 8]), listed([7])
    ('0 to 3', '3, 5, 8', '7')
    """
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))
