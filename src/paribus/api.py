"""The same words in Python: `paribus.train`, `paribus.compare`, `paribus.open`."""

from __future__ import annotations

import html
import inspect
import sys
import warnings as say
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from paribus.backends.loop_run import LoopRun
from paribus.config.estimators import estimator_defined
from paribus.config.loops import argument_values, parameters
from paribus.config.overrides import Mistakes, SettingsError, near_miss
from paribus.config.user_code import UserDefined, is_estimator, user_defined
from paribus.config.values import Value, format_value, listed_values
from paribus.curing import try_cures
from paribus.extras import installed, need
from paribus.findings.diagnosis import Diagnosis
from paribus.findings.findings import Findings, undecided
from paribus.findings.judge import Judgement, Options, judge_table
from paribus.findings.judge import judge as judge_scores
from paribus.findings.power import repeats_note
from paribus.findings.score_table import of_frame
from paribus.findings.tasks import note_on_seeds
from paribus.records.metrics import Direction, Metric, UserMetric, metric, user_metric
from paribus.records.record import Status, StudyRecord, Target
from paribus.records.run import Callback
from paribus.report.cures import Tried
from paribus.study.arms import Given, seeds_of
from paribus.study.choosing import with_backends
from paribus.study.kinds import for_terminal
from paribus.study.loops import loop_design
from paribus.study.reading import SHARED, read
from paribus.study.runner import carry_out, prepare
from paribus.study.spec import (
    CHECKPOINT_SECONDS,
    PlainOptions,
    StudyOptions,
    StudySpec,
    keep_of,
    loop_request,
    request,
    target_of,
)
from paribus.study.stages import stages
from paribus.tasks.arrays import data
from paribus.training.randomness import untouched_generators

# Rich draws from `random` as it is imported, and scikit-learn imports it: here the caller's generator stays as it is.
with untouched_generators():
    import rich.style  # noqa: F401

__all__ = ["LoopRun", "Scored", "Study", "compare", "data", "judge", "metric", "open", "train"]

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

Values = Value | Sequence[Value]
Seeds = int | str | Iterable[int]
TaskLike = str | UserDefined
LoopLike = Callable[..., Any] | Sequence[Callable[..., Any]] | Mapping[str, Callable[..., Any]]
MetricLike = Callable[..., float] | UserMetric
Choice = str | Callable[..., Any] | Sequence[str | Callable[..., Any]] | Mapping[str, str | Callable[..., Any]] | None


@dataclass(frozen=True)
class Study:
    """Arms x seeds and what they left; `record` holds it as plain values, `folder` on disk."""

    folder: Path
    record: StudyRecord
    _began: StudySpec | None = field(default=None, repr=False, compare=False)

    @cached_property
    def findings(self) -> Findings:
        """All that the records show, each part computed once: summaries, differences, targets, warnings, verdicts."""
        return Findings.of(self.record)

    def table(self) -> DataFrame:
        """A row for each arm and seed: the factors, the status, and every final metric (NaN where missing)."""
        record = self.record
        names = self.findings.names
        rows = []
        for arm in record.arms:
            columns = self.findings.values[arm.name]
            final = {name: dict(zip(record.seeds, columns[name], strict=True)) for name in names}
            rows += [
                {
                    "arm": arm.name,
                    **{factor: arm.settings.get(factor) for factor in record.factors},
                    "seed": run.seed,
                    "status": str(run.status),
                    "epochs": run.epochs,
                    **{name: final[name][run.seed] for name in names},
                }
                for run in arm.runs
            ]
        frame = _frame(rows)
        return frame.astype({name: float for name in names if name in frame})

    def curves(self) -> DataFrame:
        """Every evaluation, tidy: arm, seed, step, epoch, seconds, and a column for each metric."""
        frames = [
            _frame({"arm": arm.name, "seed": run.seed, **run.curve})
            for arm in self.record.arms
            for run in arm.runs
            if run.curve
        ]
        if not frames:
            return _frame([], columns=["arm", "seed", "step", "epoch"])
        import pandas as pd

        return pd.concat(frames, ignore_index=True)

    def differences(self, metric: str | None = None) -> DataFrame:
        """Every pair of arms on one metric, or on all of them; verdicts on the primary one."""
        known = [*self.findings.names, self.record.primary_metric]
        if metric is not None and metric not in known:
            raise SettingsError([f"there is no metric {metric!r}: {near_miss(metric, known)}"])
        found = self.findings.differences if metric is None else self.findings.on(metric)
        return _frame([one.as_data() for one in found])

    def effects(self) -> DataFrame:
        """What each factor does to the primary metric, and which two interact; of a study of one factor nothing."""
        return _frame([one.as_data() for one in self.findings.effects])

    def tasks(self) -> DataFrame:
        """Of several tasks: on at least how many of them each arm of a pair is higher, and the mean difference over
        them in units of each task's sd; of one task nothing."""
        return _frame(
            [
                {
                    "a": one.a, "b": one.b, "tasks": len(one.tasks), "a_higher_on": one.a_on, "a_p": one.a_p,
                    "b_higher_on": one.b_on, "b_p": one.b_p, "mean_in_task_sds": one.mean.mean if one.mean else None,
                    "p": one.mean.p_adjusted if one.mean else None,
                    "verdict": one.mean.verdict if one.mean else one.why,
                }
                for one in self.findings.over_tasks
            ]
        )  # fmt: skip

    def sweeps(self) -> DataFrame:
        """Where each arm is best: a row for each numeric factor of three values or more and each combination of the
        others, with the mean of each seed's best value and its 95 % interval."""
        return _frame(
            [
                {
                    "factor": sweep.factor, "arm": line.label, "best": line.mean, "seeds": line.known,
                    "low": line.ci95[0] if line.ci95 else None, "high": line.ci95[1] if line.ci95 else None,
                    "at_edge": bool(line.edge),
                }
                for sweep in self.findings.sweeps
                for line in sweep.lines
            ]
        )  # fmt: skip

    def tuning(self) -> DataFrame:
        """What was tried: a row for each arm and candidate, its mean on validation data, and whether it was chosen."""
        tuned = self.record.tuning.arms if self.record.tuning else []
        rows = [
            {"arm": one.arm, **candidate.values, "mean": candidate.mean, "chosen": candidate.values == one.chosen}
            for one in tuned
            for candidate in one.candidates
        ]
        return _frame(rows)

    def tuning_curve(self) -> DataFrame:
        """What another budget would give: for each arm the expected best validation score after k candidates.

        Of candidates drawn at random; of a grid as if its candidates were (Dodge and others 2019). Nothing where a
        sampler proposed one after another.
        """
        rows = [
            {"arm": one.arm, "candidates": k, "expected_best": best}
            for one in self.findings.budget_curves
            for k, best in enumerate(one.best, 1)
        ]
        return _frame(rows, columns=["arm", "candidates", "expected_best"])

    def repeats(self) -> DataFrame:
        """Of a tuning that was repeated: a row for each repeat and arm, the values chosen, and the mean over seeds."""
        metric = self.record.primary_metric
        rows = [
            {"repeat": number, "arm": arm.arm, **arm.chosen, metric: units[arm.arm].mean if arm.arm in units else None}
            for number, one in enumerate(self.findings.repeats, 1)
            for units in [one.unit(metric)]
            for arm in (one.study.tuning.arms if one.study.tuning else ())
        ]
        return _frame(rows)

    def differences_over_repeats(self) -> DataFrame:
        """Every pair of arms that are tuned like this: a repeat of the whole tuning counts as one score."""
        return _frame([one.as_data() for one in self.findings.over_repeats])

    def diagnose(self) -> Diagnoses:
        """What went wrong in training, arm by arm, the deepest cause first: a list, which prints as text.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     study = train("moons", hidden="20x20", init="normal:0.001", epochs=20, out=folder + "/s")
        ...     [one.code for one in study.diagnose()]
        ['vanishing-signal']
        """
        return Diagnoses(self.findings)

    def cure(self, seeds: int | str | None = None) -> Cures:
        """Train each cure that a diagnosis names beside the arm as it is, over paired seeds, and judge it: a list of
        what came of each such arm, which prints as text.

        `seeds`: until it is decided, as in "6..20", or how many; without it those that the cures began with, else 6 to
        20. Each arm has a study of its own in `folder`/cures; called again, it goes on with what is missing. This
        study stays as it is. SettingsError for what is no number of seeds, and for an arm that has what is the user's
        own where the study was opened from its folder: that is in no record.
        """
        over = None if seeds is None else str(seeds)
        return Cures(try_cures(self.findings, self.folder, _train_cures, seeds=over, began=self._began))

    @property
    def shared(self) -> Study | None:
        """Of a tuned study: all arms at one shared value."""
        found = self.findings.shared
        if found is None:
            return None
        shared = Study(self.folder / SHARED, found.study)
        shared.__dict__["findings"] = found  # computed once for both
        return shared

    def warnings(self) -> list[str]:
        """What has to be said before any difference: best values at the edge, unequal arms, runs that are missing."""
        return [*self.findings.edges, *self.findings.confounders, *self.findings.warnings]

    def plot(self) -> Figure | None:
        """Loss and accuracy on every split, a colour an arm, a line a seed; None where nothing was evaluated."""
        from paribus.report.files.curves import curves

        return curves(self.findings)

    def __repr__(self) -> str:
        arms, seeds = len(self.record.arms), len(self.record.seeds)
        return f"<Study {self.record.name!r}: {arms} arm{'s' * (arms != 1)}, {seeds} seed{'s' * (seeds != 1)}>"

    def __str__(self) -> str:
        from rich.console import Console

        from paribus.report.terminal.tuned import study_results

        console = Console(width=100)
        with console.capture() as shown:
            console.print(study_results(self.findings, console.width), crop=False)
        return shown.get()

    def _repr_html_(self) -> str:
        return _in_notebook(self, self.findings)


def _in_notebook(shown: object, found: Findings | Judgement) -> str:
    """HTML for a notebook's cell; without the library that fills the template, the text that `print` gives."""
    if not installed("jinja2"):
        return f"<pre>{html.escape(str(shown))}</pre>"
    from paribus.report.notebook import notebook

    return notebook(found)


class Diagnoses(list[Diagnosis]):
    """The diagnoses of a study; printed, each with its evidence, cause and what to try."""

    def __init__(self, findings: Findings) -> None:
        super().__init__(findings.diagnoses)
        self._findings = findings

    def __repr__(self) -> str:
        from paribus.report.terminal.diagnoses import diagnosis_text

        return diagnosis_text(self._findings).rstrip("\n")


class Cures(list[Tried]):
    """What came of the cures of each arm that has a diagnosis; printed, the verdict on each cure, the best first."""

    def __repr__(self) -> str:
        return "\n".join(one.told.rstrip("\n") for one in self) or "no cure to try: no diagnosis names one"


@dataclass(frozen=True)
class Scored:
    """Scores from elsewhere, judged; `judgement` holds what was found as plain values."""

    judgement: Judgement

    def differences(self) -> DataFrame:
        """Every pair of arms: mean, interval, p, verdict, and more."""
        return _frame([one.as_data() for one in self.judgement.found])

    def effects(self) -> DataFrame:
        """What each column of `arm=[...]` does to the primary metric, and which two interact; nothing where an arm is
        one column, or a combination is missing."""
        return _frame([one.as_data() for one in self.judgement.effects])

    def report(self, out: str | Path) -> Path:
        """Write the page with figures, and return where it is."""
        from paribus.report.page.page import write_page

        return write_page([self.judgement], Path(out))

    @property
    def taken(self) -> list[str]:
        """What of the table was taken for what."""
        return list(self.judgement.scores.taken)

    def _repr_html_(self) -> str:
        return _in_notebook(self, self.judgement)

    def __repr__(self) -> str:
        arms = len(next(iter(self.judgement.scores.values.values())))
        return f"<Scored {self.judgement.name!r}: {arms} arms, by {self.judgement.primary}>"

    def __str__(self) -> str:
        from rich.console import Console

        from paribus.report.terminal.judge import judgement_table

        console = Console(width=100)
        with console.capture() as shown:
            console.print(judgement_table(self.judgement))
        return shown.get()


def judge(
    scores: DataFrame | str | Path,
    metric: str | None = None,
    *,
    arm: str | Sequence[str] = (),
    **options: Unpack[Options],
) -> Scored:
    """The same statistics for scores from anywhere: a pandas frame, or the path of a table, or of a folder of runs of
    MLflow's or TensorBoard's (see docs/user-code.md).

    `metric`: the primary one, by default the first; `arm`: the column of the arms, or several that make one together;
    the rest as the options of `paribus judge`. SettingsError with what is wrong with the table.

    >>> import pandas as pd
    >>> print(judge(pd.DataFrame({"old": range(6), "new": range(3, 9)})).differences().verdict[0])
    b higher
    """
    arms = tuple(arm.split(",")) if isinstance(arm, str) and arm else tuple(arm)
    if isinstance(scores, str | Path):
        return Scored(judge_scores(Path(scores), metric, arm=arms, python=True, **options))
    return Scored(judge_table(of_frame(scores), metric, arm=arms, python=True, **options))


def compare(
    task: TaskLike | Sequence[TaskLike] | LoopLike,
    *,
    model: Choice = None,
    optimizer: Choice = None,
    loss: Choice = None,
    metrics: Mapping[str, MetricLike] | None = None,
    seeds: Seeds = 3,
    name: str | None = None,
    out: str | Path | None = None,
    metric: str | None = None,
    keep: str | Iterable[str] = (),
    jobs: int | None = None,
    timing: bool = False,
    target: str | None = None,
    baseline: str | None = None,
    margin: float | None = None,
    tune: Mapping[str, Values] | None = None,
    budget: int | None = None,
    tune_seeds: int = 3,
    tune_repeats: int = 1,
    tune_sampler: str | None = None,
    checkpoint_every: float = CHECKPOINT_SECONDS,
    fresh: bool = False,
    lower: bool = False,
    higher: bool = False,
    data: TaskLike | None = None,
    timeout: float | None = None,
    executor: Any = None,
    **settings: Values,
) -> Study:
    """Train arms x seeds and compare; a setting with a list of values is a factor.

    The same description as the command's, with the same checks, and the same folder: run again, it does only what is
    missing. A dotted name is given as `**{"optimizer.lr": [0.1, 0.01]}`. Raises `SettingsError` (a ValueError) with
    every mistake before anything is trained.

    Beside names: `task` takes `paribus.data(...)`; `model` a function without arguments that makes an `nn.Module` with
    a logit for each class, or an estimator of scikit-learn's; `optimizer` a function of the parameters, and of `lr` if
    it has one, that makes a `torch.optim.Optimizer`; `loss` a function of the outputs and targets of a batch that gives
    one number, a tensor; `implementation` a class, or a function of the sizes (inputs, hidden, outputs), that makes a
    network written by hand in NumPy; a list or a dict of them (name -> function) is a factor. `metrics`: name ->
    function of the classes and those predicted, on every split, or a scorer of scikit-learn's; a second parameter
    called `probabilities`, `y_score` or `y_proba` gets probabilities. Where a target or tuning is on a function,
    `paribus.metric(function, lower=True)` or `higher=True`.

    A loop of your own: `task` is a function with a parameter `run` (`LoopRun`: the seed, the plan, a log) or `seed`, or
    a list or dict of them; its other parameters are settings. It returns a dict of numbers, or logs them; `metric`
    names the one that is judged, `lower` or `higher` say which values are better. `data`: a task, which is then
    `run.data`; `timeout`: seconds after which a run is ended.

    `executor`: where runs are carried out, if not in this process: `"dask:local"`, `"dask:tcp://HOST:PORT"` or
    `"dask:FILE"`, a `Client` of Dask's, or any object with `submit(function, *arguments)` as those of
    `concurrent.futures` (docs/cluster.md). Raises `ExecutorError` where it is not there, or is another than this
    process.

    >>> import paribus, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study = paribus.compare("moons", lr=[0.1, 0.01], epochs=5, seeds=2, out=folder + "/s")
    ...     study.table().shape, list(study.differences("test_loss")["pairs"])
    ((4, 11), [2])
    >>> def loop(run, idea):
    ...     return {"error": run.generator().normal() + (idea == "base")}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study = paribus.compare(loop, idea=["base", "new"], seeds=8, metric="error", lower=True, out=folder + "/s")
    ...     study.differences("error")[["mean", "verdict"]].values.tolist()
    [[1.0, 'a higher']]
    """
    return _study(
        task,
        compare=True,
        model=model,
        optimizer=optimizer,
        loss=loss,
        settings=settings,
        metrics=metrics,
        seeds=seeds,
        out=out,
        keep=keep,
        target=target,
        tune=tune,
        name=name,
        metric=metric,
        jobs=jobs,
        timing=timing,
        baseline=baseline,
        margin=margin,
        budget=budget,
        tune_seeds=tune_seeds,
        tune_repeats=tune_repeats,
        tune_sampler=tune_sampler,
        checkpoint_seconds=checkpoint_every,
        fresh=fresh,
        timeout=timeout,
        executor=executor,
        loop=_Loop(lower, higher, data),
    )


def train(
    task: TaskLike | LoopLike,
    *,
    model: Choice = None,
    optimizer: Choice = None,
    loss: Choice = None,
    metrics: Mapping[str, MetricLike] | None = None,
    seeds: Seeds = 1,
    name: str | None = None,
    out: str | Path | None = None,
    metric: str | None = None,
    keep: str | Iterable[str] = (),
    jobs: int | None = None,
    timing: bool = False,
    target: str | None = None,
    tune: Mapping[str, Values] | None = None,
    budget: int | None = None,
    tune_seeds: int = 3,
    tune_repeats: int = 1,
    tune_sampler: str | None = None,
    checkpoint_every: float = CHECKPOINT_SECONDS,
    fresh: bool = False,
    lower: bool = False,
    higher: bool = False,
    data: TaskLike | None = None,
    timeout: float | None = None,
    executor: Any = None,
    **settings: Values,
) -> Study:
    """Train one arm; everything as for `compare`.

    >>> import paribus, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paribus.train("moons", hidden="5x5", epochs=3, out=folder + "/s").curves()["epoch"].tolist()
    [3.0]
    """
    return _study(
        task,
        compare=False,
        model=model,
        optimizer=optimizer,
        loss=loss,
        settings=settings,
        metrics=metrics,
        seeds=seeds,
        out=out,
        keep=keep,
        target=target,
        tune=tune,
        name=name,
        metric=metric,
        jobs=jobs,
        timing=timing,
        budget=budget,
        tune_seeds=tune_seeds,
        tune_repeats=tune_repeats,
        tune_sampler=tune_sampler,
        checkpoint_seconds=checkpoint_every,
        fresh=fresh,
        timeout=timeout,
        executor=executor,
        loop=_Loop(lower, higher, data),
    )


def open(folder: str | Path) -> Study:  # noqa: A001 (as gzip.open, h5py.open)
    """The study that a folder holds."""
    return Study(Path(folder), read(Path(folder)))


@dataclass(frozen=True)
class _Loop:
    """What is said beside a loop of the user's own."""

    lower: bool
    higher: bool
    data: TaskLike | None

    def measured(self, metric: str | None) -> tuple[Metric, ...]:
        """The primary metric, with the direction that was said."""
        if self.lower and self.higher:
            raise SettingsError(["a metric is better lower or higher, not both: give lower=True or higher=True"])
        direction: Direction | None = "lower" if self.lower else "higher" if self.higher else None
        return (Metric(metric, direction),) if direction and metric is not None else ()


def _study(
    task: TaskLike | Sequence[TaskLike] | LoopLike,
    *,
    loop: _Loop,
    compare: bool,
    model: Choice,
    optimizer: Choice,
    loss: Choice,
    settings: Mapping[str, Values],
    metrics: Mapping[str, MetricLike] | None,
    seeds: Seeds,
    out: str | Path | None,
    keep: str | Iterable[str],
    target: str | None,
    tune: Mapping[str, Values] | None,
    **options: Unpack[PlainOptions],
) -> Study:
    """Bring what Python gives to the one type that it has in a study, and carry the study out."""
    for what, given, example in (
        ("tune", tune, 'tune={"lr": "1e-4:1e-1:7"}'),
        ("metrics", metrics, 'metrics={"f1": f1_score}'),
    ):
        if given is not None and not isinstance(given, Mapping):
            raise SettingsError([f"{what} is {type(given).__name__}, it has to be a dict: {example}"])
    mine = {key: user_metric(one) for key, one in (metrics or {}).items()}
    measured = tuple(replace(one.metric, name=key) for key, one in mine.items())
    mistakes, numbers, folder, kept, wanted = Mistakes(), None, None, frozenset[str](), None
    with mistakes.noted():
        numbers = seeds_of(seeds)
    with mistakes.noted():
        folder = _path(out)
    with mistakes.noted():
        kept = keep_of(keep)
    with mistakes.noted():
        wanted = _target(target, measured)
    loops = _loops(task)
    if loops:
        with mistakes.noted():
            measured = (*measured, *loop.measured(options.get("metric")))
    shared: StudyOptions = {
        **cast("StudyOptions", options),
        "out": folder,
        "keep": kept,
        "target": wanted,
        "tune": [(key, listed_values(value)) for key, value in (tune or {}).items()],
        "metrics": tuple(user_defined(one.function, key) for key, one in mine.items()),
        "measured": measured,
        "command": "python",
    }
    if loops:
        parts = {"model": model, "optimizer": optimizer, "loss": loss}
        chosen = {key: one for key, one in parts.items() if one is not None}
        values: dict[str, list[Value]] = {}
        for key, one in (*settings.items(), *chosen.items()):
            with mistakes.noted():
                values[key] = argument_values(key, one)
        with mistakes.noted():
            _must_be_free(loops)
        words = [f"{key}={','.join(map(format_value, of))}" for key, of in values.items()]
        name = " ".join([",".join(one.name for one in loops), *words])
        made = partial(loop_design, loops, values, loop.data)
        return _carried_out(loop_request(made, name, compare=compare, seeds=numbers, mistakes=mistakes, **shared))
    if loop.lower or loop.higher or loop.data is not None:
        raise SettingsError(["lower, higher and data are for a loop of your own: paribus.compare(train, ...)"])
    kinds: dict[str, Any] = {"model": model, "optimizer": optimizer, "loss": loss}
    if _holds_own(settings.get("implementation")):
        settings = dict(settings)
        kinds["implementation"] = settings.pop("implementation")
    own = _own(cast("TaskLike", task), kinds)
    asked = request(
        "",
        [],
        compare=compare,
        seeds=numbers,
        given={**own, **{key: _listed(key, value) for key, value in settings.items()}},
        mistakes=mistakes,
        **shared,
    )
    return _carried_out(asked)


def _carried_out(asked: StudySpec) -> Study:
    design = asked.design
    if note := note_on_seeds(
        design.factors,
        {arm.name: arm.settings.flat() for arm in design.arms},
        len(asked.seeds),
        named=design.named,
        baseline=asked.baseline is not None,
        options=False,
    ):
        _Teller().on_message(note)
    if asked.tune and (note := repeats_note(len(design.arms), asked.tune.repeats, baseline=asked.baseline is not None)):
        _Teller().on_message(note)
    for stage, work in stages(asked):  # a refusal leaves no folder behind
        for line in work.lines():
            _Teller().on_message(line)
        _tell_of_failures(carry_out(stage, [_Teller()], work=work, undecided=undecided))
    return Study(asked.folder, read(asked.folder), asked)


def _train_cures(asked: StudySpec) -> StudyRecord:
    asked = with_backends(asked, [asked.folder]).request
    work = prepare(asked)
    for line in work.lines():
        _Teller().on_message(line)
    return carry_out(asked, [_Teller()], work=work, undecided=undecided)


def _must_be_free(loops: Sequence[UserDefined]) -> None:
    """SettingsError for a parameter of a loop that is one of `compare` itself."""
    taken = {*inspect.signature(compare).parameters} - {"model", "optimizer", "loss", "settings"}
    wrong = [(loop.name, name) for loop in loops for name in parameters(loop) if name in taken]
    if wrong:
        raise SettingsError(
            [f"{loop} has a parameter {name}, which paribus.compare has itself: rename it" for loop, name in wrong]
        )


def _loops(task: object) -> list[UserDefined]:
    """Functions, alone, listed or named by a dict; none for what is no loop."""
    named: list[tuple[str | None, object]]
    if isinstance(task, Mapping):
        named = list(task.items())
    else:
        named = [(None, one) for one in (task if isinstance(task, list | tuple) else [task])]
    if not named or not all(callable(one) and not isinstance(one, UserDefined) for _, one in named):
        return []
    return [user_defined(cast("Callable[..., Any]", one), name) for name, one in named]


def _own(task: TaskLike | Sequence[TaskLike], kinds: Mapping[str, Choice]) -> Mapping[str, Sequence[Given]]:
    """The task, and a model, an optimizer and a loss where they are given: names, and what is the user's own."""
    tasks: list[Any] = list(task) if isinstance(task, list | tuple) else [task]
    if wrong := [one for one in tasks if not isinstance(one, UserDefined | str)]:
        raise SettingsError([f"a task is a name or paribus.data(...), not {type(wrong[0]).__name__}"])
    return {"task": tasks, **{kind: _choices(kind, one) for kind, one in kinds.items() if one is not None}}


def _listed(name: str, value: Values) -> list[Value]:
    """The values of a setting. A tuple for `hidden` is one network's layers; several networks are a list."""
    one_network = name in ("hidden", "model.hidden") and isinstance(value, tuple)
    return listed_values([value] if one_network else value)


def _path(out: str | Path | None) -> Path | None:
    try:
        return None if out is None else Path(out)
    except TypeError:
        raise SettingsError([f"--out {out!r} is not allowed: out is a path"]) from None


def _target(target: str | None, measured: Sequence[Metric]) -> Target | None:
    if target is not None and not isinstance(target, str):
        raise SettingsError([f'target is {type(target).__name__}, it has to be text: target="test_accuracy=0.9"'])
    return None if target is None else target_of(target, measured)


def _frame(rows: Any, columns: list[str] | None = None) -> DataFrame:
    need("a frame", "pandas")
    import pandas as pd

    return pd.DataFrame(rows, columns=columns)


class _Teller(Callback):
    """Passes on what is worth waiting for."""

    def on_message(self, line: str) -> None:
        sys.stderr.write(for_terminal(line) + "\n")


def _tell_of_failures(study: StudyRecord) -> None:
    """A warning: whoever goes on with the tables of a study should know that runs are missing from them."""
    failed = [run for arm in study.arms for run in arm.runs if run.status is Status.FAILED]
    if failed:
        runs = sum(len(arm.runs) for arm in study.arms)
        say.warn(f"{len(failed)} of {runs} runs of {study.name} failed; the first: {failed[0].error}", stacklevel=4)


_CHOICES = {
    "model": "that makes it anew for every run, as in lambda: Net()",
    "optimizer": "that makes it anew for every run, as in lambda parameters, lr: Adam(parameters, lr=lr)",
    "implementation": "or class that makes a network written in NumPy, as in MyMLP",
    "loss": "of outputs and targets, as in lambda z, y: cross_entropy(z, y) + 0.1 * (z ** 2).mean()",
}


def _choices(kind: str, choice: Choice) -> list[UserDefined | str]:
    """Names and functions, alone or listed; a dict gives each function its name."""
    if isinstance(choice, Mapping):
        pairs: list[tuple[str | None, object]] = list(choice.items())
    else:
        pairs = [(None, one) for one in (choice if isinstance(choice, list | tuple) else [choice])]
    found: list[UserDefined | str] = []
    for name, one in pairs:
        if isinstance(one, str) and name in (None, one):
            found.append(one)
        elif kind == "model" and is_estimator(one):
            found.append(estimator_defined(one, name))
        elif kind == "model" and isinstance(one, type) and hasattr(one, "get_params"):
            raise SettingsError(
                [f"model={one.__name__} is a class of estimators: give an estimator, as in {one.__name__}()"]
            )
        elif callable(one) and (kind == "loss" or not _is_module(one)):
            found.append(user_defined(one, name))
        else:
            raise SettingsError(
                [f"{kind}={one if isinstance(one, str) else type(one).__name__} is not allowed: {kind} is a name, or a "
                 f"function {_CHOICES[kind]}"]
            )  # fmt: skip
    return found


def _holds_own(given: object) -> bool:
    """Whether a setting is given what is the user's own, alone, listed or named by a dict."""
    several = given if isinstance(given, list | tuple) else [given]
    return isinstance(given, Mapping) or any(not isinstance(one, str) for one in several if one is not None)


def _is_module(thing: object) -> bool:
    """Whether it is a module that is made already, and would be trained on from run to run."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)
