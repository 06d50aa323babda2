"""How a study was made and judged, as paragraphs to paste into a report: what its records and findings say of it, and
nothing that they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from paribus.config.values import format_overrides, format_value
from paribus.records.metrics import DERIVED_METRICS, JITTERS, TO_TARGET, Metric
from paribus.records.record import ArmRecord, DatasetInfo, RunRecord, Status, StudyRecord
from paribus.report.files.prose import Paragraph, Sentence
from paribus.report.files.references import DODGE, paribus
from paribus.report.files.tested import tested, tested_over_repeats
from paribus.report.files.units import span, words_of
from paribus.report.page.tables import tuning_line
from paribus.report.page.text import View, count, listed
from paribus.report.series import budgets

_MOST_DATA = 6
_TOLD = ("the data (fingerprint)", "package versions", "the machine")
_CALLED = {
    "paribus": "Paribus", "torch": "PyTorch", "numpy": "NumPy", "scikit-learn": "scikit-learn", "scipy": "SciPy",
    "numba": "Numba",
}  # fmt: skip


def methods(view: View) -> list[Paragraph]:
    """What was compared, how it was trained and tuned; how it was judged; with what software, on what."""
    study = view.study
    trained = [*_arms(view), *_data(study), *_seeds(study), *_training(study), *_tuned(view)]
    if not any(arm.runs for arm in study.arms):
        return [trained]
    judged = [*_primary(view), *tested(view)]
    if study.tuning is not None:
        judged += tested_over_repeats(view.findings, study.tuning)
        judged += _shared(view)
    return [one for one in (trained, judged, list(_software(study))) if one]


# --- arms and data ---------------------------------------------------------------------------------------------------


def _arms(view: View) -> Iterator[Sentence]:
    study, labels = view.study, list(view.labels.values())
    if not any(arm.runs for arm in study.arms):
        yield ("No run is recorded yet.",)
    if not labels:
        return
    if len(labels) == 1:
        yield (f"One arm was trained: {labels[0]}.",)
        return
    yield (f"{len(labels)} arms were trained: {words_of(labels)}.",)
    if study.factors and not study.named:
        told = []
        for factor in study.factors:
            values = list(dict.fromkeys(format_value(arm.settings.get(factor, "")) for arm in study.arms))
            told.append(f"{factor.rpartition('.')[2]} ({words_of(values)})")
        yield (f"They differ in {words_of(told)}.",)
    for line in view.findings.confounders:
        head, _, more = line.partition(". ")
        # versions, data and processors are told by themselves, and a machine's name is nobody's business
        yield (f"{head if not more or head.endswith(_TOLD) else line}.",)


def _data(study: StudyRecord) -> Iterator[Sentence]:
    infos = list(dict.fromkeys(run.task for arm in study.arms for run in arm.runs))
    known = [info for info in infos if info.train or not study.own_loop]
    if infos and not known:
        yield ("The data are those that the training loop reads or makes itself; nothing of them is recorded.",)
        return
    kinds: dict[tuple[Any, ...], list[DatasetInfo]] = {}
    for info in known:
        size = (info.name, info.source, info.train, info.validation, info.test, info.classes, info.input_shape)
        kinds.setdefault(size, []).append(info)
    for of in list(kinds.values())[:_MOST_DATA]:
        yield (_data_of(of),)
    if len(kinds) > _MOST_DATA:
        yield (f"{len(kinds) - _MOST_DATA} further sets of data are in the records.",)
    if known:
        yield (_split(study),)


def _data_of(infos: Sequence[DatasetInfo]) -> str:
    info = infos[0]
    sizes = [
        f"{n:,} {split}"
        for n, split in ((info.train, "training"), (info.validation, "validation"), (info.test, "test"))
        if n
    ]
    kind = f"{info.classes} classes" if info.classes else "numbers to predict"
    shape = " x ".join(map(str, info.input_shape))
    source = f" ({info.source})" if info.source else ""
    overlap = max(one.overlap for one in infos)
    twice = f" Of the test examples {overlap:,} stand in the training split too." if overlap else ""
    if len(infos) > 1 and overlap:
        twice = f" Up to {overlap:,} of the test examples stand in the training split too."
    inputs = f", inputs of {shape}" if shape else ""
    return f"Data: {info.name}{source}, {words_of(sizes)} examples, {kind}{inputs}.{twice}"


def _split(study: StudyRecord) -> str:
    """How the data were split, by the fingerprints of what each run was given."""
    arms = [arm for arm in study.arms if arm.runs]
    given = [{run.task.fingerprint for run in arm.runs} for arm in arms]
    by_seed = [arm.settings.get("split") == "by_seed" for arm in arms]
    if all(by_seed):
        return "Each seed dealt the data into splits of its own, the same for every arm." if _alike_by_seed(arms) else (
            "Each seed dealt the data into splits of its own."
        )  # fmt: skip
    if any(by_seed):
        return "In some arms each seed dealt the data into splits of its own, in others there is one split."
    if len(set[str]().union(*given)) == 1:
        return "Every run had the same data in the same splits."
    named: dict[str, set[str]] = {}
    for run in (run for arm in arms for run in arm.runs):
        named.setdefault(run.task.name, set()).add(run.task.fingerprint)
    if all(len(one) == 1 for one in named.values()):
        return "On each task every run had the same data in the same splits."
    if all(len(one) == 1 for one in given):
        return "The data are not the same in every arm; within an arm all seeds had the same data in the same splits."
    return "The data are not the same in every run."


def _alike_by_seed(arms: Sequence[ArmRecord]) -> bool:
    """Whether all arms had the same at each seed."""
    return _same_at_each_seed(arms, lambda run: run.task.fingerprint)


def _same_at_each_seed(arms: Sequence[ArmRecord], of: Callable[[RunRecord], str]) -> bool:
    found: dict[int, set[str]] = {}
    for arm in arms:
        for run in arm.runs:
            found.setdefault(run.seed, set()).add(of(run))
    return all(len(one) == 1 for one in found.values())


# --- seeds and training ----------------------------------------------------------------------------------------------


def _seeds(study: StudyRecord) -> Iterator[Sentence]:
    runs = [len(arm.runs) for arm in study.arms if arm.runs]
    if not runs:
        return
    used = sorted({run.seed for arm in study.arms for run in arm.runs})
    each = "each arm" if len(study.arms) > 1 else "the arm"
    asked = (
        f" of {len(study.seeds)} that were asked for" if max(runs) < len(study.seeds) and study.least is None else ""
    )
    numbers = f"seed{'s' * (len(used) != 1)} {listed(used)}"
    yield (f"Runs of {span(runs, 'seed')}{asked} are recorded of {each} ({numbers}).",)
    several = len(study.arms) > 1
    if study.own_loop:
        if several:
            yield ("The training loop got the same seeds in each arm, and scores are paired by seed.",)
    elif any(arm.whole_fit for arm in study.arms):
        if several:
            yield ("Scores are paired by seed; an estimator of scikit-learn's gets the seed as its random_state.",)
    elif several and _same_at_each_seed(study.arms, lambda run: run.plan_hash):
        yield (
            "A seed fixes a plan of all that is drawn at random (initial values, the order of examples, dropout, "
            "augmentation), which is the same for every arm, so that scores are paired by seed.",
        )
    elif several:
        yield ("Scores are paired by seed, but not all runs of a seed have the same recorded plan.",)
    statuses = Counter(run.status for arm in study.arms for run in arm.runs)
    for status, number in statuses.items():
        if status is not Status.DONE:
            yield (
                f"{count(number, 'run')} of {statuses.total()} {'is' if number == 1 else 'are'} recorded as {status}.",
            )


def _training(study: StudyRecord) -> Iterator[Sentence]:
    arms = [arm for arm in study.arms if arm.runs]
    if not arms or study.own_loop or all(arm.whole_fit for arm in arms):
        return
    epochs = {run.epochs for arm in arms for run in arm.runs if run.status is Status.DONE and not arm.whole_fit}
    if epochs:
        low, high = min(epochs), max(epochs)
        yield (f"Completed runs were trained for {count(low, 'epoch') if low == high else f'{low} to {high} epochs'}.",)
    stopped = [arm for arm in arms if any(run.reported_by is not None for run in arm.runs)]
    if stopped:
        rules = {tuple(arm.settings.get(name) for name in ("patience", "min_delta", "monitor")) for arm in stopped}
        which = "" if len(stopped) == len(arms) else f" in {count(len(stopped), 'arm')} of {len(arms)}"
        rule = ""
        if len(rules) == 1:
            patience, delta, monitor = next(iter(rules))
            least = f" by more than {delta:g}" if isinstance(delta, int | float) and delta else ""
            rule = f": a run ended after {patience} evaluations in a row that did not improve {_spaced(monitor)}{least}"
        yield (f"Early stopping was used{which}{rule}; the scores are those of the best evaluation by it.",)
    timed = sum(run.timed for arm in arms for run in arm.runs)
    if study.timing and timed:
        yield (f"Timed, each with a process and the machine to itself: {count(timed, 'run')}.",)


def _spaced(name: object) -> str:
    return str(name).replace("_", " ")


def _tuned(view: View) -> Iterator[Sentence]:
    study, tuning = view.study, view.study.tuning
    if tuning is None:
        return
    if not tuning.arms:
        yield ("The arms are to be tuned, and no values are chosen yet.",)
        return
    names = words_of([name.rpartition(".")[2] for name in tuning.arms[0].chosen])
    was = "was" if len(tuning.arms[0].chosen) == 1 else "were"
    yield (f"{names} {was} tuned: {_lower_first(tuning_line(view))}",)
    chosen = [
        f"{view.labels.get(one.arm, one.arm) or study.name} {format_overrides(one.chosen)}" for one in tuning.arms
    ]
    yield (f"Chosen were: {'; '.join(chosen)}.",)
    for line in view.findings.edges:
        yield (f"{line}.",)
    if budgets(view.findings, view.labels):
        yield ("The expected best score after so many candidates is estimated from those that were tried", DODGE, ".")


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shared(view: View) -> Iterator[Sentence]:
    tuning = view.study.tuning
    if tuning is None or view.findings.shared is None or not tuning.shared_values:
        return
    whose = "given beforehand" if tuning.given else "the best on average over the arms"
    tests = ", and compared by the same tests, which are a family of their own" if view.found else ""
    yield (f"All arms were also trained at {format_overrides(tuning.shared_values)} ({whose}){tests}.",)


# --- the primary metric ----------------------------------------------------------------------------------------------


def _primary(view: View) -> Iterator[Sentence]:
    metric = view.findings.primary_metric
    way = f"{metric.direction} is better" if metric.direction else "which way it is better is not recorded"
    unit = "in percent" if metric.percent else f"in {metric.unit}" if metric.unit else ""
    about = "; ".join(filter(None, [unit, way, _when(view.study, metric)]))
    yield (f"The primary metric is {metric.words} ({about}).",)


def _when(study: StudyRecord, metric: Metric) -> str:
    """Of what moment of a run the metric is."""
    arms = [arm for arm in study.arms if arm.runs]
    if metric.name in JITTERS:
        return "the spread of the curve's second differences over the second half of the evaluations, over √3"
    if metric.name == "best_test_accuracy":
        return "at the evaluation with the best validation accuracy"
    if metric.name in TO_TARGET:
        return "up to the first evaluation from which on the target holds to the end"
    if metric.name in ("seconds_per_epoch", "seconds_per_evaluation"):
        return "of runs that had the machine to themselves"
    if metric.name in DERIVED_METRICS:
        return "as recorded at the last evaluation"
    if all(arm.whole_fit for arm in arms):
        return "after the fit"
    early = [any(run.reported_by is not None for run in arm.runs) for arm in arms]
    if all(early):
        return "at the evaluation that early stopping reports"
    return "at the last evaluation" + (", with early stopping at the one that it reports" if any(early) else "")


# --- software --------------------------------------------------------------------------------------------------------


def _software(study: StudyRecord) -> Iterator[Sentence]:
    runs = [run for arm in study.arms for run in arm.runs]
    trained = _named(study)
    if trained:
        yield (f"Runs were computed by {trained}.",)
    yield ("Runs were carried out and judged with Paribus", paribus(), ".")
    versions = _versions(runs)
    if versions:
        yield (f"Installed where they were trained, as recorded: {words_of(versions)}.",)
    machines = _machines(runs)
    if machines:
        yield (f"Processor: {'; '.join(machines)}.",)
    bare = sum(not isinstance(run.environment.get("versions"), Mapping) for run in runs)
    if bare:
        yield (f"Of {bare} of {len(runs)} runs no versions are recorded.",)


def _named(study: StudyRecord) -> str:
    """The backends that computed, where they are known; of loops of the user's own there is none."""
    found = dict.fromkeys(
        format_value(arm.settings["implementation"]) for arm in study.arms if "implementation" in arm.settings
    )
    known = [one for one in found if one != "auto"]
    if study.own_loop or not known or len(known) < len(found):
        return ""
    return f"the backend{'s' * (len(known) > 1)} {words_of(known)}"


def _versions(runs: Sequence[RunRecord]) -> list[str]:
    """Of each package every version that any run recorded."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        recorded = run.environment.get("versions")
        named: dict[str, Any] = dict(recorded) if isinstance(recorded, Mapping) else {}
        for package, version in [*named.items(), ("Python", run.environment.get("python"))]:
            if version:
                found.setdefault(_CALLED.get(package, package), {})[str(version)] = None
    return [f"{package} {' and '.join(of)}" for package, of in found.items()]


def _machines(runs: Sequence[RunRecord]) -> list[str]:
    found: dict[str, None] = {}
    for run in runs:
        machine = run.environment.get("machine")
        if not isinstance(machine, Mapping):
            continue
        cpus = machine.get("cpus")
        cores = f"{cpus} logical CPU{'s' * (cpus != 1)}" if cpus else ""
        told = ", ".join(filter(None, [str(machine.get("processor") or ""), cores, str(machine.get("system") or "")]))
        if told:
            found[told] = None
    return list(found)
