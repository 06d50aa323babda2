"""How a study's differences were tested, in sentences for a report: each says what was computed in this study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from paribus.findings.compared import Difference
from paribus.findings.findings import Findings
from paribus.findings.power import ALPHA
from paribus.findings.resplit import Resplit
from paribus.findings.sign_flips import COUNTED
from paribus.findings.stopping import Extended, Stopping, UntilDecided
from paribus.records.record import Tuning
from paribus.report.files.intervals import kinds_of_interval
from paribus.report.files.prose import Sentence
from paribus.report.files.references import (
    BENJAMINI_HELLER,
    DROR,
    FISHER,
    HARTIGAN,
    HOLM,
    JENNISON_TURNBULL,
    LAN_DEMETS,
    NADEAU_BENGIO,
    RAMDAS,
    STUDENT,
)
from paribus.report.files.units import span, words_of
from paribus.report.page.text import View, amount, count

_ALL_SIGNS = 15
"""Up to so many seeds a sequential test counts every way to flip the signs."""


def tested(view: View) -> list[Sentence]:
    """What was tested, by what, at which level; of a study that compares nothing what is reported instead."""
    if not view.found:
        return list(_levels(view))
    findings, family = view.findings, len(view.found)
    said: list[Sentence] = [(_pairs(view),)]
    said += _test(view.found, findings.stopping, family, most=len(view.study.seeds))
    said += _correction(family, findings.stopping, "pair")
    said += _margin(view, findings.stopping, family)
    said += _intervals(view.found, findings.stopping, family)
    said += _apart(view.found, findings)
    said += [*_over_tasks(findings), *_factors(findings), *_where_best(findings), *_target(findings)]
    return said


def _levels(view: View) -> Iterator[Sentence]:
    study = view.study
    if not study.arms or not any(arm.runs for arm in study.arms):
        return
    yield (f"No difference was tested, as the study has {'one arm' if len(study.arms) == 1 else 'one seed'}.",)
    found = [of.get(study.primary_metric) for of in view.findings.summaries.values()]
    if any(one is not None and one.ci95 is not None for one in found):
        yield (
            "Reported is the mean over the seeds with its 95 % interval by Student's t", STUDENT, ", which tells how "
            "well so many seeds know it.",
        )  # fmt: skip
    elif any(one is not None and one.mean is not None for one in found):
        yield ("Reported is a single value for each arm, of which no interval can be told.",)


def _pairs(view: View) -> str:
    """What is compared with what, and what a difference is."""
    study, findings, family = view.study, view.findings, len(view.found)
    where = " on the same task" if findings.tasks else ""
    if findings.tasks and study.baseline:
        what = f"each arm and the baseline{where} ({count(family, 'pair')})"
    elif study.baseline in {arm.name for arm in study.arms} and study.baseline is not None:
        what = f"each other arm and the baseline {view.labels[study.baseline]} ({count(family, 'pair')})"
    elif family == 1:
        what = "the two arms"
    else:
        what = f"all {family} pairs of arms{where}"
    pairs = span([one.pairs for one in view.found], "seed")
    return (
        f"Differences in {findings.primary_metric.words} were taken of {what}: each is the mean, over the seeds that "
        f"both have ({pairs}), of the difference at each seed."
    )


def _test(
    found: Sequence[Difference], stopping: Stopping, family: int, *, most: int, unit: str = "seed"
) -> Iterator[Sentence]:
    """The test of one pair. `most`: how many differences it may have, those of lost runs among them."""
    if isinstance(stopping, UntilDecided):
        yield from _until_decided(stopping, max((one.ended_after or one.pairs for one in found), default=0), family)
    elif isinstance(stopping, Extended):
        yield from _extended(stopping, unit)
    elif isinstance(stopping, Resplit):
        yield (
            "As each seed dealt the data anew, seeds share examples: p is that of the corrected resampled t test",
            NADEAU_BENGIO, f", in which the variance of the mean of J differences is (1/J + {stopping.share:.3g}) "
            "times their variance (the second number is that of test over training examples), but never below that "
            "of the sign-flip test", FISHER, ".",
        )  # fmt: skip
    else:
        how = "counts every way to flip the signs of the differences"
        if most > COUNTED:
            how += f" where up to {COUNTED} of them are not 0, and gives an upper bound where more are"
        yield (f"p is that of the two-sided sign-flip test over {unit}s", FISHER, f", which {how}.")


def _until_decided(until: UntilDecided, n: int, family: int) -> Iterator[Sentence]:
    many = "Each pair" if family > 1 else "The pair"
    yield (
        f"The number of seeds was not fixed: {many.lower()} was looked at after {until.least} seeds and after every "
        f"further one, up to a declared maximum of {until.most}, by a sequential two-sided sign-flip test that spends "
        f"{ALPHA:g} (n/{until.most})² by the look at n", LAN_DEMETS, ".",
    )  # fmt: skip
    if n > _ALL_SIGNS:
        yield (f"Beyond {_ALL_SIGNS} seeds the ways to flip the signs may be a fixed sample of them, 16,384 or more.",)


def _extended(stopping: Extended, unit: str) -> Iterator[Sentence]:
    looks = words_of([str(look) for look in stopping.looks])
    when = f"The study was looked at after {looks} {unit}s, without a declared maximum" if looks else (
        f"{unit.capitalize()}s were added as results were known"
    )  # fmt: skip
    yield (
        f"{when}: p is that of an e-process, 1 over its largest value so far, which allows any number of looks", RAMDAS,
        ".",
    )  # fmt: skip


def _correction(family: int, stopping: Stopping, what: str) -> Iterator[Sentence]:
    if family > 1:
        looks = ", look by look" if isinstance(stopping, UntilDecided) else ""
        yield (f"p is corrected for the {family} {what}s by Holm's method", HOLM, f"{looks}.")
    adjusted = "the adjusted p" if family > 1 else "p"
    yield (f"A difference counts as shown where {adjusted} is at most {ALPHA:g}.",)


def _margin(view: View, stopping: Stopping, family: int) -> Iterator[Sentence]:
    margin, metric = view.study.margin, view.findings.primary_metric
    if margin is None:
        return
    level = f"{ALPHA:g}" if family == 1 else f"{ALPHA:g}/{family}"
    by = f"by two one-sided t tests at level {level} each"
    if isinstance(stopping, Extended):
        by = f"by the e-process, at level {level} to each side"
    if isinstance(stopping, Resplit):
        by += ", corrected for shared examples"
    if isinstance(stopping, UntilDecided):
        by += ", at the level of the look"
    yield (
        "Two arms count as equivalent where their difference lies within a margin of "
        f"{amount(metric, margin, None)[0]}, {by}.",
    )  # fmt: skip


def _intervals(found: Sequence[Difference], stopping: Stopping, family: int) -> Iterator[Sentence]:
    """What the intervals are; those that are there."""
    for kind, of in kinds_of_interval(found, family, stopping).items():
        which = {one.interval_of for one in of}
        sources: list[Sentence] = []
        if which <= {"t", "t of the pair"}:
            again = isinstance(stopping, UntilDecided)
            source = JENNISON_TURNBULL if again else NADEAU_BENGIO if isinstance(stopping, Resplit) else STUDENT
            sources = [(source,)]
        elif which == {"sign flips"} and not isinstance(stopping, UntilDecided | Resplit):
            sources = [(HARTIGAN,)]
        elif which == {"e-process"}:
            sources = [(RAMDAS,)]
        many = "" if len(of) == len(found) else f" of {count(len(of), 'pair')}"
        yield (f"Intervals{many}: {kind}", *(part for one in sources for part in one), ".")


def _apart(found: Sequence[Difference], findings: Findings) -> Iterator[Sentence]:
    """What is said of pairs that are judged in another way, or not."""
    ranks, stopping = sum(one.by_ranks for one in found), findings.stopping
    if ranks:
        as_what = (
            "counts as the worst, the pair is tested by ranks"
            if not isinstance(stopping, UntilDecided | Extended)
            else "counts as a difference as large as the largest before it"
        )
        yield (f"In {count(ranks, 'pair')} a run diverged or failed: it {as_what}, and no mean is given.",)
    few = [one for one in found if one.verdict == "too few seeds"]
    if few:
        least = findings.least_seeds
        needs = f"; it takes at least {least}" if not isinstance(stopping, UntilDecided | Extended) else ""
        which = "The pair has" if len(found) == 1 else f"{count(len(few), 'pair')} {'has' if len(few) == 1 else 'have'}"
        yield (f"{which} too few seeds: whatever they had shown, p could not have come to {ALPHA:g}{needs}.",)
    if left := sum(one.verdict == "not judged" for one in found):
        yield (f"{count(left, 'pair')} {'was' if left == 1 else 'were'} not judged.",)
    if findings.decided:
        ended = findings.decided
        yield (f"How they ended: {ended[:1].lower()}{ended[1:]}." if ended.startswith("Of ") else f"{ended}.",)
    yield from ((f"{note}.",) for note in findings.notes_on_splits)


# --- beyond pairs ----------------------------------------------------------------------------------------------------


def _over_tasks(findings: Findings) -> Iterator[Sentence]:
    if not findings.over_tasks:
        return
    many, tasks = len(findings.over_tasks), len(findings.over_tasks[0].tasks)
    yield (
        f"On at least how many of the {tasks} tasks an arm is higher is told by partial conjunction with Bonferroni's "
        "method", BENJAMINI_HELLER, DROR,
        f", corrected for both sides{f' and for {many} pairs' if many > 1 else ''}, at level {ALPHA:g}.",
    )  # fmt: skip
    if any(one.mean is not None for one in findings.over_tasks):
        yield (
            "The mean difference over tasks is in units of the standard deviation of all scores of each task, with the "
            f"same test{f' and Holm correction over {many} pairs' if many > 1 else ''}.",
        )


def _factors(findings: Findings) -> Iterator[Sentence]:
    counts = {kind: sum(one.kind == kind for one in findings.effects) for kind in ("main effect", "interaction")}
    if not findings.effects:
        return
    told = words_of([f"{count(n, kind)}" for kind, n in counts.items() if n])
    families = ", each of these two a family of its own for Holm's method" if all(counts.values()) else ""
    yield (
        "As every combination of the factors' values was trained, a factor's effect is also told as the mean over all "
        f"values of the others, seed by seed ({told}), and tested as pairs of arms are{families}",
        FISHER, ".",
    )  # fmt: skip


def _where_best(findings: Findings) -> Iterator[Sentence]:
    for sweep in findings.sweeps:
        if not sweep.judged or all(line.mean is None for line in sweep.lines):
            continue
        logs = " of logarithms" if sweep.log else ""
        tests = ""
        if any(one.verdict not in (None, "not judged") for one in sweep.pairs):
            tests = ", and arms are compared in it as pairs of arms are in their scores"
        interval = ", with Student's 95 % interval" if any(line.ci95 is not None for line in sweep.lines) else ""
        yield (
            f"Of {sweep.name} the best value is taken at each seed; told is its mean{logs} over seeds"
            f"{interval}{tests}.",
        )


def _target(findings: Findings) -> Iterator[Sentence]:
    target = findings.target
    if target is None or not any(one.p is not None for one in findings.earlier):
        return
    metric = findings.metric(target.metric)
    way = "at least" if target.direction == "higher" else "at most"
    mark = " %" if metric.percent else ""
    if len(findings.earlier) > 1 and all(one.p_adjusted is not None for one in findings.earlier):
        corrected = f", with Holm's method over {len(findings.earlier)} pairs"
    elif any(one.p_adjusted is not None for one in findings.earlier):
        corrected = ""
    else:
        corrected = "; no p is adjusted for the looks"
    yield (
        f"When a run reached the target, {metric.words} of {way} {metric.told(target.value)}{mark} to its end, is "
        f"compared by the ranks of the epochs, a run that never did being last{corrected}.",
    )


# --- repeats of a tuning ---------------------------------------------------------------------------------------------


def tested_over_repeats(findings: Findings, tuning: Tuning) -> Iterable[Sentence]:
    """How arms were compared over repeats of the whole tuning; nothing where they were not."""
    found = findings.over_repeats
    if not found:
        return []
    family, stopping = len(found), findings.stopping_of_repeats
    assert stopping is not None
    said: list[Sentence] = [
        (
            f"The whole tuning was repeated, {findings.whole_repeats} of {tuning.asked_repeats} repeats are done; over "
            "repeats an arm's score is the mean of a repeat's seeds at the values that it chose there.",
        )
    ]
    said += _test(found, stopping, family, most=findings.whole_repeats, unit="repeat")
    said += _correction(family, stopping, "pair")
    return [*said, *((f"{note}.",) for note in findings.of_repeats)]
