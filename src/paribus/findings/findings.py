"""The findings of a study: all that its records show, each computed at most once. Whoever shows results takes these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median

from paribus.findings.agreement import Agreement, agreements
from paribus.findings.bands import Band, arm_band
from paribus.findings.claims import Verdict, verdicts
from paribus.findings.compared import LOST, Difference, Lost
from paribus.findings.confounders import LOSSES, confounders, incomparable
from paribus.findings.diagnosis import Diagnosis, diagnose
from paribus.findings.diagnosis.evidence import Evidence, evidence
from paribus.findings.diagnosis.looked import Looked, looked
from paribus.findings.differences import differences, going_on
from paribus.findings.early import stopped_early
from paribus.findings.factors import Crossed, FactorEffect, factor_effects
from paribus.findings.many import Asked, asked, ranked_arms, too_many
from paribus.findings.meaningless import meaningless, remarks
from paribus.findings.power import least_seeds, repeats_needed_by
from paribus.findings.resplit import note_on_splits, of_study, share_of
from paribus.findings.stopping import Fixed, Stopping, UntilDecided
from paribus.findings.study import troubles, warnings
from paribus.findings.summary import Summary, derived_metrics, metrics, summarise, values
from paribus.findings.sweeps import Sweep, sweeps
from paribus.findings.targets import Earlier, Reached, earlier, reached
from paribus.findings.tasks import OverTasks, Tasks, over_tasks, pairs_of
from paribus.findings.tuned import (
    BudgetCurve,
    Choice,
    Unit,
    budget_curves,
    budget_told,
    choices,
    edges,
    stopping_of,
    tunings,
)
from paribus.records.metrics import JITTERS, METERS, TIMES, TO_TARGET, Metric
from paribus.records.record import RunRecord, Status, StudyRecord, Target

Values = list[float | None]


_ENDS = {
    "found": "told apart",
    "equivalent": "equivalent",
    "futile": "given up",
    "most": "not told apart",
}


def undecided(study: StudyRecord) -> set[str]:
    """The arms of a study of seeds until decided that have to go on."""
    return {name for pair in Findings(study).going_on for name in pair}


@dataclass(frozen=True)
class Findings:
    """What a study shows. Each part is computed when it is first asked for, and then kept."""

    study: StudyRecord

    @classmethod
    def of(cls, study: StudyRecord) -> Findings:
        """The findings of a study's record.

        >>> study = StudyRecord(name="s", factors=["lr"], seeds=[0], primary_metric="test_accuracy", arms=[])
        >>> Findings.of(study).differences
        []
        """
        return cls(study)

    @cached_property
    def shared(self) -> Findings | None:
        """Of a tuned study: the findings of all arms at one shared value."""
        tuning = self.study.tuning
        return Findings(tuning.shared) if tuning and tuning.shared else None

    @cached_property
    def repeats(self) -> list[Findings]:
        """Of a tuned study: the findings of each repeat of the whole tuning whose values are chosen, its own first."""
        return [self if one is self.study else Findings(one) for one in tunings(self.study)]

    @cached_property
    def choices(self) -> list[Choice]:
        """Of a tuned study: what each arm chose in each repeat."""
        return choices(self.study)

    @cached_property
    def over_repeats(self) -> list[Difference]:
        """Every pair of arms, or all against the baseline, on the primary metric, where a score is the mean of a whole
        repeat of the tuning; nothing where it was not repeated."""
        study, metric = self.study, self.study.primary_metric
        tuning, arms = study.tuning, [arm.name for arm in study.arms]
        if tuning is None or tuning.asked_repeats == 1 or len(arms) < 2:
            return []
        units = [one.unit(metric) for one in self.repeats]
        whole = [of for of in units if of.keys() == {*arms}]
        columns = {arm: [of[arm].mean for of in whole] for arm in arms}
        gone = {arm: [of[arm].lost for of in whole] for arm in arms}
        unexplained = frozenset(arm for arm in arms if any(of[arm].unexplained for of in whole))
        direction = None if metric in (*TIMES, *METERS, *JITTERS) else self.metric(metric).direction
        told, both = "a run that diverged or failed", "both arms have one that diverged or failed"
        lost = Lost(gone, direction, told=told, both=both, unexplained=unexplained)
        return differences(
            columns,
            metric,
            baseline=study.baseline,
            margin=study.margin,
            lost=lost if any(map(any, gone.values())) else None,
            stopping=self.stopping_of_repeats,
            unit="repeat",
        )

    @property
    def stopping_of_repeats(self) -> Stopping | None:
        """When repeats of the whole tuning ended, or will; None where it was not tuned."""
        study, arms = self.study, len(self.study.arms)
        family = arms - 1 if study.baseline else arms * (arms - 1) // 2
        return stopping_of(study.tuning, self.whole_repeats, family) if study.tuning else None

    @cached_property
    def whole_repeats(self) -> int:
        """In how many repeats of the tuning every run came to an end."""
        units = [one.unit(self.study.primary_metric) for one in self.repeats]
        arms = {arm.name for arm in self.study.arms}
        return sum(of.keys() == arms and all(one.ended for one in of.values()) for of in units)

    @property
    def of_repeats(self) -> list[str]:
        """What has to be said before the differences over repeats."""
        tuning = self.study.tuning
        if tuning is None or tuning.asked_repeats == 1:
            return []
        whole, asked = self.whole_repeats, tuning.asked_repeats
        notes = [f"{whole} of {asked} repeats are done: the same command goes on"] if whole < asked else []
        family = max(len(self.over_repeats), 1)
        if whole < least_seeds(family) and len(self.study.arms) > 1:
            notes.append(f"{repeats_needed_by(family)}; {whole} {'is' if whole == 1 else 'are'} done")
        elif any(one.study.looks for one in self.repeats):
            notes.append(
                "seeds were added when results were known, for which what is said over repeats is not adjusted"
            )
        return notes

    def unit(self, metric: str) -> dict[str, Unit]:
        """Of each arm the whole study as one score."""
        columns = {arm: of[metric] for arm, of in self.values.items()}
        lost = self._lost(metric, columns)
        return {
            arm: Unit.of(
                column,
                [False] * len(column) if lost is None else lost.runs[arm],
                unexplained=lost is not None and arm in lost.unexplained,
            )
            for arm, column in columns.items()
        }

    @cached_property
    def edges(self) -> list[str]:
        """Of a tuned study: which best values are at the edge of those tried."""
        return edges(self.study)

    @cached_property
    def budget_curves(self) -> list[BudgetCurve]:
        """Of a tuned study: the expected best validation score of each arm after so many candidates."""
        return budget_curves(self.study)

    @property
    def budget_told(self) -> str:
        """What these say, and where they do not say it of what was done; "" of a study that is not tuned."""
        return budget_told(self.study.tuning) if self.study.tuning else ""

    # --- metrics ---

    def metric(self, name: str) -> Metric:
        """The metric of a full name: its direction, its unit, how people see it."""
        return self.study.metric(name)

    @property
    def primary_metric(self) -> Metric:
        """The metric that the study's verdicts are on."""
        return self.metric(self.study.primary_metric)

    @cached_property
    def measured(self) -> list[str]:
        """The metrics that any run recorded on a split, in the order of the splits."""
        return metrics(self.study)

    @cached_property
    def names(self) -> list[str]:
        """Every metric: those measured, and those derived from the records."""
        return [*self.measured, *derived_metrics(self.study)]

    # --- arms ---

    @cached_property
    def values(self) -> Mapping[str, Mapping[str, Values]]:
        """Arm -> metric -> one value for each seed of the study, None where it is missing."""
        names = dict.fromkeys([*self.names, self.study.primary_metric])
        return {arm.name: {name: values(self.study, arm, name) for name in names} for arm in self.study.arms}

    @cached_property
    def summaries(self) -> Mapping[str, Mapping[str, Summary]]:
        """Arm -> metric -> its mean, spread and interval over the seeds."""
        return {
            arm: {name: summarise(column) for name, column in columns.items()} for arm, columns in self.values.items()
        }

    @cached_property
    def _bands(self) -> dict[tuple[str, str], Band | None]:
        return {}

    def band(self, arm: str, metric: str) -> Band | None:
        """The mean of an arm's curves with its interval; None of fewer than two runs."""
        if (arm, metric) not in self._bands:
            (record,) = (one for one in self.study.arms if one.name == arm)
            self._bands[arm, metric] = arm_band(record, metric)
        return self._bands[arm, metric]

    def at_evaluation(self, runs: Sequence[RunRecord], metric: str, number: int) -> Summary:
        """Of runs under way: a metric at one of their evaluations."""
        return summarise([float(run.curve[metric][number]) for run in runs])

    # --- differences ---

    @property
    def primary(self) -> list[Difference]:
        """Every pair of arms, or all against the baseline, on the primary metric, with verdicts."""
        return self.on(self.study.primary_metric)

    @property
    def going_on(self) -> list[tuple[str, str]]:
        """Of seeds until decided the pairs that are not decided yet: asked as it trains, so nothing else is found."""
        study, name, until = self.study, self.study.primary_metric, self.stopping
        if not isinstance(until, UntilDecided):
            return []
        columns = {arm.name: values(study, arm, name) for arm in study.arms}
        lost = self._lost(name, columns)
        return going_on(columns, until, margin=study.margin, lost=lost, pairs=pairs_of(study))

    @cached_property
    def differences(self) -> list[Difference]:
        """On every metric, the primary one first; verdicts on it alone.

        Epochs to a target are judged by ranks (`earlier`): a difference would be over the runs that reached it only.
        """
        left_out = {self.study.primary_metric, *TO_TARGET, *(incomparable(self.study) and LOSSES)}
        others = [name for name in self.names if name not in left_out]
        return [found for name in (self.study.primary_metric, *others) for found in self.on(name)]

    def on(self, metric: str) -> list[Difference]:
        """The differences on one metric."""
        if metric not in self._on:
            self._on[metric] = self._differences(metric)
        return self._on[metric]

    @cached_property
    def _on(self) -> dict[str, list[Difference]]:
        return {}

    def _differences(self, metric: str) -> list[Difference]:
        study = self.study
        columns = {arm: of[metric] for arm, of in self.values.items()}
        primary = metric == study.primary_metric
        margin = study.margin if primary else None
        return differences(
            columns,
            metric,
            primary=primary,
            margin=margin,
            lost=self._lost(metric, columns),
            stopping=self.stopping,
            pairs=self.asked.pairs,
            family=self.asked.family,
        )

    @cached_property
    def asked(self) -> Asked:
        """The pairs of arms that are judged: all, but of very many arms."""
        name = self.study.primary_metric
        return asked(self.study, {arm: of[name] for arm, of in self.values.items()}, self.primary_metric)

    @cached_property
    def ranked(self) -> list[str]:
        """The arms by their mean on the primary metric, the best first."""
        name = self.study.primary_metric
        return ranked_arms({arm: of[name] for arm, of in self.values.items()}, self.primary_metric)

    @cached_property
    def stopping(self) -> Stopping:
        """When the study ended, or will."""
        return of_study(self.study)

    @property
    def shared_examples(self) -> float:
        """Which share of the training examples two seeds have in common, where each deals its own split; else 0."""
        return share_of(self.study)

    @property
    def notes_on_splits(self) -> list[str]:
        """What to know of seeds that share examples."""
        return note_on_splits(self.study)

    def _lost(self, metric: str, columns: Mapping[str, Sequence[float | None]]) -> Lost | None:
        """Runs that diverged or failed, or ended without a value of this metric, which others have."""
        study = self.study
        ended = {arm.name: {run.seed: run.status for run in arm.runs} for arm in self.study.arms}
        without = {
            arm: [
                of.get(seed) if value is None else None for seed, value in zip(study.seeds, columns[arm], strict=True)
            ]
            for arm, of in ended.items()
        }
        gone = {arm: [status in (*LOST, Status.DONE) for status in of] for arm, of in without.items()}
        if not any(map(any, gone.values())):
            return None
        unexplained = frozenset(arm for arm, of in without.items() if Status.DONE in of)
        if metric in (*TIMES, *METERS, *JITTERS):
            unknown = "how fast or steady such a run is says nothing"
            return Lost(gone, None, unknown=unknown, unexplained=unexplained)
        return Lost(gone, self.metric(metric).direction, unexplained=unexplained)

    @property
    def seeds_told(self) -> str:
        """How many seeds the study has, or may have."""
        seeds = len(self.study.seeds)
        if self.study.least is not None:
            return f"{self.study.least} to {seeds} seeds"
        return f"{seeds} seed{'s' * (seeds != 1)}"

    @property
    def decided(self) -> str | None:
        """Of seeds until decided: after how many, and what that saved; None of other studies."""
        study = self.study
        if study.least is None or not self.primary:
            return None
        open_ = sum(one.ended is None for one in self.primary)
        if open_:
            return f"{open_} of {len(self.primary)} pairs are not decided yet: the same command goes on"
        told = []
        for why, words in _ENDS.items():
            after = sorted(one.ended_after or 0 for one in self.primary if one.ended == why)
            if after:
                between = f"{after[0]}" if after[0] == after[-1] else f"{after[0]} to {after[-1]}"
                told.append(f"{len(after)} {words} after {between} seeds")
        runs, whole = sum(len(arm.runs) for arm in study.arms), len(study.arms) * len(study.seeds)
        saved = f"; {runs} runs instead of {whole}" if runs < whole else ""
        return f"Of {len(self.primary)} pair{'s' * (len(self.primary) != 1)} {', '.join(told)}{saved}"

    @property
    def least_seeds(self) -> int:
        """How many seeds it takes before any pair on the primary metric could be told apart."""
        return least_seeds(self.asked.family if self.primary else 0)

    @cached_property
    def tasks(self) -> Tasks | None:
        """The same arms on several tasks, where they are."""
        return Tasks.of(self.study)

    @cached_property
    def over_tasks(self) -> list[OverTasks]:
        """What each pair of arms shows over several tasks, on the primary metric."""
        study, metric = self.study, self.study.primary_metric
        if self.tasks is None or len(study.seeds) < 2:
            return []
        columns = {arm: of[metric] for arm, of in self.values.items()}
        lost = self._lost(metric, columns)
        return over_tasks(self.tasks, self.primary, columns, baseline=study.baseline, lost=lost, stopping=self.stopping)

    @cached_property
    def sweeps(self) -> list[Sweep]:
        """The primary metric over each numeric factor, and where each arm is best; of seeds until decided that is not
        judged, as each arm ends at a seed of its own."""
        study, metric = self.study, self.primary_metric
        columns = {arm: of[metric.name] for arm, of in self.values.items()}
        return sweeps(
            study,
            columns,
            metric.direction,
            lost=self._lost(metric.name, columns),
            stopping=self.stopping,
            judged=not isinstance(self.stopping, UntilDecided),
        )

    @cached_property
    def effects(self) -> list[FactorEffect]:
        """What each factor does to the primary metric, and which two interact; nothing where arms are not every
        combination of two factors or more, are compared on several tasks, or end each at a seed of its own."""
        study, metric = self.study, self.study.primary_metric
        whole = len(study.seeds) > 1 and self.tasks is None and not isinstance(self.stopping, UntilDecided)
        crossed = Crossed.of(study) if whole else None
        if crossed is None:
            return []
        columns = {arm: of[metric] for arm, of in self.values.items()}
        lost = self._lost(metric, columns)
        return factor_effects(crossed, columns, metric, lost=lost, margin=study.margin, stopping=self.stopping)

    # --- the target ---

    @property
    def target(self) -> Target | None:
        """The study's target, where it can be said who reached it."""
        target = self.study.target
        return target if target is not None and target.direction is not None else None

    @cached_property
    def reached(self) -> list[Reached]:
        """Of each arm how many runs reached the target, and when."""
        return reached(self.study, self.target) if self.target else []

    @cached_property
    def earlier(self) -> list[Earlier]:
        """Which arm of each pair reached the target earlier, by ranks."""
        judged = self.asked
        found = earlier(self.study, self.target, judged.pairs, judged.family) if self.target else []
        if isinstance(self.stopping, Fixed):
            return found
        return [replace(one, p_adjusted=None) for one in found]  # ranks know nothing of looks

    @cached_property
    def seconds_to_target(self) -> Mapping[str, float | None]:
        """Arm -> the median seconds of training of the runs that reached the target, None where none is known."""
        columns = {arm: of.get("seconds_to_target", []) for arm, of in self.values.items()}
        known = {arm: [one for one in column if one is not None] for arm, column in columns.items()}
        return {arm: median(seconds) if seconds else None for arm, seconds in known.items()}

    # --- what else there is to say ---

    @cached_property
    def agreements(self) -> list[Agreement]:
        """How close two implementations of one arm come."""
        return agreements(self.study)

    @cached_property
    def confounders(self) -> list[str]:
        """Where arms differ in more than the factors; of several tasks on each."""
        if self.tasks is None:
            return confounders(self.study)
        of = self.tasks.studies(self.study)
        return [f"{task}: {line}" for task, study in of.items() for line in confounders(study)]

    @cached_property
    def warnings(self) -> list[str]:
        """What else has to be said before any difference: runs that are missing, what makes a verdict meaningless."""
        looked = "of other metrics than the primary one intervals and p-values are not adjusted for the looks"
        looks = [] if isinstance(self.stopping, Fixed) or len(self.study.arms) < 2 else [looked]
        return [
            *warnings(self.study),
            *meaningless(self.study),
            *remarks(self.study),
            *self.notes_on_splits,
            *looks,
            *([self.asked.told] if self.asked.told and len(self.study.seeds) > 1 else []),
            *self._why_no_effects,
        ]

    @property
    def _why_no_effects(self) -> list[str]:
        study = self.study
        if study.named or len(study.factors) < 2 or len(study.seeds) < 2:
            return []
        if self.effects:
            crossed = Crossed.of(study)
            assert crossed is not None
            many = f"none of {crossed.interactions:,} interactions is judged: fewer values of the factors have fewer"
            return [many] if too_many(crossed.interactions) else []
        if study.tuning is not None:  # of a tuned value each arm has its own
            return []
        if self.tasks is not None:
            several = "no effect of a factor is told over several tasks: pairs of arms are"
            return [several] if len(study.factors) > 2 else []
        if isinstance(self.stopping, UntilDecided):
            return ["no effect of a factor is told, as each arm ends at a seed of its own: pairs of arms alone are"]
        return [
            "no effect of a factor is told, as not every combination of their values is there: pairs of arms alone are"
        ]

    @cached_property
    def troubles(self) -> list[str]:
        """A line for each arm and status other than done."""
        return troubles(self.study)

    @cached_property
    def stopped_early(self) -> list[str]:
        """Of each arm with early stopping, how far its runs went and which evaluation is reported."""
        return stopped_early(self.study)

    @cached_property
    def diagnoses(self) -> list[Diagnosis]:
        """What went wrong in training, arm by arm, the deepest cause first; nothing of runs that are well."""
        return diagnose(self.study)

    @cached_property
    def looked(self) -> Looked:
        """How much of the study a diagnosis can look at."""
        return looked(self.study)

    def evidence(self, found: Diagnosis) -> Evidence | None:
        """What a diagnosis of it rests on, as numbers that can be drawn; None where words say it all."""
        return evidence(self.study, found)

    @property
    def notes(self) -> list[str]:
        """All that has to be said before any difference."""
        return [*self.confounders, *self.troubles, *self.warnings, *self.stopped_early]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """On each of the study's claims, from this study alone."""
        return verdicts(self.study)
