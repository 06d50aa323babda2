"""Where arms differ in more than the factors: what has to be said before any difference between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from paribus.config.values import told_as
from paribus.findings.meaningless import some
from paribus.records.record import ArmRecord, RunRecord, Status, StudyRecord

Fact = Callable[[ArmRecord, RunRecord], str | None]


def _steps(arm: ArmRecord, run: RunRecord) -> str | None:
    """Early stopping is told by itself (`early`); an estimator has no steps."""
    if run.reported_by is not None or arm.whole_fit:
        return None
    if run.status is not Status.DONE or not run.curve:
        return None
    steps = float(run.curve["step"][-1])
    return f"{steps:g} step{'s' * (steps != 1)}"


def _task(arm: ArmRecord, run: RunRecord) -> str | None:
    by_seed = arm.settings.get("split") == "by_seed"
    return f"{run.task.name} {(run.task.pool if by_seed else run.task.fingerprint)[:12]}"


def _versions(_: ArmRecord, run: RunRecord) -> str | None:
    versions = run.environment.get("versions")
    if not isinstance(versions, Mapping):
        return None
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _machine(_: ArmRecord, run: RunRecord) -> str | None:
    machine = run.environment.get("machine")
    return str(machine.get("host")) if isinstance(machine, Mapping) else None


def _threads(arm: ArmRecord, _: RunRecord) -> str | None:
    return str(arm.settings.get("threads"))


# what is compared, how it is called, and the settings that are to make it differ
FACTS: dict[str, tuple[Fact, tuple[str, ...]]] = {
    "the data (fingerprint)": (_task, ("task", "split", "validation")),
    "the number of steps": (_steps, ()),
    "package versions": (_versions, ()),
    "the machine": (_machine, ()),
    "the number of threads": (_threads, ("threads",)),
}


LOSSES = ("train_loss", "validation_loss", "test_loss", "train_loss_jitter")


def incomparable(study: StudyRecord) -> tuple[str, ...]:
    """The losses that evaluations tell, where they are different things, whose values nobody can compare; else none."""
    found = tuple(dict.fromkeys(_told(study, arm) for arm in study.arms))
    return found if len(found) > 1 else ()


def _told(study: StudyRecord, arm: ArmRecord) -> str:
    """Where a loss of the user's own is minimised, it is the one that the task has otherwise."""
    if "loss.function" in arm.settings:
        return "mse" if "rmse" in study.metrics else "cross_entropy"
    return told_as(str(arm.settings.get("loss", "cross_entropy")))


def confounders(study: StudyRecord) -> list[str]:
    """A sentence for each fact in which arms, or runs of one arm, differ though no factor is to make them.

    The number of steps is told whatever the factors: an epoch at another batch size is another number of updates.
    """
    found = []
    if losses := incomparable(study):
        found.append(f"The losses of arms are different things ({', '.join(losses)}): no difference of them is told")
    if study.timing and (whole := [arm.name or study.name for arm in study.arms if arm.whole_fit]):
        found.append(
            f"{some(whole)}: fitted as a whole, so that no time per epoch or evaluation is told; the seconds of a fit "
            "are train_seconds of the curves"
        )
    for name, (fact, settings) in FACTS.items():
        if any(factor.partition(".")[0] in settings for factor in study.factors):
            continue
        values: dict[str, list[str]] = {}
        for arm in study.arms:
            for value in dict.fromkeys(fact(arm, run) for run in _unlike(arm.runs)):
                if value is not None:
                    values.setdefault(value, []).append(arm.name or study.name)
        if len(values) > 1:
            told = "; ".join(f"{value}: {some(arms)}" for value, arms in values.items())
            found.append(f"Arms are unequal in {name}. {told}")
    return found


def _unlike(runs: Sequence[RunRecord]) -> Iterable[RunRecord]:
    """One of all runs that have the same task, surroundings and steps: thousands of them tell a fact once."""
    return {
        (id(run.task), id(run.environment), run.status, run.curve["step"][-1] if run.curve else None): run
        for run in runs
    }.values()
